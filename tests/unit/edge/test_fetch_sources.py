"""Where things are that are fetched: see `test_fetching`, which meets them on the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.engine import Engine
from edge.fetch_sources import Sources
from edge.model.errors import NotFound
from edge.uploads import Uploads
from sync.orders import JournalBody
from tests.unit.edge.engine_house import run


def test_a_daemon_without_a_journal_says_so(tmp_path: Path) -> None:
    """And names the key."""

    async def body(engine: Engine) -> None:
        sources = Sources(
            engine,
            journal=None,
            evidence=tmp_path,
            files=lambda: None,
            uploads=lambda: Uploads(tmp_path, 1),
        )
        with pytest.raises(NotFound, match=r"daemon\.journal_mb"):
            await sources.find(JournalBody(), 1_000)
        await asyncio.sleep(0)

    run(tmp_path, body)
