"""History on its way up: records written with the decision that made them, and publications.

Nothing is sent from here; who sends asks for what follows a cursor.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from zlib import crc32

import structlog

from edge.model.decision import Publication
from edge.model.errors import RowDamaged
from edge.model.events import MQTT
from edge.store import sealed
from edge.store.checked import plain_map, seed_of, with_checksum, without_checksum
from sync.frames import MAX_BODY_BYTES, MAX_RECORDS
from sync.records import KINDS, GapRecord, Lane, Record, encode_body
from sync.runs import Portion, Run, records_of

log = structlog.get_logger()

_PUT = "INSERT INTO history (key, kind, recorded_ms, boot, body) VALUES (?, ?, ?, ?, ?)"
_READ = """
SELECT key, kind, recorded_ms, boot, body FROM history
 WHERE key > ? AND key <= ?
 ORDER BY key
 LIMIT ?
"""
_PRUNE = "DELETE FROM history WHERE key > ? AND key <= ?"
_LANES = "SELECT lane, acked, next_seq FROM lane ORDER BY lane"
_NEXT_OF = "SELECT next_seq FROM lane WHERE lane = ?"
_OLDEST = "SELECT min(key) FROM history WHERE key > ? AND key <= ?"
_NEXT = """
INSERT INTO lane (lane, acked, next_seq, bytes) VALUES (?, 0, ?, ?)
ON CONFLICT (lane) DO UPDATE SET next_seq = excluded.next_seq, bytes = bytes + excluded.bytes
"""
_WEIGHT = "SELECT COALESCE(SUM(LENGTH(body) + ?), 0) FROM history WHERE key > ? AND key <= ?"
_LIGHTER = "UPDATE lane SET bytes = MAX(0, bytes - ?) WHERE lane = ?"
_FIRSTS = "SELECT lane, first FROM lane"
_BYTES = "SELECT lane, bytes FROM lane"
_ACKNOWLEDGE = "UPDATE lane SET acked = max(acked, ?) WHERE lane = ? AND next_seq > ?"
_PUT_PUBLICATION = "INSERT INTO publication (message_id, topic, payload) VALUES (?, ?, ?)"
_PUBLICATIONS = "SELECT key, message_id, topic, payload FROM publication ORDER BY key LIMIT ?"
_PUBLISHED = "DELETE FROM publication WHERE key = ?"
_DROP_OLDEST = """
DELETE FROM publication WHERE key <= (SELECT max(key) FROM publication) - ?
"""

_TEXTS = {kind: repr(kind).encode() for kind in KINDS.values()}
"""Kinds as they stand in what ``seed_of`` takes the checksum of."""

ROW_BYTES = 40
"""What a row takes beside its body."""

_PRUNE_ROWS = 5_000
"""Rows deleted in one transaction, so that an acknowledged backlog does not hold up the engine."""


PUBLICATIONS_KEPT = 10_000
"""Messages that wait for a broker; the oldest leave when there are more, and that is logged."""


def _key(lane: int, seq: int) -> int:
    return lane << sealed.LANE_BITS | seq


def row_seed(key: int, kind: str, recorded_ms: int, boot: int) -> int:
    """As ``seed_of``, in half of its time."""
    text = _TEXTS.get(kind)
    if text is None:
        return seed_of(key, kind, recorded_ms, boot)
    try:
        return crc32(b"(%d, %b, %d, %d)" % (key, text, recorded_ms, boot))
    except TypeError:
        # Not even integers: the storage has changed them.
        return seed_of(key, kind, recorded_ms, boot)


def read_portion(
    connection: sqlite3.Connection, lane: int, after_seq: int, limit: int, max_bytes: int
) -> Portion:
    """As ``read_records``; a run that is due as a whole as it is kept."""
    found = sealed.run_with(connection, _key(lane, after_seq + 1))
    if found is None:
        return _rows(connection, lane, after_seq, limit, max_bytes)
    if isinstance(found, Run) and found.count <= limit:
        return found
    return records_of(found)[:limit]


def read_records(
    connection: sqlite3.Connection, lane: int, after_seq: int, limit: int, max_bytes: int
) -> list[Record]:
    """Records of a lane after a sequence, oldest first; at least one if there is any."""
    return list(records_of(read_portion(connection, lane, after_seq, limit, max_bytes)))


def _rows(
    connection: sqlite3.Connection, lane: int, after_seq: int, limit: int, max_bytes: int
) -> list[Record]:
    """The same of those that are not in a run."""
    found: list[Record] = []
    size, start, lane_here = 0, _key(lane, 0), Lane(lane)
    rows = connection.execute(_READ, (_key(lane, after_seq), _key(lane + 1, 0) - 1, limit))
    for key, kind, recorded_ms, boot, body in rows:
        size += len(body)
        if found and size > max_bytes:
            break
        # With few calls: a backlog is read by the million.
        whole = plain_map(body, row_seed(key, kind, recorded_ms, boot))
        if whole is None:
            whole = _whole(key, kind, recorded_ms, boot, body)
        found.append(Record(lane_here, key - start, kind, recorded_ms, boot, whole))
    return found


def _whole(key: int, kind: str, recorded_ms: int, boot: int, body: bytes) -> bytes:
    """The body of a record without its checksum.

    A damaged one is sent without a body, which the control plane sets aside: the lane must not stop
    there for ever.
    """
    try:
        return without_checksum(body, "history", seed_of(key, kind, recorded_ms, boot))
    except RowDamaged as error:
        log.error("row_damaged", table=error.table, key=key, reason=error.message)
        return b""


def put_control(
    connection: sqlite3.Connection, kind: str, body: bytes, *, now_ms: int, boot: int
) -> None:
    """Write a record of the control lane at once, as part of the transaction that is open.

    Decisions write none there, so that its sequence needs no memory beside the table.
    """
    row = connection.execute(_NEXT_OF, (int(Lane.CONTROL),)).fetchone()
    seq = 1 if row is None else row[0]
    key = _key(Lane.CONTROL, seq)
    checked = with_checksum(body, seed_of(key, kind, now_ms, boot))
    connection.execute(_PUT, (key, kind, now_ms, boot, checked))
    connection.execute(_NEXT, (int(Lane.CONTROL), seq + 1, len(checked) + ROW_BYTES))


def read_lanes(connection: sqlite3.Connection) -> dict[int, tuple[int, int, int]]:
    """Acknowledged, oldest held and newest sequence of each lane; oldest = newest + 1 if none."""
    lanes = {}
    for lane, acked, next_seq in connection.execute(_LANES).fetchall():
        here = (_key(lane, 0), _key(lane + 1, 0) - 1)
        row = connection.execute(_OLDEST, here).fetchone()
        first = sealed.first_key(connection, *here) or row[0]
        oldest = next_seq if first is None else first - _key(lane, 0)
        lanes[lane] = (acked, oldest, next_seq - 1)
    return lanes


def acknowledge(connection: sqlite3.Connection, acked: dict[int, int]) -> None:
    """Move cursors forward, never back nor beyond what was written, and free what lies behind."""
    for lane, seq in acked.items():
        connection.execute(_ACKNOWLEDGE, (seq, lane, seq))
    for lane, (cursor, oldest, _) in read_lanes(connection).items():
        if oldest <= cursor:
            _drop(connection, lane, min(cursor, oldest + _PRUNE_ROWS))


def _drop(connection: sqlite3.Connection, lane: int, until_seq: int) -> int:
    """Free the rows of a lane up to a sequence, and the runs that end there; how many bytes."""
    here = (_key(lane, 0), _key(lane, until_seq))
    freed = sealed.drop(connection, *here) + _weight(connection, *here)
    connection.execute(_PRUNE, here)
    connection.execute(_LIGHTER, (freed, lane))
    return freed


def _weight(connection: sqlite3.Connection, after: int, until: int) -> int:
    """What the rows of a range take, in bytes."""
    return int(connection.execute(_WEIGHT, (ROW_BYTES, after, until)).fetchone()[0])


def shed(connection: sqlite3.Connection, lane: Lane, *, reason: str, now_ms: int, boot: int) -> int:
    """Give up the oldest records of a lane, some hundred of them, and account for them.

    The record of the gap is part of the same transaction.

    Returns:
        The bytes that were freed; 0 when the lane holds nothing.
    """
    acked, oldest, _ = read_lanes(connection).get(lane, (0, 1, 0))
    given_up = read_records(connection, lane, oldest - 1, MAX_RECORDS, MAX_BODY_BYTES)
    if not given_up:
        return 0
    last = given_up[-1].seq
    freed = _drop(connection, lane, last)
    lost = [record for record in given_up if record.seq > acked]
    if lost:
        kinds = Counter(record.kind for record in lost)
        gap = GapRecord(lane, lost[0].seq, last, reason, freed, dict(kinds))
        body = encode_body(gap)
        put_control(connection, KINDS[GapRecord], body, now_ms=now_ms, boot=boot)
    return freed


def seal(connection: sqlite3.Connection, lane: Lane) -> bool:
    """Put the oldest rows of a lane into one run, which takes a fifth of it; False = too few."""
    here = (_key(lane, 0), _key(lane + 1, 0) - 1)
    first = connection.execute(_OLDEST, here).fetchone()[0]
    if first is None:
        return False
    rows = _rows(connection, lane, first - _key(lane, 0) - 1, MAX_RECORDS, MAX_BODY_BYTES // 2)
    # Fewer are enough where large ones have filled the read: only what is at the end may grow.
    next_seq = connection.execute(_NEXT_OF, (lane,)).fetchone()[0]
    if len(rows) < MAX_RECORDS and rows[-1].seq + 1 == next_seq:
        return False
    count, size = sealed.put(connection, first, rows)
    until = (_key(lane, 0), first + count - 1)
    freed = _weight(connection, *until)
    connection.execute(_PRUNE, until)
    connection.execute(_LIGHTER, (freed - size, lane))
    return True


def read_first(connection: sqlite3.Connection) -> dict[int, int]:
    """With which sequence the epoch begins in each lane."""
    return dict(connection.execute(_FIRSTS).fetchall())


def held_bytes(connection: sqlite3.Connection) -> dict[int, int]:
    """What the records of each lane take."""
    return dict(connection.execute(_BYTES).fetchall())


def read_publications(connection: sqlite3.Connection, limit: int) -> list[tuple[int, Publication]]:
    """Messages that the broker has not taken yet, oldest first, with their keys."""
    rows = connection.execute(_PUBLICATIONS, (limit,))
    return [(row[0], Publication(row[1], MQTT + row[2], row[3])) for row in rows]


def forget_publications(connection: sqlite3.Connection, keys: Iterable[int]) -> None:
    """Take away what the broker has taken."""
    connection.executemany(_PUBLISHED, [(key,) for key in keys])


class OutboxWriter:
    """Gives sequences and collects rows; runs on the writer's thread, inside its transactions."""

    def __init__(self) -> None:
        self._next: dict[int, int] | None = None
        self._given: dict[int, int] = {}
        """Bytes of what is waiting, by lane."""
        self._rows: list[tuple[int, str, int, int, bytes]] = []
        self._publications: list[tuple[str, str, bytes]] = []

    def add(
        self,
        connection: sqlite3.Connection,
        lane: Lane,
        kind: str,
        body: bytes,
        *,
        now_ms: int,
        boot: int,
    ) -> None:
        """Give a record its sequence and keep it until the flush; see ``put_control``, too."""
        seq = self.next_seq(connection, lane)
        assert self._next is not None
        self._next[lane] = seq + 1
        key = _key(lane, seq)
        checked = with_checksum(body, row_seed(key, kind, now_ms, boot))
        self._given[lane] = self._given.get(lane, 0) + len(checked) + ROW_BYTES
        self._rows.append((key, kind, now_ms, boot, checked))

    def next_seq(self, connection: sqlite3.Connection, lane: Lane) -> int:
        """The sequence that the next record of a lane gets."""
        assert lane is not Lane.CONTROL, "its sequences are read from the table each time"
        if self._next is None:
            self._next = {row[0]: row[2] for row in connection.execute(_LANES)}
        return self._next.get(lane, 1)

    def publish(self, publications: Iterable[Publication]) -> None:
        """Keep the messages for the broker until the flush; the others are not for this table."""
        self._publications += [
            (p.message_id, p.sink.removeprefix(MQTT), p.payload)
            for p in publications
            if p.sink.startswith(MQTT)
        ]

    def flush(self, connection: sqlite3.Connection) -> bool:
        """Write what is waiting. True when there was anything."""
        if not self._rows and not self._publications:
            return False
        connection.executemany(_PUT, self._rows)
        if self._publications:
            connection.executemany(_PUT_PUBLICATION, self._publications)
            dropped = connection.execute(_DROP_OLDEST, (PUBLICATIONS_KEPT,)).rowcount
            if dropped:
                log.error("publications_dropped", count=dropped, kept=PUBLICATIONS_KEPT)
        if self._next is not None:
            rows = [(lane, self._next[lane], size) for lane, size in sorted(self._given.items())]
            connection.executemany(_NEXT, rows)
        self._rows.clear()
        self._publications.clear()
        self._given.clear()
        return True

    def forget_all(self) -> None:
        """After a ROLLBACK: sequences that were given are not taken."""
        self._next = None
        self._given.clear()
        self._rows.clear()
        self._publications.clear()
