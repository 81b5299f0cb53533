"""Going back, ahead and on with executions, signals to them, and waiting for where they get to.

No HTTP word stands here, and no rule of what follows from what.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from edge.engine import Engine
from edge.model.decision import (
    Jump,
    Rerun,
    ResetCallbacks,
    Skip,
    UpdateTask,
    UpdateVariables,
    Upgrade,
)
from edge.model.definitions import JsonObject
from edge.model.errors import InvalidInput, NotFound
from edge.model.executions import (
    Task,
    TaskStatus,
    Workflow,
    parse_uuid,
    parse_workflow_id,
    task_uuid,
    workflow_uuid,
)
from edge.model.requests import Changed, ExecutionView, StartRequest
from edge.store.trees import is_running_child, read_tree
from edge.transactions import Transaction

_SIGNALED = frozenset({"WAIT", "YIELD"})
"""Kinds that wait for a signal."""

_TIMER = b'"waitTimeout"'
"""What the input of a WAIT holds that ends by itself."""

_LOOK_AGAIN_S = 5.0
"""Longest sleep between two looks at an execution that is waited for; a change wakes at once."""


class Blocked(NamedTuple):
    """Where an execution has got to."""

    view: ExecutionView
    """The execution that was asked for."""
    holder: ExecutionView
    """The execution that holds the task: the same, or one inside it."""
    task: Task | None
    """The task that it waits at; None = at none."""
    timed_out: bool = False
    """Whether it was still on its way when the time had passed."""


class Steering:
    """Operations on whole executions of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waits: set[asyncio.Event] = set()
        """Of those who wait for executions; set when there is something to look at."""
        self._ending = False

    # Back, ahead, on.

    async def rerun(
        self,
        workflow_id: str,
        *,
        task_id: str | None,
        workflow_input: bytes | None,
        task_input: bytes | None,
        correlation_id: str | None,
    ) -> None:
        """Run an ended execution again, from its beginning or from a task, also of a child.

        Raises:
            NotFound: no such execution.
            Conflict: it is running.
            InvalidInput: no such task in it.
        """
        key, ordinal = parse_workflow_id(workflow_id), 0
        target = key
        if task_id:
            parsed = parse_uuid(task_id)
            if parsed is None or not parsed[1]:
                raise InvalidInput(f"Task {task_id} not found")
            target, ordinal = parsed

        def act(transaction: Transaction) -> None:
            transaction.snapshot(key)
            if target != key and not _stands_in(transaction, target, key):
                raise InvalidInput(f"Task {task_id} not found")
            transaction.decide(target, Rerun(ordinal, workflow_input, task_input, correlation_id))

        await self._engine.request(act)

    async def skip(self, workflow_id: str, ref: str, task_input: bytes, output: bytes) -> None:
        """Count a task as done. Raises IllegalState when it cannot be skipped."""
        await self._engine.command(workflow_id, Skip(ref, task_input, output))

    async def jump(self, workflow_id: str, ref: str, task_input: bytes) -> None:
        """Go on from another task. Raises Conflict unless RUNNING, InvalidInput without it."""
        await self._engine.command(workflow_id, Jump(ref, task_input))

    async def upgrade(
        self,
        workflow_id: str,
        name: str,
        version: int | None,
        workflow_input: bytes | None,
        outputs: dict[str, JsonObject],
    ) -> None:
        """Go on by another definition. Raises NotFound without it, Conflict after the end."""
        key = parse_workflow_id(workflow_id)
        command = Upgrade(workflow_input, outputs)
        await self._engine.request(lambda t: t.upgrade(key, name, version, command))

    async def reset_callbacks(self, workflow_id: str) -> None:
        """Hand out at once what waits for its worker's delay. Raises Conflict after the end."""
        await self._engine.command(workflow_id, ResetCallbacks())

    async def update_variables(self, workflow_id: str, values: bytes) -> None:
        """Lay values over the variables. Raises Conflict after the end."""
        await self._engine.command(workflow_id, UpdateVariables(values))

    async def update_state(
        self,
        workflow_id: str,
        *,
        variables: bytes | None,
        ref: str | None,
        status: TaskStatus,
        output: bytes,
    ) -> None:
        """Update variables and a task together.

        Raises:
            NotFound: no such execution, or no such task under way.
        """
        key = parse_workflow_id(workflow_id)

        def act(transaction: Transaction) -> None:
            if ref:
                task = transaction.snapshot(key).pending(ref)
                if task is None:
                    raise NotFound(f"Found no running task with reference name {ref}")
            if variables is not None:
                transaction.decide(key, UpdateVariables(variables))
            if ref:
                self._update(transaction, key, ref, status, output)

        await self._engine.request(act)

    def _update(
        self, transaction: Transaction, key: bytes, ref: str, status: TaskStatus, output: bytes
    ) -> None:
        task = transaction.snapshot(key).pending(ref)
        if task is not None:
            lease = self._engine.hand_over.lease_of((key, task.ordinal))
            transaction.decide(
                key, UpdateTask(task.ordinal, status, output, merge=True, lease=lease)
            )

    # Signals.

    async def signal(self, workflow_id: str, status: TaskStatus, output: bytes) -> str | None:
        """Report the first task that waits for a signal, in an execution or inside it.

        Returns:
            Id of the task; None when none waits.

        Raises:
            NotFound: no such execution.
        """
        key = parse_workflow_id(workflow_id)

        def act(transaction: Transaction) -> str | None:
            found = _waiting(transaction, key)
            if found is None:
                return None
            holder, task = found
            transaction.decide(holder, UpdateTask(task.ordinal, status, output, merge=True))
            return task_uuid(holder, task.ordinal)

        return await self._engine.request(act)

    # Waiting.

    async def start_and_wait(
        self, request: StartRequest, *, refs: list[str], timeout_s: float
    ) -> Blocked:
        """Start a workflow and return where it has got to.

        Raises:
            NotFound: no such definition.
            Conflict: the idempotency key has been used.
        """
        return await self.wait(await self._engine.start(request), refs=refs, timeout_s=timeout_s)

    async def wait(self, workflow_id: str, *, refs: list[str], timeout_s: float) -> Blocked:
        """Wait until an execution has ended, waits for somebody, or is done with a task.

        Args:
            refs: reference names; the end of any of them is enough.
            timeout_s: what is returned then says that the time has passed.

        Raises:
            NotFound: no such execution.
        """
        changed = asyncio.Event()
        around: set[str] = {workflow_id}

        def heard(change: Changed) -> None:
            # Tasks that go from worker to worker are nothing that anybody waits for here.
            worth = change.inner or change.status.terminal or bool(refs)
            if worth and change.workflow_id in around:
                changed.set()

        unsubscribe = self._engine.subscribe(heard)
        self._waits.add(changed)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            while True:
                changed.clear()
                tree = await self._tree(workflow_id)
                around |= tree.keys()
                blocked = _blocked(tree, workflow_id, refs)
                if blocked is not None:
                    return blocked
                left_s = deadline - loop.time()
                if left_s <= 0 or self._ending:
                    view = tree[workflow_id]
                    return Blocked(view, view, None, timed_out=True)
                try:
                    async with asyncio.timeout(min(left_s, _LOOK_AGAIN_S)):
                        await changed.wait()
                except TimeoutError:
                    continue
        finally:
            self._waits.discard(changed)
            unsubscribe()

    def end_waits(self) -> None:
        """Let nobody wait any more: all are told where their executions are, as after their time."""
        self._ending = True
        for changed in self._waits:
            changed.set()

    async def _tree(self, workflow_id: str) -> dict[str, ExecutionView]:
        """An execution and those inside it that have not ended, as of one commit."""
        key = parse_workflow_id(workflow_id)
        shown = self._engine.payloads.shown
        found = await self._engine.database.look(lambda r: list(map(shown, read_tree(r, key))))
        if not found:
            raise NotFound(f"No such workflow found by id: {workflow_id}")
        return {workflow_uuid(view.workflow.id): view for view in found}


