"""A Decision while it is being made: the Snapshot that moves, and what has changed so far.

No rule of any task type stands here.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import msgspec

from edge.decider import policies
from edge.decider.discreet import DiscreetScripts
from edge.decider.expressions import SnapshotLookup, resolve
from edge.decider.outside import NOBODY, NOTHING, NOWHERE, Outputs, Outside, Polls
from edge.decider.schemas import task_output_fault
from edge.decider.scripts import Scripts
from edge.model.calls import Call
from edge.model.decision import Decision, LogLine, Publication
from edge.model.definitions import JsonObject, TaskDefinition, WorkflowTask
from edge.model.elapsed import NO_JUMPS, Jumps
from edge.model.executions import (
    EMPTY,
    ORDINAL_BITS,
    Task,
    TaskStatus,
    Workflow,
    WorkflowStatus,
    task_uuid,
    workflow_uuid,
)
from edge.model.outputs import KeptOutput
from edge.model.snapshot import Snapshot, step_of

_FAILED_FOR_GOOD = TaskStatus.FAILED_WITH_TERMINAL_ERROR


class Definitions(Protocol):
    """The registered task definitions as they are now, for steps that the definition lacks."""

    def task_definition(self, name: str) -> TaskDefinition | None:
        """The definition of this name; None = nobody registered one."""
        ...


class Sources(NamedTuple):
    """Everything outside the Snapshot that a decision may ask. None of it changes anything."""

    scripts: Scripts
    definitions: Definitions
    outside: Outside = NOWHERE
    polls: Polls = NOBODY
    outputs: Outputs = NOTHING
    jumps: Jumps = NO_JUMPS
    """How much less time has passed between two stamps than they say."""


Change = tuple[Task, Task | None]
"""A record and what it was before the decision; None = it is new."""


class FlowBroken(Exception):
    """The definition cannot be followed from here: the workflow fails with this message."""


class Ending(NamedTuple):
    """How the workflow ends."""

    status: WorkflowStatus
    reason: str | None
    task: int
    """Ordinal of the task that ended it; 0 = none."""
    output: bytes | None = None
    """None: the output parameters of the definition say what it is."""
    failure_workflow: bool = True
    """Whether an end that is no success starts the failure workflow."""


class Lap(NamedTuple):
    """One iteration of a loop, as the steps inside it see it."""

    loop: int = 0
    """Ordinal of the DO_WHILE record; 0 = no loop is around the step."""
    iteration: int = 0
    """From 1."""
    suffix: str = ""
    """What it adds to reference names."""

    @staticmethod
    def around(task: Task) -> Lap:
        """The iteration that a record belongs to."""
        return Lap(task.loop, task.iteration, task.suffix)

    @staticmethod
    def of(loop: Task, iteration: int) -> Lap:
        """An iteration of a loop; in a loop inside a loop the suffixes stand side by side."""
        return Lap(loop.ordinal, iteration, f"{loop.suffix}__{iteration}")


NO_LAP = Lap()


class Visit(NamedTuple):
    """The flow arrives at a step."""

    step: WorkflowTask
    lap: Lap = NO_LAP
    """The iteration around the step."""
    replaces: Task | None = None
    """The attempt that failed before; None = this is the first."""
    delay_s: int = 0
    """Seconds before a worker may have the new attempt."""
    jitter_ms: int = 0
    """Milliseconds on top of them; the record does not show these."""
    brought: bool = False
    """Whether the definition lacks the step: the record then brings it along."""
    posted: JsonObject | None = None
    """Laid over the step's own input."""
    attempt: int = 0
    """Number of the attempt, when it replaces none."""

    def delay(self) -> tuple[int, int]:
        """Seconds that the record shows, and milliseconds that a worker waits.

        What no worker polls runs at once, the first time and again.
        """
        delay_s = self.step.start_delay if self.replaces is None else self.delay_s
        return delay_s, delay_s * 1000 + self.jitter_ms

    @property
    def ref(self) -> str:
        """Reference name of the record."""
        return self.step.task_reference_name + self.lap.suffix


