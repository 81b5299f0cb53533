"""What is fetched from devices: how far it has come, its content, and its end."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sync import frames, receiver, topics
from sync.control_plane import fetches, rounds
from sync.control_plane.access import Role
from sync.control_plane.dialect import named_rows
from sync.records import (
    KINDS,
    Body,
    EvidenceRecord,
    FetchedRecord,
    Lane,
    OrderRecord,
    PartRecord,
    Record,
    encode_body,
)
from tests.unit.sync.control_plane.api_world import NOW_MS, World, in_world, workflow

SIZE = 1_000
DAY_MS = 86_400_000


class Site:
    """A device that answers, frame by frame."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.next = dict.fromkeys(Lane, 1)

    async def send(self, lane: Lane, *bodies: Body, epoch: int = 1, oldest: int = 1) -> None:
        """One frame of a lane."""
        first = self.next[lane]
        self.next[lane] += len(bodies)
        records = [
            Record(lane, first + n, KINDS[type(body)], NOW_MS, 1, encode_body(body))
            for n, body in enumerate(bodies)
        ]
        payload = frames.encode(records, epoch=epoch, oldest_seq=oldest)
        topic = topics.address("default", "roof").topic(topics.up(lane))
        arrival = receiver.read(topic, payload, received_ms=NOW_MS)
        assert arrival is not None
        await self.world.ledger.commit([arrival])
        while await self.world.ledger.project():
            pass

    async def ask(self, path: str = "logs", **body: Any) -> str:
        """Order something to be fetched; its id."""
        shown = await self.world.ask("POST", f"/api/v1/devices/roof/{path}", body, status=201)
        assert "waiting" == shown["state"]
        return str(shown["id"])

    async def take_on(self, order_id: str, kind: str = "fetch-journal") -> None:
        """Report the order as done."""
        await self.send(Lane.CONTROL, OrderRecord(order_id, 1, kind, "done"))

    async def find(self, order_id: str, content: bytes) -> list[PartRecord]:
        """Tell that something was found; the parts that are to be sent."""
        chunks = [content[at : at + SIZE] for at in range(0, len(content), SIZE)]
        told = FetchedRecord(
            order_id, "found", name="journal.jsonl", media_type="application/jsonl",
            size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest(),
            count=len(chunks), first_seq=self.next[Lane.BULK],
        )  # fmt: skip
        await self.send(Lane.CONTROL, told)
        return [
            PartRecord(order_id, at, len(chunks), hashlib.sha256(one).digest(), one)
            for at, one in enumerate(chunks)
        ]

    async def shown(self, order_id: str, *expected: Any) -> dict[str, Any]:
        """How far it has come, once state and arrived are as expected."""
        found = await self.world.ask("GET", f"/api/v1/fetches/{order_id}")
        assert list(expected) == [found["state"], found["arrived"]][: len(expected)], found
        return dict(found)


async def site_of(world: World) -> Site:
    """A device that is there."""
    await world.connect("roof")
    return Site(world)


CONTENT = bytes(range(256)) * 20


def test_parts_come_together(where: Path | str) -> None:
    """In any frames; all the way it is told how far it is, and the content is what was sent."""

    async def play(world: World) -> None:
        site = await site_of(world)
        order_id = await site.ask(last=100, level="warning")
        await site.take_on(order_id)
        await site.shown(order_id, "looking", 0)
        parts = await site.find(order_id, CONTENT)
        assert 6 == len(parts)
        await site.shown(order_id, "arriving", 0)
        content = f"/api/v1/fetches/{order_id}/content"
        refused = await world.ask("GET", content, status=409)
        assert "arriving" in refused["message"]
        picture = EvidenceRecord("w", "t", "k", "image/png", "0", 1, "p")
        await site.send(Lane.BULK, *parts[:2], *parts[2:4])
        shown = await site.shown(order_id, "arriving", 4)
        assert (4_000, 6, 5_120) == (shown["arrivedBytes"], shown["parts"], shown["sizeBytes"])
        assert {"last": 100, "level": "warning"} == shown["wanted"]
        await site.send(Lane.BULK, *parts[4:], picture)
        await site.shown(order_id, "complete", 6)

        answer = await world.client.get(content)
        assert (CONTENT, "application/jsonl") == (answer.content, answer.headers["content-type"])
        assert "attachment" in answer.headers["content-disposition"]
        listed = await world.ask("GET", "/api/v1/fetches?device=roof")
        assert [order_id] == [one["id"] for one in listed["fetches"]]
        before = await world.ledger.read(lambda c: fetches.find(c, order_id))
        await world.ledger.rebuild()
        assert before == await world.ledger.read(lambda c: fetches.find(c, order_id))

    in_world(where, play)


def test_what_will_not_come_is_told(tmp_path: Path) -> None:
    """Gone, refused, dropped on the way, damaged, and an order that came to nothing."""

    async def play(world: World) -> None:
        site = await site_of(world)
        gone, failed = await site.ask(id="gone"), await site.ask(id="failed")
        await site.take_on(gone)
        await site.send(Lane.CONTROL, FetchedRecord(gone, "gone", "it has been removed"))
        assert "it has been removed" == (await site.shown(gone, "gone"))["reason"]
        await site.send(Lane.CONTROL, OrderRecord(failed, 2, "fetch-journal", "expired", "late"))
        assert "late" == (await site.shown(failed, "failed"))["reason"]

        dropped = await site.ask(id="dropped")
        await site.take_on(dropped)
        parts = await site.find(dropped, CONTENT)
        spoilt = msgspec.structs.replace(parts[0], content=b"other")
        await site.send(Lane.BULK, spoilt, *parts[1:3])
        await site.shown(dropped, "arriving", 2)
        site.next[Lane.BULK] += 2
        await site.send(Lane.BULK, parts[5], oldest=6)
        shown = await site.shown(dropped, "incomplete", 3)
        assert "3 of 6 parts" in shown["reason"]
        await world.ask("GET", f"/api/v1/fetches/{dropped}/content", status=409)

    in_world(tmp_path / "ledger.db", play)


