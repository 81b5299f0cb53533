"""The facts of history as they travel: lanes, records, and the bodies a record may carry.

No sequence is assigned here and nothing is sent or stored here.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import msgspec

# SQLite integers are signed 64 bits and JavaScript's safe integers 53: what a device sends is held
# to the smaller of the two at the door, so that no number can break the ledger behind it.
LARGEST_INT = 2**53
Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_INT)]
Millis = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_INT)]

# One chunk of a file leaves room in a 100 KB frame for the record around it, uncompressed.
EVIDENCE_CHUNK_BYTES = 60_000


class RecordError(Exception):
    """What was recorded cannot be read. The record stays stored; its raw bytes can be examined.

    Tree: RecordError <- UnknownKind, MalformedBody.
    """


class UnknownKind(RecordError):
    """A record's kind is not one this release knows. Update this end; the record is kept."""


class MalformedBody(RecordError):
    """A record's body does not have the shape of its kind. Look at the device that wrote it."""


class Lane(IntEnum):
    """The four ways up, most pressing first."""

    CONTROL = 0
    URGENT = 1
    HISTORY = 2
    BULK = 3


class Record(msgspec.Struct, frozen=True):
    """One fact of history, identified by (device, epoch, lane, seq)."""

    lane: Lane
    seq: int
    """From 1, gapless within one epoch and lane."""
    kind: str
    """What the body is: `workflow`, `task`, `evidence`, `order`, `gap`, `clock`, `fetched`, ..."""
    recorded_ms: int
    """The device's wall clock when the fact was written."""
    boot: int
    """The boot of the device in which it was written."""
    body: bytes
    """MessagePack of the kind's struct; opaque to the protocol."""


class WorkflowRecord(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "id": "i", "name": "n", "version": "v", "status": "s", "correlation_id": "c",
        "created_ms": "cm", "updated_ms": "um", "ended_ms": "em", "reason": "r",
        "input": "in", "output": "out", "definition": "d", "steps": "k",
    },
):  # fmt: skip
    """The state of one workflow execution after a decision."""

    id: str
    name: str
    version: Count
    status: str
    created_ms: Millis
    updated_ms: Millis
    ended_ms: Millis = 0
    """0 while the workflow is open."""
    correlation_id: str | None = None
    reason: str | None = None
    input: bytes | None = None
    """JSON text; None when this record does not carry it, never "empty"."""
    output: bytes | None = None
    """JSON text; None when this record does not carry it."""
    definition: bytes | None = None
    """JSON text of the definition that runs; carried once, at the start."""
    steps: list[tuple[Count, Count]] | None = None
    """Ranges of the places of all tasks that it has, first and last; None when this record does not
    say. Only in the bulk lane, where nothing is carried by anything else."""


class TaskRecord(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "workflow_id": "w", "task_id": "i", "seq": "q", "ref": "f", "type": "t", "name": "n",
        "status": "s", "attempt": "a", "iteration": "l", "scheduled_ms": "cm",
        "started_ms": "sm", "ended_ms": "em", "updated_ms": "um", "worker": "k", "reason": "r",
        "input": "in", "output": "out",
    },
):  # fmt: skip
    """The state of one task after a decision."""

    workflow_id: str
    task_id: str
    seq: Count
    """The place of the task in its workflow, from 1; not the record's own sequence."""
    ref: str
    type: str
    name: str
    status: str
    updated_ms: Millis
    attempt: Count = 0
    iteration: Count = 0
    scheduled_ms: Millis = 0
    started_ms: Millis = 0
    """0 until a worker has taken it."""
    ended_ms: Millis = 0
    """0 while the task is open."""
    worker: str | None = None
    reason: str | None = None
    input: bytes | None = None
    output: bytes | None = None


class EvidenceRecord(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "workflow_id": "w", "task_id": "i", "key": "k", "media_type": "m", "sha256": "h",
        "size_bytes": "z", "path": "p", "index": "x", "count": "c", "content": "b",
        "missing": "g",
    },
):  # fmt: skip
    """One chunk of a file that a task kept."""

    workflow_id: str
    task_id: str
    key: str
    media_type: str
    sha256: str
    """Hexadecimal digest of the whole file."""
    size_bytes: Count
    """Of the whole file."""
    path: str
    """Where the file lies on the device, relative to its evidence root."""
    index: Count = 0
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    """The file is cut into `count` chunks of EVIDENCE_CHUNK_BYTES, the last one shorter."""
    content: bytes = b""
    """Empty in the device's outbox: read from the file when the record is sent."""
    missing: bool = False
    """True when the file was gone, or not the one that was recorded, by the time of sending."""


class OrderRecord(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "id": "i", "cseq": "q", "kind": "k", "state": "s", "reason": "r", "output": "o",
    },
):  # fmt: skip
    """What an order came to, in the control lane."""

    id: str
    cseq: Count
    """The place it had when it was carried out."""
    kind: str
    state: str
    """`done`, `failed`, `expired` or `superseded`."""
    reason: str | None = None
    output: bytes | None = None
    """JSON text; of a start, `workflowId`."""


class GapRecord(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "lane": "l", "first_seq": "a", "last_seq": "z", "reason": "r", "size_bytes": "b",
        "kinds": "k",
    },
):  # fmt: skip
    """A range that the device has shed before it was acknowledged, in the control lane."""

    lane: Lane
    first_seq: Count
    last_seq: Count
    reason: str
    """`budget`: the history had grown beyond what it may take."""
    size_bytes: Count = 0
    """What was freed."""
    kinds: dict[str, Count] = {}
    """How many records of each kind."""


