"""Records: bodies survive, strangers are named, oversized payloads are replaced by a note."""

from __future__ import annotations

import msgspec
import pytest

from sync import records
from sync.records import (
    EvidenceRecord,
    Lane,
    MalformedBody,
    Record,
    TaskRecord,
    UnknownKind,
    WorkflowRecord,
    decode_body,
    encode_body,
)

WORKFLOW = WorkflowRecord("w1", "demo", 2, "RUNNING", 5, 6, input=b'{"a":1}', definition=b"{}")
TASK = TaskRecord("w1", "t1", 1, "ref", "SIMPLE", "detect", "COMPLETED", 9, output=b"[]")
EVIDENCE = EvidenceRecord("w1", "t1", "snap", "image/jpeg", "00ff", 3, "a/b.jpg", content=b"xyz")


@pytest.mark.parametrize("body", [WORKFLOW, TASK, EVIDENCE], ids=lambda body: type(body).__name__)
def test_a_body_survives(body: records.Body) -> None:
    """What was encoded is decoded to the same."""
    assert body == decode_body(records.KINDS[type(body)], encode_body(body))


def test_wire_names_are_short() -> None:
    """The wire carries one or two letters a field and no field at its default."""
    wire = msgspec.msgpack.decode(encode_body(WORKFLOW))

    assert {"i", "n", "v", "s", "cm", "um", "in", "d"} == set(wire)


def test_unknown_fields_are_ignored() -> None:
    """A later release may add fields."""
    wire = msgspec.msgpack.decode(encode_body(TASK)) | {"of-tomorrow": [1, 2]}

    assert TASK == decode_body("task", msgspec.msgpack.encode(wire))


def test_an_unknown_kind_is_named() -> None:
    """A kind of a later release is UnknownKind, not a guess."""
    with pytest.raises(UnknownKind, match="of-tomorrow"):
        decode_body("of-tomorrow", b"")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xff",
        msgspec.msgpack.encode({"i": "w1"}),
        msgspec.msgpack.encode(
            {"i": "w", "n": "n", "v": -1, "s": "RUNNING", "cm": 1, "um": 1},
        ),
        msgspec.msgpack.encode(
            {"i": "w", "n": "n", "v": 2**60, "s": "RUNNING", "cm": 1, "um": 1},
        ),
    ],
)
def test_a_malformed_body_is_named(body: bytes) -> None:
    """Missing fields, wrong bytes and numbers no database could hold are MalformedBody."""
    with pytest.raises(MalformedBody):
        decode_body("workflow", body)


@pytest.mark.parametrize(
    ("size_bytes", "chunks"), [(0, 1), (1, 1), (60_000, 1), (60_001, 2), (180_000, 3)]
)
def test_chunks_of_a_file(size_bytes: int, chunks: int) -> None:
    """A file is cut into full chunks and a rest; an empty one is one empty chunk."""
    assert chunks == records.evidence_chunks(size_bytes)


def test_shrinking_keeps_the_fact_and_notes_the_size() -> None:
    """A workflow or task loses its payloads, not its status; the note says how large they were."""
    for body in (WORKFLOW, TASK):
        big = msgspec.structs.replace(body, output=b"x" * 10, reason="y" * 5_000)
        record = Record(Lane.HISTORY, 4, records.KINDS[type(body)], 1, 1, encode_body(big))

        small = records.shrink(record)

        assert record.seq == small.seq
        shrunk = decode_body(small.kind, small.body)
        assert isinstance(shrunk, WorkflowRecord | TaskRecord)
        assert body.status == shrunk.status
        assert b'{"truncated":true,"size_bytes":10}' == shrunk.output
        assert shrunk.reason is not None
        assert 1_000 == len(shrunk.reason)


def test_shrinking_a_chunk_marks_it_missing() -> None:
    """An evidence chunk that fits into no frame is reported as missing."""
    small = records.shrink(Record(Lane.BULK, 1, "evidence", 1, 1, encode_body(EVIDENCE)))

    shrunk = decode_body("evidence", small.body)
    assert isinstance(shrunk, EvidenceRecord)
    assert (b"", True) == (shrunk.content, shrunk.missing)


def test_shrinking_what_cannot_be_read_leaves_nothing() -> None:
    """A record of an unknown kind keeps its place in the sequence and loses its body."""
    small = records.shrink(Record(Lane.BULK, 7, "of-tomorrow", 1, 1, b"x" * 10))

    assert (7, b"") == (small.seq, small.body)


def test_a_body_of_boxes_in_boxes_is_malformed() -> None:
    """However deep they stand in each other: whoever reads it must not end of it."""
    deep = b"\x91" * 2_000 + b"\xc0"

    for kind in records.KINDS.values():
        with pytest.raises(MalformedBody):
            decode_body(kind, b"\x81\xa8tomorrow" + deep)
