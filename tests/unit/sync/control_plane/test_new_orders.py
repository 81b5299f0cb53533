"""What may be ordered at all, before a database is asked."""

from __future__ import annotations

from typing import Any

import pytest

from sync.control_plane.new_orders import checked
from sync.orders import LONGEST_MS, Kind, OrderInvalid
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
