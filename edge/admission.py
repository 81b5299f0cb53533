"""Workflows with a ``rateLimitConfig``: how many executions with the same key run at once.

An execution that must wait is RUNNING and ``rate_limited``, and nothing of it is scheduled; whoever
ends lets the next one in, within the same transaction. Runs on the disk thread.
"""

from __future__ import annotations

import sqlite3

import msgspec

from edge.decider.expressions import SnapshotLookup, resolve
from edge.decider.java_text import java_text
from edge.model.calls import Tell
from edge.model.decision import Admit, Command, Rerun, Restart, Retry, Start
from edge.model.definitions import RateLimitConfig
from edge.model.errors import RateLimited
from edge.model.executions import Pinned, Workflow, workflow_uuid
from edge.model.snapshot import Snapshot
from edge.store.executions import Executions
from edge.store.metadata import Metadata
from edge.store.rate_limits import Group, RateLimits
from edge.store.search import running

ADMITTED_AT_ONCE = 100
"""Executions that one request lets in. An execution that ends as soon as it begins lets in the next
one, and so on; the rest follows at once, but behind whatever else waits for the disk."""

_MAX_KEY = 500
"""Characters of a key that count; input goes into it, and it is part of each record."""


class Admission:
    """Who may run, asked before each decision and told after it.

    Args:
        executions, metadata: give the open executions of a workflow and their definitions.
    """

    def __init__(self, executions: Executions, metadata: Metadata) -> None:
        self._executions = executions
        self._metadata = metadata
        self._limits = RateLimits(self._read_open)
        self._admitted = 0

    def judge(self, connection: sqlite3.Connection, snapshot: Snapshot, command: Command) -> None:
        """Mark an execution that is about to begin, or to begin again, if it has to wait.

        Raises:
            RateLimited: its definition would rather have it refused, or it cannot wait.
        """
        workflow = snapshot.workflow
        if not isinstance(command, Start) and not (
            workflow.status.terminal and isinstance(command, Retry | Restart | Rerun)
        ):
            return
        config = _config(snapshot.pinned)
        if config is None:
            if workflow.rate_limit_key is not None:
                _mark(snapshot, None, waits=False)
            return
        if isinstance(command, Rerun) and command.input is not None:
            # The key is that of the input with which it is going to run.
            snapshot.put_workflow(msgspec.structs.replace(workflow, input=command.input))
        key = _key(config, snapshot)
        group = Group(workflow.name, key)
        full = not self._limits.has_room(connection, group, config.concurrent_exec_limit)
        if full and config.policy == "REJECT":
            raise RateLimited(
                f"{config.concurrent_exec_limit} executions of workflow {group.name} with the "
                f"rate limit key {key!r} are running; start another when one of them has ended"
            )
        if full and isinstance(command, Rerun) and command.ordinal:
            raise RateLimited(
                f"Workflow {workflow_uuid(workflow.id)} cannot rerun from a task while "
                f"{config.concurrent_exec_limit} executions with the rate limit key {key!r} are "
                "running; try again when one of them has ended"
            )
        _mark(snapshot, key, waits=full)

    def concerns(self, before: Workflow, after: Workflow) -> bool:
        """Whether ``settle`` has anything to do; nearly always it has not."""
        return before.rate_limit_key is not None or after.rate_limit_key is not None

    def settle(
        self,
        connection: sqlite3.Connection,
        before: Workflow,
        snapshot: Snapshot,
        command: Command,
    ) -> tuple[Tell, ...]:
        """Take over what has become of an execution; returns what others are to be told."""
        after = snapshot.workflow
        old, new = _group(before), _group(after)
        told: list[Tell] = []
        if old is not None and old != new:
            self._limits.leave(connection, old, after.id)
            told += self._admit(connection, old)
        if new is None:
            return tuple(told)
        if after.waits:
            config = _config(snapshot.pinned)
            limit = config.concurrent_exec_limit if config is not None else 1
            self._limits.wait(connection, new, after.id, limit)
            if isinstance(command, Admit):
                # It has been put off: its own timer comes back to it.
                return tuple(told)
        elif after.rate_limited:
            # In a pause it gives up its place.
            self._limits.leave(connection, new, after.id)
        else:
            self._limits.run(connection, new, after.id)
            return tuple(told)
        return (*told, *self._admit(connection, new))

    def keep(self) -> None:
        """The request is done."""
        self._admitted = 0
        self._limits.keep()

    def discard(self) -> None:
        """The request has failed."""
        self._admitted = 0
        self._limits.discard()

    def forget_all(self) -> None:
        """After a ROLLBACK: what is in memory is ahead of the disk."""
        self._admitted = 0
        self._limits.forget_all()

    def _admit(self, connection: sqlite3.Connection, group: Group) -> list[Tell]:
        left = max(0, ADMITTED_AT_ONCE - self._admitted)
        admitted, following = self._limits.admit(connection, group, left)
        self._admitted += len(admitted)
        told = [Tell(workflow_id, Admit()) for workflow_id in admitted]
        if following is not None:
            told.append(Tell(following, Admit(later=True)))
        return told

    def _read_open(self, connection: sqlite3.Connection, name: str) -> list[tuple[Workflow, int]]:
        self._executions.fold(connection)
        found: list[tuple[Workflow, int]] = []
        for workflow in running(connection, name):
            if workflow.rate_limit_key is not None:
                config = _config(self._metadata.pinned(connection, workflow.pinned))
                limit = config.concurrent_exec_limit if config is not None else 1
                found.append((workflow, limit))
        return found


def _config(pinned: Pinned) -> RateLimitConfig | None:
    """The limit of a definition, if it has one that limits anything."""
    config = pinned.definition.rate_limit_config
    if config is None or config.concurrent_exec_limit <= 0 or not config.rate_limit_key:
        return None
    return config


def _key(config: RateLimitConfig, snapshot: Snapshot) -> str:
    """The key with its expressions replaced; what is missing counts as one key, ``null``."""
    value = resolve(config.rate_limit_key, SnapshotLookup(snapshot))
    text = value if isinstance(value, str) else java_text(value)
    return text[:_MAX_KEY]


def _mark(snapshot: Snapshot, key: str | None, *, waits: bool) -> None:
    snapshot.put_workflow(
        msgspec.structs.replace(snapshot.workflow, rate_limit_key=key, rate_limited=waits)
    )


def _group(workflow: Workflow) -> Group | None:
    """Where an execution is counted; None = nowhere, or not any more."""
    if workflow.rate_limit_key is None or workflow.status.terminal:
        return None
    return Group(workflow.name, workflow.rate_limit_key)
