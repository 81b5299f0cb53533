"""Laws of the decider, over random definitions and workers that misbehave at random."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from edge.decider.decide import decide, long_way
from edge.model.calls import Launch
from edge.model.decision import (
    ChildReopened,
    Command,
    Decision,
    Jump,
    Launched,
    LaunchFailed,
    Lease,
    LeaseExpired,
    Pause,
    Rerun,
    ResetCallbacks,
    Restart,
    Resume,
    Retry,
    Skip,
    Start,
    Terminate,
    TimerDue,
    UpdateTask,
    UpdateVariables,
)
from edge.model.errors import BatonError
from edge.model.executions import Pinned, Task, TaskStatus, Workflow, WorkflowStatus
from edge.model.snapshot import Snapshot
from tests.unit.edge.playbook import (
    NOW_MS,
    WORKFLOW_ID,
    Step,
    assert_exact,
    assert_same_view,
    fork,
    inline,
    join,
    pin,
    sources,
    step,
    switch,
    terminate,
)

_FAST = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

_POLICIES = st.sampled_from(["RETRY", "TIME_OUT_WF", "ALERT_ONLY"])


@st.composite
def _settings(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "retryCount": draw(st.integers(0, 2)),
        "retryDelaySeconds": draw(st.integers(0, 3)),
        "retryLogic": draw(st.sampled_from(["FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"])),
        "backoffJitterMs": draw(st.sampled_from([0, 700])),
        "timeoutPolicy": draw(_POLICIES),
        "timeoutSeconds": draw(st.sampled_from([0, 0, 5])),
        "pollTimeoutSeconds": draw(st.sampled_from([0, 0, 4])),
        "totalTimeoutSeconds": draw(st.sampled_from([0, 0, 9])),
        "responseTimeoutSeconds": 2,
    }


_LEAVES = st.sampled_from(
    [
        *["SIMPLE"] * 8,
        *["HTTP", "MINE", "WAIT", "HUMAN", "INLINE", "SET_VARIABLE", "NOOP", "EVENT"],
        *["SUB_WORKFLOW", "START_WORKFLOW", "DYNAMIC", "YIELD"],
        "TERMINATE",
    ]
)


class _Author:
    """Writes definitions; gives each step a reference of its own."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._count = 0

    def steps(self, depth: int) -> list[Step]:
        """One to three steps of a list, a FORK and its JOIN counted as one."""
        found: list[Step] = []
        for _ in range(self._draw(st.integers(1, 3))):
            found += self._step(depth)
        return found

    def _ref(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _flags(self) -> dict[str, Any]:
        flags: dict[str, Any] = {
            "optional": self._draw(st.sampled_from([False, False, True])),
            "permissive": self._draw(st.sampled_from([False, False, True])),
        }
        if self._draw(st.booleans()):
            flags["settings"] = self._draw(_settings())
        return flags

    def _step(self, depth: int) -> list[Step]:
        shape = self._draw(st.integers(0, 7)) if depth else 0
        if shape == 6:
            return [self._loop(depth)]
        if shape == 7:
            return self._dynamic_fork()
        if shape == 4:
            cases = {str(number): self.steps(depth - 1) for number in range(2)}
            evaluator = self._draw(st.sampled_from(["value-param"] * 5 + ["javascript", "python"]))
            expression = "kind" if evaluator == "value-param" else "fail"
            return [
                switch(
                    self._ref("switch"),
                    cases,
                    defaultCase=self.steps(depth - 1) if self._draw(st.booleans()) else [],
                    evaluatorType=evaluator,
                    expression=expression,
                    **self._flags(),
                )
            ]
        if shape == 5:
            branches = [self.steps(depth - 1) for _ in range(self._draw(st.integers(1, 3)))]
            # Only what is sure to be scheduled: anything else may block for ever, as it should.
            refs = [one["taskReferenceName"] for branch in branches for one in branch]
            on = self._draw(st.lists(st.sampled_from(refs), unique=True, max_size=4))
            return [
                fork(self._ref("fork"), *branches),
                join(self._ref("join"), *on, **self._flags()),
            ]
        return [self._leaf(self._draw(_LEAVES))]

    def _loop(self, depth: int) -> Step:
        """A loop over a short list, so that it ends; its body may hold loops."""
        inputs: dict[str, Any] = {"items": list(range(self._draw(st.integers(0, 2))))}
        if self._draw(st.booleans()):
            inputs["keepLastN"] = 1
        condition = self._draw(st.sampled_from([None, None, "$.yes", "fail"]))
        return step(
            self._ref("loop"),
            "DO_WHILE",
            loopOver=self.steps(depth - 1),
            inputParameters={**inputs, "yes": True},
            loopCondition=condition,
            **self._flags(),
        )

    def _dynamic_fork(self) -> list[Step]:
        ref = self._ref("dyn")
        inputs = {
            "forkTaskInputs": [{} for _ in range(self._draw(st.integers(0, 3)))],
            "forkTaskName": f"{ref}work",
            "forkTaskType": self._draw(st.sampled_from(["SIMPLE", "NOOP", "HUMAN"])),
        }
        fork_ = step(ref, "FORK_JOIN_DYNAMIC", inputParameters=inputs)
        return [fork_, join(self._ref("join"), **self._flags())]

    def _leaf(self, kind: str) -> Step:
        ref, flags = self._ref(kind.lower()), self._flags()
        match kind:
            case "WAIT":
                flags["inputParameters"] = {"duration": f"{self._draw(st.integers(0, 9))} s"}
            case "INLINE":
                return inline(ref, self._draw(st.sampled_from(["$.x", "fail", "slow"])), **flags)
            case "SET_VARIABLE":
                flags["inputParameters"] = {"v": "${workflow.input.kind}"}
            case "EVENT":
                flags["sink"] = self._draw(st.sampled_from(["mqtt:a/b", "conductor"]))
                flags["asyncComplete"] = self._draw(st.booleans())
            case "SUB_WORKFLOW":
                flags["subWorkflowParam"] = {"name": "child"}
            case "START_WORKFLOW":
                flags["inputParameters"] = {"startWorkflow": {"name": "other"}}
            case "DYNAMIC":
                flags["dynamicTaskNameParam"] = "what"
                what = self._draw(st.sampled_from(["work", "NOOP", "HUMAN"]))
                flags["inputParameters"] = {"what": what}
            case "TERMINATE":
                words = ["COMPLETED", "FAILED", "TERMINATED", "LATER"]
                return terminate(ref, self._draw(st.sampled_from(words)))
            case _:
                pass
        return step(ref, kind, **flags)


class Drawn:
    """A definition that is shown as what its author wrote, not as the page that it comes to."""

    def __init__(self, steps: list[Step], **fields: Any) -> None:
        self.pinned = pin(*steps, **fields)
        self._shown = f"{fields} {steps}"[:5_000]

    def __repr__(self) -> str:
        return self._shown


@st.composite
def definitions(draw: st.DrawFn) -> Drawn:
    """A definition with cases, branches, loops and flags nested up to three deep."""
    return Drawn(
        _Author(draw).steps(depth=3),
        timeoutSeconds=draw(st.sampled_from([0, 0, 60])),
        timeoutPolicy=draw(st.sampled_from(["TIME_OUT_WF", "ALERT_ONLY"])),
    )


WAITS_FOR_OTHERS = frozenset({"JOIN", "DO_WHILE"})
"""Kinds whose records are open and have nobody working on them."""

ACTIONS = st.lists(
    st.tuples(st.sampled_from("cccccffftpxdduglwWPRRTYYZNNSJBVO"), st.integers(0, 50)),
    max_size=40,
)
"""What happens, and to whom; the letters are explained in ``World.command``."""


class Disk:
    """What a store would hold after the Decisions so far."""

    def __init__(self, workflow: Workflow, pinned: Pinned) -> None:
        self._workflow, self._pinned = workflow, pinned
        self._tasks: dict[int, Task] = {}

    def write(self, decision: Decision) -> None:
        for ordinal in decision.dropped:
            del self._tasks[ordinal]
        self._tasks |= {task.ordinal: task for task in decision.tasks}
        self._workflow = decision.workflow or self._workflow

    def read(self) -> Snapshot:
        tasks = sorted(self._tasks.values(), key=lambda task: task.ordinal)
        return Snapshot(self._workflow, self._pinned, tasks)


class World:
    """One execution, its disk, and everybody who talks to it."""

    def __init__(self, pinned: Pinned, kind: str, *, disturbed: bool = True) -> None:
        self.now_ms = NOW_MS
        self.disturbed = disturbed
        self.used: set[int] = set()
        self.children = 0
        self.published: set[str] = set()
        workflow = Workflow(
            key=1,
            id=WORKFLOW_ID,
            name="play",
            version=1,
            pinned=1,
            status=WorkflowStatus.RUNNING,
            input=msgspec.json.encode({"kind": kind}),
            created_ms=NOW_MS,
        )
        self.snapshot = Snapshot(workflow, pinned, [])
        self.disk = Disk(workflow, pinned)
        self.tell(Start())

    def tell(self, command: Command) -> None:
        """Let both the live Snapshot and one read from the disk decide, and judge the outcome."""
        note(f"{self.now_ms - NOW_MS:>6} {command}")
        live, cold = self.snapshot, self.disk.read()
        tasks, workflow = dict(live.tasks), live.workflow
        try:
            decision = decide(live, command, self.now_ms, sources())
        except BatonError:
            # A command that cannot be obeyed changes nothing.
            assert tasks == live.tasks
            assert workflow == live.workflow
            return
        # On the long way, whichever way the live one has gone.
        again = long_way(cold, command, self.now_ms, sources())
        assert msgspec.msgpack.encode(decision) == msgspec.msgpack.encode(again)

        assert_exact(tasks, None if isinstance(command, Start) else workflow, live, decision)
        self.disk.write(decision)
        assert_same_view(self.disk.read(), live)
        self._judge_numbers(tasks, decision)
        self._judge_statuses(tasks, workflow, command)
        self._judge_timers(command)
        self._judge_rest()
        for publication in decision.publications:
            assert publication.message_id not in self.published
            self.published.add(publication.message_id)
        for call in decision.calls:
            if isinstance(call, Launch):
                self._launch(call)

    def _launch(self, call: Launch) -> None:
        """Whoever starts executions answers at once, and refuses every fifth."""
        self.children += 1
        task = self.snapshot.tasks.get(call.ordinal)
        if task is not None and task.status is not TaskStatus.SCHEDULED:
            return
        if self.disturbed and self.children % 5 == 0:
            self.tell(LaunchFailed(call.ordinal, "no such workflow"))
        else:
            self.tell(Launched(call.ordinal, self.children.to_bytes(12, "big") + bytes(4)))

    def _judge_timers(self, command: Command) -> None:
        """A moment that has been heard of is not due again, or its timer would never rest."""
        if isinstance(command, TimerDue):
            task = self.snapshot.tasks.get(command.ordinal)
            due_ms = self.snapshot.workflow.due_ms if task is None else task.due_ms
            assert not 0 < due_ms <= self.now_ms

    def _judge_numbers(self, tasks: dict[int, Task], decision: Decision) -> None:
        """Numbers only ever rise: ordinals for ever, seq until a restart."""
        kept = tasks.keys() - set(decision.dropped)
        last = max((tasks[ordinal].seq for ordinal in kept), default=0)
        for task in decision.tasks:
            if task.ordinal in kept:
                assert tasks[task.ordinal].seq == task.seq
                continue
            assert task.ordinal > max(self.used, default=0)
            # There are gaps: a loop may make and forget records within one decision.
            assert last < task.seq
            self.used.add(task.ordinal)
            last = task.seq

    def _judge_statuses(self, tasks: dict[int, Task], workflow: Workflow, command: Command) -> None:
        """What has ended stays as it is, but for what retry, restart and terminate are for."""
        live = self.snapshot
        reviving = (Retry, Restart, Rerun, ChildReopened)
        if workflow.status.terminal and not isinstance(command, (Terminate, *reviving)):
            assert workflow.status is live.workflow.status
        for ordinal, old in tasks.items():
            new = live.tasks.get(ordinal)
            if new is None or not old.status.terminal or new.status is old.status:
                continue
            if isinstance(command, Rerun):
                continue
            if isinstance(command, ChildReopened) and old.kind == "SUB_WORKFLOW":
                continue
            assert not old.status.successful
            assert new.status is TaskStatus.COMPLETED_WITH_ERRORS or (
                old.kind in WAITS_FOR_OTHERS and isinstance(command, Retry | ChildReopened)
            )

    def _judge_rest(self) -> None:
        """Between two decisions nothing is half done."""
        live = self.snapshot
        current = [task.ref for task in live.tasks.values() if not task.retried]
        assert len(set(current)) == len(current)
        if live.workflow.status.terminal:
            assert [] == live.open_tasks()
            assert 0 < live.workflow.ended_ms
        elif live.workflow.status is WorkflowStatus.RUNNING:
            # Somebody can still do something, and every finished record has been followed.
            assert any(task.kind not in WAITS_FOR_OTHERS for task in live.open_tasks())
            assert all(t.executed for t in live.tasks.values() if t.status.terminal)

    # Behaviour.

    def command(self, action: str, pick: int) -> Command | None:
        """The command that an action stands for; None when there is nobody to do it to."""
        whole: dict[str, Command] = {
            "P": Pause(),
            "R": Resume(),
            "T": Terminate("enough"),
            "Y": Retry(),
            "Z": Restart(),
            "W": TimerDue(0),
            "V": UpdateVariables(b'{"v":1}', append=pick % 2 == 0),
            "B": ResetCallbacks(),
            "O": self._reopened(pick),
            "N": Rerun(pick % 3 and pick),
            "S": Skip(self._some_ref(pick)),
            "J": Jump(self._some_ref(pick)),
        }
        if action in whole:
            return whole[action]
        if action == "g":
            self.now_ms += pick * 200
            return None
        if action == "d":
            # A late, a second or a mistaken answer to any record there ever was.
            return UpdateTask(pick, TaskStatus.COMPLETED if pick % 2 else TaskStatus.FAILED)
        task = self._pick(pick)
        return None if task is None else self._to_task(action, task, pick)

    def _pick(self, pick: int) -> Task | None:
        # Who waits for others is left alone: that anybody may close it by hand is tried with "d".
        tasks = [t for t in self.snapshot.open_tasks() if t.kind not in WAITS_FOR_OTHERS]
        return tasks[pick % len(tasks)] if tasks else None

    def _some_ref(self, pick: int) -> str:
        """A reference of the definition's top level, or now and then one that is not there."""
        steps = self.snapshot.pinned.definition.tasks
        return "nowhere" if pick == 13 else steps[pick % len(steps)].task_reference_name

    def _reopened(self, pick: int) -> Command:
        """The child of some task is taken up again."""
        children = [task for task in self.snapshot.tasks.values() if task.child]
        if not children:
            return ChildReopened(1, bytes(16), "retried")
        task = children[pick % len(children)]
        return ChildReopened(task.ordinal, task.child, "retried")

    def _to_task(self, action: str, task: Task, pick: int) -> Command:
        lease = Lease("w", self.now_ms - pick * 100, task.polls + pick % 3)
        match action:
            case "c":
                return UpdateTask(task.ordinal, TaskStatus.COMPLETED, b'{"n":1}', lease=lease)
            case "f":
                return UpdateTask(task.ordinal, TaskStatus.FAILED, reason="broken")
            case "t":
                return UpdateTask(task.ordinal, TaskStatus.FAILED_WITH_TERMINAL_ERROR)
            case "p":
                return UpdateTask(
                    task.ordinal, TaskStatus.IN_PROGRESS, b'{"p":1}', merge=True, callback_after_s=2
                )
            case "x":
                return UpdateTask(task.ordinal, TaskStatus.CANCELED)
            case "l":
                return LeaseExpired(task.ordinal, lease, pick, pick % 2 == 0)
            case "u":
                return TimerDue(task.ordinal, lease)
            case _:
                return TimerDue(task.ordinal)

    def settle(self) -> None:
        """Everybody does what they should from now on; the workflow must come to its end."""
        if self.snapshot.workflow.status is WorkflowStatus.PAUSED:
            self.tell(Resume())
        for _ in range(300):
            if self.snapshot.workflow.status.terminal:
                return
            task = next(
                task for task in self.snapshot.open_tasks() if task.kind not in WAITS_FOR_OTHERS
            )
            if task.kind == "WAIT":
                assert 0 < task.due_ms
                self.now_ms = max(self.now_ms, task.due_ms)
                self.tell(TimerDue(task.ordinal))
            else:
                self.tell(UpdateTask(task.ordinal, TaskStatus.COMPLETED))
        raise AssertionError("the workflow does not end")


def _played(pinned: Pinned, kind: str, actions: list[tuple[str, int]]) -> World:
    world = World(pinned, kind, disturbed=bool(actions))
    for action, pick in actions:
        command = world.command(action, pick)
        if command is not None:
            world.tell(command)
    return world


@_FAST
@given(drawn=definitions(), kind=st.sampled_from(["0", "1", "2"]), actions=ACTIONS)
def test_every_law_holds_and_every_workflow_ends(
    drawn: Drawn, kind: str, actions: list[tuple[str, int]]
) -> None:
    """Whatever workers do: exact decisions, rising numbers, lasting ends, and an end at last."""
    _played(drawn.pinned, kind, actions).settle()


@settings(_FAST, max_examples=60)
@given(drawn=definitions(), kind=st.sampled_from(["0", "1"]))
def test_an_undisturbed_workflow_ends_and_restarts_alike(drawn: Drawn, kind: str) -> None:
    """Run again from the start, a workflow without misbehaviour goes the same way."""
    world = _played(drawn.pinned, kind, [])
    world.settle()
    first = list(_shape(world.snapshot))

    world.tell(Restart())
    world.settle()

    assert first == list(_shape(world.snapshot))


def _shape(snapshot: Snapshot) -> Iterator[tuple[int, str, int, str]]:
    for task in snapshot.in_order():
        yield task.seq, task.ref, task.attempt, task.status
