"""The ledger's truth: segments, cursors, gaps and presence, written in the ingest's transactions.

No projection is made here and nothing is decided: the receiver decides, this stores.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sync import frames
from sync.control_plane import notices, orders, tally
from sync.control_plane.changes import take_changes
from sync.control_plane.dialect import Connection
from sync.receiver import (
    Arrival,
    Commitment,
    DeviceState,
    Held,
    LaneState,
    Outgoing,
    Receiver,
    Run,
)
from sync.records import Count, Lane
from sync.topics import Address

_HERE = Path(__file__).parent
_TABLES = [_HERE / name for name in ("ledger_schema.sql", "plane_schema.sql")]
_INDEXES = [_HERE / "ledger_indexes.sql"]
_REJECTS_KEPT = 1_000

_COLUMNS = "SELECT * FROM {table} LIMIT 0"

_ADD_COLUMN = "ALTER TABLE {table} ADD COLUMN {column} {kind}"

# 0 and NULL are not known: a release that does not know of the column leaves it so.
_ADDED_COLUMNS = (
    # When it was heard of first, and when it began on our clock: what lists are sorted by.
    ("execution", "came_ms", "INTEGER NOT NULL DEFAULT 0"),
    ("execution", "began_ms", "INTEGER NOT NULL DEFAULT 0"),
    # Ranges of the places of its tasks, as JSON, and of which record; NULL = it was never told anew.
    ("execution", "steps", "BLOB"),
    ("execution", "steps_ver", "BLOB"),
    # Whose it is, so that the orders of a campaign are counted without looking each of them up.
    ("device_order", "campaign_id", "TEXT"),
    # Devices of a campaign that were removed; their places stay empty.
    ("campaign", "removed", "INTEGER NOT NULL DEFAULT 0"),
    # What `synced_ms` is on our clock: what lists show.
    ("fleet", "synced_at_ms", "INTEGER NOT NULL DEFAULT 0"),
    # In which epoch two machines have been heard under its name.
    ("device", "contested_epoch", "INTEGER NOT NULL DEFAULT 0"),
)

# What an older release has projected is sorted by the time that the device wrote.
_FILL_BEGAN = "UPDATE execution SET began_ms = created_ms WHERE began_ms = 0 AND created_ms > 0"

# Not before the device has been heard of; the rest is found out when it is heard of next.
_FILL_SYNCED = """
UPDATE fleet SET synced_at_ms = CASE WHEN synced_ms < last_seen_ms THEN synced_ms ELSE last_seen_ms END
"""

_FILL_CAMPAIGNS = """
UPDATE device_order SET campaign_id = m.campaign_id FROM campaign_member m
WHERE m.order_id = device_order.order_id
"""

_ENSURE_DEVICE = """
INSERT INTO device (tenant, device, first_seen_ms, last_seen_ms)
VALUES (:tenant, :device, :now_ms, :now_ms)
ON CONFLICT (tenant, device) DO UPDATE SET
  last_seen_ms = MAX(device.last_seen_ms, :now_ms),
  first_seen_ms = CASE WHEN device.first_seen_ms = 0 THEN :now_ms ELSE device.first_seen_ms END
RETURNING device_id, live_epoch
"""

_FIND_DEVICE = """
SELECT device_id FROM device WHERE tenant = :tenant AND device = :device
"""

_CURSORS = """
SELECT lane, acked, newest, oldest, synced_ms FROM cursor
WHERE device_id = :device_id AND epoch = :epoch
"""

_HELD_SEGMENTS = """
SELECT first_seq, first_seq + count - 1, last_recorded_ms FROM segment
WHERE device_id = :device_id AND epoch = :epoch AND lane = :lane AND first_seq > :acked
"""

_HELD_GAPS = """
SELECT first_seq, last_seq, 0 FROM gap
WHERE device_id = :device_id AND epoch = :epoch AND lane = :lane AND first_seq > :acked
"""

_ADD_SEGMENT = """
INSERT INTO segment (device_id, epoch, lane, first_seq, count, last_recorded_ms, received_ms,
                     quarantined, payload)
VALUES (:device_id, :epoch, :lane, :first_seq, :count, :last_recorded_ms, :received_ms,
        :quarantined, :payload)
