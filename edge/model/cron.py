"""Cron expressions in Spring's dialect: reading them, and the moments that they mean in a zone.

No clock is read here; what a schedule does at its moments stands elsewhere.

A local time that a zone's clock passes twice or never is treated as RFC 5545 (section 3.3.5) treats
it: of a time that comes twice the first is meant, and one that is left out, such as 02:30 when the
clock jumps from 02:00 to 03:00, is read with the offset from before, so 03:30. So a daily schedule
runs once on each day. A schedule that names every hour means intervals instead: it runs whenever
the clock shows one of its times, in both passes of a repeated hour, so that its pace never changes.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from edge.model.cron_fields import (
    HOURS,
    MINUTES,
    MONTHS,
    SECONDS,
    CronError,
    DayRule,
    WeekdayRule,
    days_of,
    read_days,
    read_numbers,
    read_weekdays,
)

_MACROS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}

_FIELDS = 6
_MAX_LENGTH = 1_000
"""Characters; all sixty seconds and all sixty minutes as lists fit."""

_HORIZON_DAYS = 50 * 366
"""How far ahead a moment is looked for. 29 February on one certain weekday comes after 40 years at
the latest, when a turn of a century without a leap day lies between."""

_LATEST_S = 253_000_000_000
"""A moment of the year 9987. Python's calendar ends twelve years later."""

_LAST_DATE = dt.date(dt.MAXYEAR - 1, 12, 31).toordinal()

