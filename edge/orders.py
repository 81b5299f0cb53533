"""Orders of a control plane: carried out, noted and reported in one transaction.

No connection is kept and no signature is looked at here; what an order may hold is said by
``sync.orders``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import msgspec
import structlog

from edge.engine import Engine
from edge.keeping import keep
from edge.model.decision import Pause, Resume, Terminate
from edge.model.errors import BatonError
from edge.model.executions import parse_workflow_id, workflow_uuid
from edge.model.requests import StartRequest
from edge.model.validation import parse_task_definition, parse_workflow_definition
from edge.model.variables import checked_name, checked_value
from edge.registration import Posted, register_task, register_workflow
from edge.store import fetches, order_inbox, outbox, search, variables
from edge.store.fetches import Fetch
from edge.store.order_inbox import Dealt, Ordered
from edge.transactions import Transaction
from sync import orders
from sync.link import NotTaken
from sync.orders import (
    Body,
    Condition,
    ConfigBody,
    DefinitionBody,
    ExecutionBody,
    FileBody,
    JournalBody,
    Kind,
    Order,
    OrderInvalid,
    RestartBody,
    RetryBody,
    StartBody,
    State,
    SteerBody,
    TaskLogsBody,
    TerminateBody,
)
from sync.records import KINDS, OrderRecord, encode_body

log = structlog.get_logger(__name__)

TOGETHER = 32
"""Orders that share a transaction, as long as none of them fails."""

_REMEMBERED = 100_000
"""Orders that are kept until their time is over; a line with more is refused."""

_KEPT_LONGER_MS = 86_400_000
"""An order is remembered for so long beyond its time, as clocks differ."""

_FETCHES = 200
"""Things to be fetched at a time, with those that are still on their way."""

_VARIABLE = "environment variable"


class _Failed(BatonError):
    """An order cannot be carried out."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state = state


