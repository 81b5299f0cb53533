"""The units hold the daemon tightly, and ask of it only what it does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tidiness.tree import ROOT, python_files

UNITS = sorted((ROOT / "packaging" / "systemd").glob("*.service"))
_BY_NAME = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)

_EXPOSURE_LIMIT = 20
"""In tenths: 2.0 of 10. A unit without any of the switches has 9.6."""

_LOOSENED = {
    "baton.service": {
        "IPAddressDeny",
        "PrivateDevices",
        "PrivateNetwork",
        "PrivateUsers",
        "ProcSubset",
    },
    "baton-cloud.service": {"IPAddressDeny", "PrivateNetwork"},
}
"""Switches that a unit leaves open."""


def _settings(unit: Path) -> dict[str, list[str]]:
    """Every value of each key, whatever its section."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@_BY_NAME
def test_exposure_is_low(unit: Path) -> None:
    """systemd's own judgement of what a broken daemon could reach stays below 2.0."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    judged = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--no-pager",
            "--offline=true",
            f"--threshold={_EXPOSURE_LIMIT}",
            str(unit),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == judged.returncode, judged.stdout + judged.stderr


@_BY_NAME
def test_syntax_is_known(unit: Path) -> None:
    """systemd finds nothing wrong but that the program is not installed here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [
        line
        for line in checked.stderr.splitlines()
        if unit.name in line and "/opt/baton/bin/baton is not executable" not in line
    ]

    assert [] == complaints


@_BY_NAME
def test_network_is_wanted_and_never_required(unit: Path) -> None:
    """A box without network starts."""
    settings = _settings(unit)

    assert ["network-online.target"] == settings["Wants"]
    assert "Requires" not in settings
    assert "BindsTo" not in settings


@_BY_NAME
def test_daemon_runs_as_nobody_in_particular(unit: Path) -> None:
    """Each role has a user of its own, made by sysusers, and no capability."""
    settings = _settings(unit)
    users = (ROOT / "packaging" / "systemd" / "baton.sysusers").read_text()

    assert [unit.stem] == settings["User"]
    assert re.search(rf"^u {unit.stem}\s", users, re.MULTILINE)
    assert [""] == settings["CapabilityBoundingSet"]
    assert ["yes"] == settings["NoNewPrivileges"]


@_BY_NAME
def test_file_system_and_devices_are_closed(unit: Path) -> None:
    """Only the state directory is written, and only named classes of devices are opened."""
    settings = _settings(unit)

    assert ["strict"] == settings["ProtectSystem"]
    assert ["closed"] == settings["DevicePolicy"]
    assert ["0077"] == settings["UMask"]
    assert ["0700"] == settings["StateDirectoryMode"]
    assert all(re.fullmatch(r"char-\w+ rw", allowed) for allowed in settings.get("DeviceAllow", []))


@_BY_NAME
def test_every_open_switch_has_its_reason(unit: Path) -> None:
    """What is left open is told in the unit, beside the reason."""
    told = set(re.findall(r"^#   (\w+)[= ].*\w", unit.read_text(), re.MULTILINE))

    assert _LOOSENED[unit.name] == told
    settings = _settings(unit)
    assert not [name for name in told if settings.get(name, ["no"]) != ["no"]]


@_BY_NAME
def test_daemon_feeds_the_watchdog_that_waits_for_it(unit: Path) -> None:
    """A unit with a watchdog would kill a daemon that gives no signs of life."""
    settings = _settings(unit)
    told = "".join(path.read_text() for path in python_files("edge"))

    assert ["notify"] == settings["Type"]
    assert "READY=1" in told
    assert int(settings["WatchdogSec"][0]) >= 20
    assert "WATCHDOG=1" in told


@_BY_NAME
def test_program_and_configuration_are_what_the_package_installs(unit: Path) -> None:
    """The unit starts a verb that exists, with an example that is shipped."""
    command = _settings(unit)["ExecStart"][0].split()
    verbs = {"baton.service": "run", "baton-cloud.service": "cloud"}

    assert ["/opt/baton/bin/baton", verbs[unit.name]] == command[:2]
    configuration = Path(command[command.index("--config") + 1])
    assert Path("/etc/baton") == configuration.parent
    assert (ROOT / "packaging" / "config" / configuration.name).is_file()
