"""Orders over the API: to one, to many at a pace, pushed in versions, over both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sync import frames, receiver, topics
from sync.control_plane import order_routes, orders
from sync.control_plane.wanted import Drift
from sync.control_plane.wanted_routes import PUSHED
from sync.frames import Hello
from sync.orders import Position
from sync.records import Lane, OrderRecord, Record, encode_body
from tests.unit.sync.control_plane.api_world import NOW_MS, World, in_world, workflow

KEY = bytes(range(8))
DRIFT_FIELDS = Drift.__struct_fields__
ORDERS = "/api/v1/devices/roof/orders"
START = {"kind": "start", "body": {"name": "scan", "input": {"n": 1}}}


class Device:
    """Says hello, takes what it is sent, and reports."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.address = topics.address("default", name)
        self.seq = 0
        self.cseq = 0

    async def hello(self) -> None:
        said = Hello(boot=1, nonce=1, lanes={}, orders=Position(self.cseq, "", [KEY]))
        await self._take("up/0", frames.encode_hello(said, epoch=1))
        await self.world.connect(self.address.device)

    async def report(self, order_id: str, state: str = "done", reason: str | None = None) -> None:
        self.seq += 1
        self.cseq += 1
        told = OrderRecord(order_id, self.cseq, "start", state, reason=reason, output=b'{"a":1}')
        record = Record(Lane.CONTROL, self.seq, "order", NOW_MS, 1, encode_body(told))
        await self._take("up/0", frames.encode([record], epoch=1, oldest_seq=1))

    async def _take(self, suffix: str, payload: bytes) -> None:
        arrival = receiver.read(self.address.topic(suffix), payload, received_ms=NOW_MS)
        assert arrival is not None
        await self.world.ledger.commit([arrival])
        while await self.world.ledger.project():
            pass


async def send(world: World) -> list[str]:
    """What the ledger has to send now, as if it was sent: the ids."""
    found = await world.ledger.due_orders(key_id=KEY)
    return [order.id for outbound in found for order in outbound.orders]


async def later(world: World) -> None:
    """A second passes, and the orders of campaigns whose turn has come are given."""
    world.now_ms += 1_000
    world.ledger._now_ms = lambda: world.now_ms
    await world.ledger.give_campaign_orders()


def test_an_order_goes_its_way(where: Path | str) -> None:
    """Queued, sent, done; with whoever gave it, and an entry of the audit."""

    async def play(world: World) -> None:
        roof = Device(world, "roof")
        await roof.hello()
        path = "/api/v1/devices/roof/orders"
        given = await world.ask("POST", path, {**START, "id": "one"}, status=201)
        assert ("one", "queued", "anonymous") == tuple(
            given[name] for name in ("id", "state", "issuedBy")
        )
        again = await world.ask("POST", path, {**START, "id": "one"}, status=201)
        assert given == again
        other = {"kind": "start", "body": {"name": "other"}, "id": "one"}
        await world.ask("POST", path, other, status=409)
        assert ["one"] == await send(world)
        assert "sent" == (await world.ask("GET", "/api/v1/orders/one"))["state"]
        await world.ask("DELETE", "/api/v1/orders/one", status=409)
        for wrong in ("-1", "61", "soon"):
            await world.ask("GET", f"/api/v1/orders/one?waitForSeconds={wrong}", status=400)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(world.ask("GET", "/api/v1/orders/one?waitForSeconds=30"))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            await roof.report("one")
        done = await world.ask("GET", "/api/v1/orders/one")
        assert done == waiting.result()
        assert ("done", {"a": 1}, {"name": "scan", "input": {"n": 1}}) == tuple(
            done[name] for name in ("state", "output", "body")
        )
        listed = (await world.ask("GET", path))["orders"]
        assert ["one"] == [one["id"] for one in listed]
        assert [] == (await world.ask("GET", "/api/v1/orders?open=true"))["orders"]
        entry = (await world.ask("GET", "/api/v1/audit"))["entries"][0]
        assert ("order.give", "one") == (entry["action"], entry["target"])

    in_world(where, play)


