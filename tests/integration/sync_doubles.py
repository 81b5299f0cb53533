"""Brokers, ingesters and devices for the integration tests of the sync.

Processes that can be killed, and an outbox in memory that keeps the real one's Protocol.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib.util
import ipaddress
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.durable import FILES
from edge.effects import Effects
from edge.engine import Engine
from edge.orders import EngineOrders
from edge.outbox import EngineOutbox
from sync import identity
from sync.evidence_files import Folders
from sync.link import Broker
from sync.publishing import Publication
from sync.records import (
    Lane,
    Record,
    TaskRecord,
    WorkflowRecord,
    encode_body,
)
from sync.uplink import Orders, Outbox, Uplink

ROOT = Path(__file__).resolve().parents[2]
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")

INGESTER = """
import asyncio, random, sys, time
from pathlib import Path
from sync.control_plane.ingest import Ingest
from sync.control_plane.ledger import Ledger
from sync.link import Broker

def now_ms():
    return time.time_ns() // 1_000_000

async def main():
    ledger = await Ledger.open(Path(sys.argv[1]), now_ms=now_ms)
    ingest = Ingest(
        broker=Broker(port=int(sys.argv[2])), ledger=ledger, now_ms=now_ms, chance=random.Random(1)
    )
    await ingest.run()

asyncio.run(main())
"""

DEVICE = """
import asyncio, sys
from pathlib import Path
from tests.integration.sync_doubles import MemoryOutbox, make_uplink

asyncio.run(make_uplink(Path(sys.argv[1]), int(sys.argv[2]), MemoryOutbox()).run())
"""

AMQTT = """
import asyncio, sys
from amqtt.broker import Broker

async def main():
    broker = Broker({
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })
    await broker.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


class MemoryOutbox:
    """The device's history, in memory: the real Protocol, and the rule that cursors never fall."""

    def __init__(self, epoch: int = 1) -> None:
        self.epoch = epoch
        self.lanes: dict[Lane, list[Record]] = {lane: [] for lane in Lane}
        self.acked = dict.fromkeys(Lane, 0)

    def write(self, lane: Lane, kind: str, body: bytes) -> None:
        """Add one record."""
        seq = len(self.lanes[lane]) + 1
        self.lanes[lane].append(Record(lane, seq, kind, now_ms(), 1, body))

    async def cursors(self) -> Mapping[Lane, int]:
        """As the Protocol says."""
        return dict(self.acked)

    async def bounds(self) -> Mapping[Lane, tuple[int, int]]:
        """As the Protocol says; what is acknowledged counts as pruned."""
        return {
            lane: (self.acked[lane] + 1, len(records))
            for lane, records in self.lanes.items()
            if records
        }

    async def look(
        self, after: Mapping[Lane, int]
    ) -> tuple[Mapping[Lane, tuple[int, int]], Mapping[Lane, Sequence[Record]]]:
        """As the Protocol says, without records: they are read one lane after the other."""
        del after
        return await self.bounds(), {}

    async def read(
        self, lane: Lane, after_seq: int, limit: int, max_bytes: int
    ) -> Sequence[Record]:
        """As the Protocol says."""
        assert after_seq >= self.acked[lane], "what was acknowledged is not asked for again"
        found: list[Record] = []
        total = 0
        for record in self.lanes[lane][after_seq : after_seq + limit]:
            total += len(record.body)
            if found and total > max_bytes:
                break
            found.append(record)
        return found

    async def acknowledge(self, epoch: int, cursors: Mapping[Lane, int]) -> None:
        """As the Protocol says."""
        assert epoch == self.epoch
        for lane, seq in cursors.items():
            assert seq > self.acked[lane], "a cursor never falls"
            self.acked[lane] = seq

    def waiting(self) -> int:
        """Records not acknowledged yet."""
        return sum(len(records) - self.acked[lane] for lane, records in self.lanes.items())


