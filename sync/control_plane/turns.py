"""Whose turn it is on a control plane, without any I/O: what arrives, or what is to be shown.

A backlog is acknowledged as fast as it can be stored, and comes into view when it has; what arrives
now and then is shown at once. No clock and no database stands here.
"""

from __future__ import annotations

import math

from sync.control_plane.projection import FEW_RECORDS

QUIET_S = 0.02
"""The projection waits until nothing large has come for so long: some more than a device takes from
one full frame to the next. What is acknowledged sooner is sent sooner."""

EVERY_S = 0.5
"""When it never is quiet, a step is made so often all the same."""

PATIENCE_S = 30.0
"""A backlog has been stored in this time, or it is no backlog: what never stops coming is shown and
stored in turns, as long the one as the other."""


class Turns:
    """Says when the projection may make a step; times are in seconds of one steady clock."""

    def __init__(self) -> None:
        """Nothing is stored that is not in view."""
        self._from_s = -math.inf
        self._stepped_s = -math.inf
        self._took_s = 0.0
        """The last step."""
        self._unseen = False
        self._since_s = -math.inf
        """Since when something has been stored that is not in view."""

    def stored(self, records: int, now_s: float) -> None:
        """A round has been stored; a small one is in view already and keeps nobody waiting."""
        if records > FEW_RECORDS:
            self._hold(now_s)

    def may_step(self, now_s: float) -> bool:
        """Whether the projection may make a step now."""
        return now_s >= self._from_s

    def stepped(self, done: int, began_s: float, now_s: float, *, more_waits: bool) -> None:
        """The projection has made a step.

        Args:
            done: what it brought into view; 0 = all of it is.
            began_s: when the step began.
            now_s: when it had ended.
            more_waits: whether frames have come meanwhile.
        """
        if done and not self._unseen:
            self._since_s = began_s
        self._stepped_s, self._took_s, self._unseen = now_s, now_s - began_s, bool(done)
        if more_waits:
            self._hold(now_s)

    def wait_s(self, now_s: float) -> float | None:
        """For how long nothing is to be done unless something comes; None = for any time."""
        return max(0.0, self._from_s - now_s) if self._unseen else None

    def _hold(self, now_s: float) -> None:
        if not self._unseen:
            # It was all in view until now: the half second begins with what has come.
            self._stepped_s = self._since_s = now_s
        self._unseen = True
        every_s = EVERY_S if now_s < self._since_s + PATIENCE_S else self._took_s
        self._from_s = min(now_s + QUIET_S, self._stepped_s + every_s)
