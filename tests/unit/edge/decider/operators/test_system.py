"""HTTP: scheduled like any other task, for a handler of the daemon."""

from __future__ import annotations

from edge.model.executions import TaskStatus
from tests.unit.edge.playbook import NOW_MS, Playbook, step


def test_http_waits_in_a_queue_of_its_own() -> None:
    """Nothing is sent by the decider; a domain does not apply."""
    play = Playbook(
        step(
            "h",
            "HTTP",
            name="call",
            startDelay=3,
            inputParameters={"uri": "http://x/${workflow.input.p}"},
        )
    )

    play.start({"p": 1}, task_to_domain={"*": "lab"})

    task = play.task("h")
    assert TaskStatus.SCHEDULED == task.status
    assert ("HTTP", "call", "HTTP", None) == (task.type, task.name, task.queue, task.domain)
    assert {"uri": "http://x/1"} == play.input("h")
    assert NOW_MS + 3_000 == task.deliver_ms


def test_http_is_retried_like_a_workers_task() -> None:
    """A failed call has the retries of its task definition."""
    play = Playbook(step("h", "HTTP", settings={"retryCount": 1, "retryDelaySeconds": 4}))
    play.start()

    play.fail("h")

    assert ["1 h 0 FAILED", "2 h 1 SCHEDULED"] == play.rows()
    assert NOW_MS + 4_000 == play.task("h").deliver_ms
