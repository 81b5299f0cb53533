"""The projection: stored segments become executions, tasks and evidence.

Nothing is acknowledged here and no truth is written: all of it can be thrown away and made again.
Every statement is commutative and idempotent - the most recent fact wins, by a version that every
record carries in itself - so that segments may be projected in any order. There are two queues of
them: what is pressing (orders' outcomes, urgent facts) does not wait behind a backlog of history.
"""

from __future__ import annotations

import enum
import itertools
import math
import struct
from collections import Counter
from typing import Any, NamedTuple, assert_never

import msgspec

from sync import frames
from sync.coalescing import COALESCED_KINDS
from sync.control_plane import clocks, fetches, gaps, orders, scrub, tally
from sync.control_plane.changes import take_changes
from sync.control_plane.clocks import Correction, Seen
from sync.control_plane.dialect import Connection
from sync.control_plane.gaps import Shed
from sync.control_plane.orders import Result
from sync.control_plane.queries import LAG_BUCKET_GROWTH
from sync.records import (
    Body,
    ClockRecord,
    EvidenceRecord,
    FetchedRecord,
    GapRecord,
    MalformedBody,
    OrderRecord,
    PartRecord,
    Record,
    RecordError,
    TaskRecord,
    WorkflowRecord,
    decode_body,
    rank_of,
)

# epoch, time of the update, rank of the status, lane, sequence: compared as bytes, most recent
# last. Two updates of one millisecond in two lanes are told apart by how far the status has come.
_VERSION = struct.Struct(">IQBBQ")
_HOUR_MS = 3_600_000
_GROWTH_LOG = math.log(LAG_BUCKET_GROWTH)

# An entry of PostgreSQL's indexes has at most 2,704 bytes. What is longer together than this is set
# aside with either database, so that they show the same.
_KEY_BYTES = 2_500

FEW_SEGMENTS = 8
FEW_RECORDS = 64
"""What waits and is no more than this comes into view in the transaction that stores it: a
millisecond of work, which saves a second transaction with its own fsync."""

_NEXT_SEGMENTS = """
SELECT segment_id, device_id, epoch, first_seq, count, received_ms, payload FROM segment
WHERE segment_id > {done} AND {lanes}
ORDER BY segment_id
LIMIT :limit
"""

_NEXT_COUNTS = """
SELECT count FROM segment WHERE segment_id > {done} AND {lanes} ORDER BY segment_id LIMIT :limit
"""

_PLACE = """
SELECT {done}, (SELECT COALESCE(MAX(segment_id), 0) FROM segment)
"""

_NEXT_ONE = """
SELECT {done}, (SELECT MIN(segment_id) FROM segment WHERE segment_id > {done} AND {lanes})
"""

_PENDING = """
SELECT EXISTS (SELECT 1 FROM segment WHERE segment_id > {done} AND {lanes})
"""

