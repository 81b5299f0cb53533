"""Two machines that live under one name: a device, and another that was made of its disk.

What must be true of both, and of what the control plane knows of them. Nothing is switched on or off
here by itself: the world says when.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from edge.model.executions import workflow_uuid
from edge.store import facts, outbox
from sync.control_plane import notices, orders
from sync.orders import Kind, State
from tests.simulation.books import Books
from tests.simulation.checks import DeviceChecks, Rows
from tests.simulation.device import TENANT, Device
from tests.simulation.lineage import History

Complain = Callable[[str, str], None]

_SHOWN = """
SELECT workflow_id, status FROM execution JOIN device USING (device_id)
 WHERE tenant = ? AND device = ?
"""
_DEVICE = "SELECT live_epoch, online FROM device WHERE tenant = ? AND device = ?"
_EPOCHS = """
SELECT COUNT(DISTINCT epoch) FROM segment JOIN device USING (device_id)
 WHERE tenant = ? AND device = ?
"""


class Twins:
    """A device and its clone.

    Args:
        checks: of the device, and of the clone.
        histories: what both have written.
        books: what the outside knows.
        complain: is told of what must not be.
    """

    def __init__(
        self,
        checks: tuple[DeviceChecks, DeviceChecks],
        histories: tuple[History, History],
        books: Books,
        complain: Complain,
    ) -> None:
        self._checks = checks
        self._histories = histories
        self._books = books
        self._complain = complain
        self.original: Device = checks[0].device
        self.clone: Device = checks[1].device
        self.both = (self.original, self.clone)
        self.copied_s: float | None = None
        """When the copy was taken; None = not yet."""
        self.on = False
        """Whether the clone has been switched on."""
        self._place = (TENANT, self.original.known_as)

    def has(self, device: Device) -> bool:
        """Whether it is one of them."""
        return device in self.both

    def is_clone(self, device: Device) -> bool:
        """Whether it is the one that was made of the other's disk."""
        return device is self.clone

    def part(self, ledger: sqlite3.Connection, *, clock_s: float) -> None:
        """The copy is taken; from now on they are two."""
        self.copied_s = self.original.now_s()
        self.clone.begin_as(self.original.copy(), self.original, clock_s=clock_s)
        self._histories[1].fork(self._histories[0], ledger)

    def switch_on(self, *, jumped: bool) -> None:
        """The clone is switched on, with another clock than the original's if it has jumped."""
        assert self.copied_s is not None, "there is something to start from"
        original, clone = self._checks
        self.on = True
        self.clone.note_switched_on(self.copied_s)
        clone.jumps_s = list(original.jumps_s)
        if jumped:
            clone.jumps_s.append(self.clone.now_s())
        clone.put_back()

    def left(self, ledger: sqlite3.Connection) -> list[str]:
        """What has still to be done: one of those who live has the last word."""
        if not self.on:
            return ["the clone is still to be switched on"]
        live = self._told(ledger)[0]
        epochs = {_epoch(device) for device in self.both if not device.gone}
        return [] if live in epochs else [f"cloud: epoch {live} is live, not one of {epochs}"]

    def _told(self, ledger: sqlite3.Connection) -> tuple[int, int]:
        found = ledger.execute(_DEVICE, self._place).fetchone()
        return (0, 0) if found is None else found

    def shown_online(self, ledger: sqlite3.Connection) -> bool:
        """Whether the control plane shows that a device of this name is there."""
        return bool(self._told(ledger)[1])

    def check(self, ledger: sqlite3.Connection) -> None:
        """At rest: neither has lost a record, and nothing is said that is true of neither."""
        rows = [self._rows(number) for number in (0, 1)]
        self._histories[1].check_kept(ledger)
        for device, history in zip(self.both, self._histories, strict=True):
            history.check_told(ledger, all_of_it=not device.gone)
            if _epoch(device) == self._told(ledger)[0]:
                with device.disk.look() as connection:
                    first = outbox.read_first(connection)
                history.check_places(ledger, _epoch(device), first)
        if ledger.execute(_EPOCHS, self._place).fetchone()[0] > 1:
            told = notices.newest(ledger, tenant=TENANT, limit=99, device=self._place[1])
            if not told:
                self._complain("cloud: not noticed", f"{self._place[1]}: two epochs, no notice")
        self._check_shown(ledger, rows)
        self._check_orders(ledger, rows)

    def _rows(self, number: int) -> Rows:
        with self.both[number].disk.look() as connection:
            rows = Rows()
            rows.refresh(connection)
        return rows

    def _check_shown(self, ledger: sqlite3.Connection, rows: list[Rows]) -> None:
        """Of what both go on with the one that has begun the later epoch is shown."""
        shown = dict(ledger.execute(_SHOWN, self._place).fetchall())
        statuses: dict[str, set[str]] = {}
        any_end = set()
        for device, held in zip(self.both, rows, strict=True):
            for one in held.by_id.values():
                workflow_id = workflow_uuid(one.id)
                statuses.setdefault(workflow_id, set()).add(one.status.value)
                if device.gone or held.root(one).id in self._books.reopened:
                    # What it has not told yet, nobody can know.
                    any_end.add(workflow_id)
        for workflow_id, right in statuses.items():
            told = shown.pop(workflow_id, None)
            if told not in right and workflow_id not in any_end:
                facts = f"{self._place[1]}: {workflow_id} {told}, is {sorted(right)}"
                self._complain("cloud: differs", facts)
        if shown:
            self._complain("cloud: unknown executions", f"{self._place[1]}: {sorted(shown)}")

    def _check_orders(self, ledger: sqlite3.Connection, rows: list[Rows]) -> None:
        """Each carries an order out once at most; what is said to be done one of them has done."""
        for ordered in self._books.orders:
            if ordered.device != self.original.number:
                continue
            shown = orders.find(ledger, ordered.id)
            if shown is None:
                self._complain("order lost", f"{self._place[1]}: {ordered.kind} {ordered.id}")
                continue
            if ordered.kind is not Kind.START:
                continue
            started = [
                [
                    workflow_uuid(w.id)
                    for w in held.by_id.values()
                    if w.idempotency_key == ordered.id
                ]
                for held in rows
            ]
            if any(len(ids) > 1 for ids in started):
                self._complain("order", f"{self._place[1]}: {ordered.id} started {started}")
            if shown.state == State.DONE:
                told = msgspec.json.decode(shown.output or b"{}").get("workflowId")
                if told not in (*started[0], *started[1]):
                    facts = f"{self._place[1]}: {ordered.id} started {started}, told {told}"
                    self._complain("order", facts)


def _epoch(device: Device) -> int:
    with device.disk.look() as connection:
        return facts.read(connection, "epoch") or 1
