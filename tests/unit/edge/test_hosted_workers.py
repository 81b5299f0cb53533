"""What becomes of a task whose worker's process is no more; processes themselves: see hosting."""

from __future__ import annotations

from pathlib import Path

import structlog

from edge.config import WorkerSettings
from edge.engine import Engine
from edge.hosted_workers import HostedWorkers, _spec
from edge.hosting.crew import Lost
from edge.model.executions import TaskStatus, task_uuid, workflow_uuid
from edge.model.requests import StartRequest, TaskView
from tests.unit.edge.engine_house import define, run, simple


async def _polled(engine: Engine) -> TaskView:
    await define(engine, "flow", simple("work"))
    await engine.start(StartRequest("flow"))
    (view,) = await engine.poll("work", worker="w", count=1, timeout_ms=0)
    return view


def _lost(view: TaskView, *, again: bool) -> Lost:
    workflow_id = view.workflow.id
    task_id = task_uuid(workflow_id, view.task.ordinal)
    return Lost(workflow_uuid(workflow_id), task_id, "work", "worker work: it died", again)


def test_a_task_that_was_interrupted_by_our_own_end_is_queued_again(tmp_path: Path) -> None:
    """It costs no attempt."""

    async def body(engine: Engine) -> None:
        view = await _polled(engine)
        await HostedWorkers([], engine)._take_back(_lost(view, again=True))
        (again,) = await engine.poll("work", worker="w", count=1, timeout_ms=0)

        assert (view.task.ordinal, 0) == (again.task.ordinal, again.task.attempt)

    run(tmp_path, body)


def test_a_task_that_killed_its_worker_has_failed(tmp_path: Path) -> None:
    """With the reason; its definition says whether it is tried again. A second word is no error."""

    async def body(engine: Engine) -> None:
        view = await _polled(engine)
        hosted, lost = HostedWorkers([], engine), _lost(view, again=False)
        await hosted._take_back(lost)
        await hosted._take_back(lost)
        task = (await engine.task(lost.task_id)).task

        assert (TaskStatus.FAILED, "worker work: it died") == (task.status, task.reason)

    run(tmp_path, body)


def test_functions_that_no_task_asks_for_are_told(tmp_path: Path) -> None:
    """With their module: a name in a decorator is as easily misspelt as any."""

    async def body(engine: Engine) -> None:
        await define(engine, "flow", simple("work"))
        with structlog.testing.capture_logs() as lines:
            await HostedWorkers([], engine)._found("greet.py", ["work", "wrok"])

        assert [("greet.py", "wrok")] == [(one["module"], one["handler"]) for one in lines]

    run(tmp_path, body)


def test_a_task_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    """A worker may say what it likes."""

    async def body(engine: Engine) -> None:
        hosted = HostedWorkers([], engine)
        await hosted._take_back(Lost("w", "nonsense", "x", "died", again=False))
        await hosted._take_back(Lost("w", "nonsense", "x", "died", again=True))

        assert [] == hosted.statuses()

    run(tmp_path, body)


def test_settings_reach_the_crew() -> None:
    """Every one of them; what is to be imported before comes first, and the site's word last."""
    settings = WorkerSettings(
        "m.py", 2, 100, 5.0, {"A": "b"}, "d", together=True, imports=["i"], python="p",
        stop_within_s=3.0,
    )  # fmt: skip
    made = _spec(settings, {"A": "x", "KEY": "k"})

    assert ["i", "m.py"] == made.modules
    assert (2, 100, 5.0, {"A": "b", "KEY": "k"}, "d", True, "p", 3.0) == (
        made.processes, made.memory_mb, made.task_limit_s, made.env, made.domain, made.together,
        made.python, made.stop_within_s,
    )  # fmt: skip
