"""What a request remembers from one try to the next."""

from __future__ import annotations

import threading

import pytest

from edge.clock import RandomIds
from edge.decider.scripts import ScriptNeedsTime
from edge.memory import Memory
from edge.scripts import Evaluators

_SLOW = "const end = Date.now() + 150; while (Date.now() < end); $.at"


def test_ids_are_the_same_in_each_try() -> None:
    """What a script is shown must not change between the tries."""
    ids = RandomIds()
    with Evaluators() as evaluators:
        memory = Memory(evaluators)
        memory.begin(1_000)
        first = [memory.workflow_id(ids), memory.workflow_id(ids)]
        memory.begin(2_000)
        again = [memory.workflow_id(ids), memory.workflow_id(ids), memory.workflow_id(ids)]

    assert first == again[:2]
    assert 3 == len(set(again))


def _try(memory: Memory, now_ms: int) -> int | None:
    """Carry out a request that shows the moment to a slow script; None = it needs time."""
    memory.begin(now_ms)
    try:
        return int(memory.scripts.evaluate(_SLOW, {"at": memory.now_ms}))
    except ScriptNeedsTime as need:
        there = threading.Event()
        need.begin(there.set)
        assert there.wait(20)
        return None


def test_a_slow_script_that_is_shown_the_moment_is_answered_in_the_end() -> None:
    """When it was asked in vain, the request happens at the moment at which it was asked last."""
    with Evaluators(20.0) as evaluators:
        evaluators.evaluate("1", {})
        memory = Memory(evaluators)

        assert _try(memory, 1_000) is None
        assert _try(memory, 2_000) is None
        assert 2_000 == _try(memory, 3_000)
        assert 2_000 == memory.now_ms


def test_otherwise_a_request_happens_when_it_is_carried_out() -> None:
    """Deadlines that it sets count from its last try."""
    with Evaluators(20.0) as evaluators:
        evaluators.evaluate("1", {})
        memory = Memory(evaluators)
        for moment in (1_000, 2_000):
            memory.begin(moment)
            try:
                assert 5 == memory.scripts.evaluate(_SLOW, {"at": 5})
            except ScriptNeedsTime as need:
                there = threading.Event()
                need.begin(there.set)
                assert there.wait(20)
                continue
            assert 2_000 == memory.now_ms
            break
        else:
            pytest.fail("the script was never answered")
