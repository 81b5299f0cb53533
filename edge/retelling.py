"""After an epoch has begun: executions are told anew, so that no lost branch has the last word on them.

A database that was put back, or a copy, may hold an execution otherwise than it was told of from the
branch that is no more: ended, and begun anew there; or open, and ended there. Nothing may ever happen
to it again of which a record would tell. What is told anew is of the new epoch, and so it counts.

Failures travel ahead of what was before them. Where an epoch begins between the two they are told
anew in the urgent lane, each time: all else of the execution is told under the later epoch.
"""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from edge.engine import Engine
from edge.history import ALARMING, end_again, records_anew
from edge.rounds import Rounds
from edge.store import retelling
from edge.transactions import Transaction
from sync.records import KINDS, Lane, TaskRecord, WorkflowRecord, encode_body

log = structlog.get_logger(__name__)

_LOOK_S = 20.0
"""Between two looks whether an epoch has begun."""

_PAUSE_S = 0.02
"""Between two transactions, so that the disk is left to the engine."""

_EXECUTIONS = 50
_BYTES = 500_000
"""What one transaction tells; an execution that has more goes by itself."""

_LOOKED_AT = 1_000
"""Executions that one transaction looks at for failures."""

Record = tuple[str, bytes]
"""Its kind and its body."""


class Retelling:
    """Tells the executions of one engine anew when that is wanted; in the bulk lane, behind the rest.

    Args:
        engine: whose executions.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rounds = Rounds("retelling_postponed")

    async def run(self) -> None:
        """Tell until cancelled."""
        await self._rounds.run(self._step)

    async def _step(self) -> float:
        """Tell some of them. Raises StorageUnavailable, Overloaded."""
        if await self._engine.database.read(retelling.failures_wanted):
            await self._engine.request(self._tell_failures)
            return _PAUSE_S
        if not await self._engine.database.read(retelling.wanted):
            return _LOOK_S
        await self._engine.request(self._tell)
        return _PAUSE_S

    def _tell(self, transaction: Transaction) -> None:
        """The next executions, and how far that is, in one transaction."""
        connection = transaction.connection
        records: list[Record] = []
        size = below = 0
        for key, workflow_id in retelling.page(connection, _EXECUTIONS):
            told = list(_told(transaction, workflow_id))
            weight = sum(len(body) for _, body in told)
            if size and size + weight > _BYTES:
                break
            records += told
            size, below = size + weight, key
        retelling.note(connection, below)
        if not below:
            log.info("executions_told_anew", epoch=self._engine.boot.epoch)
        self._add(transaction, Lane.BULK, records)

    def _tell_failures(self, transaction: Transaction) -> None:
        """The next failures, and how far that is, in one transaction."""
        connection = transaction.connection
        records: list[Record] = []
        since_ms = retelling.failures_since(connection)
        loaded = below = 0
        for key, workflow_id, status in retelling.statuses(connection, _LOOKED_AT):
            if status in ALARMING:
                records += _failure(transaction, workflow_id, since_ms)
                loaded += 1
            below = key
            if loaded >= _EXECUTIONS:
                break
        retelling.note_failures(connection, below)
        self._add(transaction, Lane.URGENT, records)

    def _add(self, transaction: Transaction, lane: Lane, records: list[Record]) -> None:
        # Last of all, as nothing may fail behind it: what the writer has is not undone with us.
        for kind, body in records:
            transaction.outbox.add(
                transaction.connection, lane, kind, body,
                now_ms=transaction.now_ms, boot=self._engine.boot.boot,
            )  # fmt: skip


def _failure(transaction: Transaction, workflow_id: bytes, since_ms: int) -> list[Record]:
    """The end of an execution that failed then or later."""
    snapshot = transaction.executions.load_undamaged(transaction.connection, workflow_id)
    if snapshot is None or snapshot.workflow.updated_ms < since_ms:
        return []
    return [(KINDS[WorkflowRecord], encode_body(end_again(snapshot.workflow)))]


def _told(transaction: Transaction, workflow_id: bytes) -> Iterator[Record]:
    """What is told of an execution; nothing of one that is damaged, or gone."""
    snapshot = transaction.executions.load_undamaged(transaction.connection, workflow_id)
    if snapshot is None:
        return
    body: WorkflowRecord | TaskRecord
    for body in records_anew(snapshot.workflow, snapshot.tasks.values()):
        yield KINDS[type(body)], encode_body(body)
