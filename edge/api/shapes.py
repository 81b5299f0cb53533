"""The shapes of answers that endpoints put together from plain maps, for the document of the API.

Nothing is answered from here: a test holds real answers against these shapes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from edge.api.summaries import WireTaskSummary
from edge.model.access import Reference, Role
from edge.model.definitions import JsonObject
from edge.model.errors import FieldError
from edge.model.schedules import Schedule
from edge.wire import WireSummary, WireTask, WireWorkflow


class ErrorBody(msgspec.Struct, rename="camel", omit_defaults=True):
    """A refusal. The message says what was wrong; the code is stable."""

    status: int
    """The HTTP status once more."""
    message: str
    instance: str
    """The device that refused."""
    retryable: bool
    """Whether the same request may succeed later."""
    code: str | None = None
    validation_errors: list[FieldError] | None = None
    """Every broken rule of a definition, with the path of its field."""
    error: str | None = None
    """Of a 401: INVALID_TOKEN, EXPIRED_TOKEN or INVALID_CREDENTIALS."""


class SummaryPage(msgspec.Struct, rename="camel"):
    """One page of a search."""

    total_hits: int
    """Matches on all pages."""
    results: list[WireSummary]


class WorkflowPage(msgspec.Struct, rename="camel"):
    """One page of a search, each execution whole."""

    total_hits: int
    results: list[WireWorkflow]


class TaskPage(msgspec.Struct, rename="camel"):
    """One page of an execution's tasks."""

    total_hits: int
    results: list[WireTask]


class TaskSummaryPage(msgspec.Struct, rename="camel"):
    """One page of a search of tasks."""

    total_hits: int
    """Matches on all pages."""
    results: list[WireTaskSummary]


class BulkResponse(msgspec.Struct, rename="camel"):
    """What became of each item of a list; 200 even if all failed."""

    bulk_error_results: dict[str, str]
    """By id or name: why it failed."""
    bulk_successful_results: list[str]
    message: str


class DefinitionLine(msgspec.Struct, rename="camel", omit_defaults=True):
    """A version of a definition, without what is in it."""

    name: str
    version: int
    create_time: int | None = None
    """Epoch milliseconds."""
    update_time: int | None = None
    """Epoch milliseconds."""


class PollLine(msgspec.Struct, rename="camel", omit_defaults=True):
    """Who asked a queue for work last."""

    queue_name: str
    last_poll_time: int
    """Epoch milliseconds."""
    domain: str | None = None
    worker_id: str | None = None


class ShardSize(msgspec.Struct, rename="camel"):
    """A shard of a queue."""

    size: int
    uacked: int


class HealthDetails(msgspec.Struct):
    """What was looked at, and how it is."""

    status: Literal["UP", "DOWN"]
    name: str
    reason: str | None = None
    """Why it is as it is, where there is something to say."""


class HealthResult(msgspec.Struct):
    """One thing that was looked at."""

    healthy: bool
    details: HealthDetails


class Health(msgspec.Struct, rename="camel"):
    """Whether the device can do its work."""

    healthy: bool
    health_results: list[HealthResult]
    suppressed_health_results: bool


class DeviceLine(msgspec.Struct):
    """A device of the inventory."""

    name: str
    driver: str
    status: dict[str, Any]


class SyncState(msgspec.Struct, rename="camel", omit_defaults=True):
    """How far the control plane has followed."""

    enabled: bool
    broker: str | None = None
    device: str | None = None
    state: str | None = None
    reason: str | None = None
    backlog: int | None = None
    """Records that wait."""
    last_ack_ms: int | None = None
    synced_to: dict[str, int] | None = None
    """Last confirmed record of each lane."""
    records_sent: int | None = None
    bytes_sent: int | None = None


class TagCount(msgspec.Struct, rename="camel"):
    """A tag with the number of definitions of one kind that carry it."""

    tag_key: str
    tag_value: str
    resource_type: str
    count_per_resource_type: int


class Tagged(msgspec.Struct, rename="camel"):
    """A definition that carries a tag."""

    id: str
    display_name: str


class ScheduleAnswer(Schedule, frozen=True, rename="camel"):
    """A schedule as it is kept."""

    next_run_time: int | None = None
    """Epoch milliseconds of its next tick; absent when there is none, or it is paused."""


class SchedulePage(msgspec.Struct, rename="camel"):
    """One page of a search for schedules."""

    total_hits: int
    results: list[ScheduleAnswer]


class TickRecord(msgspec.Struct, rename="camel", omit_defaults=True):
    """What became of one tick of a schedule."""

    execution_id: str
    schedule_name: str
    scheduled_time: int
    """The tick's own moment, epoch milliseconds."""
    execution_time: int
    """When it was run."""
    workflow_name: str
    start_workflow_request: JsonObject
    state: Literal["POLLED", "EXECUTED", "FAILED"]
    zone_id: str
    workflow_id: str | None = None
    reason: str | None = None
    """Why nothing was started."""


class TickPage(msgspec.Struct, rename="camel"):
    """One page of a search for ticks."""

    total_hits: int
    results: list[TickRecord]


class TokenAnswer(msgspec.Struct, rename="camel"):
    """A token; it is sent as X-Authorization."""

    token: str
    user_id: str
    """Of the user that stands for the application."""


class ViewToken(msgspec.Struct):
    """A token that only looks."""

    token: str


class CreatedKey(msgspec.Struct):
    """A new access key, with its secret this once."""

    id: str
    secret: str


class GroupShape(msgspec.Struct, rename="camel"):
    """People with the same roles."""

    id: str
    description: str
    roles: list[Role]
    default_access: dict[str, list[str]]
    contact_information: dict[str, str]


class UserShape(msgspec.Struct, rename="camel"):
    """A person, or what stands for an application."""

    id: str
    name: str
    roles: list[Role]
    groups: list[GroupShape]
    uuid: str
    application_user: bool
    contact_information: dict[str, str]


class Granted(msgspec.Struct):
    """Access to one target."""

    target: Reference
    access: list[str]


class GrantedAccess(msgspec.Struct, rename="camel"):
    """All that was granted to somebody."""

    granted_access: list[Granted]


class Said(msgspec.Struct):
    """What was done, in words."""

    message: str
