"""Orders in the ledger: given once, sent in line, and shown as far as it is known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sync import frames, orders, receiver
from sync.control_plane.ledger import Ledger
from sync.control_plane.orders import (
    ASKED_FOR_MS,
    FIRST_WAIT_MS,
    REPORT_WAIT_MS,
    UNDER_WAY,
    DeviceUnknown,
    OrderConflict,
    OrderNotWithdrawn,
    Outbound,
)
from sync.control_plane.truth import Presence
from sync.frames import Hello
from sync.orders import OrderInvalid, Position
from sync.receiver import Arrival
from sync.records import Lane, OrderRecord, Record, encode_body
from sync.topics import Address
from tests.unit.sync.control_plane.test_ledger import Sender, with_ledger

ROOF = Address("default", "roof")
KEY = bytes(range(8))
DAY_MS = 86_400_000


class House:
    """A ledger with a clock that is set by hand, and a device that says hello to it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.now_ms = 1_000_000
        self.seq = 0

    async def hello(
        self, cseq: int = 0, name: str = "", *, epoch: int = 1, keys: Any = (KEY,)
    ) -> None:
        position = Position(cseq, name, list(keys)) if keys is not None else None
        hello = Hello(boot=1, nonce=1, lanes={}, orders=position)
        await self.take(frames.encode_hello(hello, epoch=epoch))

    async def online(self) -> None:
        await self.ledger.note_presence([Presence(ROOF, True, 1, 1, 1)])

    async def take(self, payload: bytes) -> None:
        found = receiver.read(ROOF.topic("up/0"), payload, received_ms=self.now_ms)
        assert isinstance(found, Arrival)
        await self.ledger.commit([found])

    async def report(self, name: str, cseq: int, state: str = "done", *, epoch: int = 1) -> None:
        self.seq += 1
        body = encode_body(OrderRecord(name, cseq, "start", state, output=b'{"workflowId":"w"}'))
        record = Record(Lane.CONTROL, self.seq, "order", self.now_ms, 1, body)
        await self.take(frames.encode([record], epoch=epoch, oldest_seq=1))
        await self.ledger.project()

    async def start(self, name: str | None = None, **more: Any) -> str:
        expires_ms = more.pop("expires_ms", self.now_ms + DAY_MS)
        body = more.pop("body", {"name": "demo"})
        given = await self.ledger.order(
            "roof", more.pop("kind", "start"), body, expires_ms=expires_ms, order_id=name, **more
        )
        return given.order_id

    async def due(self, *greeted: Address) -> list[Outbound]:
        return await self.ledger.due_orders(key_id=KEY, greeted=greeted)

    async def places(self, *greeted: Address) -> list[tuple[int, str]]:
        found = await self.due(*greeted)
        return [(one.cseq, one.id) for outbound in found for one in outbound.orders]

    async def state(self, name: str) -> str:
        found = await self.ledger.find_order(name)
        assert found is not None
        return found.state


def with_house(where: Path | str, scenario: Callable[[House], Awaitable[None]]) -> None:
    """Run a scenario over a fresh ledger that knows the device."""

    async def run() -> None:
        house: House
        ledger = await Ledger.open(where, now_ms=lambda: house.now_ms)
        house = House(ledger)
        try:
            await house.online()
            await scenario(house)
        finally:
            await ledger.close()

    asyncio.run(run())


def test_whoever_waits_for_an_order(where: Path | str) -> None:
    """Is told when it has come to something, at once when it has, and how it stands when not."""

    async def scenario(house: House) -> None:
        ledger = house.ledger
        await house.hello()
        assert await ledger.outcome("never-given", timeout_s=5) is None
        name = await house.start()
        waiting = await ledger.outcome(name, timeout_s=0.05)
        assert waiting is not None and not waiting.ended

        async with asyncio.TaskGroup() as group:
            waiter = group.create_task(ledger.outcome(name, timeout_s=30))
            await asyncio.sleep(0.05)
            assert not waiter.done()
            await house.places(ROOF)
            await house.report(name, 1)
        told = waiter.result()
        assert told is not None and told.ended and "done" == told.state
        assert told == await ledger.outcome(name, timeout_s=30)

        # Others that share the ledger do not tell: it is looked now and then.
        ledger.shared = True
        late = await ledger.outcome(await house.start(), timeout_s=0.05)
        assert late is not None and not late.ended

    with_house(where, scenario)


