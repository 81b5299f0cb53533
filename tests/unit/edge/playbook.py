"""A playbook for the decider: command in, decision out, in reading order.

Every decision that a test takes is held against the laws that no decision may break: it carries the
records that differ and no others, and a Snapshot read again from the records is the live one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.decider.decide import decide, long_way
from edge.decider.draft import Sources
from edge.decider.outside import NOWHERE
from edge.decider.scripts import ScriptFailed, ScriptTimedOut
from edge.decider.straight import short_way
from edge.model.decision import (
    Command,
    Decision,
    Lease,
    LeaseExpired,
    Pause,
    Restart,
    Resume,
    Retry,
    Start,
    Terminate,
    TimerDue,
    UpdateTask,
)
from edge.model.definitions import (
    JsonObject,
    TaskDefinition,
    WorkflowDefinition,
    WorkflowTask,
)
from edge.model.executions import (
    EMPTY,
    Pinned,
    Task,
    TaskStatus,
    Workflow,
    WorkflowStatus,
    task_uuid,
)
from edge.model.snapshot import Snapshot

NOW_MS = 1_700_000_000_000
WORKFLOW_ID = bytes(range(12)) + bytes(4)

Step = dict[str, Any]
"""A step as its author posts it."""


# Steps.


def step(ref: str, kind: str = "SIMPLE", **fields: Any) -> Step:
    """A step whose name is its reference; ``settings`` are those of its task definition."""
    settings = fields.pop("settings", None)
    if settings is not None:
        fields["taskDefinition"] = {"name": ref, **settings}
    return {"name": ref, "taskReferenceName": ref, "type": kind, **fields}


def switch(ref: str, cases: dict[str, list[Step]], **fields: Any) -> Step:
    """A SWITCH over the workflow's input ``kind``, unless the fields say otherwise."""
    fields.setdefault("evaluatorType", "value-param")
    fields.setdefault("expression", "kind")
    fields.setdefault("inputParameters", {"kind": "${workflow.input.kind}"})
    return step(ref, "SWITCH", decisionCases=cases, **fields)


def fork(ref: str, *branches: list[Step], **fields: Any) -> Step:
    """A FORK_JOIN."""
    return step(ref, "FORK_JOIN", forkTasks=list(branches), **fields)


def join(ref: str, *on: str, **fields: Any) -> Step:
    """A JOIN."""
    return step(ref, "JOIN", joinOn=list(on), **fields)


def inline(ref: str, expression: Any, **fields: Any) -> Step:
    """An INLINE."""
    parameters = {"expression": expression, **fields.pop("inputParameters", {})}
    return step(ref, "INLINE", inputParameters=parameters, **fields)


def terminate(ref: str, status: str, **parameters: Any) -> Step:
    """A TERMINATE."""
    return step(ref, "TERMINATE", inputParameters={"terminationStatus": status, **parameters})


class ScriptDouble:
    """Three scripts in place of JavaScript: ``$.name``, ``fail ...`` and ``slow``."""

    def __init__(self) -> None:
        self.runs = 0
        self.evaluators: list[str] = []

    def evaluate(
        self,
        expression: str,
        scope: JsonObject,
        evaluator: str = "javascript",
        log: list[str] | None = None,
    ) -> Any:
        self.runs += 1
        self.evaluators.append(evaluator)
        if expression.startswith("fail"):
            raise ScriptFailed(f"Error evaluating the script `{expression}`")
        if expression == "slow":
            raise ScriptTimedOut("Script not evaluated within 4 seconds, interrupted.")
        return scope.get(expression.removeprefix("$."))


class Registry:
    """Task definitions that were registered after the start, by name."""

    def __init__(self) -> None:
        self.known: dict[str, TaskDefinition] = {}

    def task_definition(self, name: str) -> TaskDefinition | None:
        return self.known.get(name)


class Pollers:
    """Queues that workers serve."""

    def __init__(self) -> None:
        self.queues: set[str] = set()

    def is_polled(self, queue: str) -> bool:
        return queue in self.queues