class Draft:
    """What one decision has come to so far.

    Args:
        snapshot: moved forward as the decision is made.
        now_ms: the moment of the decision.
        sources: what may be asked.
    """

    def __init__(self, snapshot: Snapshot, now_ms: int, sources: Sources) -> None:
        self.snapshot = snapshot
        self.now_ms = now_ms
        self.sources = sources
        self.outside = sources.outside
        self.jumps = sources.jumps
        self._task_most = sources.outside.limits.task_most
        self.agenda: deque[int] = deque()
        """Ordinals of finished records whose consequences are still to be drawn."""
        self.ending: Ending | None = None
        self.publications: list[Publication] = []
        self.logs: list[LogLine] = []
        self.calls: list[Call] = []
        self.kept: list[KeptOutput] = []
        self._held: list[Callable[[], None]] | None = None
        """What begins once the forks that are being opened are open; None = none is."""
        self._queued: set[int] = set()
        self._before: dict[int, Task | None] = {}
        """What the records that were touched were before; None = they are new."""
        self._workflow_before: Workflow | None = snapshot.workflow
        self._dropped: list[int] = []
        self._next_ordinal = snapshot.next_ordinal

    # Looking up.

    @property
    def scripts(self) -> Scripts:
        """Evaluates scripts, whose input may refer to secrets."""
        return DiscreetScripts(self.sources.scripts, self.outside)

    def passed_s(self, since_ms: int) -> int:
        """Whole seconds that have passed since a stamp."""
        return self.jumps.passed_ms(since_ms, self.now_ms) // 1000

    def step(self, task: Task) -> WorkflowTask:
        """The step of the definition that a record is an attempt at."""
        own = step_of(task) if task.step is not None else None
        if own is not None:
            return own
        ref = task.step_ref
        place = self.snapshot.pinned.outline.place(ref) or self.snapshot.outline_of(ref).place(ref)
        if place is None:
            raise FlowBroken(f"the definition has no task with the reference {task.step_ref}")
        return place.step

    def input_of(self, visit: Visit, ordinal: int) -> JsonObject:
        """A step's input with its expressions replaced, and the template of its definition.

        A new attempt starts from the input of the one it replaces.
        """
        step = visit.step
        template = policies.settings(step).input_template
        parameters = {**template, **step.input_parameters} if template else step.input_parameters
        values: JsonObject = resolve(
            parameters, SnapshotLookup(self.snapshot, ordinal, self.outside)
        )
        for key, raw in template.items():
            if values.get(key) is None:
                values[key] = raw
        if visit.posted:
            values |= visit.posted
        if visit.replaces is None:
            return values
        return {**self.snapshot.parsed(visit.replaces.ordinal, "input"), **values}

    def resolve(self, value: Any) -> Any:
        """A value with its expressions replaced, seen from the workflow as it stands."""
        return resolve(value, SnapshotLookup(self.snapshot, outside=self.outside))

    # Forks.

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        """A fork is being opened: its branches and its JOIN have their records first."""
        if self._held is not None:
            yield
            return
        held = self._held = []
        try:
            yield
        finally:
            self._held = None
        for begin in held:
            begin()

    def once_open(self, begin: Callable[[], None]) -> None:
        """Do something now, or when the forks that are being opened are open."""
        if self._held is None:
            begin()
        else:
            self._held.append(begin)

    # Changing.

    @property
    def next_ordinal(self) -> int:
        """The number that the next new record will have."""
        return self._next_ordinal

    def new_ordinal(self) -> int:
        """A number for a new record.

        Raises:
            FlowBroken: the execution has had as many records as it can have.
        """
        if self._next_ordinal >> ORDINAL_BITS:
            raise FlowBroken(f"an execution cannot have more than {2**ORDINAL_BITS - 1} tasks")
        self._next_ordinal += 1
        return self._next_ordinal - 1

    def add(
        self,
        visit: Visit,
        status: TaskStatus,
        *,
        values: JsonObject | None = None,
        output: JsonObject | None = None,
        ordinal: int = 0,
        type_: str | None = None,
        name: str | None = None,
        queue: str | None = None,
        reason: str | None = None,
        due_ms: int = 0,
        domain: str | None = None,
    ) -> Task:
        """Create a record.

        Args:
            visit: the step, and the attempt that the record replaces.
            status: where the record starts; a terminal one is put on the agenda.
            values, output: its input, resolved from the step when None, and its output.
            ordinal: when the caller has taken one already.
            type_, name: taskType and taskDefName; the step's type and name when None.
            queue: where workers find it; None = nowhere.
            due_ms: when the decider has to look at it, besides the deadlines of its definition.
            reason: why it failed, if it did.
            domain: of the workers that may have it.
        """
        step, old = visit.step, visit.replaces
        ordinal = ordinal or self.new_ordinal()
        if values is None:
            values = self.input_of(visit, ordinal)
        delay_s, wait_ms = (0, 0) if queue is None else visit.delay()
        task = Task(
            ordinal=ordinal,
            seq=self.snapshot.next_seq,
            ref=visit.ref,
            kind=step.type,
            type=type_ or step.type,
            name=name or step.name,
            status=status,
            attempt=old.attempt + 1 if old else visit.attempt,
            iteration=visit.lap.iteration,
            loop=visit.lap.loop,
            suffix=visit.lap.suffix,
            input=msgspec.json.encode(values) if values else EMPTY,
            output=msgspec.json.encode(output) if output else EMPTY,
            scheduled_ms=self.now_ms,
            first_scheduled_ms=old.first_scheduled_ms if old else self.now_ms,
            started_ms=self.now_ms if queue is None else 0,
            updated_ms=self.now_ms,
            ended_ms=self.now_ms if status.terminal else 0,
            due_ms=due_ms,
            deliver_ms=self.now_ms + wait_ms if wait_ms else 0,
            start_delay_s=delay_s,
            callback_after_s=delay_s,
            # Until it has a result of its own, an attempt shows why there had to be one.
            reason=old.reason if old and not status.terminal else reason,
            retried_from=old.ordinal if old else 0,
            queue=queue,
            domain=domain,
            step=brought_step(step) if visit.brought else None,
        )
        task = self._with_deadline(step, self._admitted(task))
        self.put(task)
        if task.status.terminal:
            self.agenda.append(ordinal)
        return task

    def _admitted(self, task: Task) -> Task:
        """A new record, or what becomes of it when its payloads are not to be had."""
        if task.status is TaskStatus.SCHEDULED and len(task.input) <= self._task_most:
            return task
        said = (task.status, task.reason, task.output, task.output_path)
        status, reason, output = self._judged(task, *said)
        fields: JsonObject = {"status": status, "reason": reason, "output": output}
        if len(task.input) > self._task_most:
            reason = self._too_large(task, len(task.input))
            fields |= {"status": _FAILED_FOR_GOOD, "reason": reason, "input": EMPTY}
        if fields["status"] is task.status:
            return task
        # It is not done at all: nobody gets it.
        over = {"queue": None, "deliver_ms": 0, "due_ms": 0, "ended_ms": self.now_ms}
        return msgspec.structs.replace(task, **fields, **over)

    def _judged(
        self, task: Task, status: TaskStatus, reason: str | None, output: bytes, path: str | None
    ) -> tuple[TaskStatus, str | None, bytes]:
        """What a record comes to when its output is held to its limit and to its schema."""
        if len(output) > self._task_most and path is None:
            return _FAILED_FOR_GOOD, self._too_large(task, len(output)), EMPTY
        if status is not TaskStatus.COMPLETED:
            return status, reason, output
        settings = policies.settings(self.step(task))
        fault = task_output_fault(self.outside, settings, output)
        return (status, reason, output) if fault is None else (_FAILED_FOR_GOOD, fault, output)

    def _too_large(self, task: Task, size: int) -> str:
        workflow_id = workflow_uuid(self.snapshot.workflow.id)
        return (
            f"The payload size: {size} of task: {self.task_id(task.ordinal)} in workflow: "
            f"{workflow_id}  is greater than the permissible limit: "
            f"{self._task_most} bytes"
        )

    def _with_deadline(self, step: WorkflowTask, task: Task) -> Task:
        moment = policies.next_deadline_ms(step, task, self.jumps)
        if not moment or 0 < task.due_ms <= moment:
            return task
        return msgspec.structs.replace(task, due_ms=moment)

    def put(self, task: Task) -> None:
        """Add or replace a record."""
        self._before.setdefault(task.ordinal, self.snapshot.tasks.get(task.ordinal))
        self.snapshot.put(task)

    def change(self, task: Task, **fields: Any) -> Task:
        """Replace fields of a record; a finished record stops waiting for anything."""
        if "output" in fields:
            fields.setdefault("output_path", None)
        status: TaskStatus = fields.get("status", task.status)
        if status.terminal:
            fields["due_ms"] = fields["deliver_ms"] = 0
        changed: Task = msgspec.structs.replace(task, **fields)
        self.put(changed)
        return changed

    def requeue(self, task: Task) -> None:
        """Let workers have a SCHEDULED record once more."""
        self._queued.add(task.ordinal)

    def finish(self, task: Task, status: TaskStatus, **fields: Any) -> Task:
        """End a record and put it on the agenda; an output that must not be fails it."""
        reason, output = fields.get("reason", task.reason), fields.get("output", task.output)
        path = None if "output" in fields else task.output_path
        path = fields.get("output_path", path)
        status, reason, judged = self._judged(task, status, reason, output, path)
        if judged is not output:
            fields["output"] = judged
        fields |= {"reason": reason, "status": status}
        fields["ended_ms"] = fields["updated_ms"] = self.now_ms
        done = self.change(task, **fields)
        self.agenda.append(task.ordinal)
        return done

    def begin(self) -> None:
        """Say that the execution is new: its record has never been written."""
        self._workflow_before = None

    def moved_before(self) -> None:
        """Say that the record was changed on the way here: it is written whatever is decided."""
        self._workflow_before = None

    def change_workflow(self, **fields: Any) -> None:
        """Replace fields of the workflow's record."""
        if "input" in fields:
            fields.setdefault("input_path", None)
        workflow = msgspec.structs.replace(self.snapshot.workflow, updated_ms=self.now_ms, **fields)
        self.snapshot.put_workflow(workflow)

    def end(self, ending: Ending) -> None:
        """Let the workflow end; the first ending of a decision counts."""
        if self.ending is None:
            self.ending = ending

    def drop(self, ordinals: list[int]) -> None:
        """Take finished records away; their ordinals are not used again."""
        self.snapshot.drop(ordinals)
        for ordinal in ordinals:
            # A record that this very decision made has never been written.
            if self._before.pop(ordinal, self) is not None:
                self._dropped.append(ordinal)
        if self.snapshot.workflow.next_ordinal < self._next_ordinal:
            self.change_workflow(next_ordinal=self._next_ordinal)

    def clear_tasks(self) -> None:
        """Take all records away, for a restart; their ordinals are not used again."""
        self._dropped += self.snapshot.clear()
        self._before.clear()
        self.change_workflow(next_ordinal=self._next_ordinal)

    def task_id(self, ordinal: int) -> str:
        """Id of a record as text."""
        return task_uuid(self.snapshot.workflow.id, ordinal)

    def changes(self) -> list[Change]:
        """The records that are not as they were."""
        records = self.snapshot.tasks
        return [
            (task, old)
            for ordinal, old in sorted(self._before.items())
            if (task := records[ordinal]) is not old and task != old
        ]

    def decision(self, changes: list[Change]) -> Decision:
        """Everything that is not as it was, records among it."""
        workflow, before = self.snapshot.workflow, self._workflow_before
        tasks: list[Task] = []
        moved: list[int] = []
        queued: list[int] = []
        ended: list[int] = []
        for task, old in changes:
            tasks.append(task)
            was = None if old is None else old.status
            if was is not task.status:
                moved.append(task.ordinal)
                if task.status.terminal and (was is None or not was.terminal):
                    ended.append(task.ordinal)
            if self._enters_queue(task, was):
                queued.append(task.ordinal)
        return Decision(
            workflow=None if workflow is before or workflow == before else workflow,
            tasks=tuple(tasks),
            dropped=tuple(self._dropped),
            publications=tuple(self.publications),
            logs=tuple(self.logs),
            calls=tuple(self.calls),
            kept=tuple(self.kept),
            moved=tuple(moved),
            queued=tuple(queued),
            ended=tuple(ended),
        )

    def _enters_queue(self, task: Task, was: TaskStatus | None) -> bool:
        if task.queue is None or task.status is not TaskStatus.SCHEDULED:
            return False
        return was is not TaskStatus.SCHEDULED or task.ordinal in self._queued


def brought_step(step: WorkflowTask) -> bytes:
    """A step as its record keeps it: only what is not at its default, for there may be thousands."""
    return msgspec.json.encode(
        {
            shown: value
            for name, shown, usual in _STEP_FIELDS
            if (value := getattr(step, name)) != usual
        }
    )


_STEP_FIELDS = tuple(
    (field.name, field.encode_name, getattr(WorkflowTask(), field.name))
    for field in msgspec.structs.fields(WorkflowTask)
)
"""Attribute, name in JSON and default; looked up once, for asking a struct is slow."""
