"""The uplink and the ingest over real brokers that are killed while history drains."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sync.control_plane.ingest import Ingest
from sync.control_plane.ledger import Ledger
from sync.link import Broker, BrokerRefused, BrokerUnreachable, Dialect, Link
from sync.publishing import Publication
from sync.records import (
    EVIDENCE_CHUNK_BYTES,
    EvidenceRecord,
    Lane,
    WorkflowRecord,
    encode_body,
    evidence_chunks,
)
from tests.integration.sync_doubles import (
    DEVICE,
    MemoryOutbox,
    MemoryPublications,
    Process,
    amqtt,
    fill,
    free_port,
    ingester,
    make_uplink,
    mosquitto,
    mosquitto_tls,
    now_ms,
    running,
    stored_sequences,
    until,
    wait_for_port,
)


@pytest.mark.timeout(120)
def test_a_drain_survives_kills_of_the_broker_and_the_ingester(tmp_path: Path) -> None:
    """0 lost and 0 twice while 50,000 records drain and each of the two is killed three times."""
    port = free_port()
    broker, ingest = mosquitto(tmp_path, port), ingester(tmp_path, port)
    outbox = MemoryOutbox()
    fill(outbox, 50_000)
    kills = [(4, "broker"), (11, "ingest"), (18, "broker"), (26, "ingest"), (34, "both")]

    def past(mark: int) -> bool:
        return outbox.acked[Lane.HISTORY] >= mark

    async def scenario() -> None:
        uplink = make_uplink(tmp_path, port, outbox)
        task = asyncio.create_task(uplink.run())
        for thousands, victim in kills:
            await until(
                partial(past, thousands * 1000),
                limit_s=60,
                what=f"{thousands},000 acknowledged; {uplink.status()}",
            )
            assert outbox.waiting() > 0
            if victim != "ingest":
                broker.kill()
                broker.start()
            if victim != "broker":
                ingest.kill()
                ingest.start()
        await until(lambda: outbox.waiting() == 0, limit_s=60, what="all acknowledged")
        assert "synced" == uplink.status().state
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with running(broker, ingest):
        broker.start()
        wait_for_port(port)
        ingest.start()
        asyncio.run(scenario())

    for lane in Lane:
        expected = list(range(1, len(outbox.lanes[lane]) + 1))
        assert expected == stored_sequences(tmp_path / "ledger.db", lane)


async def _show_everything(folder: Path, port: int, broker: Process) -> None:
    """A device's workflow with a file and a publication, seen in the ledger."""
    picture = random.Random(5).randbytes(2 * EVIDENCE_CHUNK_BYTES + 17)
    (folder / "evidence").mkdir()
    (folder / "evidence" / "snap.jpg").write_bytes(picture)
    outbox, publications = MemoryOutbox(), MemoryPublications()
    started = WorkflowRecord("w1", "demo", 1, "RUNNING", 1, 1, input=b'{"a": 1}', definition=b"{}")
    outbox.write(Lane.HISTORY, "workflow", encode_body(started))
    for index in range(evidence_chunks(len(picture))):
        chunk = EvidenceRecord(
            "w1",
            "t1",
            "snapshot",
            "image/jpeg",
            hashlib.sha256(picture).hexdigest(),
            len(picture),
            "snap.jpg",
            index,
            evidence_chunks(len(picture)),
        )
        outbox.write(Lane.BULK, "evidence", encode_body(chunk))
    outside = EvidenceRecord("w1", "t1", "stolen", "text/plain", "00", 5, "../../etc/passwd")
    outbox.write(Lane.BULK, "evidence", encode_body(outside))
    publications.queue[1] = Publication(1, "m1", "alarms/roof", json.dumps({"n": 1}).encode())
    publications.queue[2] = Publication(2, "m2", "no/#/wildcards", b"")

    uplink = make_uplink(folder, port, outbox, publications)
    task = asyncio.create_task(uplink.run())
    await until(lambda: not publications.queue, limit_s=60, what="published")
    await until(lambda: outbox.waiting() == 0, limit_s=60, what="acknowledged")
    ledger = await Ledger.open(folder / "ledger.db", now_ms=now_ms)

    async def shown(status: str) -> bool:
        view = await ledger.execution("roof", "w1")
        return view is not None and view.row.status == status and len(view.evidence) == 2

    await until(lambda: shown("RUNNING"), limit_s=60, what="projected")
    # The history goes on while the broker is away, and follows when it is back.
    broker.kill()
    ended = WorkflowRecord("w1", "demo", 1, "COMPLETED", 1, 9, 9, output=b'{"b": 2}')
    outbox.write(Lane.URGENT, "workflow", encode_body(ended))
    uplink.wake()
    await until(lambda: uplink.status().state == "waiting", limit_s=60, what="broker missed")
    broker.start()
    await until(lambda: shown("COMPLETED"), limit_s=60, what="projected after the broker's return")

    view = await ledger.execution("roof", "w1")
    assert view is not None
    assert ({"a": 1}, {"b": 2}, {}) == (view.input, view.output, view.definition)
    content = await ledger.evidence_content("roof", "w1", "t1", "snapshot")
    assert content is not None
    assert picture == content.content
    missing = {file.key: file.missing for file in view.evidence}
    assert {"snapshot": False, "stolen": True} == missing
    device = await ledger.device("roof")
    assert device is not None
    assert ("online", 0, "test") == (device.state, device.backlog, device.version)
    assert 6 == (await ledger.lag_percentiles()).records

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    async def offline() -> bool:
        device = await ledger.device("roof")
        return device is not None and not device.online

    await until(offline, limit_s=60, what="offline after a clean goodbye")
    await ledger.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("make_broker", [mosquitto, amqtt], ids=["mosquitto", "amqtt"])
