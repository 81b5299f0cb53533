"""What simulated devices do when they are ordered something: as a device would, without an engine.

Nothing is sent here; which order is next in line was settled before.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edge.simulated_fleet.chance import draw, falls
from edge.simulated_fleet.fleet import Dealt, Fleet, Ordered
from edge.simulated_fleet.history import BOOT, Brought
from edge.simulated_fleet.shapes import ordered
from sync import orders
from sync.orders import ConfigBody, DefinitionBody, Kind, Order, OrderInvalid, StartBody, State
from sync.records import KINDS, Lane, OrderRecord, encode_body

_KEPT_LONGER_MS = 86_400_000
"""An order is remembered for so long beyond its time, as devices do."""

_LACKING = "no room on the device"
"""Why the share of orders fails that is to fail."""


class Obedience:
    """Carries orders out for any device of a fleet.

    Args:
        fleet: whose devices.
        failing_percent: of the orders.
        seed: draws which.
    """

    def __init__(self, fleet: Fleet, *, failing_percent: float, seed: int) -> None:
        self._fleet = fleet
        self._failing_percent = failing_percent
        self._seed = seed

    def position(self, device: int) -> tuple[int, str]:
        """Place and id of the last order that was dealt with."""
        known = self._fleet.ordered.get(device)
        return (known.cseq, known.last_id) if known else (0, "")

    def carry_out(self, device: int, given: Sequence[Order], server_ms: int) -> tuple[int, str]:
        """Deal with orders in their line, and record what each came to."""
        known = self._fleet.orders_of(device)
        for order in given:
            if order.cseq <= known.cseq:
                continue
            dealt = known.dealt.get(order.id)
            if dealt is None:
                dealt = self._deal(device, known, order, server_ms)
                known.dealt[order.id] = dealt
            self._record(device, order, dealt)
            known.cseq, known.last_id = order.cseq, order.id
        for one in [key for key, was in known.dealt.items() if was.expires_ms <= server_ms]:
            del known.dealt[one]
        return known.cseq, known.last_id

    def _deal(self, device: int, known: Ordered, order: Order, server_ms: int) -> Dealt:
        state, reason, output = State.FAILED, "", None
        try:
            if order.expires_ms <= server_ms:
                state, reason = State.EXPIRED, "its time was over when it arrived"
            elif falls(draw(self._seed, 13, device, order.cseq), self._failing_percent):
                reason = _LACKING
            else:
                state, reason, output = self._obey(device, known, order)
        except OrderInvalid as error:
            reason = str(error)
        if state is State.DONE:
            self._fleet.figures.orders_done += 1
        else:
            self._fleet.figures.orders_failed += 1
        expires_ms = order.expires_ms + _KEPT_LONGER_MS
        return Dealt(order.kind, state, reason or None, output, expires_ms)

    def _obey(self, device: int, known: Ordered, order: Order) -> tuple[State, str, bytes | None]:
        """State, reason and result of an order whose time is not over. Raises OrderInvalid."""
        kind = orders.kind_of(order.kind)
        body = orders.parse_body(kind, order.body)
        condition = orders.parse_condition(order.condition)
        match body:
            case StartBody():
                return State.DONE, "", self._start(device, known, order, body)
            case DefinitionBody() | ConfigBody():
                subject = orders.subject_of(kind, body)
                now = known.revisions.get(subject, (0, b""))
                if condition.revision not in (None, now[0]):
                    return State.FAILED, f"the device has revision {now[0]}", None
                return *_put(known, kind, body, subject), None
            case _:
                return (
                    State.FAILED,
                    "executions of simulated devices have ended, and they keep no files",
                    None,
                )

    def _start(self, device: int, known: Ordered, order: Order, body: StartBody) -> bytes:
        fleet = self._fleet
        now_ms = fleet.written_until_ms()
        run = Brought(
            after=fleet.world.timetable.count(device, now_ms),
            at_ms=now_ms,
            order_id=order.id,
            workflow=body.name,
            input=msgspec.json.encode(body.input),
            correlation_id=body.correlation_id,
        )
        known.brought.append(run)
        fleet.figures.written += ordered(body.name).count(Lane.HISTORY)
        return msgspec.json.encode({"workflowId": fleet.history(device).workflow_id(run)})

    def _record(self, device: int, order: Order, dealt: Dealt) -> None:
        body = OrderRecord(
            order.id, order.cseq, order.kind, dealt.state, reason=dealt.reason, output=dealt.output
        )
        at_ms = self._fleet.now_ms() + self._fleet.world.clock_off_ms(device)
        self._fleet.add_control(device, KINDS[OrderRecord], at_ms, encode_body(body), BOOT)


def _put(
    known: Ordered, kind: Kind, body: DefinitionBody | ConfigBody, subject: str
) -> tuple[State, str]:
    """Take a definition or variables, unless a higher revision is there."""
    del kind
    content = orders.json_of(msgspec.structs.replace(body, rollback=False))
    revision, had = known.revisions.get(subject, (0, b""))
    if body.revision < revision and not body.rollback:
        return State.SUPERSEDED, f"the device has revision {revision}"
    if body.revision == revision and had != content:
        return State.FAILED, f"the device has another revision {revision}"
    known.revisions[subject] = (body.revision, content)
    return State.DONE, ""
