"""HTTP_POLL asks again and again until its condition holds, through restarts, holding nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.engine import Engine
from edge.model.executions import Task, TaskStatus, WorkflowStatus
from edge.system_tasks import HttpCalls, HttpPolls
from edge.system_tasks.http_poll import read_polling
from edge.system_tasks.http_request import BadRequest
from edge.workers import Workers
from tests.evaluators import EVALUATORS
from tests.unit.edge.engine_house import answer as hand_in
from tests.unit.edge.engine_house import claim, define, define_task, ended, engine_at, simple, start
from tests.unit.edge.manual_clock import ManualClock
from tests.unit.edge.system_tasks.far_end import Asked, FarEnd, answer, far_end
from workflows.evidence import EvidenceStore

_POLL = {"name": "p", "taskReferenceName": "p", "type": "HTTP_POLL"}


@asynccontextmanager
async def polling(folder: Path, clock: ManualClock) -> AsyncIterator[Engine]:
    """An engine that runs HTTP_POLL tasks; time passes when a test says so."""
    async with engine_at(folder / "baton.db", clock=clock, timers=False) as engine:
        workers = Workers(engine, EvidenceStore(folder / "evidence", 1_000, 3_600), lambda n: n)
        calls = HttpCalls()
        workers.add_system_task("HTTP_POLL", HttpPolls(calls, EVALUATORS, engine), at_once=1)
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(workers.run())
            yield engine
            loop.cancel()
        await calls.close()


async def _asked(there: FarEnd, times: int) -> None:
    async with asyncio.timeout(25):
        while len(there.asked) < times:
            await asyncio.sleep(0.001)


async def _waiting(engine: Engine, workflow_id: str, polls: int) -> Task:
    """The task's record once it has been written after so many polls."""
    async with asyncio.timeout(25):
        while True:
            task = (await engine.execution(workflow_id)).tasks[-1]
            if task.polls == polls and task.status is TaskStatus.SCHEDULED:
                return task
            await asyncio.sleep(0.001)


def _counting(status: str = "200 OK") -> Any:
    """Answers 1, 2, 3 and so on."""
    count = 0

    async def exchange(_: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        writer.write(answer(b'{"count": %d}' % count, status))

    return exchange


async def _start(engine: Engine, url: str, condition: str, **fields: Any) -> str:
    request = {"uri": url, "method": "GET", "terminationCondition": condition, **fields}
    await define(engine, "w", {**_POLL, "inputParameters": {"http_request": request}})
    return await start(engine, "w")


def test_it_asks_until_the_condition_holds(tmp_path: Path) -> None:
    """Between two requests the task stands in its queue, with its delay in the record."""

    async def main() -> None:
        clock = ManualClock()
        async with far_end(_counting()) as there, polling(tmp_path, clock) as engine:
            workflow_id = await _start(
                engine, there.url, "$.output.response.body.count >= 3", pollingInterval="60"
            )
            task = await _waiting(engine, workflow_id, 1)
            first = (task.deliver_ms - clock.now_ms(), msgspec.json.decode(task.output))
            for polls in (2, 3):
                clock.pass_s(59.9)
                engine.hand_over.queues.promote(clock.elapsed_ms(), clock.monotonic_ms())
                assert polls - 1 == len(there.asked)
                clock.pass_s(0.1)
                engine.hand_over.queues.promote(clock.elapsed_ms(), clock.monotonic_ms())
                await _asked(there, polls)
                if polls == 2:
                    await _waiting(engine, workflow_id, 2)
            status = await ended(engine, workflow_id)
            done = (await engine.execution(workflow_id)).tasks[0]

            assert (60_000, {"statusCode": 200, "reasonPhrase": "OK"}, 1) == (
                first[0],
                first[1]["response"],
                first[1]["pollCount"],
            )
            assert WorkflowStatus.COMPLETED is status
            assert 3 == done.polls == len(there.asked)
            assert {"count": 3} == msgspec.json.decode(done.output)["response"]["body"]

    asyncio.run(main())


def test_the_wait_survives_a_restart(tmp_path: Path) -> None:
    """The moment of the next request is in the record, not in the process."""

    async def main() -> None:
        clock = ManualClock()
        async with far_end(_counting()) as there:
            async with polling(tmp_path, clock) as engine:
                workflow_id = await _start(
                    engine, there.url, "$.output.response.body.count == 2", pollingInterval=100
                )
                await _waiting(engine, workflow_id, 1)
            clock.pass_s(50)
            async with polling(tmp_path, clock) as engine:
                engine.hand_over.queues.promote(clock.elapsed_ms(), clock.monotonic_ms())
                early = len(there.asked)
                clock.pass_s(50)
                engine.hand_over.queues.promote(clock.elapsed_ms(), clock.monotonic_ms())

                assert WorkflowStatus.COMPLETED is await ended(engine, workflow_id)
                assert (1, 2) == (early, len(there.asked))

    asyncio.run(main())


def test_terminating_in_a_wait(tmp_path: Path) -> None:
    """The task is cancelled and nobody is asked again."""

    async def main() -> None:
        clock = ManualClock()
        async with far_end(_counting()) as there, polling(tmp_path, clock) as engine:
            workflow_id = await _start(engine, there.url, "false")
            await _waiting(engine, workflow_id, 1)
            await engine.terminate(workflow_id, "enough")
            clock.pass_s(3_600)
            engine.hand_over.queues.promote(clock.elapsed_ms(), clock.monotonic_ms())
            (task,) = (await engine.execution(workflow_id)).tasks

            assert TaskStatus.CANCELED is task.status
            assert {} == engine.queue_sizes()
            assert 1 == len(there.asked)

    asyncio.run(main())


def test_a_condition_sees_other_tasks_and_the_workflow(tmp_path: Path) -> None:
    """By reference name, as in the scripts of other types."""

    async def main() -> None:
        async with far_end(_counting()) as there, polling(tmp_path, ManualClock()) as engine:
            condition = (
                "(function(){ return $.a.output.wanted == $.output.response.body.count"
                " && $.workflow.input.go && $.p.input.http_request.method == 'GET'"
                " && $['a'].status == 'COMPLETED'; })();"
            )
            request = {"uri": there.url, "method": "GET", "terminationCondition": condition}
            poll = {**_POLL, "inputParameters": {"http_request": request}}
            await define(engine, "w", simple("a"), poll)
            workflow_id = await start(engine, "w", input={"go": True})
            await hand_in(engine, await claim(engine, "a"), output={"wanted": 1})

            assert WorkflowStatus.COMPLETED is await ended(engine, workflow_id)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("$.output.response.body.no.such", "terminationCondition: "),
        ("this is no script", "terminationCondition: "),
        ("while (true) {}", "terminationCondition: Script not evaluated within"),
    ],
)
def test_a_condition_that_throws(tmp_path: Path, condition: str, reason: str) -> None:
    """It fails the task, with the answer it was asked about for whoever looks."""

    async def main() -> None:
        async with far_end(_counting()) as there, polling(tmp_path, ManualClock()) as engine:
            workflow_id = await _start(engine, there.url, condition)
            status = await ended(engine, workflow_id)
            (task,) = (await engine.execution(workflow_id)).tasks

            assert (WorkflowStatus.FAILED, TaskStatus.FAILED) == (status, task.status)
            assert (task.reason or "").startswith(reason)
            assert {"count": 1} == msgspec.json.decode(task.output)["response"]["body"]

    asyncio.run(main())


