"""A control plane is put together and let go; see test_daemon for it as a process."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import msgspec
import pytest

from edge.cloud_role import _child, open_role
from edge.config import load
from edge.data_dir import DataDir
from edge.model.errors import StorageUnavailable


def test_a_control_plane_is_closed_once(tmp_path: Path) -> None:
    """``keep`` ends with it, a second close does nothing, the ledger is there."""

    async def main() -> None:
        data = DataDir(tmp_path)
        role = await open_role(load(None, data_dir=str(tmp_path)), data)
        async with asyncio.TaskGroup() as group:
            group.create_task(role.keep())
            await role.prepare()
            await role.alive()
            role.end_streams()
            await role.close()
            await role.close()

        assert data.ledger.exists()

    asyncio.run(main())


def test_a_ledger_that_cannot_be_written_is_what_a_daemon_waits_for(tmp_path: Path) -> None:
    """The watchdog knows the edge's errors only."""

    async def main() -> None:
        data = DataDir(tmp_path)
        role = await open_role(load(None, data_dir=str(tmp_path)), data)
        await role._ledger.write(lambda c: c.execute("PRAGMA busy_timeout = 1"))
        with closing(sqlite3.connect(data.ledger)) as disk:
            disk.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageUnavailable, match="locked"):
                await role.alive()
        await role.close()

    asyncio.run(main())


def test_an_ingester_that_cannot_begin_says_so_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It ends, and no trace is in the journal; neither the database nor the directory is there."""
    blocked = tmp_path / "file"
    blocked.touch()
    given = load(None, data_dir=str(tmp_path))
    settings = msgspec.structs.replace(
        given, cloud=msgspec.structs.replace(given.cloud, database="mysql://db")
    )
    for one in (settings, load(None, data_dir=str(blocked))):
        process = get_context("spawn").Process(target=_child, args=(one,))
        process.start()
        process.join()

        told = "".join(capfd.readouterr())
        assert 1 == process.exitcode
        assert "ingester_cannot_begin" in told
        assert "Traceback" not in told
