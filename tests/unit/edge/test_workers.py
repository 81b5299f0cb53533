"""Handlers and system tasks in this process: what they return or raise becomes the task's fate."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devices.errors import Broken, DeviceError, Refused, Unreachable
from edge import workers as workers_room
from edge.engine import Engine
from edge.lookups import Lookups
from edge.model.errors import (
    BatonError,
    InvalidInput,
    NotFound,
    Overloaded,
    PayloadLost,
    StorageUnavailable,
)
from edge.model.executions import TaskStatus, WorkflowStatus, parse_uuid, task_uuid
from edge.model.requests import Answer, TaskResult, TaskView
from edge.workers import Workers
from tests.unit.edge.engine_house import (
    define,
    define_task,
    ended,
    engine_at,
    everything,
    simple,
    start,
)
from workflows.evidence import EvidenceStore
from workflows.task import TaskContext, TaskFailed, TaskRejected, pure


def _new(engine: Engine, path: Path) -> Workers:
    def open_device(name: str) -> Any:
        if name == "gone":
            raise Unreachable("the camera gone does not answer")
        return f"device {name}"

    return Workers(engine, EvidenceStore(path / "evidence", 10_000_000, 3_600), open_device)


def _run(
    tmp_path: Path,
    prepare: Callable[[Workers], None],
    body: Callable[[Engine], Awaitable[None]],
) -> None:
    async def main() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            workers = _new(engine, tmp_path)
            prepare(workers)
            async with asyncio.TaskGroup() as group:
                loop = group.create_task(workers.run())
                await body(engine)
                loop.cancel()

    asyncio.run(main())


async def _fate(engine: Engine, **definition: Any) -> tuple[TaskStatus, str | None, bytes]:
    """Run a workflow of one task ``a`` without retries; how the task ended."""
    await define_task(engine, "a", retryCount=0, **definition)
    await define(engine, "w", simple("a", inputParameters={"n": "${workflow.input.n}"}))
    workflow_id = await start(engine, "w", input={"n": 3})
    await ended(engine, workflow_id)
    task = (await engine.execution(workflow_id)).tasks[0]
    return task.status, task.reason, task.output


def test_a_handler_completes_its_task(tmp_path: Path) -> None:
    """It sees its input, and its output and log lines are kept."""

    def handler(task: TaskContext) -> dict[str, Any]:
        task.log(f"attempt {task.attempt} at {task.now_ms() > 0}")
        task.heartbeat()
        return {"double": task.input["n"] * 2, "device": task.device("cam")}

    async def body(engine: Engine) -> None:
        status, _, output = await _fate(engine)
        (workflow,) = await everything(engine)
        view = await engine.execution(str(_uuid(workflow.id)))
        lines = await engine.logs(str(_uuid(workflow.id[:12] + (1).to_bytes(4, "big"))))

        assert TaskStatus.COMPLETED is status
        assert {"double": 6, "device": "device cam"} == msgspec.json.decode(output)
        assert "baton" == view.tasks[0].worker
        assert ["attempt 0 at True"] == [line.line for line in lines]

    _run(tmp_path, lambda w: w.add_handlers({"a": handler}), body)


def _uuid(raw: bytes) -> object:
    import uuid

    return uuid.UUID(bytes=raw)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (TaskFailed("try again"), TaskStatus.FAILED, "try again"),
        (TaskRejected("never"), TaskStatus.FAILED_WITH_TERMINAL_ERROR, "never"),
        (Unreachable("no answer"), TaskStatus.FAILED, "no answer"),
        (Refused("not so"), TaskStatus.FAILED_WITH_TERMINAL_ERROR, "not so"),
        (Broken("see to it"), TaskStatus.FAILED_WITH_TERMINAL_ERROR, "see to it"),
        (ZeroDivisionError("oops"), TaskStatus.FAILED, "ZeroDivisionError: oops"),
    ],
)
def test_what_a_handler_raises(
    tmp_path: Path, error: Exception, status: TaskStatus, reason: str
) -> None:
    """Each error has its status, and its message is the reason."""

    def handler(_: TaskContext) -> dict[str, Any]:
        raise error

    async def body(engine: Engine) -> None:
        assert (status, reason, b"{}") == await _fate(engine)

    _run(tmp_path, lambda w: w.add_handlers({"a": handler}), body)


def test_an_output_that_is_no_json_is_refused(tmp_path: Path) -> None:
    """The task fails for good and says what is wrong."""

    async def body(engine: Engine) -> None:
        status, reason, _ = await _fate(engine)

        assert TaskStatus.FAILED_WITH_TERMINAL_ERROR is status
        assert "JSON cannot hold" in (reason or "")

    _run(tmp_path, lambda w: w.add_handlers({"a": lambda _: {"x": object()}}), body)


@pytest.mark.parametrize("mark", [lambda handler: handler, pure])
def test_a_message_that_no_row_can_hold(tmp_path: Path, mark: Callable[..., Any]) -> None:
    """Half a surrogate pair, as in the name of a file, is spelt out."""

    @mark
    def handler(task: TaskContext) -> dict[str, Any]:
        task.log("clip-\udcff.mp4")
        raise TaskRejected("cannot read clip-\udcff.mp4")

    async def body(engine: Engine) -> None:
        _, reason, _ = await _fate(engine)
        (workflow,) = await everything(engine)
        lines = await engine.logs(task_uuid(workflow.id, 1))

        assert "cannot read clip-\\udcff.mp4" == reason
        assert ["clip-\\udcff.mp4"] == [line.line for line in lines]

    _run(tmp_path, lambda w: w.add_handlers({"a": handler}), body)


def test_a_device_that_cannot_be_opened(tmp_path: Path) -> None:
    """The device's error is the task's, and may be tried again."""

    async def body(engine: Engine) -> None:
        status, reason, _ = await _fate(engine)

        assert (TaskStatus.FAILED, "the camera gone does not answer") == (status, reason)

    def handler(task: TaskContext) -> dict[str, Any]:
        return {"x": task.device("gone")}

    _run(tmp_path, lambda w: w.add_handlers({"a": handler}), body)
    assert issubclass(Unreachable, DeviceError)


def test_a_handler_learns_that_nobody_waits(tmp_path: Path) -> None:
    """Terminating the workflow cancels the handler that works for it."""
    begun, noticed = threading.Event(), threading.Event()

    def handler(task: TaskContext) -> dict[str, Any]:
        begun.set()
        while not task.cancelled:
            threading.Event().wait(0.005)
        noticed.set()
        return {}

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        await asyncio.to_thread(begun.wait, 10)
        await engine.terminate(workflow_id, None)

        assert await asyncio.to_thread(noticed.wait, 10)

    _run(tmp_path, lambda w: w.add_handlers({"a": handler}), body)


def test_stopping_gives_tasks_back(tmp_path: Path) -> None:
    """A handler that is told to stop leaves its task to the next one."""
    begun = threading.Event()

    def handler(task: TaskContext) -> dict[str, Any]:
        begun.set()
        while not task.cancelled:
            threading.Event().wait(0.005)
        return {}

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            workers = _new(engine, tmp_path)
            workers.add_handlers({"a": handler})
            async with asyncio.TaskGroup() as group:
                loop = group.create_task(workers.run())
                await define(engine, "w", simple("a"))
                await start(engine, "w")
                await asyncio.to_thread(begun.wait, 10)
                loop.cancel()

            assert 1 == len(await engine.poll("a", worker="next", count=1, timeout_ms=0))

    asyncio.run(main())


def test_many_log_lines_are_counted(tmp_path: Path) -> None:
    """A handler that talks without end does not fill the disk."""

    def handler(task: TaskContext) -> dict[str, Any]:
        for number in range(150):
            task.log(f"line {number}")
        return {}

    async def body(engine: Engine) -> None:
        await _fate(engine)
        (workflow,) = await everything(engine)
        lines = await engine.logs(str(_uuid(workflow.id[:12] + (1).to_bytes(4, "big"))))

        assert 101 == len(lines)
        assert "50 more lines were left out" == lines[-1].line

    _run(tmp_path, lambda w: w.add_handlers({"a": handler}), body)


def test_a_result_waits_for_the_disk(tmp_path: Path) -> None:
    """A disk that refuses is asked again until it takes the result."""
    refusals = 0

    async def main() -> None:
        nonlocal refusals
        async with engine_at(tmp_path / "baton.db") as engine:
            update = engine.update

            async def refusing(result: Any) -> str:
                nonlocal refusals
                refusals += 1
                if refusals == 1:
                    raise StorageUnavailable("full")
                return await update(result)

            engine.update = refusing  # type: ignore[method-assign]
            workers = _new(engine, tmp_path)
            workers.add_handlers({"a": lambda _: {}})
            async with asyncio.TaskGroup() as group:
                loop = group.create_task(workers.run())
                assert TaskStatus.COMPLETED is (await _fate(engine))[0]
                loop.cancel()

    asyncio.run(main())
    assert 2 == refusals


def test_a_system_task_runs_on_the_loop(tmp_path: Path) -> None:
    """Its answer becomes the task's; one that breaks fails the task and not the loop."""
    calls: list[str] = []

    async def http(view: TaskView) -> Answer:
        calls.append(view.task.ref)
        if len(calls) == 1:
            raise ZeroDivisionError("oops")
        return Answer(TaskStatus.COMPLETED, {"ok": True})

    async def body(engine: Engine) -> None:
        step = {"name": "h", "taskReferenceName": "h", "type": "HTTP"}
        await define(engine, "w", step)
        first, second = await start(engine, "w"), await start(engine, "w")

        assert {WorkflowStatus.FAILED, WorkflowStatus.COMPLETED} == {
            await ended(engine, first),
            await ended(engine, second),
        }

    _run(tmp_path, lambda w: w.add_system_task("HTTP", http, at_once=1), body)