def test_executions_are_steered_by_orders(where: Path | str) -> None:
    """Each action is an order about the execution; one that was not sent can be taken back."""

    async def play(world: World) -> None:
        await world.send("roof", workflow("w1", "RUNNING", ended_ms=0))
        base = "/api/v1/executions/roof/w1/actions"
        for action, said, body in (
            ("pause", {}, {}),
            ("resume", {}, {}),
            ("retry", {"resumeSubworkflowTasks": True}, {"resumeSubworkflowTasks": True}),
            ("restart", {"useLatestDefinitions": True}, {"useLatestDefinitions": True}),
            ("terminate", {"reason": "enough"}, {"reason": "enough"}),
        ):
            given = await world.ask("POST", f"{base}/{action}", said, status=201)
            assert (action, {"workflowId": "w1"} | body) == (given["kind"], given["body"])
        await world.ask("POST", f"{base}/explode", {}, status=404)
        taken = await world.ask("DELETE", f"/api/v1/orders/{given['id']}")
        assert ("superseded", "anonymous has taken it back") == (taken["state"], taken["reason"])

    in_world(where, play)


def test_a_campaign_is_previewed_and_keeps_its_pace(where: Path | str) -> None:
    """So many a minute, each device once, members frozen, progress counted, stopped at will."""

    async def play(world: World) -> None:
        devices = [Device(world, f"d{number}") for number in range(7)]
        for device in devices:
            await device.hello()
        await world.connect("deaf")
        preview = await world.ask("POST", "/api/v1/campaigns/preview", {"query": "state:online"})
        assert (8, {"online": 8}, 1) == tuple(
            preview[name] for name in ("devices", "states", "withoutOrders")
        )
        assert "d0" in preview["sample"]
        body = {**START, "target": {"query": "d"}, "perMinute": 2, "title": "scan all", "id": "c",
                "expectedDevices": 9}  # fmt: skip
        refused = await world.ask("POST", "/api/v1/campaigns", body, status=409)
        assert "expectedDevices" in refused["message"]
        made = await world.ask(
            "POST", "/api/v1/campaigns", body | {"expectedDevices": 8}, status=201
        )
        assert (8, 1, 7) == (made["members"], made["progress"]["queued"],
                             made["progress"]["waiting"])  # fmt: skip
        await world.connect("d9")
        world.now_ms += 90_000
        world.ledger._now_ms = lambda: world.now_ms
        assert 3 == await world.ledger.give_campaign_orders()
        assert 0 == await world.ledger.give_campaign_orders()
        # The deaf one is among the first four by name, and waits.
        sent = await send(world)
        assert ["c.1", "c.2", "c.3", "c.4"] == sorted(sent)
        await devices[0].report("c.1")
        await devices[1].report("c.2", "failed", "no such workflow")
        shown = await world.ask("GET", "/api/v1/campaigns/c")
        assert {"done": 1, "failed": 1, "sent": 2, "waiting": 4} == {
            name: many for name, many in shown["progress"].items() if many
        }
        members = await world.ask("GET", "/api/v1/campaigns/c/members?limit=3")
        assert [("d0", "done"), ("d1", "failed"), ("d2", "sent")] == [
            (one["device"], one["state"]) for one in members["members"]
        ]
        assert "no such workflow" == members["members"][1]["reason"]
        assert 3 == members["next"]
        stopped = await world.ask("POST", "/api/v1/campaigns/c/stop")
        assert "stopped" == stopped["state"]
        world.now_ms += 600_000
        assert 0 == await world.ledger.give_campaign_orders()
        assert 8 == sum(stopped["progress"].values())
        listed = (await world.ask("GET", "/api/v1/campaigns"))["campaigns"]
        assert ["c"] == [one["id"] for one in listed]
        again = await world.ask(
            "POST", "/api/v1/campaigns", body | {"expectedDevices": 8}, status=201
        )
        assert "stopped" == again["state"]

    in_world(where, play)