def test_a_workflow_and_its_files_arrive(
    tmp_path: Path, make_broker: Callable[[Path, int], Process]
) -> None:
    """Over MQTT 5 and 3.1.1: history, files, presence and publications arrive and are shown."""
    port = free_port()
    broker, ingest = make_broker(tmp_path, port), ingester(tmp_path, port)

    with running(broker, ingest):
        broker.start()
        wait_for_port(port)
        ingest.start()
        asyncio.run(_show_everything(tmp_path, port, broker))


@pytest.mark.timeout(120)
def test_a_device_that_vanishes_is_shown_offline(tmp_path: Path) -> None:
    """SIGKILL of a device: its will shows it offline, and its next birth shows it online again."""
    port = free_port()
    broker, ingest = mosquitto(tmp_path, port), ingester(tmp_path, port)
    command = [sys.executable, "-c", DEVICE, str(tmp_path), str(port)]
    device = Process(command, tmp_path / "device.log")

    async def scenario() -> None:
        ledger = await Ledger.open(tmp_path / "ledger.db", now_ms=now_ms)

        async def online() -> bool:
            known = await ledger.device("roof")
            return known is not None and known.online

        async def offline() -> bool:
            return not await online()

        device.start()
        await until(online, limit_s=60, what="online")
        device.kill()
        await until(offline, limit_s=60, what="offline by its will")
        device.start()
        await until(online, limit_s=60, what="online again")
        broker.kill()
        await until(offline, limit_s=60, what="offline because the broker is")
        await ledger.close()

    with running(broker, ingest, device):
        broker.start()
        wait_for_port(port)
        ingest.start()
        asyncio.run(scenario())


@pytest.mark.timeout(120)
def test_a_full_disk_under_the_ledger_pauses_the_acknowledgements(tmp_path: Path) -> None:
    """I-20: while the ledger cannot be written nothing is acknowledged; then all of it is."""
    port = free_port()
    broker = mosquitto(tmp_path, port)
    outbox = MemoryOutbox()
    fill(outbox, 20_000)

    async def scenario() -> None:
        ledger = await Ledger.open(tmp_path / "ledger.db", now_ms=now_ms)

        async def limit(pages: int) -> None:
            file = ledger._database._database  # type: ignore[attr-defined]
            await file.hop(lambda one: one.execute(f"PRAGMA max_page_count = {pages}"))

        await limit(1)
        ingest = Ingest(
            broker=Broker(port=port), ledger=ledger, now_ms=now_ms, chance=random.Random(1)
        )
        tasks = [
            asyncio.create_task(ingest.run()),
            asyncio.create_task(make_uplink(tmp_path, port, outbox).run()),
        ]
        await until(lambda: ingest.status().waiting > 0, limit_s=60, what="frames waiting")
        await until(lambda: "full" in ingest.status().reason, limit_s=60, what="paused")
        held = sum(outbox.acked.values())
        assert outbox.waiting() > 0
        await limit(1_000_000)
        await until(lambda: outbox.waiting() == 0, limit_s=60, what="acknowledged")
        assert held < sum(outbox.acked.values())
        await until(lambda: ingest.status().waiting == 0, limit_s=60, what="committed")
        assert "" == ingest.status().reason
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await ledger.close()

    with running(broker):
        broker.start()
        wait_for_port(port)
        asyncio.run(scenario())

    for lane in Lane:
        expected = list(range(1, len(outbox.lanes[lane]) + 1))
        assert expected == stored_sequences(tmp_path / "ledger.db", lane)


