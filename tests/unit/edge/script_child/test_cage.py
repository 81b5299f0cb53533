"""The limits of a script's process: tried out by a process that wants to break out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_KNOWN_MACHINE = os.uname().machine in ("x86_64", "aarch64") and sys.maxsize > 2**32

_HEAD = """
import errno, json, os, resource, socket, sys
from edge.script_child import cage

def refused(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    except MemoryError:
        return "MEMORY"
    return "DONE"

def tell(**facts):
    os.write(1, json.dumps(facts).encode())
    os._exit(0)
"""


def _caged(body: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", _HEAD + textwrap.dedent(body), *arguments],
        env={"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)},
        capture_output=True,
        timeout=25,
        check=False,
    )


def test_nothing_can_be_opened() -> None:
    """No file, no socket, no pipe; the pipes that are open still work."""
    done = _caged("""
        cage.enter(64 << 20)
        tell(
            file=refused(lambda: open("/etc/passwd")),
            folder=refused(lambda: os.listdir("/")),
            socket=refused(lambda: socket.socket()),
            pipe=refused(os.pipe),
            copy=refused(lambda: os.dup(0)),
        )
    """)

    assert 0 == done.returncode, done.stderr
    assert set(json.loads(done.stdout).values()) <= {"EPERM", "EMFILE"}


@pytest.mark.skipif(not _KNOWN_MACHINE, reason="the filter knows the calls of 64-bit x86 and ARM")
def test_nothing_outside_can_be_touched(tmp_path: Path) -> None:
    """No file removed, no process made, none sent a signal, no limit raised again."""
    victim = tmp_path / "victim"
    victim.write_text("alive")
    done = _caged(
        """
        cage.enter(64 << 20)
        tell(
            removed=refused(lambda: os.unlink(sys.argv[1])),
            renamed=refused(lambda: os.rename(sys.argv[1], sys.argv[1] + "2")),
            forked=refused(os.fork),
            became=refused(lambda: os.execv("/bin/true", ["true"])),
            signalled=refused(lambda: os.kill(os.getppid(), 0)),
            raised=refused(lambda: resource.prlimit(0, resource.RLIMIT_NOFILE, (9, 9))),
        )
        """,
        str(victim),
    )

    assert 0 == done.returncode, done.stderr
    assert {"EPERM"} == set(json.loads(done.stdout).values())
    assert "alive" == victim.read_text()


def test_memory_is_bounded() -> None:
    """What is beyond the limit is not given; what is within it still is."""
    done = _caged("""
        cage.enter(64 << 20)
        tell(
            large=refused(lambda: bytearray(80 << 20)),
            small=refused(lambda: bytearray(30 << 20)),
        )
    """)

    assert {"large": "MEMORY", "small": "DONE"} == json.loads(done.stdout), done.stderr


def test_time_is_bounded() -> None:
    """The alarm ends a process that does nothing but compute, and one that has called it off lives."""
    assert -signal.SIGALRM == _caged("cage.end_after(50)\nwhile True: pass").returncode
    done = _caged("""
        cage.enter(64 << 20)
        cage.end_after(60_000)
        cage.end_after(0)
        tell()
    """)
    assert 0 == done.returncode, done.stderr


def test_a_process_ends_with_the_one_that_made_it() -> None:
    """A script's process whose maker is gone would compute for nobody."""
    done = _caged("""
        ready, told = os.pipe()
        if os.fork() == 0:
            cage.end_with_parent()
            os.write(told, b"x")
            while True: pass
        os.read(ready, 1)
        # The standard output stays open in the other process, until it ends too.
        os._exit(0)
    """)

    assert 0 == done.returncode, done.stderr
