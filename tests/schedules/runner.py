"""Many schedules one after the other, on as many processes as are wanted, and what came of them.

Nothing is printed here.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from functools import partial

import msgspec
import structlog

from tests.schedules.world import Outcome, live


class Kept(msgspec.Struct):
    """How far a run has come; in the file of --resume."""

    first: int
    last: int
    records_each: int
    done: int = 0
    records: int = 0
    lost: int = 0
    duplicated: int = 0
    changed: int = 0
    wrong: list[int] = []
    """Seeds in which something was broken."""

    def note(self, outcome: Outcome) -> None:
        """Add what came of a schedule."""
        self.done += 1
        self.records += outcome.records
        self.lost += outcome.lost
        self.duplicated += outcome.duplicated
        self.changed += outcome.changed
        if not good(outcome):
            self.wrong.append(outcome.seed)


def good(outcome: Outcome) -> bool:
    """Whether every promise was kept."""
    return not (outcome.wrong or outcome.lost or outcome.duplicated or outcome.changed)


def _live(records: int, seed: int) -> Outcome:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return live(seed, records)


def live_all(seeds: range, records: int, jobs: int) -> Iterator[Outcome]:
    """In the order of the seeds: whoever stops knows how far it has come."""
    if jobs == 1:
        yield from map(partial(_live, records), seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(partial(_live, records), seeds)
