"""What must be true of a device whose disk was put back to a copy, and of what was told before.

Nothing is put back here, and a device whose disk never was is looked at elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from zlib import crc32

from edge.model.executions import workflow_uuid
from edge.store import facts, outbox
from sync import frames
from sync.records import Lane
from tests.simulation.checks import Rows
from tests.simulation.device import TENANT, Device

Complain = Callable[[str, str], None]
Place = tuple[int, int]
"""Lane and sequence."""

_RECORDS = "SELECT key, kind, recorded_ms, boot FROM history"
_RUNS = "SELECT key, frame FROM sealed"
_SEQ_BITS = 56
_SEGMENTS = """
SELECT epoch, lane, first_seq, count, payload FROM segment JOIN device USING (device_id)
 WHERE tenant = ? AND device = ?
 ORDER BY epoch, lane, first_seq
"""
_SHOWN = "SELECT workflow_id FROM execution JOIN device USING (device_id) WHERE device = ?"
_LIVE = "SELECT live_epoch FROM device WHERE tenant = ? AND device = ?"
_CURSORS = """
SELECT epoch, lane, acked FROM cursor JOIN device USING (device_id) WHERE tenant = ? AND device = ?
"""
_GAPS = "SELECT count(*) FROM gap"


class History:
    """What one device has written, on the way that led to what is on its disk now.

    Args:
        device: that is watched.
        complain: is told of what must not be.
    """

    def __init__(self, device: Device, complain: Complain) -> None:
        self._device = device
        self._complain = complain
        self._written: dict[Place, int] = {}
        """Marks of the records that were seen."""
        self._copied: list[dict[Place, int]] = []
        self._acknowledged: dict[tuple[int, int], int] = {}
        """By epoch and lane, how far the device was told that its records are stored."""
        self._stored: dict[tuple[int, int, int], int] = {}
        """Checksums of what the ledger has stored of it, by epoch, lane and first sequence."""
        self._shown: set[str] = set()
        self.left_behind: set[str] = set()
        """Executions that the device had and may not have any more."""

    def note(self, connection: sqlite3.Connection) -> None:
        """Look at what is on its way up."""
        for key, kind, recorded_ms, boot in connection.execute(_RECORDS):
            place = key >> _SEQ_BITS, key & (1 << _SEQ_BITS) - 1
            self._written[place] = crc32(f"{kind} {recorded_ms} {boot}".encode())
        for key, frame in connection.execute(_RUNS):
            lane, first = key >> _SEQ_BITS, key & (1 << _SEQ_BITS) - 1
            # Runs are not changed: one that was seen need not be unpacked again.
            if (lane, first) not in self._written:
                for at, record in enumerate(frames.decode(frame).records):
                    self._written[lane, first + at] = frames.mark_of(record)

    def copied(self) -> None:
        """A copy was taken of its disk."""
        with self._device.disk.look() as connection:
            self.note(connection)
        self._copied.append(dict(self._written))

    def put_back(self, which: int, ledger: sqlite3.Connection) -> None:
        """Its disk is about to be put back to a copy."""
        self._written = dict(self._copied[which])
        with self._device.disk.look() as connection:
            rows = Rows()
            rows.refresh(connection)
            self.left_behind |= {workflow_uuid(one.id) for one in rows.by_id.values()}
            epoch = facts.read(connection, "epoch") or 1
            for lane, row in outbox.read_lanes(connection).items():
                self._acknowledged[epoch, lane] = row[0]
        self._stored |= self._stored_now(ledger)
        self._shown |= self._shown_now(ledger)

    def fork(self, original: History, ledger: sqlite3.Connection) -> None:
        """Its disk is a copy of another device's, which lives on."""
        with original._device.disk.look() as connection:
            original.note(connection)
        self._written = dict(original._written)
        self._stored |= self._stored_now(ledger)
        self._shown |= self._shown_now(ledger)

    def _stored_now(self, ledger: sqlite3.Connection) -> dict[tuple[int, int, int], int]:
        rows = ledger.execute(_SEGMENTS, (TENANT, self._device.known_as))
        return {(epoch, lane, first): crc32(body) for epoch, lane, first, _, body in rows}

    def _shown_now(self, ledger: sqlite3.Connection) -> set[str]:
        return {row[0] for row in ledger.execute(_SHOWN, (self._device.known_as,))}

    def unheard(self, ledger: sqlite3.Connection) -> bool:
        """Whether its first hello is still to come: a device that has nothing to tell says only that."""
        live = ledger.execute(_LIVE, (TENANT, self._device.known_as)).fetchone()
        return live in (None, (0,))

    def check(self, ledger: sqlite3.Connection) -> None:
        """I-15, at rest: nothing that was acknowledged is lost, and no number means two records."""
        name, place = self._device.name, (TENANT, self._device.known_as)
        self.check_kept(ledger)
        with self._device.disk.look() as connection:
            epoch = facts.read(connection, "epoch") or 1
            first = outbox.read_first(connection)
        live = ledger.execute(_LIVE, place).fetchone()
        if live != (epoch,):
            self._complain("cloud: another epoch", f"{name}: {live} is live, not {epoch}")
        if epoch > 1 and not self._device.put_back_s:
            self._complain("epoch without a reason", f"{name}: {epoch}")
        self.check_places(ledger, epoch, first)
        for epoch, lane, acked in ledger.execute(_CURSORS, place):
            if acked < self._acknowledged.get((epoch, lane), 0):
                self._tell("cloud: acknowledged and gone", epoch, lane, acked)
        self.check_told(ledger, all_of_it=True)

    def check_kept(self, ledger: sqlite3.Connection) -> None:
        """What was stored and shown when a copy was started is so still, and nothing is given up."""
        now = self._stored_now(ledger)
        if any(now.get(where) != checksum for where, checksum in self._stored.items()):
            self._complain("cloud: overwritten", f"{self._device.name}: what was told before")
        if not self._shown <= self._shown_now(ledger):
            self._complain("cloud: not shown any more", f"{self._device.name}")
        if ledger.execute(_GAPS).fetchone() != (0,):
            self._complain("cloud: gap", f"{self._device.name}: what it has was given up")

    def check_told(self, ledger: sqlite3.Connection, *, all_of_it: bool) -> None:
        """What was written is stored: all of it, or as far as the device holds it to be."""
        with self._device.disk.look() as connection:
            self.note(connection)
            lanes = outbox.read_lanes(connection)
            live = facts.read(connection, "epoch") or 1
        marks: dict[Place, set[int]] = {}
        for _, lane, begins, count, body in ledger.execute(
            _SEGMENTS, (TENANT, self._device.known_as)
        ):
            for record in frames.decode(bytes(body)).records:
                if begins <= record.seq < begins + count:
                    marks.setdefault((lane, record.seq), set()).add(frames.mark_of(record))
        for (lane, seq), mark in self._written.items():
            told = all_of_it or seq <= lanes[lane][0]
            if told and mark not in marks.get((lane, seq), ()):
                self._tell("cloud: record lost", live, lane, seq)
                return

    def check_places(self, ledger: sqlite3.Connection, live: int, first: dict[int, int]) -> None:
        """No number is stored twice, and in the epoch that is live there are no holes."""
        place = (TENANT, self._device.known_as)
        stored: dict[tuple[int, int], int] = {}
        for epoch, lane, begins, count, _ in ledger.execute(_SEGMENTS, place):
            before = stored.get((epoch, lane))
            if before is not None and begins <= before:
                self._tell("cloud: twice", epoch, lane, begins)
            if before is not None and begins > before + 1 and epoch == live:
                self._tell("cloud: gap", epoch, lane, begins)
            if before is None and epoch == live and begins != first.get(lane, 1):
                self._tell("cloud: begins elsewhere", epoch, lane, begins)
            stored[epoch, lane] = begins + count - 1

    def _tell(self, what: str, epoch: int, lane: int, seq: int) -> None:
        self._complain(what, f"{self._device.name} epoch {epoch} {Lane(lane).name}: {seq}")
