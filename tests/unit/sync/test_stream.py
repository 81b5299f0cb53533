"""The stream of changes over a feed that plays a script: silence, holes, bursts, the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sync.control_plane.stream import Streams
from sync.control_plane.views import Change


class ScriptedFeed:
    """A change feed whose waits are answered by a script.

    Args:
        waits: the answer to each wait; the streams are closed when it is used up.
        newest: the cursor of each look, the last one for ever.
        changes: what is found after a cursor.
    """

    def __init__(
        self, waits: list[bool], newest: list[int], changes: Callable[[int], list[Change]]
    ) -> None:
        self._waits = waits
        self._newest = newest
        self._changes = changes
        self.streams = Streams(self)
        self.waited_after: list[int] = []

    async def newest_change(self) -> int:
        """The next one of the script."""
        return self._newest.pop(0) if len(self._newest) > 1 else self._newest[0]

    async def changes_after(self, cursor: int, limit: int = 200) -> list[Change]:
        """What the script finds."""
        return self._changes(cursor)[:limit]

    async def wait_for_change(self, cursor: int, *, timeout_s: float) -> bool:
        """The next answer of the script, without any waiting."""
        self.waited_after.append(cursor)
        answer = self._waits.pop(0)
        if not self._waits:
            self.streams.close()
        return answer


def told_by(feed: ScriptedFeed, last_seen: int | None = None) -> list[str]:
    """All pieces that one stream sends until it is closed."""

    async def run() -> list[str]:
        return [piece.decode() async for piece in feed.streams.follow(last_seen, "default")]

    return asyncio.run(run())


def change(cursor: int, tenant: str = "default") -> Change:
    """One changed device."""
    return Change(cursor=cursor, kind="device", tenant=tenant, device="a", workflow_id=None)


def test_a_silent_stream_is_kept_alive() -> None:
    """A word each fifteen silent seconds, which a page can hear, and nothing else."""
    feed = ScriptedFeed(waits=[False] * 31, newest=[4], changes=lambda _: [])

    assert ["event: still\ndata: {}\n\n"] * 2 == told_by(feed)[1:]


def test_a_stream_is_kept_alive_while_others_are_busy() -> None:
    """Changes of another tenant are no sign of life for this one's page."""
    feed = ScriptedFeed(
        waits=[False, True] * 13, newest=[4], changes=lambda cursor: [change(cursor + 1, "other")]
    )

    assert ["event: still\ndata: {}\n\n"] == told_by(feed)[1:]


def test_a_change_without_a_row_is_passed_over() -> None:
    """After a rebuild the counter may lead the rows: the stream moves on and does not spin."""
    feed = ScriptedFeed(waits=[True, True, False], newest=[4, 9], changes=lambda _: [])

    assert 1 == len(told_by(feed))
    assert [4, 9, 9] == feed.waited_after


def test_changes_of_others_move_the_cursor_silently() -> None:
    """Another tenant's change is not told and not looked at twice."""
    found = {4: [change(5, "other"), change(6)], 6: [change(7, "other")]}
    feed = ScriptedFeed(
        waits=[True, True, False], newest=[4, 7], changes=lambda cursor: found.get(cursor, [])
    )
    told = told_by(feed)

    assert 2 == len(told)
    assert told[1].startswith("id: 6\nevent: device\n")
    assert [4, 6, 7] == feed.waited_after


def test_a_cursor_ahead_begins_at_the_end() -> None:
    """A page that followed another ledger begins at the end of this one."""
    feed = ScriptedFeed(waits=[False], newest=[4], changes=lambda _: [])

    assert "id: 4\n" in told_by(feed, last_seen=900)[0]
    assert [4] == feed.waited_after
    assert 0 == feed.streams.open