"""

_ADD_GAP = """
INSERT INTO gap (device_id, epoch, lane, first_seq, last_seq, noted_ms)
VALUES (:device_id, :epoch, :lane, :first_seq, :last_seq, :now_ms)
"""

_ADD_REJECT = """
INSERT INTO reject (topic, reason, received_ms, payload)
VALUES (:topic, :reason, :received_ms, :payload)
"""

_TRIM_REJECTS = """
DELETE FROM reject
WHERE reject_id <= (SELECT MAX(reject_id) FROM reject) - :kept
"""

_AT_CURSOR = """
SELECT first_seq, count, payload FROM segment
WHERE device_id = :device_id AND epoch = :epoch AND lane = :lane AND first_seq <= :seq
ORDER BY first_seq DESC LIMIT 1
"""

_BEGINS = """
SELECT MIN(first_seq) FROM segment
WHERE device_id = :device_id AND epoch = :epoch AND lane = :lane
UNION ALL
SELECT MIN(first_seq) FROM gap
WHERE device_id = :device_id AND epoch = :epoch AND lane = :lane
"""

_PUT_CURSOR = """
INSERT INTO cursor (device_id, epoch, lane, acked, newest, oldest, synced_ms)
VALUES (:device_id, :epoch, :lane, :acked, :newest, :oldest, :synced_ms)
ON CONFLICT (device_id, epoch, lane) DO UPDATE SET
  acked = :acked, newest = :newest, oldest = :oldest, synced_ms = :synced_ms
"""

# Of a device of which no presence has been heard, a hello says that it is there: a broker lets
# retained messages fall when there are many. What a later boot has said is another machine's.
_GREET = """
UPDATE device SET boot = :boot, version = :version,
  online = CASE WHEN presence_epoch = 0 OR (presence_epoch, presence_boot) > (:epoch, :boot)
    THEN 1 ELSE online END,
  presence_epoch = CASE WHEN (presence_epoch, presence_boot) > (:epoch, :boot)
    THEN 0 ELSE presence_epoch END
WHERE device_id = :device_id
"""

_CONTEST = "UPDATE device SET contested_epoch = live_epoch WHERE device_id = :device_id"

_RUN = """
SELECT r.boot, r.run, r.nonce, COALESCE(p.place, 0) FROM device_run r
LEFT JOIN device_place p ON p.device_id = r.device_id AND p.epoch = r.epoch
WHERE r.device_id = :device_id AND r.epoch = :epoch
"""

_PUT_RUN = """
INSERT INTO device_run (device_id, epoch, boot, run, nonce)
VALUES (:device_id, :epoch, :boot, :run, :nonce)
ON CONFLICT (device_id, epoch) DO UPDATE SET boot = :boot, run = :run, nonce = :nonce
"""

_PUT_PLACE = """
INSERT INTO device_place (device_id, epoch, place) VALUES (:device_id, :epoch, :place)
ON CONFLICT (device_id, epoch) DO UPDATE SET place = :place
"""

_TOUCH_DEVICE = """
UPDATE device SET live_epoch = :live_epoch, change = :change WHERE device_id = :device_id
"""

# A row value, so that an older connection never speaks over a newer one. Those of two machines have
# no order, only the broker tells who came last: it lets but one of them in.
_PUT_PRESENCE = """
UPDATE device SET
  online = :online, presence_epoch = :epoch, presence_boot = :boot, presence_session = :session,
  version = CASE WHEN :version = '' THEN version ELSE :version END, change = :change
WHERE device_id = :device_id
  AND ((presence_epoch, presence_boot, presence_session) <= (:epoch, :boot, :session)
    OR (contested_epoch = live_epoch AND presence_epoch <= live_epoch))
"""

# What was heard of them before counts no more; of the others their farewell does.
_ALL_OFFLINE = """
UPDATE device SET online = 0, presence_epoch = 0, presence_boot = 0, presence_session = 0,
  change = :change + device_id
