"""What is done about one damaged record, in one transaction: it is put right or taken out of the way.

How damage is found stands in the store; that damaged executions are ended, in the watch.
"""

from __future__ import annotations

from edge.model.executions import workflow_uuid
from edge.store import damage, integrity, substitutes
from edge.store.damage import Damage
from edge.store.integrity import Finding
from edge.transactions import Transaction

_KEPT = ("history", "sealed")
"""Tables whose damaged rows stay: no number of a lane may be missing, and the body is left out
where the record is sent."""


def set_aside(transaction: Transaction, found: Finding, now_ms: int) -> list[Damage]:
    """Act upon a damaged record; returns what is listed then, nothing when it is whole after all.

    An execution that is in memory is written again from there: that is what was written. Otherwise
    the record is taken away, or another is put in its place, and what it belongs to is listed as
    not settled: it has still to be ended.
    """
    connection = transaction.connection
    body = integrity.damaged_body(connection, found)
    if body is None:
        return []
    owner = integrity.owner_of(connection, found)
    note = Damage(
        found_ms=now_ms,
        table=found.table,
        record=str(found.rowid),
        reason=found.reason,
        workflow_id=workflow_uuid(owner) if owner else "",
        settled=not owner,
        body=body,
    )
    notes = [note]
    if owner and transaction.executions.rewrite(owner):
        note.settled = True
    elif found.table == "workflow":
        substitutes.put_workflow(connection, found.rowid, f"its record was damaged: {found.reason}")
    elif found.table == "pinned_definition":
        for workflow in substitutes.replace_definition(connection, found.rowid):
            lost = Damage(
                found_ms=now_ms,
                table=found.table,
                record=note.record,
                reason="its definition was damaged",
                workflow_id=workflow_uuid(workflow.id),
            )
            notes.append(lost)
            transaction.executions.forget(workflow.id)
    elif found.table not in _KEPT:
        integrity.drop(connection, found)
    if owner and not note.settled:
        transaction.executions.forget(owner)
    for one in notes:
        damage.note(connection, one)
    transaction.metadata.forget_all()
    return notes
