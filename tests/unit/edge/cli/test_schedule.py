"""``baton schedule``: what is saved, shown, paused and previewed, as tables and as JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge.cli import main
from tests.daemon import Daemon
from tests.unit.edge.cli.conftest import Type


def _schedule(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name, "cronExpression": "0 0 3 * * *", "zoneId": "Europe/Berlin",
        "startWorkflowRequest": {"name": "hello", "version": 1}, **fields,
    }  # fmt: skip


def _put(type_: Type, folder: Path, *schedules: dict[str, Any]) -> str:
    """Save schedules; returns what was printed."""
    file = folder / "schedules.json"
    file.write_text(json.dumps(list(schedules)))
    done = type_("schedule", "put", str(file))
    assert 0 == done.exit_code, done.output
    return done.output


def test_a_file_is_saved_and_listed(type_: Type, tmp_path: Path) -> None:
    """One or several schedules; the next tick is told."""
    several = [
        {"cronExpression": "@daily"}, {"cronExpression": "@hourly", "zoneId": "Asia/Tokyo"},
    ]  # fmt: skip
    saved = _put(
        type_, tmp_path,
        _schedule("cli_night"), _schedule("cli_both", cronExpression=None, cronSchedules=several),
        _schedule("cli_off", paused=True),
    )  # fmt: skip
    file = tmp_path / "one.json"
    file.write_text(json.dumps(_schedule("cli_one")))
    as_json = json.loads(type_("schedule", "put", str(file), "--json").output)
    table = type_("schedule", "list").output
    names = {one["name"] for one in json.loads(type_("schedule", "list", "--json").output)}

    assert "saved cli_night, next at 2" in saved
    assert "saved cli_off, next at -" in saved
    assert ["cli_one"] == [one["name"] for one in as_json]
    assert {"cli_night", "cli_both", "cli_off", "cli_one"} <= names
    assert "0 0 3 * * * (Europe/Berlin)" in table
    assert "@daily (UTC); @hourly (Asia/Tokyo)" in table
    assert "PAUSED" in table
    assert "hello 1" in table
    assert "cli_" not in type_("schedule", "list", "--workflow", "other").output


def test_a_schedule_is_read_from_standard_input(daemon: Daemon) -> None:
    """A dash stands for it."""
    done = CliRunner().invoke(
        main, ["schedule", "put", "-", "--url", daemon.url],
        input=json.dumps(_schedule("cli_piped")),
    )  # fmt: skip

    assert (0, True) == (done.exit_code, "saved cli_piped" in done.output)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "schedules.json"),
        (json.dumps(_schedule("cli_bad", cronExpression="0 0 25 * * *")), "hours: 25"),
    ],
)
def test_what_is_no_schedule(type_: Type, tmp_path: Path, text: str, words: str) -> None:
    """The file is named, or the field."""
    (tmp_path / "schedules.json").write_text(text)
    done = type_("schedule", "put", str(tmp_path / "schedules.json"))

    assert 1 == done.exit_code
    assert words in done.output


def test_pause_resume_remove(type_: Type, tmp_path: Path) -> None:
    """Each says what it did, and a name that does not exist is refused."""
    _put(type_, tmp_path, _schedule("cli_steered", scheduleStartTime=1, scheduleEndTime=2**42))
    paused = type_("schedule", "pause", "cli_steered", "--reason", "holidays")
    shown = type_("schedule", "show", "cli_steered").output
    resumed = json.loads(type_("schedule", "resume", "cli_steered", "--json").output)
    going = type_("schedule", "show", "cli_steered").output
    removed = type_("schedule", "remove", "cli_steered")
    gone = type_("schedule", "show", "cli_steered")

    assert "paused cli_steered\n" == paused.output
    assert "PAUSED   holidays" in shown
    assert {"name": "cli_steered", "done": "resumed"} == resumed
    assert "PAUSED" not in going
    assert "missed   dropped" in going
    assert "until    2109" in going
    assert "removed cli_steered\n" == removed.output
    assert (1, "Error: Schedule 'cli_steered' not found\n") == (gone.exit_code, gone.output)


def test_ticks_are_shown_with_their_schedule(type_: Type, tmp_path: Path) -> None:
    """What each started, or why not."""
    every_second = {"cronExpression": "* * * * * *", "runCatchupScheduleInstances": True}
    _put(
        type_, tmp_path,
        _schedule("cli_good", **every_second),
        _schedule("cli_none", startWorkflowRequest={"name": "nobody_knows"}, **every_second),
    )  # fmt: skip
    deadline = time.monotonic() + 25
    while time.monotonic() < deadline:
        found = json.loads(type_("schedule", "show", "cli_none", "--json").output)
        if found["executions"]:
            break
    good, bad = type_("schedule", "show", "cli_good").output, type_("schedule", "show", "cli_none")
    for name in ("cli_good", "cli_none"):
        type_("schedule", "remove", name)

    assert "FAILED" == found["executions"][0]["state"]
    assert "EXECUTED" in good
    assert "missed   run later, one by one" in good
    assert "nobody_knows" in bad.output


def test_a_preview(type_: Type) -> None:
    """The next moments in the reader's zone, or as epoch milliseconds; nonsense is refused."""
    lines = type_("schedule", "next", "0 0 * * * *", "--count", "2").output.splitlines()
    moments = json.loads(
        type_("schedule", "next", "@daily", "--zone", "Asia/Tokyo", "--json").output
    )
    refused = type_("schedule", "next", "0 0 12 * *")

    assert [":00:00", ":00:00"] == [line[-6:] for line in lines]
    assert [54_000_000] * 5 == [moment % 86_400_000 for moment in moments]
    assert 1 == refused.exit_code
    assert "must consist of 6 fields" in refused.output
