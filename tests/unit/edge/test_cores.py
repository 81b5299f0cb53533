"""One core for the threads that take turns, and when it is another."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge.attempts import Attempt, run
from edge.cores import Home, Linux, OnWriter
from edge.model.executions import TaskStatus

EVERYWHERE = frozenset({0, 1, 2})


class FakeMachine:
    """Three cores, and what somebody wants them to say."""

    def __init__(self) -> None:
        self.cores = EVERYWHERE
        self.fast = EVERYWHERE
        self.core = 1
        self.busy = {0: 0.0, 1: 0.0, 2: 0.0}
        self.used = {10: 0.0, 11: 0.0}
        self.places: dict[int, frozenset[int]] = {}
        self.fault: Exception | None = None

    def allowed(self) -> frozenset[int]:
        if self.fault is not None:
            raise self.fault
        return self.cores

    def fastest(self, cores: frozenset[int]) -> frozenset[int]:
        return cores & self.fast

    def here(self) -> int:
        return self.core

    def busy_s(self) -> dict[int, float]:
        return dict(self.busy)

    def used_s(self, thread: int) -> float:
        return self.used[thread]

    def threads_on(self, core: int) -> list[int]:
        return [one for one, cores in self.places.items() if one and cores == {core}]

    def put(self, thread: int, cores: frozenset[int]) -> None:
        self.places[thread] = cores


async def _on_this_thread(function: Callable[[], None]) -> None:
    function()


@contextlib.asynccontextmanager
async def _kept(home: Home, on_writer: OnWriter) -> AsyncIterator[None]:
    """A home that is looked after."""
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(home.keep(on_writer))
        for _ in range(5):
            await asyncio.sleep(0.005)
        yield
        keeping.cancel()


def _settled(machine: FakeMachine) -> Home:
    """A home on core 1 with two threads, looked at once."""
    home = Home(machine)
    home._core, home._everywhere = 1, EVERYWHERE
    machine.places = {10: frozenset({1}), 11: frozenset({1})}
    home.look(0.0, EVERYWHERE)
    return home


def test_it_stays_where_others_are_not() -> None:
    """What the core does for us is no reason to leave it."""
    machine = FakeMachine()
    home = _settled(machine)
    # All that the core has done was for us.
    machine.busy = {0: 1.0, 1: 9.0, 2: 2.0}
    machine.used = {10: 5.0, 11: 4.0}
    home.look(10.0, EVERYWHERE)
    assert machine.places == {10: frozenset({1}), 11: frozenset({1})}


def test_a_home_that_was_given_up_is_looked_at_no_more() -> None:
    """Two daemons of one process share it; when one ends, threads run where they like."""
    machine = FakeMachine()
    home = _settled(machine)
    home._let_go()
    machine.busy = {0: 0.0, 1: 9.0, 2: 0.0}
    home.look(10.0, EVERYWHERE)
    assert machine.places == {10: EVERYWHERE, 11: EVERYWHERE}


def test_it_moves_to_the_core_that_others_want_least() -> None:
    """A core that others keep busy is left, by all who live there and who come back."""
    machine = FakeMachine()
    home = _settled(machine)
    machine.busy = {0: 1.0, 1: 9.0, 2: 0.5}
    machine.used = {10: 3.0, 11: 1.0}
    home.look(10.0, EVERYWHERE)
    assert machine.places == {10: frozenset({2}), 11: frozenset({2})}
    with home.abroad():
        assert machine.places[0] == EVERYWHERE
    assert machine.places[0] == {2}


def test_it_stays_when_another_core_is_hardly_better() -> None:
    """It does not go to and fro between cores that are busy alike."""
    machine = FakeMachine()
    home = _settled(machine)
    machine.busy = {0: 5.0, 1: 7.0, 2: 6.0}
    home.look(10.0, EVERYWHERE)
    assert machine.places[10] == {1}


def test_it_moves_to_no_core_that_does_not_come_into_question() -> None:
    """A slow core may be idle: nobody moves there."""
    machine = FakeMachine()
    home = _settled(machine)
    machine.busy = {0: 0.0, 1: 9.0, 2: 0.0}
    home.look(10.0, frozenset({1, 2}))
    assert machine.places[10] == {2}


def test_a_thread_that_is_new_has_done_nothing_before() -> None:
    """What a thread had worked when it was first seen is not taken for work of now."""
    machine = FakeMachine()
    home = _settled(machine)
    machine.places[12] = frozenset({1})
    machine.used[12] = 100.0
    machine.busy = {0: 0.0, 1: 9.0, 2: 0.0}
    home.look(10.0, EVERYWHERE)
    assert machine.places[12] == {0}


def test_slow_cores_are_left_alone() -> None:
    """A loop that finds itself on a slow core takes another."""
    machine = FakeMachine()
    machine.fast = frozenset({0, 2})

    async def live() -> None:
        async with _kept(Home(machine), _on_this_thread):
            assert machine.places[0] == {0}

    asyncio.run(live())


def test_with_one_core_nothing_is_done() -> None:
    """Where there is no choice nobody is moved."""
    machine = FakeMachine()
    machine.cores = frozenset({1})
    asyncio.run(Home(machine).keep(_on_this_thread))
    assert machine.places == {}


@pytest.mark.parametrize("fault", [OSError("no"), ValueError("odd"), AttributeError("not Linux")])
def test_where_nobody_can_say_nothing_is_done(fault: Exception) -> None:
    """A machine that tells nothing of its cores is no fault."""
    machine = FakeMachine()
    machine.fault = fault
    asyncio.run(Home(machine).keep(_on_this_thread))
    assert machine.places == {}


def test_abroad_is_nothing_without_a_home() -> None:
    """Handlers in a process without a home are left alone."""
    machine = FakeMachine()
    with Home(machine).abroad():
        pass
    assert machine.places == {}


def test_a_handler_runs_abroad(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler may run anywhere, and its thread comes back."""
    machine = FakeMachine()
    home = _settled(machine)
    monkeypatch.setattr("edge.attempts.HOME", home)
    seen = []

    def handler(_: object) -> dict[str, int]:
        seen.append(machine.places[0])
        return {}

    attempt = Attempt.__new__(Attempt)
    attempt._lines, attempt._lines_left_out = [], 0
    assert run(handler, attempt).status is TaskStatus.COMPLETED
    assert seen == [EVERYWHERE]
    assert machine.places[0] == {1}


