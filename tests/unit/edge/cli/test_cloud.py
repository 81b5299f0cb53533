"""``baton cloud`` as it is typed: what it refuses, and a ledger that is made again."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli import main
from sync import frames, receiver, topics
from sync.control_plane.ledger import Ledger
from sync.records import Lane, Record, WorkflowRecord, encode_body


def fill(path: Path, workflows: int) -> None:
    """A ledger with one segment a workflow, none of them in view."""

    async def run() -> None:
        ledger = await Ledger.open(path, now_ms=lambda: 5)
        address = topics.address("default", "roof")
        for seq in range(1, workflows + 1):
            body = encode_body(WorkflowRecord(f"w{seq}", "video", 1, "RUNNING", 1, 1))
            record = Record(Lane.HISTORY, seq, "workflow", 1, 1, body)
            payload = frames.encode([record], epoch=1, oldest_seq=1)
            arrival = receiver.read(address.topic("up/2"), payload, received_ms=5)
            assert arrival is not None
            await ledger.commit([arrival])
        await ledger.close()

    asyncio.run(run())


def shown(path: Path) -> list[str]:
    """The executions that are in view."""

    async def run() -> list[str]:
        ledger = await Ledger.open(path, now_ms=lambda: 5)
        page = await ledger.executions(limit=100)
        await ledger.close()
        return sorted(row.workflow_id for row in page.rows)

    return asyncio.run(run())


def test_what_is_shown_is_made_again(tmp_path: Path) -> None:
    """I-7: from the segments, with how many there were."""
    fill(tmp_path / "ledger.db", 20)

    result = CliRunner().invoke(main, ["cloud", "rebuild", "--data-dir", str(tmp_path)])

    assert "Rebuilt from 20 segments." in result.output
    assert 20 == len(shown(tmp_path / "ledger.db"))


def test_an_address_that_is_none_is_named(tmp_path: Path) -> None:
    """The message says what it should look like, and no password stands in it."""
    options = ["--data-dir", str(tmp_path), "--database", "mysql://me:secret@db/fleet"]
    result = CliRunner().invoke(main, ["cloud", "rebuild", *options])

    assert 1 == result.exit_code
    assert "postgresql://USER@HOST/DATABASE" in result.output
    assert "secret" not in result.output


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    """One line, without a trace."""
    options = ["--data-dir", str(tmp_path), "--database", "postgresql://me@127.0.0.1:1/fleet"]
    result = CliRunner().invoke(main, ["cloud", "ingest", *options])

    assert 1 == result.exit_code
    assert "cannot use the database postgresql://127.0.0.1/fleet" in result.output


def test_the_first_token_is_made_here(tmp_path: Path) -> None:
    """It is shown once, kept as a digest, and audited; an audit that was touched is found."""
    place = ["--data-dir", str(tmp_path)]
    made = CliRunner().invoke(main, ["cloud", "token", "--name", "ops", "--json", *place])

    assert 0 == made.exit_code, made.output
    text = json.loads(made.output)["token"]
    assert text.startswith("baton_")
    assert text.partition(".")[2].encode() not in (tmp_path / "ledger.db").read_bytes()
    whole = CliRunner().invoke(main, ["cloud", "verify-audit", *place])
    assert (0, True) == (whole.exit_code, "1 entries, all as written" in whole.output)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as disk:
        disk.execute("UPDATE audit SET actor = 'somebody'")
        disk.commit()
    broken = CliRunner().invoke(main, ["cloud", "verify-audit", *place])
    assert (1, True) == (broken.exit_code, "Entry 1 is not" in broken.output)


def test_a_tenant_is_removed_here_too(tmp_path: Path) -> None:
    """One without devices; one that has some is told how many, and one that is not there is named."""
    fill(tmp_path / "ledger.db", 1)
    place = ["--data-dir", str(tmp_path)]
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as disk:
        disk.execute("INSERT INTO tenant VALUES ('acme', 'Acme', 5)")
        disk.commit()

    removed, gone, full = (
        CliRunner().invoke(main, ["cloud", "remove-tenant", one, *place])
        for one in ("acme", "acme", "default")
    )

    assert (0, "The tenant acme is removed.\n") == (removed.exit_code, removed.output)
    assert (1, True) == (gone.exit_code, "there is no tenant acme" in gone.output)
    assert (1, True) == (full.exit_code, "default has 1 device" in full.output)
    verified = CliRunner().invoke(main, ["cloud", "verify-audit", *place])
    assert "1 entries, all as written" in verified.output


def test_a_device_is_removed_here_too(tmp_path: Path) -> None:
    """With what it is said to take along; one that is connected, or is not there, is named."""
    fill(tmp_path / "ledger.db", 1)
    place = ["--data-dir", str(tmp_path)]
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as disk:
        ((device,),) = disk.execute("SELECT device FROM device").fetchall()
        disk.execute(
            "INSERT INTO device VALUES (9, 'acme', 'up', 0, 0, '', 1, 1, 1, 1, 1, 1, 0, 0)"
        )
        disk.commit()

    removed, gone, other, connected = (
        CliRunner().invoke(main, ["cloud", "remove-device", *words, *place])
        for words in (
            [device], [device], ["up"], ["up", "--tenant", "acme"],
        )
    )  # fmt: skip

    assert (0, True) == (removed.exit_code, "is removed, with 1 records, 1 exe" in removed.output)
    assert (1, True) == (gone.exit_code, f"no device {device} of the tenant d" in gone.output)
    assert (1, True) == (other.exit_code, "no device up of the tenant default" in other.output)
    assert (1, True) == (connected.exit_code, "up is connected" in connected.output)
    verified = CliRunner().invoke(main, ["cloud", "verify-audit", *place])
    assert "1 entries, all as written" in verified.output


def test_options_before_the_verb_are_refused(tmp_path: Path) -> None:
    """They would be those of the control plane itself, and without effect."""
    result = CliRunner().invoke(main, ["cloud", "--data-dir", str(tmp_path), "rebuild"])

    assert 2 == result.exit_code
    assert "stand behind `rebuild`" in result.output


@pytest.mark.parametrize("verb", ["rebuild", "verify-audit", "remove-tenant", "remove-device"])
def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path, verb: str) -> None:
    """A new one would be as good as none, and all would seem well."""
    words = [verb, "acme"] if verb.startswith("remove-") else [verb]
    result = CliRunner().invoke(main, ["cloud", *words, "--data-dir", str(tmp_path / "typo")])

    assert 1 == result.exit_code
    assert "there is no ledger" in result.output
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--name", ""], "--name: give 1 to 100 characters"),
        (["--name", "x" * 101], "--name: give 1 to 100 characters"),
        (["--name", "ops", "--tenant", "a/b"], "--tenant: 'a/b' is not 1 to 64"),
    ],
)
def test_a_token_is_checked_as_the_api_does(tmp_path: Path, options: list[str], told: str) -> None:
    """The option is named, and nothing is made."""
    result = CliRunner().invoke(main, ["cloud", "token", *options, "--data-dir", str(tmp_path)])

    assert 2 == result.exit_code
    assert told in " ".join(result.output.split())
    assert not (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize("verb", ["rebuild", "verify-audit", "token"])
def test_a_ledger_of_somebody_else_is_named(tmp_path: Path, verb: str) -> None:
    """One line, without a trace: a folder that cannot be looked into."""
    # A name that is too long cannot be looked at by anybody, not even by root, who runs tests, too.
    folder = tmp_path / ("x" * 300)
    more = ["--name", "ops"] if verb == "token" else []
    result = CliRunner().invoke(main, ["cloud", verb, *more, "--data-dir", str(folder)])

    assert 1 == result.exit_code
    assert "cannot be used" in result.output


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    """One line, without a trace."""
    (tmp_path / "file").touch()
    options = ["--name", "ops", "--data-dir", str(tmp_path / "file")]
    result = CliRunner().invoke(main, ["cloud", "token", *options])

    assert 1 == result.exit_code
    assert "cannot be used" in result.output
