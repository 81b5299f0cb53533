"""Hand-over: nothing taken from a queue is lost when a poll ends early."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import handover
from edge.effects import Effects
from edge.engine import Engine
from edge.lookups import Lookups
from edge.model.errors import StorageUnavailable
from edge.model.executions import TaskStatus, WorkflowStatus, task_uuid, workflow_uuid
from edge.model.payload_limits import PayloadLimits
from edge.model.requests import TaskResult, TaskView
from edge.store.backlog import Backlog
from edge.store.queues import Queues
from edge.store.slots import TaskId
from tests.unit.edge.engine_house import (
    claim,
    define,
    engine_at,
    id_of,
    run,
    simple,
    start,
)
from tests.unit.edge.manual_clock import ManualClock


def test_a_poll_that_is_cancelled_loses_no_task(tmp_path: Path) -> None:
    """A client that goes away while its tasks are being read leaves them for the next."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        for _ in range(3):
            await start(engine, "w")
        reached = asyncio.Event()

        async def slow(_: Sequence[TaskId]) -> None:
            reached.set()
            await asyncio.Event().wait()

        engine.hand_over._fresh.popitem()
        read, engine.hand_over.read = engine.hand_over.read, slow  # type: ignore[method-assign,assignment]
        poll = asyncio.ensure_future(engine.poll("a", worker="w", count=3, timeout_ms=0))
        await reached.wait()
        poll.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll
        engine.hand_over.read = read  # type: ignore[method-assign]

        assert 3 == len(await engine.poll("a", worker="next", count=9, timeout_ms=0))

    run(tmp_path, body)


def test_tasks_that_left_memory_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory holds a bounded number of tasks that nobody has fetched yet."""
    monkeypatch.setattr(handover, "_FRESH", 1)

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a", inputParameters={"n": "${workflow.input.n}"}))
        for number in range(3):
            await start(engine, "w", input={"n": number})
        views = await engine.poll("a", worker="w", count=3, timeout_ms=0)

        assert [b'{"n":0}', b'{"n":1}', b'{"n":2}'] == [view.task.input for view in views]

    run(tmp_path, body)


def test_what_has_moved_last_is_remembered_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that ends long after it was queued has moved now: no page read before may queue it."""
    monkeypatch.setattr(handover, "_FRESH", 2)

    async def body(engine: Engine) -> None:
        old, *others = [(bytes([number]) * 16, 1) for number in range(3)]
        for task_id in (old, others[0], old, others[1]):
            effects = Effects()
            effects.ended[task_id] = None
            engine.hand_over.see(effects)

        assert engine.hand_over._is_known(old)
        assert not engine.hand_over._is_known(others[0])

    run(tmp_path, body)


def test_a_task_that_ended_while_queued_is_left_out(tmp_path: Path) -> None:
    """The record says whether it must still be done, not the queue."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        view = await claim(engine, "a")
        engine.give_back([id_of(view)])
        workflow_id = (view.workflow.id, view.task.ordinal)
        place = engine.hand_over.queues.withdraw(workflow_id)
        await engine.terminate((await engine.running("w", None))[0], None)
        assert place is not None
        engine.hand_over.queues.put_back(workflow_id, place, 0)

        assert [] == await engine.poll("a", worker="w", count=1, timeout_ms=0)

    run(tmp_path, body)


def test_how_far_workers_are_behind(tmp_path: Path) -> None:
    """As far as the furthest of the queues that they ask for work, from when they began to ask."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        hand_over = engine.hand_over
        for name in ("slow", "quick", "nobody"):
            await define(engine, name, simple(name))
        for name in (*["slow"] * 4, "nobody", "quick"):
            await start(engine, name)
        clock.pass_s(3_600)
        unasked = hand_over.behind_ms()
        await claim(engine, "slow")
        clock.pass_s(1)
        just_come = hand_over.behind_ms()
        for _ in range(2):
            await claim(engine, "slow")
            clock.pass_s(1.5)
        await claim(engine, "quick")
        behind = hand_over.behind_ms()
        await claim(engine, "slow")
        again = hand_over.behind_ms()
        clock.pass_s(1)
        caught_up = hand_over.behind_ms()
        await start(engine, "slow")
        clock.pass_s(10)
        gone = hand_over.behind_ms()

        assert (0, 1_000, 4_000) == (unasked, just_come, behind)
        assert (4_000, 0) == (again, caught_up), "it is looked ten times a second at most"
        assert 0 == gone

    run(tmp_path, body, clock=clock, timers=False)


