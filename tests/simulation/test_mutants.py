"""The net catches fish: each wrong version of the engine is found, and the right one is put back."""

from __future__ import annotations

import pytest

from edge.store.leases import Leases
from tests.simulation.mutants import MUTANTS
from tests.simulation.plan import draw
from tests.simulation.world import live

MOST_SEEDS = 25
"""Worlds in which a mutant must be found, from the one on that once did it first."""


def test_there_are_many_mutants() -> None:
    """At least thirty kinds of fault are known to be found."""
    assert 30 <= len(MUTANTS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mutant_is_found(name: str) -> None:
    """Within some seeds, each of which finds nothing wrong in the right engine."""
    mutant = MUTANTS[name]
    with mutant.at_work():
        found = next(
            (seed for seed in range(mutant.seed, mutant.seed + MOST_SEEDS) if _wrong(seed)), None
        )

    assert found is not None, f"{name}: {mutant.imitates}"
    assert not _wrong(found)


def _wrong(seed: int) -> bool:
    return live(draw(seed)).violation is not None


def test_a_mutant_leaves_nothing_behind() -> None:
    """After the block the engine is what it was."""
    before = Leases.grant
    with MUTANTS["lease-forgotten"].at_work():
        during = Leases.grant

    assert before is not during
    assert before is Leases.grant
