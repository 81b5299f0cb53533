"""A control plane whose ingesters share the load: processes, a real broker, both databases."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sync.control_plane.ledger import Ledger
from sync.records import Lane
from tests import postgres
from tests.integration.sync_doubles import (
    MemoryOutbox,
    fill,
    free_port,
    make_uplink,
    mosquitto,
    now_ms,
    running,
    until,
    wait_for_port,
)

RECORDS = 12_000


@contextmanager
def cloud(*options: str) -> Iterator[subprocess.Popen[str]]:
    """A control plane that runs; killed in the end if it has not ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", "cloud", "--listen", "127.0.0.1:0", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if re.search(r" ready on (http://\S+) ", line):
                break
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def children(process: int) -> list[int]:
    """The processes that another one has started and that ingest."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            line = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == process and b"spawn_main" in line:
            found.append(int(folder.name))
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_one_ingester_leaves_another_takes(tmp_path: Path, kind: str) -> None:
    """I-6: two share a backlog, one is killed in the middle; all is stored once and in view."""
    port = free_port()
    broker = mosquitto(tmp_path, port)
    config = tmp_path / "cloud.toml"
    config.write_text(f'[sync]\nbroker = "mqtt://127.0.0.1:{port}"\n[cloud]\ningesters = 2\n')
    options = ["--config", str(config), "--data-dir", str(tmp_path / "cloud")]
    outbox = MemoryOutbox()
    fill(outbox, RECORDS)
    uplink = make_uplink(tmp_path, port, outbox)
    newest = {lane: len(outbox.lanes[lane]) for lane in (Lane.URGENT, Lane.HISTORY)}

    async def scenario(where: Path | str, process: int) -> tuple[int, int, int, bool]:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(uplink.run())
            await until(lambda: len(children(process)) == 2, limit_s=30, what="two ingesters")
            await until(
                lambda: outbox.acked[Lane.HISTORY] > RECORDS // 10, limit_s=60, what="some sent"
            )
            os.kill(children(process)[0], signal.SIGKILL)
            await until(
                lambda: all(outbox.acked[lane] == last for lane, last in newest.items()),
                limit_s=80,
                what="all acknowledged",
            )
            await until(lambda: len(children(process)) == 2, limit_s=30, what="a new ingester")
            ledger = await Ledger.open(where, now_ms=now_ms)
            try:

                async def shown() -> bool:
                    return (await ledger.summary()).projection_lag == 0

                await until(shown, limit_s=60, what="all in view")
                summary = await ledger.summary()
                (device,) = await ledger.devices()
            finally:
                await ledger.close()
                sending.cancel()
            return summary.records, summary.missing, device.backlog, device.online

    with running(broker):
        broker.start()
        wait_for_port(port)
        if kind == "sqlite":
            with cloud(*options) as process:
                found = asyncio.run(scenario(tmp_path / "cloud" / "ledger.db", process.pid))
        elif postgres.programs() is None:
            pytest.skip("no PostgreSQL here: packaging/setup/test-packages.sh installs it")
        else:
            with postgres.running() as server:
                url = server.new_schema()
                with cloud(*options, "--database", url) as process:
                    found = asyncio.run(scenario(url, process.pid))

    assert (sum(newest.values()), 0, 0, True) == found