_PUT_EXECUTION = """
INSERT INTO execution (device_id, workflow_id, name, version, status, correlation_id, reason,
                       created_ms, updated_ms, ended_ms, came_ms, began_ms,
                       input, output, definition, ver, input_ver, output_ver, definition_ver,
                       steps, steps_ver)
VALUES (:device_id, :workflow_id, :name, :version, :status, :correlation_id, :reason,
        :created_ms, :updated_ms, :ended_ms, :came_ms, :began_ms, :input, :output, :definition,
        :ver, iif(:input IS NULL, NULL, :ver), iif(:output IS NULL, NULL, :ver),
        iif(:definition IS NULL, NULL, :ver), :steps, iif(:steps IS NULL, NULL, :ver))
ON CONFLICT (device_id, workflow_id) DO UPDATE SET
  name = iif(:ver > execution.ver, :name, execution.name),
  version = iif(:ver > execution.ver, :version, execution.version),
  status = iif(:ver > execution.ver, :status, execution.status),
  correlation_id = iif(:ver > execution.ver, :correlation_id, execution.correlation_id),
  reason = iif(:ver > execution.ver, :reason, execution.reason),
  created_ms = MIN(execution.created_ms, :created_ms),
  came_ms = iif(execution.came_ms > 0, MIN(execution.came_ms, :came_ms), :came_ms),
  began_ms = iif(execution.came_ms > 0 AND :created_ms >= execution.created_ms,
                 MIN(execution.began_ms, :came_ms), :began_ms),
  updated_ms = iif(:ver > execution.ver, :updated_ms, execution.updated_ms),
  ended_ms = iif(:ver > execution.ver, :ended_ms, execution.ended_ms),
  input = iif(:input IS NOT NULL AND :ver > COALESCE(execution.input_ver, x''),
              :input, execution.input),
  output = iif(:output IS NOT NULL AND :ver > COALESCE(execution.output_ver, x''),
               :output, execution.output),
  definition = iif(:definition IS NOT NULL AND :ver > COALESCE(execution.definition_ver, x''),
                   :definition, execution.definition),
  input_ver = iif(:input IS NOT NULL, MAX(:ver, COALESCE(execution.input_ver, x'')),
                  execution.input_ver),
  output_ver = iif(:output IS NOT NULL, MAX(:ver, COALESCE(execution.output_ver, x'')),
                   execution.output_ver),
  definition_ver = iif(:definition IS NOT NULL, MAX(:ver, COALESCE(execution.definition_ver, x'')),
                       execution.definition_ver),
  steps = iif(:steps IS NOT NULL AND :ver > COALESCE(execution.steps_ver, x''),
              :steps, execution.steps),
  steps_ver = iif(:steps IS NOT NULL, MAX(:ver, COALESCE(execution.steps_ver, x'')),
                  execution.steps_ver),
  ver = MAX(:ver, execution.ver)
"""

# The first four bytes of a version are the epoch: times of one that is no more do not count.
_LATER_TIMES = "".join(
    f"""
  {name} = iif(substr(:ver, 1, 4) = substr(task.ver, 1, 4), MAX(task.{name}, :{name}),
               iif(:ver > task.ver, :{name}, task.{name})),"""
    for name in ("scheduled_ms", "started_ms", "ended_ms")
)

_PUT_TASK = f"""
INSERT INTO task (device_id, workflow_id, task_id, seq, ref, type, name, status, attempt,
                  iteration, scheduled_ms, started_ms, ended_ms, updated_ms, worker, reason,
                  input, output, ver, input_ver, output_ver)
VALUES (:device_id, :workflow_id, :task_id, :seq, :ref, :type, :name, :status, :attempt,
        :iteration, :scheduled_ms, :started_ms, :ended_ms, :updated_ms, :worker, :reason,
        :input, :output, :ver, iif(:input IS NULL, NULL, :ver), iif(:output IS NULL, NULL, :ver))
ON CONFLICT (device_id, workflow_id, task_id) DO UPDATE SET
  seq = iif(:ver > task.ver, :seq, task.seq),
  ref = iif(:ver > task.ver, :ref, task.ref),
  type = iif(:ver > task.ver, :type, task.type),
  name = iif(:ver > task.ver, :name, task.name),
  status = iif(:ver > task.ver, :status, task.status),
  attempt = iif(:ver > task.ver, :attempt, task.attempt),
  iteration = iif(:ver > task.ver, :iteration, task.iteration),{_LATER_TIMES}
  updated_ms = iif(:ver > task.ver, :updated_ms, task.updated_ms),
  worker = iif(:ver > task.ver, :worker, task.worker),
  reason = iif(:ver > task.ver, :reason, task.reason),
  input = iif(:input IS NOT NULL AND :ver > COALESCE(task.input_ver, x''), :input, task.input),
  output = iif(:output IS NOT NULL AND :ver > COALESCE(task.output_ver, x''),
               :output, task.output),
  input_ver = iif(:input IS NOT NULL, MAX(:ver, COALESCE(task.input_ver, x'')), task.input_ver),
  output_ver = iif(:output IS NOT NULL, MAX(:ver, COALESCE(task.output_ver, x'')),
                   task.output_ver),
  ver = MAX(:ver, task.ver)
"""

