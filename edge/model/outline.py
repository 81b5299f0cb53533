"""The shape of a definition: which step follows which, and where a reference stands.

No record of an execution is looked at here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edge.model.definitions import WorkflowTask, children_of


class Place(NamedTuple):
    """Where a step stands in its definition."""

    step: WorkflowTask
    siblings: list[WorkflowTask]
    position: int
    """Among the siblings, from 0."""
    parent: str | None
    """Reference of the step around it; None at the top."""


class Outline:
    """All steps of a definition by their reference names."""

    def __init__(self, tasks: list[WorkflowTask]) -> None:
        self._places: dict[str, Place] = {}
        self.add(tasks)

    def add(self, tasks: list[WorkflowTask]) -> None:
        """Take up a list of steps with all that stands inside them."""
        # Definitions nest as deep as their author likes, so this walks with a list of its own.
        waiting: list[tuple[list[WorkflowTask], str | None]] = [(tasks, None)]
        while waiting:
            siblings, parent = waiting.pop()
            for position, step in enumerate(siblings):
                self._places[step.task_reference_name] = Place(step, siblings, position, parent)
                waiting += [(inner, step.task_reference_name) for inner in children_of(step)]

    def steps(self) -> Iterator[WorkflowTask]:
        """All steps."""
        return (place.step for place in self._places.values())

    def place(self, ref: str) -> Place | None:
        """Where the step with this reference stands; None when the definition has no such step."""
        return self._places.get(ref)

    def joined(self) -> set[str]:
        """The references that joins wait for."""
        return {
            ref
            for step in self.steps()
            for ref in (*step.join_on, *step.default_exclusive_join_task)
        }

    def following(self, ref: str) -> WorkflowTask | None:
        """The next step in the same list; None at the end of the list."""
        place = self._places.get(ref)
        if place is None or place.position + 1 >= len(place.siblings):
            return None
        return place.siblings[place.position + 1]

    def next(self, ref: str) -> WorkflowTask | None:
        """The step that follows a finished one.

        The sibling after it; at the end of a case or of a branch, what follows the step around it;
        after TERMINATE nothing, and at the end of a loop's body: the loop looks by itself whether
        all of it is done.
        """
        while True:
            place = self._places.get(ref)
            if place is None or place.step.type == "TERMINATE":
                return None
            if place.position + 1 < len(place.siblings):
                return place.siblings[place.position + 1]
            if place.parent is None:
                return None
            parent = self._places[place.parent]
            if parent.step.type == "DO_WHILE":
                return None
            ref = place.parent
