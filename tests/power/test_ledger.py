"""The control plane's ledger while it takes in history: what was acknowledged outlives a power cut."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from sync.control_plane import scrub
from sync.control_plane.dialect import Connection
from sync.control_plane.ledger import Ledger
from sync.receiver import Arrival
from tests.power.disk import MODES, Disk
from tests.power.recorder import Adapter, Journal, inline, recording
from tests.power.recording import put_files, scratch
from tests.power.wrong import AnswersBeforeCommit, SyncsSometimes
from tests.unit.sync.control_plane.test_ledger import NOW_MS, Sender, bring, task, workflow

_FILE = "ledger.db"
_COVERED = """
SELECT COALESCE(SUM(count), 0) FROM segment WHERE first_seq + count - 1 <= ?
"""
_CURSOR = "SELECT COALESCE(MAX(acked), 0) FROM cursor"


class _Life(NamedTuple):
    """What happened to a ledger without a power cut."""

    journal: Journal
    acknowledged: list[tuple[int, int]]
    """Operations after which a sequence was acknowledged."""
    frames: list[Arrival]
    shown: dict[str, int]


def _frames() -> list[Arrival]:
    """Twelve executions of a device, some of them bringing larger payloads."""
    roof = Sender()
    return [
        roof.frame(
            workflow(f"w{number}", input=b'{"x":"%s"}' % (b"y" * 600 * (number % 3))),
            task(f"w{number}", "t", "COMPLETED", 11),
            workflow(f"w{number}", "COMPLETED", 20, ended_ms=20),
        )
        for number in range(12)
    ]


async def _acked(ledger: Ledger) -> int:
    def read(connection: Connection) -> int:
        return int(connection.execute(_CURSOR).fetchone()[0])

    return await ledger._database.read(read)


def _live(root: Path, adapter: type[Adapter] = Adapter) -> _Life:
    """Take in two frames at a time, and bring them into view in between."""

    async def main() -> _Life:
        journal, frames = Journal(root), _frames()
        connect = recording(journal, lambda _: None, adapter=adapter)
        ledger = await Ledger.open(root / _FILE, now_ms=lambda: NOW_MS, connect=connect)
        acknowledged = []
        for first in range(0, len(frames), 2):
            await ledger.commit(frames[first : first + 2])
            acknowledged.append((len(journal.operations), await _acked(ledger)))
            await ledger.project()
        while await ledger.project():
            pass
        shown = (await ledger.summary()).executions
        await ledger.close()
        return _Life(journal, acknowledged, frames, shown)

    return asyncio.run(main())


async def _fault_of(root: Path, owed: int, life: _Life) -> str:
    """What is wrong with a ledger after a power cut; "" = nothing."""
    ledger = await Ledger.open(root / _FILE, now_ms=lambda: NOW_MS, connect=inline())
    try:
        acked = await _acked(ledger)
        if acked < owed:
            return f"{owed} was acknowledged, and {acked} is there"
        covered = await ledger._database.read(
            lambda connection: connection.execute(_COVERED, (acked,)).fetchone()[0]
        )
        if covered != acked:
            return f"the cursor says {acked}, and there are {covered} records"
        page = await ledger._write(lambda connection: scrub.look(connection, after=0, limit=99))
        if page.damaged:
            return "a segment is damaged"
        # The device sends again what was not acknowledged, and what it does not know to be.
        await bring(ledger, *life.frames)
        shown = (await ledger.summary()).executions
        return "" if shown == life.shown else f"{shown} is shown in the end"
    finally:
        await ledger.close()


def _faults(life: _Life, folder: Path, modes: Sequence[str], seeds: int) -> list[str]:
    disk, found, seen = Disk({}), [], set()
    for operation in life.journal.operations:
        disk.advance(operation)
        owed = max((seq for at, seq in life.acknowledged if at <= disk.index), default=0)
        for mode in modes:
            for seed in range(seeds):
                image = disk.image(mode, str(seed))
                if (image.key, mode == "zeros", owed) in seen:
                    continue
                seen.add((image.key, mode == "zeros", owed))
                built = disk.build(image)
                put_files(folder, {name: one.content for name, one in built.items()})
                wrong = asyncio.run(_fault_of(folder, owed, life))
                found += [f"{disk.index}:{mode}:{seed} {wrong}"] if wrong else []
    return found


@pytest.mark.timeout(300)
def test_a_power_cut_while_history_arrives() -> None:
    """After each operation in each mode: nothing acknowledged is lost, and all of it is shown."""
    with scratch() as folder:
        (folder / "data").mkdir()
        life = _live(folder / "data")

        assert {"COMPLETED": 12} == life.shown
        assert [6, 12, 18, 24, 30, 36] == [seq for _, seq in life.acknowledged]
        assert [] == _faults(life, folder / "cut", MODES, 1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("wrong", [SyncsSometimes, AnswersBeforeCommit])
def test_a_ledger_that_acknowledges_too_early_is_found(wrong: type[Adapter]) -> None:
    """So that the test above says something."""
    with scratch() as folder:
        (folder / "data").mkdir()
        found = _faults(_live(folder / "data", wrong), folder / "cut", ("drop", "prefix"), 1)

    assert "was acknowledged, and" in "\n".join(found)
