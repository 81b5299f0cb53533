"""Which records carry others, and what becomes of rows that name a carrier wrongly."""

from __future__ import annotations

import sqlite3
import zlib

import msgspec
import pytest

from sync import frames, receiver
from sync.coalescing import carried_along, carriers
from sync.codecs import Codec
from sync.control_plane import projection, truth
from sync.database import in_transaction
from sync.records import KINDS, Body, Lane, Record, TaskRecord, WorkflowRecord, encode_body

_STATES = ("SCHEDULED", "IN_PROGRESS", "COMPLETED")


def task(status: str, at: int, *, task_id: str = "t", **more: object) -> TaskRecord:
    """A state of a task."""
    return TaskRecord("w", task_id, 1, "r", "SIMPLE", "n", status, at, **more)  # type: ignore[arg-type]


def workflow(status: str, at: int, **more: object) -> WorkflowRecord:
    """A state of an execution."""
    fields = {"name": "n", "version": 1, "created_ms": 1} | more
    return WorkflowRecord(id="w", status=status, updated_ms=at, **fields)  # type: ignore[arg-type]


def records(*bodies: Body, lane: Lane = Lane.HISTORY) -> list[Record]:
    """The states as records of a lane."""
    return [
        Record(lane, seq, KINDS[type(body)], seq, 1, encode_body(body))
        for seq, body in enumerate(bodies, 1)
    ]


def test_the_last_state_carries_those_before() -> None:
    """Of each task and each execution for itself, with other records in between."""
    found = carriers(
        records(
            workflow("RUNNING", 1),
            task("SCHEDULED", 1),
            task("SCHEDULED", 1, task_id="u"),
            task("IN_PROGRESS", 2),
            workflow("COMPLETED", 3),
            task("COMPLETED", 3),
        )
    )

    assert {0: 4, 1: 4, 3: 2} == found


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (task("SCHEDULED", 1, input=b"1"), task("COMPLETED", 2)),
        (task("IN_PROGRESS", 1, output=b"1"), task("COMPLETED", 2)),
        (task("IN_PROGRESS", 1, started_ms=5), task("SCHEDULED", 2)),
        (task("IN_PROGRESS", 1, scheduled_ms=5), task("COMPLETED", 2)),
        (task("COMPLETED", 1, ended_ms=5), task("IN_PROGRESS", 2)),
        (task("SCHEDULED", 3), task("COMPLETED", 2)),
        (task("COMPLETED", 2), task("SCHEDULED", 2)),
        (workflow("RUNNING", 1, input=b"1"), workflow("COMPLETED", 2)),
        (workflow("RUNNING", 1, output=b"1"), workflow("COMPLETED", 2)),
        (workflow("RUNNING", 1, definition=b"1"), workflow("COMPLETED", 2)),
        (workflow("RUNNING", 1), workflow("COMPLETED", 2, created_ms=2)),
        (workflow("RUNNING", 1), workflow("COMPLETED", 2, name="m")),
        (workflow("RUNNING", 1), workflow("COMPLETED", 2, correlation_id="c")),
        (workflow("RUNNING", 3), workflow("COMPLETED", 2)),
    ],
)
def test_what_says_something_of_its_own_is_not_carried(earlier: Body, later: Body) -> None:
    """A payload, a time, or a state that the projection takes for the more recent one."""
    assert {} == carriers(records(earlier, later))


def test_only_states_in_lanes_of_states_are_carried() -> None:
    """Control and bulk are left alone, and so is what cannot be read."""
    both = task("SCHEDULED", 1), task("COMPLETED", 2)
    broken = msgspec.structs.replace(records(*both)[1], body=b"\xc1")

    assert {0: 1} == carriers(records(*both, lane=Lane.URGENT))
    assert {} == carriers(records(*both, lane=Lane.CONTROL))
    assert {} == carriers(records(*both, lane=Lane.BULK))
    assert {} == carriers([records(*both)[0], broken])
    assert {} == carriers([])


