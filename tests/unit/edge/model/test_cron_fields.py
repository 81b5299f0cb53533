"""The fields of a cron expression: every form that is taken, and what is said of all others."""

from __future__ import annotations

import pytest

from edge.model.cron_fields import (
    HOURS,
    MINUTES,
    MONTHS,
    SECONDS,
    CronError,
    Numbers,
    days_of,
    read_days,
    read_numbers,
    read_weekdays,
)

_ANY_DAY = read_days("*")
_ANY_WEEKDAY = read_weekdays("?")


@pytest.mark.parametrize(
    ("text", "numbers", "expected"),
    [
        ("*", HOURS, set(range(24))),
        ("0", SECONDS, {0}),
        ("59", SECONDS, {59}),
        ("1,3,5", MINUTES, {1, 3, 5}),
        ("10-13", MINUTES, {10, 11, 12, 13}),
        ("*/20", SECONDS, {0, 20, 40}),
        ("50/4", SECONDS, {50, 54, 58}),
        ("10-40/15", SECONDS, {10, 25, 40}),
        ("5-5", HOURS, {5}),
        ("0-4,8-12", HOURS, {0, 1, 2, 3, 4, 8, 9, 10, 11, 12}),
        ("*/99", MINUTES, {0}),
        ("JAN,mar", MONTHS, {1, 3}),
        ("Oct-DEC", MONTHS, {10, 11, 12}),
        ("1/3", MONTHS, {1, 4, 7, 10}),
        ("*", MONTHS, set(range(1, 13))),
    ],
)
def test_numbers(text: str, numbers: Numbers, expected: set[int]) -> None:
    """Values, names, ranges, steps and lists of them."""
    assert expected == read_numbers(text, numbers)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*", {1, 2, 3, 4, 5, 6, 7}),
        ("?", {1, 2, 3, 4, 5, 6, 7}),
        ("0", {7}),
        ("7", {7}),
        ("SUN", {7}),
        ("0-2", {7, 1, 2}),
        ("SUN-TUE", {7, 1, 2}),
        ("MON-FRI", {1, 2, 3, 4, 5}),
        ("5-7", {5, 6, 7}),
        ("7-7", {1, 2, 3, 4, 5, 6, 7}),
        ("SUN-SUN/3", {7, 3, 6}),
        ("sat,Sun", {6, 7}),
        ("*/2", {1, 3, 5, 7}),
        ("0/3", {7, 3, 6}),
    ],
)
def test_weekdays(text: str, expected: set[int]) -> None:
    """0 and 7 are Sunday; a range may begin with it; ``*`` begins with Monday."""
    assert expected == read_weekdays(text).weekdays