class MemoryPublications:
    """What workflows publish, in memory."""

    def __init__(self) -> None:
        self.queue: dict[int, Publication] = {}

    async def pending(self, limit: int) -> Sequence[Publication]:
        """As the Protocol says."""
        return list(self.queue.values())[:limit]

    async def published(self, keys: Sequence[int]) -> None:
        """As the Protocol says."""
        for key in keys:
            del self.queue[key]


def free_port() -> int:
    """A port that nobody listens on just now."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Process:
    """A child that can be killed and started again."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command = command
        self.log = log
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.command, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        """As a power cut would."""
        if self.child is not None:
            self.child.send_signal(signal.SIGKILL)
            self.child.wait()
            self.child = None


def wait_for_port(port: int) -> None:
    """Until something listens there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with closing(socket.socket()) as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}")


@contextmanager
def running(*processes: Process) -> Iterator[None]:
    """None of them outlives the test."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def mosquitto(folder: Path, port: int) -> Process:
    """A broker without persistence: a dumb pipe."""
    if MOSQUITTO is None:
        if os.environ.get("CI") == "true":
            pytest.fail("mosquitto is not installed; apt-get install mosquitto")
        pytest.skip("mosquitto is not installed")
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
        "set_tcp_nodelay true\nmax_inflight_messages 20\n",
        encoding="utf-8",
    )
    return Process([MOSQUITTO, "-c", str(config)], folder / "broker.log")


def mosquitto_tls(folder: Path, port: int) -> Process:
    """The same over TLS, for clients with a certificate and a password."""
    process = mosquitto(folder, port)
    make_certificates(folder)
    (folder / "password").write_text("secret\n", encoding="utf-8")
    (folder / "users").write_text("roof:secret\n", encoding="utf-8")
    (folder / "users").chmod(0o600)
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    subprocess.run([tool, "-U", str(folder / "users")], check=True)
    with (folder / "mosquitto.conf").open("a", encoding="utf-8") as config:
        config.write(
            f"user root\ncafile {folder}/ca.pem\ncertfile {folder}/one.pem\n"
            f"keyfile {folder}/one.key\nrequire_certificate true\n"
            f"password_file {folder}/users\n"
        )
    text = (folder / "mosquitto.conf").read_text(encoding="utf-8")
    text = text.replace("allow_anonymous true", "allow_anonymous false")
    (folder / "mosquitto.conf").write_text(text, encoding="utf-8")
    return process


def mosquitto_of_names(folder: Path, port: int, rules: Path) -> Process:
    """A broker that takes a client's name from its certificate, and grants rights by it."""
    process = mosquitto(folder, port)
    make_certificates(
        folder, {"broker": "broker", "roof": "roof", "cellar": "cellar", "cloud": "control-plane"}
    )
    (folder / "acl").write_text(rules.read_text(encoding="utf-8"), encoding="utf-8")
    text = (folder / "mosquitto.conf").read_text(encoding="utf-8")
    text = text.replace("allow_anonymous true", "allow_anonymous false") + (
        f"user root\ncafile {folder}/ca.pem\ncertfile {folder}/broker.pem\n"
        f"keyfile {folder}/broker.key\nrequire_certificate true\n"
        f"use_identity_as_username true\nacl_file {folder}/acl\n"
    )
    (folder / "mosquitto.conf").write_text(text, encoding="utf-8")
    return process


