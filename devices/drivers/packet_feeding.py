"""Chooses which of a camera's packets are decoded, and in which order they are given.

No decoder and no ring here, only the choice between them.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.drivers.camera_source import Arrival
from devices.packets import Packet


class Feeding:
    """Chooses which of the arriving packets the decoder gets.

    While only keyframes are wanted, the rest goes to the ring alone. When all are wanted again, the
    packets since the last keyframe are given first, or the decoder would lack their references.
    """

    def __init__(
        self,
        receive: Callable[[], Arrival | None],
        keep: Callable[[Arrival], Packet],
        wants_all: Callable[[], bool],
        backlog: Callable[[], list[Packet]],
    ) -> None:
        """Hold what to ask.

        Args:
            receive: Waits for what arrives next; None is the end.
            keep: Puts it into the ring.
            wants_all: Tells whether every packet has to be decoded now.
            backlog: Gives what the ring holds after its newest keyframe.
        """
        self._receive = receive
        self._keep = keep
        self._wants_all = wants_all
        self._backlog = backlog
        self._waiting: list[Packet] = []
        self._fed_index = -1
        self._has_gap = False

    def pull(self) -> Packet | None:
        """Give the next packet for the decoder."""
        if self._waiting:
            return self._waiting.pop(0)
        while (arrival := self._receive()) is not None:
            packet = self._keep(arrival)
            if packet.is_key or not self._has_gap:
                if packet.is_key or self._wants_all():
                    self._has_gap = False
                    self._fed_index = packet.index
                    return packet
                self._has_gap = True
            elif self._wants_all():
                self._waiting = [one for one in self._backlog() if one.index > self._fed_index]
                self._has_gap = False
                self._fed_index = packet.index
                return self._waiting.pop(0) if self._waiting else packet
        return None
