"""The verbs that steer executions, one and many, against a real daemon."""

from __future__ import annotations

import json

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


def test_an_ended_execution_is_removed(type_: Type) -> None:
    """One that still runs is refused."""
    (workflow_id,) = _started(type_)
    running = type_("remove", workflow_id)
    type_("terminate", workflow_id)
    removed = type_("remove", workflow_id)

    assert 1 == running.exit_code
    assert 0 == removed.exit_code
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
