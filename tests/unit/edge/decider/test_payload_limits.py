"""Payloads that are larger than they may be: who fails, and what is said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.decider.outside import NOWHERE
from edge.model.decision import UpdateVariables
from edge.model.errors import InvalidInput, PayloadLost
from edge.model.executions import TaskStatus
from edge.model.payload_limits import PayloadLimits
from tests.unit.edge.playbook import Playbook, fork, inline, join, step

WORKFLOW = "00010203-0405-0607-0809-0a0b00000000"
LARGE = {"x": "y" * 200}
SIZE = len(msgspec.json.encode(LARGE))


class _Tight:
    """An outside where nothing may be large."""

    limits = PayloadLimits(task_most=100, workflow_most=150, variables_most=1024)
    environment = staticmethod(NOWHERE.environment)
    process = staticmethod(NOWHERE.process)
    secret = staticmethod(NOWHERE.secret)
    faults = staticmethod(NOWHERE.faults)


def _play(*steps: Any, **fields: Any) -> Playbook:
    play = Playbook(*steps, **fields)
    play.outside = _Tight()
    return play


def test_a_start_with_too_large_an_input_is_a_failed_execution() -> None:
    """As in Conductor: there is one, without the input, and it says why."""
    play = _play(step("a"))
    play.start(LARGE)

    assert ("FAILED", b"{}", []) == (play.status, play.workflow.input, play.rows())
    assert (
        f"The payload size: {SIZE} of workflow: {WORKFLOW} is greater than the permissible limit: "
        "150 bytes"
    ) == play.workflow.reason


def test_what_was_uploaded_is_no_burden() -> None:
    """A client that uploads a large input by itself may."""
    play = _play(step("a", inputParameters={"n": "${workflow.input.n}"}))
    play.start({**LARGE, "n": 1}, input_path="workflow/input/x.json")

    assert ["1 a 0 SCHEDULED"] == play.rows()
    assert {"n": 1} == play.input("a")


def test_a_task_with_too_large_an_input_is_not_handed_out() -> None:
    """It fails for good without its input; siblings of a fork end with the workflow."""
    play = _play(
        fork("f", [step("a", inputParameters=LARGE, retryCount=3)], [step("b")]),
        join("j", "a", "b"),
    )
    play.start()
    task = play.task("a")

    assert (TaskStatus.FAILED_WITH_TERMINAL_ERROR, b"{}", None) == (
        task.status, task.input, task.queue
    )  # fmt: skip
    assert (
        f"The payload size: {SIZE} of task: {play.id('a')} in workflow: {WORKFLOW}  is greater "
        "than the permissible limit: 100 bytes"
    ) == task.reason
    assert task.ended_ms == play.now_ms
    assert "FAILED" == play.status


@pytest.mark.parametrize(
    "status", [TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.IN_PROGRESS]
)
def test_a_worker_with_too_large_an_output_fails_its_task(status: TaskStatus) -> None:
    """Whatever it says itself; the output is not kept."""
    play = _play(step("a", settings={"retryCount": 3}))
    play.start()
    play.update("a", status, LARGE)
    task = play.task("a")

    assert (TaskStatus.FAILED_WITH_TERMINAL_ERROR, b"{}", 0) == (
        task.status, task.output, task.attempt
    )  # fmt: skip
    assert (task.reason or "").startswith(f"The payload size: {SIZE} of task: {play.id('a')}")
    assert "FAILED" == play.status


def test_an_output_that_was_uploaded_is_no_burden() -> None:
    """Expressions look inside all the same; a later answer without a name has none."""
    play = _play(step("a"), step("b", inputParameters={"n": "${a.output.n}"}))
    play.start()
    play.update("a", TaskStatus.IN_PROGRESS, {**LARGE, "n": 0}, output_path="task/output/x.json")
    assert "task/output/x.json" == play.task("a").output_path
    play.complete("a", {"n": 1})

    assert play.task("a").output_path is None
    assert {"n": 1} == play.input("b")


def test_tasks_of_the_engines_own_are_held_to_the_limit() -> None:
    """A JOIN that gathers too much fails for good; so does a script that is given too much."""
    play = _play(fork("f", [step("a")], [step("b")]), join("j", "a", "b"))
    play.start()
    for ref in ("a", "b"):
        play.complete(ref, {"x": "y" * 60})
    assert ("FAILED_WITH_TERMINAL_ERROR", b"{}") == (play.states()["j"], play.task("j").output)

    play = _play(inline("i", "$.big", inputParameters={"big": "y" * 100}))
    play.start()
    assert ["1 i 0 FAILED_WITH_TERMINAL_ERROR"] == play.rows()


def test_a_workflow_with_too_large_an_output_fails() -> None:
    """Its output is not kept; one that fails by itself keeps its own reason."""
    output = {"a": "${a.output.x}", "b": "${a.output.x}"}
    play = _play(step("a"), outputParameters=output)
    play.start()
    play.complete("a", {"x": "y" * 80})
    assert ("FAILED", b"{}") == (play.status, play.workflow.output)
    assert "of workflow" in (play.workflow.reason or "")

    play = _play(step("a"), outputParameters=output)
    play.start()
    play.fail("a", "broken", output={"x": "y" * 80})
    assert b"{}" == play.workflow.output
    assert "broken" in (play.workflow.reason or "")


def test_variables_are_held_to_theirs() -> None:
    """In kilobytes, as Conductor says it."""
    play = _play(step("s", "SET_VARIABLE", inputParameters={"v": "${workflow.variables.v}"}))
    play.start(variables=msgspec.json.encode({"v": "y" * 80, "w": "z" * 1_000}))

    assert "is greater than the permissible limit: 1 kilobytes" in (play.task("s").reason or "")
    open_ = _play(step("a"))
    open_.start()
    with pytest.raises(InvalidInput, match="1 kilobytes"):
        open_.do(UpdateVariables(msgspec.json.encode({"w": "z" * 1_100})))


def test_an_execution_whose_payload_is_lost_fails() -> None:
    """Nothing is decided on what is not there; one that has ended stays as it is."""
    play = _play(step("a"))
    play.start()
    play.snapshot.lost = "The file x of a payload is gone."
    play.pause()

    assert ("FAILED", "The file x of a payload is gone.") == (play.status, play.workflow.reason)
    assert {"a": "CANCELED"} == play.states()
    with pytest.raises(PayloadLost, match="is gone"):
        play.retry()