class Shelf:
    """Outputs that are kept, by task definition and key; time does not pass there."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    def find(self, name: str, key: str) -> bytes | None:
        return self.kept.get((name, key))


def sources(scripts: ScriptDouble | None = None) -> Sources:
    """What a decision may ask, as a test has it."""
    return Sources(scripts or ScriptDouble(), Registry())


def pin(*steps: Step, **fields: Any) -> Pinned:
    """A definition of these steps as executions see it."""
    document = {"name": "play", "tasks": list(steps), **fields}
    definition = msgspec.convert(document, WorkflowDefinition)
    return Pinned(1, definition, msgspec.json.encode(definition))


class Playbook:
    """One execution of a definition of these steps, and a clock that the test moves."""

    def __init__(self, *steps: Step, **fields: Any) -> None:
        self.now_ms = NOW_MS
        self.scripts = ScriptDouble()
        self.registry = Registry()
        self.pollers = Pollers()
        self.outside = NOWHERE
        self.shelf = Shelf()
        self.decisions: list[Decision] = []
        workflow = Workflow(
            key=7,
            id=WORKFLOW_ID,
            name="play",
            version=1,
            pinned=1,
            status=WorkflowStatus.RUNNING,
            created_ms=NOW_MS,
            updated_ms=NOW_MS,
        )
        self.snapshot = Snapshot(workflow, pin(*steps, **fields), [])
        self.went_short = False
        """Whether the last decision was taken on the short way."""

    # Commands.

    def start(self, values: JsonObject | None = None, **fields: Any) -> Decision:
        """Start it with an input; other fields are those of the workflow's record."""
        self.snapshot.workflow = msgspec.structs.replace(
            self.snapshot.workflow, input=msgspec.json.encode(values or {}), **fields
        )
        return self.do(Start())

    def do(self, command: Command) -> Decision:
        """Take a decision and hold it against the laws of all decisions."""
        before = dict(self.snapshot.tasks)
        workflow = self.snapshot.workflow
        asked = Sources(self.scripts, self.registry, self.outside, self.pollers, self.shelf)
        self.went_short = ways_agree(self.snapshot, command, self.now_ms, asked)
        decision = decide(self.snapshot, command, self.now_ms, asked)
        self.decisions.append(decision)
        known = None if isinstance(command, Start) else workflow
        assert_exact(before, known, self.snapshot, decision)
        assert_same_view(rebuilt(self.snapshot), self.snapshot)
        return decision

    def update(
        self, ref: str, status: TaskStatus, output: JsonObject | None = None, **fields: Any
    ) -> Decision:
        """A worker's answer to the newest record of a reference."""
        payload = msgspec.json.encode(output) if output else EMPTY
        return self.do(UpdateTask(self.task(ref).ordinal, status, payload, **fields))

    def complete(self, ref: str, output: JsonObject | None = None, **fields: Any) -> Decision:
        """A worker has done its task."""
        return self.update(ref, TaskStatus.COMPLETED, output, **fields)

    def fail(self, ref: str, reason: str | None = "broken", **fields: Any) -> Decision:
        """A worker has failed."""
        return self.update(ref, TaskStatus.FAILED, reason=reason, **fields)

    def timer(self, ref: str | None = None, lease: Lease | None = None) -> Decision:
        """The moment of a task, or of the workflow, has come."""
        return self.do(TimerDue(self.task(ref).ordinal if ref else 0, lease))

    def silent(
        self, ref: str, lease: Lease, *, whole: bool = False, elapsed_s: int = 0
    ) -> Decision:
        """A worker's lease has run out."""
        return self.do(LeaseExpired(self.task(ref).ordinal, lease, elapsed_s, whole))

    def pause(self) -> Decision:
        return self.do(Pause())

    def resume(self) -> Decision:
        return self.do(Resume())

    def terminate(self, reason: str | None = None) -> Decision:
        return self.do(Terminate(reason))

    def retry(self) -> Decision:
        return self.do(Retry())

    def restart(self) -> Decision:
        return self.do(Restart())

    def after(self, seconds: float) -> Playbook:
        """Let time pass."""
        self.now_ms += int(seconds * 1000)
        return self

    # Looking.

    @property
    def workflow(self) -> Workflow:
        return self.snapshot.workflow

    @property
    def status(self) -> str:
        return self.snapshot.workflow.status

    def task(self, ref: str) -> Task:
        """The newest record of a reference."""
        found = self.snapshot.find(ref)
        assert found is not None, f"{ref} has no record"
        return found

    def input(self, ref: str) -> Any:
        return msgspec.json.decode(self.task(ref).input)

    def output(self, ref: str) -> Any:
        return msgspec.json.decode(self.task(ref).output)

    @property
    def result(self) -> Any:
        """The workflow's output."""
        return msgspec.json.decode(self.workflow.output)

    @property
    def variables(self) -> Any:
        return msgspec.json.decode(self.workflow.variables)

    def id(self, ref: str) -> str:
        """Id of the newest record of a reference."""
        return task_uuid(WORKFLOW_ID, self.task(ref).ordinal)

    def rows(self) -> list[str]:
        """The records in order: seq, reference, retryCount, status."""
        return [f"{t.seq} {t.ref} {t.attempt} {t.status}" for t in self.snapshot.in_order()]

    def states(self) -> dict[str, str]:
        """Status of the newest record of each reference."""
        return {ref: str(self.snapshot.tasks[o].status) for ref, o in self.snapshot.latest.items()}


