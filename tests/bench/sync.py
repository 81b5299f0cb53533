"""History on its way up and orders on their way down, through a real broker to a real ledger.

Broker and ingester are processes of their own; run as a program it is the device.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import sys
import time
from pathlib import Path

from edge.durable import FILES
from edge.engine import Engine
from edge.store import outbox
from edge.store.outbox import OutboxWriter
from sync.control_plane.ingest import Ingest
from sync.control_plane.ledger import Ledger
from sync.control_plane.projection import pending
from sync.identity import load_order_key
from sync.link import Broker
from sync.records import Lane
from tests.bench.context import Bench, serve_child
from tests.bench.figures import Figure, NotMeasured, Run
from tests.bench.inprocess import drive, serve
from tests.bench.window import Window, cpu_s, quantile
from tests.bench.workload import STEPS, engine_of, run_as_the_daemon, workload_w
from tests.integration.sync_doubles import (
    INGESTER,
    MOSQUITTO,
    MemoryOutbox,
    Process,
    engine_uplink,
    fill,
    free_port,
    mosquitto,
    now_ms,
    running,
    wait_for_port,
)

_RECORDS = 200_000
_SEALED_RECORDS = 1_000_000
_WORKFLOWS = 3_000
_ORDERS = 200
_AT_ONCE = 100
_TURN = 100
"""Workflows with history, and then as many without it."""
_BOTH = (False, True)
_AT_A_TIME = 10
"""Records of one transaction that are kept as rows."""
_TASKS_A_RECORD = 7 / 23
"""Of the history that is drained: workflows of seven tasks, each with three states."""

_DEVICE = """
import sys
from pathlib import Path
from tests.bench.sync import ordered
from tests.bench.workload import run_as_the_daemon

