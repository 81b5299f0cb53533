"""``decide``: one step of one execution, from what has happened to everything that shall be written.

Pure: the same Snapshot, Command and time give the same Decision, always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge.decider import children, lifecycle, messages, moves, state_changes, updates
from edge.decider.draft import Draft, FlowBroken, Sources
from edge.decider.flow import TOO_DEEP, fail_broken, run_agenda
from edge.decider.straight import short_way
from edge.model import decision as model
from edge.model.decision import Command, Decision
from edge.model.errors import PayloadLost
from edge.model.snapshot import Snapshot

_COMMANDS: Mapping[type, Callable[[Draft, Any], None]] = {
    model.Start: lambda draft, _: lifecycle.begin(draft),
    model.UpdateTask: updates.update_task,
    model.TimerDue: updates.timer_due,
    model.LeaseExpired: updates.lease_expired,
    model.Pause: lambda draft, _: lifecycle.pause(draft),
    model.Resume: lambda draft, _: lifecycle.resume(draft),
    model.Terminate: lifecycle.terminate,
    model.Retry: lambda draft, _: lifecycle.retry(draft),
    model.Restart: lambda draft, _: lifecycle.restart(draft),
    model.Rerun: moves.rerun,
    model.Admit: lifecycle.admit,
    model.Skip: moves.skip,
    model.Jump: moves.jump,
    model.Upgrade: moves.upgrade,
    model.UpdateVariables: lifecycle.update_variables,
    model.ResetCallbacks: lambda draft, _: lifecycle.reset_callbacks(draft),
    model.LaunchNow: updates.launch_now,
    model.Launched: updates.launched,
    model.LaunchFailed: updates.launch_failed,
    model.Adopted: children.adopted,
    model.ChildEnded: children.child_ended,
    model.ChildReopened: lifecycle.child_reopened,
    model.MessagesArrived: messages.arrived,
    model.PullLater: messages.pull_later,
    model.Started: state_changes.started,
}
"""What each command does; what follows from it is drawn from the agenda."""


def decide(snapshot: Snapshot, command: Command, now_ms: int, sources: Sources) -> Decision:
    """Say what follows from a command.

    Args:
        snapshot: the execution; it is moved forward to the state after the decision.
        command: what has happened.
        now_ms: epoch milliseconds, never earlier than any time in the snapshot.
        sources: what may be asked on the way, such as scripts.

    Returns:
        Everything that shall be written, and nothing else has changed.

    Raises:
        BatonError: the command cannot be obeyed in this state; the snapshot is as it was.
    """
    decision = short_way(snapshot, command, now_ms, sources)
    return long_way(snapshot, command, now_ms, sources) if decision is None else decision


def long_way(snapshot: Snapshot, command: Command, now_ms: int, sources: Sources) -> Decision:
    """The decision on whatever command; see ``decide``."""
    draft = Draft(snapshot, now_ms, sources)
    try:
        if snapshot.lost:
            _give_up(snapshot)
        obey = _COMMANDS.get(type(command))
        assert obey is not None, f"{command!r} is no command"
        obey(draft, command)
        _draw_consequences(draft)
    except FlowBroken as error:
        fail_broken(draft, error)
    changes = draft.changes()
    state_changes.publish(draft, changes)
    return draft.decision(changes)


def _draw_consequences(draft: Draft) -> None:
    """What follows from a command that was obeyed.

    Whoever gave it is not to blame for data too deep, and would try it in vain for ever.

    Raises:
        FlowBroken: it cannot be followed from here.
    """
    try:
        run_agenda(draft)
    except RecursionError as error:
        raise FlowBroken(TOO_DEEP) from error


def _give_up(snapshot: Snapshot) -> None:
    """Nothing can be decided on payloads that are gone: what is under way fails.

    Raises:
        FlowBroken: it is under way.
        PayloadLost: it has ended, and stays as it is.
    """
    if snapshot.workflow.status.terminal:
        raise PayloadLost(snapshot.lost)
    raise FlowBroken(snapshot.lost)
