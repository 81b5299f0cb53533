"""An execution as it changes, told once each, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from edge.cli import follow
from edge.cli.client import Client, Refused, Unreachable


def execution(status: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    """An execution as the API shows it."""
    return {
        "workflowId": "w",
        "status": status,
        "createTime": 10,
        "updateTime": 20,
        "endTime": 40 if status in follow.ENDED else 0,
        "tasks": list(tasks),
    }


def task(ref: str, status: str, **fields: Any) -> dict[str, Any]:
    """A task as the API shows it."""
    return {"taskId": ref, "referenceTaskName": ref, "status": status, **fields}


def test_each_state_is_told_once_in_the_order_of_time() -> None:
    """With the moment at which it came about; the end of the whole comes last."""
    told: dict[str, str] = {}
    first = follow.states(
        execution("RUNNING", task("b", "SCHEDULED", scheduledTime=30, retryCount=1)), told
    )
    second = follow.states(
        execution(
            "FAILED",
            task("b", "FAILED", endTime=40, retryCount=1, reasonForIncompletion="no"),
            task("a", "IN_PROGRESS", startTime=35),
        ),
        told,
    )

    assert [(10, "", "RUNNING", 1), (30, "b", "SCHEDULED", 2)] == [one[:4] for one in first]
    assert [(35, "a", "IN_PROGRESS"), (40, "b", "FAILED"), (40, "", "FAILED")] == [
        one[:3] for one in second
    ]
    assert ("no", 2) == (second[1].reason, second[1].attempt)
    assert [] == follow.states(execution("FAILED"), told)


class _Daemon(Client):
    """Answers from a script: an execution, or an error that is raised."""

    def __init__(self, hints: list[Any], answers: list[Any]) -> None:
        super().__init__("http://nowhere")
        self._hints, self._answers = hints, answers

    def hints(self) -> Any:
        for hint in self._hints:
            if isinstance(hint, Exception):
                raise hint
            yield hint

    def call(self, *_: Any, **__: Any) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def changes(daemon: Client) -> Iterator[dict[str, Any]]:
    """Nobody waits in these tests."""
    return follow.changes(daemon, "w", pause=lambda _: None)


def test_it_is_read_after_each_hint() -> None:
    """At once, and when the daemon speaks of it or gives a sign of life; not for others."""
    hints = [{}, {"workflowId": "other"}, {"workflowId": "w"}, {}]
    daemon = _Daemon(hints, [execution("RUNNING"), execution("RUNNING"), execution("COMPLETED")])

    seen = [one["status"] for one in changes(daemon)]
    assert ["RUNNING", "RUNNING", "COMPLETED"] == seen


def test_without_hints_it_is_looked_at_again_and_again() -> None:
    """Where too many streams are open, or the server knows none."""
    daemon = _Daemon([Refused("no stream", 404)], [execution("RUNNING"), execution("COMPLETED")])

    assert 2 == len(list(changes(daemon)))


def test_a_restart_of_the_daemon_is_waited_for() -> None:
    """Nothing is lost by it, so nothing is said."""
    hints = [{}, Unreachable("gone")]
    daemon = _Daemon(hints, [execution("RUNNING"), Unreachable("gone"), execution("COMPLETED")])

    assert ["RUNNING", "COMPLETED"] == [one["status"] for one in changes(daemon)]


def test_a_daemon_that_was_never_there_is_not_waited_for() -> None:
    """Nor one that stays away for too long."""
    with pytest.raises(Unreachable):
        next(changes(_Daemon([Unreachable("gone")], [])))
    answers = [execution("RUNNING"), *(Unreachable("gone") for _ in range(100))]
    with pytest.raises(Unreachable):
        list(changes(_Daemon([{}], answers)))
    assert len(answers) > 30


def test_the_stream_of_all_is_opened_again() -> None:
    """When it ends or the daemon restarts; not for ever, and not when it was never there."""
    daemon = _Daemon([{"workflowId": "a"}, Unreachable("gone")], [])
    heard = follow.hints(daemon, pause=lambda _: None)

    assert ["a", "a", "a"] == [next(heard)["workflowId"] for _ in range(3)]
    with pytest.raises(Unreachable):
        next(follow.hints(_Daemon([Unreachable("gone")], []), pause=lambda _: None))
