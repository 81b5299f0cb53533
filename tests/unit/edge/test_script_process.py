"""One process for scripts, the real one: asked, waited for, ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.script_child.frames import Job, Kind, Reply, Verdict
from edge.script_process import ProcessEnded, ScriptProcess

_LONG_MS = 20_000
_MEMORY_BYTES = 128 * 1024 * 1024


def _started(language: str) -> ScriptProcess:
    process = ScriptProcess(language, _MEMORY_BYTES, SystemClock())
    assert process.wait(_LONG_MS) is not None
    return process


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[ScriptProcess]:
    """A process that is ready; JavaScript unless the test says otherwise."""
    started = _started(getattr(request, "param", "javascript"))
    yield started
    started.end()


def _job(expression: str, scope: bytes = b'{"a":1}', limit_ms: int = _LONG_MS) -> Job:
    return Job(Kind.VALUE, expression.encode(), scope, limit_ms)


def _runs(pid: int) -> bool:
    """Whether a process is there and not only waits to be noticed as dead."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


@pytest.mark.parametrize(
    ("process", "script", "value"),
    [
        ("javascript", "$.a + 1", b"2"),
        ("jq", ".a + 1", b"[2]"),
        ("python", "return a + 1", b"2"),
    ],
    indirect=["process"],
)
def test_job_after_job(process: ScriptProcess, script: str, value: bytes) -> None:
    """One process serves one after the other."""
    pid = process.pid
    for _ in range(3):
        process.ask(_job(script))

        assert Reply(Verdict.VALUE, value) == process.wait(_LONG_MS)
        assert (pid, True) == (process.pid, process.alive())


def test_large_jobs_and_replies_come_through(process: ScriptProcess) -> None:
    """Larger than any pipe, in both directions."""
    text = b"x" * 3_000_000
    process.ask(_job("$ + $", scope=b'"' + text + b'"'))

    reply = process.wait(_LONG_MS)

    assert reply is not None
    assert b'"' + text + text + b'"' == reply.body


def test_whoever_waits_can_come_back(process: ScriptProcess) -> None:
    """A reply that has not come is not lost."""
    process.ask(_job("const end = Date.now() + 100; while (Date.now() < end); 'late'"))

    assert process.wait(1) is None
    assert Reply(Verdict.VALUE, b'"late"') == process.wait(_LONG_MS)


def test_what_cannot_be_interrupted_ends_with_its_process(process: ScriptProcess) -> None:
    """A single call of a built-in function that would take minutes; the alarm of the process ends it."""
    process.ask(_job("'a'.repeat(4e5).indexOf('a'.repeat(2e5) + 'b')", limit_ms=50))

    with pytest.raises(ProcessEnded) as ended:
        process.wait(_LONG_MS)
    assert -signal.SIGALRM == ended.value.status
    assert not process.alive()


def test_a_process_that_is_killed_is_known_to_be(process: ScriptProcess) -> None:
    """By whoever waits for it, and by whoever asks it the next time."""
    process.ask(_job("while (true) {}"))
    process.kill()

    with pytest.raises(ProcessEnded) as ended:
        process.wait(_LONG_MS)
    assert -signal.SIGKILL == ended.value.status
    process.ask(_job("1"))
    with pytest.raises(ProcessEnded):
        process.wait(_LONG_MS)


@pytest.mark.parametrize("process", ["python"], indirect=True)
def test_the_end_of_a_process_is_the_end_of_its_copies(process: ScriptProcess) -> None:
    """A Python script runs in a copy, which must not go on for nobody."""
    process.ask(_job("while True: pass"))
    assert process.wait(50) is None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.end()

    assert children
    for child in children:
        while _runs(int(child)):
            os.sched_yield()


def test_the_surroundings_are_not_passed_on(
    process: ScriptProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that asks for the environment finds nothing in it."""
    monkeypatch.setenv("BATON_SECRET", "x")
    fresh = _started("jq")
    fresh.ask(_job("$ENV | keys"))
    reply = fresh.wait(_LONG_MS)
    fresh.end()

    assert Reply(Verdict.VALUE, b"[[]]") == reply


def test_a_process_that_breaks_the_rules_is_ended(process: ScriptProcess) -> None:
    """What comes without having been asked for is no reply."""
    process.ask(_job("1"))
    process._received += b"\xff" * 100

    with pytest.raises(ProcessEnded):
        process.wait(_LONG_MS)
    assert not process.alive()
