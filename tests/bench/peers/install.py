"""Installs the peers, pinned by their checksums, into a folder of their own.

What they run stands beside this file; nothing of them is on the path of Baton.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.figures import NotMeasured

_PINS = Path(__file__).parent

_INSTALL_WITHIN_S = 900.0
"""Restate alone is 220 MB; a line that needs longer is better told than waited for."""


class Peers:
    """The peers of one folder; each is installed when it is first asked for.

    Args:
        folder: of theirs; made if it is not there.
        say: shows what is being installed.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder.resolve()
        self._say = say

    def dbos_python(self) -> Path:
        """A Python that has DBOS.

        Raises:
            NotMeasured: it cannot be installed here.
        """
        folder, pins = self._folder / "dbos", _PINS / "requirements.txt"
        python = folder / "bin" / "python"
        if _has(folder, pins):
            return python
        self._say("installing DBOS")
        shutil.rmtree(folder, ignore_errors=True)
        _call("DBOS", [sys.executable, "-m", "venv", folder])
        _call(
            "DBOS",
            [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install",
             "--quiet", "--no-deps", "--require-hashes", "--requirement", pins],
        )  # fmt: skip
        shutil.copy(pins, folder / ".complete")
        return python

    def restate(self) -> Path:
        """A folder whose ``node_modules`` hold Restate's server and its SDK.

        Raises:
            NotMeasured: it cannot be installed here.
        """
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise NotMeasured("Restate needs Node: type `sudo apt-get install nodejs npm`")
        folder, pins = self._folder / "restate", _PINS / "package-lock.json"
        if _has(folder, pins):
            return folder
        self._say("installing Restate, 220 MB")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(_PINS / "package.json", folder)
        shutil.copy(pins, folder)
        # What its packages would run after the installation reports it to somebody.
        _call(
            "Restate",
            ["npm", "ci", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund"],
        )
        shutil.copy(pins, folder / ".complete")
        return folder


def restate_server(folder: Path) -> Path:
    """The server's program in the folder of ``Peers.restate``.

    Raises:
        NotMeasured: there is none for this kind of machine.
    """
    found = sorted(folder.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    if not found:
        raise NotMeasured("Restate's packages hold no server for this kind of machine")
    return found[0]


def _has(folder: Path, pins: Path) -> bool:
    """Whether what the pins name has been installed completely."""
    complete = folder / ".complete"
    return complete.is_file() and filecmp.cmp(complete, pins, shallow=False)


def _call(name: str, command: list[str | Path]) -> None:
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_INSTALL_WITHIN_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"{name} could not be installed: {error}") from error
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise NotMeasured(f"{name} could not be installed: {last[:200]}")
