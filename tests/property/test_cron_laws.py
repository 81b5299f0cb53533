"""Laws of cron expressions: what is found fits, nothing that fits is passed over, counts agree.

Expressions are drawn together with what they mean, so that the reader under test is held against
something that never saw its text.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Callable
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import given, note, settings
from hypothesis import strategies as st

from edge.model.cron import Cron, count, next_after, parse
from edge.model.cron_fields import CronError

_ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)
_CHANGES = (
    "2011-12-30T10:00+00:00",  # Apia leaves a date out
    "2018-02-18T02:00+00:00",  # Sao Paulo goes back over midnight
    "2018-11-04T03:00+00:00",  # and forward over it
    "2024-03-31T01:00+00:00",  # Berlin
    "2024-10-27T01:00+00:00",
    "2024-04-06T15:00+00:00",  # Lord Howe, by half an hour
    "2024-10-05T15:30+00:00",
    "2025-04-24T22:00+00:00",  # Cairo, at midnight
    "2024-03-10T07:00+00:00",  # New York
    "2024-11-03T06:00+00:00",
)
_NAMES = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_DAY_S = 86_400


class Field(NamedTuple):
    """The text of a field and what it means."""

    text: str
    fits: Callable[[dt.datetime], bool]


class Drawn(NamedTuple):
    """An expression and what it means, read without any parser."""

    text: str
    hours: frozenset[int]
    fits_date: Callable[[dt.datetime], bool]
    fits_time: Callable[[dt.datetime], bool]

    def fits(self, local: dt.datetime) -> bool:
        """Whether a local time is one of its times."""
        return self.fits_time(local) and self.fits_date(local)


@st.composite
def _numbers(
    draw: st.DrawFn, low: int, high: int, *, sparse: bool = False
) -> tuple[str, frozenset[int]]:
    """A list of parts, each with the numbers that it means."""
    texts, found = [], set[int]()
    for _ in range(draw(st.integers(1, 2))):
        first = draw(st.integers(low, high))
        last = draw(st.integers(first, high))
        step = draw(st.integers(1, high))
        kind = draw(st.sampled_from("123" if sparse else "*123456"))
        text, numbers = {
            "*": ("*", range(low, high + 1)),
            "1": (f"{first}", range(first, first + 1)),
            "2": (f"{first}-{last}/{step}", range(first, last + 1, step)),
            "3": (f"{first}/{step}", range(first, high + 1, step)),
            "4": (f"{first}-{last}", range(first, last + 1)),
            "5": (f"*/{step}", range(low, high + 1, step)),
            "6": (f"{low}-{high}", range(low, high + 1)),
        }[kind]
        texts.append(text)
        found.update(numbers)
    return ",".join(texts), frozenset(found)


def _length(day: dt.datetime) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _nearest(day: dt.datetime, wanted: int) -> bool:
    """Whether of all weekdays of the month this one is the nearest to a day of it."""
    if wanted > _length(day):
        return False
    weekdays = [
        number
        for number in range(1, _length(day) + 1)
        if dt.date(day.year, day.month, number).isoweekday() <= 5
    ]
    return day.day == min(weekdays, key=lambda number: abs(number - wanted))


@st.composite
def _days(draw: st.DrawFn) -> Field:
    kind = draw(st.sampled_from(["*", "?", "n", "L", "L-n", "LW", "nW"]))
    back = draw(st.integers(1, 28))
    if kind == "n":
        text, numbers = draw(_numbers(1, 31))
        return Field(text, lambda day: day.day in numbers)
    fits: Callable[[dt.datetime], bool] = {
        "*": lambda day: True,
        "?": lambda day: True,
        "L": lambda day: day.day == _length(day),
        "L-n": lambda day: day.day == _length(day) - back,
        "LW": lambda day: (
            day.isoweekday() <= 5
            and all(
                (day + dt.timedelta(days=ahead)).isoweekday() > 5
                for ahead in range(1, _length(day) - day.day + 1)
            )
        ),
        "nW": lambda day: _nearest(day, back),
    }[kind]
    return Field(kind.replace("n", str(back)), fits)


@st.composite
def _weekdays(draw: st.DrawFn) -> Field:
    kind = draw(st.sampled_from(["*", "?", "n", "names", "#", "L", "#L"]))
    weekday, nth = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    name = draw(st.sampled_from([str(weekday % 7), str(weekday), _NAMES[weekday - 1]]))

    def is_nth(day: dt.datetime) -> bool:
        return day.isoweekday() == weekday and (day.day - 1) // 7 + 1 == nth

    def is_last(day: dt.datetime) -> bool:
        return day.isoweekday() == weekday and day.day > _length(day) - 7

    match kind:
        case "n":
            # The range 7-7 is the whole week and no number of it: it has a test of its own.
            text, numbers = draw(_numbers(1, 7).filter(lambda drawn: "7-7" not in drawn[0]))
            return Field(text, lambda day: day.isoweekday() in numbers)
        case "names":
            return Field(f"{name},{name}", lambda day: day.isoweekday() == weekday)
        case "#":
            return Field(f"{name}#{nth}", is_nth)
        case "L" | "#L":
            return Field(name + kind, is_last)
        case _:
            return Field(kind, lambda day: True)


@st.composite
def _expressions(draw: st.DrawFn) -> Drawn:
    second, seconds = draw(_numbers(0, 59, sparse=True))
    minute, minutes = draw(_numbers(0, 59))
    hour, hours = draw(_numbers(0, 23))
    month, months = draw(_numbers(1, 12))
    day, weekday = draw(_days()), draw(_weekdays())

    def fits_time(local: dt.datetime) -> bool:
        return local.second in seconds and local.minute in minutes and local.hour in hours

    def fits_date(local: dt.datetime) -> bool:
        return local.month in months and day.fits(local) and weekday.fits(local)

    text = f"{second} {minute} {hour} {day.text} {month} {weekday.text}"
    return Drawn(text, hours, fits_date, fits_time)


@st.composite
def _moments(draw: st.DrawFn) -> int:
    """Epoch seconds, more often than chance would have it near a change of some clock."""
    if draw(st.booleans()):
        change = int(dt.datetime.fromisoformat(draw(st.sampled_from(_CHANGES))).timestamp())
        return change + draw(st.integers(-_DAY_S, _DAY_S))
    return draw(st.integers(600_000_000, 2_200_000_000))


def _is_moment(drawn: Drawn, zone: ZoneInfo, moment_s: int) -> bool:
    """Whether a moment is one of the expression's, looked at by itself.

    With every hour, the clock must show a time that fits. Else some time that fits must be read,
    the first time that it comes, or as if the clock had not leapt, as this moment.
    """
    moment = dt.datetime.fromtimestamp(moment_s, dt.UTC)
    if len(drawn.hours) == 24:
        return drawn.fits(moment.astimezone(zone))
    offsets = {
        (moment + dt.timedelta(hours=hours)).astimezone(zone).utcoffset()
        for hours in range(-48, 49, 12)
    } | {moment.astimezone(zone).utcoffset()}
    for offset in offsets:
        assert offset is not None
        local = (moment + offset).replace(tzinfo=zone, fold=0)
        if local.timestamp() == moment_s and drawn.fits(local):
            return True
    return False


def _cron(drawn: Drawn) -> Cron | None:
    """The expression as it is read; None when it is refused for its dates."""
    try:
        return parse(drawn.text)
    except CronError as error:
        if "no date fits" not in str(error):
            raise
        return None


@settings(max_examples=150)
@given(_expressions(), st.sampled_from(_ZONES), _moments(), st.data())
def test_the_next_moment_is_the_next(
    drawn: Drawn, name: str, after_s: int, data: st.DataObject
) -> None:
    """What is found is later and fits; looked at second by second, nothing between does."""
    note(f"{drawn.text} in {name} after {after_s}")
    zone = ZoneInfo(name)
    cron = _cron(drawn)
    if cron is None:
        # Refused: then no date of a whole cycle of the calendar fits.
        first = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
        dates = (first + dt.timedelta(days=number) for number in range(28 * 366))
        assert not any(map(drawn.fits_date, dates))
        return
    found_ms = next_after(cron, zone, after_s * 1000 + data.draw(st.integers(0, 999)))

    assert found_ms is not None
    found_s = found_ms // 1000
    assert found_ms % 1000 == 0
    assert after_s < found_s
    assert _is_moment(drawn, zone, found_s)
    between = found_s - after_s - 1
    looked_at = {*range(min(between, 400)), *range(max(0, between - 400), between)}
    if between:
        looked_at |= set(data.draw(st.lists(st.integers(0, between - 1), max_size=50)))
    for ahead in looked_at:
        assert not _is_moment(drawn, zone, after_s + 1 + ahead), after_s + 1 + ahead


@settings(max_examples=150)
@given(_expressions(), st.sampled_from(_ZONES), _moments(), st.integers(0, 3 * _DAY_S))
def test_counting_is_going_from_moment_to_moment(
    drawn: Drawn, name: str, after_s: int, span_s: int
) -> None:
    """The count of a span is the number of moments that are found in it one by one."""
    note(f"{drawn.text} in {name} after {after_s} for {span_s} s")
    zone = ZoneInfo(name)
    cron = _cron(drawn)
    if cron is None:
        return
    # A few hundred moments are enough to walk along.
    until_ms = (after_s + span_s) * 1000
    walked, at_ms = 0, after_s * 1000
    while walked < 400:
        moment_ms = next_after(cron, zone, at_ms)
        if moment_ms is None or moment_ms > until_ms:
            break
        walked, at_ms = walked + 1, moment_ms
    else:
        until_ms = at_ms

    assert walked == count(cron, zone, after_s * 1000, until_ms)
