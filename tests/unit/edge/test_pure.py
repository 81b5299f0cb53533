"""Pure handlers: their tasks are done in the transaction that queues them, or as any other's."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import pure as pure_room
from edge.engine import Engine
from edge.model.executions import TaskStatus, WorkflowStatus, task_uuid
from edge.model.requests import ExecutionView
from edge.pure import PureHandlers
from edge.workers import Workers
from tests.at_once import AtOnce
from tests.unit.edge.engine_house import define, define_task, ended, engine_at, simple, start
from workflows.evidence import EvidenceStore
from workflows.task import Handler, TaskContext, TaskFailed, is_pure, pure


@pure
def _add(task: TaskContext) -> dict[str, Any]:
    task.log(f"adding to {task.input['n']}")
    return {"n": task.input["n"] + 1}


def _reckon(ref: str, of: str, **fields: Any) -> dict[str, Any]:
    return simple(ref, name="add", inputParameters={"n": of}, **fields)


_THREE = (
    _reckon("a", "${workflow.input.n}"),
    _reckon("b", "${a.output.n}"),
    _reckon("c", "${b.output.n}"),
)


def _run(
    tmp_path: Path,
    handlers: dict[str, Handler],
    body: Callable[[Engine], Awaitable[None]],
    *,
    pure_handlers: Callable[[Engine], PureHandlers] | None = None,
) -> None:
    async def main() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            evidence = EvidenceStore(tmp_path / "evidence", 10_000_000, 3_600)
            workers = Workers(
                engine,
                evidence,
                lambda name: f"device {name}",
                pure=pure_handlers(engine) if pure_handlers else None,
            )
            workers.add_handlers(handlers)
            async with asyncio.TaskGroup() as group:
                loop = group.create_task(workers.run())
                await asyncio.sleep(0)
                await body(engine)
                loop.cancel()

    asyncio.run(main())


async def _whole(engine: Engine, **fields: Any) -> ExecutionView:
    """Start ``w`` and wait for its end."""
    workflow_id = await start(engine, "w", **fields)
    await ended(engine, workflow_id)
    return await engine.execution(workflow_id)


def test_the_mark() -> None:
    """It is on what was marked, which is called as before."""
    assert is_pure(_add)
    assert not is_pure(lambda task: {"n": task.input})


def test_a_whole_workflow_in_one_transaction(tmp_path: Path) -> None:
    """Its start and its three tasks share a COMMIT, and the records look like any others."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", *_THREE)
        before = engine.counters()["commits"]
        view = await _whole(engine, input={"n": 4})

        assert 1 == engine.counters()["commits"] - before
        assert WorkflowStatus.COMPLETED is view.workflow.status
        assert [b'{"n":5}', b'{"n":6}', b'{"n":7}'] == [task.output for task in view.tasks]
        assert ["baton"] * 3 == [task.worker for task in view.tasks]
        assert [1] * 3 == [task.polls for task in view.tasks]
        for task in view.tasks:
            assert task.scheduled_ms <= task.started_ms <= task.ended_ms
        lines = await engine.logs(task_uuid(view.workflow.id, view.tasks[1].ordinal))
        assert ["adding to 5"] == [line.line for line in lines]
        assert not engine.queue_sizes().get("add")
        assert 0 == engine.hand_over.handed_out

    _run(tmp_path, {"add": _add}, body)


def test_a_script_behind_it(tmp_path: Path) -> None:
    """A completion that has to wait for a script is left to the loops, and nothing is lost."""

    async def body(engine: Engine) -> None:
        script = {
            "name": "s",
            "taskReferenceName": "s",
            "type": "INLINE",
            "inputParameters": {
                "evaluatorType": "javascript",
                "expression": "$.n * 10",
                "n": "${b.output.n}",
            },
        }
        await define(engine, "w", *_THREE[:2], script, _reckon("c", "${s.output.result}"))
        for number in range(5):
            view = await _whole(engine, input={"n": number})

            assert WorkflowStatus.COMPLETED is view.workflow.status
            outputs = [msgspec.json.decode(task.output) for task in view.tasks]
            assert [number + 1, number + 2] == [output["n"] for output in outputs[:2]]
            assert {"n": (number + 2) * 10 + 1} == outputs[3]

    _run(tmp_path, {"add": _add}, body)


def test_whoever_brings_an_executor(tmp_path: Path) -> None:
    """Has the handlers run there, and nowhere else."""
    threads = []

    @pure
    def where(_: TaskContext) -> dict[str, Any]:
        threads.append(threading.current_thread().name)
        return {}

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("where"))
        await _whole(engine)

        assert 1 == len(threads)
        assert not threads[0].startswith("pure")

    def own(engine: Engine) -> PureHandlers:
        return PureHandlers(engine.clock.now_ms, executor=AtOnce())

    _run(tmp_path, {"where": where}, body, pure_handlers=own)


def test_what_fails_is_tried_again(tmp_path: Path) -> None:
    """Without a delay it is tried again in the same transaction; the attempts are all there."""
    calls = []

    @pure
    def unsure(_: TaskContext) -> dict[str, Any]:
        calls.append(1)
        if len(calls) < 3:
            raise TaskFailed("not yet")
        return {}

    async def body(engine: Engine) -> None:
        await define_task(engine, "unsure", retryCount=3, retryDelaySeconds=0)
        await define(engine, "w", simple("unsure"))
        before = engine.counters()["commits"]
        view = await _whole(engine)

        assert 1 == engine.counters()["commits"] - before
        assert [TaskStatus.FAILED, TaskStatus.FAILED, TaskStatus.COMPLETED] == [
            task.status for task in view.tasks
        ]
        assert "not yet" == view.tasks[0].reason

    _run(tmp_path, {"unsure": unsure}, body)


