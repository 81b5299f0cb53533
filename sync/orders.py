"""Orders: what a control plane tells a device to do, as it is signed, carried and checked.

Bytes in, orders out, and back; nothing is stored, sent or carried out here, and no clock is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from sync.records import Count, Millis
from sync.topics import Address

LONGEST_MS = 90 * 86_400_000
"""An order is good for so long at most: a device remembers each until then."""

MAX_BODY_BYTES = 60_000
"""Of one order, so that it fits into a message with room to spare."""

MAX_MESSAGE_BYTES = 90_000
MAX_ORDERS = 64
"""In one message, and under way to one device."""

KEY_ID_BYTES = 8

_CONTEXT = b"baton-orders-1\x00"
"""What is signed begins with this, so that no signature can be taken for another's."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
WorkflowId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
FetchBytes = Annotated[int, msgspec.Meta(ge=1_000, le=2**32)]
"""The device has a bound of its own besides."""
Revision = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class OrderError(Exception):
    """Head of what can be wrong with an order.

    OrderError
    ├── OrderInvalid       whoever gives it must correct it
    └── OrdersUnreadable   a message holds none that may be believed
    """


class OrderInvalid(OrderError):
    """An order cannot be given as it is; the message names the field and says what it may be."""


class OrdersUnreadable(OrderError):
    """A message of orders is damaged, signed by nobody known, or meant for another device."""


class Kind(StrEnum):
    """What can be ordered."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    RESTART = "restart"
    TERMINATE = "terminate"
    PUT_WORKFLOW = "put-workflow"
    PUT_TASK = "put-task"
    PUT_CONFIG = "put-config"
    FETCH_JOURNAL = "fetch-journal"
    FETCH_TASK_LOGS = "fetch-task-logs"
    FETCH_FILE = "fetch-file"
    FETCH_EXECUTION = "fetch-execution"


FETCHES = frozenset(
    {Kind.FETCH_JOURNAL, Kind.FETCH_TASK_LOGS, Kind.FETCH_FILE, Kind.FETCH_EXECUTION}
)
"""Kinds that are done when the device has taken them on: what it finds follows in its own records."""


class State(StrEnum):
    """How far an order has come, as far as the control plane knows."""

    QUEUED = "queued"
    """Not sent yet: the device is not there, or others go before."""
    SENT = "sent"
    """On its way; whether it has arrived is not known."""
    RECEIVED = "received"
    """The device has committed it; what it came to is still on its way up."""
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    """Its time was over before it was carried out; it will not be."""
    SUPERSEDED = "superseded"
    """A newer one, or whoever gave it, has taken its place; it will not be carried out."""


OPEN = frozenset({State.QUEUED, State.SENT, State.RECEIVED})


class StartBody(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """Start a workflow; the order's id is its idempotency key."""

    name: Name
    version: Annotated[int, msgspec.Meta(ge=0, le=2**31)] | None = None
    """None = the latest."""
    input: dict[str, Any] = {}
    correlation_id: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=99)] = 0
    task_to_domain: dict[str, str] = {}