# A file that was there once is better than the news that it is gone now.
_PUT_EVIDENCE = """
INSERT INTO evidence (device_id, workflow_id, task_id, key, chunk, chunks, media_type, sha256,
                      size_bytes, path, missing, segment_id, seq, ver)
VALUES (:device_id, :workflow_id, :task_id, :key, :chunk, :chunks, :media_type, :sha256,
        :size_bytes, :path, :missing, :segment_id, :seq, :ver)
ON CONFLICT (device_id, workflow_id, task_id, key, chunk) DO UPDATE SET
  chunks = :chunks, media_type = :media_type, sha256 = :sha256, size_bytes = :size_bytes,
  path = :path, missing = :missing, segment_id = :segment_id, seq = :seq, ver = :ver
WHERE (1 - :missing, :ver) > (1 - evidence.missing, evidence.ver)
"""

_PUT_UNREAD = """
INSERT INTO unread (segment_id, seq, kind, reason)
VALUES (:segment_id, :seq, :kind, :reason)
ON CONFLICT (segment_id, seq) DO UPDATE SET kind = :kind, reason = :reason
"""

_ADD_LAG = """
INSERT INTO lag (hour_ms, bucket, records) VALUES (:hour_ms, :bucket, :records)
ON CONFLICT (hour_ms, bucket) DO UPDATE SET records = lag.records + :records
"""

_TOUCH_EXECUTION = """
UPDATE execution SET change = :change
WHERE device_id = :device_id AND workflow_id = :workflow_id
"""


class Queue(enum.Enum):
    """Segments that wait to come into view, each queue with its own mark of how far it is."""

    # The condition that finds its segments, which an index serves; table and name of its mark.
    PRESSING = "lane < 2", "progress", "pressing"
    """The lanes control and urgent."""
    REST = "lane >= 2", "counter", "projected"

    def of(self, statement: str) -> str:
        """A statement about this queue: `{lanes}` finds its segments, `{done}` is its mark."""
        lanes, table, name = self.value
        return statement.format(
            lanes=lanes, done=f"(SELECT value FROM {table} WHERE name = '{name}')"
        )

    def move(self, connection: Connection, segment_id: int) -> None:
        """Note that everything up to a segment is in view."""
        _, table, name = self.value
        connection.execute(
            f"UPDATE {table} SET value = :value WHERE name = :name",
            {"value": segment_id, "name": name},
        )


def forget(connection: Connection) -> None:
    """Throw every projection away; `project` makes them again from the first segment on."""
    for table in ("execution", "task", "evidence", "unread", "lag", "tally", "device_hour", "shed",
                  "clock", "fetched", "fetched_part"):  # fmt: skip
        connection.execute(f"DELETE FROM {table}")
    for queue in Queue:
        queue.move(connection, 0)


def place(connection: Connection) -> tuple[int, int]:
    """The number of the last segment of the rest that is in view, and of the last one stored."""
    done, last = connection.execute(Queue.REST.of(_PLACE)).fetchone()
    return int(done), int(last)


def pending(connection: Connection) -> bool:
    """Whether something is stored and not in view."""
    return any(connection.execute(queue.of(_PENDING)).fetchone()[0] for queue in Queue)


def project(connection: Connection, *, limit: int, records: int | None = None) -> int:
    """Project the next stored segments, those that are pressing before all others; how many.

    The rest never overtakes what is pressing: an earlier release, which knows one mark only, finds
    nothing behind it that is not in view.

    Args:
        connection: to the ledger, in a transaction.
        limit: segments at most.
        records: in all of them at most, but for the first; None = as many as there are.
    """
    for queue in Queue:
        found = limit if records is None else _within(connection, queue, limit, records)
        done = _project(connection, queue, found)
        if done:
            return done
    return 0


