"""Laws of executions that stand in each other, on the real store, with power cuts as a rule.

Random parents, children and grandchildren; workers, operators and administrators who do anything at
any time; and a disk thread that loses its memory between two commits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from edge.clock import RandomIds
from edge.model.decision import (
    LaunchNow,
    Pause,
    Rerun,
    Restart,
    Resume,
    Terminate,
    TimerDue,
    UpdateTask,
)
from edge.model.definitions import WorkflowDefinition
from edge.model.errors import BatonError
from edge.model.executions import Task, TaskStatus, Workflow, WorkflowStatus
from edge.model.requests import StartRequest
from edge.store import executions
from edge.store.migrations import migrate
from edge.transactions import Disk, Transaction
from tests.unit.edge.manual_clock import ManualClock
from tests.unit.edge.playbook import ScriptDouble, Step, fork, join, step

_WAITS_FOR_OTHERS = frozenset({"JOIN", "DO_WHILE", "SUB_WORKFLOW"})

_FLAGS = st.fixed_dictionaries(
    {
        "optional": st.sampled_from([False, False, True]),
        "permissive": st.sampled_from([False, False, True]),
        "settings": st.fixed_dictionaries(
            {"retryCount": st.integers(0, 1), "retryDelaySeconds": st.sampled_from([0, 0, 2])}
        ),
    }
)


@st.composite
def _level(draw: st.DrawFn, child: str | None) -> list[Step]:
    """A definition of workers' tasks and, unless it is the lowest, of children."""

    def one(ref: str) -> Step:
        flags = draw(_FLAGS)
        kind = draw(st.sampled_from(["SIMPLE", "CHILD", "CHILD", "NOOP"]))
        if kind == "CHILD" and child is not None:
            return step(ref, "SUB_WORKFLOW", subWorkflowParam={"name": child}, **flags)
        return step(ref, "NOOP" if kind == "NOOP" else "SIMPLE", **flags)

    shape = draw(st.sampled_from(["row", "fork", "loop"]))
    if shape == "fork":
        return [fork("f", [one("a")], [one("b")]), join("j", "a", "b"), one("c")]
    if shape == "loop":
        return [step("l", "DO_WHILE", loopOver=[one("a")], inputParameters={"items": [1, 2]})]
    return [one("a"), one("b")]


@st.composite
def _families(draw: st.DrawFn) -> dict[str, list[Step]]:
    return {
        "leaf": draw(_level(None)),
        "middle": draw(_level("leaf")),
        "top": draw(_level("middle")),
    }


_ACTIONS = st.lists(
    st.tuples(st.sampled_from("cccccfffxtPPRRTYyZNgggwCE"), st.integers(0, 40)), max_size=30
)
"""What happens, and to whom; the letters are explained in ``World.act``."""