class ClockRecord(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={"at_ms": "m", "offset_ms": "o", "error_ms": "e", "jumps": "j"},
):
    """How far a device's clock was behind the control plane's, in the control lane."""

    at_ms: Millis
    """What the device's clock showed."""
    offset_ms: Annotated[int, msgspec.Meta(ge=-LARGEST_INT, le=LARGEST_INT)]
    """What the control plane's showed more at that moment."""
    error_ms: Count = 0
    """How far that may be wrong."""
    jumps: list[tuple[Millis, Millis, Millis]] = []
    """(from, to, since): the device's clock went from one time to another and no time passed; times
    before `since` were right already. Oldest first."""


class FetchedRecord(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "order_id": "i", "state": "s", "reason": "r", "name": "n", "media_type": "m",
        "size_bytes": "z", "sha256": "h", "count": "c", "first_seq": "a", "cut": "t",
    },
):  # fmt: skip
    """What a device has found that it was ordered to fetch, in the control lane."""

    order_id: str
    state: str
    """`found`; `gone`: it is not there, or not any more; `refused`: it is more than may be sent."""
    reason: str | None = None
    """For people; of what was found None."""
    name: str = ""
    """Of a file."""
    media_type: str = ""
    """Of a file; empty where the answer is records of an execution."""
    size_bytes: Count = 0
    """Of the whole answer."""
    sha256: str = ""
    """Hexadecimal digest of the whole file."""
    count: Count = 0
    """Records in the bulk lane that the answer consists of."""
    first_seq: Count = 0
    """The sequence of the first of them; the others follow without a hole."""
    cut: bool = False
    """Whether something was left out to keep to the bound."""


class PartRecord(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "order_id": "i", "index": "x", "count": "c", "sha256": "h", "content": "b", "missing": "g",
    },
):  # fmt: skip
    """One chunk of a file that was fetched, in the bulk lane."""

    order_id: Annotated[str, msgspec.Meta(max_length=64)]
    index: Annotated[int, msgspec.Meta(ge=0, lt=100_000)]
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    """The file is cut into `count` chunks of EVIDENCE_CHUNK_BYTES, the last one shorter."""
    sha256: bytes = b""
    """Digest of this chunk, 32 bytes."""
    content: bytes = b""
    """Empty in the device's outbox: read from the file when the record is sent."""
    missing: bool = False
    """True when the chunk was gone, or another, by the time of sending."""


Body = (
    WorkflowRecord
    | TaskRecord
    | EvidenceRecord
    | OrderRecord
    | GapRecord
    | ClockRecord
    | FetchedRecord
    | PartRecord
)

KINDS: dict[type[Body], str] = {
    WorkflowRecord: "workflow",
    TaskRecord: "task",
    EvidenceRecord: "evidence",
    OrderRecord: "order",
    GapRecord: "gap",
    ClockRecord: "clock",
    FetchedRecord: "fetched",
    PartRecord: "part",
}

_RANKS = {"SCHEDULED": 0, "RUNNING": 0, "IN_PROGRESS": 1, "PAUSED": 1}
_FINAL_RANK = 2

_ENCODER = msgspec.msgpack.Encoder()
_DECODERS: dict[str, msgspec.msgpack.Decoder[Body]] = {
    name: msgspec.msgpack.Decoder(kind) for kind, name in KINDS.items()
}


def encode_body(body: Body) -> bytes:
    """The bytes of a record's body; fields at their defaults are left out."""
    return _ENCODER.encode(body)


def decode_body(kind: str, body: bytes) -> Body:
    """The body of a record; fields this release does not know are ignored.

    Raises:
        UnknownKind: the kind came from a later release.
        MalformedBody: the bytes are not a body of that kind.
    """
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise UnknownKind(f"record kind {kind!r} is not known here")
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"{kind} record: {error}") from error


def rank_of(status: str) -> int:
    """How far a status has come: 0 scheduled or running, 1 in progress or paused, 2 any other.

    Of two updates of one millisecond the higher rank is the more recent one.
    """
    return _RANKS.get(status, _FINAL_RANK)


def evidence_chunks(size_bytes: int) -> int:
    """Into how many chunks a file of that size is cut; an empty file is one empty chunk."""
    return max(1, -(-size_bytes // EVIDENCE_CHUNK_BYTES))


def shrink(record: Record) -> Record:
    """The same fact without the payloads that made it too large for any frame.

    The sequence must reach the control plane whatever it carries, or the lane would stop there.
    Inputs and outputs are replaced by a JSON note of their size; a body that cannot be read is
    replaced by nothing, and the control plane sets the record aside.
    """
    try:
        body = decode_body(record.kind, record.body)
    except RecordError:
        return msgspec.structs.replace(record, body=b"")
    if isinstance(body, GapRecord | ClockRecord):
        return record
    if isinstance(body, EvidenceRecord | PartRecord):
        small: Body = msgspec.structs.replace(body, content=b"", missing=True)
    elif isinstance(body, WorkflowRecord):
        small = msgspec.structs.replace(
            body,
            input=_note(body.input),
            output=_note(body.output),
            definition=None,
            reason=_clip(body.reason),
        )
    elif isinstance(body, FetchedRecord):
        small = msgspec.structs.replace(body, name=body.name[:1000], reason=_clip(body.reason))
    elif isinstance(body, OrderRecord):
        small = msgspec.structs.replace(body, output=_note(body.output), reason=_clip(body.reason))
    else:
        small = msgspec.structs.replace(
            body, input=_note(body.input), output=_note(body.output), reason=_clip(body.reason)
        )
    return msgspec.structs.replace(record, body=encode_body(small))


def _note(payload: bytes | None) -> bytes | None:
    if payload is None:
        return None
    return msgspec.json.encode({"truncated": True, "size_bytes": len(payload)})


def _clip(reason: str | None) -> str | None:
    return None if reason is None else reason[:1000]
