"""What may be ordered at all, before a database is asked."""

from __future__ import annotations

from typing import Any

import pytest

from sync.control_plane.new_orders import checked, parse_body
from sync.orders import LONGEST_MS, DefinitionBody, Kind, OrderInvalid
from sync.topics import Address

ROOF = Address("default", "roof")
GOOD: dict[str, Any] = {
    "kind": "start", "body": {"name": "demo"}, "condition": None, "now_ms": 1_000,
    "expires_ms": 2_000, "issued_by": "somebody", "order_id": "a",
}  # fmt: skip


def test_a_good_order_is_taken() -> None:
    """As it will be stored: JSON text, and no condition where none was given."""
    found = checked(ROOF, **GOOD)

    assert (Kind.START, b'{"name":"demo"}', b"") == (found.kind, found.body, found.condition)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"order_id": ""}, "id"),
        ({"order_id": "x" * 65}, "id"),
        ({"order_id": "a\n"}, "id"),
        ({"expires_ms": 1_000}, "expires"),
        ({"expires_ms": 1_001 + LONGEST_MS}, "expires"),
        ({"kind": "dance"}, "kind"),
        ({"body": {"nam": "demo"}}, "body"),
        ({"condition": {"sunny": True}}, "condition"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], named: str) -> None:
    """The message begins with the field."""
    with pytest.raises(OrderInvalid, match=f"^{named}"):
        checked(ROOF, **(GOOD | wrong))


STEP: dict[str, Any] = {"name": "a", "taskReferenceName": "a"}
INNER: dict[str, Any] = {"name": "b", "taskReferenceName": "b"}


def nested(depth: int) -> dict[str, Any]:
    """A loop in a loop in a loop."""
    step = STEP
    for number in range(depth):
        step = {"name": "l", "taskReferenceName": f"l{number}", "loopOver": [step]}
    return step


@pytest.mark.parametrize(
    ("tasks", "named"),
    [
        (None, "tasks: a workflow needs"),
        ([], "tasks: a workflow needs"),
        ("a", "tasks: a list"),
        (["a"], r"tasks\[0\]: a task is an object"),
        ([{"name": "a"}], r"tasks\[0\].taskReferenceName"),
        ([{"taskReferenceName": "a", "name": " "}], r"tasks\[0\].name"),
        ([STEP, STEP], r"tasks\[1\].taskReferenceName: 'a' is that of .*tasks\[0\]"),
        ([STEP | {"decisionCases": []}, STEP], r"tasks\[1\]"),
        ([STEP | {"decisionCases": [1]}], r"tasks\[0\].decisionCases"),
        ([STEP | {"decisionCases": {"x": [{}]}}], r"tasks\[0\].decisionCases.x\[0\].name"),
        ([STEP | {"forkTasks": [[INNER], [STEP]]}], r"tasks\[0\].forkTasks\[1\]\[0\]"),
        ([STEP | {"forkTasks": 7}], r"tasks\[0\].forkTasks"),
        ([STEP | {"defaultCase": {}}], r"tasks\[0\].defaultCase"),
        ([STEP | {"loopOver": [1]}], r"tasks\[0\].loopOver\[0\]"),
        ([nested(51)], "tasks.*nested 50 deep"),
    ],
)
def test_a_definition_that_no_device_takes_is_refused(tasks: object, named: str) -> None:
    """Before it goes to all of them; what is missing is named by its place."""
    body = {"definition": {"name": "x", "tasks": tasks}, "revision": 1}

    with pytest.raises(OrderInvalid, match=rf"^body\.definition\.{named}"):
        parse_body(Kind.PUT_WORKFLOW, body)


def test_a_definition_that_a_device_may_take_is_given() -> None:
    """With everything that tasks hold inside them; what a later release adds is left to devices."""
    step = STEP | {"decisionCases": {"x": [INNER]}, "defaultCase": None, "type": "LATER"}
    body = {"definition": {"name": "x", "tasks": [nested(50), step | {"taskReferenceName": "c"}]}}

    given = parse_body(Kind.PUT_WORKFLOW, body | {"revision": 1})
    task = parse_body(Kind.PUT_TASK, {"definition": {"name": "x"}, "revision": 1})

    assert all(isinstance(one, DefinitionBody) for one in (given, task))