@pytest.mark.timeout(120)
def test_what_is_no_broker_is_named() -> None:
    """Nothing there is BrokerUnreachable; something that does not speak MQTT is BrokerRefused."""

    def link(port: int) -> Link:
        broker = Broker(port=port, protocol="5")
        return Link(broker, client_id="x", dialect=Dialect(broker), on_news=lambda: None)

    async def scenario() -> None:
        with pytest.raises(BrokerUnreachable, match="no broker at"):
            await link(free_port()).open()
        for answer in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(256))):

            async def serve(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes = answer
            ) -> None:
                await reader.read(10)
                writer.write(answer)
                await writer.drain()
                writer.close()

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            with pytest.raises(BrokerRefused, match="refuses"):
                await link(server.sockets[0].getsockname()[1]).open()
            server.close()
            await server.wait_closed()

    asyncio.run(scenario())


@pytest.mark.timeout(120)
def test_history_drains_over_mutual_tls(tmp_path: Path) -> None:
    """With certificates both ways and a password all of it arrives; without them nothing does."""
    port = free_port()
    broker = mosquitto_tls(tmp_path, port)
    outbox = MemoryOutbox()
    fill(outbox, 20_000)
    secured = Broker(
        port=port,
        username="roof",
        password_file=tmp_path / "password",
        ca_file=tmp_path / "ca.pem",
        certificate_file=tmp_path / "one.pem",
        key_file=tmp_path / "one.key",
    )

    async def scenario() -> None:
        ledger = await Ledger.open(tmp_path / "ledger.db", now_ms=now_ms)
        ingest = Ingest(broker=secured, ledger=ledger, now_ms=now_ms, chance=random.Random(1))
        refused = make_uplink(tmp_path, port, outbox)
        uplink = make_uplink(tmp_path, port, outbox, broker=secured)
        tasks = [asyncio.create_task(refused.run()), asyncio.create_task(ingest.run())]
        await until(lambda: refused.status().reason != "", limit_s=60, what="refused")
        assert 0 == sum(outbox.acked.values())
        tasks.append(asyncio.create_task(uplink.run()))
        await until(lambda: outbox.waiting() == 0, limit_s=60, what="acknowledged")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await ledger.close()

    with running(broker):
        broker.start()
        wait_for_port(port)
        asyncio.run(scenario())

    expected = list(range(1, 20_001))
    assert expected == stored_sequences(tmp_path / "ledger.db", Lane.HISTORY)


@pytest.mark.timeout(300)
def test_a_hundred_thousand_records_survive_kills_every_few_seconds(tmp_path: Path) -> None:
    """0 lost and 0 twice while broker, ingester and uplink take turns in going down."""
    _drain_under_kills(tmp_path, seed=7, records=100_000)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(3))
def test_a_million_records_survive_kills_every_few_seconds(tmp_path: Path, seed: int) -> None:
    """The same for ten times as long."""
    _drain_under_kills(tmp_path, seed=seed, records=1_000_000)


def _drain_under_kills(tmp_path: Path, *, seed: int, records: int) -> None:
    chance = random.Random(seed)
    port = free_port()
    broker, ingest = mosquitto(tmp_path, port), ingester(tmp_path, port)
    outbox = MemoryOutbox()
    fill(outbox, records)

    async def scenario() -> None:
        uplink = asyncio.create_task(make_uplink(tmp_path, port, outbox).run())
        while outbox.waiting():
            await asyncio.sleep(chance.uniform(1.0, 4.0))
            match chance.choice(["broker", "ingest", "uplink"]):
                case "broker":
                    broker.kill()
                    broker.start()
                case "ingest":
                    ingest.kill()
                    ingest.start()
                case _:
                    uplink.cancel()
                    await asyncio.gather(uplink, return_exceptions=True)
                    uplink = asyncio.create_task(make_uplink(tmp_path, port, outbox).run())
        uplink.cancel()
        await asyncio.gather(uplink, return_exceptions=True)

    with running(broker, ingest):
        broker.start()
        wait_for_port(port)
        ingest.start()
        asyncio.run(scenario())

    for lane in Lane:
        expected = list(range(1, len(outbox.lanes[lane]) + 1))
        assert expected == stored_sequences(tmp_path / "ledger.db", lane)
