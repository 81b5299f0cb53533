"""The pipe through which a worker's process says what it has in hand, and why it ends.

A worker may be anybody's, so nothing that comes through it is trusted, and all of it is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from typing import NamedTuple

from edge.clock import Clock

_CHUNK_BYTES = 65_536
_MAX_LINE_BYTES = 65_536
"""Names of a module's tasks come in one line; a longer one is none of ours and is dropped."""

_MAX_IN_HAND = 10_000
_MAX_NAMES = 1_000
"""Tasks and functions of one process; what is beyond is left to its response timeout."""


class InHand(NamedTuple):
    """A task that a process works on."""

    workflow_id: str
    since_ms: int
    """Of the monotonic clock."""


class Notes:
    """What one process has said. Event loop only.

    Args:
        clock: tells since when a task has been in hand.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reader, self.writer = os.pipe()
        """The process's end, until ``started``."""
        os.set_blocking(self._reader, False)
        self._rest = b""
        self._open = True
        self._on_ready: Callable[[], None] = lambda: None
        self.in_hand: dict[str, InHand] = {}
        """By the id of the task."""
        self.tasks: list[str] | None = None
        """Names of the functions that were found; None = it has not said."""
        self.fault = ""
        """Why modules could not be loaded."""
        self.memory = False
        """Whether it ends because it has reached its memory limit."""

    def started(self) -> None:
        """The process has its end; ours is closed, so that the pipe ends with the process."""
        os.close(self.writer)
        self.writer = -1
        asyncio.get_running_loop().add_reader(self._reader, self._read)

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Call this when the process has begun to poll."""
        self._on_ready = callback

    def close(self) -> None:
        """Take in what is left in the pipe and let go of it."""
        if self.writer != -1:
            os.close(self.writer)
            self.writer = -1
        if self._open:
            self._read()
        self._shut()

    def _shut(self) -> None:
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)

    def _read(self) -> None:
        while self._open:
            try:
                chunk = os.read(self._reader, _CHUNK_BYTES)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            if not chunk:
                self._shut()
                return
            *lines, rest = (self._rest + chunk).split(b"\n")
            self._rest = rest if len(rest) <= _MAX_LINE_BYTES else b""
            for line in lines:
                self._take(line.decode(errors="replace"))

    def _take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        match word:
            case "+":
                workflow_id, _, task_id = rest.partition(" ")
                if task_id and len(self.in_hand) < _MAX_IN_HAND:
                    self.in_hand[task_id] = InHand(workflow_id, self._clock.monotonic_ms())
            case "-":
                self.in_hand.pop(rest, None)
            case "ready":
                self._on_ready()
            case "tasks":
                self.tasks = _names(rest)
            case "fault":
                self.fault = rest[:500]
            case "memory":
                self.memory = True
            case _:
                pass


def _names(text: str) -> list[str]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(names, list):
        return []
    # They come back on command lines, which cannot hold the character with the number 0.
    whole = [name for name in names if isinstance(name, str) and name and "\0" not in name]
    return whole[:_MAX_NAMES]
