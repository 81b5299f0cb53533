"""The engine: durable answers, hand-over of tasks, restarts, and what callers are told."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from edge.engine import Engine
from edge.model.errors import NotFound
from edge.model.executions import EMPTY, Task, TaskStatus, WorkflowStatus, task_uuid
from edge.model.requests import StartRequest, TaskResult, TaskView
from edge.steering import Steering
from edge.store import executions
from edge.store.slots import TaskId
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    ended,
    engine_at,
    id_of,
    run,
    simple,
    start,
)


def test_a_workflow_runs_to_its_end(tmp_path: Path) -> None:
    """Outputs flow through expressions into the next task and into the workflow's output."""

    async def body(engine: Engine) -> None:
        await define(
            engine,
            "two",
            simple("a", inputParameters={"x": "${workflow.input.x}"}),
            simple("b", inputParameters={"y": "${a.output.y}"}),
            outputParameters={"z": "${b.output.z}"},
        )
        workflow_id = await start(engine, "two", input={"x": 1})
        first = await claim(engine, "a")
        await answer(engine, first, output={"y": 2})
        second = await claim(engine, "b")
        await answer(engine, second, output={"z": 3})
        view = await engine.execution(workflow_id)

        assert b'{"x":1}' == first.task.input
        assert b'{"y":2}' == second.task.input
        assert WorkflowStatus.COMPLETED is view.workflow.status
        assert b'{"z":3}' == view.workflow.output
        assert ["a", "b"] == [task.ref for task in view.tasks]

    run(tmp_path, body)


def test_a_polled_task_is_in_progress_for_everybody(tmp_path: Path) -> None:
    """The lease lies over the record, although nothing has been written."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        workflow_id = await start(engine, "one")
        view = await claim(engine, "a")
        task = (await engine.execution(workflow_id)).tasks[0]

        assert TaskStatus.IN_PROGRESS is view.task.status is task.status
        assert "tester" == task.worker
        assert 1 == task.polls
        assert 0 < task.started_ms
        assert [] == await engine.poll("a", worker="other", count=1, timeout_ms=0)

    run(tmp_path, body)


def test_each_task_is_handed_out_once(tmp_path: Path) -> None:
    """However many pollers ask at once, no task goes to two of them."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        seen: list[str] = []

        async def poller() -> None:
            found: list[TaskView] = []
            # What is left over when all have been seen would be a task handed out twice.
            while len(seen) < 100 or found:
                found = await engine.poll("a", worker="w", count=3, timeout_ms=100)
                seen.extend(id_of(view) for view in found)

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(poller())
            for _ in range(100):
                group.create_task(start(engine, "one"))

        assert 100 == len(seen) == len(set(seen))

    run(tmp_path, body)


def test_a_long_poll_wakes_when_work_arrives(tmp_path: Path) -> None:
    """A poll that waits gets the task without asking again."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        waiting = asyncio.ensure_future(engine.poll("a", worker="w", count=1, timeout_ms=20_000))
        await asyncio.sleep(0)
        await start(engine, "one")

        assert 1 == len(await waiting)

    run(tmp_path, body)


def test_higher_priority_goes_first(tmp_path: Path) -> None:
    """Priority comes before age."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        low = await start(engine, "one", priority=1)
        high = await start(engine, "one", priority=9)
        order = [(await claim(engine, "a")).workflow.priority for _ in range(2)]

        assert [9, 1] == order
        assert low != high

    run(tmp_path, body)


def test_after_a_restart_queued_and_leased_tasks_are_there_again(tmp_path: Path) -> None:
    """A lease is not written: the task is handed out again, and its late answer still counts."""

    async def main() -> None:
        path = tmp_path / "baton.db"
        async with engine_at(path) as engine:
            await define(engine, "two", simple("a"), simple("b"))
            workflow_id = await start(engine, "two")
            first = await claim(engine, "a")
        async with engine_at(path) as engine:
            again = await claim(engine, "a")
            await answer(engine, first, output={"late": True})
            await answer(engine, again, output={"second": True})
            view = await engine.execution(workflow_id)

            assert id_of(first) == id_of(again)
            assert [TaskStatus.COMPLETED, TaskStatus.SCHEDULED] == [t.status for t in view.tasks]
            assert b'{"late":true}' == view.tasks[0].output
            assert 1 == len(await engine.poll("b", worker="w", count=5, timeout_ms=0))

    asyncio.run(main())


def test_a_finished_task_stays_as_it_is(tmp_path: Path) -> None:
    """The second answer is taken without a word and changes nothing."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        workflow_id = await start(engine, "one")
        view = await claim(engine, "a")
        await answer(engine, view, output={"n": 1})
        await answer(engine, view, TaskStatus.FAILED, {"n": 2})
        after = await engine.execution(workflow_id)

        assert b'{"n":1}' == after.tasks[0].output
        assert WorkflowStatus.COMPLETED is after.workflow.status

    run(tmp_path, body)


def test_unknown_things_are_not_found(tmp_path: Path) -> None:
    """Each message says what was looked for, as clients expect it."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        workflow_id = await start(engine, "one")
        view = await claim(engine, "a")
        foreign = task_uuid(view.workflow.id, 99)
        with pytest.raises(NotFound, match="No such workflow defined. name=nope, version=null"):
            await start(engine, "nope")
        with pytest.raises(NotFound, match="No such workflow found by id: x"):
            await engine.execution("x")
        with pytest.raises(NotFound, match="Task not found for taskId: x"):
            await engine.task("x")
        for task_id in ("x", foreign, workflow_id):
            with pytest.raises(NotFound, match=f"No such task found by id: {task_id}"):
                await engine.update(TaskResult("", task_id, TaskStatus.COMPLETED))

    run(tmp_path, body)


