"""What must be true when the control plane's ledger was put back to a copy of itself.

Nothing is put back here; devices whose own disks were are looked at elsewhere.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable

from edge.model.executions import workflow_uuid
from edge.store import outbox
from sync import frames
from sync.records import Lane
from tests.simulation.checks import Rows
from tests.simulation.cloud import Cloud
from tests.simulation.device import TENANT, Device
from tests.simulation.disk import Image

Complain = Callable[[str, str], None]
Place = tuple[str, int, int]
"""Device, lane and sequence."""

_SEGMENTS = (
    "SELECT device, lane, first_seq, count, payload FROM segment JOIN device USING (device_id)"
)
_GAPS = """
SELECT lane, first_seq, last_seq FROM gap JOIN device USING (device_id)
 WHERE tenant = ? AND device = ?
"""
_CURSORS = """
SELECT lane, acked FROM cursor JOIN device USING (device_id) WHERE tenant = ? AND device = ?
"""
_SHOWN = """
SELECT workflow_id, status FROM execution JOIN device USING (device_id)
 WHERE tenant = ? AND device = ?
"""


_HEARD_WITHIN_S = 300.0
"""After the faults; a control plane says each minute that it listens."""


class Ledgers:
    """Copies of the ledger, and what was lost with the one that stood in their place.

    Args:
        cloud: whose ledger it is.
        devices: that tell it.
        complain: is told of what must not be.
    """

    def __init__(self, cloud: Cloud, devices: Iterable[Device], complain: Complain) -> None:
        self._cloud = cloud
        self._devices = list(devices)
        self._complain = complain
        self._copies: list[Image] = []
        self.put_back_s: list[float] = []
        """When it was put back."""
        self._heard_until_s = math.inf
        self._lost: set[Place] = set()
        """What has been stored at some time."""
        self._held: dict[Place, int] = {}
        """Marks of the records that devices held when the ledger was put back."""
        self._kept: dict[Place, int] = {}
        """Marks of the records that the copies held."""

    def copy(self) -> None:
        """Somebody takes a copy of the ledger."""
        self._copies.append(self._cloud.disk.copy())

    def put_back(self, which: int) -> None:
        """The process is killed, and started again with a copy."""
        if not self._copies:
            return
        with self._cloud.disk.look() as ledger:
            self._lost |= self._stored(ledger).keys()
        for device in self._devices:
            with device.disk.look() as connection:
                for lane, (_, oldest, newest) in outbox.read_lanes(connection).items():
                    if oldest <= newest:
                        for record in outbox.read_records(
                            connection, lane, oldest - 1, newest, 10**9
                        ):
                            place = (device.known_as, int(lane), record.seq)
                            self._held[place] = frames.mark_of(record)
        self._cloud.put_back(self._copies[which % len(self._copies)])
        self.put_back_s.append(self._cloud.now_s())
        with self._cloud.disk.look() as ledger:
            self._kept = self._stored(ledger)

    @staticmethod
    def _stored(ledger: sqlite3.Connection) -> dict[Place, int]:
        """Marks of all that is stored."""
        found = {}
        for device, lane, begins, count, body in ledger.execute(_SEGMENTS):
            for record in frames.decode(bytes(body)).records:
                if begins <= record.seq < begins + count:
                    found[device, lane, record.seq] = frames.mark_of(record)
        return found

    def left(self, ledger: sqlite3.Connection) -> list[str]:
        """What has still to be done: all that devices have written is stored, or known to be lost."""
        found = []
        for device in self._devices if self.put_back_s else ():
            place = (TENANT, device.known_as)
            cursors = dict(ledger.execute(_CURSORS, place).fetchall())
            with device.disk.look() as connection:
                lanes = outbox.read_lanes(connection)
            newest = {int(lane): row[2] for lane, row in lanes.items() if row[2]}
            if newest != {lane: acked for lane, acked in cursors.items() if acked}:
                found.append(f"cloud: {device.name} has written {newest}, told {cursors}")
        return found

    def peace(self) -> None:
        """The faults have ended."""
        self._heard_until_s = self._cloud.now_s() + _HEARD_WITHIN_S

    def check_heard(self, ledger: sqlite3.Connection) -> None:
        """A ledger that was put back soon knows of all that devices were told is stored, also idle ones."""
        due = self.put_back_s and self._cloud.now_s() > self._heard_until_s
        for device in self._devices if due else ():
            cursors = dict(ledger.execute(_CURSORS, (TENANT, device.known_as)).fetchall())
            with device.disk.look() as connection:
                told = {int(lane): row[0] for lane, row in outbox.read_lanes(connection).items()}
            behind = {lane: seq for lane, seq in told.items() if cursors.get(lane, 0) < seq}
            if behind:
                facts = f"{device.name} was told {behind}, the ledger holds {cursors}"
                self._complain("cloud: not heard of", facts)

    def check(self, device: Device, rows: Rows, ledger: sqlite3.Connection) -> None:
        """At rest: what was still held is stored, and what is missing is told as a gap."""
        name = device.known_as
        stored = {
            place[1:]: mark for place, mark in self._stored(ledger).items() if place[0] == name
        }
        gaps: set[tuple[int, int]] = set()
        for lane, first, last in ledger.execute(_GAPS, (TENANT, name)):
            gaps |= {(lane, seq) for seq in range(first, last + 1)}
        if gaps & stored.keys():
            self._complain("cloud: stored and missing", f"{name}: {sorted(gaps & stored.keys())}")
        with device.disk.look() as connection:
            lanes = outbox.read_lanes(connection)
        everything = {
            (int(lane), seq) for lane, row in lanes.items() for seq in range(1, row[2] + 1)
        }
        if everything != stored.keys() | gaps:
            facts = sorted(everything ^ (stored.keys() | gaps))
            self._complain("cloud: missing and not told", f"{name}: {facts[:9]}")
        never = {place for place in gaps if (name, *place) not in self._lost}
        if never:
            self._complain("cloud: gap of what was never stored", f"{name}: {sorted(never)[:9]}")
        for known in (self._held, self._kept):
            for (whose, lane, seq), mark in known.items():
                # What the lost ledger had may have been acknowledged by a message under way.
                if whose == name and (lane, seq) not in gaps and stored.get((lane, seq)) != mark:
                    self._complain("cloud: record lost", f"{name} {Lane(lane).name}: {seq}")
                    return
        if not gaps:
            self._check_shown(device, rows, ledger)

    def _check_shown(self, device: Device, rows: Rows, ledger: sqlite3.Connection) -> None:
        shown = dict(ledger.execute(_SHOWN, (TENANT, device.known_as)).fetchall())
        right = {workflow_uuid(one.id): one.status.value for one in rows.by_id.values()}
        if shown != right:
            facts = sorted(shown.items() ^ right.items())
            self._complain("cloud: differs", f"{device.name}: {facts[:6]}")
