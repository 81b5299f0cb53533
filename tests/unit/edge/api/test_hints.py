"""Consoles hear of changes after the commit, in bounded memory, until the daemon stops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.api.hints import Hints, Streams
from edge.model.errors import Overloaded
from edge.model.executions import WorkflowStatus
from edge.model.requests import Changed
from tests.unit.edge.api.device import Device, run


def test_a_change_is_heard_and_the_stream_ends_with_the_daemon(tmp_path: Path) -> None:
    """The event names the execution; after ``close`` nothing is left subscribed."""

    async def body(device: Device) -> None:
        await device.register()
        streams = device.house.streams
        events = streams.open(device.house.engine)
        hello = await anext(events)
        assert 1 == len(streams)

        workflow_id = await device.started()
        heard = await anext(events)
        streams.close()
        rest = [part async for part in events]

        assert b"retry: 2000\n\n" == hello
        assert b"event: workflow\ndata: " in heard
        assert workflow_id.encode() in heard
        assert [b"event: still\ndata: {}\n\n"] == rest[:1] or [] == rest
        assert 0 == len(streams)

    run(tmp_path, body)


def test_a_client_that_does_not_keep_up_is_let_go(tmp_path: Path) -> None:
    """Its browser comes back, and the page asks for everything anew."""

    async def body(device: Device) -> None:
        events = device.house.streams.open(device.house.engine)
        await anext(events)
        await device.register()
        for _ in range(300):
            await device.started()

        assert [] == [part async for part in events]
        assert 0 == len(device.house.streams)

    run(tmp_path, body)


def test_silence_is_filled_with_heartbeats(tmp_path: Path) -> None:
    """A dead connection is noticed by the writing."""

    async def body(device: Device) -> None:
        events = device.house.streams.open(device.house.engine, heartbeat_s=0.001)
        await anext(events)

        assert b"event: still\ndata: {}\n\n" == await anext(events)
        device.house.streams.close()

    run(tmp_path, body)


def test_what_waits_is_bounded() -> None:
    """The newest hint of an execution is enough; too many are dropped, and that is noted."""

    async def main() -> None:
        hints = Hints()
        for _ in range(3):
            hints.add(Changed("same", WorkflowStatus.RUNNING))
        hints.add(Changed("same", WorkflowStatus.COMPLETED))
        once = hints.take()
        for number in range(300):
            hints.add(Changed(str(number), WorkflowStatus.RUNNING))

        assert b'event: workflow\ndata: {"workflowId":"same","status":"COMPLETED"}\n\n' == once
        assert hints.overflowed
        assert 60 > hints.take().count(b"event:")

    asyncio.run(main())


def test_streams_are_counted_and_refused(tmp_path: Path) -> None:
    """So that open tabs cannot eat the memory of the device."""

    async def body(device: Device) -> None:
        streams = Streams()
        opened = [streams.open(device.house.engine) for _ in range(32)]
        for events in opened:
            await anext(events)

        with pytest.raises(Overloaded):
            streams.open(device.house.engine)
        streams.close()

    run(tmp_path, body)
