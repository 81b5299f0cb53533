"""The processes that stand ready for scripts."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import pytest

from edge.clock import SystemClock
from edge.script_processes import CannotStart, Processes


class _Clock(SystemClock):
    """The machine's, moved forward by the test."""

    ahead_ms = 0

    def monotonic_ms(self) -> int:
        return super().monotonic_ms() + self.ahead_ms


@pytest.fixture
def clock() -> _Clock:
    """A clock that can be moved."""
    return _Clock()


@pytest.fixture
def processes(clock: _Clock) -> Iterator[Processes]:
    """None of them is started yet."""
    made = Processes(clock)
    yield made
    made.close()


def _ready(processes: Processes, language: str = "javascript") -> CannotStart | None:
    """Wait until one stands ready."""
    there = threading.Event()
    outcome: list[CannotStart | None] = []

    def done(error: CannotStart | None) -> None:
        outcome.append(error)
        there.set()

    processes.start_one(language, done)
    assert there.wait(20)
    return outcome[0]


def test_a_process_is_started_when_it_is_needed(processes: Processes) -> None:
    """And serves whoever takes it, until it is given back."""
    assert processes.take("javascript") is None
    assert _ready(processes) is None
    taken = processes.take("javascript")

    assert taken is not None
    assert processes.take("javascript") is None
    processes.give_back(taken)
    assert taken is processes.take("javascript")
    processes.give_back(taken)


def test_one_that_has_given_way_serves_slow_scripts_only(processes: Processes) -> None:
    """Short ones would wait for what others leave of the processor."""
    process = processes.start("jq")
    process.give_way()
    processes.give_back(process)

    assert 10 == os.getpriority(os.PRIO_PROCESS, process.pid)
    assert processes.take("jq") is None
    assert process is processes.take("jq", slow=True)
    processes.give_back(process)


def test_no_more_are_kept_than_are_needed(processes: Processes) -> None:
    """A burst leaves one of them behind."""
    burst = [processes.start("jq") for _ in range(3)]
    for process in burst:
        processes.give_back(process)

    assert [True, False, False] == [process.alive() for process in burst]


def test_those_that_ended_by_themselves_are_not_handed_out(processes: Processes) -> None:
    """Somebody outside has killed it, for its memory perhaps."""
    process = processes.start("jq")
    processes.give_back(process)
    process.kill()
    process._process.wait()

    assert processes.take("jq") is None


def test_those_with_nothing_to_do_give_their_memory_back(
    processes: Processes, clock: _Clock
) -> None:
    """After a minute; one that has just worked is kept."""
    old, new = processes.start("jq"), processes.start("python")
    processes.give_back(old)
    clock.ahead_ms = 40_000
    processes.give_back(new)
    clock.ahead_ms = 70_000

    processes.end_idle()

    assert [False, True] == [old.alive(), new.alive()]


def test_the_end_reaches_all_of_them(processes: Processes) -> None:
    """The idle ones at once; whoever works with one finds out."""
    idle, busy = processes.start("jq"), processes.start("jq")
    processes.give_back(idle)

    processes.close()

    assert not idle.alive()
    assert busy._process.wait(10) < 0
    processes.give_back(busy)
    with pytest.raises(CannotStart):
        processes.start("jq")


def test_a_process_that_cannot_be_started_is_an_error(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no such program, or it ends at once; whoever waits is told."""
    with pytest.raises(CannotStart, match="status 1"):
        processes.start("cobol")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(CannotStart, match="No such file"):
        processes.start("jq")

    error = _ready(processes, "jq")

    assert error is not None
    assert "No such file" in str(error)
