"""Checking and salvaging a database from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge.cli import main
from edge.data_dir import DataDir
from tests.faults import filled


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small database; tests work on copies."""
    return filled.fill(tmp_path_factory.mktemp("filled"), executions=30)


def _run(*words: str) -> Result:
    return CliRunner().invoke(main, ["storage", *words])


def test_a_whole_database(whole: Path, tmp_path: Path) -> None:
    """Said in a line, and as JSON."""
    folder = filled.copy(whole, tmp_path).parent

    said, told = _run("check", str(folder)), _run("check", str(folder), "--json")

    assert 0 == said.exit_code, said.output
    assert "baton.db is whole" in said.stdout
    assert "looking at history" in said.stderr
    assert json.loads(told.stdout)["whole"] is True


def test_a_damaged_one_is_checked_and_salvaged(whole: Path, tmp_path: Path) -> None:
    """To another file, which leaves it as it is, and in its place."""
    path = filled.copy(whole, tmp_path / "data")
    filled.overwrite(path, 4_096, bytes(4_096))
    damaged, target = path.read_bytes(), tmp_path / "new.db"

    checked = _run("check", str(path.parent))
    elsewhere = _run("salvage", str(path.parent), "--to", str(target))
    untouched = path.read_bytes()
    again = _run("salvage", str(path.parent), "--to", str(target))
    in_place = _run("salvage", str(path.parent), "--in-place", "--json")

    assert 1 == checked.exit_code
    assert "structure: " in checked.stdout
    assert f"baton storage salvage {path.parent} --in-place" in checked.stdout
    assert 0 == elsewhere.exit_code, elsewhere.output
    assert "history" in elsewhere.stdout and f"rows are in {target}" in elsewhere.stdout
    assert damaged == untouched
    assert 2 == again.exit_code and "is there already" in again.output
    assert 0 == in_place.exit_code, in_place.output
    assert json.loads(in_place.stdout)["rows"]["workflow"] > 30
    assert 0 == _run("check", str(path.parent)).exit_code
    assert filled.rows(target)["workflow"] == filled.rows(path)["workflow"]


def test_what_cannot_be_done_is_said(whole: Path, tmp_path: Path) -> None:
    """A folder without a database, one in use, no place to write to, and nothing to read."""
    folder = filled.copy(whole, tmp_path / "data").parent
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "baton.db").write_bytes(b"noise" * 5_000)
    (tmp_path / "empty").mkdir()
    with DataDir(folder):
        used = _run("check", str(folder))
    neither = _run("salvage", str(folder))
    nowhere = _run("salvage", str(folder), "--to", str(tmp_path / "no" / "folder.db"))
    noise = _run("salvage", str(tmp_path / "noise"), "--in-place")
    empty = _run("check", str(tmp_path / "empty"))

    assert [1, 2, 1, 1, 1] == [
        one.exit_code for one in (used, neither, nowhere, noise, empty)
    ]  # fmt: skip
    assert "another daemon" in used.output
    assert "--to FILE or --in-place" in neither.output
    assert "--to:" in nowhere.output and "cannot be written" in nowhere.output
    assert 1 == _run("check", str(tmp_path / "noise")).stdout.count("file is not a database")
    assert "no row can be salvaged" in noise.output
    assert "holds no baton.db" in empty.output


@pytest.mark.parametrize("verb", ["check", "salvage"])
def test_help_teaches(verb: str) -> None:
    """Each verb says what it does and shows how it is typed."""
    said = _run(verb, "--help").stdout

    assert "Examples:" in said
    assert f"baton storage {verb} /var/lib/baton" in said
