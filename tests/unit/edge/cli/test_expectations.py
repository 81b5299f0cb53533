"""What a mock test may expect, and where an execution differs from it."""

from __future__ import annotations

from typing import Any

import pytest

from edge.cli.expectations import differences, faults_of


def task(ref: str, status: str = "COMPLETED", **fields: Any) -> dict[str, Any]:
    """A task as the API shows it."""
    return {"referenceTaskName": ref, "status": status, "taskType": "SIMPLE", **fields}


EXECUTION: dict[str, Any] = {
    "status": "COMPLETED",
    "output": {"total": 3, "items": [{"id": 1, "v": "p"}, {"id": 2, "v": "q"}], "ok": True},
    "variables": {"n": 2},
    "reasonForIncompletion": None,
    "tasks": [
        task("charge", "FAILED", reasonForIncompletion="card declined by the bank"),
        task("charge", outputData={"paid": 3}, inputData={"amount": 3}),
    ],
}


@pytest.mark.parametrize(
    "expect",
    [
        {"status": "COMPLETED"},
        {"output": {"total": 3}},
        {"output": {"items": [{"id": 1}, {"v": "q"}]}},
        {"output": {"gone": None}},
        {"variables": {"n": 2}},
        {"tasks": {"charge": "COMPLETED", "refund": None}},
        {"tasks": {"charge": {"attempts": 2, "output": {"paid": 3}, "input": {"amount": 3}}}},
    ],
)
def test_a_part_matches_the_whole(expect: dict[str, Any]) -> None:
    """What is not named may be anything; the last attempt of a task is what counts."""
    assert [] == faults_of(expect)
    assert [] == differences(EXECUTION, expect)


@pytest.mark.parametrize(
    ("expect", "line"),
    [
        ({"status": "FAILED"}, 'status: expected "FAILED", got "COMPLETED"'),
        ({"output": {"total": 4}}, "output.total: expected 4, got 3"),
        ({"output": {"ok": 1}}, "output.ok: expected 1, got true"),
        ({"output": {"other": 1}}, "output.other: expected 1, got null"),
        ({"output": {"total": {"a": 1}}}, 'output.total: expected {"a": 1}, got 3'),
        ({"output": {"items": [{"id": 1}, {"id": 3}]}}, "output.items[1].id: expected 3, got 2"),
        ({"output": {"items": []}}, "output.items: expected 0 items, got 2"),
        ({"variables": {"n": 1}}, "variables.n: expected 1, got 2"),
        ({"reason": "x"}, 'reason: expected words "x", got null'),
        ({"tasks": {"charge": None}}, "tasks.charge: expected never to run, is COMPLETED"),
        ({"tasks": {"refund": "COMPLETED"}}, "tasks.refund: expected to run, never did"),
        ({"tasks": {"charge": {"attempts": 1}}}, "tasks.charge.attempts: expected 1, got 2"),
        ({"tasks": {"charge": {"reason": "x"}}}, 'tasks.charge.reason: expected words "x", got'),
    ],
)
def test_a_difference_is_named(expect: dict[str, Any], line: str) -> None:
    """By its path, with both values; false and 0 are two things."""
    found = differences(EXECUTION, expect)

    assert 1 == len(found)
    assert found[0].startswith(line)


def test_a_workflow_that_stopped_says_where() -> None:
    """A task without a mock is what an author forgets most."""
    stopped = {"status": "RUNNING", "tasks": [task("charge", "SCHEDULED"), task("a")]}
    found = differences(stopped, {"status": "COMPLETED"})

    assert "it stopped at charge (SIMPLE), which has no mock output left" == found[-1]
    assert 2 == len(found)
    assert [] == differences(stopped, {"status": "RUNNING", "tasks": {"charge": "SCHEDULED"}})


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        (None, "names what it expects"),
        ({}, "names what it expects"),
        ({"statsu": "COMPLETED"}, "expect.statsu: unknown"),
        ({"tasks": []}, "must be a map"),
        ({"tasks": {"a": 3}}, "expect.tasks.a: must be a status"),
        ({"tasks": {"a": {"out": 3}}}, "expect.tasks.a.out: unknown"),
    ],
)
def test_an_expectation_that_expects_nothing_is_refused(expect: Any, words: str) -> None:
    """A misspelt key would make a test that cannot fail."""
    assert any(words in fault for fault in faults_of(expect))


def test_long_values_are_cut() -> None:
    """A message is read by people."""
    (line,) = differences({"status": "x" * 1_000}, {"status": "FAILED"})

    assert len(line) < 400
