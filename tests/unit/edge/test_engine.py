"""The engine: durable answers, hand-over of tasks, restarts, and what callers are told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from edge.engine import Engine
from edge.model.errors import Conflict, IllegalState, NotFound
from edge.model.executions import EMPTY, TaskStatus, WorkflowStatus, task_uuid
from edge.model.requests import Changed, StartRequest, TaskResult
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    define_task,
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
            while found := await engine.poll("a", worker="w", count=3, timeout_ms=300):
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
        with pytest.raises(NotFound, match="No such task by name nope"):
            await engine.replace_task_definition(
                msgspec.structs.replace(await _task_definition(engine), name="nope")
            )

    run(tmp_path, body)


async def _task_definition(engine: Engine):  # type: ignore[no-untyped-def]
    await define_task(engine, "known")
    return await engine.task_definition("known")


def test_one_bad_request_does_not_spoil_its_batch(tmp_path: Path) -> None:
    """Requests that share a COMMIT fail alone."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        results = await asyncio.gather(  # noqa: TID251 - together, so that they share a batch
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

        assert engine.counters()["commits"] - before < 10
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


def test_pause_keeps_results_and_resume_goes_on(tmp_path: Path) -> None:
    """A queued task can be done during a pause; what follows it waits for the resume."""

    async def body(engine: Engine) -> None:
        await define(engine, "two", simple("a"), simple("b"))
        workflow_id = await start(engine, "two")
        await engine.pause(workflow_id)
        await answer(engine, await claim(engine, "a"))
        paused = await engine.execution(workflow_id)
        with pytest.raises(Conflict):
            await _pause_ended(engine)
        await engine.resume(workflow_id)
        with pytest.raises(IllegalState, match="is not PAUSED so cannot resume"):
            await engine.resume(workflow_id)

        assert [TaskStatus.COMPLETED] == [task.status for task in paused.tasks]
        assert "b" == (await claim(engine, "b")).task.ref

    run(tmp_path, body)


async def _pause_ended(engine: Engine) -> None:
    workflow_id = await start(engine, "two")
    await engine.terminate(workflow_id, None)
    await engine.pause(workflow_id)


def test_terminate_takes_queued_tasks_away(tmp_path: Path) -> None:
    """Nobody is handed a task of a workflow that has ended."""

    async def body(engine: Engine) -> None:
        await define(engine, "one", simple("a"))
        workflow_id = await start(engine, "one")
        await engine.terminate(workflow_id, "enough")
        view = await engine.execution(workflow_id)

        assert WorkflowStatus.TERMINATED is view.workflow.status
        assert "enough" == view.workflow.reason
        assert TaskStatus.CANCELED is view.tasks[0].status
        assert [] == await engine.poll("a", worker="w", count=1, timeout_ms=0)

    run(tmp_path, body)


def test_restart_with_the_latest_definition(tmp_path: Path) -> None:
    """The same id runs what is registered now; ids of the old tasks are never used again."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w", input={"k": 1})
        old = await claim(engine, "a")
        await engine.terminate(workflow_id, None)
        await define(engine, "w", simple("b"), version=2)
        await engine.restart(workflow_id, latest=True)
        await answer(engine, old)
        view = await engine.execution(workflow_id)

        assert ["b"] == [task.ref for task in view.tasks]
        assert [1] == [task.seq for task in view.tasks]
        assert id_of(old) != task_uuid(view.workflow.id, view.tasks[0].ordinal)
        assert (2, b'{"k":1}') == (view.workflow.version, view.workflow.input)

    with pytest.raises(BaseExceptionGroup) as caught:
        run(tmp_path, body)

    # The old task is gone: its late answer is for a task that does not exist any more.
    assert caught.group_contains(NotFound)


def test_restart_after_a_restart_of_the_daemon(tmp_path: Path) -> None:
    """Ordinals go on where they were, from the database too."""

    async def main() -> None:
        path = tmp_path / "baton.db"
        async with engine_at(path) as engine:
            await define(engine, "w", simple("a"))
            workflow_id = await start(engine, "w")
            await engine.terminate(workflow_id, None)
            await engine.restart(workflow_id, latest=False)
        async with engine_at(path) as engine:
            view = await engine.execution(workflow_id)

            assert [2] == [task.ordinal for task in view.tasks]
            assert 2 == (await claim(engine, "a")).task.ordinal

    asyncio.run(main())


def test_idempotency_keys(tmp_path: Path) -> None:
    """Each strategy does what it says, also for the second start in one batch."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))

        async def begin(strategy: str | None) -> str:
            return await start(engine, "w", idempotency_key="k", idempotency_strategy=strategy)

        first, second = await asyncio.gather(  # noqa: TID251 - together, to share a batch
            begin("RETURN_EXISTING"), begin("RETURN_EXISTING")
        )
        for strategy in (None, "FAIL", "FAIL_ON_RUNNING"):
            with pytest.raises(Conflict):
                await begin(strategy)
        await engine.terminate(first, None)

        assert first == second
        assert first != await begin("FAIL_ON_RUNNING")

    run(tmp_path, body)