def test_an_order_goes_its_way(where: Path | str) -> None:
    """Queued, sent when the device is there, received, done; nothing is sent for nothing."""

    async def scenario(house: House) -> None:
        a = await house.start("a")
        assert "queued" == await house.state(a)
        assert [] == await house.due()
        await house.hello()
        assert [(1, "a")] == await house.places()
        assert "sent" == await house.state(a)
        assert [] == await house.due()
        await house.hello(1, "a")
        assert "received" == await house.state(a)
        await house.report("a", 1)
        found = await house.ledger.find_order(a)
        assert found is not None
        assert ("done", True, b'{"workflowId":"w"}') == (found.state, found.ended, found.output)

    with_house(where, scenario)


def test_orders_are_sent_in_line_and_again(where: Path | str) -> None:
    """After a while, and at once after a hello, what has not arrived goes again, first to last."""

    async def scenario(house: House) -> None:
        await house.hello()
        for name in "abc":
            await house.start(name)
        assert [(1, "a"), (2, "b"), (3, "c")] == await house.places()
        await house.start("d")
        assert [(4, "d")] == await house.places()
        house.now_ms += FIRST_WAIT_MS
        assert [(1, "a"), (2, "b"), (3, "c"), (4, "d")] == await house.places()
        await house.hello(2, "b")
        assert [(3, "c"), (4, "d")] == await house.places()
        await house.hello(4, "d")
        assert [] == await house.due()

    with_house(where, scenario)


def test_so_many_are_under_way_and_no_more(where: Path | str) -> None:
    """What comes after waits for a report."""

    async def scenario(house: House) -> None:
        await house.hello()
        for number in range(UNDER_WAY + 2):
            await house.start(f"n{number:03}")
        assert UNDER_WAY == len(await house.places())
        assert [] == await house.due()
        await house.report("n000", 1)
        assert [(UNDER_WAY + 1, f"n{UNDER_WAY:03}")] == await house.places()

    with_house(where, scenario)


def test_what_was_never_sent_expires_here(where: Path | str) -> None:
    """What was sent stays open: the device may have done it in time, and will say so."""

    async def scenario(house: House) -> None:
        late = house.now_ms + 1_000
        await house.start("early", expires_ms=late)
        await house.hello()
        assert [(1, "early")] == await house.places()
        await house.start("late", expires_ms=late)
        house.now_ms = late
        assert [] == await house.due()
        assert ("sent", "expired") == (await house.state("early"), await house.state("late"))
        await house.report("early", 1)
        assert "done" == await house.state("early")

    with_house(where, scenario)


def test_the_same_again_is_the_same_order(where: Path | str) -> None:
    """An id is an idempotency key; other content under it is refused."""

    async def scenario(house: House) -> None:
        await house.start("a")
        await house.start("a")
        assert 1 == len((await house.ledger.orders_of("roof")).rows)
        with pytest.raises(OrderConflict, match="another order"):
            await house.start("a", body={"name": "other"})

    with_house(where, scenario)


def test_a_newer_definition_takes_the_place_of_one_that_waits(where: Path | str) -> None:
    """Of what puts the same thing only the latest is sent."""

    async def scenario(house: House) -> None:
        def body(revision: int) -> dict[str, Any]:
            return {"name": "site", "variables": {}, "revision": revision}

        await house.start("one", kind="put-config", body=body(1))
        await house.start("two", kind="put-config", body=body(2))
        await house.hello()
        assert "superseded" == await house.state("one")
        assert [(1, "two")] == await house.places()
        await house.start("three", kind="put-config", body=body(3))
        assert "sent" == await house.state("two")

    with_house(where, scenario)


def test_only_what_was_not_sent_is_taken_back(where: Path | str) -> None:
    """Of the rest nobody knows whether it is done."""

    async def scenario(house: House) -> None:
        await house.start("a")
        taken = await house.ledger.withdraw_order("a", reason="a mistake")
        assert taken is not None
        assert ("superseded", "a mistake") == (taken.state, taken.reason)
        await house.start("b")
        await house.hello()
        await house.due()
        with pytest.raises(OrderNotWithdrawn, match="is sent"):
            await house.ledger.withdraw_order("b")
        assert await house.ledger.withdraw_order("nothing") is None

    with_house(where, scenario)


