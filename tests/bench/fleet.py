"""What the pages of a control plane cost with a hundred thousand devices and two million executions.

The rows are put straight into the ledger's tables, because a history of that size would take an hour
to arrive; every page is then asked for over the real application.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx

from sync.control_plane import fleet, tally
from sync.control_plane.app import build_app
from sync.control_plane.ledger import Ledger
from tests.bench.context import Bench, serve_child
from tests.bench.figures import Figure, Run

_DEVICES = 100_000
_EXECUTIONS = 2_000_000
_ORDERS = 2
"""By the device."""
_NOW_MS = 1_800_000_000_000
_ROUNDS = 40
_DAY_MS = 86_400_000
_STATUSES = ["COMPLETED"] * 95 + ["FAILED"] * 3 + ["RUNNING", "TERMINATED"]

PAGES = {
    "devices": "/api/v1/devices?limit=50",
    "devices.further": "/api/v1/devices?limit=50&after=d{device}",
    "devices.state": "/api/v1/devices?limit=50&q=state:offline",
    "devices.silent": "/api/v1/devices?limit=50&sort=seen",
    "devices.behind": "/api/v1/devices?limit=50&sort=backlog",
    "devices.text": "/api/v1/devices?limit=50&q={digits}",
    "devices.nothing": "/api/v1/devices?limit=50&q=nowhere",
    "devices.group": "/api/v1/devices?limit=50&q=group:pilots -state:online",
    "device": "/api/v1/devices/d{device}",
    "executions": "/api/v1/executions?limit=50",
    "executions.failed": "/api/v1/executions?limit=50&q=status:FAILED",
    "executions.device": "/api/v1/executions?limit=50&device=d{device}",
    "executions.workflow": "/api/v1/executions?limit=50&q=workflow:flow3 status:FAILED",
    "executions.text": "/api/v1/executions?limit=50&q=camera gone {digits}",
    "executions.group": "/api/v1/executions?limit=50&group=pilots",
    "executions.id": "/api/v1/executions?q=id:w{execution}",
    "summary": "/api/v1/summary",
    "figures": "/api/v1/figures?hours=24",
    "preview": "/api/v1/groups",
    "orders": "/api/v1/orders?limit=50",
    "orders.open": "/api/v1/orders?limit=50&open=true",
    "orders.failed": "/api/v1/orders?limit=50&ended=failed",
    "orders.kind": "/api/v1/orders?limit=50&kind=terminate",
    "orders.device": "/api/v1/devices/d{device}/orders?limit=50",
    "campaigns": "/api/v1/campaigns",
    "campaign": "/api/v1/campaigns/all",
    "campaign.members": "/api/v1/campaigns/all/members?limit=50&state=waiting",
    "wanted": "/api/v1/wanted",
    "wanted.device": "/api/v1/devices/d{device}/wanted",
    "drift": "/api/v1/wanted/config/site/drift",
    "fetches": "/api/v1/fetches",
    "audit": "/api/v1/audit",
    "alerts": "/api/v1/alerts",
    "notices": "/api/v1/notices",
    "standing": "/api/v1/devices/d{device}/standing",
    "metrics": "/metrics",
}
"""What is asked, with places that are filled by chance."""


def fill(path: Path, devices: int, executions: int) -> None:
    """Put rows into a ledger that is there."""
    rng, orders = random.Random(6), devices * _ORDERS
    with closing(sqlite3.connect(path)) as disk:
        disk.execute("PRAGMA synchronous = OFF")
        disk.executemany(
            "INSERT INTO device (device_id, tenant, device, live_epoch, boot, version, online,"
            " first_seen_ms, last_seen_ms, change) VALUES (?, 'default', ?, 1, 1, ?, ?, 1, ?, ?)",
            (
                (n, f"d{n:06d}", f"1.{n % 7}", int(n % 10 > 0), _NOW_MS - n * 50, n)
                for n in range(1, devices + 1)
            ),
        )
        disk.executemany(
            "INSERT INTO cursor (device_id, epoch, lane, acked, newest, oldest, synced_ms)"
            " VALUES (?, 1, 2, 1000, ?, 1, ?)",
            ((n, 1_000 + (n % 50 == 0) * n, _NOW_MS - n) for n in range(1, devices + 1)),
        )
        disk.execute("UPDATE counter SET value = ? WHERE name = 'change'", (devices + 1,))
        disk.executemany(
            "INSERT INTO execution (device_id, workflow_id, name, version, status, correlation_id,"
            " reason, created_ms, updated_ms, ended_ms, came_ms, began_ms, ver)"
            " VALUES (?, ?, ?, 1, ?, NULL, ?, ?, ?, ?, ?, ?, x'00')",
            (
                (
                    rng.randrange(devices) + 1, f"w{n}", f"flow{n % 8}", status,
                    "camera gone" if status == "FAILED" else None,
                    at_ms := _NOW_MS - (executions - n) * (3 * _DAY_MS // executions + 1),
                    at_ms, at_ms + 5_000, at_ms + 6_000, at_ms,
                )
                for n in range(executions)
                for status in [rng.choice(_STATUSES)]
            ),
        )  # fmt: skip
        disk.executemany(
            "INSERT INTO device_order (order_id, device_id, kind, subject, body, condition,"
            " issued_ms, issued_by, expires_ms, epoch, cseq, sent_ms, ended, ended_ms)"
            " VALUES (?, ?, ?, '', x'7b7d', x'', ?, 'bench', ?, 1, ?, ?, ?, 1)",
            (
                (
                    f"o{n}", rng.randrange(devices) + 1, "terminate" if n % 5_000 == 7 else "start",
                    at_ms := _NOW_MS - (orders - n) * 1_000, at_ms + _DAY_MS, 0 if ended is None
                    else n, 0 if ended is None else at_ms, ended,
                )
                for n in range(orders)
                for ended in [rng.choices(("done", "failed", None), (9_980, 10, 10))[0]]
            ),
        )  # fmt: skip
        disk.execute("DELETE FROM progress WHERE name = 'tally'")
        tally.fill(disk)
        while fleet.refresh(disk):
            pass
        disk.execute(
            "INSERT INTO device_group (group_id, tenant, name, description, query, created_ms)"
            " VALUES (1, 'default', 'pilots', '', NULL, 1)"
        )
        disk.executemany(
            "INSERT INTO device_group_member VALUES (1, ?)",
            ((n,) for n in range(1, devices + 1, 20)),
        )
        disk.commit()
        disk.execute("PRAGMA optimize")
        disk.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _steer(client: httpx.AsyncClient) -> None:
    """A configuration for all devices, and an order to all of them at a slow pace."""
    target = {"query": ""}
    pushed = {"target": target, "variables": {"ZONE": "x"}, "perMinute": 600}
    config = await client.put("/api/v1/wanted/config/site", json=pushed)
    campaign = {"id": "all", "target": target, "kind": "start", "body": {"name": "flow"}}
    made = await client.post("/api/v1/campaigns", json=campaign | {"perMinute": 600})
    assert (200, 201) == (config.status_code, made.status_code), config.text + made.text


async def _measure(path: Path, devices: int, executions: int) -> Run:
    ledger = await Ledger.open(path, now_ms=lambda: _NOW_MS)
    await asyncio.to_thread(fill, path, devices, executions)
    # Each request comes a second after the one before, so that nothing kept answers it.
    clock = iter(range(_NOW_MS, _NOW_MS + 10**9, 1_001))
    app = build_app(ledger, now_ms=lambda: next(clock))
    rng, measured = random.Random(9), Run()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://cloud") as client:
        await _steer(client)
        for name, page in PAGES.items():
            took, spent = [], []
            for _ in range(_ROUNDS):
                path_ = page.format(
                    device=f"{rng.randrange(devices) + 1:06d}",
                    execution=rng.randrange(executions),
                    digits=rng.randrange(100, 1_000),
                )
                began, cpu = time.perf_counter(), time.process_time()
                answer = await client.get(path_)
                took.append((time.perf_counter() - began) * 1_000)
                spent.append((time.process_time() - cpu) * 1_000)
                assert answer.status_code == 200, answer.text
            took.sort()
            spent.sort()
            measured[f"{name}_p95_ms"] = took[int(len(took) * 0.95)]
            measured[f"{name}_cpu_p95_ms"] = spent[int(len(spent) * 0.95)]
    await ledger.close()
    measured["worst_p95_ms"] = max(measured[f"{name}_p95_ms"] for name in PAGES)
    measured["worst_cpu_p95_ms"] = max(measured[f"{name}_cpu_p95_ms"] for name in PAGES)
    return measured


def measure(folder: str, devices: int, executions: int) -> Run:
    """Fill a ledger and ask for all pages.

    Args:
        folder: of the ledger.
        devices, executions: how many there are.
    """
    return asyncio.run(_measure(Path(folder) / "ledger.db", devices, executions))


def run(bench: Bench) -> list[Figure]:
    """Every page of the control plane, forty times."""
    devices, executions = bench.many(_DEVICES, least=500), bench.many(_EXECUTIONS, least=5_000)

    def once() -> Run:
        task = {
            "folder": str(bench.new_folder("fleet")), "devices": devices, "executions": executions
        }  # fmt: skip
        return bench.child("tests.bench.fleet", task)

    name = f"{devices:,} devices, {executions:,} executions"
    case = bench.alternate({"fleet": (name, once)}, counted=True)["fleet"]
    return [
        case.figure("worst_p95_ms", "the slowest page, p95", "ms"),
        case.figure("worst_cpu_p95_ms", "the dearest page, p95", "CPU-ms"),
        *(case.figure(f"{page}_cpu_p95_ms", f"{page}, p95", "CPU-ms") for page in PAGES),
    ]


if __name__ == "__main__":
    serve_child(measure)
