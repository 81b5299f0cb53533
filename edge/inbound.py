"""Messages from the broker: named, handled and written down in one transaction.

No connection is kept here; what a handler does stands in ``events``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from edge import events
from edge.engine import Engine
from edge.keeping import keep
from edge.model.definitions import JsonObject
from edge.model.events import MQTT, Message
from edge.store import events as store
from edge.transactions import Transaction
from sync.link import NotTaken, Received

log = structlog.get_logger()

_MAX_ID = 200
"""Characters of a message id that a sender has chosen; of a longer one a digest is taken."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class _Arrived(NamedTuple):
    """A message, and what may tell it from all others."""

    event: str
    payload: JsonObject
    named: str | None
    """By its sender."""
    digest: str
    """Of its bytes."""
    packet: int
    """Its number at the broker, which stays with it when it is sent again."""
    own_id: str
    """If it is no message that was here before."""
    duplicate: bool
    retained: bool


class EngineInbox:
    """Lets an engine's handlers act on what the broker sends.

    Args:
        engine: whose handlers they are.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._count = 0
        self._offered: list[tuple[Received, _Arrived]] = []
        """What could not be taken whole. Some of it may have acted, and is the same message when
        it is offered again."""

    async def filters(self) -> Sequence[str]:
        """The topics that active handlers listen to."""
        return await self._engine.database.read(store.topic_filters)

    async def subscribed(self) -> Sequence[str]:
        """What the session at the broker is subscribed to."""
        return await self._engine.database.read(store.read_subscribed)

    async def note_subscribed(self, filters: Sequence[str]) -> None:
        """Keep that."""
        await keep(self._engine, lambda t: store.note_subscribed(t.connection, filters))

    async def begin_session(self) -> None:
        """What the broker sends again from now on, it has sent from now on."""
        await keep(self._engine, lambda t: store.begin_session(t.connection, t.now_ms))

    async def take(self, messages: Sequence[Received]) -> None:
        """Act on messages, in their order.

        Raises:
            NotTaken: the disk refuses; nothing is lost while the broker keeps them.
        """
        known = {id(message): one for message, one in self._offered}
        arrived = [known.get(id(message)) or self._arrived(message) for message in messages]
        self._offered = list(zip(messages, arrived, strict=True))
        try:
            await self._act(arrived)
        except NotTaken:
            raise
        except Exception:  # noqa: BLE001 - the rim: a message must not stop all others
            for one in arrived:
                await self._act_or_reject(one)
        self._offered = []

    async def _act(self, arrived: list[_Arrived]) -> None:
        await keep(self._engine, lambda t: _take(t, arrived))

    async def _act_or_reject(self, one: _Arrived) -> None:
        try:
            await self._act([one])
        except NotTaken:
            raise
        except Exception as error:  # noqa: BLE001 - the rim: a message must not stop all others
            reason = type(error).__name__
            log.error("message_rejected", event_name=one.event, reason=reason)
            await keep(
                self._engine,
                lambda t: store.reject_message(t.connection, _message(t, one), t.now_ms, reason),
            )

    def _arrived(self, message: Received) -> _Arrived:
        payload = payload_of(message.payload)
        digest = hashlib.blake2b(message.payload, digest_size=12).hexdigest()
        self._count += 1
        stamp = f"{self._engine.clock.now_ms():x}.{self._count:x}"
        return _Arrived(
            MQTT + message.topic,
            payload,
            message_id_in(payload) if message.message_id is None else _short(message.message_id),
            digest,
            message.mid,
            f"{digest}-{message.mid}-{stamp}",
            message.duplicate,
            message.retained,
        )


def payload_of(content: bytes) -> JsonObject:
    """What expressions see of a message: an object as it is, anything else as its ``value``."""
    try:
        value: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        try:
            value = content.decode()
        except UnicodeError:
            return {"value": base64.b64encode(content).decode(), "encoding": "base64"}
    return value if isinstance(value, dict) else {"value": value}


def message_id_in(payload: JsonObject) -> str | None:
    """The identity that a sender has written into its message; None when there is none.

    A field named ``id`` is as a rule that of a thing, and two messages about one thing are two. It
    counts where it can be nothing else: in a CloudEvent, and when it is a UUID.
    """
    own = payload.get("messageId")
    if isinstance(own, str) and own:
        return _short(own)
    own = payload.get("id")
    if isinstance(own, str) and own and ("specversion" in payload or _UUID.fullmatch(own)):
        return _short(own)
    return None


def _short(text: str) -> str:
    if len(text) <= _MAX_ID:
        return text
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _take(transaction: Transaction, arrived: list[_Arrived]) -> None:
    for one in arrived:
        if store.handlers_for(transaction.connection, one.event):
            message = _message(transaction, one)
            store.note_message(transaction.connection, message, transaction.now_ms)
            events.handle(transaction, message)


def _message(transaction: Transaction, one: _Arrived) -> Message:
    return Message(one.event, _identity(transaction, one), msgspec.json.encode(one.payload))


def _identity(transaction: Transaction, one: _Arrived) -> str:
    """The id that the message has had already if it was here before.

    The broker repeats what it has no receipt of, marked as a duplicate and under the same number;
    and it repeats what it retains whenever a subscription is new.
    """
    if one.named is not None:
        return one.named
    if one.duplicate:
        prefix = f"{one.digest}-{one.packet}-"
        before = store.find_redelivered(transaction.connection, one.event, prefix)
        if before is not None:
            return before
    if one.retained:
        latest = store.latest_message_id(transaction.connection, one.event)
        if latest is not None and latest.startswith(f"{one.digest}-"):
            return latest
    return one.own_id