def test_a_device_that_takes_no_orders_of_ours_gets_none(where: Path | str) -> None:
    """Without a pinned key, or with another's, orders wait, and it is said why."""

    async def scenario(house: House) -> None:
        await house.start("a")
        await house.hello(keys=None)
        assert [] == await house.due(ROOF)
        found = await house.ledger.find_order("a")
        assert found is not None
        assert "order_keys" in found.waits_for
        await house.hello(keys=[bytes(8)])
        assert [] == await house.due(ROOF)
        await house.hello()
        assert [(1, "a")] == await house.places()

    with_house(where, scenario)


def test_another_history_gets_a_line_of_its_own(where: Path | str) -> None:
    """What was sent to the old one is never sent again: it may have been done there."""

    async def scenario(house: House) -> None:
        await house.hello()
        await house.start("a")
        await house.due()
        await house.start("b")
        await house.hello(epoch=2)
        assert "failed" == await house.state("a")
        assert [(1, "b")] == await house.places()
        await house.report("a", 1)
        assert "failed" == await house.state("a")

    with_house(where, scenario)


def test_a_ledger_that_was_put_back_goes_on_behind_the_device(where: Path | str) -> None:
    """Places that the device has used are not used again; the orders keep their ids."""

    async def scenario(house: House) -> None:
        await house.hello()
        await house.start("a")
        await house.due()
        await house.hello(7, "gone")
        await house.start("b")
        assert [(8, "a"), (9, "b")] == await house.places()
        await house.hello(8, "other")
        assert [(9, "a"), (10, "b")] == await house.places()

    with_house(where, scenario)


def test_a_copy_from_before_the_first_hello_asks_what_its_orders_came_to(where: Path | str) -> None:
    """The ledger that was lost may have sent what has expired in the copy: the device knows."""

    async def scenario(house: House) -> None:
        await house.start("a", expires_ms=house.now_ms + 1_000)
        house.now_ms += 1_000
        assert [] == await house.due()
        assert "expired" == await house.state("a")
        await house.hello(7, "gone")
        assert [(8, "a")] == await house.places()
        await house.report("a", 8)
        assert "done" == await house.state("a")

    with_house(where, scenario)


def test_a_device_is_asked_again_what_an_order_came_to(where: Path | str) -> None:
    """Under another place, after a while, until it may have forgotten the order."""

    async def scenario(house: House) -> None:
        await house.hello()
        await house.start("a")
        await house.due()
        await house.hello(1, "a")
        assert [] == await house.due(ROOF)
        house.now_ms += REPORT_WAIT_MS
        assert [(2, "a")] == await house.places()
        await house.hello(2, "a")
        house.now_ms += DAY_MS + ASKED_FOR_MS
        assert [] == await house.due()
        assert "failed" == await house.state("a")
        await house.report("a", 2)
        assert "done" == await house.state("a")

    with_house(where, scenario)


def test_a_late_hello_changes_nothing(where: Path | str) -> None:
    """What was said on an older connection comes after what was said on this one."""

    async def scenario(house: House) -> None:
        await house.hello()
        await house.start("a")
        await house.start("b")
        await house.due()
        await house.hello(2, "b")
        await house.hello()
        assert [] == await house.due(ROOF)
        assert "received" == await house.state("b")

    with_house(where, scenario)


def test_what_is_wrong_is_named(where: Path | str) -> None:
    """Device, times, ids."""

    async def scenario(house: House) -> None:
        with pytest.raises(DeviceUnknown, match="cellar"):
            await house.ledger.order("cellar", "start", {"name": "x"}, expires_ms=house.now_ms + 1)
        for expires_ms in (house.now_ms, house.now_ms + orders.LONGEST_MS + 1):
            with pytest.raises(OrderInvalid, match="expires"):
                await house.start(expires_ms=expires_ms)
        with pytest.raises(OrderInvalid, match="id"):
            await house.start("x" * 65)

    with_house(where, scenario)


def test_pages_go_from_the_newest_on(where: Path | str) -> None:
    """Each order is shown once, and those that are open can be asked for alone."""

    async def scenario(house: House) -> None:
        for name in "abc":
            await house.start(name)
        await house.ledger.withdraw_order("b")
        first = await house.ledger.orders_of(None, limit=2)
        rest = await house.ledger.orders_of(None, limit=2, after=first.next)
        assert ["c", "b", "a"] == [one.order_id for one in (*first.rows, *rest.rows)]
        assert rest.next is None
        opened = await house.ledger.orders_of("roof", open_only=True)
        assert ["c", "a"] == [one.order_id for one in opened.rows]

    with_house(where, scenario)


