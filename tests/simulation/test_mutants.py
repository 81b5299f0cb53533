"""The net catches fish: each wrong version of the engine is found, and the right one is put back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge.store.leases import Leases
from tests.simulation import kept
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.plan import Plan, draw
from tests.simulation.world import live

MOST_SEEDS = 25
"""Worlds in which a mutant must be found, from the one on that once did it first."""


def test_there_are_many_mutants() -> None:
    """At least thirty kinds of fault are known to be found."""
    assert 30 <= len(MUTANTS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mutant_is_found(name: str) -> None:
    """Within some seeds, or in the world that was kept; the right engine does nothing wrong there."""
    mutant = MUTANTS[name]
    with mutant.at_work():
        found = next((plan for plan in _plans(mutant) if _wrong(plan)), None)

    assert found is not None, f"{name}: {mutant.imitates}"
    assert not _wrong(found)


def _plans(mutant: Mutant) -> Iterator[Plan]:
    if mutant.kept:
        yield kept.read(kept.FOLDER / f"{mutant.kept}.json").plan
        return
    yield from map(draw, range(mutant.seed, mutant.seed + MOST_SEEDS))


def _wrong(plan: Plan) -> bool:
    return live(plan).violation is not None


def test_a_mutant_leaves_nothing_behind() -> None:
    """After the block the engine is what it was."""
    before = Leases.grant
    with MUTANTS["lease-forgotten"].at_work():
        during = Leases.grant

    assert before is not during
    assert before is Leases.grant
