"""One execution as a decision sees it: its records, and the indexes that a decision asks.

No rule of what follows from what stands here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from edge.model.definitions import JsonObject, WorkflowTask
from edge.model.executions import (
    Pinned,
    Task,
    Workflow,
    check_task_change,
    check_workflow_change,
)
from edge.model.outline import Outline
from edge.model.payload_limits import KB

CONTAINERS = frozenset({"SWITCH", "DECISION", "FORK_JOIN", "DO_WHILE"})
"""Kinds whose steps hold other steps."""

JOINS = frozenset({"JOIN", "EXCLUSIVE_JOIN"})
"""Kinds whose open records wait for references."""

_SMALL = 64 * KB
"""Payloads up to this size count as part of their record in memory."""


class Snapshot:
    """One execution as the decider sees it: its records and the indexes a decision asks for.

    ``decide`` moves it forward and says what it changed. It belongs to one transaction at a time;
    when that fails, the snapshot is thrown away and read again. Each question is answered in a time
    that does not grow with the number of records.
    """

    def __init__(self, workflow: Workflow, pinned: Pinned, tasks: list[Task]) -> None:
        self.workflow = workflow
        self.pinned = pinned
        self.repinned = False
        """Whether it is seen by another definition than the last record told of."""
        self.tasks: dict[int, Task] = {}
        self.latest: dict[str, int] = {}
        """Ordinal of the newest record of each reference name."""
        self.newest: dict[str, int] = {}
        """The same by the name in the definition, for records inside loops."""
        self.unsettled: dict[int, set[int]] = {}
        """For each loop the records inside it whose consequences are still to be drawn."""
        self.laps: dict[int, dict[int, dict[str, int]]] = {}
        """For each loop and iteration the newest record of each name in the definition."""
        self.open: dict[int, None] = {}
        """Ordinals of the unfinished records."""
        self.unfollowed: dict[int, None] = {}
        """Ordinals of finished records whose consequences are still to be drawn."""
        self.unfinished: dict[int, set[str]] = {}
        """For each open JOIN the references it still waits for."""
        self.weight = 0
        """What whoever keeps the snapshot in memory counts it as."""
        self.bulk = 0
        """Kilobytes of large payloads, counted on top of its records."""
        self._bulks: dict[int, int] = {}
        """The same for each record that has such, by its ordinal; 0 = the workflow."""
        self.lost = ""
        """Why a payload of it could not be read; "" = all are here."""
        self._waiting: dict[str, list[int]] = {}
        self._brought = Outline([])
        """Steps that records have brought along, where they hold steps themselves."""
        self._bringers: dict[str, int] = {}
        """Ordinals of the records that those steps are from, by their names in the definition."""
        self._parsed: dict[tuple[int, str], Any] = {}
        self.next_seq = 1
        self.next_ordinal = workflow.next_ordinal
        """The first ordinal that no record has had."""
        self._count_bulk(0, workflow)
        for task in tasks:
            self._index(task)
        for task in tasks:
            if task.kind in JOINS and not task.status.terminal:
                self.await_refs(task.ordinal, join_refs(task))

    def by_definition(self, workflow: Workflow, pinned: Pinned) -> Snapshot:
        """The same records, seen by another definition."""
        other = Snapshot(workflow, pinned, list(self.tasks.values()))
        other.repinned = pinned.key != self.pinned.key
        other.lost = self.lost
        return other

    # Reading.

    def find(self, ref: str) -> Task | None:
        """The newest record of a reference name."""
        ordinal = self.latest.get(ref)
        return None if ordinal is None else self.tasks[ordinal]

    def find_named(self, name: str) -> Task | None:
        """The newest record of a name in the definition, of whatever iteration."""
        ordinal = self.newest.get(name)
        if ordinal is not None:
            return self.tasks[ordinal]
        task = self.find(name)
        # A name with its suffix is none of the definition's.
        return None if task is None or task.suffix else task

    def pending(self, ref: str) -> Task | None:
        """The open record that somebody means by a reference name.

        In a loop the name without its suffix means the latest iteration, though a record of that
        very name may stand there: of a task that was skipped before the loop came to it.
        """
        for task in (self.find(ref), self.find_named(ref)):
            if task is not None and not task.status.terminal:
                return task
        return None

    def meant(self, ref: str) -> Task | None:
        """The record that somebody means by a reference name: the open one, or else the latest."""
        return self.pending(ref) or self.find(ref) or self.find_named(ref)

    def outline_of(self, ref: str) -> Outline:
        """The outline that holds a step: the definition's, or that of what records brought."""
        pinned = self.pinned.outline
        return pinned if pinned.place(ref) is not None else self._brought

    def open_tasks(self) -> list[Task]:
        """The unfinished records, oldest first."""
        return [self.tasks[ordinal] for ordinal in sorted(self.open)]

    def in_order(self) -> Iterator[Task]:
        """All records by their place in the list."""
        return iter(sorted(self.tasks.values(), key=lambda task: task.seq))

    def joins_waiting_for(self, ref: str) -> list[int]:
        """Ordinals of the open JOINs that name a reference."""
        return sorted(join for join in self._waiting.get(ref, ()) if join in self.open)

    def parsed(self, ordinal: int, part: str) -> Any:
        """A payload as Python values; parsed once.

        Args:
            ordinal: of a task, or 0 for the workflow.
            part: ``input``, ``output`` or, for the workflow, ``variables``.
        """
        key = (ordinal, part)
        if key not in self._parsed:
            holder = self.tasks[ordinal] if ordinal else self.workflow
            value = msgspec.json.decode(getattr(holder, part))
            self._parsed[key] = value
        if part == "output" and ordinal in self.laps and not self.tasks[ordinal].status.terminal:
            return {**self.gathered(ordinal), **self._parsed[key]}
        return self._parsed[key]

    def gathered(self, loop: int) -> dict[str, JsonObject]:
        """Outputs of a loop's iterations, by iteration and name.

        A loop that runs keeps no copy of them: its record would grow with each iteration.
        """
        if self.parsed(loop, "input").get("captureOutput") is False:
            return {}
        return {
            str(lap): {
                name: self.parsed(ordinal, "output")
                for name, ordinal in records.items()
                if self.tasks[ordinal].step is None
            }
            for lap, records in sorted(self.laps.get(loop, {}).items())
        }

    # Changing; only the decider does.

    def put(self, task: Task) -> None:
        """Add or replace a record.

        Raises:
            IllegalChange: when the table of status changes does not know the change.
        """
        ordinal = task.ordinal
        old = self.tasks.get(ordinal)
        if old is None:
            self._index(task)
            return
        if old.output is not task.output:
            self._parsed.pop((ordinal, "output"), None)
        if old.input is not task.input:
            self._parsed.pop((ordinal, "input"), None)
        if old.status is not task.status:
            check_task_change(old.status, task.status)
        elif old.executed is task.executed and old.step is task.step:
            # Nothing that an index is made from: a record never changes its name or its place.
            self.tasks[ordinal] = task
            self._count_bulk(ordinal, task)
            return
        self._index(task)

    def put_back(self, task: Task) -> None:
        """Take back that an open record was ended: it is what it was before.

        Only of one that nobody waits for and that is in no loop.
        """
        self._parsed.pop((task.ordinal, "output"), None)
        self._index(task)

    def put_workflow(self, workflow: Workflow) -> None:
        """Replace the workflow's record.

        Raises:
            IllegalChange: when the table of status changes does not know the change.
        """
        old = self.workflow
        if workflow.status is not old.status:
            check_workflow_change(old.status, workflow.status)
        if workflow.input is not old.input:
            self._parsed.pop((0, "input"), None)
        if workflow.output is not old.output:
            self._parsed.pop((0, "output"), None)
        if workflow.variables is not old.variables:
            self._parsed.pop((0, "variables"), None)
        self.workflow = workflow
        self._count_bulk(0, workflow)

    def clear(self) -> list[int]:
        """Take all task records away; returns their ordinals."""
        dropped = list(self.tasks)
        for ordinal in dropped:
            self._count_bulk(ordinal, None)
        for index in (
            self.tasks,
            self.latest,
            self.newest,
            self.open,
            self.unfollowed,
            self.unfinished,
            self.unsettled,
            self.laps,
            self._waiting,
            self._bringers,
        ):
            index.clear()
        self._brought = Outline([])
        self._parsed.clear()
        self.next_seq = 1
        return dropped

    def members(self, loop: int, iteration: int) -> list[int]:
        """Ordinals of all records of an iteration, earlier attempts included."""
        found: list[int] = []
        for newest in self.laps.get(loop, {}).get(iteration, {}).values():
            ordinal = newest
            while ordinal:
                found.append(ordinal)
                ordinal = self.tasks[ordinal].retried_from
        return found

    def drop(self, ordinals: list[int]) -> None:
        """Take finished task records away."""
        last = self.next_seq - 1
        last_goes = any(self.tasks[ordinal].seq == last for ordinal in ordinals)
        gone: set[str] = set()
        lost: set[str] = set()
        for ordinal in ordinals:
            task = self.tasks.pop(ordinal)
            if self.latest.get(task.ref) == ordinal:
                del self.latest[task.ref]
            if self.newest.get(task.step_ref) == ordinal:
                del self.newest[task.step_ref]
                lost.add(task.step_ref)
            if task.loop:
                self.unsettled.get(task.loop, set()).discard(ordinal)
                lap = self.laps.get(task.loop, {}).get(task.iteration, {})
                if lap.get(task.step_ref) == ordinal:
                    del lap[task.step_ref]
                if not lap:
                    self.laps.get(task.loop, {}).pop(task.iteration, None)
            for kept in (self.open, self.unfollowed, self.unfinished, self.unsettled, self.laps):
                kept.pop(ordinal, None)
            gone.add(task.ref)
            self._parsed.pop((ordinal, "input"), None)
            self._parsed.pop((ordinal, "output"), None)
            self._count_bulk(ordinal, None)
        if last_goes:
            self.next_seq = max((task.seq for task in self.tasks.values()), default=0) + 1
        if lost:
            self._find_newest(lost)
        for ref in gone:
            self._await_again(ref)

    def _find_newest(self, names: set[str]) -> None:
        """Let the records of earlier iterations stand for names whose newest ones are gone."""
        for ordinal in sorted(self.tasks):
            task = self.tasks[ordinal]
            if task.loop and task.step_ref in names:
                self.newest[task.step_ref] = ordinal

    def _await_again(self, ref: str) -> None:
        """Let JOINs that are open wait for what was taken away, for it may come again."""
        joins = [join for join in self._waiting.pop(ref, ()) if join in self.unfinished]
        if joins:
            self._waiting[ref] = joins
        for join in joins:
            if not self._finished(ref):
                self.unfinished[join].add(ref)

    def await_refs(self, join: int, refs: list[str]) -> None:
        """Make an open JOIN wait for references that are not finished yet."""
        self.unfinished[join] = {ref for ref in refs if not self._finished(ref)}
        for ref in refs:
            joins = self._waiting.setdefault(ref, [])
            if join not in joins:
                joins.append(join)

    def _finished(self, ref: str) -> bool:
        task = self.find(ref)
        return task is not None and task.settled

    def _index(self, task: Task) -> None:
        ordinal, ended = task.ordinal, task.status.terminal
        self.tasks[ordinal] = task
        self._count_bulk(ordinal, task)
        if task.seq >= self.next_seq:
            self.next_seq = task.seq + 1
        if ordinal >= self.next_ordinal:
            self.next_ordinal = ordinal + 1
        if self.latest.get(task.ref, 0) <= ordinal:
            self.latest[task.ref] = ordinal
            if self._waiting:
                self._tell_joins(task)
        if task.loop:
            self._index_lap(task)
        if task.step is not None and task.kind in CONTAINERS:
            self._take_up(task)
        if ended and not task.executed:
            self.unfollowed[ordinal] = None
        else:
            self.unfollowed.pop(ordinal, None)
        if ended:
            self.open.pop(ordinal, None)
            self.unfinished.pop(ordinal, None)
        else:
            self.open[ordinal] = None

    def _take_up(self, task: Task) -> None:
        """Know the steps inside the one that a record brought along; the newest record counts."""
        if self._bringers.get(task.step_ref, 0) >= task.ordinal:
            return
        self._bringers[task.step_ref] = task.ordinal
        step = step_of(task)
        place = None if step is None else self._brought.place(step.task_reference_name)
        # What stands inside another such step was taken up with that one.
        if step is not None and (place is None or place.parent is None):
            self._brought.add([step])

    def _count_bulk(self, ordinal: int, record: Task | Workflow | None) -> None:
        """Count what a record weighs in place of what it weighed before; None = it is gone."""
        size = 0 if record is None else len(record.input) + len(record.output)
        if size <= _SMALL and not self._bulks:
            return
        self.bulk -= self._bulks.pop(ordinal, 0)
        if size > _SMALL:
            self._bulks[ordinal] = size // KB
            self.bulk += size // KB

    def _index_lap(self, task: Task) -> None:
        name = task.step_ref
        if self.newest.get(name, 0) <= task.ordinal:
            self.newest[name] = task.ordinal
        lap = self.laps.setdefault(task.loop, {}).setdefault(task.iteration, {})
        if lap.get(name, 0) <= task.ordinal:
            lap[name] = task.ordinal
        unsettled = self.unsettled.setdefault(task.loop, set())
        if task.settled:
            unsettled.discard(task.ordinal)
        else:
            unsettled.add(task.ordinal)

    def _tell_joins(self, task: Task) -> None:
        for join in self._waiting.get(task.ref, ()):
            refs = self.unfinished.get(join)
            if refs is None:
                continue
            if task.settled:
                refs.discard(task.ref)
            else:
                refs.add(task.ref)


def step_of(task: Task) -> WorkflowTask | None:
    """The step that a record brought along, for tasks that the definition does not hold."""
    return None if task.step is None else msgspec.json.decode(task.step, type=WorkflowTask)


def join_refs(task: Task) -> list[str]:
    """The references that a join waits for, the default ones last, with their iteration."""
    names: JsonObject = msgspec.json.decode(task.input)
    awaited = [*(names.get("joinOn") or ()), *(names.get("defaultExclusiveJoinTask") or ())]
    return [f"{name}{task.suffix}" for name in awaited]
