"""Cron expressions: the next moments that are known of them, in zones that change their clocks."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from edge.model.cron import count, next_after, parse
from edge.model.cron_fields import CronError

_UTC = dt.UTC


def _ms(text: str, zone: dt.tzinfo = _UTC) -> int:
    """A moment written without a zone is of the one given."""
    moment = dt.datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)


def _next(expression: str, after: str, times: int, zone: str = "UTC") -> list[str]:
    """The next moments as local times with their offset."""
    place = ZoneInfo(zone)
    found = []
    moment_ms: int | None = _ms(after, place)
    for _ in range(times):
        assert moment_ms is not None
        moment_ms = next_after(parse(expression), place, moment_ms)
        assert moment_ms is not None
        found.append(dt.datetime.fromtimestamp(moment_ms / 1000, place).isoformat())
    return found


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        # Those that Spring's own tests know.
        ("* * * * * *", "2009-09-26T12:00:00.500", ["2009-09-26T12:00:01"]),
        ("*/15 * 1-4 * * *", "2012-07-01T09:53:50", ["2012-07-02T01:00:00"]),
        ("0 0 7 ? * MON-FRI", "2009-09-26T12:00", ["2009-09-28T07:00:00", "2009-09-29T07:00:00"]),
        ("0 30 23 30 1/3 ?", "2010-12-30T12:00", ["2011-01-30T23:30:00", "2011-04-30T23:30:00"]),
        ("0 0 0 29 2 *", "2007-02-10T00:00", ["2008-02-29T00:00:00", "2012-02-29T00:00:00"]),
        ("0 0 0 29 2 WED", "2012-02-29T01:00", ["2040-02-29T00:00:00"]),
        ("0 0 0 13 * FRI", "2018-07-31T11:47:14", ["2019-09-13T00:00:00", "2019-12-13T00:00:00"]),
        (
            "0 15 12 */10 1-8 5",
            "2021-04-30T12:14:59",
            ["2021-05-21T12:15:00", "2021-06-11T12:15:00", "2022-01-21T12:15:00"],
        ),
        ("0 0 0 L * *", "2008-01-04T10:00", ["2008-01-31T00:00:00", "2008-02-29T00:00:00"]),
        ("0 0 0 LW * *", "2008-04-30T00:00", ["2008-05-30T00:00:00", "2008-06-30T00:00:00"]),
        ("0 0 0 ? * 3#5", "2020-01-29T00:00", ["2020-04-29T00:00:00", "2020-07-29T00:00:00"]),
        ("0 0 * L * *", "2021-01-31T01:00", ["2021-01-31T02:00:00"]),
        ("0 0 0 ? * SUN-FRI", "2021-02-26T00:00", ["2021-02-28T00:00:00"]),
        ("3-57 13-28 17,18 1,15 3-12 6#1", "2022-09-15T17:44:11", ["2022-10-01T17:13:03"]),
        ("*/28 56 22 */6 * *", "2022-02-27T08:00:42", ["2022-03-01T22:56:00"]),
        # Others.
        ("@hourly", "2024-12-31T23:00", ["2025-01-01T00:00:00", "2025-01-01T01:00:00"]),
        ("@DAILY", "2024-02-28T00:00", ["2024-02-29T00:00:00", "2024-03-01T00:00:00"]),
        ("@midnight", "2024-02-28T00:00", ["2024-02-29T00:00:00"]),
        ("@weekly", "2024-02-28T00:00", ["2024-03-03T00:00:00"]),
        ("@monthly", "2024-02-28T00:00", ["2024-03-01T00:00:00"]),
        ("@yearly", "2024-02-28T00:00", ["2025-01-01T00:00:00"]),
        ("@annually", "2024-02-28T00:00", ["2025-01-01T00:00:00"]),
        ("  0   0 12  * * ?  ", "2024-02-28T12:00", ["2024-02-29T12:00:00"]),
        # A century without a leap day: forty years for a certain weekday.
        ("0 0 0 29 2 MON", "2072-02-29T00:00", ["2112-02-29T00:00:00"]),
    ],
)
def test_moments(expression: str, after: str, expected: list[str]) -> None:
    """Each is later than the one before it, and the first later than the beginning."""
    assert [f"{moment}+00:00" for moment in expected] == _next(expression, after, len(expected))


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        (
            "0 0 9 * * *", "Europe/Amsterdam", "2021-03-27T09:00",
            ["2021-03-28T09:00:00+02:00", "2021-03-29T09:00:00+02:00"],
        ),
        # Left out: read with the offset from before, on its own day.
        (
            "0 10 2 * * *", "Europe/Amsterdam", "2013-03-30T02:10",
            ["2013-03-31T03:10:00+02:00", "2013-04-01T02:10:00+02:00"],
        ),
        (
            "0 0 */2 * * ?", "Africa/Cairo", "2025-04-24T21:10:20",
            [
                "2025-04-24T22:00:00+02:00", "2025-04-25T01:00:00+03:00",
                "2025-04-25T02:00:00+03:00", "2025-04-25T04:00:00+03:00",
            ],
        ),
        # 02:30 moves to 03:30, where another tick stands already: one.
        (
            "0 30 2,3 * * *", "Europe/Berlin", "2024-03-31T00:00",
            ["2024-03-31T03:30:00+02:00", "2024-04-01T02:30:00+02:00"],
        ),
        # Twice: the first time only.
        (
            "0 30 2 * * *", "Europe/Amsterdam", "2021-10-30T09:00",
            ["2021-10-31T02:30:00+02:00", "2021-11-01T02:30:00+01:00"],
        ),
        (
            "0 0 1 * * *", "America/New_York", "2024-11-03T00:00",
            ["2024-11-03T01:00:00-04:00", "2024-11-04T01:00:00-05:00"],
        ),
        # Intervals keep their pace.
        (
            "0 */30 * * * *", "Europe/Berlin", "2024-10-27T01:30",
            [
                "2024-10-27T02:00:00+02:00", "2024-10-27T02:30:00+02:00",
                "2024-10-27T02:00:00+01:00", "2024-10-27T02:30:00+01:00",
                "2024-10-27T03:00:00+01:00",
            ],
        ),
        (
            "0 */30 * * * *", "Europe/Berlin", "2024-03-31T01:00",
            [
                "2024-03-31T01:30:00+01:00", "2024-03-31T03:00:00+02:00",
                "2024-03-31T03:30:00+02:00",
            ],
        ),
        # Half an hour is enough of a change.
        (
            "0 15 2 * * *", "Australia/Lord_Howe", "2024-10-05T02:15",
            ["2024-10-06T02:45:00+11:00", "2024-10-07T02:15:00+11:00"],
        ),
        (
            "0 15 * * * *", "Australia/Lord_Howe", "2024-10-06T00:15",
            [
                "2024-10-06T01:15:00+10:30", "2024-10-06T03:15:00+11:00",
                "2024-10-06T04:15:00+11:00",
            ],
        ),
        # The clock goes back over midnight, and forward over it.
        (
            "0 0 0 * * *", "America/Sao_Paulo", "2018-02-17T00:00",
            ["2018-02-18T00:00:00-03:00", "2018-02-19T00:00:00-03:00"],
        ),
        (
            "0 30 0 * * *", "America/Sao_Paulo", "2018-11-03T00:30",
            ["2018-11-04T01:30:00-02:00", "2018-11-05T00:30:00-02:00"],
        ),
        # A date that a zone left out altogether falls on the next one, behind what that has itself.
        (
            "0 0 12 30,31 12 *", "Pacific/Apia", "2011-12-29T12:00",
            ["2011-12-31T12:00:00+14:00", "2012-12-30T12:00:00+14:00"],
        ),
        (
            "0 0 12,11 30 12 *", "Pacific/Apia", "2011-12-31T11:30",
            ["2011-12-31T12:00:00+14:00", "2012-12-30T11:00:00+14:00"],
        ),
    ],
)  # fmt: skip
def test_zones_that_change_their_clocks(
    expression: str, zone: str, after: str, expected: list[str]
) -> None:
    """A daily time comes once on each day; an interval keeps its pace."""
    assert expected == _next(expression, after, len(expected), zone)


def test_the_earlier_of_two_dates_wins() -> None:
    """A time that a gap moves into the next date stands behind an earlier time of that date."""
    found = _next("0 0 11,23 30,31 12 *", "2011-12-29T23:00", 2, "Pacific/Apia")

    assert ["2011-12-31T11:00:00+14:00", "2011-12-31T23:00:00+14:00"] == found


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 0 12 * *", 'must consist of 6 fields (found 5 in "0 0 12 * *")'),
        ("", "found 0"),
        ("* * * * * * *", "found 7"),
        ("@reboot", "found 1"),
        ("0 0 25 * * *", "hours: 25 must be within 0-23"),
        ("61 0 0 * * *", "seconds: 61"),
        ("0 61 0 * * *", "minutes: 61"),
        ("0 0 0 32 * *", "day of month: 32"),
        ("0 0 0 * 13 *", "month: 13"),
        ("0 0 0 * * 8", "day of week: 8"),
        ("0 0 0 30 2 *", "no date fits '30', '2'"),
        ("0 0 0 31 APR,JUN ?", "no date fits"),
        ("0 0 0 1-7 * FRI#2", "no date fits"),
        ("0," * 600 + "0 0 0 * * *", "may hold 1000 characters"),
    ],
)
def test_what_is_no_expression(expression: str, words: str) -> None:
    """The message names the field; dates that never come are refused at once."""
    with pytest.raises(CronError) as refused:
        parse(expression)

    assert words in str(refused.value)


def test_the_calendar_ends() -> None:
    """Behind it there is no moment any more, and just before it the last one is found."""
    every_second, leap_day = parse("* * * * * *"), parse("0 0 0 29 2 SUN")
    last_ms = 253_000_000_000_000

    assert last_ms + 1_000 == next_after(every_second, _UTC, last_ms)
    assert next_after(every_second, _UTC, last_ms + 1_000) is None
    assert next_after(leap_day, _UTC, last_ms) is None


@pytest.mark.parametrize(
    ("expression", "zone", "after", "until", "expected"),
    [
        ("* * * * * *", "UTC", "2024-01-01T00:00", "2024-01-01T00:00", 0),
        ("* * * * * *", "UTC", "2024-01-01T00:00", "2023-01-01T00:00", 0),
        ("* * * * * *", "UTC", "2024-01-01T00:00", "2024-01-01T00:01", 60),
        ("0 0 * * * *", "UTC", "2024-01-01T00:00", "2024-01-02T00:00", 24),
        ("0 0 12 * * *", "UTC", "2024-01-01T12:00", "2024-01-11T11:59:59", 9),
        ("0 0 12 * * *", "UTC", "2024-01-01T11:59:59", "2024-01-11T12:00", 11),
        ("0 0 12 1 * *", "UTC", "2024-01-01T12:00", "2025-01-01T12:00", 12),
        ("* * * * * *", "Europe/Berlin", "2024-10-27T00:00", "2024-10-28T00:00", 90_000),
        ("* * * * * *", "Europe/Berlin", "2024-03-31T00:00", "2024-04-01T00:00", 82_800),
        ("0 30 2,3 * * *", "Europe/Berlin", "2024-03-30T12:00", "2024-04-01T12:00", 3),
        ("1/2 1/2 1/2 * * *", "UTC", "2024-01-01T01:01:01", "2024-01-01T03:02", 929),
    ],
)
def test_counts(expression: str, zone: str, after: str, until: str, expected: int) -> None:
    """The end belongs to it, the beginning does not; days that change the clock count as they are."""
    place = ZoneInfo(zone)

    assert expected == count(parse(expression), place, _ms(after, place), _ms(until, place))


def test_counting_a_century_of_seconds() -> None:
    """The time grows with the dates, not with the count, or this would take a day."""
    assert 4_000_000_000 == count(parse("* * * * * *"), _UTC, 0, 4_000_000_000_000)
