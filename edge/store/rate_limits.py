"""Executions that share a rate-limit key: those that run, and those that wait for their turn.

In memory, read from the records of a workflow when it is first asked for, and undone with a request
that fails; nothing is written here. Runs on the writer's thread only.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from edge.model.executions import Workflow

ReadOpen = Callable[[sqlite3.Connection, str], list[tuple[Workflow, int]]]
"""The open executions of a workflow, each with the limit of its own definition."""


class Group(NamedTuple):
    """Executions that are counted together."""

    name: str
    """Of the workflow."""
    key: str


class _Line:
    """All open executions of a group."""

    __slots__ = ("running", "tickets", "waiting")

    def __init__(self) -> None:
        self.running: set[bytes] = set()
        self.waiting: dict[bytes, tuple[int, int]] = {}
        """Ticket and limit of each that waits."""
        self.tickets: list[tuple[int, bytes]] = []
        """In order; a ticket whose execution waits no more is passed over."""

    def next(self) -> bytes | None:
        """Who is first in line, if there is room for it."""
        while self.tickets:
            ticket, workflow_id = self.tickets[0]
            place = self.waiting.get(workflow_id)
            if place is not None and place[0] == ticket:
                return workflow_id if len(self.running) < place[1] else None
            heapq.heappop(self.tickets)
        return None


class RateLimits:
    """Who runs and who waits.

    A request that fails is undone by ``discard``, one that succeeds ends with ``keep``.

    Args:
        read_open: asked once for each workflow that has limits.
    """

    def __init__(self, read_open: ReadOpen) -> None:
        self._read_open = read_open
        self._names: dict[str, dict[str, _Line]] = {}
        self._touched: list[Group] = []
        self._undo: list[Callable[[], object]] = []
        self._tickets = 0

    def has_room(self, connection: sqlite3.Connection, group: Group, limit: int) -> bool:
        """Whether one more may run at once, and nobody has waited for that."""
        line = self._line(connection, group)
        return len(line.running) < limit and not line.waiting

    def run(self, connection: sqlite3.Connection, group: Group, workflow_id: bytes) -> None:
        """An execution runs from now on, whether there is room or not."""
        line = self._line(connection, group)
        self._stop_waiting(line, workflow_id)
        if workflow_id not in line.running:
            line.running.add(workflow_id)
            self._undo.append(partial(line.running.discard, workflow_id))

    def wait(
        self, connection: sqlite3.Connection, group: Group, workflow_id: bytes, limit: int
    ) -> None:
        """An execution waits behind all the others, unless it waits already."""
        line = self._line(connection, group)
        self._stop_running(line, workflow_id)
        if workflow_id not in line.waiting:
            self._tickets += 1
            _queue_up(line, workflow_id, self._tickets, limit)
            self._undo.append(partial(line.waiting.pop, workflow_id, None))

    def leave(self, connection: sqlite3.Connection, group: Group, workflow_id: bytes) -> None:
        """An execution neither runs nor waits any more."""
        line = self._line(connection, group)
        self._stop_waiting(line, workflow_id)
        self._stop_running(line, workflow_id)

    def admit(
        self, connection: sqlite3.Connection, group: Group, at_most: int
    ) -> tuple[list[bytes], bytes | None]:
        """Let those run for whom there is room, in their order.

        Returns:
            Who runs from now on, and who might as well if ``at_most`` were more.
        """
        line = self._line(connection, group)
        admitted: list[bytes] = []
        while (following := line.next()) is not None and len(admitted) < at_most:
            self.run(connection, group, following)
            admitted.append(following)
        return admitted, following

    def keep(self) -> None:
        """The request is done."""
        if self._touched:
            self._undo.clear()
            self._forget_empty()

    def discard(self) -> None:
        """The request has failed: everything is as it was before it."""
        while self._undo:
            self._undo.pop()()
        self._forget_empty()

    def forget_all(self) -> None:
        """After a ROLLBACK: what is in memory is ahead of the disk."""
        self._names.clear()
        self._touched.clear()
        self._undo.clear()

    def _line(self, connection: sqlite3.Connection, group: Group) -> _Line:
        lines = self._names.get(group.name)
        if lines is None:
            lines = self._names[group.name] = self._read(connection, group.name)
        self._touched.append(group)
        line = lines.get(group.key)
        if line is None:
            line = lines[group.key] = _Line()
        return line

    def _read(self, connection: sqlite3.Connection, name: str) -> dict[str, _Line]:
        """What the records say; those that wait, in the order in which they began to."""
        lines: dict[str, _Line] = {}
        for workflow, limit in sorted(self._read_open(connection, name), key=_since_ms):
            if workflow.rate_limit_key is None:
                continue
            line = lines.setdefault(workflow.rate_limit_key, _Line())
            if workflow.waits:
                self._tickets += 1
                _queue_up(line, workflow.id, self._tickets, limit)
            elif not workflow.rate_limited:
                line.running.add(workflow.id)
        return lines

    def _forget_empty(self) -> None:
        """Keys come and go with what users send: those that nobody is left in are forgotten."""
        for name, key in self._touched:
            lines = self._names[name]
            line = lines.get(key)
            if line is not None and not (line.running or line.waiting):
                del lines[key]
        self._touched.clear()

    def _stop_running(self, line: _Line, workflow_id: bytes) -> None:
        if workflow_id in line.running:
            line.running.remove(workflow_id)
            self._undo.append(partial(line.running.add, workflow_id))

    def _stop_waiting(self, line: _Line, workflow_id: bytes) -> None:
        place = line.waiting.pop(workflow_id, None)
        if place is not None:
            self._undo.append(partial(_queue_up, line, workflow_id, *place))


def _queue_up(line: _Line, workflow_id: bytes, ticket: int, limit: int) -> None:
    line.waiting[workflow_id] = (ticket, limit)
    heapq.heappush(line.tickets, (ticket, workflow_id))


def _since_ms(found: tuple[Workflow, int]) -> tuple[int, int]:
    workflow = found[0]
    return max(workflow.created_ms, workflow.last_retried_ms), workflow.key
