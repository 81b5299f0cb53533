"""Which records of a frame say nothing that a later one of the same frame does not say.

Nothing is merged and no body is changed here: a record that is carried may travel without its body,
and the one that carries it travels as it was written. That is why the projection of a frame is the
same either way (`docs/sync-protocol.md`, sections 4.4 and 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sync.records import (
    Lane,
    Record,
    RecordError,
    TaskRecord,
    WorkflowRecord,
    decode_body,
    rank_of,
)

COALESCED_LANES = frozenset({Lane.URGENT, Lane.HISTORY})
"""Control holds facts that each count; bulk holds contents."""

COALESCED_KINDS = frozenset({"workflow", "task"})
"""States of something that has further ones."""


def carriers(records: Sequence[Record]) -> dict[int, int]:
    """The places of records that are carried, and how many places further on their carrier stands.

    Args:
        records: consecutive ones of one lane, as they are to travel in one frame.

    Returns:
        Place, from 0, to distance, from 1; a carrier is not carried itself. Empty in lanes whose
        records each count.
    """
    if not records or records[0].lane not in COALESCED_LANES:
        return {}
    found: dict[int, int] = {}
    # Of each execution and task the earliest record so far that is not carried: from the end on,
    # so that one that carries is never found to be carried later.
    tasks: dict[str, tuple[int, TaskRecord]] = {}
    workflows: dict[str, tuple[int, WorkflowRecord]] = {}
    for place in range(len(records) - 1, -1, -1):
        record = records[place]
        if record.kind not in COALESCED_KINDS:
            continue
        try:
            body = decode_body(record.kind, record.body)
        except RecordError:
            # The control plane sets it aside; it must not take others with it.
            continue
        if isinstance(body, TaskRecord):
            task = tasks.get(body.task_id)
            if task is not None and _task_says_all(task[1], body):
                found[place] = task[0] - place
            else:
                tasks[body.task_id] = (place, body)
        elif isinstance(body, WorkflowRecord):
            workflow = workflows.get(body.id)
            if workflow is not None and _workflow_says_all(workflow[1], body):
                found[place] = workflow[0] - place
            else:
                workflows[body.id] = (place, body)
    return found


def carried_along(records: Sequence[Record]) -> list[Record]:
    """The same records, those that are carried with the bodies of their carriers.

    It says the same, to a reader that knows nothing of carriers as well: what a record is shown for
    is as recent as the record that carries it, under an earlier sequence.
    """
    along = list(records)
    for place, distance in carriers(records).items():
        along[place] = msgspec.structs.replace(records[place], body=records[place + distance].body)
    return along


def _task_says_all(later: TaskRecord, earlier: TaskRecord) -> bool:
    """Whether the projection of both is that of the later one; its sequence is the higher one."""
    return (
        _is_as_recent(later, earlier)
        and later.workflow_id == earlier.workflow_id
        and later.scheduled_ms >= earlier.scheduled_ms
        and later.started_ms >= earlier.started_ms
        and later.ended_ms >= earlier.ended_ms
    )


def _workflow_says_all(later: WorkflowRecord, earlier: WorkflowRecord) -> bool:
    """The same of an execution."""
    return (
        _is_as_recent(later, earlier)
        and (earlier.definition is None or later.definition is not None)
        and (earlier.steps is None or later.steps is not None)
        and later.created_ms <= earlier.created_ms
        # A control plane may refuse texts that are too long for it: of both, or of neither.
        and later.name == earlier.name
        and later.correlation_id == earlier.correlation_id
    )


def _is_as_recent(later: TaskRecord | WorkflowRecord, earlier: TaskRecord | WorkflowRecord) -> bool:
    """Whether the later one gives the plain fields, and carries what the earlier one carries."""
    if later.updated_ms == earlier.updated_ms:
        gives = later.status == earlier.status or rank_of(later.status) >= rank_of(earlier.status)
    else:
        gives = later.updated_ms > earlier.updated_ms
    return (
        gives
        and (earlier.input is None or later.input is not None)
        and (earlier.output is None or later.output is not None)
    )