def test_poll_data_tells_domain_and_worker(tmp_path: Path) -> None:
    """One entry a queue, the newest poll."""

    async def body(engine: Engine) -> None:
        await engine.poll("yard:a", worker="w1", count=1, timeout_ms=0)
        await engine.poll("yard:a", worker="w2", count=1, timeout_ms=0)
        await engine.poll("a", worker=None, count=1, timeout_ms=0)

        assert [("a", "yard", "w2"), ("a", None, None)] == [
            (data.queue, data.domain, data.worker) for data in engine.poll_data()
        ]
        assert not [data for data in engine.poll_data() if not data.last_poll_ms]
        assert 3 == engine.counters()["polls"]

    run(tmp_path, body)


def test_a_queue_is_served_for_ten_seconds_after_a_poll(tmp_path: Path) -> None:
    """By the monotonic clock; while somebody waits there it is, however long."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        hand_over = engine.hand_over
        await engine.poll("yard:a", worker="w", count=1, timeout_ms=0)
        clock._now_ms += 3_600_000
        clock.pass_s(10)
        lately = hand_over.is_polled("yard:a")
        clock.pass_s(0.001)
        later = hand_over.is_polled("yard:a")
        waiting = asyncio.ensure_future(engine.poll("b", worker="w", count=1, timeout_ms=60_000))
        await asyncio.sleep(0)
        clock.pass_s(50)
        still = hand_over.is_polled("b")
        waiting.cancel()

        assert (True, False, True) == (lately, later, still)
        assert not hand_over.is_polled("a")

    run(tmp_path, body, clock=clock, timers=False)


def test_a_task_goes_to_the_first_domain_that_is_served(tmp_path: Path) -> None:
    """The workers that ask decide, at the moment of scheduling; a domain sees its own tasks only."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        domains = {"a": "yard,roof,NO_DOMAIN"}
        await start(engine, "w", task_to_domain=domains)
        await engine.poll("roof:a", worker="w", count=1, timeout_ms=0)
        await start(engine, "w", task_to_domain=domains)
        await start(engine, "w")

        assert {"a": 2, "roof:a": 1} == engine.queue_sizes()
        (view,) = await engine.poll("roof:a", worker="w", count=9, timeout_ms=0)
        assert "roof" == view.task.domain

    run(tmp_path, body)


def test_polls_of_made_up_queues_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was polled longest ago is forgotten first."""
    monkeypatch.setattr(handover, "_QUEUES_KNOWN", 3)

    async def body(engine: Engine) -> None:
        for queue in ("a", "b", "c", "a", "d"):
            await engine.poll(queue, worker="w", count=1, timeout_ms=0)

        assert ["c", "a", "d"] == [data.queue for data in engine.poll_data()]

    run(tmp_path, body)


def _lose(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()


def test_a_task_whose_payload_is_lost_fails_and_hinders_nobody(tmp_path: Path) -> None:
    """Its reason names the file; whoever polled gets the task behind it."""
    lookups = Lookups(limits=PayloadLimits(task_file=1_000))

    async def body() -> None:
        async with engine_at(tmp_path / "baton.db", lookups=lookups) as engine:
            step = simple("a", inputParameters={"x": "${workflow.input.x}"}, retryCount=0)
            await define(engine, "w", step)
            bad = await start(engine, "w", input={"x": "y" * 5_000})
            good = await start(engine, "w", input={"x": "y"})
        _lose(tmp_path / "payloads")
        async with engine_at(tmp_path / "baton.db", lookups=lookups) as engine:
            views = [
                view
                for _ in range(3)
                for view in await engine.poll("a", worker="w", count=1, timeout_ms=0)
            ]
            workflow = await engine.workflow(bad)

            assert [good] == [workflow_uuid(view.workflow.id) for view in views]
            assert WorkflowStatus.FAILED is workflow.status
            assert "is gone" in (workflow.reason or "")

    asyncio.run(body())


def test_what_was_taken_goes_back_when_a_poll_breaks(tmp_path: Path) -> None:
    """Whatever broke it: the tasks wait for the next poll, also the one that was to fail."""

    async def broken(_: TaskResult) -> str:
        raise StorageUnavailable("full")

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        for _ in range(2):
            await start(engine, "w")
        first, _ = [
            msgspec.structs.replace(view, fault="lost") if not place else view
            for place, view in enumerate(engine.hand_over._fresh.values())
        ]
        engine.hand_over._fresh[first.workflow.id, first.task.ordinal] = first
        update, engine.update = engine.update, broken  # type: ignore[method-assign,assignment]
        with pytest.raises(StorageUnavailable):
            await engine.poll("a", worker="w", count=2, timeout_ms=0)
        engine.update = update  # type: ignore[method-assign]

        assert {} == engine.hand_over.leases.all()
        assert 2 == len(await engine.poll("a", worker="w", count=2, timeout_ms=0))

    run(tmp_path, body)


def test_what_is_not_in_memory_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a long queue each poll would otherwise wait for the disk thread once for each task."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        started = [await start(engine, "w") for _ in range(4)]
        engine.hand_over._fresh.popitem()
        engine.hand_over._fresh.popitem(last=False)
        read, reads = engine.hand_over.read, 0

        async def counted(wanted: Sequence[TaskId]) -> list[TaskView | None]:
            nonlocal reads
            reads += 1
            return await read(wanted)

        monkeypatch.setattr(engine.hand_over, "read", counted)
        views = await engine.poll("a", worker="w", count=9, timeout_ms=0)

        assert started == [workflow_uuid(view.workflow.id) for view in views]
        assert 1 == reads

    run(tmp_path, body)


async def _ended_amid_its_read(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> str:
    """A task that is not in memory, and whose worker of old tells its end while it is read."""
    await define(engine, "w", simple("a"))
    await start(engine, "w")
    (task_id,) = engine.hand_over._fresh
    engine.hand_over._fresh.clear()
    read, name = engine.hand_over.read, task_uuid(*task_id)

    async def late(wanted: Sequence[TaskId]) -> list[TaskView | None]:
        found = await read(wanted)
        await engine.update(TaskResult("", name, TaskStatus.COMPLETED))
        return found

    monkeypatch.setattr(engine.hand_over, "read", late)
    return name


def test_a_task_that_ends_while_it_is_read_is_not_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is from before its end, which was acknowledged: nobody does it again."""

    async def body(engine: Engine) -> None:
        await _ended_amid_its_read(engine, monkeypatch)
        views = await engine.poll("a", worker="new", count=1, timeout_ms=0)

        assert [] == views
        assert {} == engine.hand_over.leases.all()
        assert {} == engine.hand_over.queues.slots.in_progress()

    run(tmp_path, body)


