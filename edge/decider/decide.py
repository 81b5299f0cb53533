"""``decide``: one step of one execution, from what has happened to everything that shall be written.

Pure: the same Snapshot, Command and time give the same Decision, always.
"""

from __future__ import annotations

from typing import assert_never

from edge.decider import lifecycle, updates
from edge.decider.discreet import DiscreetScripts
from edge.decider.draft import Draft, FlowBroken
from edge.decider.flow import fail_broken, run_agenda
from edge.decider.outside import NOWHERE, Outside
from edge.decider.scripts import Scripts
from edge.model.decision import (
    Command,
    Decision,
    LeaseExpired,
    Pause,
    Restart,
    Resume,
    Retry,
    Snapshot,
    Start,
    Terminate,
    TimerDue,
    UpdateTask,
)


def decide(
    snapshot: Snapshot,
    command: Command,
    now_ms: int,
    scripts: Scripts,
    outside: Outside = NOWHERE,
) -> Decision:
    """Say what follows from a command.

    Args:
        snapshot: the execution; it is moved forward to the state after the decision.
        command: what has happened.
        now_ms: epoch milliseconds, never earlier than any time in the snapshot.
        scripts: evaluates scripts.
        outside: knows what is not in the execution.

    Returns:
        Everything that shall be written, and nothing else has changed.

    Raises:
        BatonError: the command cannot be obeyed in this state; the snapshot is as it was.
    """
    draft = Draft(snapshot, now_ms, DiscreetScripts(scripts, outside), outside)
    try:
        _apply(draft, command)
        run_agenda(draft)
    except FlowBroken as error:
        fail_broken(draft, error)
    return draft.decision()


def _apply(draft: Draft, command: Command) -> None:
    match command:
        case Start():
            lifecycle.start(draft)
        case UpdateTask():
            updates.update_task(draft, command)
        case TimerDue():
            updates.timer_due(draft, command)
        case LeaseExpired():
            updates.lease_expired(draft, command)
        case Pause():
            lifecycle.pause(draft)
        case Resume():
            lifecycle.resume(draft)
        case Terminate():
            lifecycle.terminate(draft, command)
        case Retry():
            lifecycle.retry(draft)
        case Restart():
            lifecycle.restart(draft)
        case _:
            assert_never(command)
