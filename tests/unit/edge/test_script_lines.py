"""Scripts that are not short: who goes first, and what happens to those that never end."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator

import pytest

from edge import script_lines
from edge.clock import SystemClock
from edge.decider.scripts import ScriptTimedOut
from edge.script_answers import Answer, Question
from edge.script_child.frames import Job, Kind
from edge.script_lines import ScriptLines
from edge.script_processes import Processes

_LONG_S = 25


class _House:
    """Lines with processes, and what has come of the scripts in them."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.processes = Processes(clock)
        self.lines = ScriptLines(self.processes, clock)
        self.ended: list[str] = []
        self._changed = threading.Condition()

    def work(self, name: str, script: str, limit_ms: int = 20_000, **scope: int) -> None:
        """Have a script worked out."""
        document = str(scope).replace("'", '"').encode()
        question = Question("javascript", Job(Kind.VALUE, script.encode(), document, limit_ms))

        def keep(answer: Answer) -> None:
            kind = type(answer.error).__name__ if answer.error else str(answer.value)
            with self._changed:
                self.ended.append(f"{name} {kind}")

        def done() -> None:
            with self._changed:
                self._changed.notify_all()

        self.lines.work(question, None, keep, done)

    def until(self, count: int) -> list[str]:
        """What so many scripts have come to."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.ended) >= count, _LONG_S)
            return list(self.ended)


@pytest.fixture
def house() -> Iterator[_House]:
    """Nobody stands in line yet."""
    made = _House()
    yield made
    made.processes.close()
    made.lines.close()


def _takes(ms: int) -> str:
    return f"const end = Date.now() + {ms}; while (Date.now() < end); 'done'"


def _key(script: str) -> bytes:
    return Question("javascript", Job(Kind.VALUE, script.encode(), b"", 0)).script


def test_scripts_that_never_end_hold_up_only_each_other(house: _House) -> None:
    """A script of some moments comes to its end while four loops occupy or wait for two places."""
    for number in range(4):
        house.work("loop", f"while (true) {{ /* {number} */ }}")
    house.work("moment", _takes(60))

    assert ["moment done"] == house.until(1)


def test_what_is_known_to_be_long_does_not_try_the_first_line_again(house: _House) -> None:
    """Whatever it is shown the next time."""
    loop = "while ($.on) {} 'over'"
    house.work("first", loop, 600, on=1)
    house.until(1)
    assert 1 == house.lines._known[_key(loop)]
    house.work("second", loop, 600, on=1)

    assert ["first ScriptTimedOut", "second ScriptTimedOut"] == house.until(2)
    assert not house.lines.full


def test_what_is_quick_again_is_forgotten(house: _House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It had a bad day, or another input."""
    monkeypatch.setattr(script_lines, "_MEDIUM_MS", 5_000)
    script = "const end = Date.now() + $.ms; while (Date.now() < end); $.ms"
    house.lines.note(_key(script), 1)
    house.work("some moments", script, ms=600)
    house.until(1)
    assert 0 == house.lines._known[_key(script)]
    house.work("quick", script, ms=0)

    assert ["some moments 600", "quick 0"] == house.until(2)
    assert not house.lines.knows(_key(script))


def test_only_so_many_are_remembered(house: _House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten: it is tried as a short one again, which costs a moment."""
    monkeypatch.setattr(script_lines, "_KNOWN", 2)
    for script in (b"a", b"b", b"c"):
        house.lines.note(script)

    assert [False, True, True] == [house.lines.knows(script) for script in (b"a", b"b", b"c")]


def test_all_are_told_of_the_end(house: _House) -> None:
    """Those who are worked on, those in line, and those who come too late."""
    for number in range(5):
        house.work("loop", f"while (true) {{ /* {number} */ }}")
    house.processes.close()
    house.lines.close()
    house.work("late", "1")

    assert 6 == len(house.until(6))
    assert {"loop ScriptFailed", "late ScriptFailed"} == set(house.ended)


def test_a_process_that_does_not_end_at_its_limit_is_ended(
    house: _House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should its own alarm fail, the daemon's patience does not."""
    monkeypatch.setattr(script_lines, "_GRACE_MS", -19_700)
    house.lines.note(_key("while (true) {}"), 1)
    house.work("loop", "while (true) {}", 20_000)

    assert [f"loop {ScriptTimedOut.__name__}"] == house.until(1)


@pytest.mark.parametrize("error", [subprocess.TimeoutExpired("x", 5.0), MemoryError()])
def test_whoever_waits_is_told_what_nobody_foresaw(
    house: _House, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A thread that fails is no reason to wait for ever; the next script has its place."""

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(house.processes, "take", fail)
        house.work("first", "1")
        house.until(1)
    house.work("second", "2")

    assert ["first ScriptFailed", "second 2"] == house.until(2)
    assert not house.lines.full
