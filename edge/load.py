"""How far the device is behind with its work, measured in time; when to refuse what begins something.

Nothing is queued here and no clock is read: whoever queues says how long things took.
"""

from __future__ import annotations

_STARTS_WAIT_MS = 200
"""A start may have waited this long for the disk thread, and two commits more, before the next one
is refused. Who has waited longer was left behind by whole commits: more comes than is carried
out."""

_SPAN_MS = 1_000
"""Of time that the averages look back over, roughly."""

_BUSY = 0.8
"""Share of the time that there is something to do, syncs left out, above which the processor is what
is short. A disk that is slow, or a device with few and slow workers, never comes near."""

_BEHIND_MS = 2_000
"""A task that workers ask for may have waited so long. It only counts on a device that is busy, for
workers may take as long as they like on one that is not."""


class Load:
    """What is known of the load of one engine. Event loop only."""

    def __init__(self) -> None:
        self.busy = 0.0
        """Share of the time that there was something to do, syncs left out, of late."""
        self.commit_ms = 0.0
        """From the moment that a batch is taken on until its callers are answered, on average."""
        self.refused = 0
        """Starts that were refused."""

    def committed(
        self, *, idle_ms: float, took_ms: float, sync_ms: float, idle: bool = True
    ) -> None:
        """A batch has been committed.

        Args:
            idle_ms: since the one before it.
            idle: whether there was a moment in that time with nothing to do.
            took_ms: from taking it on until its callers could be answered.
            sync_ms: of that, until the disk had it.
        """
        span_ms = idle_ms + took_ms
        if span_ms <= 0:
            return
        weight = min(1.0, span_ms / _SPAN_MS)
        worked_ms = max(0.0, took_ms - sync_ms) + (0.0 if idle else idle_ms)
        self.busy += (worked_ms / span_ms - self.busy) * weight
        self.commit_ms += (took_ms - self.commit_ms) * weight

    def refusal(
        self, oldest_start_ms: float, rested_ms: float = 0.0, behind_ms: float = 0.0
    ) -> str | None:
        """Why a start is refused now; None = it may come.

        Results and polls are never asked: what has begun is carried on with.

        Args:
            oldest_start_ms: how long the foremost of the starts has waited that wait; 0 = none
                does.
            rested_ms: since the last commit, while none is under way: nobody else tells of rest.
            behind_ms: how long the foremost task has waited of the queue that is furthest behind,
                of those that workers ask for work.
        """
        if oldest_start_ms > _STARTS_WAIT_MS + 2 * self.commit_ms:
            self.refused += 1
            return f"Starts wait for the disk since {oldest_start_ms:.0f} ms; send this one later."
        busy = self.busy * max(0.0, 1.0 - rested_ms / _SPAN_MS)
        if busy > _BUSY and behind_ms > _BEHIND_MS:
            self.refused += 1
            return "The device is busy with what has begun, and behind; send this start later."
        return None
