"""What is committed and stands in no table yet, by execution."""

from __future__ import annotations

from edge.model.executions import Task, TaskStatus, task_key
from edge.store.recent import Recent
from edge.store.staging import Staged
from tests.unit.edge.playbook import Playbook, step

_WORKFLOW = Playbook(step("a")).workflow


def _task(ordinal: int) -> Task:
    return Task(ordinal, ordinal, "a", "SIMPLE", "a", "a", TaskStatus.SCHEDULED)


def test_the_latest_form_of_each_record_is_found() -> None:
    """Those of one execution, and no other's."""
    recent, first, second = Recent(), Staged(), Staged()
    key = _WORKFLOW.key
    first.workflows = {key: _WORKFLOW}
    first.tasks = {task_key(key, 1): _task(1), task_key(key + 1, 1): _task(1)}
    second.tasks = {task_key(key, 2): _task(2)}
    recent.add(first)
    recent.add(second)

    assert _WORKFLOW == recent.workflow(_WORKFLOW.id)
    assert {task_key(key, 1): _task(1), task_key(key, 2): _task(2)} == recent.tasks(key)
    assert {} == recent.tasks(key + 2)
    assert recent.workflow(bytes(16)) is None


def test_what_the_tables_have_is_let_go() -> None:
    """Nothing is left of it."""
    recent, batch = Recent(), Staged()
    key = _WORKFLOW.key
    batch.workflows, batch.tasks = {key: _WORKFLOW}, {task_key(key, 1): _task(1)}
    recent.add(batch)
    recent.clear()

    assert recent.workflow(_WORKFLOW.id) is None
    assert {} == recent.tasks(key)
    assert recent.rows.empty
