"""Workflows with a rate limit: who runs, who waits, and that everything works on those who wait."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge import admission
from edge.engine import Engine
from edge.model.decision import Jump, Rerun, Skip, Terminate
from edge.model.errors import BatonError, Conflict, RateLimited
from edge.model.executions import TaskStatus, WorkflowStatus, parse_uuid
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    ended,
    engine_at,
    run,
    simple,
    start,
)
from tests.unit.edge.manual_clock import ManualClock

BY_USER = "${workflow.input.user}"


async def _limited(
    engine: Engine, *tasks: dict[str, Any], limit: int = 1, key: str = BY_USER, **fields: Any
) -> None:
    config = {"rateLimitKey": key, "concurrentExecLimit": limit, **fields.pop("config", {})}
    await define(engine, "w", *(tasks or (simple("a"),)), rateLimitConfig=config, **fields)


async def _begun(engine: Engine, *ids: str) -> list[bool]:
    """Whether each has a task."""
    return [bool((await engine.execution(one)).tasks) for one in ids]


async def _finish(engine: Engine, queue: str = "a") -> None:
    await answer(engine, await claim(engine, queue))


def test_the_excess_waits_and_comes_in_order(tmp_path: Path) -> None:
    """RUNNING, with nothing handed out; the next begins in the commit that ends the one before."""

    async def body(engine: Engine) -> None:
        await _limited(engine)
        ids = [await start(engine, "w", input={"user": "u"}) for _ in range(3)]
        waiting = (await engine.execution(ids[1])).workflow
        first = await _begun(engine, *ids)
        await _finish(engine)
        second = await _begun(engine, *ids)
        await _finish(engine)
        third = await _begun(engine, *ids)
        await _finish(engine)

        assert (WorkflowStatus.RUNNING, True, "u") == (
            waiting.status,
            waiting.rate_limited,
            waiting.rate_limit_key,
        )
        assert [True, False, False] == first
        assert [True, True, False] == second
        assert [True, True, True] == third
        assert {WorkflowStatus.COMPLETED} == {(await engine.workflow(one)).status for one in ids}
        assert not (await engine.workflow(ids[1])).rate_limited

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("key", "fields", "together"),
    [
        (BY_USER, [{"input": {"user": "x"}}, {"input": {"user": "y"}}], False),
        (BY_USER, [{"input": {"user": 7}}, {"input": {"user": "7"}}], True),
        (BY_USER, [{}, {"input": {"other": 1}}], True),
        ("${workflow.correlationId}", [{"correlation_id": "c"}, {"correlation_id": "d"}], False),
        ("${workflow.correlationId}", [{"correlation_id": "c"}, {"correlation_id": "c"}], True),
        ("u-${workflow.input.user}", [{"input": {"user": 1}}, {"input": {"user": 2}}], False),
        ("max", [{}, {"input": {"user": 2}}], True),
    ],
)
def test_each_key_has_its_own_line(
    tmp_path: Path, key: str, fields: list[dict[str, Any]], together: bool
) -> None:
    """Its expressions are filled in at the start; what is missing counts as one key."""

    async def body(engine: Engine) -> None:
        await _limited(engine, key=key)
        ids = [await start(engine, "w", **one) for one in fields]

        assert [True, not together] == await _begun(engine, *ids)

    run(tmp_path, body)


def test_versions_of_a_workflow_share_a_line(tmp_path: Path) -> None:
    """Each is held to its own limit; without a limit nothing waits."""

    async def body(engine: Engine) -> None:
        await _limited(engine, key="k")
        await _limited(engine, key="k", limit=2, version=2)
        await define(engine, "w", simple("a"), version=3)
        await define(
            engine,
            "w",
            simple("a"),
            version=4,
            rateLimitConfig={"rateLimitKey": "k", "concurrentExecLimit": 0},
        )
        ids = [await start(engine, "w", version=version) for version in (1, 2, 1, 3, 4)]

        assert [True, True, False, True, True] == await _begun(engine, *ids)

    run(tmp_path, body)


def test_a_start_may_be_refused_instead(tmp_path: Path) -> None:
    """Policy REJECT: the caller is told to come again, and nothing is stored."""

    async def body(engine: Engine) -> None:
        await _limited(engine, config={"policy": "REJECT"})
        await start(engine, "w", input={"user": "u"})
        with pytest.raises(RateLimited, match="'u'") as refused:
            await start(engine, "w", input={"user": "u"})
        await start(engine, "w", input={"user": "v"})
        await _finish(engine)
        await start(engine, "w", input={"user": "u"})

        assert (429, True) == (refused.value.status, refused.value.retryable)
        assert 2 == len(await engine.running("w", None))

    run(tmp_path, body)


def test_a_line_survives_a_restart(tmp_path: Path) -> None:
    """In its order; who ran still runs, who waited still waits."""
    path = tmp_path / "baton.db"

    async def main() -> None:
        async with engine_at(path) as engine:
            await _limited(engine, key="k")
            ids = [await start(engine, "w") for _ in range(3)]
        async with engine_at(path) as engine:
            ids.append(await start(engine, "w"))
            order = [await _begun(engine, *ids)]
            for _ in ids:
                await _finish(engine)
                order.append(await _begun(engine, *ids))

        assert [
            [True, False, False, False],
            [True, True, False, False],
            [True, True, True, False],
            [True, True, True, True],
            [True, True, True, True],
        ] == order

    asyncio.run(main())


def test_one_that_waits_can_be_ended_or_removed(tmp_path: Path) -> None:
    """It leaves the line; those behind it move up when their turn comes."""

    async def body(engine: Engine) -> None:
        await _limited(engine, key="k")
        ids = [await start(engine, "w") for _ in range(4)]
        await engine.terminate(ids[1], "changed my mind")
        await engine.remove(ids[2])
        await _finish(engine)

        assert [True] == await _begun(engine, ids[3])
        view = await engine.execution(ids[1])
        assert (WorkflowStatus.TERMINATED, False) == (
            view.workflow.status,
            view.workflow.rate_limited,
        )
        with pytest.raises(Conflict):
            await engine.retry(ids[1])

    run(tmp_path, body)


def test_a_pause_gives_up_the_place(tmp_path: Path) -> None:
    """Nobody waits for one that may not begin; resumed, it waits behind the others."""

    async def body(engine: Engine) -> None:
        await _limited(engine, key="k")
        ids = [await start(engine, "w") for _ in range(3)]
        await engine.pause(ids[1])
        await _finish(engine)
        passed = await _begun(engine, *ids)
        await engine.resume(ids[1])
        queued = await _begun(engine, *ids)
        await _finish(engine)

        assert [True, False, True] == passed == queued
        assert [True, True, True] == await _begun(engine, *ids)
        await _finish(engine)
        # Paused and resumed with room, it begins at once.
        await engine.restart(ids[0], latest=False)
        again = await start(engine, "w")
        await engine.pause(again)
        await _finish(engine)
        await engine.resume(again)
        assert [True] == await _begun(engine, again)

    run(tmp_path, body)


def test_a_pause_of_one_that_runs_keeps_its_slot(tmp_path: Path) -> None:
    """It has begun, and it will go on."""

    async def body(engine: Engine) -> None:
        await _limited(engine, key="k")
        ids = [await start(engine, "w") for _ in range(2)]
        await engine.pause(ids[0])
        await _finish(engine)
        held = await _begun(engine, *ids)
        await engine.resume(ids[0])

        assert [True, False] == held
        assert [True, True] == await _begun(engine, *ids)

    run(tmp_path, body)


def test_what_is_taken_up_again_waits_for_its_turn_too(tmp_path: Path) -> None:
    """Restart and retry; the failed task gets its new attempt when there is room."""

    async def body(engine: Engine) -> None:
        await _limited(engine, simple("a", retryCount=0), simple("b"), key="k")
        failed = await start(engine, "w")
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED)
        done = await start(engine, "w")
        await _finish(engine)
        await _finish(engine, "b")
        runs = await start(engine, "w")
        await engine.retry(failed)
        await engine.restart(done, latest=False)
        waiting = [(await engine.execution(one)) for one in (failed, done)]
        await _finish(engine)
        await _finish(engine, "b")
        retried = (await engine.execution(failed)).tasks
        await _finish(engine)
        await _finish(engine, "b")

        assert [True, True] == [view.workflow.rate_limited for view in waiting]
        assert [["FAILED"], []] == [[task.status for task in view.tasks] for view in waiting]
        assert ["FAILED", "SCHEDULED"] == [task.status for task in retried]
        assert [True] == await _begun(engine, done)
        assert [WorkflowStatus.COMPLETED] * 2 == [
            (await engine.workflow(one)).status for one in (runs, failed)
        ]

    run(tmp_path, body)


def test_a_refused_retry_changes_nothing(tmp_path: Path) -> None:
    """Policy REJECT, and what cannot be retried: as it was, and no slot is lost."""

    async def body(engine: Engine) -> None:
        await _limited(engine, simple("a", retryCount=0), key="k", config={"policy": "REJECT"})
        failed = await start(engine, "w")
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED)
        done = await start(engine, "w")
        await _finish(engine)
        with pytest.raises(Conflict):
            await engine.retry(done)
        await start(engine, "w")
        with pytest.raises(RateLimited):
            await engine.retry(failed)
        await _finish(engine)
        await engine.retry(failed)

        assert WorkflowStatus.RUNNING is (await engine.workflow(failed)).status
        assert WorkflowStatus.COMPLETED is (await engine.workflow(done)).status

    run(tmp_path, body)


def test_a_rerun_from_the_beginning_takes_the_key_of_its_new_input(tmp_path: Path) -> None:
    """From a task it cannot wait, so it is refused while there is no room."""

    async def body(engine: Engine) -> None:
        await _limited(engine)
        done = await start(engine, "w", input={"user": "u"})
        await _finish(engine)
        await start(engine, "w", input={"user": "v"})
        await start(engine, "w", input={"user": "u"})
        with pytest.raises(RateLimited, match="rerun from a task"):
            await engine.command(done, Rerun(1))
        await engine.command(done, Rerun(input=b'{"user":"v"}'))
        workflow = await engine.workflow(done)

        assert ("v", True) == (workflow.rate_limit_key, workflow.rate_limited)
        assert [False] == await _begun(engine, done)

    run(tmp_path, body)


def test_moves_of_one_that_waits(tmp_path: Path) -> None:
    """A task may be skipped beforehand; nothing can be jumped to; its variables may change."""

    async def body(engine: Engine) -> None:
        await _limited(engine, simple("a"), simple("b"), key="k")
        runs, waits = await start(engine, "w"), await start(engine, "w")
        await engine.command(waits, Skip("a"))
        with pytest.raises(Conflict, match="waits for its turn"):
            await engine.command(waits, Jump("b"))
        await _finish(engine)
        before = engine.queue_sizes()
        await _finish(engine, "b")

        assert {"b": 1} == before
        assert {"b": 1} == engine.queue_sizes()
        assert WorkflowStatus.COMPLETED is (await engine.workflow(runs)).status

    run(tmp_path, body)


def test_a_waiting_execution_times_out(tmp_path: Path) -> None:
    """Its time begins when it is started, as for any that is RUNNING."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        await _limited(engine, key="k", timeoutSeconds=60, timeoutPolicy="TIME_OUT_WF")
        ids = [await start(engine, "w")]
        clock.pass_s(30)
        ids += [await start(engine, "w"), await start(engine, "w")]
        clock.pass_s(31)
        await engine.moments.fire_due()
        one_over = await _begun(engine, *ids)
        clock.pass_s(30)
        await engine.moments.fire_due()

        assert [True, True, False] == one_over
        statuses = [(await engine.workflow(one)).status for one in ids]
        assert [WorkflowStatus.TIMED_OUT] * 3 == statuses

    run(tmp_path, body, clock=clock, timers=False)