def test_an_answer_names_an_execution_that_is_there(tmp_path: Path) -> None:
    """It need not be the task's own, as in Conductor; of none, nothing is taken over."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        first, second = await start(engine, "one"), await start(engine, "one")
        view = await claim(engine, "a")
        task_id = task_uuid(view.workflow.id, view.task.ordinal)
        nobody = str(UUID(int=UUID(second).int ^ 1 << 96))
        for named in ("x", nobody):
            with pytest.raises(NotFound, match=f"No such workflow found by id: {named}"):
                await engine.update(TaskResult(named, task_id, TaskStatus.COMPLETED))
        assert WorkflowStatus.RUNNING is (await engine.execution(first)).workflow.status
        await engine.update(TaskResult(second, task_id, TaskStatus.COMPLETED))

        assert WorkflowStatus.COMPLETED is (await engine.execution(first)).workflow.status

    run(tmp_path, body)


def test_one_bad_request_does_not_spoil_its_batch(tmp_path: Path) -> None:
    """Requests that share a COMMIT fail alone."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        results = await asyncio.gather(
            start(engine, "one"),
            start(engine, "nope"),
            start(engine, "one"),
            return_exceptions=True,
        )

        assert [str, NotFound, str] == [type(result) for result in results]

    run(tmp_path, body)


def test_waiting_requests_share_a_commit(tmp_path: Path) -> None:
    """A hundred starts at once cost a handful of commits, not a hundred."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        before = engine.counters()["commits"]
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(start(engine, "one"))

        assert engine.counters()["commits"] - before < 50
        assert {"a": 100} == engine.queue_sizes()

    run(tmp_path, body)


def test_a_fault_of_ours_leaves_the_others_alone(tmp_path: Path) -> None:
    """A request that breaks gets its exception; the engine goes on."""

    async def body(engine: Engine) -> None:
        def broken(_: object) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await engine.request(broken)
        await define(engine, "one", simple("a"))

        assert await start(engine, "one")

    run(tmp_path, body)


def test_update_by_reference_merges(tmp_path: Path) -> None:
    """The body's keys are laid over the stored output; a finished task takes nothing."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", {"name": "h", "taskReferenceName": "h", "type": "HUMAN"})
        workflow_id = await start(engine, "w")

        async def by_ref(status: TaskStatus, output: bytes) -> str:
            return await engine.update_by_ref(workflow_id, "h", status, output, "p")

        await by_ref(TaskStatus.IN_PROGRESS, b'{"a":1,"b":1}')
        task_id = await by_ref(TaskStatus.COMPLETED, b'{"b":2}')
        view = await engine.task(task_id)

        assert {"a": 1, "b": 2} == msgspec.json.decode(view.task.output)
        assert "" == await by_ref(TaskStatus.COMPLETED, EMPTY)
        assert "" == await engine.update_by_ref(
            workflow_id, "no", TaskStatus.COMPLETED, EMPTY, None
        )

    run(tmp_path, body)


def test_update_by_reference_finds_the_iteration_that_is_open(tmp_path: Path) -> None:
    """By the name with its suffix or without, though one of that very name was skipped before."""

    async def body(engine: Engine) -> None:
        loop = {"loopOver": [simple("a"), simple("b")], "inputParameters": {"items": [1, 2]}}
        await define(
            engine, "w", {"name": "l", "taskReferenceName": "l", "type": "DO_WHILE", **loop}
        )
        workflow_id = await start(engine, "w")
        await Steering(engine).skip(workflow_id, "b", EMPTY, EMPTY)

        async def done(ref: str) -> str:
            return await engine.update_by_ref(workflow_id, ref, TaskStatus.COMPLETED, EMPTY, None)

        assert "" == await done("a__2")
        assert all([await done(ref) for ref in ("a__1", "b", "a", "b")])
        view = await engine.execution(workflow_id)
        assert WorkflowStatus.COMPLETED is view.workflow.status

    run(tmp_path, body)


