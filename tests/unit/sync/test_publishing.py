"""Publications: sent in order, marked when the broker has taken them, refused for a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sync.link import NotTaken, Taken
from sync.publishing import PUBLICATIONS_AT_ONCE, Publication, Publisher, fault_of


class _Kept:
    """Publications in memory."""

    def __init__(self, *topics: str) -> None:
        self.rows = {n: Publication(n, f"m{n}", topic, b"{}") for n, topic in enumerate(topics)}
        self.full = False

    async def pending(self, limit: int) -> Sequence[Publication]:
        return list(self.rows.values())[:limit]

    async def published(self, keys: Sequence[int]) -> None:
        if self.full:
            raise NotTaken("full")
        for key in keys:
            del self.rows[key]


class _Line:
    """A link that only counts."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, message_id: str | None = None
    ) -> int:
        self.sent.append(topic)
        return len(self.sent)


def test_nothing_is_marked_before_it_is_taken() -> None:
    """What was under way when a connection broke is sent again on the next one."""

    async def scenario() -> None:
        kept, line = _Kept("a", "b"), _Line()
        publisher = Publisher(kept)
        await publisher.keep(line)
        ours = publisher.note(Taken(1, unheard=False, refused=False))
        others = publisher.note(Taken(9, unheard=False, refused=False))
        publisher.disconnected()
        await publisher.keep(line)
        publisher.note(Taken(3, unheard=True, refused=False))
        more = await publisher.keep(line)

        assert (True, False) == (ours, others)
        assert ["a", "b", "b"] == line.sent
        assert ({}, False) == (kept.rows, more)
        assert await publisher.waits() is False

    asyncio.run(scenario())


def test_what_can_never_be_sent_stands_in_nobodys_way() -> None:
    """It is set aside, and so is what the broker forbids; the rest goes out."""

    async def scenario() -> None:
        kept, line = _Kept("#", "a", "b"), _Line()
        publisher = Publisher(kept)
        more = await publisher.keep(line)
        publisher.note(Taken(1, unheard=False, refused=True))
        await publisher.keep(line)

        assert more is True
        assert ["a", "b"] == line.sent
        assert [2] == list(kept.rows)

    asyncio.run(scenario())


def test_only_so_many_are_under_way() -> None:
    """The next portion follows when all of one are taken."""

    async def scenario() -> None:
        kept, line = _Kept(*["a"] * (PUBLICATIONS_AT_ONCE + 1)), _Line()
        publisher = Publisher(kept)
        await publisher.keep(line)
        publisher.wake()
        await publisher.keep(line)
        first = len(line.sent)
        for ticket in range(1, first + 1):
            publisher.note(Taken(ticket, unheard=False, refused=False))
        await publisher.keep(line)

        assert (PUBLICATIONS_AT_ONCE, PUBLICATIONS_AT_ONCE + 1) == (first, len(line.sent))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("topic", "payload", "allowed"),
    [
        ("alarms/roof", b"{}", True),
        ("", b"{}", False),
        ("a/+/b", b"{}", False),
        ("a/#", b"{}", False),
        ("a\0", b"{}", False),
        ("x" * 1_001, b"{}", False),
        ("baton/1/default/roof/presence", b"{}", False),
        ("baton/events/front", b"{}", True),
        ("$SYS/x", b"{}", False),
        ("alarms/roof", bytes(100_001), False),
    ],
)
def test_publications_that_can_never_be_sent_are_named(
    topic: str, payload: bytes, *, allowed: bool
) -> None:
    """Wildcards, our own topics, the broker's and oversized payloads are refused with a reason."""
    assert allowed is (fault_of(Publication(1, "m", topic, payload)) == "")


def test_what_cannot_be_marked_is_marked_later_and_not_sent_again() -> None:
    """A full disk costs time, and no message comes twice for it."""

    async def scenario() -> None:
        kept, line = _Kept("a", "b"), _Line()
        publisher = Publisher(kept)
        await publisher.keep(line)
        for ticket in (1, 2):
            publisher.note(Taken(ticket, unheard=False, refused=False))
        kept.full = True
        with pytest.raises(NotTaken):
            await publisher.keep(line)
        publisher.disconnected()
        kept.full = False
        await publisher.keep(line)

        assert (["a", "b"], {}) == (line.sent, kept.rows)

    asyncio.run(scenario())