@pytest.mark.parametrize("many", [0, 500])
def test_pages_of_orders(where: Path | str, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    """Of a tenant with many devices as of one with few: newest first, each once, of that tenant."""
    monkeypatch.setattr(orders, "_MANY", many)

    async def play(world: World) -> None:
        for name in ("roof", "gate", "cellar"):
            await Device(world, name).hello()
        for number in range(7):
            device = ("roof", "gate", "cellar")[number % 3]
            path = f"/api/v1/devices/{device}/orders"
            await world.ask("POST", path, {**START, "id": f"o{number}"}, status=201)
        first = await world.ask("GET", "/api/v1/orders?limit=4")
        rest = await world.ask("GET", f"/api/v1/orders?limit=4&after={first['next']}")
        shown = [one["id"] for one in first["orders"] + rest["orders"]]

        assert [f"o{number}" for number in range(6, -1, -1)] == shown
        assert rest["next"] is None
        for query, names in (
            ("kind=start", 7),
            ("kind=pause", 0),
            ("open=true", 7),
            ("ended=done", 0),
        ):
            found = await world.ask("GET", f"/api/v1/orders?{query}")
            assert names == len(found["orders"]), query
        assert [] == (await world.ask("GET", "/api/v1/fetches"))["fetches"]

    in_world(where, play)


def test_a_campaign_ends_with_its_time(where: Path | str) -> None:
    """Those whose turn did not come were never given an order."""

    async def play(world: World) -> None:
        for number in range(5):
            await world.connect(f"d{number}")
        body = {**START, "target": {"query": ""}, "perMinute": 1, "expiresInS": 90, "id": "c"}
        await world.ask("POST", "/api/v1/campaigns", body, status=201)
        world.ledger._now_ms = lambda: NOW_MS + 89_000
        assert 1 == await world.ledger.give_campaign_orders()
        world.ledger._now_ms = lambda: NOW_MS + 95_000
        assert 0 == await world.ledger.give_campaign_orders()
        shown = await world.ask("GET", "/api/v1/campaigns/c")
        assert ("finished", 3) == (shown["state"], shown["progress"]["waiting"])

    in_world(where, play)


def test_versions_are_pushed_and_drift_is_told(where: Path | str) -> None:
    """Revisions go up, also back to an old content; who has which is told by what was reported."""

    async def play(world: World) -> None:
        roof, cellar = Device(world, "roof"), Device(world, "cellar")
        for device in (roof, cellar):
            await device.hello()
        path = "/api/v1/wanted/config/site"
        target = {"devices": ["roof", "cellar"]}
        pushed = await world.ask("PUT", path, {"target": target, "variables": {"URL": "a"}})
        assert [1] == [one["revision"] for one in pushed["versions"]]
        await later(world)
        (first,) = {one.rpartition(".")[0] for one in await send(world)}
        await cellar.report(f"{first}.1")
        drift = (await world.ask("GET", f"{path}/drift"))["devices"]
        assert {*DRIFT_FIELDS} == drift[0].keys()
        assert [("cellar", "in-step", 1), ("roof", "pending", 0)] == [
            (one["device"], one["state"], one["reported"]) for one in drift
        ]
        await roof.report(f"{first}.2", "failed", "disk full")
        await world.ask("PUT", path, {"target": target, "variables": {"URL": "b"}})
        back = await world.ask("PUT", path, {"target": target, "rollbackTo": 1})
        assert [3, 2, 1] == [one["revision"] for one in back["versions"]]
        assert (1, {"URL": "a"}) == (
            back["versions"][0]["rollbackTo"], back["versions"][0]["content"]["variables"],
        )  # fmt: skip
        await later(world)
        third = {one.rpartition(".")[0] for one in await send(world)}
        assert 1 == len(third)
        await roof.report(f"{third.pop()}.2")
        drift = (await world.ask("GET", f"{path}/drift"))["devices"]
        assert [("cellar", "pending", 1), ("roof", "in-step", 3)] == [
            (one["device"], one["state"], one["reported"]) for one in drift
        ]
        flow = {
            "name": "scan",
            "version": 2,
            "tasks": [{"name": "see", "taskReferenceName": "see"}],
        }
        await world.ask("PUT", "/api/v1/wanted/workflow/scan",
                        {"target": {"query": "roof"}, "definition": flow})  # fmt: skip
        listed = (await world.ask("GET", "/api/v1/wanted"))["wanted"]
        assert [("put-config", "site", 3), ("put-workflow", "scan", 1)] == [
            (one["kind"], one["name"], one["revision"]) for one in listed
        ]

    in_world(where, play)


def test_whom_a_version_is_for_is_told_and_held_to(where: Path | str) -> None:
    """The next one can be for the same; it is refused when others have come in since a look."""

    async def play(world: World) -> None:
        await world.connect("roof")
        path, target = "/api/v1/wanted/config/site", {"target": {"query": "o"}}
        body = {**target, "variables": {"A": "1"}, "expectedDevices": 1}
        assert "o" == (await world.ask("PUT", path, body))["query"]
        await world.connect("dome")
        refused = await world.ask("PUT", path, body, status=409)
        assert "there are 2 now" in refused["message"]
        names = {"devices": ["roof", "rof"]}
        seen = await world.ask("POST", "/api/v1/campaigns/preview", names)

        assert (1, ["rof"]) == (seen["devices"], seen["unknown"])
        assert 1 == len((await world.ask("GET", path))["versions"])

    in_world(where, play)


@pytest.mark.parametrize("path", ["orders?open=maybe", "devices?count=yes", "notices?newest=1"])
def test_a_yes_or_no_is_one_of_the_two(tmp_path: Path, path: str) -> None:
    """Anything else is refused by its name, and not taken for a no."""

    async def play(world: World) -> None:
        refused = await world.ask("GET", f"/api/v1/{path}", status=400)
        name = path.split("?")[1].split("=", maxsplit=1)[0]
        assert f"{name} must be true or false" == refused["message"]

    in_world(tmp_path / "ledger.db", play)


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("POST", "devices/roof/orders", {"kind": "dance", "body": {}}, "kind"),
        ("POST", "devices/roof/orders", {"kind": "start", "body": {"nam": "x"}}, "body"),
        ("POST", "devices/roof/orders", {**START, "expiresInS": 0}, "expiresInS"),
        ("POST", "devices/roof/orders", {**START, "condition": {"x": 1}}, "condition"),
        ("POST", "devices/roof/orders", {**START, "id": "a b"},
         "id: Expected `str` of letters, digits, - and _"),
        ("POST", "devices/roof/orders",
         {"kind": "put-workflow", "body": {"definition": {"name": "a"}, "revision": 1}},
         "body.definition.tasks: a workflow needs at least one task"),
        ("POST", "campaigns",
         {"kind": "put-workflow", "target": {"query": ""},
          "body": {"definition": {"name": "a", "tasks": [{}]}, "revision": 1}},
         "body.definition.tasks[0].name"),
        ("PUT", "wanted/workflow/a", {"target": {"query": ""}, "definition": {}},
         "definition.tasks: a workflow needs at least one task"),
        ("POST", "campaigns", {**START, "target": {"query": "cellar"}},
         "target: no device is meant"),
        ("PUT", "wanted/config/site", {"target": {"query": "cellar"}, "variables": {}},
         "target: no device is meant"),
        ("POST", "devices/roof/logs", {"level": "loud"},
         "level: Invalid enum value 'loud'; it is one of debug, error, info, warning"),
        ("POST", "devices/roof/logs", {"fromMs": 5, "toMs": 3}, "fromMs: 5 is after toMs"),
        ("POST", "devices/roof/orders", {**START, "id": "campaign.1"}, "id"),
        ("POST", "campaigns", {**START, "target": {}}, "target"),
        ("POST", "campaigns", {**START, "target": {"query": "a", "group": "b"}}, "target"),
        ("POST", "campaigns", {**START, "target": {"query": "x:y"}}, "target.query: there is no"),
        ("POST", "campaigns", {**START, "target": {"devices": ["roof", "rof"]}},
         "target.devices: no device 'rof'"),
        ("PUT", "wanted/config/site", {"target": {"devices": ["rof"]}, "variables": {}},
         "target.devices: no device 'rof'"),
        ("PUT", "wanted/config/site", {"target": {"query": ""}, "variables": {"A": "1", "B": 2}},
         "variables.B"),
        ("POST", "campaigns", {**START, "target": {"group": "none"}}, "no group"),
        ("POST", "campaigns", {**START, "target": {"query": ""}, "perMinute": 0}, "perMinute"),
        ("PUT", "wanted/config/site", {"target": {"query": ""}}, "variables"),
        ("PUT", "wanted/workflow/a", {"target": {"query": ""}, "variables": {}}, "definition"),
        ("PUT", "wanted/workflow/a",
         {"target": {"query": ""}, "definition": {"name": "b"}}, "definition.name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    tmp_path: Path, method: str, path: str, body: Any, told: str
) -> None:
    """A 400 with the field; no order, no version, no entry."""

    async def play(world: World) -> None:
        await world.connect("roof")
        refused = await world.ask(method, f"/api/v1/{path}", body, status=400)
        assert told in refused["message"]
        assert [] == (await world.ask("GET", "/api/v1/orders"))["orders"]
        assert [] == (await world.ask("GET", "/api/v1/wanted"))["wanted"]
        assert [] == (await world.ask("GET", "/api/v1/audit"))["entries"]

    in_world(tmp_path / "ledger.db", play)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """Devices, orders, campaigns, revisions; of other tenants, too."""

    async def play(world: World) -> None:
        await world.ask("POST", "/api/v1/devices/nobody/orders", START, status=404)
        await world.connect("far", tenant="acme")
        path = "/api/v1/devices/far/orders?tenant=acme"
        given = await world.ask("POST", path, START, status=201)
        for path in (f"orders/{given['id']}", "campaigns/x", "campaigns/x/members",
                     "wanted/moon/x",
                     *(f"wanted/{kind}/x/drift" for kind in PUSHED)):  # fmt: skip
            await world.ask("GET", f"/api/v1/{path}", status=404)
        await world.ask("POST", "/api/v1/campaigns/x/stop", status=404)
        body = {"target": {"query": ""}, "rollbackTo": 7}
        await world.ask("PUT", "/api/v1/wanted/config/x", body, status=404)

    in_world(tmp_path / "ledger.db", play)


def test_an_id_that_is_taken_stops_one_campaign(where: Path | str) -> None:
    """Its own orders' ids cannot be given by hand; if they are there, the others go on."""

    async def play(world: World) -> None:
        for device in ("attic", "roof"):
            await world.connect(device)
        await world.ledger.order(
            "roof", "start", {"name": "x"}, expires_ms=NOW_MS + 1_000, order_id="bad.2"
        )
        body = {**START, "target": {"query": ""}, "perMinute": 60}
        for name in ("bad", "good"):
            await world.ask("POST", "/api/v1/campaigns", {**body, "id": name}, status=201)
        await later(world)
        shown = {
            one["id"]: (one["state"], one["progress"]["queued"])
            for one in (await world.ask("GET", "/api/v1/campaigns"))["campaigns"]
        }
        assert {"bad": ("stopped", 1), "good": ("running", 2)} == shown
        (entry,) = [
            one
            for one in (await world.ask("GET", "/api/v1/audit"))["entries"]
            if one["action"] == "campaign.stop"
        ]
        assert ("bad", "control plane") == (entry["target"], entry["actor"])
        assert "bad.2" in str(entry["detail"])

    in_world(where, play)


def test_the_same_campaign_is_the_same_in_all(where: Path | str) -> None:
    """Another condition, or another tenant, is a conflict and no defect."""

    async def play(world: World) -> None:
        await world.connect("roof")
        condition = {"notRunning": True}
        body = {**START, "target": {"query": ""}, "id": "mine", "condition": condition}
        made = await world.ask("POST", "/api/v1/campaigns", body, status=201)
        assert condition == made["condition"]
        await world.ask("POST", "/api/v1/campaigns", body, status=201)
        plain = {name: value for name, value in body.items() if name != "condition"}
        await world.ask("POST", "/api/v1/campaigns", plain, status=409)
        refused = await world.ask("POST", "/api/v1/campaigns?tenant=acme", body, status=409)
        assert refused["message"].startswith("id:")

    in_world(where, play)


def test_what_is_taken_back_is_in_the_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order and its entry are one transaction: without an entry it stays where it was."""

    def failing(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    async def play(world: World) -> None:
        await world.connect("roof")
        path = f"/api/v1/orders/{(await world.ask('POST', ORDERS, START, status=201))['id']}"
        with monkeypatch.context() as patched:
            patched.setattr(order_routes, "note", failing)
            await world.ask("DELETE", path, status=500)
        assert "queued" == (await world.ask("GET", path))["state"]
        assert "superseded" == (await world.ask("DELETE", path))["state"]
        await world.ask("DELETE", path, status=409)
        entries = (await world.ask("GET", "/api/v1/audit"))["entries"]
        assert ["order.withdraw", "order.give"] == [one["action"] for one in entries]

    in_world(tmp_path / "ledger.db", play)
