"""Health, version, figures, devices, pictures and sync, as the console and Prometheus read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edge.model.errors import NotFound
from tests.unit.edge.api.device import Device, run


def test_the_device_says_how_it_is(tmp_path: Path) -> None:
    """Healthy or not, the status is 200; both addresses answer."""

    async def body(device: Device) -> None:
        async def ill() -> bool:
            return False

        well = await device.client.get("/health")
        device.house.healthy = ill
        unwell = await device.client.get("/api/health")

        assert (True, False) == (well.json()["healthy"], unwell.json()["healthy"])
        assert 200 == unwell.status_code
        assert "0" == await device.answer("GET", "/version")

    run(tmp_path, body)


def test_figures_are_prometheus_text(tmp_path: Path) -> None:
    """Every line is a comment or a sample; each metric has its help and its type once."""

    async def body(device: Device) -> None:
        device.house.devices = lambda: [{"name": 'a"b', "status": {"state": "online"}}]
        await device.register()
        await device.started()

        text = (await device.client.get("/metrics")).text
        same = (await device.client.get("/actuator/prometheus")).text

        lines = text.splitlines()
        sample = re.compile(r'[a-z_]+(\{([a-z]+="([^"\\]|\\.)*",?)+\})? -?[0-9.e+]+')
        assert all(line.startswith("# ") or sample.fullmatch(line) for line in lines)
        types = [line.split()[2] for line in lines if line.startswith("# TYPE")]
        assert len(types) == len(set(types))
        assert "baton_starts_total 1" in lines
        assert 'baton_workflows_started_total{workflow="flow"} 1' in lines
        assert 'baton_transaction_seconds_bucket{le="+Inf"} 3' in lines
        assert [line.split()[2] for line in same.splitlines() if "# TYPE" in line] == types
        assert 'baton_queue_tasks{queue="work"} 1' in lines
        assert 'baton_workflows{status="RUNNING"} 1' in lines
        assert 'baton_devices_online{device="a\\"b"} 1' in lines

    run(tmp_path, body)


def test_counters_begin_at_nothing(tmp_path: Path) -> None:
    """All that can be known is there before its first event: a rate over it sees that one, too."""
    documented = Path("docs/metrics.md").read_text(encoding="utf-8")

    async def body(device: Device) -> None:
        lines = (await device.client.get("/metrics")).text.splitlines()
        samples = {line.split(" ")[0] for line in lines if line[0] != "#"}
        without_labels = {
            name
            for row in documented.splitlines()
            if re.fullmatch(r"\| .* \| +\| .* \|", row)
            for name in re.findall(r"`(baton_[a-z_]+_total)`", row)
        }

        assert 10 == len(without_labels)
        assert without_labels <= samples
        for result in ("executed", "failed", "dropped"):
            assert f'baton_schedule_ticks_total{{result="{result}"}} 0' in lines
        for status in ("RUNNING", "PAUSED", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"):
            assert f'baton_workflows{{status="{status}"}} 0' in lines

    run(tmp_path, body)


def test_devices_and_sync_are_what_the_daemon_says(tmp_path: Path) -> None:
    """The API shows what it is given; without a camera there is no picture."""

    async def body(device: Device) -> None:
        async def picture(name: str) -> bytes:
            if name != "front":
                raise NotFound("no such device")
            return b"jpeg"

        entry: dict[str, Any] = {"name": "front", "status": {"state": "online"}}
        assert ([], {"enabled": False}) == (
            await device.answer("GET", "/v1/devices"),
            await device.answer("GET", "/v1/sync"),
        )
        assert 404 == (await device.call("GET", "/v1/devices/front/snapshot.jpg")).status_code
        device.house.devices, device.house.snapshot = lambda: [entry], picture

        shot = await device.call("GET", "/v1/devices/front/snapshot.jpg?at=1")

        assert [entry] == await device.answer("GET", "/v1/devices")
        assert (b"jpeg", "image/jpeg", "no-store") == (
            shot.content,
            shot.headers["content-type"],
            shot.headers["cache-control"],
        )
        assert 404 == (await device.call("GET", "/v1/devices/back/snapshot.jpg")).status_code

    run(tmp_path, body)


def test_hosted_workers_are_shown(tmp_path: Path) -> None:
    """In the figures, in the list, and in the health, which they do not decide."""
    up = {"name": "greet", "state": "running", "pid": 7, "restarts": 2, "residentBytes": 5_000}
    worker = {**up, "inHand": 1, "lastEnd": ""}

    async def body(device: Device) -> None:
        before = (await device.client.get("/metrics")).text
        device.house.workers = lambda: [worker, {**worker, "name": "odd", "state": "waiting"}]
        lines = (await device.client.get("/metrics")).text.splitlines()
        health = (await device.client.get("/health")).json()

        assert "baton_worker" not in before
        assert 'baton_worker_up{worker="greet"} 1' in lines
        assert 'baton_worker_up{worker="odd"} 0' in lines
        assert 'baton_worker_restarts_total{worker="greet"} 2' in lines
        assert 'baton_worker_resident_bytes{worker="greet"} 5000' in lines
        assert 'baton_worker_in_hand{worker="greet"} 1' in lines
        assert health["healthy"]
        assert {"disk": True, "worker greet": True, "worker odd": False} == {
            one["details"]["name"]: one["healthy"] for one in health["healthResults"]
        }
        assert "greet" == (await device.answer("GET", "/v1/workers"))[0]["name"]

    run(tmp_path, body)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_kept_outputs_are_cleared_by_task_definition(tmp_path: Path, method: str) -> None:
    """The next execution does its task again; the answer is how many outputs there were."""

    async def body(device: Device) -> None:
        await device.register()
        step = {
            "name": "work",
            "taskReferenceName": "first",
            "cacheConfig": {"key": "k", "ttlInSecond": 60},
        }
        await device.answer("PUT", "/metadata/workflow", json=[{"name": "flow", "tasks": [step]}])

        async def status() -> str:
            workflow_id = await device.started()
            return str((await device.answer("GET", f"/workflow/{workflow_id}"))["status"])

        first = await status()
        await device.finish(await device.claimed())
        reused = await status()
        cleared = [
            await device.answer(method, f"/admin/cache/clear/{name}")
            for name in ("other", "work", "work")
        ]

        assert ("RUNNING", "COMPLETED") == (first, reused)
        assert [0, 1, 0] == cleared
        assert "RUNNING" == await status()

    run(tmp_path, body)
