"""The parts that a world is made of: virtual time, power cuts, shrinking, the command."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest

from tests.simulation import kept
from tests.simulation.disk import CUTS, Disk, PowerCut
from tests.simulation.loop import Deadlock, Livelock, SimLoop
from tests.simulation.mutants import MUTANTS
from tests.simulation.plan import Plan, draw
from tests.simulation.shrink import shrink
from tests.simulation.test_worlds import simulate
from tests.simulation.world import live


def test_waiting_costs_nothing() -> None:
    """A year passes at once, and those who wait are served in the order of their moments."""
    loop = SimLoop("1", shuffled=True)
    order: list[int] = []

    async def wait(days: int) -> None:
        await asyncio.sleep(days * 86_400)
        order.append(days)

    async def live_on() -> None:
        async with asyncio.TaskGroup() as group:
            for days in (365, 1, 30):
                group.create_task(wait(days))

    loop.run_until_complete(live_on())
    loop.close()

    assert [1, 30, 365] == order
    assert 365 * 86_400 == pytest.approx(loop.time())


def test_who_waits_for_nothing_is_found() -> None:
    """Where no timer is set, nobody ever goes on."""
    loop = SimLoop("1", shuffled=False)

    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        loop.run_until_complete(wait())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.call_later(0, loop.stop)
    loop.run_forever()
    loop.close()


def test_turning_in_circles_is_found() -> None:
    """A task that never lets time pass would turn for ever."""
    loop = SimLoop("1", shuffled=False)

    async def turn() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock):
        loop.run_until_complete(turn())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.call_later(0, loop.stop)
    loop.run_forever()
    loop.close()


@pytest.mark.parametrize("cut", CUTS)
def test_a_power_cut_leaves_whole_transactions(tmp_path: Path, cut: str) -> None:
    """What is found is what was before the last transaction, or all of it; told is kept."""
    found = set()
    for seed in range(40):
        found.add(_cut_at(tmp_path / f"{cut}{seed}", seed, cut))

    expected = {"before": {3}, "inside": {3}, "torn": {3, 6}, "after": {6}}
    assert expected[cut] == found


def _cut_at(folder: Path, seed: int, cut: str) -> int:
    """Rows that are left after a cut in a transaction of 3 rows, behind one of 3 that was told."""
    off: list[bool] = []
    disk = Disk(folder, "a.db", random.Random(seed), lambda: off.append(True))

    async def write() -> None:
        owner = await disk.connect(disk.path, writes=True)
        connection = owner._connection
        connection.execute("CREATE TABLE a (b BLOB NOT NULL)")
        disk.carry_out(connection, lambda c: _add(c, 1))
        disk.cut_next = cut
        with pytest.raises(PowerCut):
            disk.carry_out(connection, lambda c: _add(c, 2))
        owner.let_go()

    loop = SimLoop(str(seed), shuffled=False)
    loop.run_until_complete(write())
    loop.close()
    assert [True] == off
    with disk.look() as connection:
        assert ("ok",) == connection.execute("PRAGMA integrity_check").fetchone()
        rows: int = connection.execute("SELECT count(*) FROM a").fetchone()[0]
    return rows


def _add(connection: sqlite3.Connection, byte: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        connection.execute("INSERT INTO a VALUES (?)", (bytes([byte]) * 300,))
    connection.execute("COMMIT")


@pytest.mark.timeout(300)
def test_a_failing_plan_is_made_small(tmp_path: Path) -> None:
    """What is left still fails in the same way, can be kept, and fails again when it is read."""
    with MUTANTS["parent-not-told"].at_work():
        plan = _failing()
        what = _violation(plan)
        small = shrink(plan, lambda one: _violation(one) == what, lambda _: None)
        kept.write(tmp_path / "a.json", kept.Kept("a fault", what or "", small))

        assert len(small.events) <= 2 < len(plan.events)
        assert small == kept.read(tmp_path / "a.json").plan
        assert what == _violation(small)


def _failing() -> Plan:
    return next(plan for plan in map(draw, range(40)) if _violation(plan) is not None)


def _violation(plan: Plan) -> str | None:
    violation = live(plan).violation
    return None if violation is None else violation.what


@pytest.mark.timeout(300)
def test_the_command_teaches() -> None:
    """Help shows how it is used; what cannot be done is refused with the reason."""
    helped = simulate("--help")
    refused = simulate("--seeds", "9..3")
    missing = simulate("--plan", "nowhere.json")
    named = simulate("--list-mutants")

    assert 0 == helped.returncode
    assert "--shrink" in helped.stdout
    assert 2 == refused.returncode and "expected A..B" in refused.stderr
    assert 2 == missing.returncode and "cannot be read as a kept plan" in missing.stdout
    assert "lease-forgotten" in named.stdout


@pytest.mark.timeout(300)
def test_the_command_finds_and_says_how_to_see_it_again() -> None:
    """A fault ends in status 1, with the seed and the command that shows it again."""
    found = simulate("--seeds", "0..3", "--mutant", "timer-early")

    assert 1 == found.returncode
    assert "again: make simulate SEED=0" in found.stdout
    assert "seeds a minute" in found.stdout
