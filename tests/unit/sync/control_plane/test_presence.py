"""Who is there: what devices, their wills and their hellos say of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sync import frames
from sync.control_plane.ledger import Ledger
from sync.control_plane.truth import Presence
from sync.frames import Hello
from sync.records import Lane
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


def test_of_two_machines_the_last_word_counts(where: Path | str) -> None:
    """Nothing says which of their connections is the newer one, but the broker lets only one in."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()

        async def say(*, online: bool, place: tuple[int, int, int]) -> str:
            await ledger.note_presence([Presence(roof.address, online, *place)])
            return await state()

        async def state() -> str:
            found = await ledger.device("roof")
            return found.state if found else "unknown"

        async def greet(boot: int, nonce: int, epoch: int = 1) -> str:
            hello = Hello(boot=boot, nonce=nonce, lanes={}, run=bytes([boot]))
            arrival = roof.arrival(frames.encode_hello(hello, epoch=epoch), Lane.CONTROL)
            (outgoing,) = await ledger.commit([arrival])
            return frames.decode_ack(outgoing.payload).refused

        assert "online" == await say(online=True, place=(1, 5, 7))
        assert "" == await greet(5, 10)
        assert "online" == await say(online=False, place=(1, 2, 9)), "it may be late"
        assert frames.DUPLICATE == await greet(2, 11)
        assert "offline" == await say(online=False, place=(1, 2, 9))
        assert "online" == await say(online=True, place=(1, 5, 12))
        assert "online" == await say(online=True, place=(2, 2, 13))
        assert "online" == await say(online=False, place=(1, 5, 12)), "the other begins an epoch"
        assert "" == await greet(2, 14, epoch=2)
        assert "online" == await say(online=False, place=(1, 5, 12))

    with_ledger(where, scenario)


def test_a_hello_is_a_sign_of_life_though_another_machine_has_said_farewell(
    where: Path | str,
) -> None:
    """The other was of a later boot, and its hello never came."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()

        async def greet(boot: int) -> str:
            hello = Hello(boot=boot, nonce=boot, lanes={}, run=bytes([boot]))
            await ledger.commit([roof.arrival(frames.encode_hello(hello, epoch=1), Lane.CONTROL)])
            found = await ledger.device("roof")
            return found.state if found else "unknown"

        for online in (True, False):
            await ledger.note_presence([Presence(roof.address, online, 1, 5, 7)])
        assert "offline" == await greet(5)
        for online in (True, False):
            await ledger.note_presence([Presence(roof.address, online, 1, 6, 9)])
        assert "online" == await greet(5)

    with_ledger(where, scenario)
