"""WAIT: until a time, for a duration, or until somebody says so."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.model.executions import TaskStatus, WorkflowStatus
from tests.unit.edge.playbook import NOW_MS, Playbook, step


def waiting(**parameters: Any) -> Playbook:
    """A started workflow that waits; parameters come through an expression."""
    wait = {key: "${workflow.input." + key + "}" for key in parameters}
    play = Playbook(step("w", "WAIT", inputParameters=wait), step("z"))
    play.start(parameters)
    return play


def test_a_duration_ends_at_its_moment() -> None:
    """The moment is kept with the record; a timer before it changes nothing."""
    play = waiting(duration="10 s")
    assert NOW_MS + 10_000 == play.task("w").due_ms
    assert {"duration": "10 s", "waitTimeout": NOW_MS + 10_000} == play.input("w")

    assert play.after(9).timer("w").empty
    play.after(1).timer("w")

    assert ["1 w 0 COMPLETED", "2 z 0 SCHEDULED"] == play.rows()
    assert {} == play.output("w")


@pytest.mark.parametrize(
    ("parameters", "seconds"),
    [({"duration": "2 m"}, 120), ({}, 2**31 - 1), ({"duration": "0 s"}, 0)],
)
def test_clients_are_told_how_long_it_takes(parameters: dict[str, Any], seconds: int) -> None:
    """As Conductor tells them: in whole seconds, the largest number where nobody knows."""
    assert seconds == waiting(**parameters).task("w").callback_after_s


def test_until_ends_at_its_moment() -> None:
    """A date in the future is waited for."""
    play = waiting(until="2024-01-01 00:00 UTC")

    due_ms = play.task("w").due_ms
    assert 1_704_067_200_000 == due_ms
    play.now_ms = due_ms
    play.timer("w")
    assert TaskStatus.COMPLETED == play.task("w").status


@pytest.mark.parametrize(
    "parameters",
    [
        {"until": "2001-01-01 00:00 UTC"},
        {"until": "1970-01-01 00:00 UTC"},
        {"until": "1950-01-01 00:00 UTC"},
        {"duration": "0 s"},
    ],
)
def test_the_past_is_over(parameters: dict[str, Any]) -> None:
    """A moment that has passed completes the task at once."""
    play = waiting(**parameters)

    assert ["1 w 0 COMPLETED", "2 z 0 SCHEDULED"] == play.rows()
    assert 0 == play.task("w").due_ms


@pytest.mark.parametrize("parameters", [{}, {"duration": None}, {"duration": "", "until": ""}])
def test_without_a_moment_somebody_has_to_say_so(parameters: dict[str, Any]) -> None:
    """Any update with COMPLETED ends the wait, with its output; a timer never does."""
    play = waiting(**parameters)
    assert 0 == play.task("w").due_ms
    assert play.after(10**6).timer("w").empty

    play.complete("w", {"by": "hand"})

    assert {"by": "hand"} == play.output("w")
    assert ["1 w 0 COMPLETED", "2 z 0 SCHEDULED"] == play.rows()


def test_a_timed_wait_may_be_ended_early() -> None:
    """The timer that comes later finds nothing to do."""
    play = waiting(duration="10 s")
    play.complete("w")

    assert 0 == play.task("w").due_ms
    assert play.after(10).timer("w").empty


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (
            {"duration": "1 s", "until": "2030-01-01"},
            "Both 'duration' and 'until' specified. Please provide only one input",
        ),
        ({"duration": "soon"}, "Not valid duration: soon"),
        ({"duration": 0}, "Not valid duration: 0"),
        ({"duration": False}, "Not valid duration: false"),
        ({"until": 5}, "Invalid/Unsupported Wait Until format.  Provided: 5"),
    ],
)
def test_a_moment_that_nobody_can_read_fails_for_good(
    parameters: dict[str, Any], reason: str
) -> None:
    """The task fails without a retry, and the reason shows what was given."""
    play = waiting(**parameters)

    assert ["1 w 0 FAILED_WITH_TERMINAL_ERROR"] == play.rows()
    assert reason == play.task("w").reason
    assert WorkflowStatus.FAILED == play.status


def test_the_name_of_the_moment_is_the_engines_own() -> None:
    """An input of that name neither sets a moment nor breaks anything."""
    play = Playbook(step("w", "WAIT", inputParameters={"waitTimeout": "soon"}))
    play.start()
    assert {} == play.input("w")

    play.update("w", TaskStatus.IN_PROGRESS)
    play.timer("w")

    assert TaskStatus.IN_PROGRESS == play.task("w").status


def test_a_retry_waits_anew() -> None:
    """The moment of the attempt before does not count."""
    play = Playbook(step("w", "WAIT", inputParameters={"duration": "${workflow.variables.d}"}))
    play.snapshot.workflow = msgspec.structs.replace(play.workflow, variables=b'{"d":"10 s"}')
    play.start()
    play.terminate()
    play.snapshot.put_workflow(msgspec.structs.replace(play.workflow, variables=b"{}"))

    play.after(60).retry()

    assert TaskStatus.IN_PROGRESS == play.task("w").status
    assert 0 == play.task("w").due_ms
