"""One simulated device as its uplink sees it."""

from __future__ import annotations

import asyncio

import pytest

from edge.simulated_fleet.device import VirtualDevice
from edge.simulated_fleet.fleet import Fleet
from edge.simulated_fleet.obeying import Obedience
from sync.link import NotTaken
from sync.records import ClockRecord, Lane
from tests.unit.edge.simulated_fleet.worlds import Watch, fleet, world


def device(made: Fleet, number: int = 3) -> VirtualDevice:
    """One of a fleet."""
    return VirtualDevice(made, number, Obedience(made, failing_percent=0.0, seed=1))


def test_a_device_goes_on_where_it_was_acknowledged() -> None:
    """Whoever speaks for it anew reads on behind the cursor, to the end, once."""

    async def scenario() -> None:
        made = fleet(Watch(), world(backlog=20))
        _, newest = (await device(made).bounds())[Lane.HISTORY]
        seen: list[int] = []
        while device(made).waits():
            one = device(made)
            for lane, (oldest, _) in (await one.bounds()).items():
                assert made.acked(3, lane) + 1 == oldest
                records = await one.read(lane, oldest - 1, 30, 400_000)
                if records:
                    await one.acknowledge(made.epoch, {lane: records[-1].seq})
                seen += [record.seq for record in records if lane is Lane.HISTORY]
        assert list(range(1, newest + 1)) == seen
        assert made.figures.delays.count > 0
        assert (await device(made).cursors())[Lane.HISTORY] == newest

    asyncio.run(scenario())


def test_what_is_read_stays_within_its_bytes() -> None:
    """But for the first, which must be sent whatever its size."""

    async def scenario() -> None:
        one = device(fleet(Watch(), world(backlog=20)))
        few = await one.read(Lane.HISTORY, 0, 500, 600)
        assert 1 < len(few) < 10
        assert 1 == len(await one.read(Lane.HISTORY, 0, 500, 1))

    asyncio.run(scenario())


def test_a_clock_is_told_once_in_a_run() -> None:
    """However often the device is asked; those who wait for records are woken."""

    async def scenario() -> None:
        made, woken = fleet(Watch()), []
        for _ in range(3):
            one = device(made)
            one.wake = lambda: woken.append(1)
            await one.note_clock(ClockRecord(5, 1, 1))
        assert [1] == [record.seq for record in made.unsent[3]]
        assert [1] == woken

    asyncio.run(scenario())


def test_a_name_that_is_taken_is_said() -> None:
    """With the option that gives other names."""

    async def scenario() -> None:
        made = fleet(Watch())
        with pytest.raises(NotTaken, match="another sim-0000003.*--name"):
            await device(made).begin_epoch(9)
        assert 1 == made.figures.refusals

    asyncio.run(scenario())
