"""Messages from the broker: their payloads, their identities, and that each acts once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import events
from edge.engine import Engine
from edge.inbound import EngineInbox, message_id_in, payload_of
from edge.model.errors import StorageUnavailable
from edge.model.events import EventHandler, Message
from edge.store import events as store
from edge.transactions import Transaction
from sync.link import NotTaken, Received
from tests.unit.edge.engine_house import define, run
from tests.unit.edge.manual_clock import ManualClock

_WAIT = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}
_UUID = "018f3c6e-0000-7000-8000-00000000abcd"


@pytest.mark.parametrize(
    ("content", "payload"),
    [
        (b'{"a": [1, null]}', {"a": [1, None]}),
        (b"21.5", {"value": 21.5}),
        (b"[1, 2]", {"value": [1, 2]}),
        (b'"on"', {"value": "on"}),
        (b"null", {"value": None}),
        (b"on", {"value": "on"}),
        (b"", {"value": ""}),
        (b"\xff\xfe", {"value": "//4=", "encoding": "base64"}),
        (b"[" * 5_000, {"value": "[" * 5_000}),
    ],
)
def test_payloads(content: bytes, payload: Any) -> None:
    """An object is what it is; everything else, JSON or not, is a value."""
    assert payload == payload_of(content)


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ({"messageId": "m"}, "m"),
        ({"messageId": 7}, None),
        ({"id": _UUID}, _UUID),
        ({"id": "door-7"}, None),
        ({"id": "door-7", "specversion": "1.0"}, "door-7"),
        ({"id": 7}, None),
        ({}, None),
    ],
)
def test_names_of_messages(payload: Any, named: str | None) -> None:
    """A field ``id`` is that of a thing, but where it can be nothing else."""
    assert named == message_id_in(payload)


def test_a_long_name_is_shortened() -> None:
    """To the same text each time, and to another one for another name."""
    first, again, other = (message_id_in({"messageId": c * 201}) or "" for c in "aab")

    assert (32, True, False) == (len(first), first == again, first == other)


def _message(
    content: bytes = b'{"n":1}', *, packet: int = 1, topic: str = "t", **more: Any
) -> Received:
    return Received(topic, content, packet, 1, **more)


async def _listen(engine: Engine, event: str = "mqtt:t") -> None:
    await define(engine, "w", _WAIT)
    action = {"action": "start_workflow", "start_workflow": {"name": "w", "input": {"n": "${n}"}}}
    document = {"name": event, "event": event, "active": True, "actions": [action]}
    handler = msgspec.convert(document, EventHandler)
    await engine.request(lambda t: store.add_handlers(t.connection, [handler]))


async def _heard(engine: Engine) -> list[Any]:
    found = [await engine.workflow(one) for one in await engine.running("w", None)]
    return [msgspec.json.decode(one.input)["n"] for one in found]


def test_what_the_broker_sends_again_acts_once(tmp_path: Path) -> None:
    """Under the same number, with the same bytes, and marked: it is the same message."""

    async def body(engine: Engine) -> None:
        await _listen(engine)
        inbox = EngineInbox(engine)
        await inbox.take([_message(packet=1), _message(packet=2)])
        await inbox.take([_message(packet=1, duplicate=True), _message(packet=2, duplicate=True)])
        twice = len(await _heard(engine))
        await inbox.take([_message(packet=3, duplicate=True)])
        await inbox.take([_message(b'{"n":2}', packet=1, duplicate=True)])
        await inbox.take([_message(packet=1)])

        assert 2 == twice
        assert [1, 1, 1, 2, 1] == await _heard(engine)

    run(tmp_path, body)


def test_a_new_session_repeats_nothing_of_an_old_one(tmp_path: Path) -> None:
    """A broker that has forgotten us counts from 1 again: what it repeats, it sent since then."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        await _listen(engine)
        inbox = EngineInbox(engine)
        await inbox.begin_session()
        await inbox.take([_message()])
        clock.pass_s(1)
        await inbox.begin_session()
        await inbox.take([_message(duplicate=True)])
        await inbox.take([_message(duplicate=True)])

        assert [1, 1] == await _heard(engine)

    run(tmp_path, body, clock=clock, timers=False)


