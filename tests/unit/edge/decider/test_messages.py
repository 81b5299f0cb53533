"""Messages to an execution: who asks for them, and when."""

from __future__ import annotations

from typing import Any

from edge.model.calls import Pull
from edge.model.decision import MessagesArrived, PullLater
from tests.unit.edge.playbook import Playbook, fork, join, step


def _pull(ref: str = "p") -> dict[str, Any]:
    return step(ref, "PULL_WORKFLOW_MESSAGES")


def test_messages_wake_whoever_waits() -> None:
    """All that wait ask again, the one that has waited longest first; nothing is changed."""
    play = Playbook(fork("f", [_pull("a")], [_pull("b")], [step("w", "WAIT")]), join("j"))
    play.start()

    decision = play.do(MessagesArrived())

    assert [play.task("a").ordinal, play.task("b").ordinal] == [
        call.ordinal for call in decision.calls if isinstance(call, Pull)
    ]
    assert () == decision.tasks


def test_a_task_that_is_put_off_asks_again_by_itself() -> None:
    """A moment later, by its timer, and only once."""
    play = Playbook(_pull())
    play.start()
    play.do(PullLater(1))
    due_ms = play.task("p").due_ms
    again = play.after(1).timer("p")

    assert play.now_ms - 999 == due_ms
    assert (Pull(1, 1, True),) == again.calls
    assert 0 == play.task("p").due_ms
