"""The audit's chain over both databases: whole as written, broken wherever it was touched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sync.control_plane import audit
from sync.control_plane.access_routes import verify
from sync.control_plane.dialect import Connection
from sync.control_plane.ledger import Ledger


def with_chain(
    where: Path | str, scenario: Callable[[Ledger], Awaitable[None]], entries: int = 7
) -> None:
    """Run a scenario over a ledger with some entries."""

    async def run() -> None:
        ledger = await Ledger.open(where, now_ms=lambda: 1)

        def write(connection: Connection) -> None:
            for number in range(entries):
                audit.append(
                    connection, at_ms=number, tenant="ab"[number % 2], actor="eve",
                    action="device.tags", target=f"d{number}", detail={"n": number, "ü": None},
                )  # fmt: skip

        try:
            await ledger.write(write)
            await scenario(ledger)
        finally:
            await ledger.close()

    asyncio.run(run())


def test_the_chain_is_whole_and_paged(where: Path | str) -> None:
    """Newest first, by tenant, each entry with its digest."""

    async def scenario(ledger: Ledger) -> None:
        found = await verify(ledger)
        assert (True, 7, None) == (found.whole, found.entries, found.broken_at)
        page = await ledger.read(lambda c: audit.page(c, tenant=None, after=None, limit=3))
        assert [7, 6, 5] == [one.entry for one in page.entries]
        assert found.last_digest == page.entries[0].digest
        assert {"n": 6, "ü": None} == page.entries[0].detail
        rest = await ledger.read(lambda c: audit.page(c, tenant="a", after=page.next, limit=9))
        assert ([3, 1], None) == ([one.entry for one in rest.entries], rest.next)

    with_chain(where, scenario)


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit SET actor = 'adam' WHERE entry = 3", 3),
        ("UPDATE audit SET detail = '{}' WHERE entry = 7", 7),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE entry = 1", 1),
        ("DELETE FROM audit WHERE entry = 4", 4),
        ("UPDATE audit SET entry = entry + 1 WHERE entry = 7", 7),
        ("DELETE FROM audit WHERE entry = 7", None),
    ],
)
def test_what_was_touched_is_found(tmp_path: Path, statement: str, broken_at: int | None) -> None:
    """What is cut off at the end leaves a whole chain with another last digest."""

    async def scenario(ledger: Ledger) -> None:
        before = await verify(ledger)
        await ledger.write(lambda c: c.execute(statement).rowcount)
        after = await verify(ledger)

        assert broken_at == after.broken_at
        assert before.last_digest != after.last_digest

    with_chain(tmp_path / "ledger.db", scenario)


def test_a_long_chain_is_looked_at_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece begins with the digest that the one before has ended with."""
    monkeypatch.setattr(audit, "VERIFIED_AT_ONCE", 2)

    async def scenario(ledger: Ledger) -> None:
        assert (True, 8) == ((await verify(ledger)).whole, (await verify(ledger)).entries)
        await ledger.write(lambda c: c.execute("DELETE FROM audit WHERE entry = 5").rowcount)
        assert 5 == (await verify(ledger)).broken_at

    with_chain(tmp_path / "ledger.db", scenario, entries=8)


def test_what_is_too_long_is_told_by_its_digest(tmp_path: Path) -> None:
    """A definition that was pushed may have a megabyte."""

    async def scenario(ledger: Ledger) -> None:
        await ledger.write(
            lambda c: audit.append(
                c, at_ms=1, tenant="a", actor="eve", action="x", target="y", detail="z" * 30_000
            )
        )
        page = await ledger.read(lambda c: audit.page(c, tenant="a", after=None, limit=1))
        assert {"characters", "sha256"} == page.entries[0].detail.keys()
        assert (await verify(ledger)).whole

    with_chain(tmp_path / "ledger.db", scenario, entries=0)
