"""What the ledger shows: frozen rows for the pages and the API of the control plane.

No SQL and no wire format of the devices stands here.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

DeviceState = Literal["online", "lagging", "offline", "never"]
"""`never`: it is registered, and nothing has been heard of it."""

# A device that is connected and this far behind is shown as lagging. Two full frames: less than
# that is under way in normal running.
LAGGING_RECORDS = 1_000


class DeviceView(msgspec.Struct, frozen=True):
    """One device as the control plane knows it."""

    tenant: str
    device: str
    state: DeviceState
    """`lagging`: connected, with more than LAGGING_RECORDS records still on the device."""
    online: bool
    first_seen_ms: int
    last_seen_ms: int
    """When anything at all last arrived from it."""
    synced_to_ms: int
    """The device's clock at the newest record that is stored without a hole; 0 = none yet."""
    backlog: int
    """Records the device is known to hold that are not stored here yet."""
    records: int
    """Records acknowledged in the present epoch, all lanes."""
    epoch: int
    boot: int
    version: str
    """Release the device runs; empty until its first hello."""


class ExecutionRow(msgspec.Struct, frozen=True):
    """One workflow execution in a list."""

    tenant: str
    device: str
    workflow_id: str
    name: str
    version: int
    status: str
    correlation_id: str | None
    created_ms: int
    updated_ms: int
    ended_ms: int
    """0 while it is open."""
    began_ms: int
    """When it began on the control plane's clock, as far as the device's is known. By this they are
    sorted; the other times are the device's own."""
    reason: str | None


class ExecutionPage(msgspec.Struct, frozen=True):
    """A page of executions, newest first."""

    rows: list[ExecutionRow]
    next: str | None
    """Give this back as `after` for the following page; None at the end."""


class TaskView(msgspec.Struct, frozen=True):
    """One task of an execution."""

    task_id: str
    seq: int
    ref: str
    type: str
    name: str
    status: str
    attempt: int
    iteration: int
    scheduled_ms: int
    started_ms: int
    """0 = not started."""
    ended_ms: int
    """0 = open."""
    updated_ms: int
    worker: str | None
    reason: str | None
    input: Any
    """The user's JSON, decoded; None when none was carried."""
    output: Any


class EvidenceView(msgspec.Struct, frozen=True):
    """One file that a task kept, as far as it has arrived."""

    task_id: str
    key: str
    media_type: str
    sha256: str
    size_bytes: int
    chunks: int
    chunks_held: int
    complete: bool
    """True when the content can be fetched."""
    missing: bool
    """True when the device no longer had the file when it was its turn."""


class EvidenceContent(msgspec.Struct, frozen=True):
    """The bytes of one kept file, checked against its digest."""

    media_type: str
    sha256: str
    content: bytes


class ExecutionView(msgspec.Struct, frozen=True):
    """One execution with all that is known of it."""

    row: ExecutionRow
    input: Any
    output: Any
    definition: Any
    """The Conductor definition it runs, decoded; None until it has arrived. A device tells it with
    some executions only: it is that of the nearest one with this name and version."""
    tasks: list[TaskView]
    """In the order the device scheduled them."""
    evidence: list[EvidenceView]


class Summary(msgspec.Struct, frozen=True):
    """The fleet in figures."""

    devices: int
    online: int
    executions: dict[str, int]
    """Count by status."""
    records: int
    """Records stored, all devices and epochs."""
    backlog: int
    quarantined: int
    """Segments that could not be read."""
    unread: int
    """Records stored that could not be shown."""
    missing: int
    """Records that devices no longer held and that never arrived."""
    projection_lag: int
    """Segments stored and not projected yet."""


class Change(msgspec.Struct, frozen=True):
    """Something that may be shown differently now; fetch it again."""

    cursor: int
    """Give the last one back to `changes_after`."""
    kind: Literal["device", "execution"]
    tenant: str
    device: str
    workflow_id: str | None
    """None for a device."""


class LagReport(msgspec.Struct, frozen=True):
    """How long records took to get here."""

    records: int
    p50_ms: int
    """Percentiles are right to 5 %; 0 when there are no records."""
    p99_ms: int
    max_ms: int


class OrderView(msgspec.Struct, frozen=True):
    """One order to a device."""

    tenant: str
    device: str
    order_id: str
    kind: str
    body: bytes
    """JSON text, as `sync.orders` describes it for the kind."""
    condition: bytes
    """JSON text; empty = none."""
    issued_ms: int
    issued_by: str
    expires_ms: int
    state: str
    """One of `sync.orders.State`."""
    waits_for: str
    """For people; empty when it has ended."""
    epoch: int
    """Of the device, to which it was sent; 0 = not sent."""
    cseq: int
    """Its place in line; 0 = not sent."""
    sent_ms: int
    """When it was first sent; 0 = not sent."""
    sendings: int
    ended: bool
    ended_ms: int
    """On the device's clock where the device has told it; 0 = not ended."""
    reason: str | None
    output: bytes | None
    """JSON text of what it came to; of a start `{"workflowId": ...}`."""


class OrderPage(msgspec.Struct, frozen=True):
    """A page of orders, newest first."""

    rows: list[OrderView]
    next: int | None
    """Give this back as `after` for the following page; None at the end."""


class GapView(msgspec.Struct, frozen=True, rename="camel"):
    """A range of a lane that will not come."""

    epoch: int
    lane: int
    first_seq: int
    last_seq: int
    noted_ms: int
    """When the ledger heard that the device does not hold it any more."""
    shed: int
    """How many of its records the device has given up and accounted for; the others were lost."""
    reasons: list[str]
    """Why, of those that it has accounted for."""
    kinds: dict[str, int]
    """How many of each kind lie in the ranges that it has accounted for."""


class NoticeView(msgspec.Struct, frozen=True, rename="camel"):
    """Something about a device that a person should know."""

    notice_id: int
    tenant: str
    device: str
    kind: str
    """`duplicate-identity`, `epoch`."""
    text: str
    first_ms: int
    last_ms: int
    times: int
    """How often it was noticed."""
