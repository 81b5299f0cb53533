"""A device that is removed: nothing of it is left, nothing of others is gone, and it may come again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sync import frames, receiver, topics
from sync.control_plane import audit, fleet, queries, removal
from sync.control_plane.access import Role
from sync.control_plane.dialect import Connection
from sync.records import (
    ClockRecord,
    EvidenceRecord,
    FetchedRecord,
    GapRecord,
    Lane,
    PartRecord,
    Record,
    TaskRecord,
)
from tests.unit.sync.control_plane.api_world import NOW_MS, World, in_world, workflow
from tests.unit.sync.control_plane.test_order_routes import START, Device, later, send

ROOF = "/api/v1/devices/roof"
TASK = TaskRecord(
    workflow_id="w1", task_id="t1", seq=1, ref="scan", type="SIMPLE", name="scan", status="FAILED",
    attempt=0, iteration=0, scheduled_ms=NOW_MS, updated_ms=NOW_MS,
)  # fmt: skip
FILE = EvidenceRecord(
    workflow_id="w1", task_id="t1", key="clip", media_type="video/mp4", sha256="0" * 64, size_bytes=1,
    path="clip", index=0, count=1, content=b"x",
)  # fmt: skip
# What comes in no other way, or takes long to.
ROWS = (
    "INSERT INTO gap VALUES ({d}, 1, 3, 1, 2, 5)",
    "INSERT INTO notice (device_id, kind, text, first_ms, last_ms, times)"
    " VALUES ({d}, 'duplicate-identity', 'two of them', 1, 1, 1)",
    "INSERT INTO device_place VALUES ({d}, 1, 1)",
    "INSERT INTO fetch_removed VALUES ('other', {d}, 1)",
    "INSERT INTO unread SELECT MAX(segment_id), 1, 'later', 'unknown' FROM segment"
    " WHERE device_id = {d}",
)


async def lived(world: World) -> int:
    """A device with something in every table that can hold something of one; its number."""
    await world.send("cellar", workflow("w1"), workflow("w2", "FAILED"))
    await world.send(
        "roof", workflow("w1", "FAILED"), workflow("w3"), TASK, FILE,
        ClockRecord(NOW_MS, offset_ms=4_000, error_ms=250),
        GapRecord(Lane.BULK, first_seq=1, last_seq=2, reason="budget", size_bytes=5, kinds={}),
        FetchedRecord("other", state="found", count=1, first_seq=1),
        PartRecord("other", index=0, count=1, sha256=bytes(32), content=b"x"),
    )  # fmt: skip
    for name in ("roof", "cellar"):
        await Device(world, name).hello()
    await world.ask("POST", f"{ROOF}/orders", {**START, "id": "one"}, status=201)
    await send(world)
    await world.ask("PUT", "/api/v1/groups/pilots", {"members": ["roof", "cellar"]})
    await world.ask("PUT", f"{ROOF}/tags", {"tags": ["x"]})

    def fill(connection: Connection) -> int:
        fleet.refresh(connection)
        found = connection.execute("SELECT device_id FROM device WHERE device = 'roof'").fetchone()
        for row in ROWS:
            connection.execute(row.format(d=found[0]))
        return int(found[0])

    return await world.ledger.write(fill)


async def rows_of(world: World, device_id: int) -> dict[str, int]:
    """How many rows each table has of a device; every table is looked at that names devices."""
    return await world.ledger.read(
        lambda connection: {
            table: connection.execute(
                f"SELECT COUNT(*) FROM {table} WHERE device_id = ?", (device_id,)
            ).fetchone()[0]
            for table in _tables(connection)
        }
    )


def _tables(connection: Connection) -> list[str]:
    here = Path(queries.__file__).parent
    text = "".join((here / f"{one}_schema.sql").read_text() for one in ("ledger", "plane"))
    names = [part.split()[0] for part in text.split("CREATE TABLE IF NOT EXISTS ")[1:]]
    return [
        name
        for name in names
        if "device_id" in [
            column[0] for column in connection.execute(f"SELECT * FROM {name} LIMIT 0").description
        ]
    ]  # fmt: skip


async def figures(world: World) -> Any:
    """All that is counted of the fleet."""
    world.now_ms += 2_000  # Figures are kept for a second.
    shown = await world.ask("GET", "/api/v1/figures?hours=24")
    listed = await world.ask("GET", "/api/v1/devices?count=true")
    return shown["workflows"], shown["states"], listed["states"], listed["total"]


def test_nothing_is_left_of_it(where: Path | str) -> None:
    """No row in any table, no count, and the audit says who removed it and what went with it."""

    async def play(world: World) -> None:
        device_id = await lived(world)
        before = await rows_of(world, device_id)
        assert set(removal._OF_DEVICE) == set(before)
        campaign = {"id": "c", "target": {"query": "device:roof,cellar"}, "perMinute": 60, **START}
        await world.ask("POST", "/api/v1/campaigns", campaign, status=201)
        await later(world)
        assert [] == [
            table for table, many in (await rows_of(world, device_id)).items() if not many
        ]
        refused = await world.ask("DELETE", ROOF, status=409)
        assert "roof is connected" in refused["message"]
        await world.connect("roof", online=False)

        removed = await world.ask("DELETE", ROOF)

        assert {"device": "roof", "records": 8, "executions": 2, "orders": 2} == removed
        assert {0} == set((await rows_of(world, device_id)).values())
        assert 0 == await world.ledger.read(
            lambda c: c.execute("SELECT COUNT(*) FROM unread").fetchone()[0]
        )
        entry = (await world.ask("GET", "/api/v1/audit"))["entries"][0]
        assert ("device.remove", "roof", removed) == (
            entry["action"], entry["target"], entry["detail"],
        )  # fmt: skip
        for path in (ROOF, f"{ROOF}/standing", "/api/v1/executions/roof/w1", "/api/v1/orders/one"):
            await world.ask("GET", path, status=404)
        await world.ask("DELETE", ROOF, status=404)
        # What is counted as it changes is what would be counted anew.
        kept = await figures(world)
        await world.ledger.rebuild()
        assert kept == await figures(world)
        left = (await world.ask("GET", "/api/v1/executions"))["executions"]
        assert {"cellar"} == {one["device"] for one in left}

    in_world(where, play)


def test_campaigns_go_on_without_it(where: Path | str) -> None:
    """The others get their orders, whether its turn had come or not, and nobody waits for it."""

    async def play(world: World) -> None:
        for name in ("a", "b", "c"):
            await Device(world, name).hello()
        for target, pace in (("one", 60), ("two", 60)):
            body = {"id": target, "target": {"query": "device:a,b,c"}, "perMinute": pace, **START}
            await world.ask("POST", "/api/v1/campaigns", body, status=201)
        world.now_ms += 1
        await world.ledger.give_campaign_orders()  # The first of each is a's.
        for name in ("a", "b"):
            await world.connect(name, online=False)
            await world.ask("DELETE", f"/api/v1/devices/{name}")
        for _ in range(4):
            await later(world)

        for name in ("one", "two"):
            shown = await world.ask("GET", f"/api/v1/campaigns/{name}")
            assert (1, "finished", 0, 1) == (
                shown["members"], shown["state"], shown["progress"]["waiting"],
                shown["progress"]["queued"],
            )  # fmt: skip
            members = await world.ask("GET", f"/api/v1/campaigns/{name}/members")
            assert ["c"] == [one["device"] for one in members["members"]]

    in_world(where, play)


def test_one_that_speaks_again_shows_up_anew(where: Path | str) -> None:
    """With what it still holds; what had been acknowledged, and is gone with it, is a gap."""

    async def play(world: World) -> None:
        await world.send("roof", workflow("w1"), workflow("w2"))
        await world.connect("roof", online=False)
        await world.ask("DELETE", ROOF)
        await world.ask("POST", "/api/v1/devices", {"device": "roof", "tags": []}, status=201)
        record = Record(Lane.HISTORY, 3, "workflow", NOW_MS, 1, b"\x80")
        payload = frames.encode([record], epoch=1, oldest_seq=3)
        topic = topics.address("default", "roof").topic(topics.up(Lane.HISTORY))
        arrival = receiver.read(topic, payload, received_ms=NOW_MS)
        assert arrival is not None

        (ack,) = await world.ledger.commit([arrival])

        assert b"" != ack.payload
        (gap,) = (await world.ask("GET", f"{ROOF}/gaps"))["gaps"]
        assert (1, 2) == (gap["firstSeq"], gap["lastSeq"])
        shown = await world.ask("GET", ROOF)
        assert (3, 2) == (shown["records"], shown["missing"])

    in_world(where, play)


def test_only_an_administrator_of_its_tenant_removes(tmp_path: Path) -> None:
    """An operator may not; one of another tenant finds none of that name."""

    async def play(world: World) -> None:
        await world.send("roof", workflow("w1"), tenant="acme")
        operator = await world.token(Role.OPERATOR, "acme")
        other = await world.token(Role.ADMIN, "umbrella")
        admin = await world.token(Role.ADMIN, "acme")
        refused = await world.ask("DELETE", ROOF, token=operator, status=403)
        assert "needs admin in devices" in refused["message"]
        await world.ask("DELETE", ROOF, token=other, status=404)
        await world.ask("DELETE", "/api/v1/tenants/acme", token=await world.token(Role.ADMIN),
                        status=409)  # fmt: skip
        await world.ask("DELETE", ROOF, token=admin)
        verdict = await world.ledger.read(
            lambda c: audit.page(c, tenant="acme", after=None, limit=1)
        )
        assert "device.remove" == verdict.entries[0].action
        await world.ask("DELETE", "/api/v1/tenants/acme", token=await world.token(Role.ADMIN))

    in_world(tmp_path / "ledger.db", play, authenticate=True)
