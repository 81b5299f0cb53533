"""Conductor's routes for one device: what clients ask, and what they are told when it is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sync.control_plane.conductor_routes import ConductorApi, search_terms
from sync.control_plane.search_terms import Op, QueryError
from tests.unit.sync.control_plane.api_world import NOW_MS, World, in_world, workflow

BASE = "/api/devices/roof/conductor/api"


def impatient(world: World) -> None:
    """Nobody in these tests carries out orders, so nobody waits for it."""
    for operation in world.app.state.operations:
        api = getattr(operation.endpoint, "__self__", None)
        if isinstance(api, ConductorApi):
            api.wait_s = 0


def test_executions_are_read_as_conductor_shows_them(where: Path | str) -> None:
    """One, its status, by correlation, open ones, and by a query; of this device only."""

    async def play(world: World) -> None:
        await world.send(
            "roof",
            workflow("w1", output=b'{"n":1}', definition=b'{"name":"scan","version":1,"tasks":[]}'),
            workflow("w2", "RUNNING", ended_ms=0, correlation_id="c", created_ms=NOW_MS - 5),
        )
        await world.send("cellar", workflow("w3", "RUNNING", ended_ms=0))
        one = await world.ask("GET", f"{BASE}/workflow/w1")
        assert ("COMPLETED", "scan", {"n": 1}) == tuple(
            one[name] for name in ("status", "workflowName", "output")
        )
        assert "COMPLETED" == (await world.ask("GET", f"{BASE}/workflow/w1/status"))["status"]
        assert ["w2"] == await world.ask("GET", f"{BASE}/workflow/running/scan")
        (found,) = await world.ask("GET", f"{BASE}/workflow/scan/correlated/c")
        assert "w2" == found["workflowId"]
        page = await world.ask("GET", f"{BASE}/workflow/search?size=1&start=1")
        assert ["w1"] == [row["workflowId"] for row in page["results"]]
        query = "workflowType IN (scan,x) AND startTime>5"
        page = await world.ask("GET", f"{BASE}/workflow/search?query={query}&freeText=*")
        assert ["w2", "w1"] == [row["workflowId"] for row in page["results"]]
        assert ["scan"] == [
            one["name"] for one in await world.ask("GET", f"{BASE}/metadata/workflow")
        ]
        assert 1 == (await world.ask("GET", f"{BASE}/metadata/workflow/scan"))["version"]
        for path in ("workflow/w3", "metadata/workflow/other", "metadata/workflow/scan?version=2"):
            await world.ask("GET", f"{BASE}/{path}", status=404)

    in_world(where, play)


def test_a_device_that_is_not_there_gets_orders(where: Path | str) -> None:
    """202 with the order; the id of a start stands for the execution that will be."""

    async def play(world: World) -> None:
        impatient(world)
        await world.send("roof", workflow("w1", "RUNNING", ended_ms=0))
        body = {"name": "scan", "version": 2, "input": {"a": 1}, "ownerApp": "unread"}
        answer = await world.client.post(f"{BASE}/workflow", json=body)
        assert (202, answer.headers["x-baton-order"]) == (answer.status_code, answer.text)
        shown = await world.ask("GET", f"{BASE}/workflow/{answer.text}")
        assert ("RUNNING", 2, {"a": 1}) == tuple(
            shown[name] for name in ("status", "workflowVersion", "input")
        )
        refused = await world.ask("PUT", f"{BASE}/workflow/{answer.text}/pause", status=409)
        assert "not started yet" in refused["message"]
        path = f"{BASE}/workflow/scan?version=3&priority=5&correlationId=c"
        answer = await world.client.post(path, json={"b": 2})
        order = await world.ask("GET", f"/api/v1/orders/{answer.text}")
        assert order["body"] == {
            "name": "scan", "version": 3, "input": {"b": 2}, "priority": 5, "correlationId": "c",
        }  # fmt: skip
        for method, path in (
            ("PUT", "workflow/w1/pause"), ("PUT", "workflow/w1/resume"),
            ("POST", "workflow/w1/retry?resumeSubworkflowTasks=true"),
            ("POST", "workflow/w1/restart"), ("DELETE", "workflow/w1?reason=enough"),
        ):  # fmt: skip
            answer = await world.client.request(method, f"{BASE}/{path}")
            assert (202, True) == (answer.status_code, "x-baton-order" in answer.headers)
        kinds = [one["kind"] for one in (await world.ask("GET", "/api/v1/orders"))["orders"]]
        assert ["terminate", "restart", "retry", "resume", "pause", "start", "start"] == kinds
        definition = {
            "name": "scan",
            "version": 1,
            "tasks": [{"name": "see", "taskReferenceName": "see"}],
        }
        answer = await world.client.put(f"{BASE}/metadata/workflow", json=[definition])
        assert 202 == answer.status_code
        # The same key again is the same start.
        body["idempotencyKey"] = "key-1"
        first = await world.client.post(f"{BASE}/workflow", json=body)
        again = await world.client.post(f"{BASE}/workflow", json=body)
        assert ("key-1", "key-1") == (first.text, again.text)
        await world.ask("POST", f"{BASE}/token", {"keyId": "a", "keySecret": "b"}, status=404)

    in_world(where, play)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("colour=1", "cannot be searched by"), ("status", "no condition"),
        ("status='LOST'", "status is one of"), ("status>FAILED", "cannot be compared"),
        ("startTime=5", "cannot be compared"), ("version=x", "whole numbers"),
        ("status=FAILED OR status=RUNNING", "no condition"), ("status IN ()", "names no value"),
        ("status=FAILED AND", "missing behind the last AND"), ("AND status=FAILED", "no condition"),
        ("status=FAILED workflowType=a", "no condition"), ("version=", "no condition"),
    ],
)  # fmt: skip
def test_queries_that_cannot_be_asked_are_named(query: str, told: str) -> None:
    """The message says what can be."""
    with pytest.raises(QueryError, match=told):
        search_terms(query)


def test_queries_become_terms() -> None:
    """Quotes of both kinds, lists, and times."""
    terms = search_terms("workflowType='a b' AND status IN ('FAILED', RUNNING) AND startTime>=7")

    expected: list[Any] = [
        ("workflow", Op.EQ, ["a b"], []), ("status", Op.EQ, ["FAILED", "RUNNING"], []),
        ("started", Op.GE, ["7"], [7]),
    ]  # fmt: skip
    assert expected == [(one.field, one.op, one.texts, one.numbers) for one in terms]
    (one,) = search_terms("correlationId='a,b'")
    (several,) = search_terms("correlationId IN ('a,b', \"c\" , O'Neill)")
    assert (["a,b"], ["a,b", "c", "O'Neill"]) == (one.texts, several.texts)


def test_registrations_and_pushes_are_numbered_together(where: Path | str) -> None:
    """Each is above the other, in both directions, so that the device takes what came last."""

    async def play(world: World) -> None:
        impatient(world)
        await world.connect("roof")
        flow = {
            "name": "scan",
            "version": 1,
            "tasks": [{"name": "see", "taskReferenceName": "see"}],
        }
        push = {"target": {"query": ""}, "definition": flow}
        for _ in range(2):
            await world.ask("POST", f"{BASE}/metadata/workflow", flow, status=202)
            await world.ask("PUT", "/api/v1/wanted/workflow/scan", push)
        given = (await world.ask("GET", "/api/v1/orders"))["orders"]
        assert [4, 3, 2, 1] == [one["body"]["revision"] for one in given]
        many = [flow] * 101
        refused = await world.ask("PUT", f"{BASE}/metadata/workflow", many, status=400)
        assert "100" in refused["message"]

    in_world(where, play)


def test_keys_are_each_device_s_own(where: Path | str) -> None:
    """The same key on another device, or one that looks like a campaign's order, is no conflict."""

    async def play(world: World) -> None:
        impatient(world)
        await world.connect("roof")
        await world.connect("roof", tenant="acme")
        ids = []
        for key, tenant in (("k", "default"), ("k", "acme"), ("a.1", "default")):
            body = {"name": "scan", "input": {"of": tenant}, "idempotencyKey": key}
            path = f"{BASE}/workflow?tenant={tenant}"
            first, again = [(await world.client.post(path, json=body)).text for _ in range(2)]
            assert first == again
            ids.append(first)
        assert "k" == ids[0]
        assert [32, 32] == [len(one) for one in ids[1:]]
        assert 3 == len(set(ids))

    in_world(where, play)
