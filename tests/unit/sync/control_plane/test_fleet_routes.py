"""Devices as people look for them: search, states, tags, groups, pages, over both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sync import frames, receiver, topics
from sync.control_plane.access import Role
from sync.frames import Hello
from sync.records import Lane
from tests.unit.sync.control_plane.api_world import NOW_MS, World, in_world, workflow


async def hello(world: World, device: str, newest: int) -> None:
    """A device says how much it holds."""
    said = Hello(boot=3, nonce=1, lanes={Lane.HISTORY: (1, newest)}, version="2.0")
    topic = topics.address("default", device).topic("up/0")
    arrival = receiver.read(topic, frames.encode_hello(said, epoch=1), received_ms=NOW_MS)
    assert arrival is not None
    await world.ledger.commit([arrival])
    while await world.ledger.project():
        pass


async def names(world: World, query: str = "", **more: Any) -> list[str]:
    """The devices that a query finds."""
    found = await world.ask("GET", str(httpx_url("/api/v1/devices", q=query, **more)))
    return [one["device"] for one in found["devices"]]


def httpx_url(path: str, **query: Any) -> str:
    """A path with a query."""
    from urllib.parse import urlencode

    return f"{path}?{urlencode({name: value for name, value in query.items() if value != ''})}"


def test_four_honest_states(where: Path | str) -> None:
    """Online, lagging, offline, never seen; a device that is heard of is never ``never`` again."""

    async def play(world: World) -> None:
        for device in ("online", "lagging", "gone"):
            await world.connect(device)
        await hello(world, "lagging", 5_000)
        await world.connect("gone", online=False)
        await world.ask("POST", "/api/v1/devices", {"device": "new", "tags": ["x"]}, status=201)
        shown = await world.ask("GET", "/api/v1/devices")

        assert {"online": 1, "lagging": 1, "offline": 1, "never": 1} == shown["states"]
        states = {one["device"]: one["state"] for one in shown["devices"]}
        assert {
            "online": "online",
            "lagging": "lagging",
            "gone": "offline",
            "new": "never",
        } == states
        by_name = {one["device"]: one for one in shown["devices"]}
        assert (5_000, "2.0", 3) == tuple(
            by_name["lagging"][field] for field in ("backlog", "version", "boot")
        )
        assert (0, 0, ["x"]) == tuple(
            by_name["new"][field] for field in ("firstSeenMs", "lastSeenMs", "tags")
        )
        await world.ask("POST", "/api/v1/devices", {"device": "new"}, status=409)
        await world.connect("new")
        assert "online" == (await world.ask("GET", "/api/v1/devices/new"))["state"]
        await world.ledger.note_broker_lost()
        world.now_ms += 2_000
        assert 4 == (await world.ask("GET", "/api/v1/devices"))["states"]["offline"]

    in_world(where, play)


def test_the_box_finds_devices(where: Path | str) -> None:
    """By name, state, release, figures, times, tags; text without a field is part of the name."""

    async def play(world: World) -> None:
        for number in range(6):
            await world.connect(f"gate-{number}", online=number < 4)
        await world.connect("Yard-1")
        await hello(world, "gate-1", 50)
        await world.ask("PUT", "/api/v1/devices/gate-2/tags", {"tags": ["site=berlin", "cam"]})
        await world.ask("PUT", "/api/v1/devices/gate-3/tags", {"tags": ["cam"]})
        for query, found in (
            ("yard", ["Yard-1"]),
            ("gate -state:offline", ["gate-0", "gate-1", "gate-2", "gate-3"]),
            ("state:offline", ["gate-4", "gate-5"]),
            ("state:online,offline name:starts:Ya", ["Yard-1"]),
            ("version:2.0", ["gate-1"]),
            ("backlog:gt:10", ["gate-1"]),
            ("tag:cam", ["gate-2", "gate-3"]),
            ("tag:cam -tag:site=berlin", ["gate-3"]),
            ("tag:ne:cam gate state:online", ["gate-0", "gate-1"]),
            ("seen:older:1h", []),
            ("seen:newer:1h yard", ["Yard-1"]),
            ("gaps:gt:0", []),
        ):
            assert found == await names(world, query), query
        tags = (await world.ask("GET", "/api/v1/tags"))["tags"]
        assert {"cam": 2, "site=berlin": 1} == tags
        (entry, _) = (await world.ask("GET", "/api/v1/audit"))["entries"]
        assert {"before": [], "after": ["cam"]} == entry["detail"]

    in_world(where, play)


@pytest.mark.parametrize("order", ["device", "seen", "backlog"])
def test_pages_follow_on(where: Path | str, order: str) -> None:
    """Each device stands on one page, whatever the order."""

    async def play(world: World) -> None:
        for number in range(7):
            await world.connect(f"d{number}")
        await hello(world, "d5", 90)
        await hello(world, "d2", 40)
        seen: list[str] = []
        after: Any = ""
        while after is not None:
            page = await world.ask(
                "GET", httpx_url("/api/v1/devices", sort=order, limit=3, after=after)
            )
            seen += [one["device"] for one in page["devices"]]
            after = page["next"]

        assert [f"d{number}" for number in range(7)] == sorted(seen)
        assert order != "backlog" or ["d5", "d2"] == seen[:2]

    in_world(where, play)


def test_what_was_done_lately_is_beside_each(where: Path | str) -> None:
    """Executions and failures of the last day; figures by hour, workflow and status."""

    async def play(world: World) -> None:
        await world.send("a", workflow("w1"), workflow("w2", "FAILED"), workflow("w3", "RUNNING"))
        old = NOW_MS - 3 * 86_400_000
        await world.send("a", workflow("w4", created_ms=old), workflow("w5", "FAILED", name="ota"))
        await world.send("a", workflow("w3", "FAILED", updated_ms=NOW_MS + 1))
        (one,) = (await world.ask("GET", "/api/v1/devices"))["devices"]
        assert {"executions": 4, "failures": 3, "partial": False} == one["recent"]

        figures = await world.ask("GET", "/api/v1/figures?hours=24")
        assert {"COMPLETED": 2, "FAILED": 3} == figures["statuses"]
        assert [
            {"name": "ota", "executions": 1, "failures": 1},
            {"name": "scan", "executions": 3, "failures": 2},
        ] == figures["workflows"]
        assert [4] == [hour["executions"] for hour in figures["hours"]]
        before = figures, (await world.ledger.summary()).executions
        await world.ledger.rebuild()
        assert before == (
            await world.ask("GET", "/api/v1/figures?hours=24"),
            (await world.ledger.summary()).executions,
        )

    in_world(where, play)


def test_groups_are_lists_or_queries(where: Path | str) -> None:
    """Both are searched alike, also within each other; members change all or none."""

    async def play(world: World) -> None:
        for number in range(5):
            await world.connect(f"d{number}", online=number != 4)
        group = await world.ask("PUT", "/api/v1/groups/pilots", {"members": ["d0", "d4"]})
        assert (2, None) == (group["devices"], group["query"])
        await world.ask("PUT", "/api/v1/groups/up", {"query": "state:online", "description": "u"})
        await world.ask("PUT", "/api/v1/groups/both", {"query": "group:up group:pilots"})
        assert ["d0", "d4"] == await names(world, "group:pilots")
        assert ["d0", "d1", "d2", "d3"] == await names(world, "group:up")
        assert ["d0"] == await names(world, "group:both")
        assert ["d1", "d2", "d3"] == await names(world, "-group:pilots state:online")

        path = "/api/v1/groups/pilots/members"
        await world.ask("PATCH", path, {"add": ["d1", "nobody"]}, status=400)
        assert ["d0", "d4"] == await names(world, "group:pilots")
        changed = await world.ask("PATCH", path, {"add": ["d1"], "remove": ["d0"]})
        assert 2 == changed["devices"]
        await world.ask("PATCH", "/api/v1/groups/up/members", {"add": ["d1"]}, status=409)
        await world.ask("PUT", "/api/v1/groups/pilots", {"members": ["d3"]})
        assert ["d3"] == await names(world, "group:pilots")

        await world.ask("DELETE", "/api/v1/groups/pilots", status=204)
        await world.ask("GET", "/api/v1/groups/pilots", status=404)
        listed = (await world.ask("GET", "/api/v1/groups"))["groups"]
        assert {"both": True, "up": False} == {one["name"]: bool(one["problem"]) for one in listed}
        await world.ask("GET", "/api/v1/devices?q=group:both", status=400)

    in_world(where, play)


def test_groups_that_go_round_are_refused(tmp_path: Path) -> None:
    """Whoever closes the circle is told; what was there stays."""

    async def play(world: World) -> None:
        await world.ask("PUT", "/api/v1/groups/a", {"query": "state:online"})
        await world.ask("PUT", "/api/v1/groups/b", {"query": "group:a"})
        refused = await world.ask("PUT", "/api/v1/groups/a", {"query": "group:b"}, status=400)
        assert "circle" in refused["message"]
        assert "state:online" == (await world.ask("GET", "/api/v1/groups/a"))["query"]

    in_world(tmp_path / "ledger.db", play)


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("GET", "/api/v1/devices?q=colour:red", None, "colour"),
        ("GET", "/api/v1/devices?q=group:none", None, "no group"),
        ("GET", "/api/v1/devices?sort=size", None, "sort"),
        ("GET", "/api/v1/devices?sort=seen&after=x", None, "after"),
        ("GET", "/api/v1/devices?limit=0", None, "limit"),
        ("GET", "/api/v1/figures?hours=99999", None, "hours"),
        ("POST", "/api/v1/devices", {"device": "a b"}, "device"),
        (
            "POST",
            "/api/v1/devices",
            {"device": "a", "tags": ["a b"]},
            "tags[0]: Expected `str` without spaces, commas and quotes",
        ),
        ("PUT", "/api/v1/groups/g", {"query": "colour:red"}, "colour"),
        ("PUT", "/api/v1/groups/g", {"query": "x", "members": []}, "members"),
        ("PUT", "/api/v1/groups/g", {"members": ["nobody"]}, "members"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, method: str, path: str, body: Any, told: str
) -> None:
    """A 400 with the field, and nothing is kept."""

    async def play(world: World) -> None:
        refused = await world.ask(method, path, body, status=400)
        assert told in refused["message"]
        assert [] == (await world.ask("GET", "/api/v1/groups"))["groups"]
        assert [] == (await world.ask("GET", "/api/v1/audit"))["entries"]

    in_world(tmp_path / "ledger.db", play)


def test_gaps_and_notices_are_told(where: Path | str) -> None:
    """What will not come of a device, and what a person should know of it."""

    async def play(world: World) -> None:
        await hello(world, "roof", 7)
        said = Hello(boot=3, nonce=2, lanes={Lane.HISTORY: (5, 7)})
        topic = topics.address("default", "roof").topic("up/0")
        arrival = receiver.read(topic, frames.encode_hello(said, epoch=1), received_ms=NOW_MS)
        assert arrival is not None
        await world.ledger.commit([arrival])
        (gap,) = (await world.ask("GET", "/api/v1/devices/roof/gaps"))["gaps"]
        assert (1, 4, 2) == (gap["firstSeq"], gap["lastSeq"], gap["lane"])
        assert [] == (await world.ask("GET", "/api/v1/notices"))["notices"]
        await world.ask("GET", "/api/v1/devices/nobody/gaps", status=404)

    in_world(where, play)


def test_figures_are_the_tenant_s_own(where: Path | str) -> None:
    """A token of one tenant is told nothing of others, nor of the control plane itself."""

    async def play(world: World) -> None:
        await world.connect("roof", tenant="acme")
        await world.connect("cellar", tenant="umbrella", online=False)
        await world.send("roof", workflow("w1"), tenant="acme")
        await world.send("cellar", workflow("w2", "FAILED"), workflow("w3"), tenant="umbrella")
        shown = {}
        for tenant in ("*", "acme", "umbrella"):
            token = await world.token(Role.VIEWER, tenant=tenant)
            shown[tenant] = await world.ask("GET", "/api/v1/summary", token=token)
        assert [(2, 1, 3), (1, 1, 1), (1, 0, 2)] == [
            (one["devices"], one["online"], one["records"]) for one in shown.values()
        ]
        assert {"COMPLETED": 1} == shown["acme"]["executions"]
        own = ("quarantined", "unread", "projectionLag", "syncLag")
        assert None not in [shown["*"][name] for name in own]
        assert {None} == {shown["acme"][name] for name in own}

    in_world(where, play, authenticate=True)


def test_a_stream_ends_with_its_token(tmp_path: Path) -> None:
    """At the next look after it was revoked; the page that comes back is refused."""

    async def play(world: World) -> None:
        admin = await world.token(Role.ADMIN)
        body = {"name": "page", "role": "viewer"}
        made = await world.ask("POST", "/api/v1/tokens", body, token=admin, status=201)

        async def follow() -> None:
            await world.client.get("/api/v1/stream", headers={"x-authorization": made["token"]})

        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            while not world.app.state.streams.open:
                await asyncio.sleep(0)
            path = f"/api/v1/tokens/{made['made']['tokenId']}"
            await world.ask("DELETE", path, token=admin)
        assert 0 == world.app.state.streams.open
        await world.ask("GET", "/api/v1/stream", token=made["token"], status=401)

    in_world(tmp_path / "ledger.db", play, authenticate=True)
