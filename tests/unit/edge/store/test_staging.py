"""Rows that wait: what is laid over what."""

from __future__ import annotations

import msgspec

from edge.model.decision import Decision, LogLine
from edge.model.executions import Task, TaskStatus, task_key
from edge.store.staging import Staged
from tests.unit.edge.playbook import Playbook, step

TASK = Task(1, 1, "a", "SIMPLE", "a", "a", TaskStatus.SCHEDULED)
KEY = task_key(7, 1)


def _staged(*decisions: Decision) -> Staged:
    staged = Staged()
    for decision in decisions:
        staged.take(7, decision)
    return staged


def test_each_row_is_kept_in_its_last_form() -> None:
    """A record that was changed twice is written once."""
    done = msgspec.structs.replace(TASK, status=TaskStatus.COMPLETED)

    assert {KEY: done} == _staged(Decision(tasks=(TASK,)), Decision(tasks=(done,))).tasks


def test_what_is_dropped_is_not_written() -> None:
    """Whether it stood in the batch or in the request."""
    batch = _staged(Decision(tasks=(TASK,)))
    batch.add(_staged(Decision(dropped=(1,))))

    assert {} == batch.tasks
    assert {KEY} == batch.dropped


def test_an_execution_that_is_removed_leaves_nothing() -> None:
    """Neither its record, nor its tasks, nor its log; its neighbours stay."""
    workflow = Playbook(step("a")).workflow
    batch = _staged(Decision(workflow, (TASK,), logs=(LogLine(1, "line", 5),)))
    batch.take(8, Decision(tasks=(TASK,)))
    removal = Staged()
    removal.remove(7, workflow.id)
    batch.add(removal)

    assert ({}, [], {7: workflow.id}) == (batch.workflows, batch.logs, batch.removed)
    assert [task_key(8, 1)] == list(batch.tasks)
    batch.clear()
    assert ({}, {}) == (batch.tasks, batch.removed)
