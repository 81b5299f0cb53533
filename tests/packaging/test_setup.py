"""Set-up on a bare machine: what is installed, what is said instead, and what CI makes of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tidiness.tree import ROOT, files, shown, text_of

SETUP = ROOT / "packaging" / "setup"

SCRIPTS = [path for path in files() if (text_of(path) or "").startswith("#!")]


class Machine:
    """A folder of programs that stands for a machine: each notes how it was called.

    Args:
        folder: becomes the only one where programs are looked for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        for name in ("cat", "dirname", "env", "grep", "mktemp", "rm", "sh", "tail", "tee", "bash"):
            found = shutil.which(name)
            assert found is not None
            (folder / name).symlink_to(found)

    def add(self, name: str, *, status: int = 0, says: str = "") -> None:
        """Let there be a program that says something and ends with a status."""
        program = self.folder / name
        said = f"cat <<'SAID'\n{says}\nSAID\n" if says else ""
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.notes}"\n{said}exit {status}\n')
        program.chmod(0o755)

    def run(self, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script of ours on that machine."""
        return subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": str(self.folder)},
        )

    def called(self) -> str:
        """How the programs were called, a line each."""
        return self.notes.read_text() if self.notes.exists() else ""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which nothing is installed."""
    machine = Machine(tmp_path)
    machine.add("dpkg-query", status=1)
    return machine


@pytest.mark.parametrize("script", SCRIPTS, ids=shown)
def test_scripts_are_executable_and_parse(script: Path) -> None:
    """A script starts as it is, and its shell understands all of it."""
    first = (text_of(script) or "").splitlines()[0]

    assert os.access(script, os.X_OK), f"chmod +x {shown(script)}"
    if shell := re.search(r"\b(sh|bash)$", first):
        parsed = subprocess.run([shell[1], "-n", script], capture_output=True, check=False)
        assert b"" == parsed.stderr


def test_scripts_please_shellcheck() -> None:
    """The usual traps of shells are not in them."""
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    shells = [path for path in SCRIPTS if re.match(r"#!.*\b(ba)?sh\b", text_of(path) or "")]
    checked = subprocess.run(["shellcheck", *shells], capture_output=True, text=True, check=False)

    assert "" == checked.stdout


def test_nothing_happens_when_everything_is_installed(tmp_path: Path) -> None:
    """A second run asks for no rights and no network."""
    machine = Machine(tmp_path)
    machine.add("dpkg-query", says="installed")

    assert 0 == machine.run(SETUP / "debian-packages.sh", "OpenCV", "libgl1").returncode
    assert "apt-get" not in machine.called()


def test_root_installs_what_is_missing(machine: Machine) -> None:
    """As root the packages are installed without a question."""
    machine.add("id", says="0")
    machine.add("apt-get")

    done = machine.run(SETUP / "debian-packages.sh", "OpenCV", "libgl1", "libglib2.0-0")

    assert 0 == done.returncode, done.stderr
    assert re.search(
        r"apt-get install .*--yes .*libgl1 libglib2.0-0$", machine.called(), re.MULTILINE
    )


def test_old_package_lists_will_do(machine: Machine) -> None:
    """Without network, packages that lie in the cache are installed all the same."""
    machine.add("id", says="0")
    machine.add("apt-get")
    program = machine.folder / "apt-get"
    program.write_text(program.read_text().replace("exit 0", '[ "$1" != update ]'))

    done = machine.run(SETUP / "debian-packages.sh", "OpenCV", "libgl1")

    assert 0 == done.returncode
    assert machine.called().index("update") < machine.called().index("install")


def test_a_user_is_told_what_to_type(machine: Machine) -> None:
    """Without rights nothing is tried, and the very command is said."""
    machine.add("id", says="1000")
    machine.add("apt-get")
    machine.add("sudo", status=1)

    done = machine.run(SETUP / "debian-packages.sh", "OpenCV", "libgl1", "libglib2.0-0")

    assert 1 == done.returncode
    assert "sudo apt-get install libgl1 libglib2.0-0" in done.stderr
    assert "apt-get install" not in machine.called()


def test_a_sudo_without_password_is_used(machine: Machine) -> None:
    """Passwordless sudo is as good as being root."""
    machine.add("id", says="1000")
    machine.add("apt-get")
    machine.add("sudo")

    assert 0 == machine.run(SETUP / "debian-packages.sh", "tests", "ffmpeg").returncode
    assert re.search(r"sudo -n env .*apt-get install .*ffmpeg$", machine.called(), re.MULTILINE)


def test_no_python_is_said_with_what_to_type(machine: Machine) -> None:
    """Where every Python is too old or none is there, the remedy is one line."""
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        machine.add(name, status=1)
    script = machine.folder / "find-python.sh"
    # The last resort by its full path is there on this machine.
    script.write_text((SETUP / "find-python.sh").read_text().replace("/usr/bin/python3", "none"))
    script.chmod(0o755)

    done = machine.run(script)

    assert 1 == done.returncode
    assert "sudo apt-get install python3 python3-venv" in done.stderr


def test_the_first_python_that_is_new_enough_is_taken(machine: Machine) -> None:
    """A name that exists and does not run, as version switchers leave them, is passed over."""
    machine.add("python3", status=127)
    machine.add("python3.11", status=1)
    machine.add("python3.12")

    assert f"{machine.folder}/python3.12\n" == machine.run(SETUP / "find-python.sh").stdout


def test_make_lists_every_target() -> None:
    """Bare make tells what there is, a line each."""
    listing = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    wanted = {"setup", "check", "quick", "test", "demo", "bench", "soak", "package"}

    assert set() == wanted - set(re.findall(r"^  make (\w+) +\w", listing, re.MULTILINE))


@pytest.mark.parametrize(
    ("says", "status", "expected"),
    [
        ("===== 3 passed in 1.20s =====", 0, 0),
        ("===== 1 failed, 2 passed in 1.20s =====", 2, 2),
        ("===== 3 passed in 1.20s =====", 2, 2),
        ("nothing to see", 0, 5),
        ("===== no tests ran in 0.10s =====", 2, 2),
    ],
)
def test_ci_passes_on_what_make_said(tmp_path: Path, says: str, status: int, expected: int) -> None:
    """CI is red when make is, and when no test ran at all; the summary is its last word."""
    machine = Machine(tmp_path)
    machine.add("make", status=status, says=says)

    done = machine.run(ROOT / ".ci" / "run")

    assert expected == done.returncode
    last = done.stdout.splitlines()[-1]
    assert (says if "passed" in says else "No test ran.") == last
