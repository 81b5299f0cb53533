"""Lineage (I-15): a database that was put back begins anew, whatever it was put back to."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.engine import Engine
from edge.lineage import Lineage, settle_lineage
from edge.store import outbox, retelling
from sync.identity import IdentityUnreadable
from sync.records import ClockRecord, Lane, decode_body
from tests.unit.edge.engine_house import define, engine_at, run, simple, start


async def epoch_of(folder: Path) -> int:
    """Start once; in which epoch the history goes on."""
    async with engine_at(folder / "baton.db", syncing=True) as engine:
        await settle_lineage(engine, folder / "identity")
        return engine.boot.epoch


def _remove(folder: Path) -> None:
    for file in folder.glob("baton.db*"):
        file.unlink()


def test_a_start_like_any_other_goes_on(tmp_path: Path) -> None:
    """Also one whose process died before anything was written beside the key."""

    async def scenario() -> None:
        assert [1, 1, 1] == [await epoch_of(tmp_path) for _ in range(3)]
        async with engine_at(tmp_path / "baton.db"):
            pass
        assert 1 == await epoch_of(tmp_path)

    asyncio.run(scenario())


def test_a_database_that_was_put_back_begins_anew(tmp_path: Path) -> None:
    """A copy of an earlier boot, and none at all; once each, above all epochs before."""

    async def scenario() -> None:
        await epoch_of(tmp_path)
        shutil.copy(tmp_path / "baton.db", tmp_path / "copy.db")
        assert [1, 1] == [await epoch_of(tmp_path) for _ in range(2)]
        _remove(tmp_path)
        shutil.copy(tmp_path / "copy.db", tmp_path / "baton.db")
        assert 2 == await epoch_of(tmp_path)
        with closing(sqlite3.connect(tmp_path / "baton.db")) as disk:
            assert retelling.wanted(disk)
        _remove(tmp_path)
        assert [3, 3] == [await epoch_of(tmp_path) for _ in range(2)]

    asyncio.run(scenario())


def test_an_epoch_begins_with_what_is_not_acknowledged(tmp_path: Path) -> None:
    """Its first sequences are those behind the cursors; the file has its number."""

    async def body(engine: Engine) -> None:
        await settle_lineage(engine, tmp_path / "identity")
        await define(engine, "demo", simple("a"), ownerEmail="a@b.c")
        await start(engine, "demo")
        await engine.request(lambda t: outbox.acknowledge(t.connection, {2: 1}))
        lineage = Lineage(engine, tmp_path / "identity")
        assert {Lane.HISTORY: 1} == await lineage.first()
        await lineage.begin_epoch(above=7)
        assert 8 == engine.boot.epoch
        assert {Lane.HISTORY: 2} == await lineage.first()
        await lineage.begin_epoch(above=3)
        assert 9 == engine.boot.epoch

    run(tmp_path, body, syncing=True)
    assert 9 == asyncio.run(epoch_of(tmp_path))


def test_what_the_clock_shows_is_recorded(tmp_path: Path) -> None:
    """In the control lane, as it was given."""
    seen = ClockRecord(5, -7, 3, [(1, 2, 0)])

    async def body(engine: Engine) -> None:
        lineage = Lineage(engine, tmp_path)
        await lineage.note_clock(seen)
        (record,) = await engine.database.read(
            lambda c: outbox.read_records(c, Lane.CONTROL, 0, 9, 999)
        )
        assert seen == decode_body(record.kind, record.body)
        assert list(lineage.jumps()) == [tuple(jump) for jump in engine.clock.jumps.all]

    run(tmp_path, body, syncing=True)


def test_what_the_clock_shows_wakes_who_sends(tmp_path: Path) -> None:
    """Though it was written past the records of decisions."""

    async def body(engine: Engine) -> None:
        told: list[bool] = []
        engine.on_effects(lambda effects: told.append(effects.outbox))
        await Lineage(engine, tmp_path).note_clock(ClockRecord(5, -7, 3, []))
        assert True in told

    run(tmp_path, body, syncing=True)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """It does not start without: a copy would not be found out."""

    async def body(engine: Engine) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(IdentityUnreadable, match="file"):
            await settle_lineage(engine, tmp_path / "file" / "identity")

    run(tmp_path, body, syncing=True)