def test_a_worker_that_asks_to_be_called_back(tmp_path: Path) -> None:
    """IN_PROGRESS puts the task back; it keeps its output, start and count of polls."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        first = await claim(engine, "a")
        await answer(engine, first, TaskStatus.IN_PROGRESS, {"half": True})
        second = await claim(engine, "a")

        assert id_of(first) == id_of(second)
        assert b'{"half":true}' == second.task.output
        assert 2 == second.task.polls
        assert first.task.started_ms == second.task.started_ms

    run(tmp_path, body)


def test_a_callback_delay_hides_the_task(tmp_path: Path) -> None:
    """The task comes back after its delay and not before."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        view = await claim(engine, "a")
        await answer(engine, view, TaskStatus.IN_PROGRESS, callback_after_s=1)
        asked_ms = engine.clock.monotonic_ms()
        hidden = await engine.poll("a", worker="w", count=1, timeout_ms=0)
        again = await engine.poll("a", worker="w", count=1, timeout_ms=20_000)

        assert [] == hidden
        assert 1 == len(again)
        # It wakes the poll: it is not found when that is over.
        assert 900 <= engine.clock.monotonic_ms() - asked_ms <= 10_000

    run(tmp_path, body)


def test_logs_are_kept(tmp_path: Path) -> None:
    """Lines of results and lines that were sent alone stand in their order."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        view = await claim(engine, "a")
        await engine.log(id_of(view), "one")
        await answer(engine, view, logs=(("two", 5),))

        assert ["one", "two"] == [line.line for line in await engine.logs(id_of(view))]

    run(tmp_path, body)


def test_given_back_tasks_go_to_the_next_poller(tmp_path: Path) -> None:
    """A poll whose client is gone costs nobody the task."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        first = await claim(engine, "a")
        engine.give_back([id_of(first), "nonsense"])

        assert id_of(first) == id_of(await claim(engine, "a"))

    run(tmp_path, body)


def test_inline_and_switch_run_inside_the_start(tmp_path: Path) -> None:
    """A workflow of the engine's own tasks has ended when its start is answered."""

    async def body(engine: Engine) -> None:
        await define(
            engine,
            "w",
            {
                "name": "i", "taskReferenceName": "i", "type": "INLINE",
                "inputParameters": {
                    "evaluatorType": "javascript",
                    "expression": "(function(){ return $.n * 2; })();",
                    "n": "${workflow.input.n}",
                },
            },
            {
                "name": "s", "taskReferenceName": "s", "type": "SWITCH",
                "evaluatorType": "javascript", "expression": "$.v > 5 ? 'big' : 'small'",
                "inputParameters": {"v": "${i.output.result}"},
                "decisionCases": {
                    "big": [{
                        "name": "v", "taskReferenceName": "v", "type": "SET_VARIABLE",
                        "inputParameters": {"size": "big"},
                    }],
                },
            },
            outputParameters={"size": "${workflow.variables.size}"},
        )  # fmt: skip
        workflow = await engine.workflow(await start(engine, "w", input={"n": 4}))

        assert (WorkflowStatus.COMPLETED, b'{"size":"big"}') == (workflow.status, workflow.output)

    run(tmp_path, body)


def test_an_engine_that_closes_takes_nothing_on(tmp_path: Path) -> None:
    """What was taken on is finished; what comes later is refused, not lost in silence."""

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db") as engine:
            await define(engine, "w", simple("a"))
            pending = asyncio.ensure_future(start(engine, "w"))
            await asyncio.sleep(0)
        with pytest.raises(Exception, match="the engine is closing"):
            await engine.start(StartRequest("w"))

        assert await pending

    asyncio.run(main())


def test_an_answer_amid_a_read_leaves_no_trace_of_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads a task before its answer is committed sees that it is held."""
    is_read, is_answered = threading.Event(), threading.Event()
    read_tasks = executions.read_tasks

    def stalled(connection: sqlite3.Connection, key: int) -> list[Task]:
        found = read_tasks(connection, key)
        is_read.set()
        assert is_answered.wait(20)
        return found

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        view = await claim(engine, "a")
        # So it is the tables that are read, on a thread of their own.
        await engine.running("w", None)
        with monkeypatch.context() as patch:
            patch.setattr(executions, "read_tasks", stalled)
            reading = asyncio.ensure_future(engine.execution(workflow_id))
            while not is_read.is_set():
                await asyncio.sleep(0.001)
            await answer(engine, view)
            is_answered.set()
            (seen,) = (await reading).tasks

        assert ("IN_PROGRESS", "tester") == (seen.status, seen.worker)
        other_id = await start(engine, "w")
        second = await claim(engine, "a")
        read = engine.hand_over.read

        async def late(task_ids: Sequence[TaskId]) -> list[TaskView | None]:
            found = await read(task_ids)
            await answer(engine, second)
            return found

        monkeypatch.setattr(engine.hand_over, "read", late)
        assert "IN_PROGRESS" == (await engine.task(id_of(second))).task.status
        assert WorkflowStatus.COMPLETED is (await engine.workflow(other_id)).status

    run(tmp_path, body)


def test_waiting_ends_on_time(tmp_path: Path) -> None:
    """A WAIT of one second does not end before its second is over."""

    async def body(engine: Engine) -> None:
        await define(
            engine,
            "w",
            {
                "name": "w", "taskReferenceName": "w", "type": "WAIT",
                "inputParameters": {"duration": "1s"},
            },
        )  # fmt: skip
        began_ms = engine.clock.monotonic_ms()
        status = await ended(engine, await start(engine, "w"))

        assert WorkflowStatus.COMPLETED is status
        assert 1_000 <= engine.clock.monotonic_ms() - began_ms

    run(tmp_path, body)
