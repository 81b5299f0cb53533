"""How much time has passed between two stamps, although the wall clock has jumped in between.

Stamps are what the clock showed, in epoch milliseconds. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_MOST_JUMPS = 50
"""More than a clock makes in a year; beyond it the two oldest are told as one."""


class Jump(NamedTuple):
    """The clock went from one time to a later one, and no time passed."""

    from_ms: int
    to_ms: int
    since_ms: int = 0
    """Stamps before this one are from a time before a power cut whose end the clock could not tell:
    for them the jump is the time that the device was off. 0 = the jump counts for all stamps."""

    @property
    def length_ms(self) -> int:
        """How far it went."""
        return self.to_ms - self.from_ms


class Jumps:
    """The jumps forward that are known, oldest first; they do not overlap.

    A clock that is set back makes none: what it shows goes on at its pace.
    """

    __slots__ = ("all",)

    def __init__(self, jumps: Iterable[Jump] = ()) -> None:
        self.all = tuple(sorted(jumps))

    def __bool__(self) -> bool:
        return bool(self.all)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Jumps) and self.all == other.all

    def __hash__(self) -> int:
        return hash(self.all)

    def and_one(self, jump: Jump) -> Jumps:
        """These and a later one. Too many are made fewer so that nothing comes too early."""
        jumps = [*self.all, jump]
        if len(jumps) > _MOST_JUMPS:
            first, second = jumps[:2]
            from_ms = second.from_ms - first.length_ms
            both = Jump(from_ms, second.to_ms, min(first.since_ms, second.since_ms))
            jumps[:2] = [both]
        return Jumps(jumps)

    def passed_ms(self, since_ms: int, now_ms: int) -> int:
        """Milliseconds that passed from one stamp to a later one."""
        passed_ms = now_ms - since_ms
        for jump in self.all:
            if since_ms >= jump.since_ms:
                left_out_ms = min(now_ms, jump.to_ms) - max(since_ms, jump.from_ms)
                passed_ms -= max(0, left_out_ms)
        return passed_ms

    def moment_ms(self, since_ms: int, wait_ms: int) -> int:
        """What the clock shows when so much has passed since a stamp, as far as is known now."""
        moment_ms = since_ms + wait_ms
        for jump in self.all:
            if jump.from_ms < moment_ms and jump.since_ms <= since_ms < jump.to_ms:
                moment_ms += jump.to_ms - max(since_ms, jump.from_ms)
        return moment_ms

    def before_ms(self, now_ms: int, age_ms: int) -> int:
        """Stamps below the one that is returned are older than an age."""
        stamp_ms = now_ms - age_ms
        for jump in reversed(self.all):
            if stamp_ms < jump.to_ms:
                stamp_ms = max(stamp_ms - jump.length_ms, min(stamp_ms, jump.since_ms))
        return stamp_ms


NO_JUMPS = Jumps()


class TimeKept(NamedTuple):
    """What one run of the program leaves to the next, so that the time goes on as it was."""

    floor_ms: int = 0
    """A stamp that has certainly passed, as a rule the last one written: for clocks that begin in
    1970."""
    jumps: Jumps = NO_JUMPS
    machine_boot: int = 0
    """Names the boot of the machine in which the next two were read together; 0 = none was."""
    shown_ms: int = 0
    """What the clock showed."""
    elapsed_ms: int = 0
    """What the clock that never jumps showed."""
    unset_ms: int = 0
    """Since this stamp the machine's wall clock has been behind what was written before, so that
    how long the device was off is not known; 0 = it is set."""


NOTHING_KEPT = TimeKept()
