"""An order as somebody asks for it, checked before it is given.

No database stands here; what each kind may hold is said by `sync.orders`.
"""

from __future__ import annotations

from sync import orders
from sync.control_plane.orders import NewOrder
from sync.topics import Address


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
    parsed, terms = orders.parse_body(found, body), orders.parse_condition(condition)
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
