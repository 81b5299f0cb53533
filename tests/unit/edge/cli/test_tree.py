"""Where a task stands: branches, loops, dynamic forks, sub-workflows."""

from __future__ import annotations

from typing import Any

from edge.cli import tree


def step(ref: str, **fields: Any) -> dict[str, Any]:
    """A step of a definition."""
    return {"name": ref, "taskReferenceName": ref, **fields}


def task(ref: str, seq: int, **fields: Any) -> dict[str, Any]:
    """A task as the API shows it."""
    return {"referenceTaskName": ref, "seq": seq, "taskType": "SIMPLE", **fields}


def test_tasks_stand_in_what_holds_them() -> None:
    """In the order of their scheduling; iterations of a loop like the step they are of."""
    definition = {
        "tasks": [
            step(
                "loop",
                loopOver=[step("way", decisionCases={"a": [step("deep")]}, defaultCase=[])],
            ),
            step("fork", forkTasks=[[step("left")], [step("right")]]),
            step("last"),
        ]
    }
    refs = ["loop", "way__1", "deep__1", "way__2", "fork", "left", "right", "last"]
    tasks = [task(ref, seq) for seq, ref in enumerate(refs)]
    found = tree.placed({"workflowDefinition": definition, "tasks": list(reversed(tasks))})

    assert refs == [one["referenceTaskName"] for _, one in found]
    assert [0, 1, 2, 1, 0, 1, 1, 0] == [depth for depth, _ in found]


def test_branches_of_a_dynamic_fork_are_named_by_its_record() -> None:
    """No definition knows them."""
    fork = task("fan", 1, taskType="FORK", inputData={"forkedTasks": ["x", "y"]})
    found = tree.placed({"tasks": [fork, task("x", 2), task("y", 3)]})

    assert [0, 1, 1] == [depth for depth, _ in found]


def test_sub_workflows_are_expanded_where_they_were_started() -> None:
    """At every depth; one that is gone keeps its line; one that holds itself comes to an end."""
    inner = {"tasks": [task("i", 1), task("gone", 2, subWorkflowId="nowhere")]}
    ring = {"tasks": [task("again", 1, subWorkflowId="ring")]}
    children = {"inner": inner, "ring": ring}
    outer = {"tasks": [task("sub", 1, subWorkflowId="inner"), task("after", 2)]}

    found = [(d, t["referenceTaskName"]) for d, t in tree.expanded(outer, children.get)]
    assert [(0, "sub"), (1, "i"), (1, "gone"), (0, "after")] == found
    assert 21 == len(list(tree.expanded(ring, children.get)))
