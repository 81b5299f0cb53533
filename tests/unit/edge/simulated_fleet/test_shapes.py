"""The cycle of runs: where each record stands."""

from __future__ import annotations

import pytest

from edge.simulated_fleet.shapes import CYCLE, SHAPES, TASKS, Ending, Mix, ordered
from sync.records import Lane


@pytest.mark.parametrize("lane", [Lane.HISTORY, Lane.URGENT])
@pytest.mark.parametrize("offset", [0, 1, 500, CYCLE - 1])
def test_every_sequence_is_found_where_walking_finds_it(lane: Lane, offset: int) -> None:
    """Over more than a whole cycle, from any beginning: no hole and no overlap."""
    mix = Mix(tuple(SHAPES), 20.0, 5)
    seq = 0
    for run in range(CYCLE + 30):
        assert seq == mix.before(lane, offset, run)
        for place in range(mix.ending(offset, run).count(lane)):
            seq += 1
            assert (run, place) == mix.find(lane, offset, seq)


def test_the_same_seed_gives_the_same_cycle() -> None:
    """And another seed another one."""
    one, same, other = (Mix(tuple(SHAPES), 20.0, seed) for seed in (5, 5, 6))

    assert one.endings == same.endings
    assert one.endings != other.endings


def test_shares_of_the_cycle() -> None:
    """About as many fail as was asked for, and only what was asked for runs."""
    mix = Mix(("read_meter",), 10.0, 5)

    assert 0.07 * CYCLE < sum(bool(one.failing) for one in mix.endings) < 0.13 * CYCLE
    assert {"read_meter"} == {one.shape.name for one in mix.endings}
    assert any(one.retried for one in mix.endings)


def test_a_run_has_as_many_records_as_an_engine_writes() -> None:
    """The start, three states a task, and the end; a failure's end is urgent."""
    shape = SHAPES["inspect_part"]

    assert (11, 0) == tuple(Ending(shape).count(lane) for lane in (Lane.HISTORY, Lane.URGENT))
    failed = Ending(shape, failing=2)
    assert (7, 1) == tuple(failed.count(lane) for lane in (Lane.HISTORY, Lane.URGENT))
    assert 14 == Ending(shape, retried=1).count(Lane.HISTORY)
    assert 0 == Ending(shape).count(Lane.CONTROL)


def test_what_is_ordered_may_have_any_name() -> None:
    """One that is known has its own tasks, any other three plain ones."""
    assert "scan" == ordered("sort_parcel").shape.steps[0].name
    assert ("update", TASKS) == (ordered("update").shape.name, len(ordered("update").shape.steps))