class World:
    """One database, the disk thread above it, and everybody who talks to it."""

    def __init__(self, family: dict[str, list[Step]]) -> None:
        self.clock = ManualClock()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self.connection)
        self.reopen()
        for name, steps in family.items():
            fields = {"failureWorkflow": "leaf"} if name == "middle" else {}
            document = {"name": name, "tasks": steps, **fields}
            definition = msgspec.convert(document, WorkflowDefinition)
            self.do(
                lambda t, d=definition: t.metadata.put_workflow(  # type: ignore[misc]
                    t.connection, d, overwrite=True
                )
            )
        self.do(lambda t: t.start(StartRequest("top")))

    def reopen(self) -> None:
        """The power has been cut: what was not committed is gone, and so is all that was in memory."""
        self.disk = Disk(self.clock, RandomIds(), ScriptDouble(), boot=1, syncing=False)  # type: ignore[arg-type]

    def do(self, request: Callable[[Transaction], Any]) -> Any:
        """Carry out a request; a refusal is an answer like any other."""
        (outcome,), _ = self.disk.run(self.connection, [request])
        self.disk.tables.fold(self.connection)
        if outcome.error is not None and not isinstance(outcome.error, BatonError):
            raise outcome.error
        self.judge()
        return outcome.result

    # What is on the disk.

    def workflows(self) -> list[Workflow]:
        """All executions, oldest first."""
        keys = [row[0] for row in self.connection.execute("SELECT key FROM workflow ORDER BY key")]
        found = [executions.read_workflow_by_key(self.connection, key) for key in keys]
        return [workflow for workflow in found if workflow is not None]

    def tasks(self, workflow: Workflow) -> list[Task]:
        """The records of an execution."""
        return executions.read_tasks(self.connection, workflow.key)

    def dump(self) -> list[Any]:
        """Everything that is written of executions."""
        return [
            self.connection.execute(f"SELECT * FROM {table} ORDER BY key").fetchall()
            for table in ("workflow", "task", "task_log")
        ]

    # Laws.

    def judge(self) -> None:
        """What holds after each commit."""
        by_id = {workflow.id: workflow for workflow in self.workflows()}
        for workflow in by_id.values():
            tasks = self.tasks(workflow)
            current = [task.ref for task in tasks if not task.retried]
            assert len(set(current)) == len(current)
            for task in tasks:
                child = by_id.get(task.child)
                if child is not None and task.kind == "SUB_WORKFLOW" and not task.retried:
                    # The end of a child is never lost on its way up.
                    assert task.status.terminal or not child.status.terminal
            if workflow.status.terminal:
                assert all(task.status.terminal for task in tasks)
            elif workflow.status is WorkflowStatus.RUNNING:
                self._judge_running(workflow, tasks, by_id)
        live = self.disk.executions
        for workflow in by_id.values():
            snapshot = live.load(self.connection, workflow.id)
            assert snapshot is not None
            assert snapshot.workflow == workflow
            in_order = [snapshot.tasks[ordinal] for ordinal in sorted(snapshot.tasks)]
            assert self.tasks(workflow) == in_order

    def _judge_running(
        self, workflow: Workflow, tasks: list[Task], by_id: dict[bytes, Workflow]
    ) -> None:
        """Somebody can still do something: a task, a child that has not ended, or a launch."""
        causes = [
            task
            for task in tasks
            if not task.status.terminal
            and (
                task.kind not in _WAITS_FOR_OTHERS
                or (task.kind == "SUB_WORKFLOW" and not task.child)
                or (task.child in by_id and not by_id[task.child].status.terminal)
            )
        ]
        assert causes or 0 < workflow.due_ms <= self.clock.now_ms()

    # What happens.

    def act(self, action: str, pick: int) -> None:
        """Do what a letter stands for."""
        workflows = self.workflows()
        workflow = workflows[pick % len(workflows)]
        key = workflow.id
        note(f"{action} {pick} on {workflow.name} {workflow.status}")
        requests: dict[str, Callable[[Transaction], Any]] = {
            "P": lambda t: t.decide(key, Pause()),
            "R": lambda t: t.decide(key, Resume()),
            "T": lambda t: t.decide(key, Terminate("enough", failure_workflow=pick % 2 == 0)),
            "Y": lambda t: t.retry(key, resume_children=False),
            "y": lambda t: t.retry(key, resume_children=True),
            "Z": lambda t: t.decide(key, Restart()),
            "N": lambda t: t.decide(key, Rerun(pick % 4)),
            "w": lambda t: t.decide(key, TimerDue(0)),
        }
        if action in requests:
            self.do(requests[action])
        elif action == "g":
            self.clock.pass_s(pick / 10)
            self.launch_waiting()
        elif action == "C":
            self.reopen()
        elif action == "E":
            self._break(key)
        else:
            self._report(workflow, action, pick)

    def _report(self, workflow: Workflow, action: str, pick: int) -> None:
        tasks = [task for task in self.tasks(workflow) if not task.status.terminal]
        if not tasks:
            return
        task = tasks[pick % len(tasks)]
        if task.kind in _WAITS_FOR_OTHERS and action != "x":
            return
        status = {
            "c": TaskStatus.COMPLETED,
            "f": TaskStatus.FAILED,
            "x": TaskStatus.FAILED,
            "t": TaskStatus.FAILED_WITH_TERMINAL_ERROR,
        }[action]
        if task.kind in ("JOIN", "DO_WHILE"):
            return
        self.do(lambda t: t.decide(workflow.id, UpdateTask(task.ordinal, status)))

    def _break(self, key: bytes) -> None:
        """A request does all sorts of things, and then fails: nothing of it is left."""
        before = self.dump()

        def broken(transaction: Transaction) -> None:
            transaction.start(StartRequest("top"))
            transaction.decide(key, Terminate("enough"))
            raise ZeroDivisionError

        (outcome,), _ = self.disk.run(self.connection, [broken])
        assert outcome.error is not None
        self.disk.tables.fold(self.connection)
        assert before == self.dump()
        self.judge()

    def launch_waiting(self) -> None:
        """Children whose delay has passed are started."""
        for workflow in self.workflows():
            for task in self.tasks(workflow):
                waits = task.kind == "SUB_WORKFLOW" and task.status is TaskStatus.SCHEDULED
                if waits and task.deliver_ms <= self.clock.now_ms():
                    self.do(
                        lambda t, w=workflow.id, o=task.ordinal: t.decide(w, LaunchNow(o))  # type: ignore[misc]
                    )

    def settle(self) -> None:
        """Everybody does what they should from now on: all of it comes to its end."""
        for _ in range(60):
            still = [one for one in self.workflows() if not one.status.terminal]
            if not still:
                return
            for workflow in still:
                if workflow.status is WorkflowStatus.PAUSED:
                    self.do(lambda t, w=workflow.id: t.decide(w, Resume()))  # type: ignore[misc]
                for task in self.tasks(workflow):
                    if not task.status.terminal and task.kind not in _WAITS_FOR_OTHERS:
                        command = UpdateTask(task.ordinal, TaskStatus.COMPLETED)
                        self.do(lambda t, w=workflow.id, c=command: t.decide(w, c))  # type: ignore[misc]
            self.clock.pass_s(5)
            self.launch_waiting()
        raise AssertionError("not every execution comes to its end")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(family=_families(), actions=_ACTIONS)
def test_parents_and_children_keep_in_step(
    family: dict[str, list[Step]], actions: list[tuple[str, int]]
) -> None:
    """Whatever is done to whom, and whenever the power goes: nobody waits for what has ended."""
    world = World(family)
    for action, pick in actions:
        world.act(action, pick)
    world.settle()
