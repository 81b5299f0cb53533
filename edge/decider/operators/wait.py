"""WAIT: until a time, for a duration, or until somebody says so.

The moment is kept with the record, so that it survives a restart.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from typing import Any

from edge.decider.draft import Draft, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.model.executions import Task, TaskStatus

BOTH = "Both 'duration' and 'until' specified. Please provide only one input"

_DURATION = re.compile(
    r"(?:(?P<days>\d+)\s*(?:days|day|d)\s*)?"
    r"(?:(?P<hours>\d+)\s*(?:hours|hour|hrs|hr|h)\s*)?"
    r"(?:(?P<minutes>\d+)\s*(?:minutes|minute|mins|min|m)\s*)?"
    r"(?:(?P<seconds>\d+)\s*(?:seconds|second|secs|sec|s))?",
    re.IGNORECASE,
)
"""Blanks belong to the part before them, so that there is one way only to read any text: a text of
many blanks must not cost a time that grows with a power of their number."""

_MOMENT = "waitTimeout"
"""Where a record keeps its moment, among its input."""

_OFFSET = re.compile(r"^(?:GMT|UTC)?([+-])(\d{1,2}):?(\d{2})$")


class BadTime(ValueError):
    """A duration or a date that nobody can read."""


def duration_ms(text: str) -> int:
    """Milliseconds of a duration such as ``1d2h``, ``90 seconds`` or ``2 hours 5 min``.

    Raises:
        BadTime: the text is empty or no duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise BadTime(f"Not valid duration: {text}")
    try:
        parts = {unit: int(number) for unit, number in match.groupdict().items() if number}
        return dt.timedelta(**parts) // dt.timedelta(milliseconds=1)
    except (OverflowError, ValueError) as error:
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
        zone = _zone(parts[2]) if len(parts) > 2 else None
        moment = dt.datetime.strptime(clock, "%Y-%m-%d %H:%M").replace(tzinfo=zone)
        return int(moment.timestamp() * 1000)
    except (ValueError, IndexError, KeyError, OverflowError, OSError) as error:
        raise BadTime(wrong) from error


def _zone(name: str) -> dt.tzinfo:
    offset = _OFFSET.match(name.strip())
    if offset:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return dt.timezone(dt.timedelta(minutes=minutes * (-1 if offset[1] == "-" else 1)))
    return zoneinfo.ZoneInfo(name.strip())


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    # The name is the engine's own; an earlier attempt may have left its moment there.
    values.pop(_MOMENT, None)
    duration, until = _given(values.get("duration")), _given(values.get("until"))
    due_ms = 0
    try:
        if duration and until:
            raise BadTime(BOTH)
        if duration:
            due_ms = draft.now_ms + duration_ms(duration)
        elif until:
            # Zero would mean that there is no moment, and before 1970 it is long over too.
            due_ms = max(1, until_ms(until))
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
        values={**values, _MOMENT: due_ms} if due_ms else values,
        ordinal=ordinal,
        due_ms=0 if over else due_ms,
    )


def _given(value: Any) -> str:
    return "" if value is None else java_text(value)


def moment_ms(draft: Draft, task: Task) -> int:
    """When a wait is over; 0 = somebody has to say so."""
    return int(draft.snapshot.parsed(task.ordinal, "input").get(_MOMENT, 0))


def _due(draft: Draft, task: Task) -> None:
    if 0 < moment_ms(draft, task) <= draft.now_ms:
        draft.finish(task, TaskStatus.COMPLETED)


OPERATOR = Operator(_schedule, _due)
