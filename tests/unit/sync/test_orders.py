"""Orders as they travel: what is checked before one is given, and before one is believed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sync import orders
from sync.orders import Condition, Kind, Order, OrderInvalid, OrdersUnreadable
from sync.topics import Address

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
NAME = orders.key_id(PUBLIC)
ROOF = Address("default", "roof")


def verify(signature: bytes, message: bytes) -> bool:
    """Whether our key made it."""
    try:
        KEY.public_key().verify(signature, message)
    except InvalidSignature:
        return False
    return True


KEYS = {NAME: verify}


def order(cseq: int, body: bytes = b'{"name":"demo"}') -> Order:
    """An order to start something."""
    return Order(cseq, f"id{cseq}", "start", body, 1, 2)


def message(*some: Order, address: Address = ROOF, epoch: int = 1) -> bytes:
    """A message of these orders."""
    payload, taken = orders.encode(address, epoch, some, sent_ms=5, key=NAME, sign=KEY.sign)
    assert len(some) == taken
    return payload


@given(st.integers(1, 2**40), st.integers(1, orders.MAX_ORDERS))
def test_orders_come_back_as_they_were(first: int, many: int) -> None:
    """Whatever places they have, a message holds them whole and in line."""
    given_orders = [order(first + at) for at in range(many)]

    assert given_orders == orders.decode(message(*given_orders), address=ROOF, epoch=1, keys=KEYS)


def test_a_message_stays_within_its_size() -> None:
    """Of orders too large to travel together the first go, and at least one."""
    large = [order(at, b'{"name":"' + b"x" * 50_000 + b'"}') for at in range(1, 4)]

    payload, taken = orders.encode(ROOF, 1, large, sent_ms=5, key=NAME, sign=KEY.sign)

    assert 1 == taken
    assert len(payload) < 100_000


@pytest.mark.parametrize("place", [0, 5, 40, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    """No byte of a message can be changed."""
    payload = bytearray(message(order(1)))
    payload[place] ^= 1

    with pytest.raises(OrdersUnreadable):
        orders.decode(bytes(payload), address=ROOF, epoch=1, keys=KEYS)


def test_orders_for_others_are_not_taken() -> None:
    """Another device's, another tenant's, another epoch's: well signed, and not for us."""
    for address, epoch in (
        (Address("default", "cellar"), 1),
        (Address("other", "roof"), 1),
        (ROOF, 2),
    ):
        payload = message(order(1), address=address, epoch=epoch)
        with pytest.raises(OrdersUnreadable, match="meant for"):
            orders.decode(payload, address=ROOF, epoch=1, keys=KEYS)


def test_a_key_that_is_not_pinned_orders_nothing() -> None:
    """A signature of somebody unknown, and a known name on another's signature."""
    payload = message(order(1))
    with pytest.raises(OrdersUnreadable, match="not pinned"):
        orders.decode(payload, address=ROOF, epoch=1, keys={})

    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    forged, _ = orders.encode(ROOF, 1, [order(1)], sent_ms=5, key=NAME, sign=other.sign)
    with pytest.raises(OrdersUnreadable, match="signature"):
        orders.decode(forged, address=ROOF, epoch=1, keys=KEYS)


def test_holes_and_rubbish_under_a_signature_are_refused() -> None:
    """What is signed is still looked at."""
    with pytest.raises(OrdersUnreadable, match="holes"):
        orders.decode(message(order(1), order(3)), address=ROOF, epoch=1, keys=KEYS)
    content = b"rubbish"
    signed = KEY.sign(b"baton-orders-1\x00" + content)
    envelope = msgspec.msgpack.encode({"c": content, "k": NAME, "g": signed})
    with pytest.raises(OrdersUnreadable, match="no orders"):
        orders.decode(envelope, address=ROOF, epoch=1, keys=KEYS)


@pytest.mark.parametrize(
    ("kind", "body", "where"),
    [
        (Kind.START, {}, "name"),
        (Kind.START, {"name": "x", "verzion": 1}, "verzion"),
        (Kind.START, {"name": "x", "priority": 100}, "body.priority"),
        (Kind.START, {"name": "x", "input": []}, "body.input"),
        (Kind.PAUSE, {"workflowId": ""}, "body.workflowId"),
        (Kind.PUT_WORKFLOW, {"definition": {}, "revision": 1}, "body.definition.name"),
        (Kind.PUT_TASK, {"definition": {"name": "x"}, "revision": 0}, "body.revision"),
        (Kind.PUT_CONFIG, {"name": "x", "variables": {"A": 1}, "revision": 1}, "variables"),
        (Kind.TERMINATE, b"{", "body"),
    ],
)
def test_a_wrong_body_is_named(kind: Kind, body: Any, where: str) -> None:
    """The message names the field."""
    with pytest.raises(OrderInvalid, match=where):
        orders.parse_body(kind, body)


def test_what_is_wrong_beside_the_body_is_named() -> None:
    """Kinds, conditions and sizes."""
    with pytest.raises(OrderInvalid, match="kind"):
        orders.kind_of("explode")
    with pytest.raises(OrderInvalid, match="condition.revision"):
        orders.parse_condition({"revision": 0})
    huge = orders.parse_body(Kind.START, {"name": "x", "input": {"a": "x" * 70_000}})
    with pytest.raises(OrderInvalid, match="bytes of JSON"):
        orders.json_of(huge)


def test_bodies_survive_their_json() -> None:
    """What is written as JSON text is read back as the same."""
    body = orders.parse_body(Kind.START, {"name": "x", "taskToDomain": {"*": "a"}})

    assert body == orders.parse_body(Kind.START, orders.json_of(body))
    assert Condition() == orders.parse_condition(b"")
    assert Condition(not_running=True) == orders.parse_condition({"notRunning": True})


def test_only_what_is_put_has_a_subject() -> None:
    """Two versions of a workflow are two things; two revisions of one are one."""
    start = orders.parse_body(Kind.START, {"name": "x"})
    one = orders.parse_body(Kind.PUT_WORKFLOW, {"definition": {"name": "x"}, "revision": 1})
    two = orders.parse_body(
        Kind.PUT_WORKFLOW, {"definition": {"name": "x", "version": 2}, "revision": 1}
    )

    assert "" == orders.subject_of(Kind.START, start)
    assert orders.subject_of(Kind.PUT_WORKFLOW, one) != orders.subject_of(Kind.PUT_WORKFLOW, two)
