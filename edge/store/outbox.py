"""History on its way up: records written with the decision that made them, and publications.

Nothing is sent from here; who sends asks for what follows a cursor.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from zlib import crc32

import structlog

from edge.model.decision import Publication
from edge.model.errors import RowDamaged
from edge.model.events import MQTT
from edge.store import sealed
from edge.store.checked import plain_map, seed_of, with_checksum, without_checksum
from sync.coalescing import carried_along
from sync.frames import MAX_BODY_BYTES, MAX_RECORDS
from sync.records import KINDS, GapRecord, Lane, Record, encode_body
from sync.runs import Portion, Run, records_of

log = structlog.get_logger()

_PUT = "INSERT INTO history (key, kind, recorded_ms, boot, body) VALUES (?, ?, ?, ?, ?)"
_READ = """
SELECT key, kind, recorded_ms, boot, body FROM history
 WHERE key > ? AND key < ?
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

_FEW, _FEW_BYTES = 64, 65_536
"""Records of a lane, and bytes, that are read along with the look at what there is."""

_PRUNE_ROWS = 5_000
"""Rows deleted in one transaction, so that an acknowledged backlog does not hold up the engine."""

_RUN_LANES = frozenset({Lane.URGENT, Lane.HISTORY})
"""Records of bulk name files whose contents are added when they are sent; control has few."""

_RUN_FROM = 16
"""Records that one transaction writes of a lane from which on they are kept as a run. Fewer take
as long to put into a frame as into rows."""

_RUN_BYTES = 250_000
"""Bodies that are put into one run while the engine waits."""

_OWN_FRAME_FROM = 128
"""Records of a run that travels by itself though more wait behind it: what a smaller one shares
with its neighbours is sent once when they travel as one."""

_SEALED_AT_ONCE = 50
"""Stretches of rows between runs that are sealed in one transaction."""


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
    """As ``read_records``; a run that is due as a whole as it is kept.

    A run is due if it is worth a frame of its own or is the last that waits.
    """
    first = sealed.run_with(connection, _key(lane, after_seq + 1))
    if isinstance(first, Run) and _OWN_FRAME_FROM <= first.count <= limit:
        return first
    if first is not None and (not isinstance(first, Run) or first.count > limit):
        # A part of a run, and nothing behind its end: there runs are read as they are kept again.
        return records_of(first)[:limit]
    if first is None:
        found = _rows(connection, lane, after_seq, limit, max_bytes)
    else:
        found = [*records_of(first)]
    of_the_first, size = len(found), _bytes(found)
    while found and len(found) < limit and size < max_bytes:
        last, room = found[-1].seq, limit - len(found)
        run = sealed.run_with(connection, _key(lane, last + 1))
        if isinstance(run, Run) and (run.count >= _OWN_FRAME_FROM or run.count > room):
            break
        if run is None:
            more: Sequence[Record] = _rows(connection, lane, last, room, max_bytes - size)
        else:
            more = records_of(run)[:room]
        if not more:
            break
        found += more
        size += _bytes(more)
    return first if first is not None and len(found) == of_the_first else found


def read_records(
    connection: sqlite3.Connection, lane: int, after_seq: int, limit: int, max_bytes: int
) -> list[Record]:
    """Records of a lane after a sequence, oldest first; at least one if there is any."""
    return list(records_of(read_portion(connection, lane, after_seq, limit, max_bytes)))


def _bytes(records: Sequence[Record]) -> int:
    return sum(len(one.body) for one in records)


def _rows(
    connection: sqlite3.Connection, lane: int, after_seq: int, limit: int, max_bytes: int
) -> list[Record]:
    """The records after a sequence that are rows, up to the next run."""
    found: list[Record] = []
    size, start, lane_here = 0, _key(lane, 0), Lane(lane)
    after, until = _key(lane, after_seq), _key(lane + 1, 0)
    until = sealed.first_key(connection, after, until) or until
    for key, kind, recorded_ms, boot, body in connection.execute(_READ, (after, until, limit)):
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
        firsts = [one for one in (sealed.first_key(connection, *here), row[0]) if one is not None]
        oldest = min(firsts) - _key(lane, 0) if firsts else next_seq
        lanes[lane] = (acked, oldest, next_seq - 1)
    return lanes


