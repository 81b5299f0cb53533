"""WAIT: until a time, for a duration, or until somebody says so.

The moment is kept with the record, so that it survives a restart.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo

from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.model.executions import Task, TaskStatus

BOTH = "Both 'duration' and 'until' specified. Please provide only one input"

_DURATION = re.compile(
    r"\s*(?:(?P<days>\d+)\s*(?:days|day|d))?"
    r"\s*(?:(?P<hours>\d+)\s*(?:hours|hour|hrs|hr|h))?"
    r"\s*(?:(?P<minutes>\d+)\s*(?:minutes|minute|mins|min|m))?"
    r"\s*(?:(?P<seconds>\d+)\s*(?:seconds|second|secs|sec|s))?\s*",
    re.IGNORECASE,
)

_OFFSET = re.compile(r"^(?:GMT|UTC)?([+-])(\d{1,2}):?(\d{2})$")


class BadTime(ValueError):
    """A duration or a date that nobody can read."""


def duration_ms(text: str) -> int:
    """Milliseconds of a duration such as ``1d2h``, ``90 seconds`` or ``2 hours 5 min``.

    Raises:
        BadTime: the text is empty or no duration.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise BadTime(f"Not valid duration: {text}")
    parts = {unit: int(number) for unit, number in match.groupdict().items() if number}
    try:
        return int(datetime.timedelta(**parts).total_seconds() * 1000)
    except OverflowError as error:
        raise BadTime(f"Not valid duration: {text}") from error


def until_ms(text: str) -> int:
    """Epoch milliseconds of ``yyyy-MM-dd``, ``yyyy-MM-dd HH:mm`` or ``yyyy-MM-dd HH:mm zone``.

    Without a zone the device's own applies.

    Raises:
        BadTime: the text has another form or names an unknown zone.
    """
    wrong = f"Invalid/Unsupported Wait Until format.  Provided: {text}"
    parts = text.split(None, 2)
    try:
        clock = f"{parts[0]} {parts[1]}" if len(parts) > 1 else f"{parts[0]} 00:00"
        moment = datetime.datetime.strptime(clock, "%Y-%m-%d %H:%M")
        zone = _zone(parts[2]) if len(parts) > 2 else None
        return int(moment.replace(tzinfo=zone).timestamp() * 1000)
    except (ValueError, IndexError, KeyError, OverflowError, OSError) as error:
        raise BadTime(wrong) from error


def _zone(name: str) -> datetime.tzinfo:
    offset = _OFFSET.match(name.strip())
    if offset:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return datetime.timezone(
            datetime.timedelta(minutes=minutes * (-1 if offset[1] == "-" else 1))
        )
    return zoneinfo.ZoneInfo(name.strip())


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    duration, until = values.get("duration"), values.get("until")
    due_ms = 0
    try:
        if duration and until:
            raise BadTime(BOTH)
        if duration:
            due_ms = draft.now_ms + duration_ms(str(duration))
        elif until:
            due_ms = until_ms(str(until))
    except BadTime as error:
        draft.add(
            visit,
            TaskStatus.FAILED_WITH_TERMINAL_ERROR,
            values=values,
            ordinal=ordinal,
            reason=str(error),
        )
        return
    over = 0 < due_ms <= draft.now_ms
    draft.add(
        visit,
        TaskStatus.COMPLETED if over else TaskStatus.IN_PROGRESS,
        values={**values, "waitTimeout": due_ms} if due_ms else values,
        ordinal=ordinal,
        due_ms=0 if over else due_ms,
    )


def _due(draft: Draft, task: Task) -> None:
    wait_until_ms = draft.snapshot.parsed(task.ordinal, "input").get("waitTimeout", 0)
    if 0 < wait_until_ms <= draft.now_ms:
        draft.finish(task, TaskStatus.COMPLETED)


OPERATOR = Operator(_schedule, _due)
