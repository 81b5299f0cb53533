"""Durations and dates as definitions write them, read into milliseconds.

No clock is read here.
"""

from __future__ import annotations

import datetime as dt
import re

_DURATION = re.compile(
    r"(?:(?P<days>\d+)\s*(?:days|day|d)\s*)?"
    r"(?:(?P<hours>\d+)\s*(?:hours|hour|hrs|hr|h)\s*)?"
    r"(?:(?P<minutes>\d+)\s*(?:minutes|minute|mins|min|m)\s*)?"
    r"(?:(?P<seconds>\d+)\s*(?:seconds|second|secs|sec|s))?",
    re.IGNORECASE,
)
"""Blanks belong to the part before them, so that there is one way only to read any text: a text of
many blanks must not cost a time that grows with a power of their number."""

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
    # Imported when it is needed: few devices ever name a zone.
    from zoneinfo import ZoneInfo

    return ZoneInfo(name.strip())
