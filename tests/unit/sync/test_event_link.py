"""The link of events without a broker: its pace, what it drops, and when a message is settled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from sync import event_link
from sync.event_link import EventLink, _Pace
from sync.link import Broker, Link, Lost, NotTaken, Received, Subscribed, Unsubscribed


class _Inbox:
    """Takes messages, unless it is told to refuse."""

    def __init__(self, refusals: int = 0) -> None:
        self.taken: list[bytes] = []
        self.refusals = refusals

    async def filters(self) -> Sequence[str]:
        return []

    async def subscribed(self) -> Sequence[str]:
        return []

    async def note_subscribed(self, filters: Sequence[str]) -> None:
        raise AssertionError("nobody has subscribed")

    async def begin_session(self) -> None:
        raise AssertionError("no session begins")

    async def take(self, messages: Sequence[Received]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotTaken("the disk is full")
        self.taken += [message.payload for message in messages]


class _Line:
    """Only notes what was settled."""

    def __init__(self) -> None:
        self.settled: list[bytes] = []

    def settle(self, message: Received) -> None:
        self.settled.append(message.payload)


def _link(inbox: _Inbox, *, per_s: float = 1_000, max_bytes: int = 100) -> EventLink:
    return EventLink(
        broker=Broker(),
        client_id="c",
        inbox=inbox,
        publications=None,
        chance=random.Random(1),
        max_bytes=max_bytes,
        per_s=per_s,
    )


def _message(payload: bytes, *, topic: str = "a", qos: int = 1) -> Received:
    return Received(topic, payload, 1, qos)


def _play(link: EventLink, line: _Line, *messages: Received) -> list[float | None]:
    """Offer messages, then take until nothing is left or it has to wait."""

    async def main() -> list[float | None]:
        there = cast(Link, line)
        for message in messages:
            link._accept(there, message)
        pauses: list[float | None] = [0]
        while pauses[-1] == 0:
            pauses.append(await link._take(there))
        return pauses[1:]

    return asyncio.run(main())


def test_a_message_is_settled_when_it_is_taken() -> None:
    """In order; the broker hears nothing of one that the disk has refused."""
    inbox, line = _Inbox(refusals=1), _Line()
    link = _link(inbox)
    first = _play(link, line, _message(b"1"), _message(b"2"))
    settled = list(line.settled)
    link._retry_at_s = 0
    second = _play(link, line)

    assert ([event_link.RETRY_S], []) == (first, settled)
    assert [None] == second
    assert [b"1", b"2"] == inbox.taken == line.settled


def test_what_must_not_be_kept_is_dropped_and_settled() -> None:
    """Messages that are too large; those of the protocol are not even counted."""
    inbox, line = _Inbox(), _Line()
    link = _link(inbox)
    _play(link, line, _message(b"x" * 101), _message(b"1", topic="baton/1/a/b/up/2"))

    assert ([], 2) == (inbox.taken, len(line.settled))
    assert (1, 1) == (link.status().received, link.status().dropped)


def test_memory_is_bounded_for_what_nobody_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of messages without a receipt only so many wait; the others the broker holds back itself."""
    monkeypatch.setattr(event_link, "WAITING", 2)
    inbox, line = _Inbox(), _Line()
    link = _link(inbox)
    messages: list[Any] = [_message(b"%d" % n, qos=n % 2) for n in range(6)]
    _play(link, line, *messages)

    assert [b"0", b"1", b"3", b"5"] == inbox.taken
    assert 2 == link.status().dropped


def test_messages_are_taken_at_the_pace() -> None:
    """What is over it waits, unsettled."""
    inbox, line = _Inbox(), _Line()
    link = _link(inbox, per_s=3)
    (*_, pause_s) = _play(link, line, *(_message(b"m") for _ in range(5)))

    assert 3 == len(inbox.taken) == len(line.settled)
    assert pause_s is not None and 0 < pause_s <= 1 / 3


def test_pace() -> None:
    """A second's worth at once after a pause, then one at a time; slow paces allow one."""
    pace = _Pace(10)
    at_once = pace.allowed(100.0)
    pace.spend(at_once)
    slow = _Pace(0.1)
    slow.spend(slow.allowed(0.0))

    assert (10, 0, 0.1) == (at_once, pace.allowed(100.0), pace.wait_s(100.0))
    assert (1, 10) == (pace.allowed(100.125), pace.allowed(200.0))
    assert (10.0, 1) == (slow.wait_s(0.0), slow.allowed(10.0))


class _Session:
    """What a broker knows of our session; each instance of a link to it is one connection."""

    def __init__(self) -> None:
        self.there = False
        self.filters: set[str] = set()

    def link(self, *_: Any, on_news: Callable[[], None], **__: Any) -> _Connection:
        return _Connection(self, on_news)


class _Connection:
    """Is lost when it has answered."""

    def __init__(self, session: _Session, on_news: Callable[[], None]) -> None:
        self._session = session
        self._on_news = on_news
        self._news: list[Any] = []
        self.resumed = False

    async def open(self) -> None:
        self.resumed, self._session.there = self._session.there, True

    async def close(self) -> None:
        return

    def subscribe(self, filters: Sequence[str]) -> None:
        self._session.filters |= set(filters)
        self._answer(Subscribed(tuple(filters)))

    def unsubscribe(self, filters: Sequence[str]) -> None:
        self._session.filters -= set(filters)
        self._answer(Unsubscribed(tuple(filters)))

    def _answer(self, event: Any) -> None:
        self._news = [event, Lost("cut")]
        self._on_news()

    def news(self) -> list[Any]:
        news, self._news = self._news, []
        return news


class _Store(_Inbox):
    """Keeps what it is told, unless its disk is full."""

    def __init__(self, wanted: set[str], kept: set[str]) -> None:
        super().__init__()
        self.wanted, self.kept = wanted, kept
        self.begun = 0
        self.full = True

    async def filters(self) -> Sequence[str]:
        return sorted(self.wanted)

    async def subscribed(self) -> Sequence[str]:
        return sorted(self.kept)

    async def note_subscribed(self, filters: Sequence[str]) -> None:
        if self.full:
            raise NotTaken("full")
        self.kept = set(filters)

    async def begin_session(self) -> None:
        if self.full:
            raise NotTaken("full")
        self.begun += 1


def test_a_new_session_is_noted_when_the_disk_writes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The session that the broker resumes then is the new one, which knows of no subscription."""
    broker, store = _Session(), _Store({"a"}, {"a"})
    monkeypatch.setattr(event_link, "Link", broker.link)

    async def main() -> None:
        link = _link(store)
        link._subscribed = link._noted = {"a"}
        with pytest.raises(NotTaken):
            await link._converse()
        store.full = False
        await link._converse()

    asyncio.run(main())
    assert ({"a"}, {"a"}, 1) == (broker.filters, store.kept, store.begun)


def test_a_handler_that_comes_back_while_the_disk_is_full_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That the broker was unsubscribed is known, though it could not be noted."""
    broker, store = _Session(), _Store(set(), {"a"})
    broker.there, broker.filters = True, {"a"}
    monkeypatch.setattr(event_link, "Link", broker.link)

    async def main() -> None:
        link = _link(store)
        link._subscribed = link._noted = {"a"}
        with pytest.raises(NotTaken):
            await link._converse()
        store.full, store.wanted = False, {"a"}
        await link._converse()

    asyncio.run(main())
    assert ({"a"}, {"a"}) == (broker.filters, store.kept)
