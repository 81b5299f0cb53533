"""The verbs that steer executions, one and many, against a real daemon."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from edge.cli import main
from tests.daemon import Daemon
from tests.unit.edge.cli.conftest import Type


def _started(type_: Type, count: int = 1) -> list[str]:
    return [type_("start", "waiting").stdout.strip() for _ in range(count)]


def _status(type_: Type, workflow_id: str) -> str:
    shown = json.loads(type_("show", workflow_id, "--json").stdout)
    return str(shown["status"])


def _piped(daemon: Daemon, text: str, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--url", daemon.url], input=text)


def test_the_life_of_an_execution(type_: Type) -> None:
    """Every verb does what it says, and ``show`` tells."""
    (workflow_id,) = _started(type_)
    for verb, status in (
        (["pause"], "PAUSED"),
        (["resume"], "RUNNING"),
        (["terminate", "--reason", "enough"], "TERMINATED"),
        (["restart", "--latest"], "RUNNING"),
        (["terminate"], "TERMINATED"),
        (["retry"], "RUNNING"),
    ):
        done = type_(verb[0], workflow_id, *verb[1:])
        assert 0 == done.exit_code, done.output

        assert status == _status(type_, workflow_id)
    refused = type_("resume", workflow_id)

    assert 1 == refused.exit_code
    assert "is not PAUSED" in refused.output


def test_many_at_once(type_: Type, daemon: Daemon) -> None:
    """From the command line and from a pipe; one that is refused does not keep the others."""
    ids = _started(type_, 3)
    listed = type_("pause", *ids[:2])
    piped = _piped(daemon, "".join(f"{one}\n" for one in [*ids, "nobody"]), "pause", "-", "--json")
    ended = _piped(daemon, "\n".join(ids), "terminate", "-")

    assert [f"paused {one}" for one in ids[:2]] == listed.stdout.splitlines()
    assert 1 == piped.exit_code
    told = json.loads(piped.stdout)
    assert ids == told["done"]
    assert ["nobody"] == list(told["errors"])
    assert 0 == ended.exit_code
    assert {"TERMINATED"} == {_status(type_, one) for one in ids}
    assert 2 == type_("pause").exit_code


def test_a_task_is_completed_by_hand(type_: Type) -> None:
    """By its reference name, its output as typed; one that is not open names those that are."""
    (workflow_id,) = _started(type_)
    wrong = type_("complete-task", workflow_id, "other")
    done = type_("complete-task", workflow_id, "lonely", "-o", "by=Ada", "-o", "n=3")
    again = type_("complete-task", workflow_id, "lonely", "--json")

    assert 1 == wrong.exit_code
    assert "the task other is not open; open are: lonely" in wrong.stderr
    assert f"completed lonely of {workflow_id}" in done.stdout
    shown = json.loads(type_("show", workflow_id, "--json").stdout)
    assert ("COMPLETED", {"by": "Ada", "n": 3}) == (shown["status"], shown["output"])
    assert 1 == again.exit_code
    assert "no task is open" in json.loads(again.stdout)["errors"][workflow_id]


def test_a_task_is_failed_by_hand(type_: Type) -> None:
    """For good, with the reason that was given; a task that never ran names those that have."""
    (workflow_id,) = _started(type_)
    wrong = type_("fail-task", workflow_id, "other")
    done = type_("fail-task", workflow_id, "lonely", "--terminal", "--reason", "broken for good")
    again = type_("fail-task", workflow_id, "lonely")

    assert "no task other has run; those that have: lonely" in wrong.stderr
    assert 0 == done.exit_code, done.output
    assert "broken for good" in type_("show", workflow_id).stdout
    assert "FAILED" == _status(type_, workflow_id)
    assert 1 == again.exit_code
    assert "is not open" in again.stderr


def test_a_failed_task_keeps_what_is_not_shown(type_: Type) -> None:
    """What a task has put out before is not read, masked, and written back."""
    (workflow_id,) = _started(type_)
    done = type_("fail-task", workflow_id, "lonely", "-o", "why=late")

    assert 0 == done.exit_code, done.output
    task = json.loads(type_("show", workflow_id, "--json").stdout)["tasks"][0]
    assert ("FAILED", {"why": "late"}) == (task["status"], task["outputData"])


@pytest.mark.parametrize("given", ["x=NaN", "x=-Infinity", 'x="\\ud800"'])
def test_what_is_no_json_is_not_sent(type_: Type, given: str) -> None:
    """It is said in one line."""
    done = type_("start", "hello", "-i", given)

    assert 1 == done.exit_code
    assert "this cannot be sent" in done.stderr


def test_an_ended_execution_is_removed(type_: Type) -> None:
    """One that still runs is refused."""
    (workflow_id,) = _started(type_)
    running = type_("remove", workflow_id)
    type_("terminate", workflow_id)
    removed = type_("remove", workflow_id, "--for-good")

    assert 1 == running.exit_code
    assert f"removed {workflow_id}" in removed.stdout
    assert "No such workflow" in type_("show", workflow_id).stderr


def test_the_input_of_a_task_needs_a_task(type_: Type) -> None:
    """``--task-input`` without ``--from`` is a slip."""
    done = type_("rerun", "0190", "--task-input", "n=3")

    assert 2 == done.exit_code
    assert "--from" in done.stderr


def test_unknown_ids_are_told_with_advice(type_: Type) -> None:
    """What to do next stands below what is wrong."""
    done = type_("pause", "nobody")

    assert 1 == done.exit_code
    assert "No such workflow found by id: nobody" in done.stderr
    assert "`baton search` finds executions" in done.stderr


def _tasks(type_: Type, workflow_id: str) -> list[tuple[str, str]]:
    shown = json.loads(type_("show", workflow_id, "--json").stdout)
    return [(task["referenceTaskName"], task["status"]) for task in shown["tasks"]]


def _go(type_: Type, workflow_id: str, *words: str) -> None:
    done = type_(words[0], workflow_id, *words[1:])
    assert 0 == done.exit_code, done.output


def test_an_execution_is_run_again_from_a_task(type_: Type) -> None:
    """What came before stays; with an input of its own; an unknown task names those that ran."""
    workflow_id = type_("start", "steps").stdout.strip()
    _go(type_, workflow_id, "complete-task", "first")
    _go(type_, workflow_id, "signal")
    _go(type_, workflow_id, "fail-task", "last", "--terminal")
    wrong = type_("rerun", workflow_id, "--from", "other")
    _go(type_, workflow_id, "rerun", "--from", "last", "-t", "n=3")
    again = json.loads(type_("show", workflow_id, "--json").stdout)
    _go(type_, workflow_id, "terminate")
    _go(type_, workflow_id, "rerun", "-i", "x=1")
    anew = json.loads(type_("show", workflow_id, "--json").stdout)

    assert "no task other has run; those that have: first, person, last" in wrong.stderr
    assert [("first", "COMPLETED"), ("person", "COMPLETED"), ("last", "SCHEDULED")] == [
        (task["referenceTaskName"], task["status"]) for task in again["tasks"]
    ]
    assert {"n": 3} == again["tasks"][-1]["inputData"]
    assert ({"x": 1}, ["first"]) == (
        anew["input"], [task["referenceTaskName"] for task in anew["tasks"]],
    )  # fmt: skip
    _go(type_, workflow_id, "terminate")


def test_a_task_is_passed_over(type_: Type) -> None:
    """With the output that it is taken to have; one that has run already is refused."""
    workflow_id = type_("start", "steps").stdout.strip()
    _go(type_, workflow_id, "skip", "person", "-o", "by=nobody")
    _go(type_, workflow_id, "complete-task", "first")
    refused = type_("skip", workflow_id, "first")
    shown = json.loads(type_("show", workflow_id, "--json").stdout)

    assert [("first", "COMPLETED"), ("person", "SKIPPED"), ("last", "SCHEDULED")] == [
        (task["referenceTaskName"], task["status"]) for task in shown["tasks"]
    ]
    assert {"by": "nobody"} == shown["tasks"][1]["outputData"]
    assert 1 == refused.exit_code
    assert "already been processed" in refused.stderr
    _go(type_, workflow_id, "terminate")


def test_an_execution_jumps(type_: Type) -> None:
    """On to another task, with something to begin with."""
    workflow_id = type_("start", "steps").stdout.strip()
    _go(type_, workflow_id, "jump", "last", "-i", "n=3")
    shown = json.loads(type_("show", workflow_id, "--json").stdout)

    assert ("last", "SCHEDULED", {"n": 3}) == (
        shown["tasks"][-1]["referenceTaskName"],
        shown["tasks"][-1]["status"],
        shown["tasks"][-1]["inputData"],
    )
    _go(type_, workflow_id, "terminate")


def test_variables_are_set(type_: Type, daemon: Daemon) -> None:
    """Of many at once; the others keep their values."""
    ids = _started(type_, 2)
    _go(type_, ids[0], "update-vars", "a=1", "b=old")
    piped = _piped(daemon, "\n".join(ids), "update-vars", "-", "b=new", '{"c": [1]}')
    first, second = (json.loads(type_("show", one, "--json").stdout)["variables"] for one in ids)

    assert [f"updated {one}" for one in ids] == piped.stdout.splitlines()
    assert {"a": 1, "b": "new", "c": [1]} == first
    assert {"b": "new", "c": [1]} == second
    type_("terminate", *ids)


def test_a_signal_lets_it_go_on(type_: Type) -> None:
    """The waiting task ends with what was said, as what was said."""
    workflow_id = type_("start", "steps").stdout.strip()
    _go(type_, workflow_id, "complete-task", "first")
    _go(type_, workflow_id, "signal", "-o", "approved=true")
    shown = json.loads(type_("show", workflow_id, "--json").stdout)

    assert {"approved": True} == shown["tasks"][1]["outputData"]
    assert ("last", "SCHEDULED") == _tasks(type_, workflow_id)[-1]
    _go(type_, workflow_id, "terminate")


def test_a_sub_workflow_is_shown_and_resumed_inside(type_: Type) -> None:
    """``--tree`` shows its tasks further in; ``--resume-sub`` keeps it, a plain retry does not."""
    workflow_id = type_("start", "outer").stdout.strip()
    shown = json.loads(type_("show", workflow_id, "--tree", "--json").stdout)
    (child_id,) = shown["subWorkflows"]
    tree = type_("show", workflow_id, "--tree").stdout
    _go(type_, child_id, "fail-task", "lonely", "--terminal", "--reason", "no luck")
    failed = _status(type_, workflow_id)
    _go(type_, workflow_id, "retry", "--resume-sub")
    resumed = json.loads(type_("show", workflow_id, "--tree", "--json").stdout)

    assert "\n  lonely" in tree
    assert "FAILED" == failed
    assert [child_id] == list(resumed["subWorkflows"])
    assert ["FAILED_WITH_TERMINAL_ERROR", "SCHEDULED"] == [
        task["status"] for task in resumed["subWorkflows"][child_id]["tasks"]
    ]
    _go(type_, workflow_id, "terminate")


def test_many_are_removed_at_once(type_: Type, daemon: Daemon) -> None:
    """Those that still run are refused, unless they are ended first."""
    ids = _started(type_, 3)
    type_("terminate", ids[0])
    refused = _piped(daemon, "\n".join(ids), "remove", "-", "--json")
    ended = type_("remove", ids[1], "--terminate", "--reason", "enough", "--for-good")
    many = _piped(daemon, ids[2], "remove", "-", ids[0], "--terminate", "--for-good", "--json")

    told = json.loads(refused.stdout)
    assert (1, [ids[0]], sorted(ids[1:])) == (
        refused.exit_code, told["done"], sorted(told["errors"]),
    )  # fmt: skip
    assert 0 == ended.exit_code, ended.output
    assert ids[2] in json.loads(many.stdout)["done"]
    assert 1 == type_("show", ids[2]).exit_code
