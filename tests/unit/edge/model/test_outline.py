"""Which step follows which."""

from __future__ import annotations

import pytest

from edge.model.definitions import WorkflowTask
from edge.model.outline import Outline
from tests.unit.edge.playbook import fork, join, run_task, step, switch, terminate

OUTLINE = Outline(
    [
        run_task(one)
        for one in (
            step("a"),
            switch(
                "s",
                {"x": [step("x1"), step("x2")], "t": [terminate("t", "FAILED")]},
                defaultCase=[fork("f", [step("f1"), step("f2")], [step("g1")]), join("j", "f2")],
            ),
            step("loop", "DO_WHILE", loopOver=[step("l1"), step("l2")]),
            step("z"),
        )
    ]
)


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("a", "s"),
        ("s", "loop"),
        ("x1", "x2"),
        ("x2", "loop"),
        ("t", None),
        ("f", "j"),
        ("f1", "f2"),
        ("f2", "j"),
        ("g1", "j"),
        ("j", "loop"),
        ("l1", "l2"),
        ("l2", None),
        ("loop", "z"),
        ("z", None),
        ("nowhere", None),
    ],
)
def test_next(ref: str, expected: str | None) -> None:
    """The sibling, else what follows the step around; a loop's body leads nowhere."""
    following = OUTLINE.next(ref)

    assert expected == (following.task_reference_name if following else None)


@pytest.mark.parametrize(
    ("ref", "expected"), [("f", "j"), ("f2", None), ("j", None), ("z", None), ("nowhere", None)]
)
def test_following(ref: str, expected: str | None) -> None:
    """The sibling alone, never what follows outside."""
    following = OUTLINE.following(ref)

    assert expected == (following.task_reference_name if following else None)


def test_places() -> None:
    """Where a step stands: its siblings, its position and the step around it."""
    place = OUTLINE.place("f2")

    assert place is not None
    assert "f2" == place.step.task_reference_name
    assert ["f1", "f2"] == [one.task_reference_name for one in place.siblings]
    assert (1, "f") == (place.position, place.parent)
    assert OUTLINE.place("nowhere") is None


def test_a_deep_definition_is_no_danger() -> None:
    """Nesting costs no stack."""
    inner = WorkflowTask(task_reference_name="r0")
    for depth in range(1, 5_000):
        inner = WorkflowTask(
            task_reference_name=f"r{depth}", type="SWITCH", decision_cases={"x": [inner]}
        )
    outline = Outline([inner, WorkflowTask(task_reference_name="end")])

    following = outline.next("r0")

    assert following is not None
    assert "end" == following.task_reference_name


def test_what_joins_wait_for() -> None:
    """All names of all joins, wherever they stand."""
    inner = [step("a"), step("e", "EXCLUSIVE_JOIN", joinOn=["a"], defaultExclusiveJoinTask=["d"])]
    outline = Outline([run_task(one) for one in (fork("f", inner), join("j", "e", "x"))])

    assert {"a", "d", "e", "x"} == outline.joined()
