"""Who is there: what devices, their wills and their hellos say of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sync.control_plane.ledger import Ledger
from sync.control_plane.truth import Presence
from sync.topics import Address
from tests.unit.sync.control_plane.test_ledger import Sender, bring, with_ledger


def test_an_older_connection_never_speaks_over_a_newer_one(where: Path | str) -> None:
    """I-11: a will of an earlier session, boot or epoch changes nothing."""

    async def scenario(ledger: Ledger) -> None:
        roof = Address("default", "roof")

        async def say(*, online: bool, place: Sequence[int]) -> str:
            epoch, boot, session = place
            await ledger.note_presence([Presence(roof, online, epoch, boot, session)])
            found = await ledger.device("roof")
            return found.state if found else "unknown"

        assert "unknown" == await say(online=False, place=(1, 1, 5))
        assert "online" == await say(online=True, place=(1, 1, 7))
        assert "online" == await say(online=False, place=(1, 1, 6))
        assert "offline" == await say(online=False, place=(1, 1, 7))
        assert "online" == await say(online=True, place=(1, 2, 1))
        assert "online" == await say(online=False, place=(1, 1, 99))
        assert "online" == await say(online=True, place=(2, 1, 1))
        assert "online" == await say(online=False, place=(1, 9, 9))
        await ledger.note_broker_lost()
        found = await ledger.device("roof")
        assert found is not None
        assert not found.online

    with_ledger(where, scenario)


def test_a_hello_stands_in_for_a_presence_that_a_broker_let_fall(where: Path | str) -> None:
    """Of a device that was there when the broker was lost; one that has said farewell is gone."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()

        async def say(*, online: bool, session: int) -> str:
            await ledger.note_presence([Presence(roof.address, online, 1, 1, session)])
            return await state()

        async def state() -> str:
            found = await ledger.device("roof")
            return found.state if found else "unknown"

        assert "online" == await say(online=True, session=7)
        await ledger.note_broker_lost()
        assert "offline" == await state()
        await bring(ledger, roof.hello(history=1))
        assert "online" == await state()
        assert "offline" == await say(online=False, session=7)
        await bring(ledger, roof.hello(history=1))
        await ledger.note_broker_lost()
        await bring(ledger, roof.hello(history=1))
        assert "offline" == await state()

    with_ledger(where, scenario)