def run_task(pinned_step: Step) -> WorkflowTask:
    """A step as the decider sees it."""
    return msgspec.convert(pinned_step, WorkflowTask)


# Laws.


def rebuilt(snapshot: Snapshot) -> Snapshot:
    """The Snapshot as it is read again from its records."""
    tasks = sorted(snapshot.tasks.values(), key=lambda task: task.ordinal)
    return Snapshot(snapshot.workflow, snapshot.pinned, tasks)


def assert_same_view(expected: Snapshot, live: Snapshot) -> None:
    """Two Snapshots answer every question alike."""
    assert expected.workflow == live.workflow
    assert expected.tasks == live.tasks
    assert expected.latest == live.latest
    assert expected.newest == live.newest
    assert expected.open_tasks() == live.open_tasks()
    assert set(expected.unfollowed) == set(live.unfollowed)
    assert {k: v for k, v in expected.unsettled.items() if v} == {
        k: v for k, v in live.unsettled.items() if v
    }
    assert {k: v for k, v in expected.laps.items() if v} == {
        k: v for k, v in live.laps.items() if v
    }
    assert expected.unfinished == live.unfinished
    assert expected.next_seq == live.next_seq
    assert expected.next_ordinal == live.next_ordinal
    for ref in live.latest:
        assert expected.joins_waiting_for(ref) == live.joins_waiting_for(ref)


def ways_agree(before: Snapshot, command: Command, now_ms: int, asked: Sources) -> bool:
    """Hold the short way of a decision, if there is one, against the long one.

    Returns:
        Whether there is one.
    """
    short, long = rebuilt(before), rebuilt(before)
    short.lost = long.lost = before.lost
    said = short_way(short, command, now_ms, asked)
    if said is None:
        # It has looked, and has left everything as it was.
        assert_same_view(short, long)
        assert short.workflow == long.workflow
        return False
    meant = long_way(long, command, now_ms, asked)
    assert msgspec.to_builtins(said) == msgspec.to_builtins(meant)
    assert_same_view(short, long)
    assert short.workflow == long.workflow
    return True


def assert_exact(
    before: dict[int, Task], workflow: Workflow | None, after: Snapshot, decision: Decision
) -> None:
    """A Decision carries the records that differ, in order, and no others.

    A workflow of None is one that has never been written.
    """
    changed = [task for o, task in sorted(after.tasks.items()) if before.get(o) != task]
    assert tuple(changed) == decision.tasks
    assert tuple(sorted(before.keys() - after.tasks.keys())) == tuple(sorted(decision.dropped))
    assert (None if workflow == after.workflow else after.workflow) == decision.workflow
