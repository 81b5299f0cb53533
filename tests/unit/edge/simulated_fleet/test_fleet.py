"""What a fleet keeps of its devices."""

from __future__ import annotations

import tracemalloc

from sync.records import Lane
from tests.unit.edge.simulated_fleet.worlds import PERIOD_MS, Watch, fleet, world


def test_a_device_takes_a_few_bytes() -> None:
    """Below 64, of which a million are 64 MB; what is asked of one leaves nothing behind."""
    of = world(devices=50_000, backlog=3)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    made = fleet(Watch(), of)
    for device in range(0, 50_000, 200):
        assert made.waits(device)
        made.history(device).read(Lane.HISTORY, 0, 20, 20)
        made.acknowledge(device, Lane.HISTORY, 5)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (after - before) / 50_000 < 64


def test_names_lead_back_to_devices() -> None:
    """And to none where another fleet, or no device, has the name."""
    made = fleet(Watch())

    assert "sim-0000007" == made.name(7)
    assert 7 == made.device_of("sim-0000007")
    assert [None] * 4 == [
        made.device_of(name) for name in ("sim-0000010", "sim-7", "sim2-0000001", "roof")
    ]


def test_cursors_only_rise_and_each_record_counts_once() -> None:
    """What is acknowledged twice, or out of turn, changes nothing."""
    made = fleet(Watch())
    for seq in (5, 3, 5, 9):
        made.acknowledge(2, Lane.HISTORY, seq)
    made.acknowledge(2, Lane.URGENT, 1)

    assert (9, 10, 10) == (made.acked(2, Lane.HISTORY), made.acked_in_all(2), made.figures.acked)


def test_control_records_stay_until_they_are_acknowledged() -> None:
    """Their sequence goes on behind what was acknowledged."""
    made = fleet(Watch())
    made.add_control(1, "order", 5, b"a", 1)
    made.add_control(1, "order", 6, b"b", 1)
    made.acknowledge(1, Lane.CONTROL, 1)
    assert [2] == [record.seq for record in made.unsent[1]]
    made.acknowledge(1, Lane.CONTROL, 2)
    assert {} == made.unsent
    made.add_control(1, "clock", 7, b"c", 1)

    assert (3, 3) == (made.newest(1, Lane.CONTROL), made.unsent[1][0].seq)


def test_what_is_counted_is_what_devices_hold() -> None:
    """Runs as they end and the backlog come to the newest sequences of all devices."""
    watch = Watch()
    made = fleet(watch, world(devices=20, backlog=4))
    assert 20 == len(list(made.count_backlog()))
    for period in range(2):
        for device in range(20):
            made.count_run(device, 4 + period)
    watch.ms += 2 * PERIOD_MS - 1

    assert made.figures.written == sum(made.newest_in_all(device) for device in range(20)) > 0
    made.stop_writing(watch.ms)
    watch.ms += 5 * PERIOD_MS
    assert made.figures.written == sum(made.newest_in_all(device) for device in range(20))
