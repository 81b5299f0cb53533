"""What a device has beyond itself: see `test_device_role`, which runs all of it."""

from __future__ import annotations

from pathlib import Path

from edge import device_links
from edge.api.house import House
from edge.config import Settings, SyncSettings
from edge.data_dir import DataDir
from edge.engine import Engine
from tests.unit.edge.engine_house import run


def test_nothing_is_fetched_where_the_site_does_not_want_it(tmp_path: Path) -> None:
    """Zero megabytes are no answers, and not empty ones."""

    async def body(engine: Engine) -> None:
        for most_mb in (0, 1):
            settings = Settings(sync=SyncSettings(enabled=True, fetch_most_mb=most_mb))
            found = device_links.fetches(
                settings, DataDir(tmp_path), engine, None, lambda: House(engine)
            )
            assert bool(most_mb) == (found is not None)

    run(tmp_path, body)
