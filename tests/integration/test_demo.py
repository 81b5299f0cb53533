"""``make demo`` for half a minute: broker, control plane, device, camera, analysis, sync, all real."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge.demo.stage import Stage

pytestmark = [pytest.mark.timeout(170), pytest.mark.real, pytest.mark.xdist_group("demo")]
"""One after the other: each takes the first addresses that are free."""


@pytest.mark.parametrize("broker", ["auto", "embedded"])
def test_everything_arrives(tmp_path: Path, broker: str) -> None:
    """Exit status 0 says that every event was analysed, was right, was published and arrived."""
    command = [sys.executable, "-m", "edge.demo", "--seconds", "25", "--folder", str(tmp_path)]
    done = subprocess.run(
        [*command, "--broker", broker], capture_output=True, text=True, check=False, timeout=160
    )
    logs = "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in tmp_path.glob("*.log"))

    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}\n{logs}"
    assert re.search(r"events seen +[1-9]", done.stdout)
    assert "PASSED" in done.stdout


def _working_in(folder: Path) -> list[str]:
    """What runs in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Others' are not to be seen, and processes end.
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """Whoever ends the demonstration, broker, control plane and device end with it."""
    command = [sys.executable, "-m", "edge.demo", "--folder", str(tmp_path), "--broker", "embedded"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        # One that does not end would be waited for without an end.
        watchdog = threading.Timer(120, demo.kill)
        watchdog.start()
        said = [next(line for line in demo.stdout if line.startswith("device console"))]
        assert 3 <= len(_working_in(tmp_path)), "broker, control plane and device"
        demo.terminate()
        said += demo.stdout.readlines()
        ended = demo.wait()
        watchdog.cancel()
    # Whoever is told to end by the end of another needs a moment.
    deadline = time.monotonic() + 20
    while (left := _working_in(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert (0, []) == (ended, left), said
    assert any("stopping" in line for line in said)


def test_two_that_start_at_once(tmp_path: Path) -> None:
    """Neither takes the ports that the other found free."""
    stages = [Stage(tmp_path / name) for name in ("one", "other")]
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda stage: stage.start_plane(embedded_broker=True), stages))
        assert [None, None] == [stage.ended() for stage in stages]
        assert 2 == len({stage.broker_port for stage in stages})
        assert 2 == len({stage.cloud_url for stage in stages})
    finally:
        for stage in stages:
            stage.stop()


_TOLD_BY_A_THREAD = """
import signal, threading
from edge.demo import __main__ as demo

# As those of a library that draws or reckons: begun before, and not asked to leave signals alone.
done = threading.Event()
other = threading.Thread(target=done.wait)
other.start()
demo._ask_between_looks()
signal.pthread_kill(other.ident, signal.SIGTERM)
try:
    for _ in range(50):
        demo._pause(0.1)
except KeyboardInterrupt:
    print("asked")
done.set()
"""


def test_an_end_that_a_thread_of_a_library_hears() -> None:
    """It is asked for between two looks as well, and interrupts nothing."""
    said = subprocess.run(
        [sys.executable, "-c", _TOLD_BY_A_THREAD], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert "asked" == said.stdout.strip(), said.stderr