# The machine itself.

two_cores = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="there is one core only",
)


@pytest.fixture
def _left_alone() -> Iterator[None]:
    """Whatever becomes of the test, the thread that runs it is where it was."""
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


@two_cores
@pytest.mark.usefixtures("_left_alone")
def test_threads_live_together_and_are_let_go() -> None:
    """On this machine: loop, writer and handlers share a core, and are let go in the end."""
    asyncio.run(_live_together())


async def _live_together() -> None:
    home, everywhere = Home(Linux()), os.sched_getaffinity(0)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as writer, ThreadPoolExecutor(1) as handlers:
        await loop.run_in_executor(writer, threading.get_ident)

        async def on_writer(function: Callable[[], None]) -> None:
            await loop.run_in_executor(writer, function)

        def gone() -> set[int]:
            home.leave()
            return os.sched_getaffinity(0)

        def abroad() -> set[int]:
            with home.abroad():
                return os.sched_getaffinity(0)

        async with _kept(home, on_writer):
            here = os.sched_getaffinity(0)
            assert len(here) == 1
            assert await loop.run_in_executor(writer, os.sched_getaffinity, 0) == here
            # It is made by a thread that lives there.
            assert await loop.run_in_executor(handlers, abroad) == everywhere
            assert await loop.run_in_executor(handlers, os.sched_getaffinity, 0) == here
            home.look(loop.time(), frozenset(everywhere))
            assert await loop.run_in_executor(handlers, gone) == everywhere
        assert os.sched_getaffinity(0) == everywhere
        assert await loop.run_in_executor(writer, os.sched_getaffinity, 0) == everywhere
        assert await loop.run_in_executor(handlers, os.sched_getaffinity, 0) == everywhere


@two_cores
def test_what_the_machine_tells() -> None:
    """This machine tells what is asked of it."""
    linux = Linux()
    assert linux.here() in linux.busy_s()
    assert linux.used_s(threading.get_native_id()) > 0
    assert linux.fastest(linux.allowed()) <= linux.allowed()
    assert sum(linux.busy_s().values()) > 0


def test_cores_that_are_not_alike(tmp_path: Path) -> None:
    """Where Linux tells what cores can do, the fastest are taken."""
    for core, power in ((0, 446), (1, 1024), (2, 1024)):
        folder = tmp_path / f"cpu{core}"
        folder.mkdir()
        (folder / "cpu_capacity").write_text(f"{power}\n")
    assert Linux(cores=tmp_path).fastest(EVERYWHERE) == {1, 2}


def test_how_busy_cores_are(tmp_path: Path) -> None:
    """Idle and waiting time is not counted, guests are not counted twice."""
    (tmp_path / "stat").write_text(
        "cpu  400 0 200 9000 100 0 50 50 7 7\n"
        "cpu0 300 0 100 4000 50 0 50 0 7 7\n"
        "cpu12 100 0 100 5000 50 0 0 50 7 7\n"
        "intr 5 0\n\n"
    )
    assert Linux(proc=tmp_path).busy_s() == {0: 4.5, 12: 2.5}