def _within(connection: Connection, queue: Queue, limit: int, records: int) -> int:
    """How many of the next segments have no more records than these, at least one."""
    counts = connection.execute(queue.of(_NEXT_COUNTS), {"limit": limit}).fetchall()
    sums = itertools.accumulate(row[0] for row in counts)
    return max(1, sum(1 for one in sums if one <= records))


def project_few(connection: Connection) -> int:
    """Project what waits where that is little; how many segments there were."""
    done = 0
    for queue in Queue:
        rows = connection.execute(queue.of(_NEXT_COUNTS), {"limit": FEW_SEGMENTS + 1}).fetchall()
        if len(rows) > FEW_SEGMENTS or sum(row[0] for row in rows) > FEW_RECORDS:
            break
        if rows:
            done += _project(connection, queue, FEW_SEGMENTS)
    return done


def _project(connection: Connection, queue: Queue, limit: int) -> int:
    segments = connection.execute(queue.of(_NEXT_SEGMENTS), {"limit": limit}).fetchall()
    if not segments:
        return 0
    batch = _Batch()
    corrections = {
        device_id: clocks.of_device(connection, device_id)
        for device_id in {one[1] for one in segments}
    }
    for segment_id, device_id, epoch, first_seq, count, received_ms, payload in segments:
        try:
            frame = frames.decode(payload)
        except frames.FrameError:
            # In quarantine: kept whole, counted, and tried again at the next rebuild. One that
            # could be read when it came has been damaged since.
            scrub.look_at(connection, segment_id)
            continue
        start = first_seq - frame.header.first_seq
        records = frame.records[start : start + count]
        # One correction a segment: what is in it was written within moments.
        newest_ms = max((record.recorded_ms for record in records), default=0)
        behind_ms = corrections[device_id].at(newest_ms).at_ms - newest_ms
        for record in records:
            batch.add_lag(received_ms, record.recorded_ms + behind_ms)
        origin = _Origin(device_id, epoch, segment_id, received_ms, corrections[device_id])
        _tell(batch, frame, range(start, start + len(records)), origin)
    batch.write(connection)
    queue.move(connection, segments[-1][0])
    return len(segments)


class _Origin(NamedTuple):
    """Where records come from."""

    device_id: int
    epoch: int
    segment_id: int
    received_ms: int
    clock: Correction


def _tell(batch: _Batch, frame: frames.Frame, here: range, origin: _Origin) -> None:
    """Tell a segment's records, but for those that a later one of them tells again.

    Args:
        batch: who is told.
        frame: that the segment was stored from.
        here: the places of the segment's records in it.
        origin: of the segment.
    """
    records, carried = frame.records, frame.carried
    # A run that a device has sealed has the body of the carrier where a frame names it.
    last = {
        (records[at].kind, records[at].body): at
        for at in here
        if records[at].kind in COALESCED_KINDS
    }
    put_off: dict[int, list[Record]] = {}
    for at in here:
        record = records[at]
        # What carries it says the same, and more. Only where that is not of this segment, since it
        # was stored from another frame or never, it has to be said here.
        if carried.get(at, here.stop) < here.stop:
            continue
        again = last.get((record.kind, record.body), at)
        if again > at:
            put_off.setdefault(again, []).append(record)
        elif not batch.add(record, origin):
            # Each that cannot be read is told by itself.
            for one in put_off.get(at, ()):
                batch.add(one, origin)


class Next(NamedTuple):
    """Where the projection stands."""

    queue: Queue
    """The one whose turn it is."""
    done: int
    """The number of the last segment that is in view."""
    segment_id: int | None
    """The next one; None = there is none."""


def next_one(connection: Connection) -> Next:
    """Where the projection stands, and what comes next."""
    found = [Next(one, *connection.execute(one.of(_NEXT_ONE)).fetchone()) for one in Queue]
    return next((one for one in found if one.segment_id is not None), found[-1])


