"""When starts are refused: by how long things take, never by how many there are."""

from __future__ import annotations

import pytest

from edge.load import Load


def worked(load: Load, *, idle_ms: float, took_ms: float, sync_ms: float, times: int = 100) -> None:
    """Let so many commits of one kind go by."""
    for _ in range(times):
        load.committed(idle_ms=idle_ms, took_ms=took_ms, sync_ms=sync_ms)


def test_a_device_at_rest_refuses_nothing() -> None:
    """Nor does one of which nothing is known yet."""
    load = Load()
    assert load.refusal(0) is None
    load.committed(idle_ms=0, took_ms=0, sync_ms=0)

    assert load.refusal(200) is None
    assert 0 == load.refused


def test_starts_that_were_left_behind_by_commits() -> None:
    """A start that waits longer than two commits and 200 ms stands in a line that grows."""
    load = Load()
    worked(load, idle_ms=0, took_ms=50, sync_ms=40)
    assert 50 == pytest.approx(load.commit_ms, rel=0.01)

    assert load.refusal(299) is None
    assert "301 ms" in str(load.refusal(301))
    assert 1 == load.refused


def test_a_slow_disk_is_no_overload() -> None:
    """Everybody waits for two syncs of it, and workers may be behind: starts are taken."""
    load = Load()
    worked(load, idle_ms=0, took_ms=1_000, sync_ms=950)

    assert load.refusal(2_100, behind_ms=60_000) is None


def test_workers_that_are_slow_are_no_overload() -> None:
    """A line of tasks that is an hour long is what a device is for, while it has time to spare."""
    load = Load()
    worked(load, idle_ms=100, took_ms=40, sync_ms=5)

    assert load.refusal(0, behind_ms=3_600_000) is None


@pytest.mark.parametrize(("wait_ms", "refused"), [(1_900, False), (2_100, True)])
def test_a_busy_device_finishes_what_has_begun(wait_ms: float, refused: bool) -> None:
    """Where the processor is what is short and tasks wait for long, nothing is begun."""
    load = Load()
    worked(load, idle_ms=1, took_ms=40, sync_ms=5)

    assert refused == (load.refusal(0, behind_ms=wait_ms) is not None)


def test_a_loop_that_is_never_free_is_work() -> None:
    """Requests are read and answered between two commits: that time is no rest."""
    load = Load()
    for _ in range(100):
        load.committed(idle_ms=20, idle=False, took_ms=20, sync_ms=10)

    assert 0.75 == pytest.approx(load.busy, abs=0.02)


def test_what_is_over_is_forgotten() -> None:
    """A second's rest ends it, and so do workers that have caught up."""
    load = Load()
    worked(load, idle_ms=0, took_ms=40, sync_ms=0)
    assert load.refusal(0, behind_ms=60_000) is not None
    assert load.refusal(0) is None
    load.committed(idle_ms=5_000, took_ms=40, sync_ms=0)

    assert load.refusal(0, behind_ms=60_000) is None


def test_who_rests_is_not_busy_for_ever() -> None:
    """A refused start commits nothing: the time since the last commit tells of rest by itself."""
    load = Load()
    for _ in range(100):
        load.committed(idle_ms=0, took_ms=100, sync_ms=0, idle=False)
    refused = [load.refusal(0, rested_ms, 5_000) is not None for rested_ms in (0, 100, 500, 5_000)]

    assert [True, True, False, False] == refused
