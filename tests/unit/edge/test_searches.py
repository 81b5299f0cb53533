"""Searches through a real database: every match once, in order, with what workers hold laid over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.engine import Engine
from edge.model.errors import Overloaded, SearchTooBroad
from edge.model.executions import Task, TaskStatus, Workflow, task_key, task_uuid, workflow_uuid
from edge.searches import LIMIT_MS, Ask, Searches
from edge.store import archive, search
from tests.unit.edge.engine_house import answer, claim, define, engine_at, simple, start
from tests.unit.edge.manual_clock import ManualClock


def _run(path: Path, body: Callable[[Engine, Searches], Awaitable[None]]) -> None:
    async def main() -> None:
        async with engine_at(path / "baton.db", clock=ManualClock(), timers=False) as engine:
            as_held = engine.hand_over.as_held
            await body(engine, Searches(engine.database, engine.clock, as_held))

    asyncio.run(main())


async def _ids(searches: Searches, query: str = "", **more: Any) -> list[str]:
    hits = await searches.workflows(Ask(query=query, **more))
    assert hits.total >= len(hits.page)
    return [workflow_uuid(one.workflow.id) for one in hits.page]


def test_executions_are_found(tmp_path: Path) -> None:
    """By columns, by what only the record says, by free text; newest first, page by page."""

    async def body(engine: Engine, searches: Searches) -> None:
        clock: Any = engine.clock
        await define(engine, "w", simple("a"))
        await define(engine, "v", simple("b"), metadata={"classifier": "agent"})
        ids = []
        for number in range(4):
            name = "v" if number == 3 else "w"
            ids.append(await start(engine, name, correlation_id=f"c{number}", input={"n": number}))
            clock.pass_s(1)
        await engine.terminate(ids[1], "no more")
        newest = ids[::-1]

        assert newest == await _ids(searches)
        assert newest[1:3] == await _ids(searches, offset=1, limit=2)
        assert [] == await _ids(searches, offset=9)
        assert ids == await _ids(searches, sort="startTime:ASC")
        assert [ids[3], *newest[1:]] == await _ids(searches, sort="workflowType:ASC")
        assert [ids[1]] == await _ids(searches, "status = TERMINATED")
        assert [ids[1]] == await _ids(searches, "endTime > 0")
        assert [ids[1]] == await _ids(searches, "reasonForIncompletion = more")
        assert [ids[2]] == await _ids(searches, "correlationId = c2 AND workflowType = w")
        assert [] == await _ids(searches, "workflowType = w AND workflowName = v")
        assert [ids[0]] == await _ids(searches, f"workflowId IN ({ids[0]}, none)")
        assert [ids[3], ids[0]] == await _ids(searches, "input = '\"n\":3' OR correlationId = c0")
        assert [ids[3]] == await _ids(searches, "classifier = agent")
        assert newest[1:] == await _ids(searches, 'classifier = workflow AND status != ""')
        assert [ids[2]] == await _ids(searches, free_text='"n":2')
        assert [ids[0]] == await _ids(searches, free_text=f'"{ids[0]}"')
        (agent,) = (await searches.workflows(Ask(query="workflowType = v"))).page
        assert ("agent", False) == (agent.classifier, agent.archived)

    _run(tmp_path, body)


def test_the_quick_way_finds_the_same(tmp_path: Path) -> None:
    """A search that columns can answer agrees with the same one made unanswerable by them."""

    async def body(engine: Engine, searches: Searches) -> None:
        clock: Any = engine.clock
        for name in ("w", "v"):
            await define(engine, name, simple("a"))
        first = clock.now_ms()
        for number in range(30):
            workflow_id = await start(engine, "v" if number % 3 else "w")
            clock.pass_s(0.01)
            if number % 4 == 0:
                await engine.terminate(workflow_id, None)
            if number % 8 == 0:
                # It begins anew: its time differs from the order of the keys.
                await engine.restart(workflow_id, latest=False)
        for query in (
            "status IN (RUNNING, PAUSED)",
            f"startTime > {first + 50} AND startTime <= {first + 200}",
            f"workflowType = w AND status = RUNNING AND startTime < {first + 150}",
            "status = TERMINATED OR status = RUNNING",
        ):
            quick = await searches.workflows(Ask(query=query, offset=1, limit=2))
            thorough = await searches.workflows(
                Ask(query=f"({query}) AND version = 1", offset=1, limit=2)
            )

            assert quick == thorough, query
            assert quick.total > len(quick.page) > 1

    _run(tmp_path, body)


def test_more_candidates_than_are_kept(tmp_path: Path) -> None:
    """The best of many come out, in order, and all are counted."""

    async def body(engine: Engine, searches: Searches) -> None:
        await define(engine, "w", simple("a"))
        wanted = await start(engine, "w", correlation_id="zz", priority=7)

        def multiply(connection: Any) -> None:
            connection.execute(
                "WITH RECURSIVE n(k) AS (SELECT 10 UNION ALL SELECT k + 1 FROM n WHERE k < 3200)"
                " INSERT INTO workflow (key, id, name, status, created_ms, body)"
                " SELECT k, randomblob(16), 'w', 'RUNNING', 1,"
                " (SELECT body FROM workflow LIMIT 1) FROM n"
            )

        await engine.request(lambda t: multiply(t.connection))
        hits = await searches.workflows(Ask(sort="correlationId:DESC|priority:ASC", limit=3))
        quick = await searches.workflows(Ask(query=f"startTime >= {engine.clock.now_ms()}"))

        assert 3_192 == hits.total
        assert 3 == len(hits.page)
        assert [wanted] == [workflow_uuid(one.workflow.id) for one in quick.page]

    _run(tmp_path, body)


def test_archived_executions_are_found(tmp_path: Path) -> None:
    """Beside the others, and marked."""

    async def body(engine: Engine, searches: Searches) -> None:
        clock: Any = engine.clock
        await define(engine, "w", simple("a"))
        first = await start(engine, "w", correlation_id="c")
        clock.pass_s(1)
        second = await start(engine, "w", correlation_id="c")
        view = await engine.execution(first)
        await engine.request(
            lambda t: archive.put(t.connection, view.workflow, "agent", b"", now_ms=1)
        )
        await engine.remove(first)

        assert [second, first] == await _ids(searches, "correlationId = c")
        assert [first] == await _ids(searches, f"workflowId = {first}")
        (copy,) = (await searches.workflows(Ask(query="classifier = agent"))).page
        assert copy.archived
        assert view.workflow == copy.workflow

    _run(tmp_path, body)


def test_tasks_are_found_as_their_holders_see_them(tmp_path: Path) -> None:
    """A hand-over is not written, but who asks for what is in progress finds it."""

    async def body(engine: Engine, searches: Searches) -> None:
        async def refs(query: str = "", **more: Any) -> list[str]:
            hits = await searches.tasks(Ask(query=query, **more))
            return [one.task.ref for one in hits.page]

        await define(engine, "w", simple("a"), simple("b"))
        await define(engine, "v", simple("c", inputParameters={"k": "needle"}))
        first = await start(engine, "w", correlation_id="corr")
        await answer(engine, await claim(engine, "a"), output={"done": "yes"})
        await start(engine, "v")
        await claim(engine, "c")

        assert ["c", "b", "a"] == await refs()
        assert ["b"] == await refs(limit=1, offset=1)
        assert ["a", "b", "c"] == await refs(sort="referenceTaskName:ASC")
        assert ["c"] == await refs("status = IN_PROGRESS")
        assert ["b"] == await refs("status = SCHEDULED")
        assert ["c", "b"] == await refs("status IN (SCHEDULED, IN_PROGRESS)")
        assert ["c"] == await refs("workerId = tester AND startTime > 0 AND status != COMPLETED")
        assert ["a"] == await refs("status = COMPLETED AND output = yes")
        assert ["b", "a"] == await refs("workflowType = w")
        assert ["b", "a"] == await refs(f"workflowId = {first}")
        assert ["b", "a"] == await refs("correlationId = corr")
        assert ["c"] == await refs("taskType = c")
        assert ["c"] == await refs(free_text="needle")
        (held,) = (await searches.tasks(Ask(query="taskDefName = c"))).page
        assert TaskStatus.IN_PROGRESS is held.task.status
        task_id = task_uuid(held.workflow.id, held.task.ordinal)
        assert ["c"] == await refs(f"taskId = {task_id}")
        await engine.terminate(first, None)
        left = await searches.tasks(Ask(), open_only=True)
        assert ["c"] == [one.task.ref for one in left.page]

    _run(tmp_path, body)


def test_executions_are_found_by_their_tasks(tmp_path: Path) -> None:
    """Each once, however many of its tasks match."""

    async def body(engine: Engine, searches: Searches) -> None:
        async def ids(query: str = "", **more: Any) -> list[str]:
            hits = await searches.workflows_by_tasks(Ask(query=query, **more))
            return [workflow_uuid(one.workflow.id) for one in hits.page]

        await define(engine, "w", simple("a"), simple("b"))
        first = await start(engine, "w", correlation_id="1")
        second = await start(engine, "w", correlation_id="2")
        await answer(engine, await claim(engine, "a"))

        assert [second, first] == await ids()
        assert [first, second] == await ids(sort="correlationId:ASC")
        assert [first] == await ids("taskType = b")
        assert [first] == await ids("taskType IN (a, b) AND status = COMPLETED")
        assert [] == await ids("taskType = c")
        assert 1 == (await searches.workflows_by_tasks(Ask(query="taskType = b"))).total

    _run(tmp_path, body)


def test_a_search_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """With a refusal that says what to do; the next search is not kept waiting."""

    async def body(engine: Engine, _: Searches) -> None:
        clock: Any = engine.clock
        await define(engine, "w", simple("a"))
        await start(engine, "w")

        def slow(workflow: Workflow, task: Task) -> Task:
            clock.pass_s(LIMIT_MS / 1000)
            return task

        def grow(connection: Any) -> None:
            rows = [(key, task_key(1, key)) for key in range(2, search.WINDOW_ROWS + 5)]
            connection.executemany(
                "INSERT INTO task (key, body) SELECT ?2, body FROM task WHERE ?1 LIMIT 1", rows
            )

        await engine.request(lambda t: grow(t.connection))
        searches = Searches(engine.database, engine.clock, slow)
        for _try in range(3):
            with pytest.raises(SearchTooBroad, match="Narrow it"):
                await searches.tasks(Ask(query="status = SCHEDULED"))
        assert 1 == (await searches.workflows(Ask())).total

    _run(tmp_path, body)


def test_too_many_searches_are_refused(tmp_path: Path) -> None:
    """Some run, some wait, and the rest is told to come again."""

    async def body(engine: Engine, searches: Searches) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_outcome(searches.workflows(Ask(query="version = 1"))))
                for _ in range(60)
            ]
        outcomes = [task.result() for task in tasks]

        assert {1, "refused"} == set(outcomes)
        assert 60 - 34 == outcomes.count("refused")
        assert 1 == (await searches.workflows(Ask())).total

    _run(tmp_path, body)


async def _outcome(asked: Awaitable[Any]) -> int | str:
    try:
        return int((await asked).total)
    except Overloaded:
        return "refused"


def test_other_reads_come_in_between(tmp_path: Path) -> None:
    """A search reads window by window; who else reads waits for one window, not for all."""

    async def body(engine: Engine, searches: Searches) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")

        def grow(connection: Any) -> None:
            connection.execute(
                "WITH RECURSIVE n(k) AS (SELECT 10 UNION ALL SELECT k + 1 FROM n WHERE k < 9000)"
                " INSERT INTO workflow (key, id, name, status, created_ms, body)"
                " SELECT k, randomblob(16), 'w', 'RUNNING', 1,"
                " (SELECT body FROM workflow LIMIT 1) FROM n"
            )

        await engine.request(lambda t: grow(t.connection))
        events: list[str] = []

        async def long_search() -> None:
            await searches.workflows(Ask(query="version = 1"))
            events.append("search")

        async def short_reads() -> None:
            for _ in range(4):
                await engine.status_counts()
            events.append("reads")

        async with asyncio.TaskGroup() as group:
            group.create_task(long_search())
            group.create_task(short_reads())

        assert ["reads", "search"] == events

    _run(tmp_path, body)
