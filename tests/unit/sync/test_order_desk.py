"""The device's desk: what is believed, and what is next in line."""

from __future__ import annotations

import pytest

from sync import orders
from sync.identity import OrderKey, pinned
from sync.order_desk import WAITING, OrderDesk
from sync.orders import Order, OrdersUnreadable, Position
from sync.topics import Address

KEY = OrderKey(bytes(range(32)))
ROOF = Address("default", "roof")
KEYS = pinned([KEY.public_key.hex()])


def message(*places: int, epoch: int = 1) -> bytes:
    """Orders of these places."""
    some = [Order(place, f"id{place}", "start", b"{}", 1, 2) for place in places]
    payload, _ = orders.encode(ROOF, epoch, some, sent_ms=1, key=KEY.key_id, sign=KEY.sign)
    return payload


def ready(desk: OrderDesk) -> list[int]:
    """The places that are next."""
    return [order.cseq for order in desk.ready()]


def test_orders_are_handed_out_in_their_line() -> None:
    """What comes early waits; what has been noted is gone."""
    desk = OrderDesk(ROOF, 1, KEYS)

    assert desk.take(message(3, 4))
    assert [] == ready(desk)
    assert desk.take(message(1, 2))
    assert [1, 2, 3, 4] == ready(desk)
    assert [1, 2, 3, 4] == ready(desk)
    desk.note(3, "id3")
    assert [4] == ready(desk)
    assert Position(3, "id3", [KEY.key_id]) == desk.position()


def test_what_is_behind_is_said_to_be() -> None:
    """The other end has to hear where we are."""
    desk = OrderDesk(ROOF, 1, KEYS)
    desk.note(5, "id5")

    assert not desk.take(message(4, 5))
    assert desk.take(message(5, 6))
    assert [6] == ready(desk)


def test_only_so_many_wait() -> None:
    """What is further on comes again."""
    desk = OrderDesk(ROOF, 1, KEYS)
    for place in range(1, WAITING + 20, 10):
        desk.take(message(*range(place, place + 10)))

    assert list(range(1, WAITING + 1)) == ready(desk)


def test_what_is_not_believed_is_counted() -> None:
    """Another epoch's orders, and noise, leave nothing behind."""
    desk = OrderDesk(ROOF, 1, KEYS)
    for payload in (message(1, epoch=2), b"noise", b""):
        with pytest.raises(OrdersUnreadable):
            desk.take(payload)

    assert 3 == desk.refused
    assert [] == ready(desk)