def set_aside(connection: Connection, refused: Next, *, reason: str) -> None:
    """Put a segment into quarantine that the database refuses to show, and go on behind it.

    Nothing is done when somebody else has gone on meanwhile.
    """
    if refused.segment_id is None or next_one(connection) != refused:
        return
    scrub.quarantine(connection, refused.segment_id, reason=reason)
    refused.queue.move(connection, refused.segment_id)


class _Batch:
    """The rows of one transaction, gathered by table."""

    def __init__(self) -> None:
        self._executions: list[dict[str, Any]] = []
        self._tasks: list[dict[str, object]] = []
        self._evidence: list[dict[str, object]] = []
        self._unread: list[dict[str, object]] = []
        self._results: list[Result] = []
        self._shed: list[Shed] = []
        self._clocks: list[Seen] = []
        self._fetched: list[fetches.Told] = []
        self._parts: list[fetches.Part] = []
        self._lag: Counter[tuple[int, int]] = Counter()
        # A dict for its order: the change feed tells things in the order they came.
        self._touched: dict[tuple[int, str], None] = {}

    def add(self, record: Record, origin: _Origin) -> bool:
        """Take a record; False = it cannot be read, and is shown as that."""
        device_id, epoch, segment_id, received_ms, clock = origin
        try:
            body = decode_body(record.kind, record.body)
            _check_keys(body)
        except RecordError as error:
            self._unread.append(
                {
                    "segment_id": segment_id,
                    "seq": record.seq,
                    "kind": record.kind,
                    "reason": f"{type(error).__name__}: {error}",
                }
            )
            return False
        match body:
            case WorkflowRecord():
                workflow_id = body.id
                rank = rank_of(body.status)
                version = _version(record, epoch, body.updated_ms, rank)
                row = _execution_row(body, device_id, version)
                began_ms = clock.began(body.created_ms, received_ms)
                self._executions.append(row | {"came_ms": received_ms, "began_ms": began_ms})
            case TaskRecord():
                workflow_id = body.workflow_id
                rank = rank_of(body.status)
                version = _version(record, epoch, body.updated_ms, rank)
                self._tasks.append(_task_row(body, device_id, version))
            case EvidenceRecord():
                workflow_id = body.workflow_id
                version = _version(record, epoch, record.recorded_ms, 0)
                self._evidence.append(
                    _evidence_row(body, device_id, version, segment_id, record.seq)
                )
            case OrderRecord():
                self._results.append(Result(device_id, epoch, record.recorded_ms, body))
                return True
            case GapRecord():
                self._shed.append(Shed(device_id, epoch, record.recorded_ms, body))
                return True
            case ClockRecord():
                self._clocks.append(Seen(device_id, epoch, body))
                return True
            case FetchedRecord():
                version = _version(record, epoch, record.recorded_ms, 0)
                self._fetched.append(fetches.Told(device_id, epoch, version, body))
                return True
            case PartRecord():
                version = _version(record, epoch, record.recorded_ms, 0)
                part = fetches.Part(device_id, version, segment_id, record.seq, body)
                self._parts.append(part)
                return True
            case _:
                assert_never(body)
        self._touched[device_id, workflow_id] = None
        return True

    def add_lag(self, received_ms: int, recorded_ms: int) -> None:
        # On our clock, as far as the device's is known; one that is ahead counts as no lag at all.
        lag_ms = max(0, received_ms - recorded_ms)
        bucket = int(math.log(lag_ms + 1) / _GROWTH_LOG)
        self._lag[received_ms - received_ms % _HOUR_MS, bucket] += 1

    def write(self, connection: Connection) -> None:
        counted = {(row["device_id"], row["workflow_id"]) for row in self._executions}
        keys = sorted(counted)
        before = tally.standings(connection, keys)
        connection.executemany(_PUT_EXECUTION, self._executions)
        tally.count(connection, before, tally.standings(connection, keys))
        connection.executemany(_PUT_TASK, self._tasks)
        connection.executemany(_PUT_EVIDENCE, self._evidence)
        connection.executemany(_PUT_UNREAD, self._unread)
        connection.executemany(
            _ADD_LAG,
            [
                {"hour_ms": hour_ms, "bucket": bucket, "records": records}
                for (hour_ms, bucket), records in self._lag.items()
            ],
        )
        if self._clocks:
            clocks.note(connection, self._clocks)
            tally.move(connection, clocks.place(connection, self._clocks))
            # How far its history has come is shown on our clock.
            clocks.touch(connection, self._clocks)
        if self._fetched or self._parts:
            fetches.note(connection, self._fetched, self._parts)
        if self._shed:
            gaps.note(connection, self._shed)
        if self._results:
            orders.end(connection, self._results)
        if self._touched:
            change = take_changes(connection, len(self._touched))
            connection.executemany(
                _TOUCH_EXECUTION,
                [
                    {"device_id": device_id, "workflow_id": workflow_id, "change": change + offset}
                    for offset, (device_id, workflow_id) in enumerate(self._touched)
                ],
            )


