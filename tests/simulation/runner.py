"""Many worlds one after the other, on as many processes as are wanted.

Every so many worlds one is lived through twice: the same plan has to leave the same trace.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator

import msgspec

from tests.simulation.plan import draw
from tests.simulation.world import Outcome, Violation, live

TWICE_EVERY = 20


def live_seed(seed: int) -> Outcome:
    """The world of a seed; of every twentieth twice."""
    outcome = live(draw(seed))
    if outcome.violation is None and seed % TWICE_EVERY == 0:
        again = live(draw(seed))
        if again.trace != outcome.trace:
            facts = f"{outcome.trace} and then {again.trace}"
            violation = Violation("not the same twice", facts, again.virtual_s)
            return msgspec.structs.replace(outcome, violation=violation)
    return outcome


def live_all(seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    """The worlds of many seeds, in their order: whoever stops knows how far it got."""
    if jobs == 1:
        yield from map(live_seed, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs) as pool:
        yield from pool.imap(live_seed, seeds, chunksize=4)