def _blocked(tree: dict[str, ExecutionView], workflow_id: str, refs: list[str]) -> Blocked | None:
    """Where the execution has got to; None = it is on its way."""
    view = tree[workflow_id]
    wanted = set(refs)
    for holder in tree.values():
        for task in holder.tasks:
            if task.retried:
                continue
            done = task.status.terminal and (task.ref in wanted or task.step_ref in wanted)
            if done or _waits_for_signal(task):
                return Blocked(view, holder, task)
    if view.workflow.status.terminal:
        return Blocked(view, view, None)
    return None


def _waits_for_signal(task: Task) -> bool:
    """Whether only somebody else can end it."""
    return task.kind in _SIGNALED and not task.status.terminal and _TIMER not in task.input


def _waiting(transaction: Transaction, workflow_id: bytes) -> tuple[bytes, Task] | None:
    """The first task that waits for a signal: the execution's own, then those inside it."""
    waiting = [workflow_id]
    first = True
    while waiting:
        key = waiting.pop()
        snapshot = transaction.snapshot(key) if first else transaction.find(key)
        first = False
        if snapshot is None or snapshot.workflow.status.terminal:
            continue
        tasks = snapshot.open_tasks()
        for task in tasks:
            if task.kind in _SIGNALED:
                return key, task
        waiting += [task.child for task in reversed(tasks) if is_running_child(task)]
    return None


def _stands_in(transaction: Transaction, inner: bytes, outer: bytes) -> bool:
    """Whether an execution is a child, however deep, of another."""
    while inner:
        try:
            workflow: Workflow = transaction.snapshot(inner).workflow
        except NotFound:
            return False
        inner = workflow.parent_id
        if inner == outer:
            return True
    return False