def test_a_task_that_ends_while_it_is_adopted_is_held_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign of life that comes before the end leaves no lease behind, and no slot."""

    async def body(engine: Engine) -> None:
        name = await _ended_amid_its_read(engine, monkeypatch)
        await engine.update(TaskResult("", name, TaskStatus.IN_PROGRESS, extend_lease=True))

        assert {} == engine.hand_over.leases.all()
        assert {} == engine.hand_over.queues.slots.in_progress()
        assert {} == dict(engine.queue_sizes())

    run(tmp_path, body)


def test_a_task_that_ends_before_its_poll_is_answered_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is acknowledged while secrets are looked up; the others of the poll are handed out."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a", inputParameters={"s": "${workflow.secrets.s}"}))
        for _ in range(2):
            await start(engine, "w")
        disclosure = engine.hand_over._disclosure
        look_up = disclosure.of

        async def late(views: list[TaskView]) -> list[TaskView]:
            found = await look_up(views)
            await engine.update(TaskResult("", id_of(views[0]), TaskStatus.COMPLETED))
            return found

        monkeypatch.setattr(disclosure, "of", late)
        views = await engine.poll("a", worker="new", count=2, timeout_ms=0)

        assert 1 == len(views)
        assert TaskStatus.IN_PROGRESS is (await engine.task(id_of(views[0]))).task.status

    run(tmp_path, body)


def test_what_breaks_while_it_is_read_does_not_bring_an_ended_task_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end was seen: a disk that then fails puts nothing back into the queue."""

    async def body(engine: Engine) -> None:
        await _ended_amid_its_read(engine, monkeypatch)
        late = engine.hand_over.read

        async def broken(wanted: Sequence[TaskId]) -> list[TaskView | None]:
            await late(wanted)
            raise StorageUnavailable("the disk failed")

        monkeypatch.setattr(engine.hand_over, "read", broken)
        with pytest.raises(StorageUnavailable):
            await engine.poll("a", worker="new", count=1, timeout_ms=0)

        assert {} == dict(engine.queue_sizes())

    run(tmp_path, body)


