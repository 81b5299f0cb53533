"""Rows of ``redo``: what they hold comes back, and damage is noticed."""

from __future__ import annotations

import pytest

from edge.model.errors import RowDamaged
from edge.model.executions import Task, TaskStatus, Workflow, WorkflowStatus
from edge.store.redo import pack, unpack
from edge.store.staging import Staged


def _batch() -> Staged:
    batch = Staged()
    workflow = Workflow(
        key=7, id=bytes(16), name="w", version=1, pinned=3, status=WorkflowStatus.RUNNING
    )
    task = Task(
        1, 1, "a", "SIMPLE", "a", "a", TaskStatus.SCHEDULED, input=b'{"a":"' + b"x" * 300 + b'"}'
    )
    batch.workflows[7] = workflow
    batch.tasks[7 << 24 | 1] = task
    batch.dropped.add(7 << 24 | 2)
    batch.removed[5] = b"\x05" * 16
    batch.logs.append((7 << 24 | 1, 9, "a line"))
    return batch


def test_what_is_packed_comes_back() -> None:
    """Records, and what was taken away."""
    batch = _batch()
    found = unpack(pack(batch))

    assert vars(batch) == vars(found)


def test_any_flipped_bit_is_noticed() -> None:
    """Wherever it is."""
    row = pack(_batch())

    for bit in range(len(row) * 8):
        changed = bytearray(row)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RowDamaged):
            unpack(bytes(changed))


@pytest.mark.parametrize("end", [0, 3, 4, 20])
def test_a_row_that_is_cut_off_is_noticed(end: int) -> None:
    """Even to nothing."""
    with pytest.raises(RowDamaged):
        unpack(pack(_batch())[:end])
