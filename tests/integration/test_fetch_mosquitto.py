"""Fetched on demand: a real device, a real broker and a real control plane, asked over its API."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from edge.durable import FILES
from sync.identity import load_order_key
from tests.daemon import Daemon
from tests.integration.sync_doubles import (
    Process,
    free_port,
    mosquitto,
    now_ms,
    running,
    wait_for_port,
)

FILM_BYTES = 5_500_000
BYTES_PER_S = 80_000
"""A minute's worth may be sent at once: less than the film, so that none of it is over too soon."""

WITHIN_S = 120.0


class Site:
    """One device and its control plane."""

    def __init__(self, folder: Path, broker: Process, port: int) -> None:
        self.broker = broker
        key = load_order_key(folder / "cloud" / "identity", FILES).public_key.hex()
        sync = f'[sync]\nbroker = "mqtt://127.0.0.1:{port}"\n'
        self.cloud = Daemon(folder / "cloud", config=sync, role="cloud")
        self.device = Daemon(
            folder / "device",
            config=f'{sync}device = "roof"\norder_keys = ["{key}"]\nbytes_per_s = {BYTES_PER_S}\n',
        )
        self.api = httpx.Client(timeout=30)

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """One request to the control plane."""
        answer = self.api.request(method, f"{self.cloud.url}/api/v1{path}", json=body)
        assert status == answer.status_code, answer.text
        return answer.json()

    def until(self, fetch: str, *states: str, arrived: int = 0) -> dict[str, Any]:
        """Wait for what is fetched."""
        limit = time.monotonic() + WITHIN_S
        while True:
            shown: dict[str, Any] = self.ask("GET", f"/fetches/{fetch}")
            if shown["state"] in states and shown["arrived"] >= arrived:
                return shown
            assert time.monotonic() < limit, shown
            time.sleep(0.1)

    def until_known(self) -> None:
        """Wait for the device."""
        limit = time.monotonic() + WITHIN_S
        while not self.ask("GET", "/devices")["devices"]:
            assert time.monotonic() < limit, "the device is not heard of"
            time.sleep(0.1)

    def content(self, fetch: str) -> bytes:
        """What was fetched."""
        answer = self.api.get(f"{self.cloud.url}/api/v1/fetches/{fetch}/content")
        assert 200 == answer.status_code, answer.text
        return answer.content


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Both of them run, and know each other."""
    port = free_port()
    broker = mosquitto(folder, port)
    with running(broker):
        broker.start()
        wait_for_port(port)
        found = Site(folder, broker, port)
        try:
            found.cloud.start()
            found.device.start()
            found.until_known()
            yield found
        finally:
            found.api.close()
            for one in (found.device, found.cloud):
                one.kill()


@pytest.mark.timeout(300)
def test_logs_are_fetched(tmp_path: Path) -> None:
    """What the device has logged, also before it was killed; an order that is too late fetches none."""
    with site(tmp_path) as found:
        order = found.ask("POST", "/devices/roof/logs", {"contains": "ORDER_done"}, status=201)
        found.until(order["id"], "complete")
        lines = [msgspec.json.decode(one) for one in found.content(order["id"]).splitlines()]
        # Logged before what is ordered is looked for.
        assert [("order_done", order["id"])] == [(line["event"], line["order"]) for line in lines]
        assert lines[0].keys() >= {"at", "level"}

        found.device.kill()
        late = found.ask("POST", "/devices/roof/logs", {"expiresInS": 1}, status=201)
        good = found.ask("POST", "/devices/roof/logs", {"level": "info"}, status=201)
        while now_ms() <= late["expiresMs"]:
            time.sleep(0.1)
        found.device.start()
        found.until(late["id"], "failed")
        assert "expired" == found.ask("GET", f"/orders/{late['id']}")["state"]
        found.until(good["id"], "complete")
        text = found.content(good["id"])
        # What was written when it was asked for has outlived the process; the last seconds need not.
        logged = [msgspec.json.decode(one) for one in text.splitlines()]
        assert order["id"] in {
            line.get("order") for line in logged if line["event"] == "order_done"
        }
        assert all(line["event"] != "fetched" for line in logged if line.get("order") == late["id"])


@pytest.mark.timeout(300)
def test_a_film_is_fetched_over_a_broken_link(tmp_path: Path) -> None:
    """The broker is killed on the way, and then the device: every byte arrives, and the copy goes."""
    film = os.urandom(FILM_BYTES)
    with site(tmp_path) as found:
        folder = tmp_path / "device" / "evidence"
        folder.mkdir(exist_ok=True)
        (folder / "clip.mp4").write_bytes(film)
        body = {"store": "evidence", "name": "clip.mp4"}
        order = found.ask("POST", "/devices/roof/files", body, status=201)

        shown = found.until(order["id"], "arriving", arrived=5)
        assert hashlib.sha256(film).hexdigest() == shown["sha256"]
        found.broker.kill()
        (folder / "clip.mp4").unlink()
        found.broker.start()
        seen = found.until(order["id"], "arriving", arrived=shown["arrived"])["arrived"]
        found.device.kill()
        found.device.start()
        found.until(order["id"], "complete", arrived=seen)

        assert film == found.content(order["id"])
        again = found.ask("POST", "/devices/roof/files", body, status=201)
        assert "removed" in found.until(again["id"], "gone")["reason"]
        limit = time.monotonic() + WITHIN_S
        while list((tmp_path / "device" / "fetched").iterdir()):
            assert time.monotonic() < limit, "the copy is still there"
            time.sleep(0.2)
