"""Search: every condition is a bound value, and pages follow each other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.model.executions import WorkflowStatus, workflow_uuid
from edge.store.search import Query, counts, search
from tests.unit.edge.engine_house import define, engine_at, simple, start


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE workflow; --", "noth%of it", "noth_ng of", "nüthing"]
)
def test_text_is_text(tmp_path: Path, text: str) -> None:
    """Whatever is searched for is a value and never SQL."""

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db", timers=False) as engine:
            await define(engine, "w", simple("a"))
            await start(engine, "w", input={"k": "nothing of it"})
            total, _ = await engine.database.read(lambda c: search(c, Query(text=text)))
            everything = await engine.database.read(counts)

            assert 0 == total
            assert {"RUNNING": 1} == everything

    asyncio.run(main())


def test_pages(tmp_path: Path) -> None:
    """Newest first, none twice, none left out; an empty list of names finds nothing."""

    async def main() -> None:
        async with engine_at(tmp_path / "baton.db", timers=False) as engine:
            await define(engine, "w", simple("a"))
            ids = [await start(engine, "w") for _ in range(5)]
            pages = [
                await engine.database.read(
                    lambda c, o=offset: search(  # type: ignore[misc]
                        c, Query(statuses=[WorkflowStatus.RUNNING], offset=o, limit=2)
                    )
                )
                for offset in (0, 2, 4)
            ]
            nothing = await engine.database.read(lambda c: search(c, Query(names=[])))

            assert {5} == {total for total, _ in pages}
            found = [workflow_uuid(w.id) for _, page in pages for w in page]
            assert list(reversed(ids)) == found
            assert (0, []) == nothing

    asyncio.run(main())
