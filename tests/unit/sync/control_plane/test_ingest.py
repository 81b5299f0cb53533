"""What a presence message says, and what a load without a pause must not hold up.

The rest meets real brokers.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sync import frames, topics
from sync.control_plane import ingest
from sync.control_plane.ledger import Ledger
from sync.control_plane.projection import FEW_RECORDS
from sync.control_plane.truth import Presence
from sync.frames import Hello
from sync.identity import OrderKey
from sync.link import Broker, Received
from sync.orders import Position
from sync.topics import Address
from tests.unit.sync.control_plane.test_ledger import NOW_MS, Sender, workflow

TOPIC = "baton/1/default/roof/presence"


def test_a_birth_is_read() -> None:
    """State, place and release; unknown fields are ignored."""
    payload = b'{"state":"online","epoch":1,"boot":2,"session":3,"version":"1.0","more":[]}'
    expected = Presence(Address("default", "roof"), True, 1, 2, 3, "1.0")

    assert expected == ingest._read_presence(Received(TOPIC, payload, 1, 1))


def test_anything_but_online_is_offline() -> None:
    """A state of a later release is not taken for a connection."""
    payload = b'{"state":"asleep","epoch":1,"boot":2,"session":3}'
    presence = ingest._read_presence(Received(TOPIC, payload, 1, 1))

    assert presence is not None
    assert not presence.online


def test_no_more_waits_than_the_last_words_of_each_device() -> None:
    """However often it has come and gone, and whoever speaks late."""
    roof, barn = Address("default", "roof"), Address("default", "barn")
    waiting = ingest.Presences()
    for session in range(500):
        for online in (True, False):
            waiting.add(Presence(roof, online, 1, 1, session))
    waiting.add(Presence(barn, False, 1, 1, 7))
    waiting.add(Presence(barn, True, 1, 2, 1))
    waiting.add(Presence(roof, False, 1, 1, 3))

    assert [
        Presence(barn, False, 1, 1, 7),
        Presence(barn, True, 1, 2, 1),
        Presence(roof, True, 1, 1, 499),
        Presence(roof, False, 1, 1, 499),
    ] == sorted(waiting.all(), key=lambda one: one.address)
    waiting.clear()
    assert [] == waiting.all()


def test_who_has_come_last_is_told_of_last() -> None:
    """Two machines of one name: the one goes when the other comes."""
    roof = Address("default", "roof")
    waiting = ingest.Presences()
    waiting.add(Presence(roof, True, 1, 5, 7))
    waiting.add(Presence(roof, False, 1, 5, 7))
    waiting.add(Presence(roof, True, 2, 2, 9))

    assert [False, True] == [one.online for one in waiting.all()]
    waiting.add(Presence(roof, False, 2, 2, 9))
    waiting.add(Presence(roof, True, 2, 2, 9))
    assert [True, False] == [one.online for one in waiting.all()], "it ends after it has begun"


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (TOPIC, b""),
        (TOPIC, b"\xff"),
        (TOPIC, b"[" * 10_000),
        (TOPIC, b'{"state":"online","epoch":-1,"boot":2,"session":3}'),
        (TOPIC, b'{"state":"online"}'),
        ("baton/1/default/roof/other", b'{"state":"online","epoch":1,"boot":2,"session":3}'),
        ("elsewhere", b'{"state":"online","epoch":1,"boot":2,"session":3}'),
    ],
)
def test_rubbish_says_nothing(topic: str, payload: bytes) -> None:
    """An emptied retained message, noise and foreign topics are passed over."""
    assert ingest._read_presence(Received(topic, payload, 1, 1)) is None


class BusyWire:
    """A connection on which a large frame comes whenever somebody looks, after a hello."""

    def __init__(self, key: OrderKey, on_news: Callable[[], None]) -> None:
        self.on_news = on_news
        self.ordered = asyncio.Event()
        self._frames = itertools.count(1)
        self._roof = Sender()
        self._position = Position(0, "", [key.key_id])

    async def open(self) -> None:
        self.on_news()

    def news(self) -> list[Any]:
        number = next(self._frames)
        self.on_news()
        if number == 1:
            hello = Hello(boot=1, nonce=1, lanes={}, orders=self._position)
            birth = b'{"state":"online","epoch":1,"boot":1,"session":1}'
            return [
                self._received("presence", birth),
                self._received("up/0", frames.encode_hello(hello, epoch=1)),
            ]
        many = [workflow(f"w{number}-{at}") for at in range(FEW_RECORDS + 1)]
        return [self._received("up/2", self._roof.frame(*many).payload)]

    def _received(self, suffix: str, payload: bytes) -> Received:
        return Received(self._roof.address.topic(suffix), payload, 1, 1)

    def subscribe(self, filters: Sequence[str]) -> None:
        """It brings what it brings."""

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, message_id: str | None = None
    ) -> int:
        if topic == self._roof.address.topic("down"):
            self.ordered.set()
        return 1

    def settle(self, message: Received) -> None:
        """Nothing is sent again here."""

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.timeout(120)
def test_an_order_given_elsewhere_is_sent_under_any_load(tmp_path: Path) -> None:
    """Nobody tells this process of it, and there is no pause in which it would look by itself."""
    key = OrderKey(bytes(32))

    async def scenario() -> None:
        here, elsewhere = [
            await Ledger.open(tmp_path / "ledger.db", now_ms=lambda: NOW_MS) for _ in range(2)
        ]
        wires: list[BusyWire] = []

        def wiring(broker: Broker, *, on_news: Callable[[], None], **_: Any) -> BusyWire:
            wires.append(BusyWire(key, on_news))
            return wires[-1]

        busy = ingest.Ingest(
            broker=Broker(), ledger=here, now_ms=lambda: NOW_MS, chance=random.Random(1),
            wiring=wiring, order_key=key,
        )  # fmt: skip
        running = asyncio.create_task(busy.run())
        while not (await here.executions()).rows:
            await asyncio.sleep(0.01)
        await elsewhere.order(
            "roof", "start", {"name": "demo"}, expires_ms=NOW_MS + 3_600_000, order_id="a"
        )
        await wires[0].ordered.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await here.close()
        await elsewhere.close()

    asyncio.run(scenario())


class _QuietWire:
    """A connection on which nothing comes; it keeps what is said on it."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bytes, bool]] = []

    async def open(self) -> None:
        """Nothing is opened."""

    def news(self) -> list[Any]:
        return []

    def subscribe(self, filters: Sequence[str]) -> None:
        """Nothing comes."""

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, message_id: str | None = None
    ) -> int:
        self.said.append((topic, payload, retain))
        return 1

    def settle(self, message: Received) -> None:
        """Nothing comes."""

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("hears", "repeats"), [(ingest.Hears.ALL, True), (ingest.Hears.FRAMES, False)]
)
def test_it_is_said_again_who_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hears: ingest.Hears, repeats: bool
) -> None:
    """The same each time, retained; of several that share a ledger one is enough."""
    monkeypatch.setattr(ingest, "ANNOUNCE_EVERY_S", 0.01)
    wire = _QuietWire()

    async def scenario() -> None:
        ledger = await Ledger.open(tmp_path / "ledger.db", now_ms=lambda: NOW_MS)
        quiet = ingest.Ingest(
            broker=Broker(), ledger=ledger, now_ms=lambda: NOW_MS, chance=random.Random(1),
            hears=hears, wiring=lambda broker, **_: wire,
        )  # fmt: skip
        running = asyncio.create_task(quiet.run())
        async with asyncio.timeout(20):
            while len(wire.said) < (5 if repeats else 1):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await ledger.close()

    asyncio.run(scenario())
    said = frames.encode_announcement(frames.Announcement(NOW_MS))
    assert {("baton/1/default/server", said, True)} == set(wire.said)
    assert repeats == (len(wire.said) > 1)


def test_what_is_said_again_costs_an_idle_device_little() -> None:
    """Less than a tenth of 1 KB a minute, with the longest tenant and all that MQTT puts around it."""
    said = frames.encode_announcement(frames.Announcement(NOW_MS))
    message = 2 + 2 + len(topics.server("t" * 64)) + 2 + 1 + len(said)
    receipt = 4

    assert (message + receipt) * 60 / ingest.ANNOUNCE_EVERY_S < 125
