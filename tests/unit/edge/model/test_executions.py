"""Executions: statuses, their tables, identities, and the form in which records are kept."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.errors import BatonError, NotFound
from edge.model.executions import (
    ORDINAL_BITS,
    TASK_CHANGES,
    WORKFLOW_CHANGES,
    IllegalChange,
    Task,
    TaskStatus,
    Workflow,
    WorkflowStatus,
    check_task_change,
    check_workflow_change,
    parse_uuid,
    parse_workflow_id,
    split_task_key,
    task_key,
    task_uuid,
    task_uuid_beside,
    workflow_uuid,
)
from tests.unit.edge.playbook import WORKFLOW_ID, pin, step

ORDINALS = st.integers(1, (1 << ORDINAL_BITS) - 1)


@pytest.mark.parametrize(
    ("status", "terminal"),
    [
        ("RUNNING", False),
        ("PAUSED", False),
        ("COMPLETED", True),
        ("FAILED", True),
        ("TIMED_OUT", True),
        ("TERMINATED", True),
    ],
)
def test_workflow_statuses(status: str, terminal: bool) -> None:
    """The table of workflow statuses."""
    assert terminal is WorkflowStatus(status).terminal


@pytest.mark.parametrize(
    ("status", "terminal", "successful", "retriable"),
    [
        ("SCHEDULED", False, True, True),
        ("IN_PROGRESS", False, True, True),
        ("COMPLETED", True, True, True),
        ("COMPLETED_WITH_ERRORS", True, True, True),
        ("SKIPPED", True, True, False),
        ("FAILED", True, False, True),
        ("TIMED_OUT", True, False, True),
        ("FAILED_WITH_TERMINAL_ERROR", True, False, False),
        ("CANCELED", True, False, False),
    ],
)
def test_task_statuses(status: str, terminal: bool, successful: bool, retriable: bool) -> None:
    """The table of task statuses."""
    found = TaskStatus(status)

    assert (terminal, successful, retriable) == (
        found.terminal,
        found.successful,
        found.retriable,
    )


def test_the_tables_know_every_status() -> None:
    """No status is forgotten; what has succeeded can only be made to run again."""
    assert set(TaskStatus) == TASK_CHANGES.keys()
    assert set(WorkflowStatus) == WORKFLOW_CHANGES.keys()
    for status, changes in TASK_CHANGES.items():
        if status.terminal and status.successful:
            assert frozenset({TaskStatus.SCHEDULED, TaskStatus.IN_PROGRESS}) == changes
    assert {WorkflowStatus.RUNNING} == WORKFLOW_CHANGES[WorkflowStatus.COMPLETED]


def test_an_illegal_change_is_a_fault_and_no_answer() -> None:
    """It must not be taken for a request that was refused without effect."""
    check_task_change(TaskStatus.SCHEDULED, TaskStatus.COMPLETED)
    check_workflow_change(WorkflowStatus.RUNNING, WorkflowStatus.PAUSED)

    with pytest.raises(IllegalChange, match="a task cannot go from COMPLETED to FAILED"):
        check_task_change(TaskStatus.COMPLETED, TaskStatus.FAILED)
    with pytest.raises(IllegalChange, match="a workflow cannot go from COMPLETED to FAILED"):
        check_workflow_change(WorkflowStatus.COMPLETED, WorkflowStatus.FAILED)
    assert not issubclass(IllegalChange, BatonError)


@given(key=st.integers(0, 2**39 - 1), ordinal=ORDINALS)
def test_task_keys(key: int, ordinal: int) -> None:
    """A key holds both halves, and fits SQLite's integers."""
    both = task_key(key, ordinal)

    assert (key, ordinal) == split_task_key(both)
    assert both < 2**63


@given(ordinal=ORDINALS)
def test_ids(ordinal: int) -> None:
    """A task's id names its workflow and its number."""
    assert (WORKFLOW_ID, ordinal) == parse_uuid(task_uuid(WORKFLOW_ID, ordinal))
    beside = task_uuid_beside(workflow_uuid(WORKFLOW_ID), ordinal)
    assert task_uuid(WORKFLOW_ID, ordinal) == beside
    assert (WORKFLOW_ID, 0) == parse_uuid(workflow_uuid(WORKFLOW_ID))


@pytest.mark.parametrize("text", ["", "7", "zz" * 16, "00010203-0405-0607-0809-0a0b0000000"])
def test_no_id(text: str) -> None:
    """Any other text is none."""
    assert parse_uuid(text) is None
    with pytest.raises(NotFound, match=f"No such workflow found by id: {text}"):
        parse_workflow_id(text)


def test_ids_of_workflows() -> None:
    """A task's id is none of them."""
    assert WORKFLOW_ID == parse_workflow_id(workflow_uuid(WORKFLOW_ID))
    with pytest.raises(NotFound):
        parse_workflow_id(task_uuid(WORKFLOW_ID, 1))


def test_records_survive_their_bytes() -> None:
    """What is written is what is read; defaults take no room."""
    task = Task(
        ordinal=1, seq=1, ref="a", kind="SIMPLE", type="a", name="a", status=TaskStatus.SCHEDULED
    )
    workflow = Workflow(
        key=1, id=WORKFLOW_ID, name="w", version=1, pinned=1, status=WorkflowStatus.RUNNING
    )

    assert task == msgspec.msgpack.decode(msgspec.msgpack.encode(task), type=Task)
    assert workflow == msgspec.msgpack.decode(msgspec.msgpack.encode(workflow), type=Workflow)
    assert {"o", "q", "r", "k", "t", "n", "s"} == msgspec.msgpack.decode(
        msgspec.msgpack.encode(task)
    ).keys()


def test_a_pinned_definition_has_one_outline() -> None:
    """It is made when first asked for, and kept."""
    pinned = pin(step("a"))

    assert pinned.outline is pinned.outline
    assert pinned.outline.place("a") is not None
