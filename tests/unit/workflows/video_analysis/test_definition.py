"""Tests of the definition itself: its JSON, its references, and that somebody does each task."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from workflows.catalog import BundledWorkflow, catalog

_REFERENCE = re.compile(r"\$\{(\w+)\.(input|output)[.}]")
_POLICIES = {"RETRY", "TIME_OUT_WF", "ALERT_ONLY"}


@pytest.fixture
def bundled() -> BundledWorkflow:
    """Give the bundled video analysis."""
    return next(one for one in catalog() if one.name == "video_analysis")


def _tasks(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Go over all tasks, those inside of others too."""
    for task in tasks:
        yield task
        inner = [*task.get("decisionCases", {}).values(), *task.get("forkTasks", [])]
        for branch in [*inner, task.get("defaultCase", []), task.get("loopOver", [])]:
            yield from _tasks(branch)


def test_the_definition_has_what_conductor_demands(bundled: BundledWorkflow) -> None:
    """Name, version, schema, owner and timeout policy are there."""
    definition = bundled.definition

    assert (1, 2) == (definition["version"], definition["schemaVersion"])
    assert "@" in definition["ownerEmail"]
    assert "TIME_OUT_WF" == definition["timeoutPolicy"]
    assert definition["timeoutSeconds"] > 0
    assert ["camera", "detector", "event_id", "started_ms"] == definition["inputParameters"]


def test_reference_names_are_unique(bundled: BundledWorkflow) -> None:
    """No two tasks share a reference name."""
    names = [task["taskReferenceName"] for task in _tasks(bundled.definition["tasks"])]

    assert sorted(set(names)) == sorted(names)


def test_every_reference_leads_to_a_task_or_the_input(bundled: BundledWorkflow) -> None:
    """What is referred to exists, and workflow inputs are declared ones."""
    names = {task["taskReferenceName"] for task in _tasks(bundled.definition["tasks"])}
    text = str(bundled.definition)

    assert {name for name, _ in _REFERENCE.findall(text)} <= names | {"workflow"}
    declared = set(bundled.definition["inputParameters"])
    assert set(re.findall(r"\$\{workflow\.input\.(\w+)\}", text)) <= declared


def test_every_simple_task_has_a_handler_and_a_definition(bundled: BundledWorkflow) -> None:
    """Nothing waits for a worker that does not exist, and nothing is defined in vain."""
    simple = {t["name"] for t in _tasks(bundled.definition["tasks"]) if t["type"] == "SIMPLE"}

    assert simple == set(bundled.handlers)
    assert simple == {one["name"] for one in bundled.task_definitions}


def test_references_to_outputs_are_to_keys_that_are_promised(bundled: BundledWorkflow) -> None:
    """What one task reads of another is among that one's declared outputs."""
    by_reference = {t["taskReferenceName"]: t["name"] for t in _tasks(bundled.definition["tasks"])}
    promised = {one["name"]: set(one["outputKeys"]) for one in bundled.task_definitions}

    used = re.findall(r"\$\{(\w+)\.output\.(\w+)", str(bundled.definition))

    assert used
    assert all(key in promised[by_reference[reference]] for reference, key in used)


def test_task_definitions_are_sane(bundled: BundledWorkflow) -> None:
    """Each has an owner, retries, and a lease shorter than its time limit."""
    for one in bundled.task_definitions:
        assert "@" in one["ownerEmail"]
        assert 1 <= one["retryCount"] <= 10
        assert one["timeoutPolicy"] in _POLICIES
        assert 0 < one["responseTimeoutSeconds"] < one["timeoutSeconds"]


def test_the_join_waits_for_the_last_task_of_each_branch(bundled: BundledWorkflow) -> None:
    """Fork and join belong together."""
    tasks = list(_tasks(bundled.definition["tasks"]))
    fork = next(task for task in tasks if task["type"] == "FORK_JOIN")
    join = next(task for task in tasks if task["type"] == "JOIN")

    assert join["joinOn"] == [branch[-1]["taskReferenceName"] for branch in fork["forkTasks"]]