run_as_the_daemon(ordered(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
"""

_WAIT = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}


def _backlog(path: Path, records: int) -> None:
    """A database with history that nobody has taken away yet: rows, as a few at a time leave it."""
    memory = MemoryOutbox()
    fill(memory, records)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        writer = OutboxWriter()
        connection.execute("BEGIN")
        for lane in (Lane.URGENT, Lane.HISTORY):
            for number, record in enumerate(memory.lanes[lane], 1):
                writer.add(
                    connection, lane, record.kind, record.body, now_ms=record.recorded_ms, boot=1
                )
                if number % _AT_A_TIME == 0:
                    writer.flush(connection)
        writer.flush(connection)
        connection.execute("COMMIT")


async def _drain(folder: Path, port: int, ingester: int, records: int, *, sealed: bool) -> Run:
    path = folder / "device.db"
    measured: Run = {}
    async with engine_of(path, syncing=True):
        pass
    await asyncio.to_thread(_backlog, path, records)
    async with engine_of(path, syncing=True) as engine, asyncio.TaskGroup() as group:
        if sealed:
            measured["seal_us"] = await _seal(engine) / records * 1e6
        uplink = engine_uplink(engine, folder, port, [])
        waiting = sum(
            newest for _, _, newest in (await engine.database.read(outbox.read_lanes)).values()
        )
        window, before_s = Window(), cpu_s(ingester)
        running_uplink, began_s = group.create_task(uplink.run()), time.perf_counter()
        while sum(uplink.status().synced_to.values()) < waiting:
            await asyncio.sleep(0.01)
        drained = window.close()
        sent_bytes = uplink.status().bytes_sent
        await asyncio.to_thread(_wait_for_the_view, folder / "ledger.db")
        taken_s, view_s = cpu_s(ingester) - before_s, time.perf_counter() - began_s
        running_uplink.cancel()
    return measured | {
        "foreign": drained["foreign"],
        "records_per_s": waiting / drained["wall_s"],
        "device_us": drained["cpu_s"] / waiting * 1e6,
        "ingest_us": taken_s / waiting * 1e6,
        "view_s": view_s,
        "wire_bytes_a_task": sent_bytes / waiting / _TASKS_A_RECORD,
    }


async def _seal(engine: Engine) -> float:
    """Seal all that waits, of which the daemon leaves the newest; the CPU-seconds that it takes."""
    before_s = time.process_time()
    while await engine.request(
        lambda transaction: outbox.seal(transaction.connection, Lane.HISTORY)
    ):
        pass
    return time.process_time() - before_s


def _wait_for_the_view(ledger: Path) -> None:
    """Until all that was acknowledged is shown."""
    with contextlib.closing(sqlite3.connect(ledger)) as connection:
        while pending(connection):
            time.sleep(0.02)


async def _orders(folder: Path, port: int, orders: int) -> Run:
    """The control plane's part; the device is a process of its own, as it is in the field."""
    ledger = await Ledger.open(folder / "orders.db", now_ms=now_ms)
    key = load_order_key(folder / "cloud", FILES)
    ingest = Ingest(
        broker=Broker(port=port), ledger=ledger, now_ms=now_ms, chance=random.Random(1),
        order_key=key,
    )  # fmt: skip
    device = Process(
        [sys.executable, "-c", _DEVICE, str(folder), str(port), key.public_key.hex()],
        folder / "device.log",
    )
    took_s: list[float] = []
    with running(device):
        async with asyncio.TaskGroup() as group:
            device.start()
            loops = [group.create_task(ingest.run())]
            while await ledger.device("roof") is None:
                await asyncio.sleep(0.01)
            for _ in range(orders):
                began_s = time.perf_counter()
                given = await ledger.order(
                    "roof", "start", {"name": "demo"}, expires_ms=now_ms() + 3_600_000
                )
                found = await ledger.outcome(given.order_id, timeout_s=30)
                assert found is not None and found.ended, "an order is carried out"
                took_s.append(time.perf_counter() - began_s)
            for loop in loops:
                loop.cancel()
    await ledger.close()
    return {
        "p50_ms": quantile(took_s, 0.50) * 1000,
        "p99_ms": quantile(took_s, 0.99) * 1000,
    }


async def ordered(folder: Path, port: int, key: str) -> None:
    """The device that is ordered; it runs until it is killed.

    Args:
        folder: where its database is made.
        port: of the broker.
        key: the public key that it obeys, in hexadecimal.
    """
    definition = {"name": "demo", "tasks": [_WAIT], "ownerEmail": "bench@example.invalid"}
    async with engine_of(folder / "ordered.db", definition, syncing=True) as engine:
        await engine_uplink(engine, folder, port, [key]).run()


async def _keep(folder: Path, workflows: int) -> Run:
    """With history and without it, in short turns: the machine is as quick for the one as the other."""
    cost = {syncing: dict.fromkeys(("cpu_s", "written_bytes", "foreign"), 0.0) for syncing in _BOTH}
    rounds = max(1, workflows // _TURN)
    async with contextlib.AsyncExitStack() as stack:
        engines = {
            syncing: await stack.enter_async_context(
                engine_of(folder / f"{syncing}.db", workload_w(), syncing=syncing)
            )
            for syncing in _BOTH
        }
        group = await stack.enter_async_context(asyncio.TaskGroup())
        workers = [
            group.create_task(serve(engine, name))
            for engine in engines.values()
            for name in STEPS
            for _ in range(_AT_ONCE // 3)
        ]
        for engine in engines.values():
            await drive(engine, "W", _TURN, _AT_ONCE)
        for _ in range(rounds):
            for syncing, engine in engines.items():
                window, before_s = Window(), time.process_time()
                await drive(engine, "W", _TURN, _AT_ONCE)
                # A turn is short for the clock that a window reads.
                took_s = time.process_time() - before_s
                for name, value in (window.close() | {"cpu_s": took_s}).items():
                    if name in cost[syncing]:
                        cost[syncing][name] += value
        lanes = await engines[True].database.read(outbox.read_lanes)
        for worker in workers:
            worker.cancel()
    records = sum(newest for _, _, newest in lanes.values()) * rounds / (rounds + 1)
    return {
        "foreign": cost[True]["foreign"] / rounds,
        "us_a_record": (cost[True]["cpu_s"] - cost[False]["cpu_s"]) / records * 1e6,
        "written_a_record": (cost[True]["written_bytes"] - cost[False]["written_bytes"]) / records,
    }


def measure(mode: str, folder: str, count: int, port: int = 0, ingester: int = 0) -> Run:
    """One run in this process.

    Args:
        mode: `drain`, `sealed`, `orders` or `kept`.
        folder: where databases are made.
        count: of records, orders or workflows.
        port: of the broker.
        ingester: the process that takes history in.
    """
    place = Path(folder)
    match mode:
        case "drain" | "sealed":
            return run_as_the_daemon(_drain(place, port, ingester, count, sealed=mode == "sealed"))
        case "orders":
            return run_as_the_daemon(_orders(place, port, count))
        case _:
            return run_as_the_daemon(_keep(place, count))


def _ledger_bytes(path: Path) -> float:
    """What a record takes of the ledger's truth: all of its segments, by the record."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        size, records = connection.execute(
            "SELECT SUM(LENGTH(payload) + 60), SUM(count) FROM segment"
        ).fetchone()
    return float(size) / float(records)


def _through_the_broker(bench: Bench, mode: str, count: int) -> Run:
    if MOSQUITTO is None:
        raise NotMeasured("mosquitto is not installed")
    folder, port = bench.new_folder("sync"), free_port()
    broker = mosquitto(folder, port)
    ledger = folder / "ledger.db"
    ingester = Process(
        [sys.executable, "-c", INGESTER, str(ledger), str(port)], folder / "ingester.log"
    )
    with running(broker, ingester):
        broker.start()
        wait_for_port(port)
        task = {"mode": mode, "folder": str(folder), "count": count, "port": port}
        if mode != "orders":
            ingester.start()
            assert ingester.child is not None
            task["ingester"] = ingester.child.pid
        measured = bench.child("tests.bench.sync", task)
        if mode != "orders":
            measured["ledger_bytes"] = _ledger_bytes(ledger)
    return measured


def _kept(bench: Bench, workflows: int) -> Run:
    """What the history costs, by a record of it."""
    task = {"mode": "kept", "folder": str(bench.new_folder("kept")), "count": workflows}
    return bench.child("tests.bench.sync", task)


def run(bench: Bench) -> list[Figure]:
    """Draining a backlog, the round trip of an order, and what keeping history costs."""
    records = bench.many(_RECORDS, least=2_000)
    sealed = bench.many(_SEALED_RECORDS, least=2_000)
    orders = bench.many(_ORDERS, least=5)
    workflows = bench.many(_WORKFLOWS, least=50)
    cases = bench.alternate(
        {
            "sync.drain": (
                f"backlog of {records:,} records, written a few at a time",
                lambda: _through_the_broker(bench, "drain", records),
            ),
            "sync.sealed": (
                f"backlog of {sealed:,} records, sealed while the link was gone",
                lambda: _through_the_broker(bench, "sealed", sealed),
            ),
            "sync.order": (
                "an order to start, given, done and reported",
                lambda: _through_the_broker(bench, "orders", orders),
            ),
            "sync.kept": (
                f"history of W, {_AT_ONCE} at once",
                lambda: _kept(bench, workflows),
            ),
        },
        counted=True,
    )
    order, kept = cases["sync.order"], cases["sync.kept"]
    return [
        *(
            figure
            for drain in (cases["sync.drain"], cases["sync.sealed"])
            for figure in (
                drain.figure("records_per_s", "drained, acknowledged", "per second"),
                drain.figure("device_us", "CPU of the device", "µs a record"),
                drain.figure(
                    "ingest_us", "CPU of the ingester, until it is in view", "µs a record"
                ),
                drain.figure("view_s", "until all of it is in view", "s"),
                drain.figure("wire_bytes_a_task", "on the wire", "bytes a task execution"),
                drain.figure("ledger_bytes", "in the ledger's segments", "bytes a record"),
            )
        ),
        cases["sync.sealed"].figure("seal_us", "CPU of sealing it", "µs a record"),
        order.figure("p50_ms", "p50", "ms"),
        order.figure("p99_ms", "p99", "ms"),
        kept.figure("us_a_record", "CPU that it costs", "µs a record"),
        kept.figure("written_a_record", "written for it", "bytes a record"),
    ]


if __name__ == "__main__":
    serve_child(measure)
