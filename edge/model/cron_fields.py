"""The six fields of a cron expression, read into sets of numbers and rules for days.

No moment is found here and no time zone is known.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")

_SUNDAY = 7
_FRIDAY = 5
_LAST = 0
"""In place of the ordinal of ``FRI#2``: the last one of the month."""

_LONGEST_MONTH = 31
_FIVE_WEEKS = 5

_NUMBER = re.compile(r"[0-9]{1,4}")
_NTH = re.compile(r"(\w+)#([0-9]{1,4}|L)")
_FROM_END = re.compile(r"L-([0-9]{1,4})")


class CronError(ValueError):
    """The text is no cron expression; the message names the field and what would be right."""


class Numbers(msgspec.Struct, frozen=True):
    """What numbers a field takes."""

    field: str
    """Its name in messages."""
    low: int
    high: int
    """The last number that ``*`` stands for."""
    names: tuple[str, ...] = ()
    """Names of the numbers from 1 on."""


SECONDS = Numbers("seconds", 0, 59)
MINUTES = Numbers("minutes", 0, 59)
HOURS = Numbers("hours", 0, 23)
DAYS = Numbers("day of month", 1, _LONGEST_MONTH)
MONTHS = Numbers("month", 1, 12, _MONTHS)
WEEKDAYS = Numbers("day of week", 1, _SUNDAY, _WEEKDAYS)


class DayRule(msgspec.Struct, frozen=True):
    """Which days of a month a day-of-month field means; a day that fits any part is meant."""

    days: frozenset[int] = frozenset()
    from_end: frozenset[int] = frozenset()
    """0 = the last day (``L``), 3 = three days before it (``L-3``)."""
    nearest: frozenset[int] = frozenset()
    """The weekday nearest to this day, within the month (``15W``)."""
    last_weekday: bool = False
    """``LW``."""


class WeekdayRule(msgspec.Struct, frozen=True):
    """Which days a day-of-week field means: 1 = Monday to 7 = Sunday."""

    weekdays: frozenset[int] = frozenset()
    nth: frozenset[tuple[int, int]] = frozenset()
    """Weekday and its ordinal in the month; 0 = the last one."""


def read_numbers(text: str, numbers: Numbers) -> frozenset[int]:
    """A field of numbers, ranges, steps and lists of them.

    Raises:
        CronError: it is something else.
    """
    return frozenset(number for part in text.split(",") for number in _part(part, numbers))


def read_days(text: str) -> DayRule:
    """The day-of-month field.

    Raises:
        CronError: it is none.
    """
    days: set[int] = set()
    from_end: set[int] = set()
    nearest: set[int] = set()
    last_weekday = False
    for part in ("*" if text == "?" else text).upper().split(","):
        if part == "LW":
            last_weekday = True
        elif part == "L":
            from_end.add(0)
        elif match := _FROM_END.fullmatch(part):
            from_end.add(_within(int(match[1]), 1, _LONGEST_MONTH - 1, "the offset of L-n", DAYS))
        elif part.endswith("W"):
            nearest.add(_number(part[:-1], DAYS))
        else:
            days.update(_part(part, DAYS))
    return DayRule(frozenset(days), frozenset(from_end), frozenset(nearest), last_weekday)


def read_weekdays(text: str) -> WeekdayRule:
    """The day-of-week field; 0 and 7 are Sunday.

    Raises:
        CronError: it is none.
    """
    weekdays: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for part in ("*" if text == "?" else text).upper().split(","):
        if match := _NTH.fullmatch(part):
            ordinal = _LAST if match[2] == "L" else int(match[2])
            if match[2] != "L":
                _within(ordinal, 1, _FIVE_WEEKS, "the ordinal after #", WEEKDAYS)
            nth.add((_number(match[1], WEEKDAYS) or _SUNDAY, ordinal))
        elif part.endswith("L"):
            nth.add((_number(part[:-1], WEEKDAYS) or _SUNDAY, _LAST))
        else:
            weekdays.update(number or _SUNDAY for number in _part(part, WEEKDAYS))
    return WeekdayRule(frozenset(weekdays), frozenset(nth))


@lru_cache(maxsize=4_096)
def days_of(year: int, month: int, day_rule: DayRule, weekday_rule: WeekdayRule) -> tuple[int, ...]:
    """The days of a month that both rules mean, ascending."""
    first, length = calendar.monthrange(year, month)

    def weekday(day: int) -> int:
        return (first + day - 1) % 7 + 1

    days = {day for day in day_rule.days if day <= length}
    days |= {length - back for back in day_rule.from_end if back < length}
    if day_rule.last_weekday:
        days.add(length - max(0, weekday(length) - _FRIDAY))
    for day in day_rule.nearest:
        if day <= length:
            days.add(_nearest_weekday(day, weekday(day), length))
    return tuple(sorted(day for day in days if _means(weekday_rule, weekday(day), day, length)))


def _means(rule: WeekdayRule, weekday: int, day: int, length: int) -> bool:
    return (
        weekday in rule.weekdays
        or (weekday, (day + 6) // 7) in rule.nth
        or (day + 7 > length and (weekday, _LAST) in rule.nth)
    )


def _nearest_weekday(day: int, weekday: int, length: int) -> int:
    """Friday for a Saturday, Monday for a Sunday, but never in another month."""
    if weekday == _FRIDAY + 1:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _part(part: str, numbers: Numbers) -> Iterator[int]:
    """One part of a list: ``*``, ``5``, ``1-5``, and each of these with ``/step``."""
    span, slash, step_text = part.partition("/")
    step = 1
    if slash:
        step = int(step_text) if _NUMBER.fullmatch(step_text) else 0
        if step < 1:
            raise CronError(f"{numbers.field}: the step in {part!r} must be a number from 1 on")
    if span == "*":
        low, high = numbers.low, numbers.high
    elif "-" in span:
        first, _, last = span.partition("-")
        low, high = _number(first, numbers), _number(last, numbers)
        if numbers is WEEKDAYS and low == _SUNDAY:
            # A range that begins with Sunday, such as SUN-TUE, begins the week.
            low = 0
        if low > high:
            raise CronError(
                f"{numbers.field}: in {part!r} the first number is greater than the last; "
                "write two ranges, such as FRI-SUN,MON"
            )
    else:
        low = _number(span, numbers)
        high = numbers.high if slash else low
    yield from range(low, high + 1, step)


def _number(text: str, numbers: Numbers) -> int:
    name = text.upper()
    if name in numbers.names:
        return numbers.names.index(name) + 1
    if not _NUMBER.fullmatch(text):
        kinds = "a number or a name such as " + numbers.names[0] if numbers.names else "a number"
        raise CronError(f"{numbers.field}: expected {kinds}, got {text[:40]!r}")
    # Zero is Sunday, though * begins with Monday.
    low = 0 if numbers is WEEKDAYS else numbers.low
    return _within(int(text), low, numbers.high, text, numbers)


def _within(number: int, low: int, high: int, what: str, numbers: Numbers) -> int:
    if not low <= number <= high:
        raise CronError(f"{numbers.field}: {what} must be within {low}-{high}")
    return number
