"""Limits on the tasks of one definition: how many at once, and how many in a stretch of time.

In memory, over what this daemon has handed out; who waits behind a limit stands in ``queues``.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

TaskId = tuple[bytes, int]
"""Workflow id and ordinal."""

_ANY = 2**31 - 1
"""Room where nothing is limited."""

_EXACT = 10_000
"""Moments that a window remembers one by one. Beyond them, hand-overs within a thousandth of the
window share a moment, the last of theirs: a million an hour must not fill the memory."""

_WINDOWS = 1_000
"""Windows after which those in which nothing has happened lately are thrown away."""


class Limit(NamedTuple):
    """What a task's definition allows, as it was pinned when the execution started."""

    name: str
    """Of the definition, whose tasks are counted together, in whatever queue they wait."""
    at_once: int = 0
    """Tasks in progress; 0 = any number."""
    per_window: int = 0
    """Hand-overs in any stretch of ``window_ms``; 0 = any number."""
    window_ms: int = 0


class _Stretch:
    """Hand-overs that share a moment."""

    __slots__ = ("count", "first_ms", "last_ms")

    def __init__(self, now_ms: int) -> None:
        self.first_ms = self.last_ms = now_ms
        self.count = 1


class _Window:
    """The hand-overs of the last ``length_ms``: never more counted than there were, or earlier."""

    __slots__ = ("_length_ms", "_stretches", "_total")

    def __init__(self, length_ms: int) -> None:
        self._length_ms = length_ms
        self._stretches: deque[_Stretch] = deque()
        self._total = 0

    def used(self, now_ms: int) -> int:
        """Hand-overs that still count."""
        while self._stretches and self._stretches[0].last_ms + self._length_ms <= now_ms:
            self._total -= self._stretches.popleft().count
        return self._total

    def note(self, now_ms: int) -> None:
        """One more."""
        grain_ms = 0 if len(self._stretches) < _EXACT else self._length_ms // 1000
        last = self._stretches[-1] if self._stretches else None
        if last is not None and now_ms - last.first_ms <= grain_ms:
            last.last_ms = now_ms
            last.count += 1
        else:
            self._stretches.append(_Stretch(now_ms))
        self._total += 1

    def take_back(self, moment_ms: int) -> None:
        """The hand-over of that moment did not reach anybody."""
        for stretch in reversed(self._stretches):
            if stretch.first_ms <= moment_ms <= stretch.last_ms and stretch.count:
                stretch.count -= 1
                self._total -= 1
                return

    def opens_ms(self, allowed: int) -> int:
        """When fewer than ``allowed`` count, if nothing is handed over until then."""
        left = self._total
        for stretch in self._stretches:
            left -= stretch.count
            if left < allowed:
                return stretch.last_ms + self._length_ms
        return 0


class Slots:
    """Which tasks of each definition are in progress, and when they were handed over.

    All times are monotonic milliseconds: a wall clock that jumps opens no window.
    """

    def __init__(self) -> None:
        self._held: dict[TaskId, tuple[str, int]] = {}
        self._in_progress: dict[str, int] = {}
        self._windows: dict[str, dict[int, _Window]] = {}

    def room(self, limit: Limit, now_ms: int) -> int:
        """How many tasks under a limit may be handed over now."""
        room = _ANY
        if limit.at_once > 0:
            room = limit.at_once - self._in_progress.get(limit.name, 0)
        if limit.per_window > 0:
            room = min(room, limit.per_window - self._window(limit, now_ms).used(now_ms))
        return max(0, room)

    def opens_ms(self, limit: Limit, now_ms: int) -> int:
        """When the window of a limit lets the next task through; 0 = it does already."""
        if limit.per_window <= 0:
            return 0
        window = self._window(limit, now_ms)
        return 0 if window.used(now_ms) < limit.per_window else window.opens_ms(limit.per_window)

    def occupy(self, task: TaskId, name: str, now_ms: int) -> None:
        """A task has been handed over."""
        if task in self._held:
            return
        self._held[task] = (name, now_ms)
        self._in_progress[name] = self._in_progress.get(name, 0) + 1
        if name in self._windows:
            for window in self._windows[name].values():
                window.note(now_ms)

    def free(self, task: TaskId) -> str | None:
        """A task is in progress no more; returns its definition's name if it was."""
        held = self._held.pop(task, None)
        if held is None:
            return None
        name = held[0]
        left = self._in_progress[name] - 1
        if left:
            self._in_progress[name] = left
        else:
            del self._in_progress[name]
        return name

    def take_back(self, task: TaskId) -> str | None:
        """A hand-over did not reach its worker: it does not count in any window either."""
        held = self._held.get(task)
        if held is not None:
            for window in self._windows.get(held[0], {}).values():
                window.take_back(held[1])
        return self.free(task)

    def in_progress(self) -> dict[str, int]:
        """Tasks in progress by the name of their definition."""
        return dict(self._in_progress)

    def _window(self, limit: Limit, now_ms: int) -> _Window:
        windows = self._windows.get(limit.name)
        if windows is None:
            self._tidy(now_ms)
            windows = self._windows[limit.name] = {}
        window = windows.get(limit.window_ms)
        if window is None:
            window = windows[limit.window_ms] = _Window(limit.window_ms)
        return window

    def _tidy(self, now_ms: int) -> None:
        """Throw windows away in which nothing counts any more, once there are many."""
        if len(self._windows) > _WINDOWS:
            self._windows = {
                name: windows
                for name, windows in self._windows.items()
                if any(window.used(now_ms) for window in windows.values())
            }
