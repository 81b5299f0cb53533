"""What workflows publish, on its way to the broker: handed over, taken, marked.

No connection is opened here; whoever holds one lends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog

from sync import frames, topics
from sync.link import Taken

# A power cut repeats at most so many published messages, and so many wait in memory.
PUBLICATIONS_AT_ONCE = 50

_log = structlog.get_logger("sync.publishing")


class Publication(msgspec.Struct, frozen=True):
    """A message that a workflow publishes (an EVENT task with an `mqtt:` sink)."""

    key: int
    message_id: str
    topic: str
    payload: bytes


class Publications(Protocol):
    """What workflows have published and the broker has not taken yet."""

    async def pending(self, limit: int) -> Sequence[Publication]:
        """The oldest that wait, in order."""
        ...

    async def published(self, keys: Sequence[int]) -> None:
        """Mark them durably. Raises NotTaken when that is not possible just now."""
        ...


class Sender(Protocol):
    """The part of a `Link` that publishing needs."""

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, message_id: str | None = None
    ) -> int:
        """Send; the ticket returns in a `Taken`."""
        ...


class Publisher:
    """Publishes what waits; nothing is marked before the broker has taken it."""

    def __init__(self, publications: Publications) -> None:
        """Begin with a look at what waits.

        Args:
            publications: where the messages are kept.
        """
        self._publications = publications
        self._waiting = True
        # Under way, by ticket, and those that the broker has taken since they were marked.
        self._under_way: dict[int, Publication] = {}
        self._taken: list[int] = []

    def wake(self) -> None:
        """More may be waiting. A hint."""
        self._waiting = True

    def disconnected(self) -> None:
        """What was under way is sent again on the next connection."""
        self._under_way.clear()
        self._waiting = True

    def note(self, taken: Taken) -> bool:
        """The broker has taken something; whether it was one of these."""
        publication = self._under_way.pop(taken.ticket, None)
        if publication is None:
            return False
        if taken.refused:
            self._set_aside(publication, "the broker does not allow it")
        else:
            self._taken.append(publication.key)
        return True

    async def keep(self, link: Sender) -> bool:
        """Mark what was taken and send the next; True when there is more to be done at once.

        Raises:
            NotTaken: nothing can be marked just now.
        """
        if self._taken:
            taken = list(self._taken)
            await self._publications.published(taken)
            # They stay until then: what is not marked would be sent again.
            del self._taken[: len(taken)]
            self._waiting = True
        if self._under_way or not self._waiting:
            return False
        self._waiting = False
        for publication in await self._publications.pending(PUBLICATIONS_AT_ONCE):
            fault = fault_of(publication)
            if fault:
                # It can never be sent, and must not stand in the way of those that can.
                self._set_aside(publication, fault)
                continue
            ticket = link.publish(
                publication.topic, publication.payload, message_id=publication.message_id
            )
            self._under_way[ticket] = publication
        return bool(self._taken)

    async def waits(self) -> bool:
        """Whether there is anything to publish."""
        return bool(await self._publications.pending(1))

    def _set_aside(self, publication: Publication, fault: str) -> None:
        _log.error(
            "publication_refused",
            topic=publication.topic,
            message_id=publication.message_id,
            reason=fault,
        )
        self._taken.append(publication.key)


def fault_of(publication: Publication) -> str:
    """Why a publication can never be sent; empty when it can."""
    topic = publication.topic
    if not topic or len(topic.encode()) > 1_000 or any(sign in topic for sign in "+#\0"):
        return "the topic is empty, too long or has a wildcard in it"
    if topics.reserved(topic) or topic.startswith("$"):
        return "the topic belongs to the protocol or to the broker"
    if len(publication.payload) > frames.MAX_FRAME_BYTES:
        return f"the payload is over {frames.MAX_FRAME_BYTES} bytes"
    return ""
