"""A simulated fleet as it is typed, over a real broker that dies and a real control plane."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.durable import FILES
from sync.identity import load_order_key
from sync.records import Lane
from tests.integration.sync_doubles import (
    ROOT,
    free_port,
    mosquitto,
    running,
    wait_for_port,
)

_CLI = [sys.executable, "-m", "edge.cli"]
_PATIENCE_S = 240


@contextmanager
def control_plane(folder: Path, port: int) -> Iterator[str]:
    """`baton cloud` over the broker of a port; its address."""
    config = folder / "cloud.toml"
    config.write_text(
        f'[sync]\nbroker = "mqtt://127.0.0.1:{port}"\n[daemon]\nlisten = "127.0.0.1:0"\n'
    )
    command = [*_CLI, "cloud", "--config", str(config), "--data-dir", str(folder / "cloud")]
    with (folder / "cloud.err").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r" ready on (http://\S+) ", line):
                yield found[1]
                break
        else:
            raise AssertionError((folder / "cloud.err").read_text())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def fleet(folder: Path, port: int, url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`baton simulate-fleet` over the same broker, whose control plane may give it orders."""
    key = load_order_key(folder / "cloud" / "identity", FILES).public_key.hex()
    command = [
        *_CLI, "simulate-fleet", "--broker", f"mqtt://127.0.0.1:{port}", "--verify", url,
        "--order-keys", key, "--json", *options,
    ]  # fmt: skip
    with (folder / "fleet.err").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def outcome(process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    """What the fleet says at its end."""
    out, _ = process.communicate(timeout=_PATIENCE_S)
    assert 0 == process.returncode, out + (folder / "fleet.err").read_text()
    found: dict[str, Any] = json.loads(out)
    return found


def wait_until(true: Callable[[], bool], what: Callable[[], object]) -> None:
    """Look now and then until it is so."""
    deadline = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


def stored(folder: Path) -> dict[tuple[int, int], list[int]]:
    """Every stored sequence by device and lane, with repetitions if there were any."""
    found: dict[tuple[int, int], list[int]] = {}
    with closing(sqlite3.connect(folder / "cloud" / "ledger.db")) as disk:
        for device, lane, first, many in disk.execute(
            "SELECT device_id, lane, first_seq, count FROM segment ORDER BY first_seq"
        ):
            found.setdefault((device, lane), []).extend(range(first, first + many))
    return found


@pytest.mark.timeout(600)
def test_two_thousand_devices_lose_nothing_when_the_broker_dies(tmp_path: Path) -> None:
    """0 lost and 0 twice, over 300 connections that are cut now and then.

    Some devices are away, some clocks are wrong, the broker is killed, and some are given orders.
    """
    port = free_port()
    broker = mosquitto(tmp_path, port)
    with (tmp_path / "mosquitto.conf").open("a") as config:
        # With its default of 1,000 it drops what is beyond, as when 2,000 say farewell at once.
        config.write("max_queued_messages 100000\n")
    with running(broker):
        broker.start()
        wait_for_port(port)
        options = [
            "--devices", "2000", "--sessions", "300", "--rate", "60", "--backlog", "2",
            "--offline-share", "10", "--offline-for", "3s", "--flap", "60s",
            "--wrong-clocks", "10", "--drain", "4m",
        ]  # fmt: skip
        with control_plane(tmp_path, port) as url, fleet(tmp_path, port, url, *options) as process:

            def summary() -> dict[str, Any]:
                found: dict[str, Any] = httpx.get(f"{url}/api/v1/summary").json()
                return found

            wait_until(lambda: summary()["records"] > 5_000, summary)
            # A busy machine opens them slowly, and few are cut then.
            wait_until(lambda: _open_sessions(tmp_path) >= 250, lambda: _open_sessions(tmp_path))
            broker.kill()
            time.sleep(1)
            broker.start()
            names = [f"sim-{number:07d}" for number in range(0, 2_000, 50)]
            wait_until(lambda: summary()["devices"] == 2_000, summary)
            campaign = _order(url, names)
            wait_until(lambda: _ended(url, campaign) == len(names), lambda: _ended(url, campaign))
            process.send_signal(signal.SIGINT)
            ended = outcome(process, tmp_path)
            # All have said goodbye, also those that share a connection.
            wait_until(lambda: summary()["online"] == 0, summary)

    proof = ended["proof"]
    assert proof["good"], proof
    assert (0, 0, 0) == (proof["lost"], proof["duplicated"], proof["wrong_executions"])
    assert 2_000 * 20 < ended["written"] == ended["acked"] == proof["records_there"]
    assert len(names) == ended["orders_done"] + ended["orders_failed"]
    assert ended["orders_done"] > ended["orders_failed"]
    assert ended["lost"] >= 200
    found = stored(tmp_path)
    assert ended["acked"] == sum(map(len, found.values()))
    assert all(list(range(1, len(seqs) + 1)) == seqs for seqs in found.values())
    assert {Lane.CONTROL, Lane.URGENT, Lane.HISTORY} == {lane for _, lane in found}


def _open_sessions(folder: Path) -> int:
    """How many the last line of the progress shows."""
    told: list[str] = re.findall(r"([0-9,]+) sessions", (folder / "fleet.err").read_text())
    return int(told[-1].replace(",", "")) if told else 0


def _order(url: str, names: list[str]) -> str:
    """A campaign that starts a workflow on some devices; its id."""
    body = {
        "target": {"devices": names}, "kind": "start", "body": {"name": "self_test"},
        "perMinute": 10_000,
    }  # fmt: skip
    answer = httpx.post(f"{url}/api/v1/campaigns", json=body)
    assert answer.status_code in (200, 201, 202), answer.text
    found: str = answer.json()["id"]
    return found


def _ended(url: str, campaign: str) -> int:
    """Orders of a campaign that have come to something."""
    progress = httpx.get(f"{url}/api/v1/campaigns/{campaign}").json()["progress"]
    return int(progress["done"] + progress["failed"])


@pytest.mark.timeout(300)
def test_devices_with_connections_of_their_own_come_back_from_storms(tmp_path: Path) -> None:
    """A hundred devices whose connections are all cut at once, again and again: nothing is lost."""
    port = free_port()
    broker = mosquitto(tmp_path, port)
    with running(broker):
        broker.start()
        wait_for_port(port)
        options = [
            "--devices", "100", "--sessions", "100", "--rate", "1200", "--storm", "2s",
            "--duration", "7s", "--offline-share", "10", "--offline-for", "1s",
        ]  # fmt: skip
        with control_plane(tmp_path, port) as url, fleet(tmp_path, port, url, *options) as process:
            ended = outcome(process, tmp_path)

    assert ended["proof"]["good"], ended
    assert ended["storms"] >= 2
    assert ended["lost"] >= 100
    assert ended["proof"]["executions"] > 50
    found = stored(tmp_path)
    assert all(list(range(1, len(seqs) + 1)) == seqs for seqs in found.values())


@pytest.mark.timeout(60)
def test_what_is_missing_is_named() -> None:
    """No broker, no control plane: one line each, with what to do."""
    command = [*_CLI, "simulate-fleet", "--broker", f"mqtt://127.0.0.1:{free_port()}"]
    alone = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 1 == alone.returncode
    assert "no broker at 127.0.0.1" in alone.stderr
    assert "--embedded" in alone.stderr
    assert "Traceback" not in alone.stderr

    address = f"http://127.0.0.1:{free_port()}"
    blind = subprocess.run(
        [*command, "--verify", address], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 3 == blind.returncode
    assert f"no control plane answers at {address}" in blind.stderr


# It takes the first addresses that are free, as the demonstration does.
@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(120)
def test_one_command_shows_a_fleet(tmp_path: Path) -> None:
    """With --embedded it brings its broker and its control plane, and asks the latter at the end."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [
        *_CLI, "simulate-fleet", "--embedded", "--devices", "20", "--sessions", "5",
        "--rate", "1200", "--duration", "3s",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "PASSED" in done.stdout
    assert "control plane  http://127.0.0.1" in done.stderr
    assert [] == list(tmp_path.iterdir()), "its folder is taken away"