def test_taking_up_again_leaves_alone_what_is_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After trouble with the disk: a task that a poll is reading is not queued a second time."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        for _ in range(2):
            await start(engine, "w")
        engine.hand_over._fresh.clear()
        read = engine.hand_over.read

        async def late(wanted: Sequence[TaskId]) -> list[TaskView | None]:
            found = await read(wanted)
            await engine.hand_over.take_up()
            return found

        monkeypatch.setattr(engine.hand_over, "read", late)
        views = await engine.poll("a", worker="w", count=1, timeout_ms=0)

        assert 1 == len(views)
        assert {"a": 1} == dict(engine.queue_sizes())

    run(tmp_path, body)


def test_taking_up_again_leaves_alone_what_has_ended_meanwhile(tmp_path: Path) -> None:
    """What was read of it is old: its id does not go back into the queue."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        view = await claim(engine, "a")
        read = engine.database.read

        async def late(function: Callable[[sqlite3.Connection], Any]) -> Any:
            found = await read(function)
            engine.database.read = read  # type: ignore[method-assign]
            await engine.update(TaskResult("", id_of(view), TaskStatus.COMPLETED))
            return found

        engine.database.read = late  # type: ignore[method-assign]
        await engine.hand_over.take_up()

        assert {} == dict(engine.queue_sizes())

    run(tmp_path, body)


async def _names(engine: Engine, queue: str, count: int = 99) -> list[str]:
    views = await engine.poll(queue, worker="w", count=count, timeout_ms=0)
    return [view.workflow.correlation_id or "" for view in views]


def test_a_queue_longer_than_its_window(tmp_path: Path) -> None:
    """Oldest first within a priority, whoever came late; what ended is left out; sizes are exact."""

    async def body(engine: Engine) -> None:
        engine.hand_over.queues = Queues(window=3)
        await define(engine, "w", simple("a"))
        ids = [await start(engine, "w", correlation_id=f"old{n}") for n in range(20)]
        ids += [await start(engine, "w", correlation_id=f"hot{n}", priority=5) for n in range(8)]
        await engine.terminate(ids[12], None)
        await engine.terminate(ids[22], None)
        await engine.pause(ids[14])

        assert {"a": 26} == engine.queue_sizes()
        hot = [f"hot{n}" for n in range(8) if n != 2]
        assert hot[:3] == await _names(engine, "a", 3)
        late = await start(engine, "w", correlation_id="late", priority=9)
        assert [late] == await _ids(engine, "a", 1)
        old = [f"old{n}" for n in range(20) if n != 12]
        assert [*hot[3:], *old] == await _names(engine, "a")
        assert {} == engine.queue_sizes()

    run(tmp_path, body)


async def _ids(engine: Engine, queue: str, count: int) -> list[str]:
    views = await engine.poll(queue, worker="w", count=count, timeout_ms=0)
    return [workflow_uuid(view.workflow.id) for view in views]


def test_a_long_queue_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the order of before, of all workflows together, and new tasks come behind."""
    monkeypatch.setattr(handover, "Queues", lambda: Queues(window=3))
    clock = ManualClock()

    async def before(engine: Engine) -> None:
        for name in ("w", "v"):
            await define(engine, name, simple("a"))
        for number in range(12):
            clock.pass_s(0.001)
            name = "vw"[number % 2]
            await start(engine, name, correlation_id=str(number), priority=number // 8)
        assert ["8"] == await _names(engine, "a", 1)

    async def after(engine: Engine) -> None:
        assert {"a": 12} == engine.queue_sizes()
        await start(engine, "w", correlation_id="new")
        in_order = [*range(8, 12), *range(8)]
        assert [*map(str, in_order), "new"] == await _names(engine, "a")

    run(tmp_path, before, clock=clock)
    run(tmp_path, after, clock=clock)


def test_a_backlog_that_is_lost_is_read_again(tmp_path: Path) -> None:
    """The disk under it fails: the next poll finds what the records say, each task once."""
    broken = False

    class Failing(sqlite3.Connection):
        """To a disk that fails from a certain moment on."""

        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            """Run a statement, as long as the disk is well."""
            if broken:
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, parameters)

    def connect() -> sqlite3.Connection:
        return sqlite3.connect("", isolation_level=None, factory=Failing)

    async def body(engine: Engine) -> None:
        nonlocal broken
        engine.hand_over.queues = Queues(Backlog(connect), window=3)
        await define(engine, "w", simple("a"))
        for number in range(12):
            await start(engine, "w", correlation_id=str(number))
        broken = True
        found: list[str] = []
        while len(found) < 12:
            found += await _names(engine, "a", 2)

        assert sorted(map(str, range(12))) == sorted(found)
        assert [] == await _names(engine, "a")

    run(tmp_path, body)
