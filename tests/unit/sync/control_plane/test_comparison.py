"""Two runs side by side: steps are matched, and what differs is named by its place."""

from __future__ import annotations

from typing import Any

from sync.control_plane.comparison import DIFFERENCES_LIMIT, compare, differences
from sync.control_plane.views import ExecutionRow, ExecutionView, TaskView


def task(ref: str, status: str = "COMPLETED", ran_ms: int = 10, **values: Any) -> TaskView:
    """A step that began at 100."""
    fields: dict[str, Any] = {
        "task_id": f"t-{ref}", "seq": 1, "ref": ref, "type": "SIMPLE", "name": ref,
        "status": status, "attempt": 0, "iteration": 0, "scheduled_ms": 90, "started_ms": 100,
        "ended_ms": 100 + ran_ms, "updated_ms": 100, "worker": "w", "reason": None, "input": {},
        "output": {},
    }  # fmt: skip
    return TaskView(**(fields | values))


def run(*tasks: TaskView, status: str = "COMPLETED", version: int = 1, **io: Any) -> ExecutionView:
    """A run of these steps."""
    row = ExecutionRow("default", "roof", "w", "scan", version, status, None, 50, 60, 150, 50, None)
    return ExecutionView(
        row=row, input=io.get("input"), output=io.get("output"), definition=None,
        tasks=list(tasks), evidence=[],
    )  # fmt: skip


def test_runs_that_are_the_same_differ_in_nothing() -> None:
    """A duration that differs is told and is no difference of the steps."""
    found = compare(run(task("a"), task("b")), run(task("a"), task("b", ran_ms=25)))

    assert (True, True, True, None) == (
        found.same_workflow, found.same_version, found.same_status, found.first_difference,
    )  # fmt: skip
    assert [0, 15] == [step.duration_change_ms for step in found.steps]
    assert 100 == found.left_duration_ms


def test_steps_are_matched_and_told_in_order() -> None:
    """What only one of them reached stands where it was reached; attempts are steps of their own."""
    left = run(task("a"), task("b"), task("d", "FAILED"))
    right = run(
        task("a"), task("x"), task("b", output={"n": 1}), task("d", "FAILED"), task("d", attempt=1),
        status="FAILED", version=2,
    )  # fmt: skip
    found = compare(left, right)

    assert [("a", 0), ("x", 0), ("b", 0), ("d", 0), ("d", 1)] == [
        (step.ref, step.attempt) for step in found.steps
    ]
    assert [False, True, True, False, True] == [step.differs for step in found.steps]
    assert found.steps[1].left is None
    assert ("x", False, False) == (found.first_difference, found.same_version, found.same_status)
    (output,) = found.steps[2].output
    assert ("$.n", None, 1, "added") == (output.path, output.left, output.right, output.kind)


def test_an_open_step_has_no_duration() -> None:
    """Nor does one that never started."""
    found = compare(run(task("a", ended_ms=0)), run(task("a", started_ms=0, ended_ms=0)))
    (step,) = found.steps

    assert step.left is not None
    assert step.right is not None
    assert (-1, -1, -1) == (step.left.duration_ms, step.right.duration_ms, step.right.waited_ms)
    assert 0 == step.duration_change_ms


def test_payloads_differ_place_by_place() -> None:
    """Within objects and lists; 1 is not true; what is long is cut."""
    left = {"same": [1, {"a": None}], "list": [1, 2], "flag": 1, "gone": 0, "long": "x"}
    right = {"same": [1, {"a": None}], "list": [1, 3, 4], "flag": True, "long": "y" * 9_000}

    assert [
        ("$.list[1]", "changed"), ("$.list[2]", "added"), ("$.flag", "changed"),
        ("$.gone", "removed"), ("$.long", "changed"),
    ] == [(one.path, one.kind) for one in differences(left, right)]  # fmt: skip
    assert len(str(differences(left, right)[-1].right)) < 3_000
    assert DIFFERENCES_LIMIT == len(differences(list(range(900)), list(range(1, 901))))
    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    assert 1 == len(differences(deep, [deep]))
