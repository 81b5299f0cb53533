"""What is counted and measured while the device works, in a memory that does not grow.

Nothing is shown here, and no rule of what counts as slow stands here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

_SHORT_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
"""A decision takes a tenth of a millisecond, a flash disk's sync between one and fifty."""

_LONG_S = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 3600.0)
"""Tasks wait for workers from no time at all to hours."""

_MOST = 200
"""Different labels of one tally: names come from clients, and a metric is read whole each time."""

OTHER = "other"
"""The label of everything beyond them."""


class Histogram:
    """How long something took, in buckets.

    Args:
        bounds_s: the upper ends of the buckets in seconds, ascending; one without end follows.
    """

    __slots__ = ("bounds_s", "counts", "sum_s")

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self.bounds_s = tuple(bounds_s)
        self.counts = [0] * (len(self.bounds_s) + 1)
        self.sum_s = 0.0

    def see(self, seconds: float) -> None:
        """It took this long once more."""
        self.counts[bisect_left(self.bounds_s, seconds)] += 1
        self.sum_s += seconds


class Tally:
    """Counts by labels, of which there is a bounded number."""

    __slots__ = ("_counts", "_names")

    def __init__(self) -> None:
        self._counts: dict[tuple[str, ...], int] = {}
        self._names: set[str] = set()

    def count(self, name: str, *more: str) -> None:
        """One more of this name; ``more`` are labels with few values each, such as a status."""
        labels = (name, *more)
        known = self._counts.get(labels)
        if known is not None:
            self._counts[labels] = known + 1
            return
        if name not in self._names:
            if len(self._names) >= _MOST:
                name = OTHER
            self._names.add(name)
        labels = (name, *more)
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Labels and counts, sorted."""
        return iter(sorted(self._counts.copy().items()))


class Figures:
    """Everything that is counted beside the engine's plain counters.

    Each part is written by one thread; another that reads it may see it a moment old.
    """

    def __init__(self) -> None:
        self.decisions = Histogram(_SHORT_S)
        """On the disk thread: one step of one execution."""
        self.transactions = Histogram(_SHORT_S)
        """On the disk thread: everything between BEGIN and COMMIT, both included."""
        self.syncs = Histogram(_SHORT_S)
        """On the disk thread: the COMMIT alone, which is the disk's own time."""
        self.waits = Histogram(_LONG_S)
        """From the moment a task might have been handed out until it was."""
        self.workflows_started = Tally()
        self.workflows_ended = Tally()
        """By name and status."""
        self.tasks_ended = Tally()
        """By type and status."""
        self.polls = Tally()
        """By queue."""

    def see_commit(self, began_s: float, written_s: float, ended_s: float) -> None:
        """A transaction has been committed: when it began, was written, and was on the disk."""
        self.syncs.see(ended_s - written_s)
        self.transactions.see(ended_s - began_s)