def test_sub_workflows_are_limited_too(tmp_path: Path) -> None:
    """Children wait like others, and their parents with them; REJECT fails the task."""

    async def body(engine: Engine) -> None:
        await _limited(engine, key="k")
        child = {
            "name": "c",
            "taskReferenceName": "c",
            "type": "SUB_WORKFLOW",
            "subWorkflowParam": {"name": "w"},
        }
        await define(engine, "parent", child)
        parents = [await start(engine, "parent") for _ in range(2)]
        sizes = dict(engine.queue_sizes())
        for _ in parents:
            await _finish(engine)
        both = [(await engine.workflow(one)).status for one in parents]
        await _limited(engine, key="k", config={"policy": "REJECT"})
        await start(engine, "w")
        refused = await start(engine, "parent")
        view = await engine.execution(refused)

        assert {"a": 1} == sizes
        assert [WorkflowStatus.COMPLETED] * 2 == both
        assert WorkflowStatus.FAILED is view.workflow.status
        assert "rate limit key" in (view.tasks[0].reason or "")

    run(tmp_path, body)


def test_executions_that_end_at_once_do_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long line that empties itself is let in piece by piece, and to its end."""
    monkeypatch.setattr(admission, "ADMITTED_AT_ONCE", 3)
    pieces: list[int] = []
    keep = admission.Admission.keep

    def counted(self: admission.Admission) -> None:
        pieces.append(self._admitted)
        keep(self)

    monkeypatch.setattr(admission.Admission, "keep", counted)

    async def body(engine: Engine) -> None:
        switch = {
            "name": "s", "taskReferenceName": "s", "type": "SWITCH", "evaluatorType": "value-param",
            "expression": "slow", "inputParameters": {"slow": "${workflow.input.slow}"},
            "decisionCases": {"yes": [simple("a")]},
        }  # fmt: skip
        await _limited(engine, switch, key="k")
        await start(engine, "w", input={"slow": "yes"})
        ids = [await start(engine, "w", input={"slow": "no"}) for _ in range(11)]
        await _finish(engine)
        statuses = [await ended(engine, one) for one in ids]

        assert [3, 3, 3, 2] == [piece for piece in pieces if piece]
        assert [WorkflowStatus.COMPLETED] * 11 == statuses

    run(tmp_path, body)


def test_a_request_that_fails_leaves_the_line_as_it_was(tmp_path: Path) -> None:
    """Whatever else it had done before is undone with it."""

    async def body(engine: Engine) -> None:
        await _limited(engine, key="k")
        ids = [await start(engine, "w") for _ in range(2)]
        parsed = parse_uuid(ids[0])
        assert parsed is not None

        def fails(transaction: Any) -> None:
            transaction.decide(parsed[0], Terminate(None))
            raise Conflict("after all not")

        with pytest.raises(BatonError):
            await engine.request(fails)
        undone = await _begun(engine, *ids)
        await _finish(engine)

        assert [True, False] == undone
        assert [True, True] == await _begun(engine, *ids)

    run(tmp_path, body)
