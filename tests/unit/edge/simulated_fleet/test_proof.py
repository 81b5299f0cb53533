"""The proof is one: over a real ledger and its real pages it sees what lacks and what is there twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge.simulated_fleet.fleet import Fleet
from edge.simulated_fleet.proof import Proof, prove, stored
from sync import frames, receiver, topics
from sync.records import Lane
from tests.unit.edge.simulated_fleet.worlds import Watch, fleet, world
from tests.unit.sync.control_plane.api_world import NOW_MS, World, in_world


async def send_everything(made: Fleet, cloud: World) -> None:
    """All that the devices hold, the way it arrives, and acknowledged."""
    for device in range(made.size):
        for lane in (Lane.HISTORY, Lane.URGENT):
            newest = made.newest(device, lane)
            records = made.history(device).read(lane, 0, newest, newest)
            for at in range(0, newest, 40):
                payload = frames.encode(records[at : at + 40], epoch=made.epoch, oldest_seq=at + 1)
                topic = made.address(device).topic(topics.up(lane))
                arrival = receiver.read(topic, payload, received_ms=NOW_MS)
                assert arrival is not None
                await cloud.ledger.commit([arrival])
            made.acknowledge(device, lane, newest)
    while await cloud.ledger.project():
        pass


def proved(tmp_path: Path, harm: Callable[[Path], None], *, acked_more: int = 0) -> Proof:
    """What is said of a fleet of four after something was done to the ledger."""
    results: list[Proof] = []
    path = tmp_path / "ledger.db"

    async def play(cloud: World) -> None:
        made = fleet(Watch(), world(devices=4, backlog=12))
        list(made.count_backlog())
        # The first device has its first turn at the very beginning.
        made.count_run(0, 12)
        loop = asyncio.get_running_loop()

        def ask(*segments: str, query: dict[str, Any]) -> Any:
            # A second later, so that no figure is a kept one.
            cloud.now_ms += 1_001
            given = "&".join(f"{key}={one}" for key, one in query.items() if one is not None)
            asked: Awaitable[Any] = cloud.ask("GET", f"/api/{'/'.join(segments)}?{given}")
            return asyncio.run_coroutine_threadsafe(_wait(asked), loop).result()

        before = await asyncio.to_thread(stored, ask)
        await send_everything(made, cloud)
        harm(path)
        made.acknowledge(1, Lane.HISTORY, made.acked(1, Lane.HISTORY) + acked_more)
        results.append(
            await asyncio.to_thread(
                prove, made, ask, stored_before=before, sample=4, patience_s=0.0,
                sleep=lambda _: None,
            )
        )  # fmt: skip

    in_world(path, play)
    return results[0]


async def _wait(asked: Awaitable[Any]) -> Any:
    return await asked


def change(statement: str) -> Callable[[Path], None]:
    """Something that is done to a ledger behind its back."""

    def harm(path: Path) -> None:
        with closing(sqlite3.connect(path)) as disk, disk:
            assert disk.execute(statement).rowcount > 0

    return harm


def test_all_is_there_once(tmp_path: Path) -> None:
    """Every device, every record, and each execution with its tasks."""
    found = proved(tmp_path, lambda _: None)

    assert found.good, found
    assert (4, 49) == (found.devices, found.executions)
    assert 400 < found.records_acked == found.records_there == found.records_stored


def test_an_acknowledged_record_that_is_not_there_is_lost(tmp_path: Path) -> None:
    """Said with the device that lacks it."""
    found = proved(tmp_path, lambda _: None, acked_more=3)

    assert (False, 3, 0) == (found.good, found.lost, found.duplicated)
    assert "sim-0000001" in found.differences[0]


@pytest.mark.parametrize(
    ("statement", "lost", "duplicated"),
    [
        ("UPDATE segment SET count = count - 1 WHERE first_seq = 1 AND device_id = 1", True, False),
        ("UPDATE segment SET count = count + 1 WHERE first_seq = 1 AND device_id = 1", False, True),
    ],
)
def test_segments_that_hold_less_or_more_are_seen(
    tmp_path: Path, statement: str, lost: bool, duplicated: bool
) -> None:
    """Whatever the cursors say."""
    found = proved(tmp_path, change(statement))

    assert (False, lost, duplicated) == (found.good, found.lost > 0, found.duplicated > 0)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE execution SET status = 'RUNNING' WHERE device_id = 2 AND status = 'COMPLETED'",
        "DELETE FROM execution WHERE device_id = 2",
        "UPDATE task SET status = 'RUNNING' WHERE device_id = 2 AND status = 'COMPLETED'",
    ],
)
def test_executions_that_are_not_as_they_were_are_seen(tmp_path: Path, statement: str) -> None:
    """Each is compared with what the device has recorded, task by task."""
    found = proved(tmp_path, change(statement))

    assert not found.good
    assert found.wrong_executions > 0
    assert "sim-000000" in found.differences[0]
