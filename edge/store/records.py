"""Records of executions as the bytes of a row: checked, and small once nothing changes any more.

A record that has ended keeps its payloads together and compressed. All other fields stay as they
are: a search looks for some of them without decoding a record. No statement stands here.
"""

from __future__ import annotations

import msgspec

from edge.model.errors import RowDamaged
from edge.model.executions import EMPTY, Task, Workflow
from edge.store.checked import RecordDecoder, RecordEncoder
from edge.store.compression import compress, decompress

_LEAST_BYTES = 128
"""Of payloads that are compressed: less would not become smaller."""

_ENCODER = RecordEncoder()
_WORKFLOWS = RecordDecoder(Workflow, "workflow")
_TASKS = RecordDecoder(Task, "task")
_PACK = msgspec.msgpack.Encoder().encode
_UNPACK = msgspec.msgpack.Decoder(list[bytes]).decode


def encode_workflow(workflow: Workflow) -> bytes:
    """The record of an execution as its row holds it."""
    if workflow.status.terminal:
        payloads = (workflow.input, workflow.output, workflow.variables)
        packed = _packed(payloads)
        if packed is not None:
            workflow = msgspec.structs.replace(
                workflow, input=EMPTY, output=EMPTY, variables=EMPTY, packed=packed
            )
    return _ENCODER.encode(workflow)


def encode_task(task: Task) -> bytes:
    """The record of a task as its row holds it."""
    if task.status.terminal:
        packed = _packed((task.input, task.output))
        if packed is not None:
            task = msgspec.structs.replace(task, input=EMPTY, output=EMPTY, packed=packed)
    return _ENCODER.encode(task)


def _packed(payloads: tuple[bytes, ...]) -> bytes | None:
    """Payloads as one frame; None = it would spare nothing."""
    size = sum(map(len, payloads))
    if size < _LEAST_BYTES:
        return None
    packed = compress(_PACK(payloads))
    return packed if len(packed) < size else None


def decode_workflow(body: bytes) -> Workflow:
    """What ``encode_workflow`` was given, or a release before it.

    Raises:
        RowDamaged: it is not what was written.
    """
    workflow = _WORKFLOWS.decode(body)
    if not workflow.packed:
        return workflow
    given, made, variables = _unpacked(workflow.packed, "workflow", 3)
    return msgspec.structs.replace(
        workflow, input=given, output=made, variables=variables, packed=b""
    )


def decode_task(body: bytes) -> Task:
    """What ``encode_task`` was given, or a release before it.

    Raises:
        RowDamaged: it is not what was written.
    """
    task = _TASKS.decode(body)
    if not task.packed:
        return task
    given, made = _unpacked(task.packed, "task", 2)
    return msgspec.structs.replace(task, input=given, output=made, packed=b"")


def _unpacked(packed: bytes, table: str, count: int) -> list[bytes]:
    try:
        payloads = _UNPACK(decompress(packed))
    except (ValueError, msgspec.MsgspecError) as error:
        raise RowDamaged(table, str(error)) from error
    if len(payloads) != count:
        raise RowDamaged(table, "it has another number of payloads")
    return payloads
