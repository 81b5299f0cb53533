"""What is known of the disk beneath the database, from what it has refused: whole, full, or worse.

Nothing is tried here: whoever looks after the disk does that, and says when it is whole again.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable

import structlog

from edge.model.errors import StorageFull, StorageUnavailable
from sync.database import Trouble, trouble_of

log = structlog.get_logger()

_ERRORS, _WITHIN_MS = 3, 60_000
"""So many errors of input and output within that time are no accident: nothing is written then."""

_TOLD_EVERY_MS = 60_000
"""Between two lines of the log."""


class Mode(enum.StrEnum):
    """How far the disk can be trusted."""

    WHOLE = "WHOLE"
    FULL = "FULL"
    """What is going on is finished, with the space that was kept for it; nothing new is begun."""
    READ_ONLY = "READ_ONLY"
    """Nothing is written; what is there is shown."""


class Storage:
    """The state of the disk. The thread that writes tells of errors; any thread may ask.

    Args:
        monotonic_ms: milliseconds since an arbitrary moment.
    """

    def __init__(self, monotonic_ms: Callable[[], int] = lambda: 0) -> None:
        self._monotonic_ms = monotonic_ms
        self._failed: deque[int] = deque(maxlen=_ERRORS)
        self._told_ms: int | None = None
        self.mode = Mode.WHOLE
        self.reason = ""
        """Why the mode is what it is; "" = all is well."""
        self.stale = False
        """What the last COMMIT came to is not known: the connections must be made anew, and what is
        in memory be read again, before anything is written."""
        self.damaged = ""
        """What SQLite found wrong with the file; "" = nothing. Then it must be rebuilt."""
        self.record_damaged = False
        """Whether somebody has met a damaged record: all of them should be looked at soon."""
        self.errors = 0
        """Everything that the disk has refused."""
        self.on_change: Callable[[], None] | None = None
        """Called, from whichever thread, when something of this has changed; None = nobody looks
        after the disk."""

    def refusal(self, error: Exception) -> Exception:
        """What a caller is told of an error of SQLite, which is remembered.

        An error that says nothing of the disk is given back as it is.
        """
        trouble = trouble_of(error)
        if trouble is Trouble.OTHER:
            return error
        self.errors += 1
        before = (self.mode, self.stale, self.damaged)
        match trouble:
            case Trouble.FULL:
                self._enter(Mode.FULL, f"the disk is full: {error}")
            case Trouble.READ_ONLY:
                self._enter(Mode.READ_ONLY, f"the disk cannot be written: {error}")
            case Trouble.DAMAGED:
                self.damaged = self.damaged or str(error)
                self._enter(Mode.READ_ONLY, f"the database is damaged: {error}")
            case Trouble.INPUT_OUTPUT:
                self.stale = True
                self._count(error)
        if before != (self.mode, self.stale, self.damaged):
            self._tell()
        if trouble is Trouble.FULL:
            return StorageFull(f"{self.reason}. Free some space; it is tried again by itself.")
        return StorageUnavailable(f"the disk has failed: {error}; send the request again later")

    def refused_write(self, error: Exception) -> StorageUnavailable:
        """The same for a transaction: whatever was wrong, nothing of it was acknowledged."""
        now_ms = self._monotonic_ms()
        if self._told_ms is None or now_ms - self._told_ms >= _TOLD_EVERY_MS:
            # A disk may be full for days.
            self._told_ms = now_ms
            log.error("commit_failed", reason=str(error))
        refusal = self.refusal(error)
        if isinstance(refusal, StorageUnavailable):
            return refusal
        return StorageUnavailable(f"the disk refused to write: {error}")

    def not_renewed(self, error: Exception) -> StorageUnavailable:
        """New connections could not be made: one error more."""
        before = self.mode
        self._count(error)
        if self.mode is not before:
            self._tell()
        return StorageUnavailable(f"the disk fails still: {error}; send the request again later")

    def _enter(self, mode: Mode, reason: str) -> None:
        # A disk that cannot be written is not merely full. Where nobody tries whether it is well
        # again, each request finds out by itself.
        if self.on_change is not None and self.mode is not Mode.READ_ONLY:
            self.mode, self.reason = mode, reason

    def _count(self, error: Exception) -> None:
        now_ms = self._monotonic_ms()
        self._failed.append(now_ms)
        if len(self._failed) == _ERRORS and now_ms - self._failed[0] <= _WITHIN_MS:
            reason = f"{_ERRORS} errors within {_WITHIN_MS // 1000} s, the last: {error}"
            self._enter(Mode.READ_ONLY, reason)

    def _tell(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def close_for_writing(self, reason: str) -> None:
        """The database was opened for reading only."""
        self.mode, self.reason = Mode.READ_ONLY, reason

    def refuse_full(self, reason: str) -> None:
        """There is less space than has to be kept for what is going on."""
        self._enter(Mode.FULL, reason)

    def healed(self) -> None:
        """The disk has taken a write: all is well."""
        self.mode, self.reason, self.stale = Mode.WHOLE, "", False
        self._failed.clear()
        self._told_ms = None

    def reopened(self) -> None:
        """The connections are new, and what is in memory was read again."""
        self.stale = False

    def closed(self) -> StorageUnavailable | None:
        """Why nothing may be written now; None = it may."""
        if self.mode is not Mode.READ_ONLY:
            return None
        return StorageUnavailable(f"nothing can be written: {self.reason}; send it again later")

    def admit_growth(self) -> None:
        """Let somebody begin something new.

        Raises:
            StorageFull: the space that is left is kept for what has begun.
            StorageUnavailable: nothing may be written.
        """
        if self.mode is Mode.FULL:
            raise StorageFull(f"{self.reason}. Nothing new is begun until there is space again.")
        refusal = self.closed()
        if refusal is not None:
            raise refusal