class SteerBody(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """Pause or resume an execution."""

    workflow_id: WorkflowId


class RetryBody(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """Try what has failed in an execution once more."""

    workflow_id: WorkflowId
    resume_subworkflow_tasks: bool = False


class RestartBody(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """Run an execution again from its beginning."""

    workflow_id: WorkflowId
    use_latest_definitions: bool = False


class TerminateBody(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """End an execution."""

    workflow_id: WorkflowId
    reason: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None
    trigger_failure_workflow: bool = False


class DefinitionBody(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """Register a workflow or a task definition."""

    definition: dict[str, Any]
    """As Conductor's API takes it."""
    revision: Revision
    """Of this definition, counted by who orders: a device never takes a lower one."""
    rollback: bool = False
    """Whether a lower revision than the device has is meant."""


class ConfigBody(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """Give a device the environment variables of one name, in place of those it had of it."""

    name: Name
    variables: dict[str, str]
    """What expressions read as ``${workflow.env.NAME}``."""
    revision: Revision
    rollback: bool = False


class JournalBody(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """Fetch lines of what the device has logged."""

    from_ms: Millis = 0
    """On the device's clock."""
    to_ms: Millis = 0
    """0 = to the end."""
    level: Literal["debug", "info", "warning", "error"] = "debug"
    """The least; what the device does not log at all is not in its journal either."""
    contains: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """A text that stands in the line, in any case."""
    last: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """How many lines, the newest of those that match; 0 = all."""
    max_bytes: FetchBytes = 1_000_000
    """Older lines than fit are left out."""


class TaskLogsBody(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """Fetch what a task's worker has logged."""

    task_id: WorkflowId
    max_bytes: FetchBytes = 1_000_000
    """Older lines than fit are left out."""


class FileBody(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """Fetch a file."""

    store: Literal["evidence", "files", "input", "output"]
    """``evidence``: what tasks keep; ``files``: what workers hand each other; ``input`` and
    ``output``: the payload of a task or an execution."""
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=1_024)]
    """Of evidence its path, of a file its name, of a payload the id of the task or execution."""
    max_bytes: FetchBytes = 100_000_000
    """A larger file is refused, and its size told."""


class ExecutionBody(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """Have an execution and its tasks sent once more, as far as the device still has them."""

    workflow_id: WorkflowId
    max_bytes: FetchBytes = 10_000_000
    """Payloads that go beyond are left out."""


FetchBody = JournalBody | TaskLogsBody | FileBody | ExecutionBody
Body = (
    StartBody | SteerBody | RetryBody | RestartBody | TerminateBody | DefinitionBody | ConfigBody
    | FetchBody
)  # fmt: skip

_BODIES: dict[Kind, type[Body]] = {
    Kind.START: StartBody,
    Kind.PAUSE: SteerBody,
    Kind.RESUME: SteerBody,
    Kind.RETRY: RetryBody,
    Kind.RESTART: RestartBody,
    Kind.TERMINATE: TerminateBody,
    Kind.PUT_WORKFLOW: DefinitionBody,
    Kind.PUT_TASK: DefinitionBody,
    Kind.PUT_CONFIG: ConfigBody,
    Kind.FETCH_JOURNAL: JournalBody,
    Kind.FETCH_TASK_LOGS: TaskLogsBody,
    Kind.FETCH_FILE: FileBody,
    Kind.FETCH_EXECUTION: ExecutionBody,
}


class Condition(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """What must hold on the device when it carries an order out; else the order has failed."""

    status: Annotated[list[str], msgspec.Meta(max_length=8)] = []
    """The execution it concerns has one of these; empty = any."""
    not_running: bool = False
    """Of the workflow to start no execution is under way."""
    revision: Revision | None = None
    """The definition or configuration that the device has is of this revision; None = any."""


class Order(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "cseq": "q", "id": "i", "kind": "k", "body": "b", "condition": "p", "issued_ms": "s",
        "expires_ms": "x",
    },
):  # fmt: skip
    """One order as it travels."""

    cseq: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    """Its place among the orders to this device and epoch, from 1 without holes."""
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    """Unique; the same when it is sent again, also under another place."""
    kind: Annotated[str, msgspec.Meta(max_length=32)]
    """One of Kind; a later release may know more."""
    body: bytes
    """JSON text of the kind's body."""
    issued_ms: Millis
    expires_ms: Millis
    """On the control plane's clock; from then on it must not be carried out."""
    condition: bytes = b""
    """JSON text; empty = none."""


class Position(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={"cseq": "a", "id": "i", "keys": "k"},
):
    """How far a device has come with its orders, as its hello says."""

    cseq: Count = 0
    """Everything up to here is committed on the device."""
    id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Of the order at that place: a control plane that was put back knows another there."""
    keys: Annotated[list[Annotated[bytes, msgspec.Meta(max_length=64)]],
                    msgspec.Meta(max_length=16)] = []  # fmt: skip
    """Whose orders it takes: the ids of the keys that it has pinned."""


class _Batch(
    msgspec.Struct,
    frozen=True,
    rename={
        "tenant": "t", "device": "d", "epoch": "e", "sent_ms": "m", "orders": "o",
    },
):  # fmt: skip
    """What is signed."""

    tenant: str
    device: str
    epoch: Count
    sent_ms: Millis
    orders: Annotated[list[Order], msgspec.Meta(min_length=1, max_length=MAX_ORDERS)]


class _Envelope(
    msgspec.Struct, frozen=True, rename={"content": "c", "key_id": "k", "signature": "g"}
):
    """What is sent."""

    content: bytes
    key_id: bytes
    signature: bytes


_ENCODER = msgspec.msgpack.Encoder()
_ENVELOPE = msgspec.msgpack.Decoder(_Envelope)
_BATCH = msgspec.msgpack.Decoder(_Batch)
_JSON = msgspec.json.Encoder(order="deterministic")

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]
"""Whether a signature (64 bytes) is one of a message."""


def kind_of(name: str) -> Kind:
    """A kind by its name. Raises OrderInvalid."""
    try:
        return Kind(name)
    except ValueError as error:
        raise OrderInvalid(f"kind: {name[:40]!r} is not one of {', '.join(Kind)}") from error


def parse_body(kind: Kind, body: object) -> Body:
    """The body of an order, given as plain data or as JSON text.

    Raises:
        OrderInvalid: it is none; the message names the field.
    """
    found: Body = _parse("body", body, _BODIES[kind])
    if kind in (Kind.PUT_WORKFLOW, Kind.PUT_TASK):
        assert isinstance(found, DefinitionBody)
        name = found.definition.get("name")
        if not isinstance(name, str) or not name:
            raise OrderInvalid("body.definition.name: a definition needs a name")
    return found


def parse_condition(condition: object) -> Condition:
    """The condition of an order; None, or an empty text, is none. Raises OrderInvalid."""
    if condition is None or condition == b"":
        return Condition()
    found: Condition = _parse("condition", condition, Condition)
    return found


def _parse(name: str, value: object, kind: type[Any]) -> Any:
    try:
        if isinstance(value, bytes):
            return msgspec.json.decode(value, type=kind)
        return msgspec.convert(value, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason, _, place = str(error).partition(" - at `$")
        raise OrderInvalid(f"{name}{place.rstrip('`')}: {reason}") from error


def json_of(value: Body | Condition) -> bytes:
    """The JSON text of a body or a condition; the same for the same value.

    Raises:
        OrderInvalid: it is too large.
    """
    text = _JSON.encode(value)
    if len(text) > MAX_BODY_BYTES:
        raise OrderInvalid(
            f"body: {len(text)} bytes of JSON are more than the {MAX_BODY_BYTES} of an order; "
            "put large content where the workflow can fetch it"
        )
    return text


def subject_of(kind: Kind, body: Body) -> str:
    """What an order is about: of two that put the same thing, the later one replaces the other.

    Empty for kinds that put nothing.
    """
    match body:
        case DefinitionBody(definition=definition) if kind is Kind.PUT_WORKFLOW:
            return f"{kind}:{definition['name']}:{definition.get('version', 1)}"
        case DefinitionBody(definition=definition):
            return f"{kind}:{definition['name']}"
        case ConfigBody(name=name):
            return f"{kind}:{name}"
        case _:
            return ""


def key_id(public_key: bytes) -> bytes:
    """How a key is named: the beginning of its SHA-256."""
    return hashlib.sha256(public_key).digest()[:KEY_ID_BYTES]


def encode(
    address: Address,
    epoch: int,
    orders: Sequence[Order],
    *,
    sent_ms: int,
    key: bytes,
    sign: Sign,
) -> tuple[bytes, int]:
    """A message with as many of the orders as fit, and how many those are.

    Args:
        address: the device they are for; nobody else may take them.
        epoch: its lineage; a device that has begun another does not take them.
        orders: with consecutive places, at least one.
        sent_ms: the control plane's clock.
        key: the public key's id.
        sign: makes an Ed25519 signature.
    """
    size, taken = 0, 0
    for order in orders[:MAX_ORDERS]:
        size += len(order.body) + len(order.condition) + 200
        if taken and size > MAX_MESSAGE_BYTES:
            break
        taken += 1
    batch = _Batch(address.tenant, address.device, epoch, sent_ms, list(orders[:taken]))
    content = _ENCODER.encode(batch)
    return _ENCODER.encode(_Envelope(content, key, sign(_CONTEXT + content))), taken


def decode(
    payload: bytes, *, address: Address, epoch: int, keys: Mapping[bytes, Verify]
) -> list[Order]:
    """The orders of a message, when they are for us and signed by somebody we obey.

    Raises:
        OrdersUnreadable: otherwise.
    """
    try:
        envelope = _ENVELOPE.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise OrdersUnreadable(f"no message of orders: {error}") from error
    verify = keys.get(envelope.key_id)
    if verify is None:
        raise OrdersUnreadable(f"signed by a key that is not pinned: {envelope.key_id.hex()}")
    if not verify(envelope.signature, _CONTEXT + envelope.content):
        raise OrdersUnreadable("the signature is wrong")
    try:
        batch = _BATCH.decode(envelope.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise OrdersUnreadable(f"signed, and no orders: {error}") from error
    if (batch.tenant, batch.device) != (address.tenant, address.device):
        raise OrdersUnreadable(f"meant for {batch.tenant}/{batch.device}")
    if batch.epoch != epoch:
        raise OrdersUnreadable(f"meant for epoch {batch.epoch}")
    for at, order in enumerate(batch.orders):
        if order.cseq != batch.orders[0].cseq + at:
            raise OrdersUnreadable("signed, and the places have holes")
    return batch.orders
