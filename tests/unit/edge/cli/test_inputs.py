"""What is typed and piped in: objects, ids, moments."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click
import pytest

from edge.cli import inputs

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "moment_ms"),
    [
        ("2h", NOW_MS - 7_200_000),
        ("90 s", NOW_MS - 90_000),
        ("1.5d", NOW_MS - 129_600_000),
        ("250ms", NOW_MS - 250),
        ("9999w", 0),
        ("1700000000123", 1_700_000_000_123),
        ("2023-11-14T22:13:20+00:00", NOW_MS),
    ],
)
def test_moments(text: str, moment_ms: int) -> None:
    """Spans back from now, epoch milliseconds, and times with a zone."""
    assert max(moment_ms, 0) == inputs.moment_ms(text, now_ms=NOW_MS, hint="--since")


def test_a_time_without_a_zone_is_the_readers_own() -> None:
    """As on the clock on the wall."""
    here = dt.datetime(2023, 11, 14).astimezone()

    assert int(here.timestamp() * 1000) == inputs.moment_ms("2023-11-14", now_ms=0, hint="--since")


def test_no_moment() -> None:
    """The option is named, and what it takes."""
    with pytest.raises(click.BadParameter, match="2h or 7d"):
        inputs.moment_ms("yesterday", now_ms=NOW_MS, hint="--since")


def test_ids_come_from_the_line_and_from_the_pipe() -> None:
    """Each once, in order; of a line only the first word; quotes of JSON are taken off."""
    piped = ["b FAILED\n", "\n", '"c",\n', "a\n"]

    assert ["a", "b", "c"] == inputs.ids(("a", "-"), piped)


def test_no_id_at_all() -> None:
    """It says where ids come from."""
    with pytest.raises(click.UsageError, match="search --ids"):
        inputs.ids(())


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """In words, without the number of the error."""
    (tmp_path / "half.json").write_text("{")

    with pytest.raises(click.BadParameter, match=r"^\S+/missing.json: No such file or directory$"):
        inputs.objects((f"@{tmp_path}/missing.json",))
    with pytest.raises(click.BadParameter, match="half.json is no JSON: "):
        inputs.objects((f"@{tmp_path}/half.json",))