def _check_keys(body: Body) -> None:
    """Refuse what no index can hold; each row is the texts of one entry. Raises MalformedBody."""
    keys: tuple[tuple[tuple[str, str], ...], ...] = ()
    match body:
        case WorkflowRecord():
            keys = (
                (("id", body.id),),
                (("name", body.name), ("status", body.status)),
                (("correlation id", body.correlation_id or ""),),
            )
        case TaskRecord():
            keys = ((("workflow id", body.workflow_id), ("task id", body.task_id)),)
        case EvidenceRecord():
            keys = (
                (("workflow id", body.workflow_id), ("task id", body.task_id), ("key", body.key)),
            )
    for key in keys:
        if sum(len(text) for _, text in key) * 4 <= _KEY_BYTES:
            continue  # Whatever its letters are.
        if sum(len(text.encode()) for _, text in key) > _KEY_BYTES:
            names = " and ".join(name for name, _ in key)
            raise MalformedBody(f"{names} may have at most {_KEY_BYTES:,} bytes")


def _version(record: Record, epoch: int, updated_ms: int, rank: int) -> bytes:
    return _VERSION.pack(epoch, updated_ms, rank, record.lane, record.seq)


def _execution_row(body: WorkflowRecord, device_id: int, version: bytes) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "workflow_id": body.id,
        "name": body.name,
        "version": body.version,
        "status": body.status,
        "correlation_id": body.correlation_id,
        "reason": body.reason,
        "created_ms": body.created_ms,
        "updated_ms": body.updated_ms,
        "ended_ms": body.ended_ms,
        "input": body.input,
        "output": body.output,
        "definition": body.definition,
        "steps": None if body.steps is None else msgspec.json.encode(body.steps),
        "ver": version,
    }


def _task_row(body: TaskRecord, device_id: int, version: bytes) -> dict[str, object]:
    return {
        "device_id": device_id,
        "workflow_id": body.workflow_id,
        "task_id": body.task_id,
        "seq": body.seq,
        "ref": body.ref,
        "type": body.type,
        "name": body.name,
        "status": body.status,
        "attempt": body.attempt,
        "iteration": body.iteration,
        "scheduled_ms": body.scheduled_ms,
        "started_ms": body.started_ms,
        "ended_ms": body.ended_ms,
        "updated_ms": body.updated_ms,
        "worker": body.worker,
        "reason": body.reason,
        "input": body.input,
        "output": body.output,
        "ver": version,
    }


def _evidence_row(
    body: EvidenceRecord, device_id: int, version: bytes, segment_id: int, seq: int
) -> dict[str, object]:
    return {
        "device_id": device_id,
        "workflow_id": body.workflow_id,
        "task_id": body.task_id,
        "key": body.key,
        "chunk": body.index,
        "chunks": body.count,
        "media_type": body.media_type,
        "sha256": body.sha256,
        "size_bytes": body.size_bytes,
        "path": body.path,
        "missing": int(body.missing),
        "segment_id": segment_id,
        "seq": seq,
        "ver": version,
    }
