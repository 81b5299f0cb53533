"""The stock Conductor SDK for JavaScript, unmodified, in Node, against a real daemon.

The cases stand in ``tests/acceptance/js``; each of them is a test here. No part of Baton runs in
Node, and none of the SDK is replaced.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.tidiness.tree import ROOT

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("conductor-javascript")]

_SCRIPTS = Path(__file__).with_name("js")

_PACKAGES = ROOT / ".venv" / "js"

_CASE = re.compile(r'^test\("([^"]+)"', re.MULTILINE)


def _cases() -> list[tuple[str, str]]:
    """File and name of every case, read from the files: Node may not be there yet."""
    return [
        (script.stem, name)
        for script in sorted(_SCRIPTS.glob("*.mjs"))
        for name in _CASE.findall(script.read_text())
    ]


class _Results:
    """Runs each file once, and keeps what it said of its cases.

    Args:
        url: of the daemon.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._said: dict[str, dict[str, str | None]] = {}
        self._errors: dict[str, str] = {}

    def of(self, script: str, case: str) -> str | None:
        """What went wrong; None = nothing did."""
        if script not in self._said:
            self._run(script)
        if case not in self._said[script]:
            return f"the case did not run: {self._errors[script]}"
        return self._said[script][case]

    def _run(self, script: str) -> None:
        process = subprocess.Popen(
            ["node", str(_SCRIPTS / f"{script}.mjs"), f"{self._url}/api", str(_PACKAGES)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        late = ""
        try:
            out, errors = process.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            # With all that it has started; what its cases came to until then still counts.
            os.killpg(process.pid, signal.SIGKILL)
            out, errors = process.communicate()
            late = "it was not through in three minutes: "
        results = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        self._said[script] = {result["name"]: result["error"] for result in results}
        self._errors[script] = f"{late}{errors[-2_000:]}"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Results]:
    """A daemon for all cases, and what they came to."""
    if shutil.which("node") is None:
        pytest.fail("Node is missing: sudo apt-get install nodejs npm, then make test")
    if not (_PACKAGES / ".complete").is_file():
        pytest.fail("The JavaScript SDK is missing: run packaging/setup/js-packages.sh")
    with Daemon(tmp_path_factory.mktemp("sdk-js") / "data") as daemon:
        yield _Results(daemon.url)


@pytest.mark.parametrize(("script", "case"), _cases())
def test_the_stock_sdk(results: _Results, script: str, case: str) -> None:
    """What the case says of the SDK holds against the daemon."""
    error = results.of(script, case)

    assert error is None, error


def test_the_sdk_is_the_package_of_its_registry() -> None:
    """What is installed is the pinned version, by its checksum, and nothing tells where from."""
    pins = json.loads((ROOT / "packaging/requirements/js/package-lock.json").read_text())
    packages = {name: pin for name, pin in pins["packages"].items() if name}
    sdk = packages["node_modules/@io-orkes/conductor-javascript"]
    installed = _PACKAGES / "node_modules/@io-orkes/conductor-javascript/package.json"

    assert all(pin["integrity"].startswith("sha512-") for pin in packages.values())
    assert not any("resolved" in pin for pin in packages.values())
    assert sdk["version"] == json.loads(installed.read_text())["version"].removeprefix("v")
