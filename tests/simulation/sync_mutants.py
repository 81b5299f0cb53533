"""Small wrong versions of what brings history and orders over the network, at both of its ends.

See ``mutants``, which says what each of them imitates and puts it in place.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from edge.lineage import Lineage
from edge.orders import EngineOrders
from edge.store import facts, order_inbox, outbox, retelling
from edge.store.outbox import OutboxWriter
from edge.transactions import Disk
from sync import frames, uplink
from sync.control_plane import ingest, ledger, notices, orders, queries, truth
from sync.receiver import DeviceState, Receiver
from sync.session import Session, State

Patch = tuple[Any, str, Any]
"""Where, which name, and what stands there instead."""

# History on its way up.


def gap_in_outbox() -> list[Patch]:
    """A ROLLBACK does not give the sequences back."""

    def forget_all(self: OutboxWriter) -> None:
        self._waiting.clear()
        self._publications.clear()

    return [(OutboxWriter, "forget_all", forget_all)]


def end_not_recorded() -> list[Patch]:
    """History does not tell of an end."""
    right = Disk._record

    def record(self: Disk, connection: sqlite3.Connection, step: Any, now_ms: int) -> None:
        if not step.ended:
            right(self, connection, step, now_ms)

    return [(Disk, "_record", record)]


def cursor_ahead() -> list[Patch]:
    """One record more is pruned than was acknowledged."""
    right = outbox.acknowledge

    def acknowledge(connection: sqlite3.Connection, acked: dict[int, int]) -> None:
        right(connection, {lane: seq + 1 for lane, seq in acked.items()})
        right(connection, acked)

    return [(outbox, "acknowledge", acknowledge)]


def cloud_acknowledges_before_commit() -> list[Patch]:
    """The acknowledgement is sent a round before what it says is stored."""
    right = ledger.Ledger.commit
    held: list[Any] = []

    async def commit(self: Any, arrivals: Any) -> Any:
        now_ms = self._now_ms()

        def look(connection: sqlite3.Connection) -> Any:
            connection.execute("SAVEPOINT look")
            try:
                return truth.commit(connection, arrivals, now_ms=now_ms)
            finally:
                connection.execute("ROLLBACK TO look")
                connection.execute("RELEASE look")

        outgoing = await self._write(look)
        late, held[:] = list(held), list(arrivals)
        if late:
            await right(self, late)
        return outgoing

    return [(ledger.Ledger, "commit", commit)]


def delivery_is_receipt() -> list[Patch]:
    """The broker's receipt is taken for the control plane's."""
    right = uplink.Uplink._note_taken

    def note_taken(self: Any, session: Session, taken: Any) -> None:
        right(self, session, taken)
        for lane, side in session._lanes.items():
            if side.flights and side.flights[-1].last_seq > side.acked:
                side.acked = side.flights[-1].last_seq
                session._durable[lane] = side.acked

    return [(uplink.Uplink, "_note_taken", note_taken)]


def projection_skips() -> list[Patch]:
    """Some segments are passed over."""
    right = ledger.Ledger.project

    async def project(self: Any) -> int:
        def skip(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE counter SET value = value + 1 WHERE name = 'projected' AND value < "
                "(SELECT max(segment_id) FROM segment WHERE lane >= 2) AND value % 5 = 3"
            )

        await self._write(skip)
        return await right(self)

    return [(ledger.Ledger, "project", project)]


# Orders.


def order_never_sent_again() -> list[Patch]:
    """What is lost with a connection is never due again."""
    late = ((name, 10**10) for name in ("FIRST_WAIT_MS", "LONGEST_WAIT_MS", "REPORT_WAIT_MS"))
    at_hello = "UPDATE device_order SET due_ms = due_ms WHERE device_id = :device_id AND :cack < 0"
    return [*((orders, *one) for one in late), (orders, "_DUE_AT_ONCE", at_hello)]


def order_carried_out_late() -> list[Patch]:
    """No order is ever too late."""
    right = EngineOrders.carry_out

    async def carry_out(self: EngineOrders, given: Any, server_ms: int) -> Any:
        return await right(self, given, 1)

    return [(EngineOrders, "carry_out", carry_out)]


def configuration_goes_back() -> list[Patch]:
    """Revisions are not compared."""
    right = order_inbox.read_ordered

    def read_ordered(connection: sqlite3.Connection, subject: str) -> Any:
        there = right(connection, subject)
        return None if there is None else msgspec.structs.replace(there, revision=0)

    return [(order_inbox, "read_ordered", read_ordered)]


# Disks that are put back to a copy.


def copy_not_noticed() -> list[Patch]:
    """Neither what stands beside the key nor the control plane tells a copy from the disk."""

    async def settle(self: Lineage) -> bool:
        self._write()
        return False

    return [
        (Lineage, "settle", settle),
        (frames, "mark_of", lambda record: 0),
        (DeviceState, "contradicts", lambda self, hello: False),
    ]


def old_cursor_taken() -> list[Patch]:
    """A new epoch goes on from the cursors of the one before."""
    right = Receiver._notice_epoch

    def notice_epoch(self: Receiver, arrival: Any, device: Any, header: Any) -> None:
        right(self, arrival, device, header)
        if arrival.frame is not None and arrival.frame.hello is not None:
            first = arrival.frame.hello.first
            first.update((lane, state.acked + 1) for lane, state in device.lanes.items())

    return [(Receiver, "_notice_epoch", notice_epoch)]


def epoch_takes_nothing_along() -> list[Patch]:
    """What waits when an epoch begins is not part of it."""

    def begin_epoch(connection: sqlite3.Connection, epoch: int) -> None:
        facts.write(connection, "epoch", epoch)
        connection.execute("UPDATE lane SET first = next_seq, acked = next_seq - 1")
        connection.execute("DELETE FROM history")

    return [(facts, "begin_epoch", begin_epoch)]


def old_epoch_thrown_away() -> list[Patch]:
    """The ledger keeps of each device only what is live."""
    right = notices.note

    def note(connection: Any, device_id: int, notice: Any, *, now_ms: int) -> None:
        right(connection, device_id, notice, now_ms=now_ms)
        connection.execute("DELETE FROM segment WHERE device_id = ?", (device_id,))

    return [(notices, "note", note)]


def not_told_anew() -> list[Patch]:
    """An epoch begins, and the branch that is no more has the last word on what it has changed."""
    return [(retelling, "begin", lambda connection: None)]


def failures_not_told_anew() -> list[Patch]:
    """An epoch begins between a failure and what was before it, and that is told last."""
    return [(retelling, "begin_failures", lambda connection: None)]


def lost_steps_shown() -> list[Patch]:
    """What an execution was told to have done stays, whatever it is told to have done anew."""
    return [(queries, "_steps", lambda execution, tasks: tasks)]


def less_not_compared() -> list[Patch]:
    """Of a later run only the number of its boot is looked at."""

    def contradicts(self: DeviceState, hello: Any) -> bool:
        run = self.run
        return run is not None and msgspec.structs.replace(run, place=0).contradicts(hello)

    return [(DeviceState, "contradicts", contradicts)]


# Two machines of one name.


def clones_acknowledgement_taken() -> list[Patch]:
    """What the other was told counts before the control plane has said what it holds of us."""
    right = Session._take_ack

    def take_ack(self: Session, ack: frames.Ack, now_s: float) -> None:
        if self.state is not State.GREETING or ack.nonce:
            right(self, ack, now_s)
            return
        for lane, seq in ack.cursors.items():
            if seq <= self._lanes[lane].newest:
                self._take_cursor(lane, seq, now_s, measured=False)

    return [(Session, "_take_ack", take_ack)]


def farewell_of_the_other() -> list[Patch]:
    """Of two machines the one has the last word on who is there that has booted more often."""
    greet = "UPDATE device SET boot = :boot, version = :version WHERE device_id = :device_id"
    return [
        (truth, "_CONTEST", "UPDATE device SET contested_epoch = 0 WHERE device_id = :device_id"),
        (truth, "_GREET", f"{greet} AND :epoch > 0"),
    ]


# A ledger that is put back to a copy.


def lost_records_awaited() -> list[Patch]:
    """Nobody is told that what a lost ledger had is not held any more."""
    right = Session.note_bounds

    def note_bounds(self: Session, bounds: Any) -> None:
        right(self, bounds)
        if all(side.acked >= side.newest for side in self._lanes.values()):
            self._must_tell = False

    return [(Session, "note_bounds", note_bounds)]


def announced_once() -> list[Patch]:
    """Who has missed that a control plane has begun to listen does not hear of it again."""
    return [(ingest, "ANNOUNCE_EVERY_S", 1e9)]


def gap_not_noted() -> list[Patch]:
    """The cursor passes over what is missing, and nothing tells of it."""
    right = Receiver.take

    def take(self: Receiver, arrivals: Any) -> Any:
        commitment = right(self, arrivals)
        commitment.gaps.clear()
        return commitment

    return [(Receiver, "take", take)]