def test_secrets_do_not_come_back(tmp_path: Path) -> None:
    """A handler and a system task see them; what they answer, log or raise holds references."""
    literal = "${workflow.secrets.TOKEN}"

    def handler(context: TaskContext) -> dict[str, Any]:
        context.log(f"saw {context.input['t']}")
        return {"echo": context.input["t"], "length": len(context.input["t"])}

    async def system(view: TaskView) -> Answer:
        raise ValueError(f"bad token {msgspec.json.decode(view.task.input)['t']}")

    async def main() -> None:
        lookups = Lookups(None, {"CONDUCTOR_SECRET_TOKEN": "s3cr3t"})
        async with engine_at(tmp_path / "baton.db", lookups=lookups) as engine:
            workers = _new(engine, tmp_path)
            workers.add_handlers({"a": handler})
            workers.add_system_task("HTTP", system)
            await define_task(engine, "h", retryCount=0)
            given = {"inputParameters": {"t": literal}}
            await define(engine, "w", simple("a", **given), simple("h", **given) | {"type": "HTTP"})
            async with asyncio.TaskGroup() as group:
                loop = group.create_task(workers.run())
                workflow_id = await start(engine, "w")
                await ended(engine, workflow_id)
                loop.cancel()
            first, second = (await engine.execution(workflow_id)).tasks

            assert {"echo": literal, "length": 6} == msgspec.json.decode(first.output)
            lines = await engine.logs(task_uuid(parse_uuid(workflow_id)[0], 1))  # type: ignore[index]
            assert [f"saw {literal}"] == [line.line for line in lines]
            assert f"ValueError: bad token {literal}" == second.reason

    asyncio.run(main())