def test_input_template_fills_gaps_but_not_an_empty_input(tmp_path: Path) -> None:
    """Conductor leaves an empty input empty."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), inputTemplate={"p": 1, "q": 2})
        filled = await engine.workflow(await start(engine, "w", input={"q": 3}))
        empty = await engine.workflow(await start(engine, "w"))

        assert {"p": 1, "q": 3} == msgspec.json.decode(filled.input)
        assert EMPTY == empty.input

    run(tmp_path, body)


def test_definitions_are_pinned_at_the_start(tmp_path: Path) -> None:
    """What is registered later does not reach an execution that runs."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), simple("b"))
        await start(engine, "w")
        await define(engine, "w", simple("a"), simple("c"))
        await define_task(engine, "b", responseTimeoutSeconds=7)
        await answer(engine, await claim(engine, "a"))
        step = (await claim(engine, "b")).pinned.definition.tasks[1]

        assert step.task_definition is not None
        assert 3600 == step.task_definition.response_timeout_seconds

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
        again = await engine.poll("a", worker="w", count=1, timeout_ms=5_000)

        assert [] == hidden
        assert 1 == len(again)
        assert 900 <= engine.clock.monotonic_ms() - asked_ms <= 2_000

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


def test_search_finds_by_every_field(tmp_path: Path) -> None:
    """Name, status, correlation id, ids, times and text; newest first, with the total."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await define(engine, "v", simple("b"))
        first = await start(engine, "w", correlation_id="c1", input={"k": "needle"})
        second = await start(engine, "v")
        await engine.terminate(second, None)

        async def ids(**fields: object) -> list[str]:
            asked = {
                "name": None,
                "status": None,
                "correlation_id": None,
                "workflow_ids": None,
                "start_from_ms": None,
                "start_to_ms": None,
                "free_text": None,
                "offset": 0,
                "limit": 10,
                **fields,
            }
            total, found = await engine.search(**asked)  # type: ignore[arg-type]
            assert total >= len(found)
            names = {"w": first, "v": second}
            return [names[workflow.name] for workflow in found]

        assert [second, first] == await ids()
        assert [first] == await ids(name=["w"])
        assert [second] == await ids(status=[WorkflowStatus.TERMINATED])
        assert [first] == await ids(correlation_id="c1")
        assert [first] == await ids(workflow_ids=[first])
        assert [first] == await ids(free_text="needle")
        assert [second] == await ids(free_text=second)
        assert [] == await ids(start_to_ms=1)
        assert [first] == await ids(offset=1)
        assert [first] == await engine.running("w", 1)
        assert [] == await engine.running("w", 2)
        assert 1 == len(await engine.correlated("w", "c1", include_closed=False))
        assert {"RUNNING": 1, "TERMINATED": 1} == await engine.status_counts()

    run(tmp_path, body)


def test_removed_executions_are_gone(tmp_path: Path) -> None:
    """A running one is ended first, so that nobody holds a task of nothing."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        await engine.remove(workflow_id)
        with pytest.raises(NotFound):
            await engine.execution(workflow_id)

        assert [] == await engine.poll("a", worker="w", count=1, timeout_ms=0)

    run(tmp_path, body)


def test_subscribers_hear_of_committed_changes(tmp_path: Path) -> None:
    """After the commit, and no more once the subscription has ended."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        heard: list[Changed] = []
        unsubscribe = engine.subscribe(heard.append)
        workflow_id = await start(engine, "w")
        unsubscribe()
        await engine.terminate(workflow_id, None)

        assert [Changed(workflow_id, WorkflowStatus.RUNNING)] == heard

    run(tmp_path, body)


def test_definitions_come_and_go(tmp_path: Path) -> None:
    """The latest version is the highest; a second registration needs leave to overwrite."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), version=1)
        await define(engine, "w", simple("a"), version=3)
        latest = await engine.workflow_definition("w", None)
        with pytest.raises(Conflict, match=r"Workflow with w\.3 already exists!"):
            await engine.put_workflow_definition(latest, overwrite=False)
        await engine.remove_workflow_definition("w", 3)
        with pytest.raises(NotFound):
            await engine.remove_workflow_definition("w", 3)
        await define_task(engine, "t")
        await engine.remove_task_definition("t")
        with pytest.raises(NotFound):
            await engine.remove_task_definition("t")
        with pytest.raises(NotFound, match="No such taskType found by name: t"):
            await engine.task_definition("t")

        assert 3 == latest.version
        assert [1] == [d.version for d in await engine.workflow_definitions()]
        assert [] == await engine.task_definitions()

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


def test_waiting_ends_on_time(tmp_path: Path) -> None:
    """A WAIT of one second ends within a tenth of a second of its time."""

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
