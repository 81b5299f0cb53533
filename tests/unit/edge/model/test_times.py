"""Durations and dates: every form that definitions use, and refusals of all others."""

from __future__ import annotations

import datetime as dt

import pytest

from edge.model.times import BadTime, duration_ms, until_ms


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1d2h", 93_600),
        ("90 seconds", 90),
        ("2 hours 5 min", 7_500),
        ("1 day 1 hr 1 minute 1 sec", 90_061),
        ("2DAYS", 172_800),
        (" 3 hrs ", 10_800),
        ("4mins", 240),
        ("5 s", 5),
        ("0 s", 0),
        ("1m1s", 61),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    """Days, hours, minutes and seconds in this order, each optional, in any spelling."""
    assert seconds * 1000 == duration_ms(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "5",
        "5 x",
        "1h 1d",
        "-5 s",
        "1.5 s",
        "999999999999 days",
        "9" * 5_000 + " s",
        " " * 5_000 + "x",
        ("1 " + " " * 2_000) * 3 + "x",
    ],
)
def test_bad_durations(text: str) -> None:
    """Whatever is no duration is refused, at once."""
    with pytest.raises(BadTime, match="Not valid duration"):
        duration_ms(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29 12:30 UTC", "2024-02-29T12:30:00+00:00"),
        ("2024-02-29 12:30 GMT+04:00", "2024-02-29T12:30:00+04:00"),
        ("2024-02-29 12:30 GMT-0430", "2024-02-29T12:30:00-04:30"),
        ("2024-02-29 12:30 Europe/Paris", "2024-02-29T12:30:00+01:00"),
        ("2024-02-29  12:30   UTC ", "2024-02-29T12:30:00+00:00"),
        ("2024-02-29 12:30 PST", "2024-02-29T12:30:00-08:00"),
        ("2024-07-29 12:30 pdt", "2024-07-29T12:30:00-07:00"),
        ("2024-02-29 12:30 EST", "2024-02-29T12:30:00-05:00"),
        ("2024-02-29 12:30 IST", "2024-02-29T12:30:00+05:30"),
        ("2024-02-29 12:30 Z", "2024-02-29T12:30:00+00:00"),
        ("2024-02-29 12:30 gmt+4:00", "2024-02-29T12:30:00+04:00"),
    ],
)
def test_dates_with_a_zone(text: str, expected: str) -> None:
    """A zone is a name, one of Java's abbreviations, or an offset."""
    moment = dt.datetime.fromisoformat(expected)

    assert moment.timestamp() * 1000 == until_ms(text)


@pytest.mark.parametrize("text", ["2024-02-29 12:30", "2024-02-29"])
def test_dates_without_a_zone(text: str) -> None:
    """The device's own zone applies, and a date alone is its midnight."""
    moment = dt.datetime.fromisoformat(text).astimezone()

    assert moment.timestamp() * 1000 == until_ms(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2024-02-30",
        "2024-02-29 25:00",
        "2024-02-29 12:30 Nowhere/City",
        "2024-02-29 12:30 ../../etc/passwd",
        "2024-02-29 12:30 America",
        "2024-02-29 12:30 GMT+99:00",
        "99999-01-01",
    ],
)
def test_bad_dates(text: str) -> None:
    """The message shows what was given."""
    with pytest.raises(BadTime) as caught:
        until_ms(text)

    assert f"Invalid/Unsupported Wait Until format.  Provided: {text}" == str(caught.value)