def test_a_request_that_fails(tmp_path: Path) -> None:
    """It fails the task, which its definition may have begin anew; accepted statuses do not."""

    async def main() -> None:
        exchange = _counting("503 Busy")
        async with far_end(exchange) as there, polling(tmp_path, ManualClock()) as engine:
            await define_task(engine, "p", retryCount=1, retryDelaySeconds=0)
            failed = await _start(engine, there.url, "true")
            first = await ended(engine, failed)
            tasks = (await engine.execution(failed)).tasks
            accepted = await _start(
                engine,
                there.url,
                "$.output.response.statusCode == 503 && $.output.body.count == 3",
                acceptedStatusCodes=["5xx"],
            )

            assert WorkflowStatus.FAILED is first
            assert [0, 1] == [task.attempt for task in tasks]
            assert "Failed to invoke HTTP_POLL task due to" in (tasks[-1].reason or "")
            assert WorkflowStatus.COMPLETED is await ended(engine, accepted)

    asyncio.run(main())


def test_wrong_fields_fail_the_task(tmp_path: Path) -> None:
    """Nobody is asked."""

    async def main() -> None:
        async with far_end(_counting()) as there, polling(tmp_path, ManualClock()) as engine:
            workflow_id = await _start(engine, there.url, "true", pollingInterval=0)

            assert WorkflowStatus.FAILED is await ended(engine, workflow_id)
            assert [] == there.asked

    asyncio.run(main())


_REQUEST = {"uri": "http://host", "method": "GET", "terminationCondition": "true"}


@pytest.mark.parametrize(
    ("strategy", "waits"),
    [
        (None, [60, 60, 60, 60]),
        ("FIXED", [60, 60, 60, 60]),
        ("LINEAR_BACKOFF", [60, 120, 180, 6_000]),
        ("exponential_backoff", [60, 240, 720, 86_400]),
    ],
)
def test_waits_by_strategy(strategy: str | None, waits: list[int]) -> None:
    """A minute when nothing is said; no back-off grows beyond a day."""
    polling = read_polling({"http_request": {**_REQUEST, "pollingStrategy": strategy}})

    assert waits == [polling.wait_s(polls) for polls in (1, 2, 3, 100)]


def test_a_long_interval_is_kept() -> None:
    """The limit is on growing, not on what the author wrote."""
    polling = read_polling({**_REQUEST, "pollingInterval": 100_000})

    assert 100_000 == polling.wait_s(1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("terminationCondition", None),
        ("terminationCondition", " "),
        ("terminationCondition", True),
        ("pollingInterval", 0),
        ("pollingInterval", "soon"),
        ("pollingInterval", 1e12),
        ("pollingStrategy", "RANDOM"),
    ],
)
def test_what_cannot_be_used_is_named(field: str, value: Any) -> None:
    """The message begins with the field."""
    with pytest.raises(BadRequest, match=f"^{field}"):
        read_polling({"http_request": {**_REQUEST, field: value}})
