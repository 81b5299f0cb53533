"""What must be true when a world has come to rest: the whole of it, on all machines.

Nothing is checked here while faults are on.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Container, Iterable

import msgspec

from edge.model.executions import TaskStatus, Workflow, WorkflowStatus, workflow_uuid
from edge.store import retelling
from sync.control_plane import queries
from sync.records import Lane
from tests.simulation.books import Books
from tests.simulation.checks import Rows
from tests.simulation.device import TENANT, Device
from tests.up_to_date import rows_up_to_date

Complain = Callable[[str, str], None]

_SHOWN = """
SELECT workflow_id, status FROM execution JOIN device USING (device_id)
 WHERE tenant = ? AND device = ?
"""
_SEGMENTS = """
SELECT lane, first_seq, count, quarantined FROM segment JOIN device USING (device_id)
 WHERE tenant = ? AND device = ?
 ORDER BY lane, first_seq
"""
_UNDONE = """
SELECT count(*) FROM event_message WHERE status = 'RECEIVED'
UNION ALL SELECT count(*) FROM publication
UNION ALL SELECT (SELECT count(*) FROM history) + (SELECT count(*) FROM sealed)
UNION ALL SELECT coalesce(sum(next_seq - 1 - acked), 0) FROM lane
"""


def undone(device: Device, connection: sqlite3.Connection) -> list[str]:
    """What a device has still to do, in words; empty = it is at rest."""
    open_ones = Counter(
        (row[2], row[3])
        for row in rows_up_to_date(connection)["workflow"]
        if row[3] in ("RUNNING", "PAUSED")
    )
    found = [f"{device.name}: {n} {name} {status}" for (name, status), n in open_ones.items()]
    counts = [row[0] for row in connection.execute(_UNDONE)]
    kinds = ("messages", "publications", "records", "records to acknowledge")
    found += [
        f"{device.name}: {many} {kind}" for kind, many in zip(kinds, counts, strict=True) if many
    ]
    if retelling.wanted(connection) or retelling.failures_wanted(connection):
        found.append(f"{device.name}: executions to be told anew")
    return found


def check_integrity(name: str, connection: sqlite3.Connection, complain: Complain) -> None:
    """The file is whole."""
    found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        complain("damaged", f"{name}: {found}")


def check_effects(device: Device, rows: Rows, books: Books, complain: Complain) -> None:
    """G1, G3: one execution for each key; what a task starts is started once."""
    keys = Counter(w.idempotency_key for w in rows.by_id.values() if w.idempotency_key)
    for started in books.starts:
        if started.device != device.number or started.key is None or started.id is None:
            continue
        if keys[started.key] != 1 and not started.taken_back:
            complain("key", f"{device.name}: {keys[started.key]} executions with {started.key}")
    parents = Counter(w.parent for w in rows.by_id.values() if w.parent)
    caught = Counter(_token(w) for w in rows.by_id.values() if w.name == "caught")
    launched = Counter(_token(w) for w in rows.by_id.values() if w.name == "launched")
    for workflow in rows.by_id.values():
        if rows.root(workflow).id in books.reopened:
            continue
        if workflow.name == "reckoned" and workflow.status is WorkflowStatus.COMPLETED:
            _check_sums(device, workflow, rows, complain)
        for task in rows.tasks[workflow.key].values():
            done = task.status is TaskStatus.COMPLETED
            if task.kind == "SUB_WORKFLOW" and parents[_own(workflow, task.ordinal)] > 1:
                complain("two children", f"{device.name}: {workflow.name} {task.ref}")
            if task.kind == "EVENT" and task.ref == "e" and done:
                _expect_one(device, workflow, caught, complain)
            if task.kind == "START_WORKFLOW" and done:
                _expect_one(device, workflow, launched, complain)


def _expect_one(
    device: Device, workflow: Workflow, found: Counter[str], complain: Complain
) -> None:
    many = found[workflow_uuid(workflow.id)]
    if many != 1:
        complain("effect", f"{device.name}: {workflow.name} has led to {many} executions")


def _check_sums(device: Device, workflow: Workflow, rows: Rows, complain: Complain) -> None:
    """What pure handlers have worked out is right, in each of their tasks that count."""
    way = msgspec.json.decode(workflow.input)["way"]
    right = {"n": 1, "x": 2, "y": 2, "z": 3, "m": 3}
    for task in rows.tasks[workflow.key].values():
        more = right.get(task.ref.partition("__")[0])
        if more is None or task.status is not TaskStatus.COMPLETED:
            continue
        if msgspec.json.decode(task.output).get("n") != way + more:
            complain("sum", f"{device.name}: {workflow.name} {task.ref} of {way}: {task.output!r}")


def _own(workflow: Workflow, ordinal: int) -> bytes:
    return workflow.id[:12] + ordinal.to_bytes(4, "big")


def _token(workflow: Workflow) -> str:
    return str(msgspec.json.decode(workflow.input).get("token"))


def check_cloud(device: Device, rows: Rows, ledger: sqlite3.Connection, complain: Complain) -> None:
    """G9: the ledger holds each record once, without gaps, and shows what the device shows."""
    place = (TENANT, device.known_as)
    newest = {}
    with device.disk.look() as connection:
        for lane, next_seq in connection.execute("SELECT lane, next_seq FROM lane"):
            newest[lane] = next_seq - 1
    stored: dict[int, int] = {}
    for lane, first, count, _ in ledger.execute(_SEGMENTS, place):
        if first != stored.get(lane, 0) + 1:
            complain("cloud: gap or twice", f"{device.name} {Lane(lane).name}: {first}")
        stored[lane] = first + count - 1
    if stored != {lane: seq for lane, seq in newest.items() if seq}:
        complain("cloud: not all", f"{device.name}: {stored} of {newest}")
    _check_shown(device, rows, ledger, complain)


def check_shown_after(
    device: Device,
    rows: Rows,
    ledger: sqlite3.Connection,
    complain: Complain,
    *,
    left_behind: Iterable[str],
    reopened: Container[bytes],
) -> None:
    """After the disk was put back: what the device shows is shown, and what it has lost as well.

    Of an execution that it has, steps that only the lost branch has told of are not.

    Args:
        device, rows, ledger, complain: see ``check_cloud``.
        left_behind: executions that it had at any time.
        reopened: executions whose steps may have been replaced by others, and are shown still.
    """
    _check_shown(device, rows, ledger, complain, left_behind=left_behind)
    for workflow in rows.by_id.values():
        if rows.root(workflow).id in reopened:
            continue
        workflow_id = workflow_uuid(workflow.id)
        shown = queries.execution(
            ledger, tenant=TENANT, device=device.known_as, workflow_id=workflow_id
        )
        right = {task.seq for task in rows.tasks[workflow.key].values()}
        wrong = [one.seq for one in shown.tasks if one.seq not in right] if shown else []
        if wrong:
            complain("cloud: steps that are no more", f"{device.name} {workflow.name}: {wrong}")


def _check_shown(
    device: Device,
    rows: Rows,
    ledger: sqlite3.Connection,
    complain: Complain,
    *,
    left_behind: Iterable[str] = (),
) -> None:
    shown = dict(ledger.execute(_SHOWN, (TENANT, device.known_as)).fetchall())
    for workflow in rows.by_id.values():
        workflow_id = workflow_uuid(workflow.id)
        told = shown.pop(workflow_id, None)
        if told != workflow.status.value:
            facts = f"{device.name} {workflow.name}: {told}, is {workflow.status}"
            complain("cloud: differs", facts)
    unknown = sorted(shown.keys() - set(left_behind))
    if unknown:
        complain("cloud: unknown executions", f"{device.name}: {unknown}")
