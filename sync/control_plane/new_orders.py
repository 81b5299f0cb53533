"""An order as somebody asks for it, checked before it is given.

No database stands here; what each kind may hold is said by `sync.orders`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sync import orders
from sync.control_plane.orders import NewOrder
from sync.orders import Kind
from sync.topics import Address

_DEEPEST = 50
"""Tasks inside of tasks; a device takes no more either. How many there are is bound by the size."""


def checked(
    address: Address,
    kind: str,
    body: object,
    condition: object,
    *,
    now_ms: int,
    expires_ms: int,
    issued_by: str,
    order_id: str | None,
) -> NewOrder:
    """An order, checked; the arguments are those of `Ledger.order`. Raises OrderInvalid."""
    if order_id is not None and not (1 <= len(order_id) <= 64 and order_id.isprintable()):
        raise orders.OrderInvalid("id: an order's id has 1 to 64 printable characters")
    if not now_ms < expires_ms <= now_ms + orders.LONGEST_MS:
        raise orders.OrderInvalid(
            f"expires: {expires_ms} is not between now ({now_ms}) and "
            f"{orders.LONGEST_MS // 86_400_000} days from now"
        )
    found = orders.kind_of(kind)
    parsed, terms = parse_body(found, body), orders.parse_condition(condition)
    return NewOrder(
        order_id=order_id,
        address=address,
        kind=found,
        subject=orders.subject_of(found, parsed),
        body=orders.json_of(parsed),
        condition=orders.json_of(terms) if terms != orders.Condition() else b"",
        issued_by=issued_by[:255],
        expires_ms=expires_ms,
    )


def parse_body(kind: Kind, body: object, definition: str = "body.definition") -> orders.Body:
    """The body of an order that is to be given; a definition that no device can take is none.

    Args:
        kind: of the order.
        body: plain data or JSON text.
        definition: where a definition stands, for errors.

    Raises:
        OrderInvalid: it is none; the message names the field.
    """
    found = orders.parse_body(kind, body)
    if kind is Kind.PUT_WORKFLOW and isinstance(found, orders.DefinitionBody):
        _check_workflow(found.definition, definition)
    return found


def _check_workflow(definition: dict[str, Any], where: str) -> None:
    """What every device would refuse, refused before it goes to all of them.

    Each device looks at the rest: what its release knows is not known here.
    """
    if not definition.get("tasks"):
        raise orders.OrderInvalid(f"{where}.tasks: a workflow needs at least one task")
    places: dict[str, str] = {}
    for place, step in _steps(definition["tasks"], f"{where}.tasks", 0):
        for field in ("name", "taskReferenceName"):
            text = step.get(field)
            if not isinstance(text, str) or not text.strip():
                raise orders.OrderInvalid(f"{place}.{field}: each task needs one, a text")
        reference = step["taskReferenceName"]
        if reference in places:
            raise orders.OrderInvalid(
                f"{place}.taskReferenceName: {reference[:100]!r} is that of "
                f"{places[reference]} already"
            )
        places[reference] = place


def _steps(tasks: object, place: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every task with its place, a container before what is inside it."""
    if tasks and depth > _DEEPEST:
        raise orders.OrderInvalid(f"{place}: tasks may be nested {_DEEPEST} deep")
    for index, step in enumerate(_list(tasks, place)):
        here = f"{place}[{index}]"
        if not isinstance(step, dict):
            raise orders.OrderInvalid(f"{here}: a task is an object")
        yield here, step
        cases = step.get("decisionCases") or {}
        if not isinstance(cases, dict):
            raise orders.OrderInvalid(f"{here}.decisionCases: lists of tasks by the case")
        for case, inner in cases.items():
            yield from _steps(inner, f"{here}.decisionCases.{case[:100]}", depth + 1)
        for branch, inner in enumerate(_list(step.get("forkTasks"), f"{here}.forkTasks")):
            yield from _steps(inner, f"{here}.forkTasks[{branch}]", depth + 1)
        for field in ("defaultCase", "loopOver"):
            yield from _steps(step.get(field), f"{here}.{field}", depth + 1)


def _list(value: object, place: str) -> list[Any]:
    """A list; null stands for an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise orders.OrderInvalid(f"{place}: a list is needed")
    return value
