"""The projection is commutative: any order, repetition and cut of the frames shows the same."""

from __future__ import annotations

import hashlib
import random
import sqlite3

from hypothesis import given, settings
from hypothesis import strategies as st

from sync import frames, receiver
from sync.coalescing import carried_along
from sync.control_plane import projection, queries, truth
from sync.database import in_transaction
from sync.records import (
    KINDS,
    Body,
    EvidenceRecord,
    FetchedRecord,
    Lane,
    PartRecord,
    Record,
    TaskRecord,
    WorkflowRecord,
    encode_body,
)
from sync.topics import Address

ROOF = Address("default", "roof")
_TEXT = st.one_of(st.none(), st.binary(min_size=1, max_size=4))
_SMALL = st.integers(0, 5)

_WORKFLOWS = st.builds(
    WorkflowRecord,
    id=st.sampled_from(["w1", "w2"]),
    name=st.sampled_from(["a", "b"]),
    version=_SMALL,
    status=st.sampled_from(["RUNNING", "PAUSED", "FAILED", "COMPLETED"]),
    created_ms=_SMALL,
    updated_ms=_SMALL,
    ended_ms=_SMALL,
    reason=st.sampled_from([None, "x", "y"]),
    input=_TEXT,
    output=_TEXT,
    definition=_TEXT,
)
_TASKS = st.builds(
    TaskRecord,
    workflow_id=st.sampled_from(["w1", "w2"]),
    task_id=st.sampled_from(["t1", "t2"]),
    seq=_SMALL,
    ref=st.just("r"),
    type=st.just("SIMPLE"),
    name=st.sampled_from(["a", "b"]),
    status=st.sampled_from(["SCHEDULED", "IN_PROGRESS", "COMPLETED"]),
    updated_ms=_SMALL,
    scheduled_ms=_SMALL,
    started_ms=_SMALL,
    ended_ms=_SMALL,
    input=_TEXT,
    output=_TEXT,
)
_EVIDENCE = st.builds(
    EvidenceRecord,
    workflow_id=st.just("w1"),
    task_id=st.just("t1"),
    key=st.sampled_from(["k1", "k2"]),
    media_type=st.just("m"),
    sha256=st.sampled_from(["00", "01"]),
    size_bytes=_SMALL,
    path=st.just("p"),
    content=st.binary(max_size=3),
    missing=st.booleans(),
)

_FETCHED = st.builds(
    FetchedRecord,
    order_id=st.sampled_from(["o1", "o2"]),
    state=st.sampled_from(["found", "gone"]),
    size_bytes=_SMALL,
    count=_SMALL,
    first_seq=_SMALL,
)
_PARTS = st.builds(
    PartRecord,
    order_id=st.sampled_from(["o1", "o2"]),
    index=st.integers(0, 1),
    count=st.just(2),
    sha256=st.sampled_from([hashlib.sha256(one).digest() for one in (b"", b"a", b"b")]),
    content=st.sampled_from([b"", b"a", b"b"]),
    missing=st.booleans(),
)


def shown(order: list[tuple[Lane, bytes]]) -> list[object]:
    """What the pages would show after these frames came in this order."""
    disk = sqlite3.connect(":memory:", isolation_level=None)
    in_transaction(disk, truth.create_schema)
    for lane, payload in order:
        arrival = receiver.read(ROOF.topic(f"up/{lane.value}"), payload, received_ms=50)
        assert arrival is not None
        truth.commit(disk, [arrival], now_ms=50)
    while projection.project(disk, limit=2):
        pass
    evidence = disk.execute(
        "SELECT workflow_id, task_id, key, chunk, sha256, missing, size_bytes, ver FROM evidence"
    ).fetchall()
    page = queries.executions(
        disk, tenant=None, device=None, status=None, name=None, text=None, after=None, limit=9
    )
    views = [
        queries.execution(disk, tenant="default", device="roof", workflow_id=identity)
        for identity in ("w1", "w2")
    ]
    lag = disk.execute("SELECT * FROM lag ORDER BY 1, 2").fetchall()
    tasks = disk.execute("SELECT * FROM task ORDER BY 1, 2, 3").fetchall()
    fetched = disk.execute("SELECT * FROM fetched ORDER BY 1, 2").fetchall()
    parts = disk.execute(
        "SELECT order_id, part, missing, seq, size_bytes, ver FROM fetched_part ORDER BY 1, 2"
    ).fetchall()
    rows = sorted(page.rows, key=lambda row: row.workflow_id)
    disk.close()
    return [rows, views, evidence, lag, tasks, fetched, parts]


def cut(
    records: list[Record], rng: random.Random, *, most: int = 3, coalesce: bool = False
) -> list[tuple[Lane, bytes]]:
    """The records in frames of some length, some of them coalesced where that is asked for."""
    out = []
    while records:
        taken, records = records[: (size := rng.randint(1, most))], records[size:]
        shorter = coalesce and rng.random() < 0.7
        payload = frames.encode(taken, epoch=1, oldest_seq=1, coalesce=shorter)
        out.append((taken[0].lane, payload))
    return out


def in_lanes(bodies: list[Body], rng: random.Random) -> list[list[Record]]:
    """The bodies as records of two lanes."""
    lanes: dict[Lane, list[Record]] = {Lane.URGENT: [], Lane.HISTORY: []}
    for body in bodies:
        lane = rng.choice([Lane.URGENT, Lane.HISTORY])
        seq = len(lanes[lane]) + 1
        lanes[lane].append(Record(lane, seq, KINDS[type(body)], 7, 1, encode_body(body)))
    return list(lanes.values())


@settings(max_examples=80, deadline=None)
@given(
    bodies=st.lists(
        st.one_of(_WORKFLOWS, _TASKS, _EVIDENCE, _FETCHED, _PARTS), min_size=1, max_size=14
    ),
    seed=st.integers(0, 2**32),
)
def test_every_order_shows_the_same(bodies: list[Body], seed: int) -> None:
    """I-6: permuted, repeated and cut differently, over two lanes, the pages read the same."""
    rng = random.Random(seed)
    lanes = in_lanes(bodies, rng)
    straight = [one for records in lanes for one in cut(records, random.Random(0))]
    hostile = [one for records in lanes for one in cut(records, rng)]
    hostile += rng.choices(hostile, k=3)
    hostile += [one for records in lanes for one in cut(records, rng)]
    rng.shuffle(hostile)

    assert shown(straight) == shown(hostile)


@settings(max_examples=150, deadline=None)
@given(
    bodies=st.lists(st.one_of(_WORKFLOWS, _TASKS, _TASKS, _EVIDENCE), min_size=2, max_size=24),
    seed=st.integers(0, 2**32),
)
def test_coalesced_frames_show_the_same(bodies: list[Body], seed: int) -> None:
    """Coalesced or not, sealed before or not, in any cut and order, twice: the pages read the same.

    A frame of which a part is stored already is stored in part, also without its carriers.
    """
    rng = random.Random(seed)
    lanes = in_lanes(bodies, rng)
    straight = [one for records in lanes for one in cut(records, random.Random(0))]
    hostile = [one for records in lanes for one in cut(records, rng, most=9, coalesce=True)]
    hostile += rng.choices(hostile, k=3)
    sealed = [carried_along(records) for records in lanes if records]
    hostile += [one for records in sealed for one in cut(records, rng, most=9, coalesce=True)]
    hostile += [one for records in lanes for one in cut(records, rng, most=9, coalesce=True)]
    rng.shuffle(hostile)

    assert shown(straight) == shown(hostile)
