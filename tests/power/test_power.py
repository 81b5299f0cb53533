"""Whatever moment the power goes at, the device has what it acknowledged, and goes on.

The share of every test run: 60,000 distinct images. `make soak` looks at a million.
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from edge.store import migrations
from tests.power.battery import BATTERY
from tests.power.disk import Write
from tests.power.explore import Result, be_quiet, explore, shares
from tests.power.recording import record

IMAGES = 60_000
"""Of all shapes together, in every test run."""

DAY_SEED = dt.datetime.now(dt.UTC).strftime("day-%Y-%m-%d")
"""Runs of another day look at other images; what fails names the seed and can be replayed."""

SCHEMA = Path(migrations.__file__).with_name("schema.sql")

DURABLE_FILES = {
    "payloads of executions": r"payloads/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}\.json(\.gz)?",
    "payloads that clients have sent": r"payloads/uploads/[0-9a-f]{64}",
    "files that workers hand each other": r"payloads/files/[0-9a-f]{64}(\.[0-9a-f]{64})?",
    "what is being fetched": r"fetched/[0-9a-f]{64}",
    "the key of the secrets": r"secret\.key",
    "the database": r"baton\.db",
    "its log": r"baton\.db-wal",
    "the database before its schema was changed": r"baton\.db\.schema-\d+",
}
"""Everything that the engine keeps beside its process, as patterns of names."""


@pytest.fixture(autouse=True)
def quiet() -> None:
    """The engine's log of thousands of lives is not kept."""
    be_quiet()


def _told(result: Result) -> str:
    """What a failing test says: an address for each failure."""
    lines = [f"{failure.address}  {failure.what}" for failure in result.failures]
    return "\n".join(["replay with: python -m tests.power --replay ADDRESS", *lines])


# Nothing is timed here. The limit is for a loop that never ends, on a machine that is busy.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", list(BATTERY))
def test_a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged(name: str) -> None:
    """Each operation in each mode with a fixed seed, then more with the seed of the day."""
    enough = shares(IMAGES, BATTERY)[name]
    result = explore(BATTERY[name], "1", later=DAY_SEED, enough=enough)

    assert not result.failures, _told(result)
    assert enough <= result.images, "the shape has too few images for its share"


def test_the_battery_is_large_enough() -> None:
    """At least 30 shapes, and their shares make up the whole."""
    assert 30 <= len(BATTERY)
    assert IMAGES <= sum(shares(IMAGES, BATTERY).values())


def test_what_has_ended_stays_as_it_is() -> None:
    """In every shape, until somebody asks for an execution to be taken up again or away."""
    assert [] == [one for shape in BATTERY.values() for one in record(shape).reopened()]


def test_every_table_is_written_by_some_shape() -> None:
    """A new table is no part of the promises before a power cut has been tried on it."""
    tables = set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", SCHEMA.read_text()))
    written = set().union(*(record(shape).written for shape in BATTERY.values()))

    assert set() == tables - written, "no shape of tests/power writes these tables"


def test_every_kind_of_file_is_written_by_some_shape() -> None:
    """A name and bytes under it; a kind that is written and not listed here is found, too."""
    names: set[str] = set()
    for shape in BATTERY.values():
        recording = record(shape)
        written = {one.file for one in recording.operations if isinstance(one, Write)}
        names |= {name for name, file in recording.named() if file in written}
    kinds = list(DURABLE_FILES.values())
    transient = r"baton\.db.*-journal|.*\.unfinished.*"
    unknown = [n for n in names if not any(re.fullmatch(p, n) for p in [*kinds, transient])]

    assert [] == [k for k, p in DURABLE_FILES.items() if not any(re.fullmatch(p, n) for n in names)]
    assert [] == unknown
