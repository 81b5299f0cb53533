"""The stream of hints as HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge.api import streams
from tests.unit.edge.api.device import Device, run


def test_hints_travel_as_an_event_stream(tmp_path: Path) -> None:
    """With the type that browsers ask for, uncached, and ended when the daemon stops."""

    async def body(device: Device) -> None:
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(device.call("GET", "/v1/stream"))
            while not len(device.house.streams):
                await asyncio.sleep(0)
            await device.register()
            workflow_id = await device.started()
            device.house.streams.close()
        response = listening.result()

        assert "text/event-stream; charset=utf-8" == response.headers["content-type"]
        assert "no-cache" == response.headers["cache-control"]
        assert response.text.startswith("retry: 2000\n\n")
        assert workflow_id in response.text

    run(tmp_path, body)
    assert streams.stream.__doc__
