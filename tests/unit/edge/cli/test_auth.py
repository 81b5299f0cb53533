"""The first key of a device, and commands that speak with a key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli import main
from tests.daemon import Daemon
from tests.unit.edge.cli.conftest import HELLO

_CONFIG = "[auth]\nenabled = true\n[workflows]\nenable = []\n"


def _bootstrap(folder: Path, *words: str) -> str:
    typed = ["auth", "bootstrap", "--data-dir", str(folder), *words]
    result = CliRunner().invoke(main, typed)
    assert 0 == result.exit_code, result.output
    return result.output


def test_a_key_opens_a_device_to_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made before the daemon is started; without it commands are refused and say why."""
    made = json.loads(_bootstrap(tmp_path / "data", "--json"))
    shown = _bootstrap(tmp_path / "data")
    with Daemon(tmp_path / "data", config=_CONFIG) as daemon:
        listing = ["workflow", "list", "--url", daemon.url]
        refused = CliRunner().invoke(main, listing)
        running = CliRunner().invoke(
            main, ["auth", "bootstrap", "--data-dir", str(tmp_path / "data")]
        )
        monkeypatch.setenv("CONDUCTOR_AUTH_KEY", made["id"])
        monkeypatch.setenv("CONDUCTOR_AUTH_SECRET", "wrong")
        wrong = CliRunner().invoke(main, listing)
        monkeypatch.setenv("CONDUCTOR_AUTH_SECRET", made["secret"])
        allowed = CliRunner().invoke(main, listing)
        (tmp_path / "definitions").mkdir()
        (tmp_path / "definitions" / "hello.json").write_text(json.dumps(HELLO))
        pushing = ["workflow", "push", str(tmp_path / "definitions"), "--url", daemon.url]
        pushed = CliRunner().invoke(main, pushing)
        waiting = ["start", "hello", "-i", "name=Ada", "--wait", "--url", daemon.url]
        followed = CliRunner().invoke(main, waiting)
        log = daemon.errors()

    assert {"id", "secret"} == set(made)
    assert "key secret" in shown
    assert made["secret"] not in shown
    assert (1, 1, 0) == (refused.exit_code, wrong.exit_code, allowed.exit_code)
    assert (0, 0) == (pushed.exit_code, followed.exit_code), pushed.output + followed.output
    assert "COMPLETED" in followed.output
    assert "asks for a token" in refused.output
    assert "another daemon" in running.output
    assert made["secret"] not in log


def test_a_device_that_asks_for_nothing_is_sent_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in the environment is no hindrance elsewhere; no secret leaves without being asked."""
    monkeypatch.setenv("CONDUCTOR_AUTH_KEY", "some key")
    monkeypatch.setenv("CONDUCTOR_AUTH_SECRET", "some secret")
    with Daemon(tmp_path / "data", config="[workflows]\nenable = []\n") as daemon:
        result = CliRunner().invoke(main, ["workflow", "list", "--url", daemon.url])

    assert 0 == result.exit_code, result.output


def test_a_data_directory_that_cannot_be_used(tmp_path: Path) -> None:
    """One line, and no trace."""
    (tmp_path / "file").write_text("no folder")
    result = CliRunner().invoke(main, ["auth", "bootstrap", "--data-dir", str(tmp_path / "file")])

    assert 1 == result.exit_code
    assert "cannot be used" in result.output
