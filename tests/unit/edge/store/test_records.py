"""What a row holds is what comes back; payloads of what has ended take little room."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.errors import RowDamaged
from edge.model.executions import Task, TaskStatus, Workflow, WorkflowStatus
from edge.store.checked import RecordEncoder, has_checksum
from edge.store.records import decode_task, decode_workflow, encode_task, encode_workflow

_PLAIN = RecordEncoder()
_SAID_TWICE = b'{"a":"' + b"some text, and " * 12 + b'"}'

payloads = st.one_of(st.binary(max_size=400), st.just(_SAID_TWICE), st.just(b"{}"))


def _task(status: TaskStatus, given: bytes, made: bytes) -> Task:
    return Task(
        ordinal=1, seq=1, ref="r", kind="SIMPLE", type="t", name="t", status=status,
        input=given, output=made,
    )  # fmt: skip


def _workflow(status: WorkflowStatus, given: bytes, made: bytes, variables: bytes) -> Workflow:
    return Workflow(
        key=1, id=bytes(16), name="w", version=1, pinned=1, status=status,
        input=given, output=made, variables=variables,
    )  # fmt: skip


@given(status=st.sampled_from(list(TaskStatus)), given_=payloads, made=payloads)
def test_a_task_comes_back(status: TaskStatus, given_: bytes, made: bytes) -> None:
    """Whatever it holds, under way or over."""
    task = _task(status, given_, made)

    assert task == decode_task(encode_task(task))


@given(status=st.sampled_from(list(WorkflowStatus)), given_=payloads, made=payloads, kept=payloads)
def test_a_workflow_comes_back(
    status: WorkflowStatus, given_: bytes, made: bytes, kept: bytes
) -> None:
    """Whatever it holds, under way or over."""
    workflow = _workflow(status, given_, made, kept)

    assert workflow == decode_workflow(encode_workflow(workflow))


def test_only_what_has_ended_is_compressed() -> None:
    """What is under way is written again soon, and read with each step."""
    open_task = _task(TaskStatus.IN_PROGRESS, _SAID_TWICE, _SAID_TWICE)
    over = _task(TaskStatus.COMPLETED, _SAID_TWICE, _SAID_TWICE)
    ended = _workflow(WorkflowStatus.COMPLETED, _SAID_TWICE, b"{}", b"{}")

    assert _PLAIN.encode(open_task) == encode_task(open_task)
    assert len(encode_task(over)) < len(_PLAIN.encode(over)) // 2
    assert len(encode_workflow(ended)) < len(_PLAIN.encode(ended))
    assert has_checksum(encode_task(over)) and has_checksum(encode_workflow(ended))


def test_a_release_before_is_read() -> None:
    """Its rows say everything in plain fields."""
    over = _task(TaskStatus.COMPLETED, _SAID_TWICE, _SAID_TWICE)

    assert over == decode_task(_PLAIN.encode(over))


@pytest.mark.parametrize("packed", [b"no frame", encode_task(_task(TaskStatus.FAILED, b"", b""))])
def test_payloads_that_are_none_are_damage(packed: bytes) -> None:
    """Also where the checksum of the row is right: somebody else has written it."""
    bad = msgspec.structs.replace(_task(TaskStatus.COMPLETED, b"{}", b"{}"), packed=packed)

    with pytest.raises(RowDamaged):
        decode_task(_PLAIN.encode(bad))
