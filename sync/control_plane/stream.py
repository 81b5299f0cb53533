"""The stream of changes that keeps open pages live, as server-sent events.

Only hints go out: what has changed is asked for again over the API. No HTTP response is built here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import msgspec

from sync.control_plane.views import Change
from sync.control_plane.wire import change_json

STREAM_LIMIT = 200
"""Open pages at once. The next one is refused and tries again; its figures still refresh."""

_SLICE_S = 1.0
"""How long one wait for a change lasts: also how long a stopping server waits for its streams."""

_KEEPALIVE_S = 15.0
"""So often a silent stream says that it is still there: proxies keep it, and a dead one is noticed at
both ends; a comment would not be seen by a page."""

_PAUSE_S = 0.2
"""Between two batches: a burst of a thousand changes becomes five a second."""

_CHANGES_AT_ONCE = 200


class ChangeFeed(Protocol):
    """What the streams ask of the ledger."""

    async def newest_change(self) -> int:
        """The cursor after which nothing has changed yet."""
        ...

    async def changes_after(self, cursor: int, limit: int = 200) -> list[Change]:
        """What has changed since a cursor, in order."""
        ...

    async def wait_for_change(self, cursor: int, *, timeout_s: float) -> bool:
        """Sleep until something after the cursor has changed; False when the time is over."""
        ...


class Streams:
    """All open streams of one control plane.

    Args:
        feed: the ledger whose changes are told.
    """

    def __init__(self, feed: ChangeFeed) -> None:
        self._feed = feed
        self._closing = False
        self.open = 0
        """How many there are now."""

    @property
    def full(self) -> bool:
        """True when no further stream is accepted."""
        return self._closing or self.open >= STREAM_LIMIT

    def close(self) -> None:
        """End every stream within a second; the browsers come back by themselves."""
        self._closing = True

    async def follow(
        self,
        last_seen: int | None,
        tenant: str,
        *,
        admitted: Callable[[], Awaitable[bool]] | None = None,
    ) -> AsyncIterator[bytes]:
        """A tenant's events after ``last_seen``, or from now on when it is None, until `close`.

        ``admitted`` is asked at each look whether the page may still follow; None = it always may.
        """
        self.open += 1
        try:
            newest = await self._feed.newest_change()
            # A cursor ahead of the ledger comes from another ledger: begin at this one's end.
            cursor = newest if last_seen is None else min(last_seen, newest)
            # The id is sent at once, so that a page that lost the link early can resume too.
            yield f"retry: 1000\nid: {cursor}\nevent: hello\ndata: {{}}\n\n".encode()
            silent_s = 0.0
            while not self._closing:
                if admitted is not None and not await admitted():
                    return
                if await self._feed.wait_for_change(cursor, timeout_s=_SLICE_S):
                    newest = await self._feed.newest_change()
                    changes = await self._feed.changes_after(cursor, _CHANGES_AT_ONCE)
                    # A change may have been overtaken by a rebuild and have no row: passed over.
                    cursor = changes[-1].cursor if changes else newest
                    told = b"".join(_event(c) for c in changes if c.tenant == tenant)
                    if told:
                        yield told
                    silent_s = 0.0 if told else silent_s + _PAUSE_S
                    await asyncio.sleep(_PAUSE_S)
                else:
                    silent_s += _SLICE_S
                if silent_s >= _KEEPALIVE_S:
                    yield b"event: still\ndata: {}\n\n"
                    silent_s = 0.0
        finally:
            self.open -= 1


def _event(change: Change) -> bytes:
    data = msgspec.json.encode(change_json(change)).decode()
    return f"id: {change.cursor}\nevent: {change.kind}\ndata: {data}\n\n".encode()
