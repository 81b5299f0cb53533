"""Orders to simulated devices."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.simulated_fleet.fleet import Fleet
from edge.simulated_fleet.obeying import Obedience
from sync.orders import Order
from sync.records import Lane, OrderRecord, WorkflowRecord, decode_body
from tests.unit.edge.simulated_fleet.worlds import BEGAN_MS, Watch, fleet

LATE_MS = BEGAN_MS + 3_600_000


def order(cseq: int, kind: str, body: Any, *, name: str = "", expires_ms: int = LATE_MS) -> Order:
    """One order as it travels."""
    text = msgspec.json.encode(body)
    return Order(cseq, name or f"o{cseq}", kind, text, BEGAN_MS, expires_ms)


def put(revision: int, value: str, *, rollback: bool = False) -> dict[str, Any]:
    """The body of an order that puts variables."""
    return {
        "name": "site", "variables": {"A": value}, "revision": revision, "rollback": rollback
    }  # fmt: skip


def came_to(made: Fleet, device: int) -> list[tuple[str, str, str | None]]:
    """What is recorded of orders."""
    found = []
    for record in made.unsent.get(device, []):
        body = decode_body(record.kind, record.body)
        assert isinstance(body, OrderRecord)
        found.append((body.id, body.state, body.reason))
    return found


def test_a_start_is_done_once_and_its_run_is_in_the_history() -> None:
    """An id that is known is reported again and started no second time."""
    made = fleet(Watch())
    obedience = Obedience(made, failing_percent=0.0, seed=1)
    start = {"name": "update", "input": {"v": 2}}

    assert (0, "") == obedience.position(3)
    assert (1, "x") == obedience.carry_out(3, [order(1, "start", start, name="x")], BEGAN_MS)
    assert (1, "x") == obedience.carry_out(3, [order(1, "start", start, name="x")], BEGAN_MS)
    assert (2, "x") == obedience.carry_out(3, [order(2, "start", start, name="x")], BEGAN_MS)

    assert [("x", "done", None)] * 2 == came_to(made, 3)
    assert (1, 0) == (made.figures.orders_done, made.figures.orders_failed)
    assert 11 == made.newest(3, Lane.HISTORY)
    first = made.history(3).read(Lane.HISTORY, 0, 1, 1)[0]
    body = decode_body(first.kind, first.body)
    report = decode_body("order", made.unsent[3][0].body)
    assert isinstance(body, WorkflowRecord)
    assert isinstance(report, OrderRecord)
    assert report.output is not None
    assert {"workflowId": body.id} == msgspec.json.decode(report.output)


def test_an_older_revision_changes_nothing() -> None:
    """Unless it is meant as a rollback; the same revision with other content has failed."""
    made = fleet(Watch())
    bodies = [put(2, "a"), put(1, "b"), put(2, "a"), put(2, "c"), put(1, "d", rollback=True)]
    given = [order(at, "put-config", body) for at, body in enumerate(bodies, start=1)]
    Obedience(made, failing_percent=0.0, seed=1).carry_out(3, given, BEGAN_MS)

    states = [state for _, state, _ in came_to(made, 3)]
    assert ["done", "superseded", "done", "failed", "done"] == states


@pytest.mark.parametrize(
    ("given", "state", "reason"),
    [
        (order(1, "start", {"name": "u"}, expires_ms=BEGAN_MS), "expired", "its time was over"),
        (order(1, "dance", {}), "failed", "'dance' is not one of"),
        (order(1, "start", {"nome": "u"}), "failed", "nome"),
        (order(1, "pause", {"workflowId": "w"}), "failed", "have ended"),
    ],
)
def test_what_cannot_be_done_says_why(given: Order, state: str, reason: str) -> None:
    """In the record of what the order came to; the line goes on behind it."""
    made = fleet(Watch())
    obedience = Obedience(made, failing_percent=0.0, seed=1)

    assert (1, "o1") == obedience.carry_out(0, [given], BEGAN_MS)
    ((_, found, why),) = came_to(made, 0)
    assert state == found
    assert why is not None
    assert reason in why


def test_a_share_fails_and_always_the_same() -> None:
    """Drawn by device and place, so that a run can be repeated."""
    outcomes = []
    for _ in range(2):
        made = fleet(Watch())
        obedience = Obedience(made, failing_percent=30.0, seed=4)
        given = [order(at, "start", {"name": "u"}) for at in range(1, 101)]
        obedience.carry_out(2, given, BEGAN_MS)
        outcomes.append([state for _, state, _ in came_to(made, 2)])

    assert outcomes[0] == outcomes[1]
    assert 15 < outcomes[0].count("failed") < 45


def test_an_order_is_forgotten_a_day_after_its_time() -> None:
    """What a device remembers does not grow with the years."""
    made = fleet(Watch())
    obedience = Obedience(made, failing_percent=0.0, seed=1)
    obedience.carry_out(2, [order(1, "start", {"name": "u"})], BEGAN_MS)
    assert {"o1"} == set(made.ordered[2].dealt)
    days_ms = LATE_MS + 2 * 86_400_000
    obedience.carry_out(
        2, [order(2, "start", {"name": "u"}, expires_ms=days_ms + 1)], LATE_MS + 86_400_000
    )

    assert {"o2"} == set(made.ordered[2].dealt)
