"""Health, version, figures, and what the console shows of the device itself.

No workflow is touched here.
"""

from __future__ import annotations

import os
from pathlib import Path

from starlette.responses import Response

from edge.api import answers, metrics
from edge.api.call import Call
from edge.model.errors import NotFound


async def health(call: Call) -> Response:
    """Whether the device can do its work; 200 also when it cannot, as in Conductor."""
    ask = call.house.healthy
    disk = True if ask is None else await ask()
    return answers.json(
        {
            "healthy": disk,
            "healthResults": [
                {"healthy": disk, "details": {"status": "UP" if disk else "DOWN", "name": "disk"}}
            ],
            "suppressedHealthResults": False,
        }
    )


async def version(call: Call) -> Response:
    """The release that runs."""
    return answers.text(call.house.version)


async def figures(call: Call) -> Response:
    """Everything that is counted, for Prometheus."""
    statuses = await call.house.engine.status_counts()
    return Response(metrics.render(_families(call, statuses)), media_type=metrics.CONTENT_TYPE)


async def devices(call: Call) -> Response:
    """The status of each device of the inventory."""
    return answers.json(call.house.devices())


async def snapshot(call: Call) -> Response:
    """A device's picture as it is now."""
    give = call.house.snapshot
    if give is None:
        raise NotFound("This device has no camera.")
    picture = await give(call.params["name"])
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


async def sync(call: Call) -> Response:
    """How far the control plane has followed."""
    return answers.json(call.house.uplink())


def _families(call: Call, statuses: dict[str, int]) -> list[metrics.Family]:
    house = call.house
    families = [
        metrics.Family(
            f"baton_{name}_total", "counter", f"Engine: {name.replace('_', ' ')}.", [({}, value)]
        )
        for name, value in sorted(house.engine.counters().items())
    ]
    sizes = sorted(house.engine.queue_sizes().items())
    uplink = house.uplink()
    return [
        metrics.Family("baton_info", "gauge", "The release.", [({"version": house.version}, 1)]),
        *families,
        metrics.Family(
            "baton_workflows",
            "gauge",
            "Executions that are stored, by status.",
            [({"status": name}, count) for name, count in sorted(statuses.items())],
        ),
        metrics.Family(
            "baton_queue_tasks",
            "gauge",
            "Tasks that wait for a worker, by queue.",
            [({"queue": name}, size) for name, size in sizes],
        ),
        metrics.Family(
            "baton_devices_online",
            "gauge",
            "1 for each device that delivers, 0 for each that does not.",
            [
                ({"device": one["name"]}, int(one["status"].get("state") == "online"))
                for one in house.devices()
            ],
        ),
        metrics.Family(
            "baton_sync_waiting_records",
            "gauge",
            "Records that the control plane has not confirmed.",
            [({}, int(uplink.get("backlog", 0)))],
        ),
        metrics.Family(
            "baton_streams", "gauge", "Consoles that are connected.", [({}, len(house.streams))]
        ),
        metrics.Family(
            "baton_resident_bytes", "gauge", "Memory of the process.", [({}, _resident_bytes())]
        ),
        house.requests.family(),
    ]


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        # Only Linux tells; the figure is then 0, which nobody can take for a size.
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