def look(
    connection: sqlite3.Connection, after: dict[int, int]
) -> tuple[dict[int, tuple[int, int, int]], dict[int, Portion]]:
    """As ``read_lanes``; and of lanes in which few records stand behind a sequence, those.

    Args:
        connection: to read by.
        after: a sequence of each lane in question.
    """
    lanes, few = read_lanes(connection), {}
    for lane, (_, _, newest) in lanes.items():
        seq = after.get(lane, newest)
        if 0 < newest - seq <= _FEW:
            few[lane] = read_portion(connection, lane, seq, _FEW, _FEW_BYTES)
    return lanes, few


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
    """Put the oldest rows of a lane into runs, which take a fifth of it; False = too few."""
    done = 0
    for _ in range(_SEALED_AT_ONCE):
        count = _seal_stretch(connection, lane)
        done += count
        if not count or done >= MAX_RECORDS:
            break
    return done > 0


def _seal_stretch(connection: sqlite3.Connection, lane: Lane) -> int:
    """Put the oldest rows up to the next run into one; how many it holds, 0 = they wait for more.

    A record that a later one of the run carries is kept with the body of that one, which takes a
    few bytes once it is compressed. So the run may be cut anywhere when it is sent, and what is
    shown of it is the same.
    """
    here = (_key(lane, 0), _key(lane + 1, 0) - 1)
    first = connection.execute(_OLDEST, here).fetchone()[0]
    if first is None:
        return 0
    rows = _rows(connection, lane, first - _key(lane, 0) - 1, MAX_RECORDS, MAX_BODY_BYTES // 2)
    # Fewer are enough where large ones have filled the read, or where a run follows: only what is
    # at the end may grow.
    next_seq = connection.execute(_NEXT_OF, (lane,)).fetchone()[0]
    if len(rows) < MAX_RECORDS and rows[-1].seq + 1 == next_seq:
        return 0
    count, size = sealed.put(connection, first, carried_along(rows))
    until = (_key(lane, 0), first + count - 1)
    freed = _weight(connection, *until)
    connection.execute(_PRUNE, until)
    connection.execute(_LIGHTER, (freed - size, lane))
    return count


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
        self._waiting: dict[Lane, list[Record]] = {}
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
        record = Record(lane, seq, kind, now_ms, boot, body)
        waiting = self._waiting.get(lane)
        if waiting is None:
            self._waiting[lane] = [record]
        else:
            waiting.append(record)

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
        if not self._waiting and not self._publications:
            return False
        for lane, records in sorted(self._waiting.items()):
            size = _write(connection, lane, records)
            connection.execute(_NEXT, (lane, records[-1].seq + 1, size))
        if self._publications:
            connection.executemany(_PUT_PUBLICATION, self._publications)
            dropped = connection.execute(_DROP_OLDEST, (PUBLICATIONS_KEPT,)).rowcount
            if dropped:
                log.error("publications_dropped", count=dropped, kept=PUBLICATIONS_KEPT)
        self._waiting.clear()
        self._publications.clear()
        return True

    def forget_all(self) -> None:
        """After a ROLLBACK: sequences that were given are not taken."""
        self._next = None
        self._waiting.clear()
        self._publications.clear()


def _write(connection: sqlite3.Connection, lane: Lane, records: Sequence[Record]) -> int:
    """Write consecutive records, as runs where there are enough of them; the bytes they take."""
    size, at = 0, 0
    while lane in _RUN_LANES and (some := _for_a_run(records, at)):
        count, taken = sealed.put(connection, _key(lane, some[0].seq), some)
        at, size = at + count, size + taken
    rows = []
    for one in records[at:]:
        key = _key(lane, one.seq)
        seed = row_seed(key, one.kind, one.recorded_ms, one.boot)
        checked = with_checksum(one.body, seed)
        size += len(checked) + ROW_BYTES
        rows.append((key, one.kind, one.recorded_ms, one.boot, checked))
    connection.executemany(_PUT, rows)
    return size


def _for_a_run(records: Sequence[Record], at: int) -> Sequence[Record]:
    """The records from a place on that go into one run; empty when they are too few or too large."""
    some = records[at : at + MAX_RECORDS]
    if len(some) < _RUN_FROM:
        return ()
    size = 0
    for place, one in enumerate(some):
        size += len(one.body)
        if size > _RUN_BYTES:
            return some[:place] if place >= _RUN_FROM else ()
    return some
