"""The timekeeper: sleeps until the next moment that anybody waits for, and then says so.

What a moment means is decided elsewhere.
"""

from __future__ import annotations

from edge.effects import Effects
from edge.engine import Engine
from edge.rounds import Rounds

_LOOK_AGAIN_S = 1.0
"""Longest sleep while anything is waiting: a wall clock that jumps forward is noticed by then. With
nothing waiting the timekeeper sleeps until something does."""


class Timekeeper:
    """Timers, delayed deliveries, leases and limits of one engine, with one sleep for all."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rounds = Rounds("timers_postponed")
        self._next_due_ms = 0
        self._set_meanwhile_ms = 0
        """The earliest deadline that was set while others were acted on; 0 = none was."""
        self._jumps = engine.boot.time.jumps
        """Of the wall clock, that are on the disk."""
        engine.on_effects(self._see)

    def _see(self, effects: Effects) -> None:
        """A commit may have set an earlier deadline, or delayed a task."""
        self._set_meanwhile_ms = _earlier(self._set_meanwhile_ms, effects.due_ms)
        next_due_ms = _earlier(self._next_due_ms, effects.due_ms)
        sooner = next_due_ms != self._next_due_ms
        self._next_due_ms = next_due_ms
        if sooner or any(queued.task.deliver_ms for queued in effects.queued.values()):
            self._rounds.wake()

    def wake(self) -> None:
        """Look again: a lease may end before anything that was known."""
        self._rounds.wake()

    async def run(self) -> None:
        """Run until cancelled."""
        self._engine.hand_over.leases.on_earlier = self.wake
        self._engine.hand_over.queues.on_earlier = self.wake
        self._next_due_ms = 1
        await self._rounds.run(self._round)

    async def _round(self) -> float | None:
        """Do what is due; returns seconds until the next moment, None when nothing waits."""
        engine, now_ms = self._engine, self._engine.clock.now_ms()
        if engine.clock.jumps != self._jumps:
            # With the next transaction: let there be one, lest the power fails before.
            jumps = engine.clock.jumps
            await engine.request(lambda _: None)
            self._jumps = jumps
        await engine.moments.expire_leases()
        if self._next_due_ms and self._next_due_ms <= now_ms:
            # What a commit sets from here on may be missing in what is found.
            self._set_meanwhile_ms = 0
            found_ms = await engine.moments.fire_due()
            self._next_due_ms = _earlier(found_ms, self._set_meanwhile_ms)
        now_ms, monotonic_ms = engine.clock.now_ms(), engine.clock.monotonic_ms()
        elapsed_ms = engine.clock.elapsed_ms()
        delivery_ms = engine.hand_over.queues.promote(elapsed_ms, monotonic_ms)
        opening_ms = engine.hand_over.queues.open_windows(monotonic_ms)
        expiry_ms = engine.hand_over.leases.next_expiry_ms()
        left_ms = [moment - monotonic_ms for moment in (expiry_ms, opening_ms) if moment]
        left_ms += [delivery_ms - elapsed_ms] if delivery_ms else []
        left_ms += [self._next_due_ms - now_ms] if self._next_due_ms else []
        if not left_ms:
            return None
        # A millisecond more than asked: a timer that fires early would find nothing to do.
        return min(_LOOK_AGAIN_S, (max(0, min(left_ms)) + 1) / 1000)


def _earlier(one_ms: int, other_ms: int) -> int:
    """The earlier of two moments, either of which may be 0: never."""
    return min(one_ms, other_ms) if one_ms and other_ms else one_ms or other_ms
