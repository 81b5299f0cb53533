"""Rights at a real Mosquitto, by certificate (I-16): a device speaks and hears for itself alone.

The rules are the ones that are delivered. MQTT 3.1.1 tells a client nothing of a denial, so what
counts is what arrives.
"""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path

import pytest

from sync.control_plane.ingest import Ingest
from sync.control_plane.ledger import Ledger
from sync.link import Broker, Dialect, Link, MqttVersion, Received, Will
from sync.records import Lane
from tests.integration.sync_doubles import (
    ROOT,
    MemoryOutbox,
    fill,
    free_port,
    make_uplink,
    mosquitto_of_names,
    now_ms,
    running,
    stored_sequences,
    until,
    wait_for_port,
)

RULES = ROOT / "packaging" / "config" / "mosquitto.acl"


def broker_for(folder: Path, port: int, name: str, protocol: MqttVersion = "5") -> Broker:
    """The broker, for whoever has this certificate."""
    return Broker(
        port=port,
        protocol=protocol,
        ca_file=folder / "ca.pem",
        certificate_file=folder / f"{name}.pem",
        key_file=folder / f"{name}.key",
    )


class Listener:
    """Somebody at the broker, and what he has heard."""

    def __init__(self, broker: Broker, name: str, will: Will | None = None) -> None:
        self.link = Link(
            broker, client_id=name, dialect=Dialect(broker), on_news=lambda: None, will=will
        )
        self.heard: list[Received] = []

    def look(self) -> list[str]:
        """The topics of all that was heard so far."""
        for event in self.link.news():
            if isinstance(event, Received):
                self.heard.append(event)
                self.link.settle(event)
        return [one.topic for one in self.heard]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_device_speaks_and_hears_for_itself_alone(tmp_path: Path, protocol: MqttVersion) -> None:
    """Foreign lanes, presence, wills, acknowledgements, orders, `#` and `$share`: nothing passes."""
    port = free_port()
    broker = mosquitto_of_names(tmp_path, port, RULES)
    foreign = "baton/1/default/cellar"

    async def scenario() -> None:
        cloud = Listener(broker_for(tmp_path, port, "cloud"), "cloud")
        await cloud.link.open()
        cloud.link.subscribe(["baton/#"])
        will = Will(f"{foreign}/presence", b"gone")
        thief = Listener(broker_for(tmp_path, port, "roof", protocol), "thief", will)
        await thief.link.open()
        filters = ["#", "baton/#", f"{foreign}/ack", f"{foreign}/down", f"{foreign}/up/2"]
        thief.link.subscribe([*filters, "$share/baton/baton/1/+/+/up/+"])
        for topic in (
            f"{foreign}/up/0", f"{foreign}/up/2", f"{foreign}/presence", f"{foreign}/ack",
            "baton/1/default/server", "baton/1/default/roof/ack", "baton/1/default/roof/down",
            "baton/1/other/roof/up/2",
        ):  # fmt: skip
            thief.link.publish(topic, b"stolen", retain=True)
        # What is his own passes; it comes behind all that was said before on this connection.
        thief.link.publish("baton/1/default/roof/up/2", b"own")
        for topic in (f"{foreign}/ack", f"{foreign}/down", f"{foreign}/up/2"):
            cloud.link.publish(topic, b"for the cellar")
        cloud.link.publish("baton/1/default/roof/ack", b"for the roof")
        await until(lambda: "baton/1/default/roof/ack" in thief.look(), limit_s=30, what="heard")
        await until(lambda: "baton/1/default/roof/up/2" in cloud.look(), limit_s=30, what="passed")
        # Vanish without a goodbye: the broker speaks the will, if it lets him.
        thief.link._drop("vanished")
        await asyncio.sleep(0.5)
        last = Listener(broker_for(tmp_path, port, "cloud"), "last")
        await last.link.open()
        last.link.subscribe(["baton/#"])
        cloud.link.publish("baton/1/default/roof/down", b"mark")
        await until(lambda: "baton/1/default/roof/down" in last.look(), limit_s=30, what="mark")

        assert {"baton/1/default/roof/ack"} == set(thief.look())
        stolen = {one.topic for one in cloud.heard + last.heard if one.payload != b"for the cellar"}
        assert {
            "baton/1/default/roof/up/2", "baton/1/default/roof/ack", "baton/1/default/roof/down"
        } == stolen  # fmt: skip
        assert b"gone" not in {one.payload for one in cloud.heard + last.heard}
        for one in (cloud, last):
            await one.link.close()

    with running(broker):
        broker.start()
        wait_for_port(port)
        asyncio.run(scenario())


@pytest.mark.timeout(120)
def test_history_passes_the_rules(tmp_path: Path) -> None:
    """A real device and a real ingester have all the rights that they need, and no password."""
    port = free_port()
    broker = mosquitto_of_names(tmp_path, port, RULES)
    outbox = MemoryOutbox()
    fill(outbox, 2_000)

    async def scenario() -> None:
        ledger = await Ledger.open(tmp_path / "ledger.db", now_ms=now_ms)
        ingest = Ingest(
            broker=broker_for(tmp_path, port, "cloud"), ledger=ledger, now_ms=now_ms,
            chance=random.Random(1),
        )  # fmt: skip
        uplink = make_uplink(tmp_path, port, outbox, broker=broker_for(tmp_path, port, "roof"))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.run()) for one in (ingest, uplink)]
            await until(lambda: outbox.waiting() == 0, limit_s=60, what="acknowledged")
            for task in tasks:
                task.cancel()
        await ledger.close()

    with running(broker):
        broker.start()
        wait_for_port(port)
        asyncio.run(scenario())

    assert list(range(1, 2_001)) == stored_sequences(tmp_path / "ledger.db", Lane.HISTORY)


@pytest.mark.timeout(120)
def test_small_messages_are_not_held_back(tmp_path: Path) -> None:
    """The socket that is opened has TCP_NODELAY: with Nagle's rule each hop takes 40 ms."""
    port = free_port()
    broker = mosquitto_of_names(tmp_path, port, RULES)

    async def scenario() -> None:
        one = Listener(broker_for(tmp_path, port, "roof"), "roof")
        await one.link.open()
        option = one.link._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert option
        await one.link.close()

    with running(broker):
        broker.start()
        wait_for_port(port)
        asyncio.run(scenario())