def test_a_carried_record_is_kept_with_its_carriers_body() -> None:
    """Under its own sequence, kind and time; it can be coalesced again, in any cut."""
    plain = records(*(task(status, at) for at, status in enumerate(_STATES)))
    along = carried_along(plain)

    assert [plain[2].body] * 3 == [one.body for one in along]
    assert [(one.seq, one.recorded_ms) for one in plain] == [
        (one.seq, one.recorded_ms) for one in along
    ]
    assert {0: 1} == carriers(along[:2])


def _framed(rows: list[tuple[object, ...]], lane: Lane = Lane.HISTORY) -> bytes:
    """A frame of these rows, whatever they say."""
    empty = [Record(lane, seq, "task", 1, 1, b"") for seq in range(1, len(rows) + 1)]
    frame = frames.encode(empty, epoch=1, oldest_seq=1, codec=Codec.NONE)
    body = msgspec.msgpack.encode((1, rows))
    header = frame[:32] + zlib.crc32(body).to_bytes(4, "big")
    return header + zlib.crc32(header).to_bytes(4, "big") + body


_BODY = encode_body(task("COMPLETED", 5))


@pytest.mark.parametrize(
    "rows",
    [
        [("task", 0, 1, 0), ("task", 0, 1, _BODY)],
        [("task", 0, 1, _BODY), ("task", 0, 1, -1)],
        [("task", 0, 1, 2), ("task", 0, 1, _BODY)],
        [("task", 0, 1, 2**40), ("task", 0, 1, _BODY)],
        [("workflow", 0, 1, 1), ("task", 0, 1, _BODY)],
        [("gap", 0, 1, 1), ("gap", 0, 1, _BODY), ("task", 0, 1, _BODY)],
        [("task", 0, 1, 1), ("task", 0, 1, 2), ("task", 0, 1, _BODY)],
    ],
)
def test_a_row_that_names_no_carrier_is_noted(rows: list[tuple[object, ...]]) -> None:
    """The frame is stored and acknowledged, the others are shown: the lane does not stop."""
    disk = sqlite3.connect(":memory:", isolation_level=None)
    in_transaction(disk, truth.create_schema)
    payload = _framed(rows)
    arrival = receiver.read("baton/1/default/roof/up/2", payload, received_ms=1)
    assert arrival is not None
    (answer,) = in_transaction(disk, lambda one: truth.commit(one, [arrival], now_ms=1))
    in_transaction(disk, lambda one: projection.project(one, limit=9))

    assert {Lane.HISTORY: len(rows)} == frames.decode_ack(answer.payload).cursors
    assert [(None,)] == disk.execute("SELECT quarantined FROM segment").fetchall()
    assert disk.execute("SELECT count(*) FROM unread").fetchone()[0] >= 1
    assert [("t",)] == disk.execute("SELECT task_id FROM task").fetchall()
    disk.close()


@pytest.mark.parametrize("lane", [Lane.CONTROL, Lane.BULK])
def test_nothing_is_carried_where_each_record_counts(lane: Lane) -> None:
    """Not even when a device says so."""
    frame = frames.decode(_framed([("task", 0, 1, 1), ("task", 0, 1, _BODY)], lane))

    assert {} == frame.carried
    assert [b"", _BODY] == [one.body for one in frame.records]


def test_a_part_without_its_carrier_shows_it() -> None:
    """Of a frame that is stored in part the carrier may lie in what was passed over as gone."""
    disk = sqlite3.connect(":memory:", isolation_level=None)
    in_transaction(disk, truth.create_schema)
    states = records(*(task(status, at, input=b"{}") for at, status in enumerate(_STATES)))
    last = frames.encode(
        [msgspec.structs.replace(states[2], kind="of-tomorrow")], epoch=1, oldest_seq=1
    )
    whole = frames.encode(states, epoch=1, oldest_seq=1, coalesce=True)
    for payload in (last, whole):
        arrival = receiver.read("baton/1/default/roof/up/2", payload, received_ms=1)
        assert arrival is not None
        in_transaction(disk, lambda one, new=arrival: truth.commit(one, [new], now_ms=1))  # type: ignore[misc]
    in_transaction(disk, lambda one: projection.project(one, limit=9))

    assert [(2,), (1,)] == disk.execute("SELECT count FROM segment ORDER BY first_seq").fetchall()
    assert [("COMPLETED",)] == disk.execute("SELECT status FROM task").fetchall()
    disk.close()
