"""Health, version, figures, and what the console shows of the device itself.

No workflow is touched here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edge.api import answers, metrics, work_figures
from edge.api.call import Call
from edge.model.errors import NotFound
from edge.model.executions import WorkflowStatus
from edge.responses import Response
from edge.store import damage

_MOST_IDS = 20
"""Of lost executions that the health names; the report names all."""


async def health(call: Call) -> Response:
    """Whether the device can do its work; 200 also when it cannot, as in Conductor."""
    ask, known = call.house.healthy, call.house.storage()
    disk = True if ask is None else await ask()
    parts = [("disk", disk, known.get("reason") or ""), *_lost(known)]
    parts += [
        (f"worker {one['name']}", one["state"] == "running", "") for one in call.house.workers()
    ]
    return answers.json(
        {
            # Without a worker of the site the device does everything else: a watchdog that restarts
            # it for that would restart it for ever.
            "healthy": disk,
            "healthResults": [
                {
                    "healthy": up,
                    "details": {
                        "status": "UP" if up else "DOWN",
                        "name": name,
                        **({"reason": reason} if reason else {}),
                    },
                }
                for name, up, reason in parts
            ],
            "suppressedHealthResults": False,
        }
    )


def _lost(known: dict[str, Any]) -> list[tuple[str, bool, str]]:
    """What the last recovery of the database could not save, as a part of the health; it works."""
    recovery = known.get("recovery")
    if not recovery:
        return []
    ids = recovery["lost_workflows"]
    shown = ", ".join(ids[:_MOST_IDS]) + (" and more" if len(ids) > _MOST_IDS else "")
    told = f"rebuilt after damage, {len(ids)} executions lost"
    return [("database", True, f"{told}{': ' if ids else ''}{shown}; see {recovery['folder']}")]


async def version(call: Call) -> Response:
    """The release that runs."""
    return answers.text(call.house.version)


async def figures(call: Call) -> Response:
    """Everything that is counted, for Prometheus."""
    statuses = await call.house.engine.status_counts()
    return Response(
        metrics.render(_families(call, statuses)).encode(), media_type=metrics.CONTENT_TYPE
    )


async def devices(call: Call) -> Response:
    """The status of each device of the inventory."""
    return answers.json(call.house.devices())


async def workers(call: Call) -> Response:
    """The status of each worker's process that is hosted here."""
    return answers.json(call.house.workers())


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


async def events(call: Call) -> Response:
    """How messages of events travel, and how many there were."""
    return answers.json(call.house.events())


async def storage(call: Call) -> Response:
    """The state of the disk, what of the database is damaged, and what its last recovery lost."""
    latest = await call.house.engine.database.read(damage.latest)
    return answers.json({**call.house.storage(), "damage": latest})


async def clear_outputs(call: Call) -> Response:
    """Forget the outputs that are kept for a task definition; answers how many there were."""
    name = call.params["task"]
    return answers.json(
        await call.house.engine.request(lambda t: t.outputs.clear(t.connection, name))
    )


def _families(call: Call, statuses: dict[str, int]) -> list[metrics.Family]:
    house = call.house
    families = [
        metrics.Family(
            f"baton_{name}_total", "counter", f"Engine: {name.replace('_', ' ')}.", [({}, value)]
        )
        for name, value in sorted(house.engine.counters().items())
    ]
    uplink = house.uplink()
    return [
        metrics.Family("baton_info", "gauge", "The release.", [({"version": house.version}, 1)]),
        *families,
        metrics.Family(
            "baton_workflows",
            "gauge",
            "Executions that are stored, by status.",
            [({"status": one}, statuses.get(one, 0)) for one in sorted(WorkflowStatus)],
        ),
        *work_figures.families(house.engine),
        metrics.Family(
            "baton_schedule_ticks_total",
            "counter",
            "Ticks of schedules, by what became of them.",
            [
                ({"result": name}, count)
                for name, count in sorted(house.schedules.counters().items())
            ],
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
        *_worker_families(house.workers()),
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


def _worker_families(workers: list[dict[str, Any]]) -> list[metrics.Family]:
    """Of the workers that are hosted here; none without any."""
    if not workers:
        return []
    return [
        metrics.Family(
            "baton_worker_up",
            "gauge",
            "1 for each hosted worker's process that polls, 0 for each that does not.",
            [({"worker": one["name"]}, int(one["state"] == "running")) for one in workers],
        ),
        metrics.Family(
            "baton_worker_restarts_total",
            "counter",
            "How often a hosted worker's process has died and was started again.",
            [({"worker": one["name"]}, one["restarts"]) for one in workers],
        ),
        metrics.Family(
            "baton_worker_resident_bytes",
            "gauge",
            "Memory of a hosted worker's process.",
            [({"worker": one["name"]}, one["residentBytes"]) for one in workers],
        ),
        metrics.Family(
            "baton_worker_in_hand",
            "gauge",
            "Tasks that a hosted worker works on.",
            [({"worker": one["name"]}, one["inHand"]) for one in workers],
        ),
    ]


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        # Only Linux tells; the figure is then 0, which nobody can take for a size.
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