def test_an_execution_that_is_sent_again_shows(tmp_path: Path) -> None:
    """It is complete when its records have passed, and stands under executions."""

    async def play(world: World) -> None:
        site = await site_of(world)
        order_id = await site.ask("histories", workflowId="w1")
        await site.take_on(order_id, "fetch-execution")
        told = FetchedRecord(order_id, "found", name="w1", count=2, first_seq=1)
        await site.send(Lane.CONTROL, told)
        await site.send(Lane.BULK, workflow("w1"))
        await site.shown(order_id, "arriving", 1)
        await site.send(Lane.BULK, workflow("w2"))
        await site.shown(order_id, "complete", 2)
        refused = await world.ask("GET", f"/api/v1/fetches/{order_id}/content", status=409)
        assert "/api/v1/executions/roof/w1" in refused["message"]
        await world.ask("GET", "/api/v1/executions/roof/w1")

    in_world(tmp_path / "ledger.db", play)


async def stored(world: World) -> int:
    """Bytes in all segments."""
    rows = await world.ledger.read(lambda c: named_rows(c, "SELECT payload FROM segment"))
    return sum(len(row["payload"]) for row in rows)


def test_what_is_removed_leaves_the_ledger(where: Path | str) -> None:
    """By hand or by age, also what comes later; every record stays, and what is beside it."""

    async def play(world: World) -> None:
        site = await site_of(world)
        noise = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(256))
        mine, theirs = noise[:6_000], noise[6_000:]
        one, other = await site.ask(id="one"), await site.ask(id="other")
        parts, others = await site.find(one, mine), await site.find(other, theirs)
        await site.send(Lane.BULK, *parts[:4], *others)
        before = await stored(world)
        await world.ask("DELETE", f"/api/v1/fetches/{one}")
        await world.ask("GET", f"/api/v1/fetches/{one}", status=404)
        await rounds.remove_fetched(world.ledger, NOW_MS, days=30)
        assert await stored(world) < before - 3_500
        await site.send(Lane.BULK, *parts[4:])
        await rounds.remove_fetched(world.ledger, NOW_MS, days=30)
        assert await stored(world) < before - 3_500

        kept = await world.ledger.read(lambda c: fetches.content(c, other, 0, 3))
        assert theirs == b"".join(kept)
        rows = "SELECT * FROM fetched_part ORDER BY device_id, order_id, part"
        live = await world.ledger.read(lambda c: named_rows(c, rows))
        await world.ledger.rebuild()
        assert live == await world.ledger.read(lambda c: named_rows(c, rows))
        assert 0 == await world.ledger.scrub()
        summary = await world.ledger.summary()
        assert (0, 0) == (summary.quarantined, summary.missing)

        await rounds.remove_fetched(world.ledger, NOW_MS + 31 * DAY_MS, days=30)
        assert [] == (await world.ask("GET", "/api/v1/fetches"))["fetches"]
        assert [] == await world.ledger.read(lambda c: fetches.content(c, other, 0, 3))

    in_world(where, play)


def test_who_may_fetch(tmp_path: Path) -> None:
    """Operators of the area; viewers look; other tenants see nothing; and the audit tells."""

    async def play(world: World) -> None:
        await world.connect("roof")
        operator = await world.token(Role.OPERATOR, areas=["logs"])
        viewer = await world.token(Role.VIEWER, areas=["logs"])
        elsewhere = await world.token(Role.ADMIN, tenant="other")
        orderer = await world.token(Role.OPERATOR, areas=["orders"])
        path = "/api/v1/devices/roof/logs"

        await world.ask("POST", path, {}, token=viewer, status=403)
        await world.ask("POST", path, {}, token=orderer, status=403)
        await world.ask("POST", path, {}, token=elsewhere, status=404)
        shown = await world.ask("POST", path, {"id": "one"}, token=operator, status=201)
        one = f"/api/v1/fetches/{shown['id']}"
        await world.ask("GET", one, token=viewer)
        await world.ask("GET", one, token=elsewhere, status=404)
        await world.ask("DELETE", one, token=viewer, status=403)
        body = {"kind": "fetch-journal", "body": {}}
        refused = await world.ask(
            "POST", "/api/v1/devices/roof/orders", body, token=orderer, status=400
        )
        assert "/logs" in refused["message"]
        await world.ask("DELETE", one, token=operator)
        order = await world.ledger.find_order("one")
        assert order is not None and "superseded" == order.state
        audit = await world.ask("GET", "/api/v1/audit", token=await world.token(Role.ADMIN))
        actions = [entry["action"] for entry in audit["entries"]]
        assert {"fetch.order", "fetch.remove"} <= set(actions)

    in_world(tmp_path / "ledger.db", play, authenticate=True)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("logs", {"level": "loud"}, "level"),
        ("logs", {"maxBytes": 1}, "maxBytes"),
        ("task-logs", {}, "taskId"),
        ("files", {"store": "secrets", "name": "x"}, "store"),
        ("histories", {"workflowId": ""}, "workflowId"),
        ("logs", {"colour": 1}, "colour"),
    ],
)
def test_what_is_asked_wrongly_is_refused(
    tmp_path: Path, path: str, body: dict[str, Any], field: str
) -> None:
    """And the field is named."""

    async def play(world: World) -> None:
        await world.connect("roof")
        refused = await world.ask("POST", f"/api/v1/devices/roof/{path}", body, status=400)
        assert field in refused["message"]

    in_world(tmp_path / "ledger.db", play)