_DAY_S = 86_400
_HOUR_S = 3_600
_ALL_HOURS = 24
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Cron(msgspec.Struct, frozen=True):
    """An expression that has been read; make it with ``parse``."""

    seconds: tuple[int, ...]
    """Ascending, as all numbers here."""
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: DayRule
    months: tuple[int, ...]
    weekdays: WeekdayRule

    @property
    def per_day(self) -> int:
        """How many times of day there are."""
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def time(self, index: int) -> int:
        """The second of the day at a place in their order."""
        rest, second = divmod(index, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return self.hours[hour] * _HOUR_S + self.minutes[minute] * 60 + self.seconds[second]

    def index(self, second_of_day: int) -> int:
        """How many times of day come before a second of the day."""
        if second_of_day <= 0:
            return 0
        if second_of_day >= _DAY_S:
            return self.per_day
        rest, second = divmod(second_of_day, 60)
        hour, minute = divmod(rest, 60)
        in_minute, in_hour = len(self.seconds), len(self.seconds) * len(self.minutes)
        place = bisect_left(self.hours, hour)
        before = place * in_hour
        if hour not in self.hours[place : place + 1]:
            return before
        place = bisect_left(self.minutes, minute)
        before += place * in_minute
        if minute not in self.minutes[place : place + 1]:
            return before
        return before + bisect_left(self.seconds, second)


@lru_cache(maxsize=1_024)
def parse(text: str) -> Cron:
    """Read an expression of six fields, or a macro such as ``@daily``.

    Raises:
        CronError: it is none, or means a date that never comes; the message names the field.
    """
    if len(text) > _MAX_LENGTH:
        raise CronError(f"Cron expression may hold {_MAX_LENGTH} characters")
    fields = _MACROS.get(text.strip().lower(), text).split()
    if len(fields) != _FIELDS:
        raise CronError(
            f'Cron expression must consist of 6 fields (found {len(fields)} in "{text[:80]}"): '
            "seconds, minutes, hours, day of month, month, day of week"
        )
    cron = Cron(
        seconds=tuple(sorted(read_numbers(fields[0], SECONDS))),
        minutes=tuple(sorted(read_numbers(fields[1], MINUTES))),
        hours=tuple(sorted(read_numbers(fields[2], HOURS))),
        days=read_days(fields[3]),
        months=tuple(sorted(read_numbers(fields[4], MONTHS))),
        weekdays=read_weekdays(fields[5]),
    )
    # Within 28 years every date falls on every weekday, 29 February too.
    if not any(
        days_of(year, month, cron.days, cron.weekdays)
        for year in range(2000, 2028)
        for month in cron.months
    ):
        raise CronError(
            f"day of month, month: no date fits {fields[3]!r}, {fields[4]!r} and the day of week "
            f"{fields[5]!r} in any year"
        )
    return cron


def next_after(cron: Cron, zone: dt.tzinfo, after_ms: int) -> int | None:
    """The first moment that is later than another one, both in epoch milliseconds.

    Returns:
        None when there is none before the calendar ends.
    """
    after_s = after_ms // 1000
    if after_s > _LATEST_S:
        return None
    found: int | None = None
    until = 0
    first = _local_date(zone, after_s) - 1
    for date in _dates(cron, first, first + _HORIZON_DAYS):
        if found is not None and date > until:
            break
        offset_s = _offset(zone, date)
        moment = (
            _on_changing_date(cron, zone, date, after_s)
            if offset_s is None
            else _on_steady_date(cron, date, offset_s, after_s)
        )
        if moment is None:
            continue
        found = moment if found is None else min(found, moment)
        if offset_s is not None:
            break
        # A time that is left out may move into the next date, behind a time of that date's own.
        until = date + 1
    return None if found is None else found * 1000


def count(cron: Cron, zone: dt.tzinfo, after_ms: int, until_ms: int) -> int:
    """How many moments lie after one moment, up to and including another.

    It takes a time that grows with the number of dates between them, not with the count.
    """
    after_s, until_s = after_ms // 1000, until_ms // 1000
    if until_s <= after_s:
        return 0
    total = 0
    first, last = _local_date(zone, after_s) - 1, _local_date(zone, until_s) + 1
    for date in _dates(cron, first, last):
        offset_s = _offset(zone, date)
        if offset_s is None:
            moments = _moments(cron, zone, date)
            total += bisect_right(moments, until_s) - bisect_right(moments, after_s)
        else:
            midnight_s = (date - _EPOCH_DAY) * _DAY_S - offset_s
            total += cron.index(until_s - midnight_s + 1) - cron.index(after_s - midnight_s + 1)
    return total


def _dates(cron: Cron, first: int, last: int) -> Iterator[int]:
    """The dates that are meant, from the first to the last, as ordinals."""
    start = dt.date.fromordinal(first)
    end = dt.date.fromordinal(min(last, _LAST_DATE))
    for year in range(start.year, end.year + 1):
        for month in cron.months:
            if year == start.year and month < start.month:
                continue
            before = dt.date(year, month, 1).toordinal() - 1
            for day in days_of(year, month, cron.days, cron.weekdays):
                if first <= before + day <= last:
                    yield before + day


def _local_date(zone: dt.tzinfo, moment_s: int) -> int:
    return (_EPOCH + dt.timedelta(seconds=moment_s)).astimezone(zone).toordinal()


def _offset(zone: dt.tzinfo, date: int) -> int | None:
    """Seconds that the zone is ahead of UTC on a date; None when that changes on it."""
    first = _offset_at(zone, date, 0, fold=0)
    return first if first == _offset_at(zone, date + 1, 0, fold=1) else None


def _offset_at(zone: dt.tzinfo, date: int, second: int, *, fold: int) -> int:
    """The offset of a local time: with fold 0 the one from before a change, with 1 from after."""
    local = dt.datetime.fromordinal(date) + dt.timedelta(seconds=second)
    ahead = local.replace(tzinfo=zone, fold=fold).utcoffset()
    return 0 if ahead is None else int(ahead.total_seconds())


def _on_steady_date(cron: Cron, date: int, offset_s: int, after_s: int) -> int | None:
    midnight_s = (date - _EPOCH_DAY) * _DAY_S - offset_s
    index = cron.index(after_s - midnight_s + 1)
    return midnight_s + cron.time(index) if index < cron.per_day else None


def _on_changing_date(cron: Cron, zone: dt.tzinfo, date: int, after_s: int) -> int | None:
    moments = _moments(cron, zone, date)
    index = bisect_right(moments, after_s)
    return moments[index] if index < len(moments) else None


@lru_cache(maxsize=16)
def _moments(cron: Cron, zone: dt.tzinfo, date: int) -> tuple[int, ...]:
    """All moments of a date on which the offset changes, ascending; 90,000 at most."""
    intervals = len(cron.hours) == _ALL_HOURS
    in_hour = [minute * 60 + second for minute in cron.minutes for second in cron.seconds]
    midnight_s = (date - _EPOCH_DAY) * _DAY_S
    found: set[int] = set()
    for hour in cron.hours:
        begin = hour * _HOUR_S
        before = _offsets(zone, date, begin, in_hour, fold=0)
        after = _offsets(zone, date, begin, in_hour, fold=1) if intervals else before
        start_s = midnight_s + begin
        found.update(
            start_s + time - offset_s
            for time, offset_s, again_s in zip(in_hour, before, after, strict=True)
            # Where the clock leaps forward the offset from before is the smaller one: this local
            # time is never shown.
            if offset_s >= again_s
        )
        if after != before:
            found.update(
                start_s + time - again_s
                for time, offset_s, again_s in zip(in_hour, before, after, strict=True)
                if offset_s > again_s
            )
    return tuple(sorted(found))


def _offsets(zone: dt.tzinfo, date: int, begin: int, in_hour: list[int], *, fold: int) -> list[int]:
    """The offset at each of the given seconds of an hour."""
    first = _offset_at(zone, date, begin, fold=fold)
    if first == _offset_at(zone, date, begin + _HOUR_S - 1, fold=fold):
        return [first] * len(in_hour)
    return [_offset_at(zone, date, begin + time, fold=fold) for time in in_hour]