@pytest.mark.parametrize(
    ("numbers", "text", "words"),
    [
        (SECONDS, "60", "seconds: 60 must be within 0-59"),
        (MINUTES, "99999", "minutes: expected a number, got '99999'"),
        (HOURS, "24", "hours: 24 must be within 0-23"),
        (HOURS, "", "hours: expected a number, got ''"),
        (HOURS, "1,", "hours: expected a number, got ''"),
        (HOURS, "?", "hours: expected a number"),
        (HOURS, "-1", "hours: expected a number, got ''"),
        (HOURS, "1.5", "hours: expected a number"),
        (HOURS, "\N{ARABIC-INDIC DIGIT ONE}", "hours: expected a number"),
        (HOURS, "5-3", "hours: in '5-3' the first number is greater"),
        (HOURS, "*/0", "hours: the step in '*/0' must be a number from 1 on"),
        (HOURS, "*/x", "hours: the step in '*/x'"),
        (HOURS, "*/", "hours: the step in '*/'"),
        (MONTHS, "0", "month: 0 must be within 1-12"),
        (MONTHS, "MAYBE", "month: expected a number or a name such as JAN, got 'MAYBE'"),
    ],
)
def test_bad_numbers(numbers: Numbers, text: str, words: str) -> None:
    """The field is named, and what it takes."""
    with pytest.raises(CronError) as refused:
        read_numbers(text, numbers)

    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "day of month: 0 must be within 1-31"),
        ("32W", "day of month: 32 must be within 1-31"),
        ("W", "day of month: expected a number, got ''"),
        ("L-0", "day of month: the offset of L-n must be within 1-30"),
        ("L-31", "day of month: the offset of L-n must be within 1-30"),
        ("5L", "day of month: expected a number, got '5L'"),
        ("L-3W", "day of month: expected a number, got 'L-3'"),
        ("LW/2", "day of month: expected a number, got 'LW'"),
    ],
)
def test_bad_days(text: str, words: str) -> None:
    """The field is named."""
    with pytest.raises(CronError) as refused:
        read_days(text)

    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("8", "day of week: 8 must be within 0-7"),
        ("L", "day of week: expected a number or a name such as MON, got ''"),
        ("#2", "day of week: expected a number"),
        ("FRI#0", "day of week: the ordinal after # must be within 1-5"),
        ("FRI#6", "day of week: the ordinal after # must be within 1-5"),
        ("FRI#x", "day of week: expected a number"),
        ("FRI-MON", "write two ranges, such as FRI-SUN,MON"),
        ("FRIDAY", "day of week: expected a number or a name"),
    ],
)
def test_bad_weekdays(text: str, words: str) -> None:
    """The field is named, and a range over the end of the week is told apart."""
    with pytest.raises(CronError) as refused:
        read_weekdays(text)

    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "month", "expected"),
    [
        ("L", "2024-02", (29,)),
        ("L", "2023-02", (28,)),
        ("L-3", "2024-01", (28,)),
        ("L-3", "2024-02", (26,)),
        ("L-30", "2024-02", ()),
        ("L-30", "2024-01", (1,)),
        ("LW", "2008-05", (30,)),  # the 31st is a Saturday
        ("LW", "2008-08", (29,)),  # the 31st is a Sunday
        ("LW", "2008-12", (31,)),
        ("15W", "2020-01", (15,)),
        ("15W", "2020-02", (14,)),  # a Saturday
        ("15W", "2020-03", (16,)),  # a Sunday
        ("1W", "2020-02", (3,)),  # a Saturday: not in January
        ("1W", "2020-03", (2,)),
        ("31W", "2020-10", (30,)),
        ("31W", "2021-10", (29,)),  # a Sunday: not in November
        ("31W", "2020-04", ()),
        ("1W,15,LW", "2020-01", (1, 15, 31)),
        ("31,30", "2021-04", (30,)),
        ("*/10", "2021-02", (1, 11, 21)),
    ],
)
def test_days_of_a_month(text: str, month: str, expected: tuple[int, ...]) -> None:
    """The last day, days before it, and the weekday nearest to a day, all within the month."""
    year, _, number = month.partition("-")

    assert expected == days_of(int(year), int(number), read_days(text), _ANY_WEEKDAY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5#2", (10,)),
        ("FRI#2", (10,)),
        ("fri#5", (31,)),
        ("FRIL", (31,)),
        ("5L", (31,)),
        ("FRI#L", (31,)),
        ("0#1", (5,)),
        ("0L", (26,)),
        ("SUN#L", (26,)),
        ("THU#1,THU#3,THU#5", (2, 16, 30)),
        ("MON,WED#1", (1, 6, 13, 20, 27)),
    ],
)
def test_weekdays_of_a_month(text: str, expected: tuple[int, ...]) -> None:
    """January 2020 began with a Wednesday."""
    assert expected == days_of(2020, 1, _ANY_DAY, read_weekdays(text))


def test_both_rules_must_fit() -> None:
    """Friday the 13th, and a first Monday that must also be a first."""
    friday = read_weekdays("FRI")

    assert (13,) == days_of(2018, 7, read_days("13"), friday)
    assert () == days_of(2018, 8, read_days("13"), friday)
