"""The device's desk for orders, without any I/O: which are believed, and which are next in line.

Nothing is carried out here, no time is judged and nothing is durable: whoever drives it does both.
"""

from __future__ import annotations

from collections.abc import Mapping

from sync import orders
from sync.orders import Order, Position, Verify
from sync.topics import Address

WAITING = 2 * orders.MAX_ORDERS
"""Orders in memory; what is further on comes again."""


class OrderDesk:
    """Takes messages of orders and hands them out in their line.

    Args:
        address: ours.
        epoch: of our history.
        keys: whose orders are obeyed, by the ids of their keys.
    """

    def __init__(self, address: Address, epoch: int, keys: Mapping[bytes, Verify]) -> None:
        self._address = address
        self._epoch = epoch
        self._keys = keys
        self._cseq = 0
        self._id = ""
        self._waiting: dict[int, Order] = {}
        self.refused = 0
        """Messages that were not believed."""

    def note(self, cseq: int, order_id: str) -> None:
        """Take where the line stands, durably; what is not beyond it is let go."""
        self._cseq, self._id = cseq, order_id
        self._waiting = {at: one for at, one in self._waiting.items() if at > cseq}

    def position(self) -> Position:
        """What a hello says of orders."""
        return Position(self._cseq, self._id, sorted(self._keys))

    def take(self, payload: bytes) -> bool:
        """Take a message; False when all of it is behind us: the other end must hear where we are.

        Raises:
            OrdersUnreadable: nothing in it is believed.
        """
        try:
            found = orders.decode(
                payload, address=self._address, epoch=self._epoch, keys=self._keys
            )
        except orders.OrdersUnreadable:
            self.refused += 1
            raise
        for order in found:
            if self._cseq < order.cseq <= self._cseq + WAITING:
                self._waiting[order.cseq] = order
        return any(order.cseq > self._cseq for order in found)

    def ready(self) -> list[Order]:
        """The orders that are next in line; they stay until `note` says that they are done."""
        found: list[Order] = []
        while (order := self._waiting.get(self._cseq + len(found) + 1)) is not None:
            found.append(order)
        return found