def make_certificates(folder: Path, names: Mapping[str, str] | None = None) -> None:
    """An authority, and certificates of it that serve both ends.

    Args:
        folder: where they are put, as NAME.pem and NAME.key.
        names: common names by the names of the files; None = one, of the device.
    """
    now = dt.datetime.now(dt.UTC)
    authority = ec.generate_private_key(ec.SECP256R1())

    def issue(name: str, key: ec.EllipticCurvePrivateKey, *, is_authority: bool) -> bytes:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(authority_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(authority, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    (folder / "ca.pem").write_bytes(issue("authority", authority, is_authority=True))
    for file, name in (names or {"one": "roof"}).items():
        key = ec.generate_private_key(ec.SECP256R1())
        (folder / f"{file}.pem").write_bytes(issue(name, key, is_authority=False))
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / f"{file}.key").write_bytes(pem)


def amqtt(folder: Path, port: int) -> Process:
    """The embedded broker, which speaks MQTT 3.1.1 only."""
    if importlib.util.find_spec("amqtt") is None:
        pytest.skip("amqtt is not installed: install the extra `broker`")
    return Process([sys.executable, "-c", AMQTT, str(port)], folder / "broker.log")


def ingester(folder: Path, port: int) -> Process:
    """The control plane's ingest in its own process."""
    command = [sys.executable, "-c", INGESTER, str(folder / "ledger.db"), str(port)]
    return Process(command, folder / "ingest.log")


def make_uplink(
    folder: Path,
    port: int,
    outbox: Outbox,
    publications: MemoryPublications | None = None,
    broker: Broker | None = None,
    *,
    boot: int = 1,
    orders: Orders | None = None,
    order_keys: Sequence[str] = (),
) -> Uplink:
    """A device in this process; `order_keys` as in its configuration."""
    return Uplink(
        broker=broker or Broker(port=port),
        identity=identity.load(folder / "identity", device="roof", files=FILES),
        outbox=outbox,
        publications=publications,
        folders=Folders(folder / "evidence", folder / "fetched"),
        boot=boot,
        version="test",
        now_ms=now_ms,
        chance=random.Random(7),
        orders=orders,
        order_keys=identity.pinned(order_keys),
    )


def engine_uplink(engine: Engine, folder: Path, port: int, order_keys: Sequence[str]) -> Uplink:
    """An engine's own history and orders in this process, woken by what it writes."""
    uplink = make_uplink(
        folder,
        port,
        EngineOutbox(engine),
        boot=engine.boot.boot,
        orders=EngineOrders(engine, lambda script: None),
        order_keys=order_keys,
    )

    def see(effects: Effects) -> None:
        if effects.outbox:
            uplink.wake()

    engine.on_effects(see)
    return uplink


async def until(true: Callable[[], bool | Awaitable[bool]], *, limit_s: float, what: str) -> None:
    """Look every few milliseconds until it is so."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = true()
        if await found if isinstance(found, Awaitable) else found:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"after {limit_s} s still not: {what}")


def stored_sequences(ledger: Path, lane: Lane) -> list[int]:
    """Every stored sequence, with repetitions if there were any."""
    with closing(sqlite3.connect(ledger)) as connection:
        rows = connection.execute(
            "SELECT first_seq, count FROM segment WHERE lane = ? AND quarantined IS NULL", (lane,)
        ).fetchall()
    return sorted(seq for first, many in rows for seq in range(first, first + many))


def fill(outbox: MemoryOutbox, count: int) -> None:
    """Workflows of seven tasks, each with three states, as an edge box writes them."""
    rng = random.Random(3)
    while len(outbox.lanes[Lane.HISTORY]) < count:
        index = len(outbox.lanes[Lane.HISTORY])
        workflow_id = f"{rng.getrandbits(128):032x}"
        lane = Lane.URGENT if rng.random() < 0.02 else Lane.HISTORY
        started = WorkflowRecord(workflow_id, "demo", 1, "RUNNING", index, index, input=b"{}")
        outbox.write(Lane.HISTORY, "workflow", encode_body(started))
        for seq in range(1, 8):
            for status in ("SCHEDULED", "IN_PROGRESS", "COMPLETED"):
                task = TaskRecord(
                    workflow_id,
                    f"{workflow_id}-{seq}",
                    seq,
                    "ref",
                    "SIMPLE",
                    "detect",
                    status,
                    index,
                    output=b'{"objects": 3}' if status == "COMPLETED" else None,
                )
                outbox.write(Lane.HISTORY, "task", encode_body(task))
        ended = WorkflowRecord(workflow_id, "demo", 1, "COMPLETED", index, index + 1, index + 1)
        outbox.write(lane, "workflow", encode_body(ended))
    del outbox.lanes[Lane.HISTORY][count:]