class EngineOrders:
    """Has an engine carry out what it is ordered.

    Args:
        engine: whose executions and definitions they are about.
        check_script: says what is wrong with a JavaScript text; None = nothing.
        on_fetch: told when something is to be fetched; None = nothing is fetched here.
    """

    def __init__(
        self,
        engine: Engine,
        check_script: Callable[[str], str | None],
        on_fetch: Callable[[], None] | None = None,
    ) -> None:
        self._engine = engine
        self._check_script = check_script
        self._on_fetch = on_fetch

    async def position(self) -> tuple[int, str]:
        """Place and id of the last order that was dealt with."""
        return await self._engine.database.read(order_inbox.last)

    async def carry_out(self, given: Sequence[Order], server_ms: int) -> tuple[int, str]:
        """Deal with orders, in their line; durable when it returns.

        Args:
            given: with consecutive places, the first of them the next one.
            server_ms: what the control plane's clock shows.

        Returns:
            Place and id of the last order that has been dealt with.

        Raises:
            NotTaken: not now.
        """
        assert given, "somebody has ordered something"
        for at in range(0, len(given), TOGETHER):
            position = await self._deal_with(given[at : at + TOGETHER], server_ms)
        if self._on_fetch is not None and any(one.kind in orders.FETCHES for one in given):
            self._on_fetch()
        return position

    async def _deal_with(self, some: Sequence[Order], server_ms: int) -> tuple[int, str]:
        """All of them together, or each by itself when one cannot be carried out.

        Returns:
            Place and id of the last order that has been dealt with, as the transaction left them:
            to ask for them again would keep the report waiting.
        """
        try:
            done, position = await keep(self._engine, lambda t: self._all(t, some, server_ms))
            for order in done:
                _log_done(order)
            return position
        except NotTaken:
            raise
        except Exception:  # noqa: BLE001 - the rim: one order must not stop all others
            for order in some:
                await self._one(order, server_ms)
            # What was forgotten above is undone as well: a full memory would stay full for ever.
            return await keep(self._engine, lambda t: _forget(t, server_ms))

    def _all(
        self, transaction: Transaction, some: Sequence[Order], server_ms: int
    ) -> tuple[Sequence[Order], tuple[int, str]]:
        """Those of them that have been done now, and where the line stands then."""
        done = [order for order in some if self._carry_out(transaction, order, server_ms)]
        return done, _forget(transaction, server_ms)

    async def _one(self, order: Order, server_ms: int) -> None:
        try:
            if await keep(self._engine, lambda t: self._carry_out(t, order, server_ms)):
                _log_done(order)
        except NotTaken:
            raise
        except BatonError as error:
            state = error.state if isinstance(error, _Failed) else State.FAILED
            await self._note_failed(order, state, error.told)
        except Exception as error:
            log.exception("order_failed", order=order.id, kind=order.kind)
            reason = f"a defect of the device: {type(error).__name__}"
            await self._note_failed(order, State.FAILED, reason)

    async def _note_failed(self, order: Order, state: State, reason: str) -> None:
        log.warning("order_not_done", order=order.id, kind=order.kind, reason=reason)
        await keep(self._engine, lambda t: self._note(t, order, state, reason, None))

    # In a transaction.

    def _carry_out(self, transaction: Transaction, order: Order, server_ms: int) -> bool:
        """Whether it has been done now, and not before.

        Raises:
            BatonError: it cannot be; nothing of it is kept.
        """
        connection = transaction.connection
        if order.cseq <= order_inbox.last(connection)[0]:
            return False
        known = order_inbox.find(connection, order.id)
        if known is not None:
            # It has been given another place, by a control plane that had lost the first.
            self._note(transaction, order, State(known.state), known.reason, known.output)
            return False
        if order.expires_ms <= server_ms:
            raise _Failed(State.EXPIRED, "its time was over when it arrived")
        if order_inbox.count(connection) >= _REMEMBERED:
            raise _Failed(State.FAILED, f"{_REMEMBERED} orders are remembered already")
        try:
            kind = orders.kind_of(order.kind)
            body = orders.parse_body(kind, order.body)
            condition = orders.parse_condition(order.condition)
        except OrderInvalid as error:
            raise _Failed(State.FAILED, str(error)) from error
        output = self._obey(transaction, order, kind, body, condition)
        self._note(transaction, order, State.DONE, None, output)
        return True

    def _note(
        self,
        transaction: Transaction,
        order: Order,
        state: State,
        reason: str | None,
        output: bytes | None,
    ) -> None:
        """Write what an order came to, for us and for the control plane."""
        connection = transaction.connection
        row = Dealt(order.id, order.cseq, order.kind, state.value, reason, output, order.expires_ms)
        order_inbox.put(connection, row)
        told = OrderRecord(order.id, order.cseq, order.kind, state.value, reason, output)
        outbox.put_control(
            connection,
            KINDS[OrderRecord],
            encode_body(told),
            now_ms=transaction.now_ms,
            boot=self._engine.boot.boot,
        )
        transaction.note_control()

    def _obey(
        self,
        transaction: Transaction,
        order: Order,
        kind: Kind,
        body: Body,
        condition: Condition,
    ) -> bytes | None:
        """Do what is ordered; returns the JSON text of what it came to."""
        match body:
            case StartBody():
                return _start(transaction, order, body, condition)
            case DefinitionBody() | ConfigBody():
                return self._put(transaction, kind, body, condition)
            case JournalBody() | TaskLogsBody() | FileBody() | ExecutionBody():
                self._fetch(transaction, order)
                return None
        key = parse_workflow_id(body.workflow_id)
        status = transaction.snapshot(key).workflow.status.value
        if condition.status and status not in condition.status:
            wanted = " or ".join(condition.status)
            raise _Failed(State.FAILED, f"condition.status: it is {status}, not {wanted}")
        match body:
            case SteerBody():
                transaction.decide(key, Pause() if kind is Kind.PAUSE else Resume())
            case RetryBody():
                transaction.retry(key, resume_children=body.resume_subworkflow_tasks)
            case RestartBody():
                transaction.restart(key, latest=body.use_latest_definitions)
            case TerminateBody():
                failure_workflow = body.trigger_failure_workflow
                transaction.decide(key, Terminate(body.reason, failure_workflow=failure_workflow))
        return None

    def _fetch(self, transaction: Transaction, order: Order) -> None:
        """Note that something is to be looked for."""
        if self._on_fetch is None:
            raise _Failed(State.FAILED, "nothing is fetched here: sync.fetch_most_mb is 0")
        if fetches.count(transaction.connection) >= _FETCHES:
            raise _Failed(State.FAILED, f"{_FETCHES} things are still on their way")
        noted = Fetch(order.id, order.kind, order.body, transaction.now_ms)
        fetches.put(transaction.connection, noted)

    def _put(
        self,
        transaction: Transaction,
        kind: Kind,
        body: DefinitionBody | ConfigBody,
        condition: Condition,
    ) -> bytes | None:
        """Take a definition or a configuration, unless a later one is here."""
        connection = transaction.connection
        subject = orders.subject_of(kind, body)
        there = order_inbox.read_ordered(connection, subject)
        have = there.revision if there is not None else 0
        if condition.revision is not None and condition.revision != have:
            raise _Failed(
                State.FAILED, f"condition.revision: it is {have}, not {condition.revision}"
            )
        content = body.definition if isinstance(body, DefinitionBody) else body.variables
        document = msgspec.json.encode(content, order="deterministic")
        digest = hashlib.sha256(document).digest()
        if body.revision < have and not body.rollback:
            raise _Failed(State.SUPERSEDED, f"revision {have} is here already")
        if there is not None and body.revision == have:
            if digest != there.digest:
                raise _Failed(
                    State.FAILED, f"body.revision: revision {have} is here with other content"
                )
            return None
        if isinstance(body, ConfigBody):
            before = msgspec.json.decode(there.document) if there is not None else {}
            _configure(transaction, before, body.variables)
        else:
            self._register(transaction, kind, body)
        order_inbox.put_ordered(connection, subject, Ordered(body.revision, digest, document))
        return None

    def _register(self, transaction: Transaction, kind: Kind, body: DefinitionBody) -> None:
        if kind is Kind.PUT_TASK:
            task = parse_task_definition(body.definition, owner_required=False)
            register_task(transaction, Posted(task))
            return
        workflow = parse_workflow_definition(
            body.definition, owner_required=False, check_script=self._check_script
        )
        register_workflow(transaction, Posted(workflow), overwrite=True)


