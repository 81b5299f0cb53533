"""Endpoints for what is fetched: see `test_fetches`, which asks them for everything."""

from __future__ import annotations

from pathlib import Path

from sync.control_plane.access import Area
from tests.unit.sync.control_plane.api_world import World, in_world


def test_all_of_them_are_of_one_area(tmp_path: Path) -> None:
    """A token that is held to it may do all of it, and one that is held to others none."""

    async def play(world: World) -> None:
        paths = ("/logs", "/task-logs", "/files", "/histories")
        ours = [
            one
            for one in world.app.state.operations
            if one.path.startswith("/api/v1/fetches") or one.path.endswith(paths)
        ]
        assert 8 == len(ours)
        assert {Area.LOGS} == {one.area for one in ours}

    in_world(tmp_path / "ledger.db", play)
