"""Alerts: each kind fires and resolves, is told once by each way, and tried again; all of it real."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from sync import frames, receiver, topics
from sync.control_plane import alerts, fleet, notices, rounds
from sync.control_plane.alert_routes import ShownRule
from sync.control_plane.alerts import Channel
from sync.control_plane.dialect import Connection
from sync.control_plane.messengers import Mail, send
from sync.frames import Hello
from sync.link import Broker
from sync.receiver import Notice
from sync.records import Lane
from tests.unit.sync.control_plane.api_world import NOW_MS, World, in_world, workflow


class Hook:
    """A web server that takes what is posted, or refuses it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.taken: list[Any] = []


@contextmanager
def hook() -> Iterator[Hook]:
    """A web hook that listens."""

    class Handler(BaseHTTPRequestHandler):
        """Answers what is posted."""

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            if there.status == 200:
                there.taken.append(json.loads(content))
            self.send_response(there.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    there = Hook(f"http://127.0.0.1:{server.server_port}/alerts")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield there
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def look(world: World, later_ms: int = 0) -> list[tuple[str, str, str]]:
    """Look at the rules; what is open or over, oldest first."""
    world.now_ms += later_ms
    await world.ledger.write(lambda c: alerts.evaluate(c, now_ms=world.now_ms))
    found = (await world.ask("GET", "/api/v1/alerts"))["alerts"]
    return [(one["rule"], one["subject"], one["state"]) for one in reversed(found)]


def duplicate(connection: Connection, device: str, now_ms: int) -> None:
    """Note that another device speaks under a name, as the ingest does."""
    address = topics.address("default", device)
    notice = Notice(address, frames.DUPLICATE, "two runs at once")
    (device_id,) = fleet.ids_of(connection, "default", [device]).values()
    notices.note(connection, device_id, notice, now_ms=now_ms)


async def put(world: World, name: str, **rule: Any) -> None:
    """Make a rule."""
    await world.ask("PUT", f"/api/v1/alert-rules/{name}", rule)


async def hello(world: World, device: str, oldest: int, newest: int) -> None:
    """A device says what it holds."""
    said = Hello(boot=1, nonce=1, lanes={Lane.HISTORY: (oldest, newest)})
    topic = topics.address("default", device).topic("up/0")
    arrival = receiver.read(topic, frames.encode_hello(said, epoch=1), received_ms=NOW_MS)
    assert arrival is not None
    await world.ledger.commit([arrival])
    while await world.ledger.project():
        pass


def test_each_kind_fires_and_resolves(where: Path | str) -> None:
    """Silence, lag, disk, clock, failures, a duplicate: found where they are, and only there."""

    async def play(world: World) -> None:
        await world.connect("fine")
        await put(world, "silent", kind="silence", afterS=60, query="-fine")
        await put(world, "behind", kind="lag", records=100)
        await put(world, "full", kind="disk", records=0)
        await put(world, "clock", kind="clock", afterS=60)
        await put(world, "failing", kind="failure-rate", percent=50, least=4)
        await put(world, "failing-device", kind="failure-rate", percent=50, least=4, by="device")
        await put(world, "twice", kind="duplicate-identity")
        assert [] == await look(world)

        await hello(world, "slow", 1, 500)
        await hello(world, "full", 41, 40)
        flows = [workflow(f"w{n}", "FAILED" if n < 2 else "COMPLETED") for n in range(4)]
        await world.send("busy", *flows)
        await world.ledger.write(lambda c: duplicate(c, "busy", world.now_ms))
        found = await look(world)
        assert {
            ("behind", "slow", "firing"), ("full", "full", "firing"),
            ("failing", "scan", "firing"), ("failing-device", "busy", "firing"),
            ("twice", "busy", "firing"),
        } == set(found)  # fmt: skip
        await world.send("busy", workflow("w5"), workflow("w0", updated_ms=NOW_MS + 1))
        await hello(world, "slow", 500, 500)
        again = await look(world, 2 * 3_600_000)
        assert ("failing", "scan", "resolved") in again
        assert ("twice", "busy", "resolved") in again
        assert ("behind", "slow", "resolved") in again
        assert {("silent", name, "firing") for name in ("slow", "full", "busy")} <= set(again)
        assert ("full", "full", "firing") in again

    in_world(where, play)


def test_a_clock_that_was_never_set_is_found(tmp_path: Path) -> None:
    """1970, or ahead of ours."""

    async def play(world: World) -> None:
        await put(world, "clock", kind="clock", afterS=60)
        for device, at_ms in (("old", 5_000), ("ahead", NOW_MS + 600_000), ("right", NOW_MS)):
            await world.send_at(device, at_ms, workflow("w"))
        assert [("clock", "ahead", "firing"), ("clock", "old", "firing")] == await look(world)
        (one, _) = (await world.ask("GET", "/api/v1/alerts"))["alerts"]
        assert "1970-01-01 00:00:05" in one["value"]

    in_world(tmp_path / "ledger.db", play)


def test_it_has_to_hold(where: Path | str) -> None:
    """Pending first; what goes away before it fires is never told."""

    async def play(world: World) -> None:
        await put(world, "behind", kind="lag", records=100, forS=60)
        await hello(world, "slow", 1, 500)
        assert [("behind", "slow", "pending")] == await look(world)
        assert [("behind", "slow", "pending")] == await look(world, 59_000)
        assert [("behind", "slow", "firing")] == await look(world, 1_000)
        alert = (await world.ask("GET", "/api/v1/alerts?state=firing"))["alerts"][0]
        path = f"/api/v1/alerts/{alert['alertId']}/acknowledge"
        await world.ask("POST", path, status=204)
        alert = (await world.ask("GET", "/api/v1/alerts"))["alerts"][0]
        assert "anonymous" == alert["acknowledgedBy"]
        await hello(world, "slow", 500, 500)
        assert [("behind", "slow", "resolved")] == await look(world)
        await hello(world, "slow", 500, 900)
        assert ("behind", "slow", "pending") == (await look(world))[-1]
        await hello(world, "slow", 900, 900)
        assert [("behind", "slow", "resolved")] == await look(world)

    in_world(where, play)


def test_a_storm_is_one_message_and_is_tried_again(where: Path | str) -> None:
    """Told once when it fires and once when it ends; what the hook refuses comes again."""

    async def play(world: World) -> None:
        with hook() as there:
            there.status = 503
            channel = {"kind": "webhook", "address": there.url}
            await world.ask("PUT", "/api/v1/alert-channels/ops", channel)
            await put(world, "silent", kind="silence", afterS=60, channels=["ops"])
            for number in range(alerts.TOLD_LIMIT + 10):
                await world.connect(f"d{number:03d}")
            await look(world, 120_000)
            await look(world)
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(
                    rounds.alerts_are_told(
                        world.ledger, lambda: world.now_ms, mail=Mail(), broker=Broker()
                    )
                )

                async def told(attempts: int) -> Any:
                    while True:
                        (one,) = (await world.ask("GET", "/api/v1/alert-deliveries"))["deliveries"]
                        if one["attempts"] >= attempts:
                            return one
                        world.now_ms += 1_000
                        await asyncio.sleep(0.05)

                refused = await told(2)
                assert (0, True) == (refused["doneMs"], "503" in refused["error"])
                there.status = 200
                while not there.taken:
                    await told(refused["attempts"] + 1)
                telling.cancel()
            (message,) = there.taken
            assert ("silent", "firing", alerts.TOLD_LIMIT + 10, alerts.TOLD_LIMIT) == (
                message["rule"], message["state"], message["count"], len(message["subjects"]),
            )  # fmt: skip

    in_world(where, play)


def test_nobody_waits_for_a_message_longer_than_a_day(tmp_path: Path) -> None:
    """It is done then, with its error; what is old is removed."""

    async def play(world: World) -> None:
        channel = {"kind": "webhook", "address": "http://127.0.0.1:1/"}
        await world.ask("PUT", "/api/v1/alert-channels/ops", channel)
        await world.ask("POST", "/api/v1/alert-channels/ops/test", status=202)
        (one,) = await world.ledger.read(lambda c: alerts.due(c, now_ms=world.now_ms))
        error = await send(one.channel, one.message, mail=Mail(), broker=Broker())
        assert "Connection refused" == error
        late = world.now_ms + alerts.GIVE_UP_MS + 1
        await world.ledger.write(lambda c: alerts.note_attempt(c, one, error, now_ms=late))
        (shown,) = (await world.ask("GET", "/api/v1/alert-deliveries"))["deliveries"]
        assert (late, error) == (shown["doneMs"], shown["error"])
        await world.ledger.write(lambda c: alerts.trim(c, now_ms=late + 31 * 86_400_000))
        assert [] == (await world.ask("GET", "/api/v1/alert-deliveries"))["deliveries"]

    in_world(tmp_path / "ledger.db", play)


class Postbox:
    """A mail server that speaks just enough SMTP, on a loop of its own."""

    def __init__(self) -> None:
        self.letters: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line.split()[0].upper()
            if word == "DATA":
                writer.write(b"354 go on\r\n")
                letter = b""
                while (piece := await reader.readline()) != b".\r\n":
                    letter += piece
                self.letters.append(letter.decode())
            writer.write(b"221 bye\r\n" if word == "QUIT" else b"250 ok\r\n")
            if word == "QUIT":
                break
        writer.close()


def test_a_mail_arrives() -> None:
    """At a server that is really there; without one the setting is named."""
    told = {"rule": "silent", "kind": "silence", "state": "firing", "tenant": "t", "count": 3,
            "subjects": [{"subject": "roof", "value": "not heard of"}]}  # fmt: skip
    message = json.dumps(told).encode()
    channel = Channel("ops", "email", "ops@example.org")

    async def main() -> None:
        box = Postbox()
        server = await asyncio.start_server(box.serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            mail = Mail(server=f"smtp://127.0.0.1:{port}", sender="baton@here")
            assert "" == await send(channel, message, mail=mail, broker=Broker())
        (letter,) = box.letters
        assert "Subject: [Baton] silent firing: 3" in letter
        assert "roof: not heard of" in letter
        assert "and 2 more" in letter
        without = await send(channel, message, mail=Mail(), broker=Broker())
        assert "mail_server" in without

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("alert-rules/r", {"kind": "moon"}, "kind"),
        ("alert-rules/r", {"kind": "lag", "records": -1}, "records"),
        ("alert-rules/r", {"kind": "lag", "query": "x:y"}, "query"),
        ("alert-rules/r", {"kind": "lag", "query": "group:none"}, "query"),
        ("alert-rules/r", {"kind": "lag", "channels": ["none"]}, "channels"),
        ("alert-rules/r", {"kind": "failure-rate", "query": "a"}, "query"),
        ("alert-channels/c", {"kind": "pigeon", "address": "x"}, "kind"),
        ("alert-channels/c", {"kind": "webhook", "address": "ftp://x"}, "address"),
        ("alert-channels/c", {"kind": "webhook", "address": "http://["}, "address"),
        ("alert-channels/c", {"kind": "webhook", "address": "http://h:abc/"}, "address"),
        ("alert-channels/c", {"kind": "email", "address": "a@b, c@d"}, "address"),
        ("alert-channels/c", {"kind": "email", "address": "a@["}, "address"),
        ("alert-channels/c", {"kind": "mqtt", "address": "baton/1/x"}, "address"),
        ("alert-channels/c", {"kind": "mqtt", "address": "a/#"}, "address"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, path: str, body: Any, told: str) -> None:
    """A 400 with the field, and nothing is kept."""

    async def play(world: World) -> None:
        refused = await world.ask("PUT", f"/api/v1/{path}", body, status=400)
        assert told in refused["message"]
        assert [] == (await world.ask("GET", "/api/v1/alert-rules"))["rules"]
        assert [] == (await world.ask("GET", "/api/v1/alert-channels"))["channels"]

    in_world(tmp_path / "ledger.db", play)


def test_a_workflow_that_fails_is_found_among_thousands(where: Path | str) -> None:
    """However many names there are, and wherever among them it stands."""

    async def play(world: World) -> None:
        await put(world, "failing", kind="failure-rate", percent=50, least=4)

        def fill(connection: Connection) -> None:
            hour_ms = NOW_MS - NOW_MS % 3_600_000
            connection.executemany(
                "INSERT INTO tally (tenant, hour_ms, name, status, executions)"
                f" VALUES ('default', {hour_ms}, :name, :status, 4)",
                [{"name": f"flow{at:04}", "status": "COMPLETED"} for at in range(2_000)]
                + [{"name": "zebra", "status": "FAILED"}],
            )

        await world.ledger.write(fill)

        assert [("failing", "zebra", "firing")] == await look(world)

    in_world(where, play)


def test_rules_and_channels_are_taken_away(where: Path | str) -> None:
    """A channel that a rule tells stays; the alerts of a rule that goes are resolved."""

    async def play(world: World) -> None:
        channel = {"kind": "mqtt", "address": "site/alerts"}
        await world.ask("PUT", "/api/v1/alert-channels/ops", channel)
        await put(world, "silent", kind="silence", afterS=0, channels=["ops"])
        await world.connect("roof")
        (rule,) = (await world.ask("GET", "/api/v1/alert-rules"))["rules"]
        assert {*ShownRule.__struct_fields__} == rule.keys()
        assert [("silent", "roof", "firing")] == await look(world, 1_000)
        await world.ask("DELETE", "/api/v1/alert-channels/ops", status=409)
        await world.ask("DELETE", "/api/v1/alert-rules/silent", status=204)
        assert [("silent", "roof", "resolved")] == await look(world)
        await world.ask("DELETE", "/api/v1/alert-channels/ops", status=204)
        for path in ("alert-rules/silent", "alert-channels/ops"):
            await world.ask("DELETE", f"/api/v1/{path}", status=404)

    in_world(where, play)


@pytest.mark.parametrize(
    "reply", [b"not http at all\r\n\r\n", b"HTTP/1.1 302 F\r\nlocation: /x\r\n\r\n"]
)
def test_what_answers_and_takes_nothing_is_an_error(reply: bytes) -> None:
    """No HTTP, or a redirect, which would lose the message: told, and never raised."""

    async def main() -> None:
        asked: list[bytes] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readline())
            writer.write(reply)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            channel = Channel("ops", "webhook", f"http://127.0.0.1:{port}/")
            assert await send(channel, b"{}", mail=Mail(), broker=Broker())
        assert 1 == len(asked)

    asyncio.run(main())


@pytest.mark.parametrize(
    "channel",
    [Channel("a", "webhook", "http://h:abc/"), Channel("a", "email", "a@[")],
)
def test_addresses_that_were_kept_once_are_errors(channel: Channel) -> None:
    """An older release has let them in."""
    told = {
        "rule": "r",
        "kind": "lag",
        "state": "firing",
        "tenant": "t",
        "count": 0,
        "subjects": [],
    }
    mail = Mail(server="smtp://127.0.0.1:1")
    error = asyncio.run(send(channel, json.dumps(told).encode(), mail=mail, broker=Broker()))
    assert channel.address in error or "abc" in error


def test_nothing_is_resolved_that_was_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit of one look, and while the rule's query cannot be asked."""

    async def play(world: World) -> None:
        group = "/api/v1/groups/all"
        await world.ask("PUT", group, {"query": "-none"})
        await put(world, "silent", kind="silence", afterS=0, query="group:all")
        await world.connect("b")
        await world.connect("c")
        firing = [("silent", "b", "firing"), ("silent", "c", "firing")]
        assert firing == await look(world, 1_000)
        monkeypatch.setattr(alerts, "SUBJECTS_LIMIT", 2)
        await world.connect("a")
        assert [*firing, ("silent", "a", "firing")] == await look(world, 1_000)
        monkeypatch.undo()
        await world.ask("DELETE", group, status=204)
        assert {"firing"} == {state for _, _, state in await look(world)}
        await world.ask("PUT", group, {"query": "-none"})
        await put(world, "silent", kind="silence", afterS=3600, query="group:all")
        assert {"resolved"} == {state for _, _, state in await look(world)}

    in_world(tmp_path / "ledger.db", play)
