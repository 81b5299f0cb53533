"""The list of devices is brought up in steps, and made again from what is known of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sync.control_plane import fleet
from sync.control_plane.dialect import Connection
from sync.control_plane.ledger import Ledger
from sync.control_plane.truth import Presence
from sync.topics import Address


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
