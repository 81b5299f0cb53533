"""Reports of workers: how what is said of a task becomes a decision.

Nothing is handed out here, and nothing is waited for.
"""

from __future__ import annotations

from collections.abc import Callable

from edge.model.decision import Lease, UpdateTask
from edge.model.errors import NotFound
from edge.model.executions import parse_uuid, parse_workflow_id, task_uuid_beside
from edge.model.requests import TaskResult
from edge.store.slots import TaskId
from edge.transactions import Transaction


def task_id_of(text: str) -> TaskId:
    """A task's id from its text. Raises NotFound when it is none."""
    parsed = parse_uuid(text)
    if parsed is None or not parsed[1]:
        raise NotFound(f"No such task found by id: {text}")
    return parsed


def taking_over(
    result: TaskResult, task_id: TaskId, lease: Lease | None
) -> Callable[[Transaction], None]:
    """The request that takes a report over.

    A finished task, or any task of a finished workflow, stays as it is.

    Args:
        result: what is said.
        task_id: of the task, by ``task_id_of``.
        lease: the hand-over of the task, if somebody holds it.

    Returns:
        What is to be carried out; it raises NotFound when there is no such task, or no such execution
        as it is said to be of.

    Raises:
        NotFound: what it names is no execution.
    """
    workflow_id, ordinal = task_id
    # As in Conductor the two are not compared: either has to be there.
    named = workflow_id
    if result.workflow_id and result.workflow_id != task_uuid_beside(result.task_id, 0):
        named = parse_workflow_id(result.workflow_id)
    command = UpdateTask(
        ordinal=ordinal,
        status=result.status,
        output=result.output,
        output_path=result.output_path,
        merge=result.merge,
        reason=result.reason,
        callback_after_s=result.callback_after_s,
        worker=result.worker,
        logs=result.logs,
        lease=lease,
    )

    def take_over(transaction: Transaction) -> None:
        if named != workflow_id:
            transaction.snapshot(named)
        snapshot = transaction.find(workflow_id)
        if snapshot is None or ordinal not in snapshot.tasks:
            raise NotFound(f"No such task found by id: {result.task_id}")
        transaction.decide_on(snapshot, command)

    return take_over
