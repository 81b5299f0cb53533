"""The list of devices is brought up in steps, and made again from what is known of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sync.control_plane import fleet
from sync.control_plane.dialect import Connection
from sync.control_plane.ledger import Ledger
from sync.control_plane.search_terms import parse
from sync.control_plane.truth import Presence
from sync.records import ClockRecord, Lane
from sync.topics import Address
from tests.unit.sync.control_plane.test_ledger import Sender, workflow

NOW_MS = 1_800_000_000_000


def test_the_list_is_made_again(where: Path | str) -> None:
    """More devices than one step takes: none is left out, and the same list comes of it."""
    many = fleet.REFRESHED_AT_ONCE + 40

    async def run() -> None:
        ledger = await Ledger.open(where, now_ms=lambda: 5)
        await ledger.note_presence(
            [Presence(Address("default", f"d{n:04d}"), n % 3 > 0, 1, 1, 1) for n in range(many)]
        )
        while await ledger.project():
            pass

        def listed(connection: Connection) -> list[fleet.FleetRow]:
            page = fleet.page(connection, tenant="default", terms=[], now_ms=5, limit=10_000)
            return page.rows

        before = await ledger.read(listed)
        await ledger.write(fleet.forget)
        emptied = await ledger.read(listed)
        steps = 0
        while await ledger.write(fleet.refresh):
            steps += 1
        after = await ledger.read(listed)
        states = await ledger.read(lambda c: fleet.states(c, "default"))
        versions = await ledger.read(lambda c: fleet.versions(c, "default"))
        await ledger.close()

        # The wills of a third of them made no device known.
        known = sum(n % 3 > 0 for n in range(many))
        assert (known, [], known) == (len(before), emptied, len(after))
        assert before == after
        assert {"online": known, "lagging": 0, "offline": 0, "never": 0} == states
        assert {"": known} == versions
        assert 1 <= steps <= 2

    asyncio.run(run())


def test_how_far_a_history_has_come_is_shown_on_our_clock(where: Path | str) -> None:
    """A clock that begins in 1970 is not believed, and a measurement puts its times right."""
    second = 1_000

    async def run() -> None:
        ledger = await Ledger.open(where, now_ms=lambda: NOW_MS)

        async def shown() -> list[tuple[int, int]]:
            while await ledger.project():
                pass
            page = await ledger.read(
                lambda c: fleet.page(c, tenant="default", terms=[], now_ms=NOW_MS, limit=9)
            )
            return [(row.synced_to_ms, row.synced_clock_ms) for row in page.rows]

        async def old(age: str) -> list[str]:
            terms = parse(f"synced:older:{age}", fleet.FIELDS, now_ms=NOW_MS)
            page = await ledger.read(
                lambda c: fleet.page(c, tenant="default", terms=terms, now_ms=NOW_MS, limit=9)
            )
            return [row.device for row in page.rows]

        box, gate = Sender("box"), Sender("gate")
        await ledger.commit([
            box.frame(workflow("w1"), at_ms=90 * second),
            gate.frame(workflow("w2"), at_ms=NOW_MS - 40 * second),
        ])  # fmt: skip
        unknown = await shown(), await old("1m")
        # It was a minute after its start that it showed a minute and 10 seconds.
        told = ClockRecord(70 * second, NOW_MS - 600 * second - 70 * second, 5)
        await ledger.commit([box.frame(told, lane=Lane.CONTROL, at_ms=70 * second)])
        measured = await shown(), await old("1m")
        ahead = ClockRecord(NOW_MS - 40 * second, 900 * second, 5)
        await ledger.commit([gate.frame(ahead, lane=Lane.CONTROL, at_ms=NOW_MS - 40 * second)])
        future = await shown()
        await ledger.close()

        gate_shown = (NOW_MS - 40 * second, NOW_MS - 40 * second)
        assert ([(NOW_MS, 90 * second), gate_shown], []) == unknown
        assert ([(NOW_MS - 580 * second, 90 * second), gate_shown], ["box"]) == measured
        assert (NOW_MS, NOW_MS - 40 * second) == future[1], "nothing is of a time to come"

    asyncio.run(run())


def test_a_list_of_an_older_release_shows_nothing_of_a_time_to_come(tmp_path: Path) -> None:
    """It is filled from what it has, until each device is heard of next."""

    async def run() -> None:
        ledger = await Ledger.open(tmp_path / "ledger.db", now_ms=lambda: NOW_MS)
        ahead, behind = Sender("ahead"), Sender("behind")
        await ledger.commit([
            ahead.frame(workflow("w1"), at_ms=NOW_MS + 500),
            behind.frame(workflow("w1"), at_ms=NOW_MS - 500),
        ])  # fmt: skip
        await ledger.write(lambda c: c.execute("ALTER TABLE fleet DROP COLUMN synced_at_ms"))
        await ledger.close()
        ledger = await Ledger.open(tmp_path / "ledger.db", now_ms=lambda: NOW_MS)
        page = await ledger.read(
            lambda c: fleet.page(c, tenant="default", terms=[], now_ms=NOW_MS, limit=9)
        )
        await ledger.close()

        assert [NOW_MS, NOW_MS - 500] == [row.synced_to_ms for row in page.rows]

    asyncio.run(run())
