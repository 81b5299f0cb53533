"""Which announcements a connection has not heard before."""

from __future__ import annotations

from sync import frames
from sync.announcements import Announcements
from sync.frames import Announcement


def _said(started_ms: int) -> bytes:
    return frames.encode_announcement(Announcement(started_ms))


def test_what_was_heard_before_is_no_news() -> None:
    """In any order, as several may share a ledger, and with clocks that go back."""
    heard = Announcements()

    assert [True, True, False, False, True] == [heard.is_news(_said(s)) for s in (7, 9, 7, 9, 3)]


def test_another_connection_has_heard_nothing() -> None:
    """What was answered before it was lost may have been answered by another ledger."""
    heard = Announcements()
    heard.is_news(_said(7))
    heard.clear()

    assert heard.is_news(_said(7))


def test_what_cannot_be_read_is_always_news() -> None:
    """A hello too many does no harm."""
    heard = Announcements()

    assert [True, True] == [heard.is_news(b"\xc1") for _ in range(2)]


def test_what_is_kept_is_bounded() -> None:
    """The oldest falls out, and is news again."""
    heard = Announcements()
    for started_ms in range(1_000):
        assert heard.is_news(_said(started_ms))

    assert not heard.is_news(_said(999))
    assert heard.is_news(_said(0))
