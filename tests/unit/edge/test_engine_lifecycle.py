"""The engine: what is done to whole executions and to definitions, and how they are found."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from edge.engine import Engine
from edge.model.errors import Conflict, IllegalState, NotFound
from edge.model.executions import EMPTY, TaskStatus, WorkflowStatus, task_uuid
from edge.model.requests import Changed
from edge.registration import remove_task, remove_workflow
from edge.steering import Steering
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    define_task,
    engine_at,
    id_of,
    run,
    simple,
    start,
)
from tests.unit.edge.manual_clock import ManualClock


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


def test_a_refused_restart_with_the_latest_definition_changes_nothing(tmp_path: Path) -> None:
    """An execution that still runs goes on by the definition it was started with."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), simple("b"))
        workflow_id = await start(engine, "w")
        await define(engine, "w", simple("a"), simple("c"), version=2)
        with pytest.raises(Conflict):
            await engine.restart(workflow_id, latest=True)
        await answer(engine, await claim(engine, "a"))
        view = await engine.execution(workflow_id)

        assert 1 == view.workflow.version
        assert ["a", "b"] == [task.ref for task in view.tasks]

    run(tmp_path, body)


def test_a_restart_with_a_latest_definition_that_is_gone(tmp_path: Path) -> None:
    """While it runs that is what is wrong; later there is nothing to begin with."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        await engine.request(lambda t: remove_workflow(t, "w", 1))
        with pytest.raises(Conflict, match="is not in terminal state, unable to restart"):
            await engine.restart(workflow_id, latest=True)
        await engine.terminate(workflow_id, None)
        with pytest.raises(NotFound):
            await engine.restart(workflow_id, latest=True)
        await engine.restart(workflow_id, latest=False)

        assert [1] == [task.seq for task in (await engine.execution(workflow_id)).tasks]

    run(tmp_path, body)


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

        first, second = await asyncio.gather(begin("RETURN_EXISTING"), begin("RETURN_EXISTING"))
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


def test_executions_are_found_by_what_they_belong_to(tmp_path: Path) -> None:
    """The running ones of a workflow and version, and those with a correlation id."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await define(engine, "v", simple("b"))
        first = await start(engine, "w", correlation_id="c1")
        second = await start(engine, "v")
        await engine.terminate(second, None)

        assert [first] == await engine.running("w", 1)
        assert [] == await engine.running("w", 2)
        at_ms = (await engine.workflow(first)).created_ms
        assert [first] == await engine.running("w", None, created_ms=(at_ms, at_ms))
        assert [] == await engine.running("w", None, created_ms=(at_ms + 1, at_ms + 2))
        assert 1 == len(await engine.correlated("w", "c1", include_closed=False))
        assert {"RUNNING": 1, "TERMINATED": 1} == await engine.status_counts()

    run(tmp_path, body)


def test_an_execution_without_its_tasks_reads_none(tmp_path: Path) -> None:
    """Lists of hundreds show executions bare: what a task has made may be large."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        whole = await engine.execution(workflow_id)
        await engine.request(lambda t: t.connection.execute("UPDATE task SET body = x'c1'"))

        bare = await engine.execution(workflow_id, with_tasks=False)

        assert (1, []) == (len(whole.tasks), bare.tasks)
        assert (whole.workflow, whole.pinned) == (bare.workflow, bare.pinned)

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
        await engine.request(lambda t: remove_workflow(t, "w", 3))
        with pytest.raises(NotFound):
            await engine.request(lambda t: remove_workflow(t, "w", 3))
        await define_task(engine, "t")
        await engine.request(lambda t: remove_task(t, "t"))
        with pytest.raises(NotFound):
            await engine.request(lambda t: remove_task(t, "t"))
        with pytest.raises(NotFound, match="No such taskType found by name: t"):
            await engine.task_definition("t")

        assert 3 == latest.version
        assert [1] == [d.version for d in await engine.workflow_definitions()]
        assert [] == await engine.task_definitions()

    run(tmp_path, body)


def test_an_upgrade_is_durable_however_little_time_has_passed(tmp_path: Path) -> None:
    """Within the millisecond of the start nothing of the record but its definition changes.

    Without that it went on by the new definition until the power failed, and by the old one then.
    """

    async def main() -> None:
        path, clock = tmp_path / "baton.db", ManualClock()
        async with engine_at(path, clock=clock, timers=False) as engine:
            await define(engine, "flow", simple("a"), simple("b"))
            await define(engine, "flow", simple("a"), simple("x"), simple("b"), version=2)
            workflow_id = await start(engine, "flow", version=1)
            steering = Steering(engine)
            await steering.upgrade(workflow_id, "flow", 2, None, {})
        async with engine_at(path, clock=clock, timers=False) as engine:
            for ref in ("a", "x", "b"):
                await answer(engine, await claim(engine, ref))

            assert 2 == (await engine.workflow(workflow_id)).version
            assert WorkflowStatus.COMPLETED is (await engine.workflow(workflow_id)).status

    asyncio.run(main())
