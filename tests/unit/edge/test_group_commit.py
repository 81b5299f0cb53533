"""Group commit: bounded, in order, and finished before it closes."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Sequence
from pathlib import Path

import pytest

from edge import group_commit
from edge.engine import Engine
from edge.figures import Figures
from edge.load import Load
from edge.model.errors import Overloaded, StorageUnavailable
from edge.model.executions import WorkflowStatus
from edge.model.requests import StartRequest
from edge.scripts import Evaluators
from edge.transactions import Transaction
from tests.unit.edge.engine_house import answer, claim, define, ended, run, simple, start


def test_requests_are_carried_out_in_order(tmp_path: Path) -> None:
    """Whatever shares a commit happened in the order it was asked for."""

    async def body(engine: Engine) -> None:
        seen: list[int] = []

        def note(number: int) -> None:
            seen.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(engine.request(lambda _, n=number: note(n)))  # type: ignore[misc]

        assert list(range(200)) == seen

    run(tmp_path, body)


def test_too_many_waiting_requests_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inbox is bounded; whoever comes too much is told to come again."""
    monkeypatch.setattr(group_commit, "_INBOX", 10)

    async def body(engine: Engine) -> None:
        waiting = [asyncio.ensure_future(engine.request(_nothing)) for _ in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await engine.request(_nothing)
        for request in waiting:
            await request

        assert await engine.request(lambda _: True)

    run(tmp_path, body)


def test_starts_may_be_half_of_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other half of the inbox is kept for what has begun."""
    monkeypatch.setattr(group_commit, "_INBOX", 10)

    async def body(engine: Engine) -> None:
        begin = engine._commits.request
        waiting = [asyncio.ensure_future(begin(_nothing, begins=True)) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="5 starts"):
            await begin(_nothing, begins=True)

        assert "done" == await engine.request(lambda _: "done")
        for request in waiting:
            await request

    run(tmp_path, body)


def test_starts_stand_behind_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And come all the same: some of them with each commit, all of them with one that is free."""
    monkeypatch.setattr(group_commit, "_BATCH", 4)
    monkeypatch.setattr(group_commit, "_STARTS_BESIDE", 1)

    async def body(engine: Engine) -> None:
        seen: list[str] = []

        def note(name: str) -> None:
            seen.append(name)

        async with asyncio.TaskGroup() as group:
            for number in range(6):
                begins = number < 3
                name = f"{'start' if begins else 'other'} {number}"
                request = engine._commits.request(lambda _, n=name: note(n), begins=begins)  # type: ignore[misc]
                group.create_task(request)

        assert ["other 3", "other 4", "other 5", "start 0", "start 1", "start 2"] == seen

    run(tmp_path, body)


def _nothing(_: Transaction) -> None:
    return None


def test_a_caller_that_goes_away_does_not_stop_the_others(tmp_path: Path) -> None:
    """Its request is carried out all the same, and nobody waits for it."""

    async def body(engine: Engine) -> None:
        gone = asyncio.ensure_future(engine.request(_nothing))
        stays = asyncio.ensure_future(engine.request(lambda _: "done"))
        await asyncio.sleep(0)
        gone.cancel()

        assert "done" == await stays

    run(tmp_path, body)


# Scripts that take their time.


def _inline(ref: str, expression: str, **parameters: object) -> dict[str, object]:
    return {
        "name": ref, "taskReferenceName": ref, "type": "INLINE",
        "inputParameters": {"expression": expression, **parameters},
    }  # fmt: skip


def _takes(ms: int, value: str) -> str:
    return f"const end = Date.now() + {ms}; while (Date.now() < end); {value}"


def test_a_request_with_a_slow_script_is_overtaken(tmp_path: Path) -> None:
    """Whoever comes behind it is answered first; it is answered in the end, and happened once."""

    async def body(engine: Engine) -> None:
        await define(engine, "slow", _inline("s", _takes(400, "$.n + 1"), n="${workflow.input.n}"))
        await define(engine, "quick", simple("a"))
        order: list[str] = []

        async def begin(name: str) -> None:
            workflow_id = await start(engine, name, input={"n": 1})
            order.append(name)
            if name == "slow":
                view = await engine.execution(workflow_id)
                assert b'{"result":2}' == view.tasks[0].output

        async with asyncio.TaskGroup() as group:
            group.create_task(begin("slow"))
            for _ in range(5):
                group.create_task(begin("quick"))

        assert ["quick"] * 5 + ["slow"] == order
        assert engine.counters()["parked"]
        assert 0 == len(await engine.running("slow", None))

    run(tmp_path, body)


def test_many_slow_scripts_of_one_decision(tmp_path: Path) -> None:
    """Each is worked out once, however often the decision is taken."""

    async def body(engine: Engine) -> None:
        steps = [
            _inline(f"s{n}", _takes(40, f"[{n}, Math.random()]"), at="${workflow.createTime}")
            for n in range(6)
        ]
        twice = _inline("t", "$.first", first="${s0.output.result}")
        await define(engine, "slow", *steps, twice)
        workflow_id = await start(engine, "slow")
        view = await engine.execution(workflow_id)

        assert WorkflowStatus.COMPLETED == view.workflow.status
        assert 7 == len(view.tasks)
        assert view.tasks[0].output == view.tasks[6].output

    run(tmp_path, body)


def test_a_script_that_is_shown_its_own_execution(tmp_path: Path) -> None:
    """The id and the moments that it sees are those that are stored."""

    async def body(engine: Engine) -> None:
        shown = {"id": "${workflow.workflowId}", "at": "${workflow.createTime}"}
        await define(engine, "slow", _inline("s", _takes(100, "[$.id, $.at]"), **shown))
        workflow_id = await start(engine, "slow")
        view = await engine.execution(workflow_id)

        assert f'{{"result":["{workflow_id}",{view.workflow.created_ms}]}}' == (
            view.tasks[0].output.decode()
        )

    run(tmp_path, body)


def test_an_answer_whose_decision_waits_is_written_once(tmp_path: Path) -> None:
    """A worker's result leads to a slow script; the same result sent twice meanwhile is one."""

    async def body(engine: Engine) -> None:
        slow = _inline("s", _takes(200, "$.n * 2"), n="${a.output.n}")
        await define(engine, "w", simple("a"), slow, simple("b"))
        workflow_id = await start(engine, "w")
        view = await claim(engine, "a")
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(answer(engine, view, output={"n": 21}))
        after = await engine.execution(workflow_id)

        assert ["a", "s", "b"] == [task.ref for task in after.tasks]
        assert b'{"result":42}' == after.tasks[1].output

    run(tmp_path, body)


def test_a_request_that_is_undone_leaves_nothing(tmp_path: Path) -> None:
    """Statements of its own, too, happen once, however often it is carried out."""

    async def body(engine: Engine) -> None:
        await define(engine, "slow", _inline("s", _takes(150, "1")))
        runs: list[int] = []

        def both(transaction: Transaction) -> int:
            runs.append(len(runs))
            transaction.connection.execute("CREATE TABLE IF NOT EXISTS probe (n INTEGER) STRICT")
            transaction.connection.execute("INSERT INTO probe VALUES (?)", (len(runs),))
            started = [transaction.start(StartRequest("slow")) for _ in range(2)]
            return len(started)

        assert 2 == await engine.request(both)
        count = await engine.database.read(
            lambda c: c.execute("SELECT count(*), min(n) FROM probe").fetchone()
        )

        assert len(runs) > 1
        assert (1, len(runs)) == count

    run(tmp_path, body)


def test_too_many_parked_requests_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes too much is told to come again, and others are served."""
    monkeypatch.setattr(group_commit, "_PARKED", 2)

    async def body(engine: Engine) -> None:
        await define(engine, "slow", _inline("s", _takes(300, "$.n"), n="${workflow.input.n}"))
        starts = [
            asyncio.ensure_future(start(engine, "slow", input={"n": number})) for number in range(6)
        ]
        results = await _all(starts)
        refused = [one for one in results if isinstance(one, Overloaded)]

        assert 4 == len(refused)
        assert 2 == sum(isinstance(one, str) for one in results)
        assert await engine.request(lambda _: True)

    run(tmp_path, body)


async def _all(futures: Sequence[asyncio.Future[str]]) -> list[str | BaseException]:
    await asyncio.wait(futures)
    return [future.exception() or future.result() for future in futures]


def test_what_is_parked_at_the_end_is_refused(tmp_path: Path) -> None:
    """It has not been acknowledged and nothing of it is written: whoever asked asks again."""

    async def main() -> None:
        with Evaluators(20.0) as evaluators:
            engine = await Engine.open(tmp_path / "baton.db", scripts=evaluators)
            async with asyncio.TaskGroup() as group:
                group.create_task(engine.run())
                await define(engine, "slow", _inline("s", "while (true) {}"))
                hangs = group.create_task(_refused(start(engine, "slow")))
                while not engine.counters().get("parked"):
                    await engine.request(_nothing)
                await engine.close()
                await hangs

        assert hangs.result()

    asyncio.run(main())


async def _refused(starting: Awaitable[str]) -> bool:
    try:
        await starting
    except StorageUnavailable:
        return True
    return False


def test_a_loop_ends_as_a_failed_task(tmp_path: Path) -> None:
    """The workflow ends; nothing is left behind that would look at it again."""

    async def main() -> None:
        with Evaluators(0.3) as evaluators:
            engine = await Engine.open(tmp_path / "baton.db", scripts=evaluators)
            async with asyncio.TaskGroup() as group:
                group.create_task(engine.run())
                await define(engine, "loop", _inline("s", "while (true) {}"))
                workflow_id = await start(engine, "loop")
                status = await ended(engine, workflow_id)
                (task,) = (await engine.execution(workflow_id)).tasks
                await engine.close()

        assert WorkflowStatus.FAILED == status
        assert "Script not evaluated within 0.3 seconds, interrupted." == task.reason

    asyncio.run(main())


def _works(_: Transaction) -> None:
    """Keeps the disk thread busy for a while."""
    sum(range(20_000))


def _takes_syncs_for(monkeypatch: pytest.MonkeyPatch, sync_s: float) -> None:
    """Have each sync seem to have taken so long."""

    def see(figures: Figures, *_: float) -> None:
        figures.syncs.see(sync_s)

    monkeypatch.setattr(Figures, "see_commit", see)


async def _commits_of_two_halves(engine: Engine) -> int:
    """Commits that 24 clients take who ask ten times each, one half while the other is carried out."""

    async def client() -> None:
        for _ in range(10):
            await engine.request(_works)

    before = engine.counters()["commits"]
    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(client())
        await asyncio.sleep(0.002)
        for _ in range(12):
            group.create_task(client())
    return engine.counters()["commits"] - before


def test_a_commit_waits_for_whoever_comes_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both halves come together: all clients share each commit."""
    _takes_syncs_for(monkeypatch, 0.0)

    async def body(engine: Engine) -> None:
        assert await _commits_of_two_halves(engine) <= 14

    run(tmp_path, body)


def test_who_waits_for_others_does_not_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that always has something to do is known as busy, however its commits are timed."""
    _takes_syncs_for(monkeypatch, 0.0)
    rests_ms = []
    monkeypatch.setattr(Load, "committed", lambda _, idle_ms, **rest: rests_ms.append(idle_ms))

    async def client(engine: Engine, away_s: float) -> None:
        for _ in range(10):
            await engine.request(_works)
            await asyncio.sleep(away_s)

    async def body(engine: Engine) -> None:
        quick, slow = (
            [client(engine, 0) for _ in range(4)],
            [client(engine, 0.003) for _ in range(12)],
        )
        await asyncio.gather(*quick, *slow)

    run(tmp_path, body)

    # The four come again at once, and are kept waiting for the twelve.
    assert statistics.median(rests_ms) == 0


def test_a_disk_that_is_waited_for_has_its_next_half_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one half is synced, the other is worked on: neither waits for the other."""
    _takes_syncs_for(monkeypatch, 1.0)

    async def body(engine: Engine) -> None:
        assert await _commits_of_two_halves(engine) >= 18

    run(tmp_path, body)


def test_who_is_alone_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a commit of many nobody comes again: what waits for them goes all the same."""
    _takes_syncs_for(monkeypatch, 0.0)

    async def body(engine: Engine) -> None:
        await asyncio.gather(*(engine.request(_works) for _ in range(12)))
        before = engine.counters()["commits"]
        await engine.request(_nothing)

        assert engine.counters()["commits"] == before + 1

    run(tmp_path, body)
