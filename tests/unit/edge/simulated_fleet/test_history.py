"""Records that are made when they are asked for: the same each time, without holes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edge.simulated_fleet.history import Brought, History
from sync.records import Lane, Record, TaskRecord, WorkflowRecord, decode_body
from tests.unit.edge.simulated_fleet.worlds import BEGAN_MS, PERIOD_MS, world

DAY_MS = 86_400_000
LATER_MS = BEGAN_MS + 40 * PERIOD_MS


def everything(history: History, lane: Lane, now_ms: int = LATER_MS, step: int = 7) -> list[Record]:
    """All records of a lane, read a few at a time."""
    newest = history.newest(lane, now_ms)
    found: list[Record] = []
    while len(found) < newest:
        found += history.read(lane, len(found), newest, step)
    return found


@pytest.mark.parametrize("device", [0, 3, 9])
@pytest.mark.parametrize("lane", [Lane.HISTORY, Lane.URGENT])
def test_sequences_have_no_holes_and_no_end_before_the_newest(device: int, lane: Lane) -> None:
    """However they are cut, they are 1 to the newest, each once and the same."""
    history = History(world(), device)
    records = everything(history, lane)

    assert list(range(1, len(records) + 1)) == [record.seq for record in records]
    assert records
    assert records == everything(History(world(), device), lane, step=500)
    assert records != everything(History(world(seed=8), device), lane)


def test_a_run_is_told_from_its_start_to_its_end() -> None:
    """Times never go back, each task goes through its states, and the last word is the workflow's."""
    history = History(world(), 2)
    bodies = [decode_body(one.kind, one.body) for one in everything(history, Lane.HISTORY)]
    ends = [decode_body(one.kind, one.body) for one in everything(history, Lane.URGENT)]
    runs: dict[str, list[WorkflowRecord | TaskRecord]] = {}
    for body in [*bodies, *ends]:
        assert isinstance(body, WorkflowRecord | TaskRecord)
        key = body.id if isinstance(body, WorkflowRecord) else body.workflow_id
        runs.setdefault(key, []).append(body)

    assert 40 == len(runs)
    for run in runs.values():
        first, *tasks, last = run
        assert isinstance(first, WorkflowRecord)
        assert isinstance(last, WorkflowRecord)
        assert ("RUNNING", True) == (first.status, last.status in {"COMPLETED", "FAILED"})
        assert all(before.updated_ms <= after.updated_ms for before, after in pairwise(run))
        assert {"SCHEDULED", "IN_PROGRESS"} <= {task.status for task in tasks}
        assert (last.status == "FAILED") == (last.reason is not None)
    assert 0 < len(ends) == sum(run[-1].status == "FAILED" for run in runs.values())


def test_runs_end_once_a_period() -> None:
    """Each device in its place of the period; before the first nothing is there but the backlog."""
    history = History(world(backlog=2), 5)

    def records(now_ms: int) -> int:
        return sum(history.newest(lane, now_ms) for lane in (Lane.HISTORY, Lane.URGENT))

    half_ms = PERIOD_MS // 2
    counts = [records(BEGAN_MS + passed) for passed in (0, half_ms - 1, half_ms, 2 * half_ms)]
    assert 0 < counts[0] == counts[1] < counts[2] == counts[3]
    assert counts[3] < records(BEGAN_MS + half_ms + PERIOD_MS)


def test_what_an_order_starts_is_told_after_what_was_there() -> None:
    """Nothing before it is moved, nothing after it is lost, and it carries what was ordered."""
    of, at = world(), 10
    plain = everything(History(of, 4), Lane.HISTORY)
    begins = of.mix.before(Lane.HISTORY, of.offset(4), at)
    runs = [
        Brought(at, BEGAN_MS + 10 * PERIOD_MS, f"o{number}", "update", b'{"v":2}', "c1")
        for number in (1, 2)
    ]
    found = everything(History(of, 4, runs), Lane.HISTORY)
    ordered = [decode_body(one.kind, one.body) for one in found[begins : begins + 22]]

    assert [one.body for one in plain] == [
        one.body for one in found[:begins] + found[begins + 22 :]
    ]
    assert list(range(1, len(plain) + 23)) == [one.seq for one in found]
    starts = [one for one in ordered if isinstance(one, WorkflowRecord) and one.status == "RUNNING"]
    assert [("update", b'{"v":2}', "c1")] * 2 == [
        (one.name, one.input, one.correlation_id) for one in starts
    ]
    history = History(of, 4, runs)
    assert [one.id for one in starts] == [history.workflow_id(run) for run in runs]


def test_wrong_clocks_are_wrong_in_all_records() -> None:
    """By one offset each: up to a day, or so that it shows 1970, and never below that."""
    right = world(devices=400, backlog=30)
    wrong = world(devices=400, backlog=30, wrong_clocks_percent=50.0)
    offs: list[int] = []
    for device in range(400):
        first = History(wrong, device).read(Lane.HISTORY, 0, 5, 5)
        as_it_was = History(right, device).read(Lane.HISTORY, 0, 5, 5)
        off = {
            one.recorded_ms - other.recorded_ms for one, other in zip(first, as_it_was, strict=True)
        }
        assert {wrong.clock_off_ms(device)} == off
        assert first[0].recorded_ms > 0
        offs += off

    assert 150 < sum(off != 0 for off in offs) < 250
    assert 20 < sum(off < -BEGAN_MS // 2 for off in offs) < 90
    assert all(abs(off) <= DAY_MS for off in offs if off > -BEGAN_MS // 2)


def test_outputs_are_as_long_as_was_asked_for() -> None:
    """On the end of a run, as JSON."""
    history = History(world(output_bytes=1_000, failing=0.0), 1)
    last = decode_body("workflow", everything(history, Lane.HISTORY)[-1].body)

    assert isinstance(last, WorkflowRecord)
    assert last.output is not None
    assert 1_000 <= len(last.output) <= 1_040


def test_two_runs_of_a_fleet_have_other_ids() -> None:
    """They do the same, and nothing of the one is taken for the other's."""
    one, other = (History(world(lineage=lineage), 1) for lineage in (1, 2))

    assert one.workflow_id(0) != other.workflow_id(0)
    assert len(everything(one, Lane.HISTORY)) == len(everything(other, Lane.HISTORY))
