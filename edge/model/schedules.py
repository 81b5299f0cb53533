"""Schedules: what clients post, the ticks that follow from it, and the record of each tick.

No clock is read and nothing is started here. A tick is a moment at which a workflow is to start.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from edge.model import cron
from edge.model.cron_fields import CronError
from edge.model.definitions import JsonObject, WorkflowDefinition
from edge.model.errors import InvalidInput, ValidationFailed
from edge.model.requests import StartRequest
from edge.model.tags import MAX_TAGS, Tag
from edge.model.validation import parse_start_request, shaped

CATCH_UP_TICKS = 10_000
"""Missed ticks that a schedule runs after one downtime: a week of minutes. Of more, the newest run
and the others are dropped, so that a tick a second cannot fill the flash after a month in a box."""

LATE_TICKS = 10
"""Ticks that a schedule without catch-up runs late when the device was too busy to run them in
time; of more, the newest. Otherwise a device that cannot keep up would fall behind for ever."""

_MAX_NAME = 255
_MAX_CRONS = 50
_MAX_REQUEST_BYTES = 1024 * 1024
"""Of ``startWorkflowRequest``: it is written again, as an input, with every tick."""

_KEPT_REQUEST_BYTES = 4 * 1024
"""A request up to this size is kept with the record of each tick, a larger one without its input;
the execution itself has it."""

_LARGEST_MS = 253_000_000_000_000
"""A moment of the year 9987: the last that a cron expression is asked for."""

_RESERVED = frozenset({"search", "tags"})
"""These words stand for something else in the addresses of the API."""

_OFFSET = re.compile(r"(?:GMT|UTC|UT)?([+-])(\d{1,2})(?::?(\d{2}))?")


class CronSchedule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One of several cron expressions of a schedule."""

    cron_expression: str = ""
    zone_id: str | None = None
    """None = UTC, whatever the schedule's own zone is, as in Conductor."""


class Schedule(msgspec.Struct, frozen=True, rename="camel"):
    """Which workflow starts when."""

    name: str = ""
    cron_expression: str | None = None
    cron_schedules: list[CronSchedule] = []
    """When there are any, they alone count; a moment that several of them mean is one tick."""
    zone_id: str = "UTC"
    run_catchup_schedule_instances: bool = False
    """Whether ticks that were missed run later, one by one; else they are dropped."""
    paused: bool = False
    paused_reason: str | None = None
    start_workflow_request: JsonObject = {}
    schedule_start_time: int | None = None
    """Epoch milliseconds; no tick is earlier."""
    schedule_end_time: int | None = None
    """Epoch milliseconds; no tick is later."""
    create_time: int | None = None
    updated_time: int | None = None
    created_by: str | None = None
    updated_by: str | None = None
    description: str | None = None
    tags: list[Tag] = []

    @property
    def workflow(self) -> str:
        """The name of the workflow that it starts."""
        return str(self.start_workflow_request.get("name", ""))

    def crons(self) -> list[CronSchedule]:
        """The expressions that count, each with its zone."""
        if self.cron_schedules:
            return self.cron_schedules
        return [CronSchedule(self.cron_expression or "", self.zone_id)]

    def timing(self) -> tuple[Any, ...]:
        """Everything that its ticks depend on."""
        return (
            self.crons(),
            self.run_catchup_schedule_instances,
            self.schedule_start_time,
            self.schedule_end_time,
        )


class Tick(msgspec.Struct, frozen=True):
    """A moment at which a schedule starts its workflow."""

    moment_ms: int
    cron_expression: str
    zone_id: str


class Missed(msgspec.Struct, frozen=True):
    """What becomes of the ticks whose moments have passed."""

    after_ms: int
    """The ticks later than this one run."""
    dropped: int
    """How many earlier ones do not."""


class ExecutionState(StrEnum):
    """What became of a tick. A tick is recorded as it starts its workflow, so none stays POLLED."""

    POLLED = "POLLED"
    EXECUTED = "EXECUTED"
    FAILED = "FAILED"


class ScheduleExecution(msgspec.Struct, frozen=True):
    """The record of one tick."""

    id: str
    schedule: str
    workflow: str
    state: ExecutionState
    scheduled_ms: int
    """The tick's own moment."""
    executed_ms: int
    """When it was run."""
    zone_id: str
    workflow_id: str | None = None
    reason: str | None = None
    """Why nothing was started."""
    request: bytes = b"{}"


