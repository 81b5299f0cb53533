"""A control plane is put together and let go; see test_daemon for it as a process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge.cloud_role import open_role
from edge.config import load
from edge.data_dir import DataDir


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