def _log_done(order: Order) -> None:
    """Say so once it is kept: before that it may still be undone."""
    log.info("order_done", order=order.id, kind=order.kind)


def _forget(transaction: Transaction, server_ms: int) -> tuple[int, str]:
    """Let go of what is over; returns place and id of the last order."""
    order_inbox.forget(transaction.connection, server_ms - _KEPT_LONGER_MS)
    return order_inbox.last(transaction.connection)


def _start(transaction: Transaction, order: Order, body: StartBody, condition: Condition) -> bytes:
    if condition.not_running and search.running(transaction.connection, body.name):
        raise _Failed(State.FAILED, f"condition.notRunning: an execution of {body.name} is")
    workflow_id, _ = transaction.start(
        StartRequest(
            name=body.name,
            version=body.version,
            input=msgspec.json.encode(body.input),
            correlation_id=body.correlation_id,
            priority=body.priority,
            task_to_domain=body.task_to_domain,
            created_by="order",
            idempotency_key=order.id,
            idempotency_strategy="RETURN_EXISTING",
        )
    )
    return msgspec.json.encode({"workflowId": workflow_uuid(workflow_id)})


def _configure(transaction: Transaction, before: dict[str, str], after: dict[str, str]) -> None:
    """Put variables in place of those that came under the same name before."""
    connection = transaction.connection
    there = set(variables.read_names(connection, variables.ENVIRONMENT))
    for name in sorted(before.keys() - after.keys()):
        if name in there:
            variables.drop(connection, variables.ENVIRONMENT, name)
    for name, value in sorted(after.items()):
        checked_value(_VARIABLE, checked_name(_VARIABLE, name), value)
        variables.put_variable(connection, name, value, transaction.now_ms)
