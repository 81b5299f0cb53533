"""onStateChange: which changes are published, where to, and with what."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.model.decision import Decision, Started, UpdateTask
from edge.model.executions import TaskStatus
from tests.unit.edge.playbook import NOW_MS, Playbook, step

_ALL = "onScheduled, onStart,onSuccess,onFailed,onCancelled"


def _step(ref: str = "a", kind: str = "SIMPLE", /, **more: Any) -> dict[str, Any]:
    events = more.pop(
        "events", {_ALL: [{"type": "moved", "payload": {"n": "${workflow.input.n}"}}]}
    )
    return step(ref, kind, onStateChange=events, **more)


def _told(decision: Decision) -> list[str]:
    return [msgspec.json.decode(one.payload)["state"] for one in decision.publications]


def test_a_worker_task_tells_its_whole_life() -> None:
    """Scheduled with the decision, started with the hand-over, and its end."""
    play = Playbook(_step())
    scheduled = play.start({"n": 1})
    started = play.do(Started(1, NOW_MS + 5))
    again = play.do(Started(1, NOW_MS + 9))
    done = play.complete("a")

    assert (["onScheduled"], ["onStart"], [], ["onSuccess"]) == tuple(
        _told(one) for one in (scheduled, started, again, done)
    )
    assert NOW_MS + 5 == play.task("a").started_ms
    (publication,) = done.publications
    assert (f"{play.id('a')}-onSuccess-0", "conductor:play:moved") == (
        publication.message_id,
        publication.sink,
    )
    message = msgspec.json.decode(publication.payload)
    assert {"n": 1, "taskReferenceName": "a", "taskStatus": "COMPLETED"}.items() <= message.items()
    assert play.id("a") == message["taskId"]


def test_an_answer_tells_of_a_start_that_was_not_told() -> None:
    """When nothing was written at the hand-over, the answer is the first that is known of it."""
    play = Playbook(_step())
    play.start()

    assert ["onStart", "onSuccess"] == _told(play.complete("a"))


def test_what_runs_at_once_tells_all_at_once() -> None:
    """In the order of a life."""
    play = Playbook(_step("a", "NOOP"))

    assert ["onScheduled", "onStart", "onSuccess"] == _told(play.start())


def test_failures_and_attempts() -> None:
    """Each attempt tells of itself; a failure that is tolerated is one; a timeout too."""
    play = Playbook(_step(optional=True, settings={"retryCount": 1, "retryDelaySeconds": 0}))
    play.start()
    first = play.fail("a")
    second = play.fail("a")

    assert ["onStart", "onFailed", "onScheduled"] == _told(first)
    assert ["onStart", "onFailed"] == _told(second)
    assert TaskStatus.COMPLETED_WITH_ERRORS == play.task("a").status


def test_a_workflow_that_ends_tells_what_is_cancelled() -> None:
    """Of each task that was open."""
    play = Playbook(_step())
    play.start()

    assert ["onCancelled"] == _told(play.terminate())


def test_only_what_is_asked_for_is_told() -> None:
    """Several events for one state, none for the others."""
    events = {
        "onSuccess": [
            {"type": "mqtt:site/${workflow.input.where}", "payload": {"got": "${a.output.x}"}},
            {"type": "conductor:done"},
        ],
        "onNothing": [{"type": "never"}],
    }
    play = Playbook(_step(events=events))
    scheduled = play.start({"where": "roof"})
    done = play.complete("a", {"x": 7})

    assert () == scheduled.publications
    assert ["mqtt:site/roof", "conductor:play:done"] == [one.sink for one in done.publications]
    assert 7 == msgspec.json.decode(done.publications[0].payload)["got"]
    assert 2 == len({one.message_id for one in done.publications})


@pytest.mark.parametrize("type_", ["mqtt:a/#", "mqtt:", "kafka:t"])
def test_a_type_that_is_no_topic_is_a_name(type_: str) -> None:
    """Nothing is refused in the middle of a run for a word in the definition."""
    play = Playbook(_step(events={"onScheduled": [{"type": type_}]}))

    assert [f"conductor:play:{type_}"] == [one.sink for one in play.start().publications]


def test_a_payload_that_is_too_large_is_left_out() -> None:
    """What has happened is told all the same."""
    events = {"onScheduled": [{"type": "t", "payload": {"x": "y" * 100_000}}]}
    play = Playbook(_step(events=events))
    message = msgspec.json.decode(play.start().publications[0].payload)

    assert ("onScheduled", False) == (message["state"], "x" in message)
    assert message["truncated"] > 100_000


def test_updates_that_change_no_state_tell_nothing() -> None:
    """A worker that is still at work, once it has begun."""
    play = Playbook(_step())
    play.start()
    first = play.do(UpdateTask(1, TaskStatus.IN_PROGRESS))
    second = play.do(UpdateTask(1, TaskStatus.IN_PROGRESS))

    assert (["onStart"], []) == (_told(first), _told(second))