@pytest.mark.parametrize("wish", ["device", "evidence"])
def test_it_reaches_nothing(tmp_path: Path, wish: str) -> None:
    """Whoever wants a device or a file is told to take the mark away, and is not tried again."""

    @pure
    def greedy(task: TaskContext) -> dict[str, Any]:
        return {"x": task.device("cam") if wish == "device" else str(task.evidence)}

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("greedy"))
        view = await _whole(engine)

        assert TaskStatus.FAILED_WITH_TERMINAL_ERROR is view.tasks[0].status
        assert "take @pure away" in (view.tasks[0].reason or "")

    _run(tmp_path, {"greedy": greedy}, body)


def test_one_that_is_slow_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left to the loops, where it runs once more; the next of its tasks go there at once."""
    calls = []
    go = threading.Event()

    @pure
    def slow(_: TaskContext) -> dict[str, Any]:
        calls.append(1)
        go.wait(20)
        return {"call": len(calls)}

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("slow"), *_THREE)
        workflow_id = await start(engine, "w", input={"n": 1})
        # The start is acknowledged though the handler still runs.
        assert not go.is_set()
        await define(engine, "v", *_THREE)
        other = await start(engine, "v", input={"n": 1})
        go.set()
        await ended(engine, workflow_id)
        await ended(engine, other)
        assert 2 == len(calls)

        view = await _whole(engine, input={"n": 1})
        assert 3 == len(calls)
        assert [1] * 4 == [task.polls for task in view.tasks]
        assert WorkflowStatus.COMPLETED is view.workflow.status

    _run(tmp_path, {"slow": slow, "add": _add}, body)


def test_a_handler_that_leaves_by_the_window(tmp_path: Path) -> None:
    """SystemExit in a handler takes neither the disk thread nor the daemon with it."""

    @pure
    def leaving(_: TaskContext) -> dict[str, Any]:
        raise SystemExit(3)

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("leaving", retryCount=0))
        view = await _whole(engine)

        assert WorkflowStatus.FAILED is view.workflow.status
        assert "SystemExit: 3" == view.tasks[0].reason

    _run(tmp_path, {"leaving": leaving}, body)


def test_limits_and_delays_are_kept(tmp_path: Path) -> None:
    """What may not be handed out at once is not done at once, either."""

    async def body(engine: Engine) -> None:
        await define_task(engine, "add", concurrentExecLimit=1)
        await define(engine, "w", *_THREE)
        before = engine.counters()["commits"]
        await _whole(engine, input={"n": 1})
        assert 4 == engine.counters()["commits"] - before

        await define_task(engine, "add", rateLimitPerFrequency=100)
        await define(engine, "w", *_THREE)
        before = engine.counters()["commits"]
        await _whole(engine, input={"n": 1})
        assert 4 == engine.counters()["commits"] - before

        await define_task(engine, "add")
        await define(engine, "w", _reckon("a", "${workflow.input.n}", startDelay=1))
        began = time.monotonic()
        await _whole(engine, input={"n": 1})
        assert 0.9 < time.monotonic() - began

    _run(tmp_path, {"add": _add}, body)


def test_a_loop_that_goes_on_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction does so much and no more; the rest follows in others."""
    monkeypatch.setattr(pure_room, "_ROUNDS", 5)

    async def body(engine: Engine) -> None:
        laps = 23
        condition = f"if ($.l['iteration'] < {laps}) {{ true; }} else {{ false; }}"
        loop = {
            "name": "l",
            "taskReferenceName": "l",
            "type": "DO_WHILE",
            "loopCondition": condition,
            "loopOver": [_reckon("a", "${workflow.input.n}")],
        }
        await define(engine, "w", loop)
        view = await _whole(engine, input={"n": 1})

        assert WorkflowStatus.COMPLETED is view.workflow.status
        assert laps == sum(task.name == "add" for task in view.tasks)

    _run(tmp_path, {"add": _add}, body)


def test_a_wide_fork(tmp_path: Path) -> None:
    """Branches that are not done in the time of one transaction are done all the same, once each."""

    async def body(engine: Engine) -> None:
        names = [f"n{number}" for number in range(300)]
        fork = {
            "name": "f",
            "taskReferenceName": "f",
            "type": "FORK_JOIN_DYNAMIC",
            "inputParameters": {
                "tasks": "${workflow.input.tasks}",
                "inputs": "${workflow.input.inputs}",
            },
            "dynamicForkTasksParam": "tasks",
            "dynamicForkTasksInputParamName": "inputs",
        }
        join = {"name": "j", "taskReferenceName": "j", "type": "JOIN"}
        await define(engine, "w", fork, join)
        view = await _whole(
            engine,
            input={
                "tasks": [simple(name, name="add") for name in names],
                "inputs": {name: {"n": number} for number, name in enumerate(names)},
            },
        )

        done = {task.ref: msgspec.json.decode(task.output) for task in view.tasks if task.queue}
        assert {name: {"n": number + 1} for number, name in enumerate(names)} == done
        assert {1} == {task.polls for task in view.tasks if task.queue}

    _run(tmp_path, {"add": _add}, body)


def test_nothing_is_done_when_the_loops_have_ended(tmp_path: Path) -> None:
    """A daemon that stops leaves the tasks for its next run."""

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            workers = Workers(engine, EvidenceStore(tmp_path / "e", 1_000_000, 3_600), lambda n: n)
            workers.add_handlers({"add": _add})
            async with asyncio.TaskGroup() as group:
                loop = group.create_task(workers.run())
                await asyncio.sleep(0.01)
                loop.cancel()
            await define(engine, "w", *_THREE)
            await start(engine, "w", input={"n": 1})

            assert {"add": 1} == dict(engine.queue_sizes())

    asyncio.run(main())
