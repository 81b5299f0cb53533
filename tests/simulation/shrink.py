"""Making a failing plan smaller: what can be left out without the failure going away is left out.

First events, by halves and then one by one; then rates, devices and the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tests.simulation.network import Weather
from tests.simulation.plan import Event, Manners, Plan

Fails = Callable[[Plan], bool]
"""Whether a plan still fails in the way that is looked for."""

MOST_TRIES = 400
"""Worlds that are tried; then the smallest that was found has to do."""


def shrink(plan: Plan, fails: Fails, tell: Callable[[str], None]) -> Plan:
    """The smallest plan that was found to fail.

    Args:
        plan: fails.
        fails: lives through a plan.
        tell: is told of each step forward.
    """
    budget = [MOST_TRIES]

    def still(candidate: Plan) -> bool:
        if budget[0] <= 0:
            return False
        budget[0] -= 1
        return fails(candidate)

    plan = _fewer_events(plan, still, tell)
    for simpler in _simpler(plan):
        candidate = simpler(plan)
        if candidate != plan and still(candidate):
            plan = candidate
            tell(f"simpler: {len(plan.events)} events")
    return _fewer_events(plan, still, tell)


def _fewer_events(plan: Plan, still: Fails, tell: Callable[[str], None]) -> Plan:
    """Delta debugging: leave out pieces, smaller and smaller ones."""
    pieces = 2
    while plan.events:
        size = max(1, len(plan.events) // pieces)
        smaller = None
        for start in range(0, len(plan.events), size):
            events = plan.events[:start] + plan.events[start + size :]
            candidate = msgspec.structs.replace(plan, events=events)
            if still(candidate):
                smaller = candidate
                break
        if smaller is not None:
            plan = smaller
            pieces = max(2, pieces - 1)
            tell(f"{len(plan.events)} events")
        elif size == 1:
            break
        else:
            pieces = min(len(plan.events), pieces * 2)
    return plan


def _simpler(plan: Plan) -> list[Callable[[Plan], Plan]]:
    """What else may be left out, each by itself."""
    replace = msgspec.structs.replace
    steps: list[Callable[[Plan], Plan]] = [
        lambda p: replace(p, worry=1),
        lambda p: replace(p, loss=0.0),
        lambda p: replace(p, slow_scripts=0.0),
        lambda p: replace(p, shuffled=False),
        lambda p: replace(p, weather=Weather()),
        lambda p: replace(p, manners=Manners()),
        _fewer_devices,
        lambda p: replace(p, length_s=_last_moment(p.events)),
    ]
    steps += [_calmer("weather", Weather(), name) for name in Weather.__struct_fields__]
    steps += [_calmer("manners", Manners(), name) for name in Manners.__struct_fields__]
    return steps


def _calmer(part: str, calm: msgspec.Struct, name: str) -> Callable[[Plan], Plan]:
    """Takes one rate to what it is in good times."""

    def simpler(plan: Plan) -> Plan:
        before = getattr(plan, part)
        after = msgspec.structs.replace(before, **{name: getattr(calm, name)})
        return msgspec.structs.replace(plan, **{part: after})

    return simpler


def _fewer_devices(plan: Plan) -> Plan:
    used = max((event.device for event in plan.events), default=0)
    return msgspec.structs.replace(plan, devices=max(1, used + 1))


def _last_moment(events: list[Event]) -> float:
    return max((event.at_s + event.for_s for event in events), default=0.0) + 10.0
