"""START_WORKFLOW: what it asks for; what follows is tested with a whole engine."""

from __future__ import annotations

import pytest

from edge.model.calls import Launch
from edge.model.decision import Launched, LaunchNow
from tests.unit.edge.playbook import Playbook, step


def test_it_asks_for_what_the_request_says() -> None:
    """An inline definition, a key and a priority go along; it is nobody's child."""
    request = {
        "name": "other", "version": 2, "input": {"x": 1}, "priority": 9,
        "idempotencyKey": "k", "idempotencyStrategy": "FAIL", "taskToDomain": {"a": "d"},
        "workflowDef": {"name": "other", "tasks": [step("a")]}, "unknown": True,
    }  # fmt: skip
    play = Playbook(
        step("s", "START_WORKFLOW", inputParameters={"startWorkflow": request}), step("z")
    )
    (call,) = play.start(correlation_id="corr").calls

    assert isinstance(call, Launch)
    assert ("other", 2, b'{"x":1}', 9, "k", "FAIL", {"a": "d"}, "corr", False, 0) == (
        call.name, call.version, call.input, call.priority, call.idempotency_key,
        call.idempotency_strategy, call.task_to_domain, call.correlation_id, call.child, call.depth,
    )  # fmt: skip
    play.do(Launched(1, bytes(16)))
    assert {"s": "COMPLETED", "z": "SCHEDULED"} == play.states()


def test_a_request_is_read_leniently() -> None:
    """Expressions bring numbers where texts are wanted, and texts of numbers."""
    request = {"name": "other", "version": "2", "priority": "9", "correlationId": 5}
    play = Playbook(step("s", "START_WORKFLOW", inputParameters={"startWorkflow": request}))
    (call,) = play.start().calls

    assert isinstance(call, Launch)
    assert (2, 9, "5") == (call.version, call.priority, call.correlation_id)


def test_a_priority_out_of_range_is_refused() -> None:
    """The message names the field."""
    request = {"name": "other", "priority": 100}
    play = Playbook(step("s", "START_WORKFLOW", inputParameters={"startWorkflow": request}))
    play.start()

    assert "'priority'" in (play.task("s").reason or "")


@pytest.mark.parametrize("limit", ["concurrentExecLimit", "rateLimitPerFrequency"])
def test_a_limited_one_waits_in_its_queue(limit: str) -> None:
    """Only the queue knows whether there is room: it is launched when it is taken from there."""
    parameters = {"startWorkflow": {"name": "other"}}
    play = Playbook(step("s", "START_WORKFLOW", inputParameters=parameters, settings={limit: 1}))

    decision = play.start()
    assert ((), (1,)) == (decision.calls, decision.queued)

    (call,) = play.do(LaunchNow(1)).calls
    assert isinstance(call, Launch)
