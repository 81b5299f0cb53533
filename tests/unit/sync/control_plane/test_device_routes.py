"""What a page about devices asks beside the list, and what pages ask of orders and versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync import topics
from sync.control_plane import clocks, notices
from sync.control_plane.access import Area, Role
from sync.control_plane.clocks import Seen
from sync.control_plane.dialect import Connection
from sync.receiver import Notice
from sync.records import ClockRecord
from tests.unit.sync.control_plane.api_world import NOW_MS, World, in_world, workflow
from tests.unit.sync.control_plane.test_order_routes import START, Device, later, send


def test_how_a_device_stands(where: Path | str) -> None:
    """Its groups, static and found by a query; its clock; whether it takes orders."""

    async def play(world: World) -> None:
        await world.send("roof", workflow("w1"))
        await world.connect("cellar")
        for name, body in {
            "pilots": {"members": ["roof"]},
            "cellars": {"query": "device:cellar"},
            "up": {"query": "state:offline,online,lagging"},
            "gone": {"members": []},
            "broken": {"query": "group:gone"},
        }.items():
            await world.ask("PUT", f"/api/v1/groups/{name}", body)
        await world.ask("DELETE", "/api/v1/groups/gone", status=204)
        standing = await world.ask("GET", "/api/v1/devices/roof/standing")
        assert (["pilots", "up"], {"offsetMs": 0, "errorMs": -1}, False) == (
            standing["groups"], standing["clock"], standing["takesOrders"],
        )  # fmt: skip
        known = ClockRecord(NOW_MS, offset_ms=4_000, error_ms=250)

        def measured(connection: Connection) -> None:
            row = connection.execute("SELECT device_id FROM device WHERE device = 'roof'")
            clocks.note(connection, [Seen(row.fetchone()[0], 1, known)])

        await world.ledger.write(measured)
        await Device(world, "cellar").hello()
        standing = await world.ask("GET", "/api/v1/devices/roof/standing")
        assert {"offsetMs": 4_000, "errorMs": 250} == standing["clock"]
        assert (await world.ask("GET", "/api/v1/devices/cellar/standing"))["takesOrders"]
        await world.ask("GET", "/api/v1/devices/none/standing", status=404)

    in_world(where, play)


def test_tags_of_many_are_changed_at_once(where: Path | str) -> None:
    """All or none; what is there stays, what is the same is not counted, the audit tells of it."""

    async def play(world: World) -> None:
        for device in ("a", "b", "c"):
            await world.connect(device)
        await world.ask("PUT", "/api/v1/devices/a/tags", {"tags": ["old", "x"]})
        change = {"devices": ["a", "b"], "add": ["x", "y"], "remove": ["old", "none"]}
        assert {"changed": 2} == await world.ask("PATCH", "/api/v1/tags", change)
        assert {"changed": 0} == await world.ask("PATCH", "/api/v1/tags", change)
        devices = (await world.ask("GET", "/api/v1/devices"))["devices"]
        assert [["x", "y"], ["x", "y"], []] == [one["tags"] for one in devices]
        wrong = {"devices": ["c", "none"], "add": ["z"]}
        refused = await world.ask("PATCH", "/api/v1/tags", wrong, status=400)
        assert "devices: no device 'none'" in refused["message"]
        many = [f"t{number}" for number in range(49)]
        full = {"devices": ["a"], "add": many}
        assert (
            "add: a would"
            in (await world.ask("PATCH", "/api/v1/tags", full, status=400))["message"]
        )
        assert 400 == (await world.client.patch("/api/v1/tags", json={"devices": []})).status_code
        entries = (await world.ask("GET", "/api/v1/audit"))["entries"]
        assert ["2 devices", "a"] == [one["target"] for one in entries]

    in_world(where, play)


def test_a_list_says_how_many_it_finds(where: Path | str) -> None:
    """When it is asked to, whatever the length of the page."""

    async def play(world: World) -> None:
        for number in range(5):
            await world.connect(f"d{number}", online=number > 1)
        found = await world.ask("GET", "/api/v1/devices?q=state:online&limit=2&count=true")
        assert (2, 3) == (len(found["devices"]), found["total"])
        assert (await world.ask("GET", "/api/v1/devices"))["total"] is None

    in_world(where, play)


def test_notices_of_one_device_newest_first(where: Path | str) -> None:
    """For the page of a device; the list as it was stays as it was."""

    async def play(world: World) -> None:
        for device in ("a", "b"):
            await world.connect(device)

        def write(connection: Connection) -> None:
            rows = connection.execute("SELECT device, device_id FROM device").fetchall()
            for device, device_id in rows:
                for number in range(3):
                    told = Notice(topics.address("default", device), "epoch", f"{device}{number}")
                    notices.note(connection, device_id, told, now_ms=NOW_MS + number)

        await world.ledger.write(write)
        found = await world.ask("GET", "/api/v1/notices?device=a&newest=true&limit=2")
        assert ["a2", "a1"] == [one["text"] for one in found["notices"]]
        found = await world.ask("GET", f"/api/v1/notices?after={NOW_MS + 1}")
        assert ["a2", "b2"] == [one["text"] for one in found["notices"]]

    in_world(where, play)


def test_orders_by_kind_and_by_end(where: Path | str) -> None:
    """And devices of a campaign by the state of theirs."""

    async def play(world: World) -> None:
        roof, cellar = Device(world, "roof"), Device(world, "cellar")
        for device in (roof, cellar):
            await device.hello()
        body = {**START, "target": {"query": ""}, "perMinute": 1, "id": "c"}
        await world.ask("POST", "/api/v1/campaigns", body, status=201)
        pause = {"kind": "pause", "body": {"workflowId": "w1"}, "id": "p"}
        await world.ask("POST", "/api/v1/devices/roof/orders", pause, status=201)
        await later(world)
        assert {"c.1", "p"} <= set(await send(world))
        await cellar.report("c.1", "failed", "no such workflow")

        async def ids(query: str) -> list[str]:
            page = await world.ask("GET", f"/api/v1/orders?{query}")
            return [one["id"] for one in page["orders"] if one["id"] in ("p", "c.1")]

        assert ["c.1"] == await ids("kind=start&ended=failed")
        assert [] == await ids("ended=done")
        assert ["p"] == await ids("kind=pause&open=true")
        await world.ask("GET", "/api/v1/orders?kind=dance", status=400)
        refused = await world.ask("GET", "/api/v1/orders?ended=open", status=400)
        assert "ended must be one of done, failed, expired, superseded" in refused["message"]
        for state, devices in {
            "failed": ["cellar"],
            "done": [],
            "waiting": ["roof"],
            "sent": [],
        }.items():
            found = await world.ask("GET", f"/api/v1/campaigns/c/members?state={state}")
            assert devices == [one["device"] for one in found["members"]]
        await world.ask("GET", "/api/v1/campaigns/c/members?state=lost", status=400)

    in_world(where, play)


def test_versions_one_by_one_and_by_device(where: Path | str) -> None:
    """The list brings the newest content only; each device tells what it is to have."""

    async def play(world: World) -> None:
        roof = Device(world, "roof")
        await roof.hello()
        await world.connect("cellar")
        path, target = "/api/v1/wanted/config/site", {"devices": ["roof"]}
        for text in ("a", "b"):
            await world.ask("PUT", path, {"target": target, "variables": {"URL": text}})
        newest, oldest = (await world.ask("GET", path))["versions"]
        assert ({"URL": "b"}, None) == (newest["content"]["variables"], oldest["content"])
        first = await world.ask("GET", f"{path}/versions/1")
        assert (1, {"URL": "a"}) == (first["revision"], first["content"]["variables"])
        for wrong, status in {"3": 404, "one": 400, "9" * 20: 400}.items():
            await world.ask("GET", f"{path}/versions/{wrong}", status=status)
        shown = (await world.ask("GET", "/api/v1/devices/roof/wanted"))["wanted"]
        assert [("put-config", "site", 2, 0, "pending")] == [
            (one["kind"], one["name"], one["wanted"], one["reported"], one["state"])
            for one in shown
        ]
        assert [] == (await world.ask("GET", "/api/v1/devices/cellar/wanted"))["wanted"]
        for state, devices in {"pending": ["roof"], "in-step": [], "drifted": []}.items():
            drift = await world.ask("GET", f"{path}/drift?state={state}")
            assert devices == [one["device"] for one in drift["devices"]]
        await world.ask("GET", f"{path}/drift?state=lost", status=400)

    in_world(where, play)


def test_campaigns_are_paged(where: Path | str) -> None:
    """Newest first, also those that were made in one millisecond; none is left out."""

    async def play(world: World) -> None:
        await world.connect("roof")
        for number in range(5):
            world.now_ms += number // 3
            body = {**START, "target": {"query": ""}, "id": f"c{number}"}
            await world.ask("POST", "/api/v1/campaigns", body, status=201)
        found, after = [], ""
        while after is not None:
            page = await world.ask("GET", f"/api/v1/campaigns?limit=2&after={after}")
            found += [one["id"] for one in page["campaigns"]]
            after = page["next"]
        assert ["c4", "c3", "c2", "c1", "c0"] == found
        await world.ask("GET", "/api/v1/campaigns?after=c1", status=400)

    in_world(where, play)


def test_who_differs_is_found_among_many(tmp_path: Path) -> None:
    """A page goes through several of all; none is left out, and none comes twice."""

    async def play(world: World) -> None:
        for number in range(45):
            await world.connect(f"d{number:02d}")
        devices = ["d03", "d30", "d44"]
        path, target = "/api/v1/wanted/config/site", {"query": ""}
        push = {"target": target, "variables": {"URL": "a"}, "perMinute": 100_000}
        await world.ask("PUT", path, push)
        await later(world)

        def ended(connection: Connection) -> None:
            connection.execute(
                "UPDATE device_order SET ended = CASE WHEN device_id IN (SELECT device_id FROM"
                " device WHERE device IN ('d03', 'd30', 'd44')) THEN 'failed' ELSE 'done' END"
            )

        await world.ledger.write(ended)
        found: list[str] = []
        place: int | None = 0
        for _ in range(10):
            page = await world.ask("GET", f"{path}/drift?state=drifted&limit=2&after={place}")
            found += [one["device"] for one in page["devices"]]
            place = page["next"]
            if place is None:
                break
        assert (devices, None) == (found, place)

    in_world(tmp_path / "ledger.db", play)


@pytest.mark.parametrize("area", [Area.ORDERS, Area.AUDIT])
def test_any_token_may_ask_who_it_is(where: Path | str, area: Area) -> None:
    """Also one that is held to some areas: a page has to know what it may offer."""

    async def play(world: World) -> None:
        await world.connect("roof", tenant="acme")
        held = await world.token(Role.VIEWER, areas=[area])
        me = await world.ask("GET", "/api/v1/self", token=held)
        assert (["acme", "default"], "default", [area.value]) == (
            me["tenants"], me["presentTenant"], me["areas"],
        )  # fmt: skip
        me = await world.ask("GET", "/api/v1/self?tenant=acme", token=held)
        assert "acme" == me["presentTenant"]
        await world.ask("GET", "/api/v1/devices", token=held, status=403)
        one = await world.token(Role.ADMIN, tenant="acme")
        me = await world.ask("GET", "/api/v1/self", token=one)
        assert (["acme"], "acme") == (me["tenants"], me["presentTenant"])
        await world.ask("GET", "/api/v1/self", status=401)

    in_world(where, play, authenticate=True)


def test_what_is_of_a_tenant_names_the_parameter(tmp_path: Path) -> None:
    """Whoever reads the description learns that another tenant can be named."""

    async def play(world: World) -> None:
        paths = (await world.ask("GET", "/api-docs"))["paths"]

        def names(path: str, method: str = "get") -> set[str]:
            return {one["name"] for one in paths[path][method]["parameters"]}

        assert "tenant" in names("/api/v1/devices/{device}")
        assert "tenant" in names("/api/v1/groups/{group}", "put")
        assert "tenant" not in names("/health")
        assert "tenant" not in names("/api/v1/tokens/{token}", "delete")

    in_world(tmp_path / "ledger.db", play)
