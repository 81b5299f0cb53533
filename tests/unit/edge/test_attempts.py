"""One attempt: what its handler sees, and what is reported of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from devices.errors import Refused, Unreachable
from edge.attempts import WORKER, Attempt, Surroundings, result_of, run
from edge.model.executions import TaskStatus, task_uuid, workflow_uuid
from edge.model.requests import Answer, TaskView
from edge.model.revealed import Revealed
from tests.unit.edge.playbook import Playbook, step
from workflows.evidence import EvidenceStore
from workflows.task import TaskContext, TaskFailed, TaskRejected


def _view(**fields: Any) -> TaskView:
    play = Playbook(step("a", inputParameters={"n": 3}))
    play.start()
    return TaskView(play.workflow, play.snapshot.pinned, play.task("a"), **fields)


def _attempt(view: TaskView, folder: Path | None = None, live: list[str] | None = None) -> Attempt:
    if folder is None:
        return Attempt(view, lambda: 7, None)
    evidence = EvidenceStore(folder, 1_000_000, 3_600)
    told = [] if live is None else live
    return Attempt(view, lambda: 7, Surroundings(evidence, lambda name: f"<{name}>", told.append))


def test_what_a_handler_sees(tmp_path: Path) -> None:
    """Its task, the time, a device, files; a sign of life goes out with the task's id."""
    view, live = _view(), list[str]()
    attempt = _attempt(view, tmp_path, live)
    attempt.heartbeat()

    assert {"n": 3} == attempt.input
    assert (0, 7) == (attempt.attempt, attempt.now_ms())
    assert workflow_uuid(view.workflow.id) == attempt.workflow_id
    assert [task_uuid(view.workflow.id, view.task.ordinal)] == [attempt.task_id] == live
    assert "<cam>" == attempt.device("cam")
    assert isinstance(attempt.evidence, EvidenceStore)
    assert not attempt.cancelled
    attempt.cancel()
    assert attempt.cancelled


def test_what_a_pure_one_sees() -> None:
    """No device and no files; nobody tells it to stop, and its signs of life go nowhere."""
    attempt = _attempt(_view())
    attempt.heartbeat()
    attempt.cancel()

    assert not attempt.cancelled
    with pytest.raises(TaskRejected, match="wanted the device cam: take @pure away"):
        attempt.device("cam")
    with pytest.raises(TaskRejected, match="wanted files: take @pure away"):
        print(attempt.evidence)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TaskFailed("x"), TaskStatus.FAILED),
        (TaskRejected("x"), TaskStatus.FAILED_WITH_TERMINAL_ERROR),
        (Unreachable("x"), TaskStatus.FAILED),
        (Refused("x"), TaskStatus.FAILED_WITH_TERMINAL_ERROR),
        (KeyError("x"), TaskStatus.FAILED),
        (SystemExit(3), TaskStatus.FAILED),
    ],
)
def test_what_is_raised_is_the_fate(error: BaseException, status: TaskStatus) -> None:
    """And what was logged before is kept, with where an unknown error came from."""

    def handler(task: TaskContext) -> dict[str, Any]:
        task.log("begun")
        raise error

    answer = run(handler, _attempt(_view()))

    assert status is answer.status
    assert ("begun", 7) == answer.logs[0]
    traced = any("Traceback" in line for line, _ in answer.logs)
    assert isinstance(error, KeyError | SystemExit) == traced


def test_more_lines_than_are_kept() -> None:
    """The ones beyond a hundred are counted."""
    attempt = _attempt(_view())
    for number in range(103):
        attempt.log(str(number))

    assert 101 == len(attempt.lines())
    assert ("3 more lines were left out", 7) == attempt.lines()[-1]


def test_what_is_reported() -> None:
    """Output as JSON, texts that a row can hold, and no secret that was put into the input."""
    view = _view()
    secret = Revealed()
    secret.note("hunter2", "${workflow.secrets.x}")
    told = result_of(
        _view(revealed=secret),
        Answer(
            TaskStatus.FAILED,
            {"x": "hunter2"},
            reason="a\udcff hunter2",
            logs=(("b\udcff", 1),),
        ),
    )
    unfit = result_of(view, Answer(TaskStatus.COMPLETED, {"x": object()}))

    assert WORKER == told.worker
    assert b"hunter2" not in msgspec.json.encode(told)
    assert r"a\udcff" == (told.reason or "").partition(" ")[0]
    assert ((r"b\udcff", 1),) == told.logs
    assert TaskStatus.FAILED_WITH_TERMINAL_ERROR is unfit.status
    assert "JSON cannot hold" in (unfit.reason or "")


@pytest.mark.parametrize("output", [[1], "text", 5])
def test_what_is_no_map_is_no_output(output: Any) -> None:
    """Expressions and clients take an output for a map, so the task fails and says why."""
    told = result_of(_view(), Answer(TaskStatus.COMPLETED, output, logs=(("a", 1),)))

    assert TaskStatus.FAILED_WITH_TERMINAL_ERROR is told.status
    assert f"the handler returned no map, but {type(output).__name__}" == told.reason
    assert (b"{}", (("a", 1),)) == (told.output, told.logs)