WHERE online = 1
"""


class Presence(msgspec.Struct, frozen=True):
    """What a device, or its will, says of one connection."""

    address: Address
    online: bool
    epoch: Count
    boot: Count
    session: Count
    """Connections of one device are ordered by (epoch, boot, session)."""
    version: str = ""


def create_schema(connection: Connection) -> None:
    """Create what is not there yet; runs inside a transaction, so a statement at a time."""
    _create(connection, _TABLES)
    added = {column for column in _ADDED_COLUMNS if _add_column(connection, *column)}
    # Before there is an index that every row would have to move in.
    if any(table == "execution" for table, *_ in added):
        connection.execute(_FILL_BEGAN)
    if any(table == "device_order" for table, *_ in added):
        connection.execute(_FILL_CAMPAIGNS)
    if any(table == "fleet" for table, *_ in added):
        connection.execute(_FILL_SYNCED)
    _create(connection, _INDEXES)
    # An older release may have written since this one did; the index leads to what it has.
    connection.execute(_FILL_BEGAN)
    tally.fill(connection)


def _create(connection: Connection, files: Sequence[Path]) -> None:
    statement = ""
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


def _add_column(connection: Connection, table: str, column: str, kind: str) -> bool:
    """Give a table a column if it has none of the name; whether it had none."""
    found = connection.execute(_COLUMNS.format(table=table)).description
    if column in [one[0] for one in found]:
        return False
    connection.execute(_ADD_COLUMN.format(table=table, column=column, kind=kind))
    return True


def commit(connection: Connection, arrivals: Sequence[Arrival], *, now_ms: int) -> list[Outgoing]:
    """Store what has arrived; the acknowledgements to send once the transaction is durable."""
    # Devices are made known only by messages whose header holds: noise makes no rows.
    known = sorted({arrival.address for arrival in arrivals if arrival.header is not None})
    identities: dict[Address, int] = {}
    states: dict[Address, DeviceState] = {}
    for address in known:
        identities[address], states[address] = _load(connection, address, now_ms=now_ms)
    for arrival in arrivals:
        if arrival.frame is not None and arrival.frame.hello is not None:
            _mark(connection, identities[arrival.address], states[arrival.address])
    commitment = Receiver(states, now_ms=now_ms).take(arrivals)
    _write(connection, commitment, identities, now_ms=now_ms)
    return commitment.acks


def _load(connection: Connection, address: Address, *, now_ms: int) -> tuple[int, DeviceState]:
    device_id, epoch = connection.execute(
        _ENSURE_DEVICE, {"tenant": address.tenant, "device": address.device, "now_ms": now_ms}
    ).fetchone()
    state = DeviceState(live_epoch=epoch)
    keys = {"device_id": device_id, "epoch": epoch}
    run = connection.execute(_RUN, keys).fetchone()
    state.run = None if run is None else Run(run[0], bytes(run[1]), run[2], run[3])
    for lane, acked, newest, oldest, synced_ms in connection.execute(_CURSORS, keys).fetchall():
        place = keys | {"lane": lane, "acked": acked}
        held = [
            Held(*row)
            for statement in (_HELD_SEGMENTS, _HELD_GAPS)
            for row in connection.execute(statement, place)
        ]
        held.sort(key=lambda one: one.first_seq)
        state.lanes[Lane(lane)] = LaneState(
            acked=acked, newest=newest, oldest=oldest, synced_ms=synced_ms, held=held
        )
    return device_id, state


def _mark(connection: Connection, device_id: int, state: DeviceState) -> None:
    """Look up what the records at the cursors, and the last ones, are known by, and what comes first."""
    for lane, side in state.lanes.items():
        place = {"device_id": device_id, "epoch": state.live_epoch, "lane": lane}
        firsts = [row[0] for row in connection.execute(_BEGINS, place).fetchall()]
        side.begins = min([side.acked + 1, *(seq for seq in firsts if seq is not None)])
        side.mark = _mark_at(connection, place, side.acked)
        if side.held:
            side.beyond = _mark_at(connection, place, side.held[-1].last_seq)


def _mark_at(connection: Connection, place: dict[str, int], seq: int) -> tuple[int, int] | None:
    """A sequence of a lane and what its record is known by; None = it is not stored, or not read."""
    row = connection.execute(_AT_CURSOR, place | {"seq": seq}).fetchone()
    if row is None or row[0] + row[1] <= seq:
        return None
    with contextlib.suppress(frames.FrameError):
        frame = frames.decode(bytes(row[2]))
        return seq, frames.mark_of(frame.records[seq - frame.header.first_seq])
    return None


def _write(
    connection: Connection,
    commitment: Commitment,
    identities: dict[Address, int],
    *,
    now_ms: int,
) -> None:
    connection.executemany(
        _ADD_SEGMENT,
        [
            {
                "device_id": identities[segment.address],
                "epoch": segment.epoch,
                "lane": segment.lane,
                "first_seq": segment.first_seq,
                "count": segment.count,
                "last_recorded_ms": segment.last_recorded_ms,
                "received_ms": segment.received_ms,
                "quarantined": segment.quarantined,
                "payload": segment.payload,
            }
            for segment in commitment.segments
        ],
    )
    connection.executemany(
        _ADD_GAP,
        [
            {
                "device_id": identities[gap.address],
                "epoch": gap.epoch,
                "lane": gap.lane,
                "first_seq": gap.first_seq,
                "last_seq": gap.last_seq,
                "now_ms": now_ms,
            }
            for gap in commitment.gaps
        ],
    )
    for reject in commitment.rejects:
        connection.execute(
            _ADD_REJECT,
            {
                "topic": reject.topic,
                "reason": reject.reason,
                "received_ms": reject.received_ms,
                "payload": reject.payload,
            },
        )
    if commitment.rejects:
        connection.execute(_TRIM_REJECTS, {"kept": _REJECTS_KEPT})
    _write_states(connection, commitment, identities, now_ms=now_ms)


def _write_states(
    connection: Connection,
    commitment: Commitment,
    identities: dict[Address, int],
    *,
    now_ms: int,
) -> None:
    for address, lane in sorted(commitment.touched):
        device = commitment.states[address]
        state = device.lanes.get(lane)
        if state is None:
            # An epoch that ended within this very round.
            continue
        connection.execute(
            _PUT_CURSOR,
            {
                "device_id": identities[address],
                "epoch": device.live_epoch,
                "lane": lane,
                "acked": state.acked,
                "newest": state.newest,
                "oldest": state.oldest,
                "synced_ms": state.synced_ms,
            },
        )
    for notice in commitment.notices:
        notices.note(connection, identities[notice.address], notice, now_ms=now_ms)
    for greeting in commitment.greetings:
        run = commitment.states[greeting.address].run
        if run is not None:
            place = {"device_id": identities[greeting.address], "epoch": greeting.epoch}
            connection.execute(_PUT_RUN, place | msgspec.structs.asdict(run))
            if run.place:
                connection.execute(_PUT_PLACE, place | {"place": run.place})
        connection.execute(
            _GREET,
            {
                "device_id": identities[greeting.address],
                "epoch": greeting.epoch,
                "boot": greeting.boot,
                "version": greeting.version,
            },
        )
        orders.note_position(
            connection,
            identities[greeting.address],
            epoch=greeting.epoch,
            position=greeting.orders,
            now_ms=now_ms,
        )
    if not commitment.states:
        return
    change = take_changes(connection, len(commitment.states))
    for offset, (address, device) in enumerate(sorted(commitment.states.items(), key=_by_address)):
        connection.execute(
            _TOUCH_DEVICE,
            {
                "device_id": identities[address],
                "live_epoch": device.live_epoch,
                "change": change + offset,
            },
        )
    for address in sorted(commitment.contested):
        connection.execute(_CONTEST, {"device_id": identities[address]})


def _by_address(item: tuple[Address, DeviceState]) -> Address:
    return item[0]


def note_presence(connection: Connection, presences: Sequence[Presence], *, now_ms: int) -> None:
    """Keep what devices, or their wills, say, unless a newer connection has spoken."""
    change = take_changes(connection, len(presences))
    for offset, presence in enumerate(presences):
        address = presence.address
        keys = {"tenant": address.tenant, "device": address.device, "now_ms": now_ms}
        # A will is spoken by the broker: it makes no device known, and it is no sign of life.
        statement = _ENSURE_DEVICE if presence.online else _FIND_DEVICE
        found = connection.execute(statement, keys).fetchone()
        if found is None:
            continue
        connection.execute(
            _PUT_PRESENCE,
            {
                "device_id": found[0],
                "online": int(presence.online),
                "epoch": presence.epoch,
                "boot": presence.boot,
                "session": presence.session,
                "version": presence.version,
                "change": change + offset,
            },
        )


def note_broker_lost(connection: Connection) -> None:
    """Show every device as offline."""
    most = connection.execute("SELECT COALESCE(MAX(device_id), 0) FROM device").fetchone()[0]
    connection.execute(_ALL_OFFLINE, {"change": take_changes(connection, most + 1)})
