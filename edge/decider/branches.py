"""Which records stand beside which, in other branches of the forks around them, or before them.

Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge.model.executions import Task
from edge.model.snapshot import Snapshot

_FORKS = frozenset({"FORK_JOIN", "FORK_JOIN_DYNAMIC"})

_NONE = ""
"""In place of a branch: stands in none of the fork's, so all of them are beside it."""


class Beside:
    """What stands beside or before a record, and does not follow from it.

    Args:
        snapshot: the execution.
        target: the record.
    """

    def __init__(self, snapshot: Snapshot, target: Task) -> None:
        self._snapshot = snapshot
        self._dynamic = _dynamic_forks(snapshot)
        self._around = self._forks_around(target)
        self._own = dict(self._places(target))
        self.joins = {join for fork in self._around if (join := self._join_of(fork)) is not None}
        """Ordinals of the JOINs that wait for the branches around the target."""
        own = self._fork_before(target)
        if own is not None:
            self._around[own] = _NONE

    def stays(self, task: Task) -> bool:
        """Whether a record does not follow from the target, however young it is."""
        return self.holds(task) or self.precedes(task)

    def holds(self, task: Task) -> bool:
        """Whether a record stands in another branch of a fork around the target."""
        around = self._around
        if not around:
            return False
        found = self._forks_around(task)
        return any(fork in around and around[fork] != branch for fork, branch in found.items())

    def precedes(self, task: Task) -> bool:
        """Whether a record's step stands before the target's, in the same iteration.

        It may be younger all the same: a retry makes new records of old steps.
        """
        for step_list, position in self._places(task):
            if step_list in self._own:
                return position < self._own[step_list]
        return False

    def _places(self, task: Task) -> Iterator[tuple[tuple[int, str], int]]:
        """The lists of steps that a record stands in, innermost first, and where in each."""
        ref, inner = task.step_ref, task
        while True:
            outline = self._snapshot.outline_of(ref)
            place = outline.place(ref)
            if place is not None:
                yield (id(place.siblings), inner.suffix), place.position
            if place is None or place.parent is None:
                fork = self._dynamic.get(ref + inner.suffix)
                if fork is None or fork.step_ref == ref:
                    return
                ref = fork.step_ref
                continue
            parent = outline.place(place.parent)
            if parent is not None and parent.step.type == "DO_WHILE" and inner.loop:
                inner = self._snapshot.tasks[inner.loop]
            ref = place.parent

    def _forks_around(self, task: Task) -> dict[int, str]:
        """The forks that a record stands in, innermost first, and the branch of each."""
        found: dict[int, str] = {}
        ref, inner = task.step_ref, task
        while True:
            outline = self._snapshot.outline_of(ref)
            place = outline.place(ref)
            if place is None or place.parent is None:
                # The branches of a dynamic fork stand in no definition: its record names them.
                fork = self._dynamic.get(ref + inner.suffix)
                if fork is None or fork.ordinal in found:
                    return found
                found[fork.ordinal] = ref
                ref = fork.step_ref
                continue
            parent = outline.place(place.parent)
            if parent is not None and parent.step.type == "FORK_JOIN":
                record = self._snapshot.find(place.parent + inner.suffix)
                if record is not None:
                    found[record.ordinal] = place.siblings[0].task_reference_name
            elif parent is not None and parent.step.type == "DO_WHILE" and inner.loop:
                inner = self._snapshot.tasks[inner.loop]
            ref = place.parent

    def _join_of(self, fork: int) -> int | None:
        task = self._snapshot.tasks[fork]
        following = self._snapshot.outline_of(task.step_ref).following(task.step_ref)
        if following is None or following.type != "JOIN":
            return None
        return self._snapshot.latest.get(following.task_reference_name + task.suffix)

    def _fork_before(self, join: Task) -> int | None:
        """The fork whose branches a JOIN waits for; it is opened with them, not behind them."""
        place = self._snapshot.outline_of(join.step_ref).place(join.step_ref)
        if join.kind != "JOIN" or place is None or not place.position:
            return None
        before = place.siblings[place.position - 1]
        if before.type not in _FORKS:
            return None
        return self._snapshot.latest.get(before.task_reference_name + join.suffix)


def _dynamic_forks(snapshot: Snapshot) -> dict[str, Task]:
    """The dynamic fork of each reference that stands at the head of one of its branches."""
    return {
        ref + task.suffix: task
        for task in snapshot.tasks.values()
        if task.kind == "FORK_JOIN_DYNAMIC"
        for ref in snapshot.parsed(task.ordinal, "input").get("forkedTasks") or ()
    }
