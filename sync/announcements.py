"""Which announcements of a control plane are news to a connection, without any I/O.

A control plane announces itself again and again, so that who has missed it once hears of it all the
same. What follows from news is not known here.
"""

from __future__ import annotations

from collections import deque

from sync import frames
from sync.frames import FrameError

_KEPT = 16
"""Ingesters that share a ledger announce themselves each. What falls out of these is news again,
which costs a hello."""


class Announcements:
    """What has been announced on one connection."""

    def __init__(self) -> None:
        self._heard: deque[int] = deque(maxlen=_KEPT)

    def is_news(self, payload: bytes) -> bool:
        """Whether somebody has begun to listen of whom this connection has not heard before."""
        try:
            started_ms = frames.decode_announcement(payload).started_ms
        except FrameError:
            # Of whom it is cannot be told, and a hello too many does no harm.
            return True
        if started_ms in self._heard:
            return False
        self._heard.append(started_ms)
        return True

    def clear(self) -> None:
        """Another connection begins; it begins with a hello anyway."""
        self._heard.clear()