def parse_schedule(document: Any) -> Schedule:
    """Read a posted schedule and hold it against every rule.

    Raises:
        InvalidInput: it breaks some; the message names the fields.
    """
    schedule = shaped(document, Schedule, "schedule")
    faults = [
        *_name_faults(schedule.name),
        *_cron_faults(schedule),
        *_period_faults(schedule),
        *_request_faults(schedule.start_workflow_request),
    ]
    if len(schedule.tags) > MAX_TAGS:
        faults.append(f"tags: a schedule may have {MAX_TAGS} tags")
    if faults:
        raise InvalidInput("; ".join(faults))
    return schedule


def read_cron(text: str, field: str) -> cron.Cron:
    """Read a cron expression that somebody sent.

    Args:
        text: the expression.
        field: where it stood, for the message.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return cron.parse(text)
    except CronError as error:
        raise InvalidInput(f"{field}: Invalid cron expression {text[:80]!r}: {error}") from error


@lru_cache(maxsize=256)
def read_zone(name: str, field: str = "zoneId") -> dt.tzinfo:
    """A time zone by its IANA name, or as an offset such as ``+02:00`` or ``GMT-3``.

    Raises:
        InvalidInput: there is no such zone.
    """
    offset = _OFFSET.fullmatch(name)
    try:
        if offset is not None:
            minutes = int(offset[2]) * 60 + int(offset[3] or 0)
            return dt.timezone(dt.timedelta(minutes=-minutes if offset[1] == "-" else minutes))
        # Imported when it is needed: few devices ever name a zone.
        from zoneinfo import ZoneInfo

        return ZoneInfo("UTC" if name == "Z" else name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidInput(
            f"{field}: there is no time zone {name[:80]!r}; expected a name such as Europe/Berlin"
        ) from error


def next_tick(schedule: Schedule, after_ms: int) -> Tick | None:
    """The first tick later than a moment; None when there is none any more."""
    if schedule.schedule_start_time is not None:
        after_ms = max(after_ms, schedule.schedule_start_time - 1)
    found: Tick | None = None
    for one in schedule.crons():
        zone_id = one.zone_id or "UTC"
        moment_ms = cron.next_after(cron.parse(one.cron_expression), read_zone(zone_id), after_ms)
        if moment_ms is not None and (found is None or moment_ms < found.moment_ms):
            found = Tick(moment_ms, one.cron_expression, zone_id)
    end_ms = schedule.schedule_end_time
    if found is None or (end_ms is not None and found.moment_ms > end_ms):
        return None
    return found


def missed(schedule: Schedule, next_ms: int, now_ms: int, awake_ms: int) -> Missed:
    """Which of the ticks that are due run, and which are dropped.

    The end of the schedule is compared with a tick's own moment and not with the time of day: what
    was missed before the end is caught up with after it.

    Args:
        schedule: it has at least one tick that is due.
        next_ms: the first of them.
        now_ms: the time.
        awake_ms: since when the device has been able to run ticks: what came due before was missed.
    """
    if schedule.run_catchup_schedule_instances:
        after_ms, limit = next_ms - 1, CATCH_UP_TICKS
    else:
        after_ms, limit = max(next_ms, awake_ms) - 1, LATE_TICKS
    if schedule.schedule_end_time is not None:
        now_ms = min(now_ms, schedule.schedule_end_time)
    after_ms = min(after_ms, now_ms)
    if _ticks(schedule, after_ms, now_ms) > limit:
        after_ms = _newest(schedule, after_ms, now_ms, limit)
    return Missed(after_ms, _ticks(schedule, next_ms - 1, after_ms))


def start_request(schedule: Schedule, tick: Tick, execution_id: str, now_ms: int) -> StartRequest:
    """What a tick asks of the engine: the posted request, and where it comes from in its input.

    Raises:
        InvalidInput: the request is not what this release takes for one.
    """
    posted = parse_start_request(schedule.start_workflow_request)
    definition = None
    if posted.workflow_def is not None:
        inline = {"name": posted.name, **posted.workflow_def}
        definition = shaped(inline, WorkflowDefinition, "workflow definition")
    values = {
        **posted.input,
        "_startedByScheduler": schedule.name,
        "_scheduledTime": tick.moment_ms,
        "_executedTime": now_ms,
        "_executionId": execution_id,
        "_schedulerCron": f"{tick.cron_expression} {tick.zone_id}",
    }
    return StartRequest(
        name=posted.name,
        version=posted.version or None,
        input=msgspec.json.encode(values),
        correlation_id=posted.correlation_id,
        priority=posted.priority,
        task_to_domain=posted.task_to_domain,
        definition=definition,
        created_by=posted.created_by or schedule.created_by,
        event=posted.event,
        idempotency_key=posted.idempotency_key,
        idempotency_strategy=posted.idempotency_strategy,
    )


def kept_request(schedule: Schedule) -> bytes:
    """The posted request as it is kept with the record of a tick."""
    request = schedule.start_workflow_request
    kept = msgspec.json.encode(request)
    if len(kept) <= _KEPT_REQUEST_BYTES:
        return kept
    small = {key: request[key] for key in ("name", "version", "correlationId") if key in request}
    return msgspec.json.encode(small)


def _ticks(schedule: Schedule, after_ms: int, until_ms: int) -> int:
    """Ticks between two moments; one that several expressions mean is counted with each."""
    if schedule.schedule_start_time is not None:
        after_ms = max(after_ms, schedule.schedule_start_time - 1)
    return sum(
        cron.count(
            cron.parse(one.cron_expression), read_zone(one.zone_id or "UTC"), after_ms, until_ms
        )
        for one in schedule.crons()
    )


def _newest(schedule: Schedule, after_ms: int, until_ms: int, limit: int) -> int:
    """The earliest moment after which there are not more than ``limit`` ticks."""
    low_s, high_s = after_ms // 1000, until_ms // 1000
    while high_s - low_s > 1:
        middle_s = (low_s + high_s) // 2
        if _ticks(schedule, middle_s * 1000, until_ms) > limit:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s * 1000


def _name_faults(name: str) -> Iterator[str]:
    if not name.strip():
        yield "name: Schedule name is required"
    elif len(name) > _MAX_NAME:
        yield f"name: may hold {_MAX_NAME} characters"
    elif name in _RESERVED:
        yield f"name: {name!r} stands for something else in the API; choose another name"


def _cron_faults(schedule: Schedule) -> Iterator[str]:
    if len(schedule.cron_schedules) > _MAX_CRONS:
        yield f"cronSchedules: a schedule may have {_MAX_CRONS} cron expressions"
        return
    if not schedule.cron_expression and not schedule.cron_schedules:
        yield "cronExpression: is required, unless there are cronSchedules"
    # Forms send an empty text for a field that nobody filled in.
    if schedule.cron_expression:
        yield from _fault(read_cron, schedule.cron_expression, "cronExpression")
    if schedule.zone_id:
        yield from _fault(read_zone, schedule.zone_id, "zoneId")
    for index, one in enumerate(schedule.cron_schedules):
        at = f"cronSchedules[{index}]"
        yield from _fault(read_cron, one.cron_expression, f"{at}.cronExpression")
        if one.zone_id:
            yield from _fault(read_zone, one.zone_id, f"{at}.zoneId")


def _fault(read: Callable[[str, str], object], text: str, field: str) -> Iterator[str]:
    try:
        read(text, field)
    except InvalidInput as error:
        yield error.message


def _period_faults(schedule: Schedule) -> Iterator[str]:
    start_ms, end_ms = schedule.schedule_start_time, schedule.schedule_end_time
    for field, moment_ms in (("scheduleStartTime", start_ms), ("scheduleEndTime", end_ms)):
        if moment_ms is not None and not 0 <= moment_ms <= _LARGEST_MS:
            yield f"{field}: {moment_ms} is no time in epoch milliseconds"
    if start_ms is not None and end_ms is not None and end_ms < start_ms:
        yield "scheduleEndTime: must not be earlier than scheduleStartTime"


def _request_faults(request: JsonObject) -> Iterator[str]:
    if not request:
        yield "startWorkflowRequest: is required, with the name of a workflow"
        return
    if len(msgspec.json.encode(request)) > _MAX_REQUEST_BYTES:
        yield f"startWorkflowRequest: may hold {_MAX_REQUEST_BYTES} bytes"
    try:
        parse_start_request(request)
    except ValidationFailed as error:
        for fault in error.fields:
            yield f"startWorkflowRequest.{fault.path}: {fault.message}"
    except InvalidInput as error:
        yield f"startWorkflowRequest: {error.message}"
