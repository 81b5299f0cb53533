"""NOOP: does nothing, at once."""

from __future__ import annotations

from edge.model.executions import WorkflowStatus
from tests.unit.edge.playbook import NOW_MS, Playbook, step


def test_noop_completes_at_once() -> None:
    """No output, no queue, and the flow goes on."""
    play = Playbook(step("n", "NOOP", startDelay=9))

    play.start()

    assert ["1 n 0 COMPLETED"] == play.rows()
    assert WorkflowStatus.COMPLETED == play.status
    assert {} == play.output("n")
    task = play.task("n")
    assert task.queue is None
    assert NOW_MS == task.started_ms == task.ended_ms
    assert 0 == task.deliver_ms == task.start_delay_s
