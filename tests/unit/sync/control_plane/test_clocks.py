"""Times of devices on the control plane's clock (I-17): corrected when shown, within their error."""

from __future__ import annotations

import sqlite3

from hypothesis import example, given
from hypothesis import strategies as st

from sync.control_plane import clocks, truth
from sync.control_plane.clocks import DRIFT_PPM, Corrected, Correction, Seen
from sync.records import ClockRecord

HOUR_MS = 3_600_000
TRUE_MS = 1_800_000_000_000
"""A moment in truth."""


def test_a_clock_that_was_never_measured_is_believed() -> None:
    """And said to be unknown."""
    assert Corrected(7, -1) == Correction([]).at(7)


@example(times=[0, 1], cuts=[0, 1], moments=[2])
@given(
    times=st.lists(st.integers(0, 200), min_size=1, max_size=9),
    cuts=st.lists(st.integers(0, 200), max_size=6, unique=True),
    moments=st.lists(st.integers(0, 400), min_size=1, max_size=9),
)
def test_the_nearest_measurement_counts(
    times: list[int], cuts: list[int], moments: list[int]
) -> None:
    """Whichever of all it is, jumps left out; the lower one of two that are as near."""
    ends = sorted(cuts)
    jumps = [(a, b, 0) for a, b in zip(ends[::2], ends[1::2], strict=False)]
    # No time passes within a jump.
    shown = [one for one in times if not any(a < one < b for a, b, _ in jumps)]
    points = [ClockRecord(at, 1_000 * n, 0, jumps) for n, at in enumerate(sorted(shown))]
    correction = Correction(points)

    for moment in moments:
        if points and not any(a < moment < b for a, b, _ in jumps):
            least = min(correction._distance(one, moment) for one in points)
            near = [one for one in points if correction._distance(one, moment) == least]
            # At both ends of a jump it is the same moment.
            lower = [one for one in near if one.at_ms <= moment] or near
            here = correction._passed_over(moment)
            assert correction.at(moment).at_ms in {
                moment + one.offset_ms + here - correction._passed_over(one.at_ms) for one in lower
            }


def test_when_something_began() -> None:
    """As the clock was measured; else as the device says, when that can be; never after it came."""
    unknown, known = Correction([]), Correction([ClockRecord(60_000, TRUE_MS, 5)])

    assert TRUE_MS - HOUR_MS == unknown.began(TRUE_MS - HOUR_MS, TRUE_MS)
    assert TRUE_MS == unknown.began(50_000, TRUE_MS)
    assert TRUE_MS == unknown.began(TRUE_MS + 1, TRUE_MS)
    assert TRUE_MS + 50_000 == known.began(50_000, TRUE_MS + HOUR_MS)
    assert TRUE_MS == known.began(50_000, TRUE_MS)


def test_a_box_that_booted_in_1970() -> None:
    """What it wrote before the time came is put where it belongs, in the order it was written."""
    jump = (60_000, TRUE_MS + 60_000, 0)
    correction = Correction([ClockRecord(TRUE_MS + 70_000, 0, 5, [jump])])

    assert Corrected(TRUE_MS, 5 + 14) == correction.at(0)
    assert TRUE_MS + 60_000 == correction.at(60_000).at_ms
    assert TRUE_MS + 61_000 == correction.at(TRUE_MS + 61_000).at_ms


def test_what_was_right_before_a_power_cut_stays_right() -> None:
    """The jump put right only what was shown since the cut; measured before or after, or both."""
    off_ms = 10 * HOUR_MS
    cut = TRUE_MS + HOUR_MS
    jump = (cut + 5_000, cut + 5_000 + off_ms, cut)
    before, after = ClockRecord(TRUE_MS, 0, 5), ClockRecord(cut + off_ms + 9_000, 0, 5, [jump])
    for points in ([before, after], [after]):
        correction = Correction(points)
        assert TRUE_MS + 1_000 == correction.at(TRUE_MS + 1_000).at_ms
        assert cut + off_ms + 2_000 == correction.at(cut + 2_000).at_ms
        assert cut + off_ms + 8_000 == correction.at(cut + off_ms + 8_000).at_ms


def test_a_measurement_in_the_wrong_time_counts_for_it() -> None:
    """A box that is online in 1970 is measured there; after the jump nothing is left to correct."""
    jump = (60_000, TRUE_MS + 60_000, 0)
    correction = Correction(
        [ClockRecord(30_000, TRUE_MS, 5), ClockRecord(50_000, TRUE_MS, 5, [jump])]
    )

    assert TRUE_MS + 10_000 == correction.at(10_000).at_ms
    assert TRUE_MS + 61_000 == correction.at(TRUE_MS + 61_000).at_ms


@given(
    drift_ppm=st.integers(-DRIFT_PPM, DRIFT_PPM),
    wrong_ms=st.sampled_from([0, 365 * 24 * HOUR_MS, -HOUR_MS, 700]),
    asked=st.integers(0, 30 * 24),
)
def test_a_drifting_clock_is_right_within_its_error(
    drift_ppm: int, wrong_ms: int, asked: int
) -> None:
    """A year ahead, an hour behind, 200 ppm: measured once a day, and order is kept."""

    def shown(true_ms: int) -> int:
        return true_ms + wrong_ms + (true_ms - TRUE_MS) * drift_ppm // 1_000_000

    days = [TRUE_MS + day * 24 * HOUR_MS for day in range(31)]
    correction = Correction([ClockRecord(shown(day), day - shown(day), 20) for day in days])
    moments = [TRUE_MS + asked * HOUR_MS + minute * 60_000 for minute in range(0, 60, 7)]
    found = [correction.at(shown(moment)) for moment in moments]
    for moment, one in zip(moments, found, strict=True):
        assert abs(one.at_ms - moment) <= one.error_ms
    assert sorted(one.at_ms for one in found) == [one.at_ms for one in found]


def test_it_is_kept_and_read() -> None:
    """The same again changes nothing."""
    disk = sqlite3.connect(":memory:", isolation_level=None)
    truth.create_schema(disk)
    disk.execute(
        "INSERT INTO device (tenant, device, first_seen_ms, last_seen_ms) VALUES ('t', 'd', 1, 1)"
    )
    told = ClockRecord(1_000, 500, 7, [(1, 2, 0)])
    for _ in range(2):
        clocks.note(disk, [Seen(1, 1, told)])

    assert Corrected(1_500, 7) == clocks.read(disk, tenant="t", device="d").at(1_000)
    assert Corrected(9, -1) == clocks.read(disk, tenant="t", device="other").at(9)
    disk.close()
