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

_OFFSET = re.compile(r"^(?:GMT|UTC)?([+-])(\d{1,2}):?(\d{2})$", re.IGNORECASE)

_ABBREVIATED = {
    "Z": 0, "BST": 60, "CEST": 120, "EEST": 180, "MSK": 180, "IST": 330, "SGT": 480, "HKT": 480,
    "AWST": 480, "JST": 540, "KST": 540, "AEST": 600, "AEDT": 660, "NZST": 720, "NZDT": 780,
    "BRT": -180, "EDT": -240, "CDT": -300, "CST": -360, "MDT": -360, "PDT": -420, "PST": -480,
    "AKDT": -480, "AKST": -540,
}  # fmt: skip
"""Minutes from Greenwich: abbreviations that Java knows as zones, ``PST`` above all, and that the
zone database does not; of several meanings the one that Java takes."""


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
    minutes_east = _ABBREVIATED.get(name.strip().upper())
    if minutes_east is not None:
        return dt.timezone(dt.timedelta(minutes=minutes_east))
    # Imported when it is needed: few devices ever name a zone.
    from zoneinfo import ZoneInfo

    return ZoneInfo(name.strip())
