"""Settings of the command line reach the role; see test_daemon for the roles themselves."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from edge.cli.cloud import cloud
from edge.cli.run import check, run


def test_a_wrong_option_never_starts_a_daemon(tmp_path: Path) -> None:
    """The address is checked before anything is opened."""
    for command in (run, cloud, check):
        ended = CliRunner().invoke(
            command, ["--data-dir", str(tmp_path / "new"), "--listen", "0.0.0.0:80"]
        )

        assert 1 == ended.exit_code
        assert "daemon.allow_remote = true" in ended.stderr
        assert not (tmp_path / "new").exists()
