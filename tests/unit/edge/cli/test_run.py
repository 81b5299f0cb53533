"""Settings of the command line reach the role; see test_daemon for the roles themselves."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

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


def test_the_inventory_is_checked_with_the_rest(tmp_path: Path) -> None:
    """What would keep the daemon from starting is said before, with the file that it stands in."""
    (tmp_path / "baton.toml").write_text('[devices]\nfile = "devices.toml"\n')
    inventory = tmp_path / "devices.toml"
    words = ["--config", str(tmp_path / "baton.toml")]

    missing = CliRunner().invoke(check, words)
    inventory.write_text('[front]\ndriver = "camra"\n')
    wrong = CliRunner().invoke(check, words)
    inventory.write_text('[front]\ndriver = "simulated-camera"\n')
    right = CliRunner().invoke(check, words)

    assert [1, 1, 0] == [one.exit_code for one in (missing, wrong, right)]
    assert "devices.toml cannot be read" in missing.stderr
    assert f"inventory {inventory}: device 'front' names the driver 'camra'" in wrong.stderr
    assert "[devices]" in right.stdout


def test_what_the_files_of_the_site_have_wrong_is_found_without_a_daemon(tmp_path: Path) -> None:
    """An inventory, for example: the message names the device and what was meant."""
    (tmp_path / "baton.toml").write_text('[devices]\nfile = "devices.toml"\n')
    (tmp_path / "devices.toml").write_text('[front]\ndriver = "simulated-camera"\nsede = 1\n')

    ended = CliRunner().invoke(check, ["--config", str(tmp_path / "baton.toml")])

    assert 1 == ended.exit_code
    assert "device 'front'" in ended.stderr
    assert "did you mean seed?" in ended.stderr
    assert "" == ended.stdout


def test_the_database_of_a_control_plane_is_opened(tmp_path: Path) -> None:
    """Both that the configuration names and that lies in the data directory; none is no error."""
    config = tmp_path / "baton.toml"
    words = ["--config", str(config), "--data-dir", str(tmp_path / "data")]

    def checked(text: str) -> Result:
        config.write_text(text)
        return CliRunner().invoke(check, words)

    none = checked("")
    gone = checked('[cloud]\ndatabase = "postgresql://me@127.0.0.1:1/fleet"\n')
    wrong = checked('[cloud]\ndatabase = "fleet"\n')
    made = (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ledger.db").write_text("no database\n" * 100)
    damaged = checked("")

    assert [0, 1, 1, 1] == [one.exit_code for one in (none, gone, wrong, damaged)]
    assert not made
    assert "cannot use the database postgresql://127.0.0.1/fleet" in gone.stderr
    assert "'fleet' is not postgresql://USER@HOST/DATABASE" in wrong.stderr
    assert "ledger.db: file is not a database" in damaged.stderr


def test_slips_in_handlers_are_noted_and_no_error(tmp_path: Path) -> None:
    """On the error output: what is printed is still the configuration."""
    flow = tmp_path / "flows" / "flow"
    flow.mkdir(parents=True)
    (flow / "workflow.json").write_text(
        '{"name": "flow", "tasks": [{"name": "look", "taskReferenceName": "l"}]}'
    )
    (flow / "tasks.json").write_text("[]")
    (flow / "handlers.py").write_text("HANDLERS = {'lok': print}\n")
    (tmp_path / "baton.toml").write_text('[workflows]\nfolders = ["flows"]\n')

    ended = CliRunner().invoke(check, ["--config", str(tmp_path / "baton.toml")])

    assert 0 == ended.exit_code
    assert "handlers.py: no task is called 'lok'" in ended.stderr
    assert "did you mean 'look'?" in ended.stderr
    assert "Note" not in ended.stdout