def test_a_rebuild_keeps_orders(where: Path | str) -> None:
    """They are truth; what devices have said of them is said again."""

    async def scenario(house: House) -> None:
        await house.hello()
        await house.start("a")
        await house.due()
        await house.report("a", 1)
        before = await house.ledger.find_order("a")
        await house.ledger.rebuild()
        assert before == await house.ledger.find_order("a")

    with_house(where, scenario)


class Ready:
    """Sends orders at once, as an ingest with a connection does."""

    def __init__(self) -> None:
        self.key_id: bytes | None = KEY
        self.sent: list[Outbound] = []

    def send(self, outbound: Outbound) -> None:
        self.sent.append(outbound)


def test_an_order_to_a_device_that_is_there_is_sent_by_what_gives_it(where: Path | str) -> None:
    """No second look and no second transaction: it is noted as sent when it has been given."""

    async def scenario(house: House) -> None:
        await house.hello()
        house.ledger.sender = sender = Ready()
        hints: list[str] = []
        house.ledger.on_orders.append(lambda: hints.append("look"))

        a, b = await house.start("a"), await house.start("b")

        sent = [(one.address, one.epoch, [o.id for o in one.orders]) for one in sender.sent]
        assert [(ROOF, 1, ["a"]), (ROOF, 1, ["b"])] == sent
        assert ["sent", "sent"] == [await house.state(a), await house.state(b)]
        assert [] == hints
        assert [] == await house.due()
        house.now_ms += FIRST_WAIT_MS
        assert [(1, "a"), (2, "b")] == await house.places()
        found = await house.ledger.find_order("a")
        assert found is not None
        assert 2 == found.sendings

    with_house(where, scenario)


@pytest.mark.parametrize("away", ["offline", "unconnected", "another key", "line is full"])
def test_an_order_that_cannot_go_at_once_waits_for_a_look(where: Path | str, away: str) -> None:
    """It stays queued, and whoever looks for orders is told to look."""

    async def scenario(house: House) -> None:
        await house.hello()
        house.ledger.sender = sender = Ready()
        match away:
            case "offline":
                await house.ledger.note_presence([Presence(ROOF, False, 1, 1, 1)])
            case "unconnected":
                sender.key_id = None
            case "another key":
                sender.key_id = bytes(8)
            case _:
                for at in range(UNDER_WAY):
                    await house.start(f"before{at}")
        sender.sent.clear()
        hints: list[str] = []
        house.ledger.on_orders.append(lambda: hints.append("look"))

        a = await house.start("a")

        assert "queued" == await house.state(a)
        assert [] == sender.sent
        assert ["look"] == hints

    with_house(where, scenario)


def test_a_look_finds_what_a_transaction_would(where: Path | str) -> None:
    """Nothing for nothing; what is due, and what is too late."""

    async def scenario(house: House) -> None:
        async def wait() -> bool:
            return await house.ledger.orders_wait(key_id=KEY)

        assert not await wait()
        await house.start("early", expires_ms=house.now_ms + 10)
        assert not await wait()
        await house.hello()
        assert await wait()
        await house.due()
        assert not await wait()
        await house.ledger.note_presence([Presence(ROOF, False, 1, 1, 2)])
        await house.start("late", expires_ms=house.now_ms + 10)
        assert not await wait()
        house.now_ms += 10
        assert await wait()
        await house.due()
        assert "expired" == await house.state("late")
        assert not await wait()

    with_house(where, scenario)


def test_how_far_a_device_was_with_its_orders_is_remembered(where: Path | str) -> None:
    """I-15: a later hello of a lower place is refused, though it comes in another transaction."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()

        async def refused(boot: int, nonce: int, place: int) -> str:
            orders = Position(place, f"o{place}")
            hello = Hello(boot=boot, nonce=nonce, lanes={}, run=bytes([boot]), orders=orders)
            arrival = roof.arrival(frames.encode_hello(hello, epoch=1), Lane.CONTROL)
            (outgoing,) = await ledger.commit([arrival])
            return frames.decode_ack(outgoing.payload).refused

        assert ["", "", frames.DUPLICATE] == [
            await refused(1, 10, 1),
            await refused(2, 11, 2),
            await refused(3, 12, 1),
        ]

    with_ledger(where, scenario)