def test_a_claim_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll that is refused ends no loop: the task is claimed later."""
    monkeypatch.setattr(workers_room, "_STORAGE_PAUSE_S", 0)
    refusals = [StorageUnavailable("full"), PayloadLost("gone"), Overloaded("busy")]

    async def body(engine: Engine) -> None:
        poll = engine.poll

        async def refusing(*args: Any, **options: Any) -> Any:
            if refusals:
                raise refusals.pop()
            return await poll(*args, **options)

        engine.poll = refusing  # type: ignore[method-assign]
        assert TaskStatus.COMPLETED is (await _fate(engine))[0]

    _run(tmp_path, lambda w: w.add_handlers({"a": lambda _: {}}), body)
    assert [] == refusals


@pytest.mark.parametrize(("error", "reports"), [(InvalidInput("not so"), 2), (NotFound("gone"), 1)])
def test_a_result_that_is_refused_is_a_failure(
    tmp_path: Path, error: BatonError, reports: int
) -> None:
    """The task fails with the reason, unless it is there no more; the loop goes on."""
    seen: list[TaskResult] = []

    async def body(engine: Engine) -> None:
        update = engine.update

        async def refusing(result: TaskResult) -> str:
            seen.append(result)
            if result.status is TaskStatus.COMPLETED and len(seen) == 1:
                raise error
            return await update(result)

        engine.update = refusing  # type: ignore[method-assign]
        await define_task(engine, "a", retryCount=0)
        await define(engine, "w", simple("a"))
        first = await start(engine, "w")
        while not seen:
            await asyncio.sleep(0.01)
        assert WorkflowStatus.COMPLETED is await ended(engine, await start(engine, "w"))
        if reports == 2:
            assert WorkflowStatus.FAILED is await ended(engine, first)

    _run(tmp_path, lambda w: w.add_handlers({"a": lambda _: {}}), body)
    of_first = [one for one in seen if one.task_id == seen[0].task_id]
    assert reports == len(of_first)
    assert [error.message] * (reports - 1) == [one.reason for one in of_first[1:]]


def test_a_system_task_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it asks the disk for is no fault of its own: it is carried out again."""
    monkeypatch.setattr(workers_room, "_STORAGE_PAUSE_S", 0)
    refusals = [StorageUnavailable("full"), Overloaded("busy")]

    async def http(_: TaskView) -> Answer:
        if refusals:
            raise refusals.pop()
        return Answer(TaskStatus.COMPLETED)

    async def body(engine: Engine) -> None:
        await define(engine, "w", {"name": "h", "taskReferenceName": "h", "type": "HTTP"})
        workflow_id = await start(engine, "w")

        assert WorkflowStatus.COMPLETED is await ended(engine, workflow_id)

    _run(tmp_path, lambda w: w.add_system_task("HTTP", http), body)
    assert [] == refusals