def test_what_is_retained_acts_when_it_is_news(tmp_path: Path) -> None:
    """The same last word on a topic is no news, whether it was heard live or as retained."""

    async def body(engine: Engine) -> None:
        await _listen(engine)
        inbox = EngineInbox(engine)
        await inbox.take([_message(b'{"n":1}')])
        await inbox.take([_message(b'{"n":1}', retained=True)])
        await inbox.take([_message(b'{"n":2}', retained=True)])
        await inbox.take([_message(b'{"n":2}', retained=True)])
        await inbox.take([_message(b'{"n":1}', retained=True)])

        assert [1, 2, 1] == await _heard(engine)

    run(tmp_path, body)


def test_a_name_makes_one_of_many(tmp_path: Path) -> None:
    """That of the property wins over that of the payload; each topic counts for itself."""

    async def body(engine: Engine) -> None:
        await _listen(engine, "mqtt:#")
        inbox = EngineInbox(engine)
        named = b'{"n":1,"messageId":"a"}'
        await inbox.take([_message(named), _message(named), _message(named, message_id="b")])
        await inbox.take([_message(b'{"n":2}', message_id="b"), _message(named, topic="u")])

        assert [1, 1, 1] == await _heard(engine)

    run(tmp_path, body)


def test_a_message_for_nobody_leaves_nothing(tmp_path: Path) -> None:
    """A filter may be wider than what is wanted by the time a message comes."""

    async def body(engine: Engine) -> None:
        inbox = EngineInbox(engine)
        await inbox.take([_message()])

        assert [] == await engine.database.read(lambda c: store.read_messages(c, "mqtt:t", 0, 9))
        assert [] == list(await inbox.filters())

    run(tmp_path, body)


def test_subscriptions_are_kept(tmp_path: Path) -> None:
    """They are what the broker was asked for last."""

    async def body(engine: Engine) -> None:
        inbox = EngineInbox(engine)
        await inbox.note_subscribed(["b", "a"])
        await inbox.note_subscribed(["c", "a"])

        assert ["a", "c"] == list(await inbox.subscribed())

    run(tmp_path, body)


def test_a_message_that_breaks_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of its batch act once each."""
    whole = events.handle

    def fragile(transaction: Transaction, message: Message) -> int:
        if message.payload == b'{"n":2}':
            raise ZeroDivisionError
        return whole(transaction, message)

    async def body(engine: Engine) -> None:
        await _listen(engine)
        monkeypatch.setattr(events, "handle", fragile)
        await EngineInbox(engine).take([_message(b'{"n":%d}' % n, packet=n) for n in range(1, 4)])
        kept = await engine.database.read(lambda c: store.read_messages(c, "mqtt:t", 0, 9))

        assert [1, 3] == await _heard(engine)
        assert ["ZeroDivisionError"] == [one.reason for one in kept if one.reason]

    run(tmp_path, body)


def test_a_disk_that_refuses_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker keeps the messages until it writes again."""

    async def refuse(_: Engine, __: Any) -> None:
        raise StorageUnavailable("full")

    async def body(engine: Engine) -> None:
        await _listen(engine)
        inbox = EngineInbox(engine)
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "request", refuse)
            with pytest.raises(NotTaken, match="full"):
                await inbox.take([_message()])
        await inbox.take([_message(duplicate=True)])

        assert [1] == await _heard(engine)

    run(tmp_path, body)


def test_what_is_offered_again_is_the_same_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a batch breaks, and then the disk fills: what has acted by then acts no second time."""
    whole = events.handle
    full = True

    def fragile(transaction: Transaction, message: Message) -> int:
        if message.payload == b'{"n":2}':
            raise ZeroDivisionError
        if message.payload == b'{"n":3}' and full:
            raise StorageUnavailable("full")
        return whole(transaction, message)

    async def body(engine: Engine) -> None:
        nonlocal full
        await _listen(engine)
        monkeypatch.setattr(events, "handle", fragile)
        inbox = EngineInbox(engine)
        batch = [_message(b'{"n":%d}' % n, packet=n) for n in range(1, 4)]
        with pytest.raises(NotTaken):
            await inbox.take(batch)
        full = False
        await inbox.take(batch)
        await inbox.take([_message(b'{"n":1}', packet=1)])

        assert [1, 3, 1] == await _heard(engine)

    run(tmp_path, body)


def test_a_disk_that_refuses_keeps_no_subscription(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds the connection hears of it in the words of a connection."""

    async def refuse(_: Engine, __: Any) -> None:
        raise StorageUnavailable("full")

    async def body(engine: Engine) -> None:
        inbox = EngineInbox(engine)
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "request", refuse)
            for asked in (inbox.begin_session(), inbox.note_subscribed(["a"])):
                with pytest.raises(NotTaken, match="full"):
                    await asked

    run(tmp_path, body)
