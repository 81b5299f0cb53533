"""The description of the API is valid, and tells of every operation what it takes and needs."""

from __future__ import annotations

import re
from pathlib import Path

from openapi_spec_validator import validate

from sync.control_plane.calls import Operation
from tests.unit.sync.control_plane.api_world import World, in_world


def test_the_description_is_valid_and_whole(tmp_path: Path) -> None:
    """One operation for each line of the table; each with words, its need, and its shapes."""

    async def play(world: World) -> None:
        document = await world.ask("GET", "/api-docs")
        validate(document)
        table: list[Operation] = world.app.state.operations
        described = {
            (method.upper(), path)
            for path, operations in document["paths"].items()
            for method in operations
        }
        assert {
            (one.method, re.sub(r"\{(\w+):path\}", r"{\1}", one.path)) for one in table
        } == described
        names = set()
        for path, operations in document["paths"].items():
            for operation in operations.values():
                names.add(operation["operationId"])
                assert operation["summary"], path
                assert ("Needs no token" in operation["description"]) == (not operation["security"])
        assert len(described) == len(names)
        token = document["components"]["schemas"]["NewToken"]
        assert "expiresMs" in token["properties"]
        assert "0 = never" in token["properties"]["expiresMs"]["description"]
        order = document["paths"]["/api/v1/devices/{device}/orders"]["post"]
        assert order["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(
            "NewOrderBody"
        )

    in_world(tmp_path / "ledger.db", play, authenticate=True)


def test_figures_for_prometheus(where: Path | str) -> None:
    """States, alerts, orders; each with help and type."""

    async def play(world: World) -> None:
        await world.connect("roof")
        await world.connect("cellar", online=False)
        body = {"kind": "start", "body": {"name": "scan"}}
        await world.ask("POST", "/api/v1/devices/roof/orders", body, status=201)
        lines = (await world.client.get("/metrics")).text.splitlines()
        for line in (
            'baton_cloud_devices_in_state{state="online"} 1',
            'baton_cloud_devices_in_state{state="offline"} 1',
            'baton_cloud_devices_in_state{state="never"} 0',
            "baton_cloud_orders_open 1",
            "baton_cloud_alerts_firing 0",
            "baton_cloud_alert_messages_waiting 0",
        ):
            assert line in lines

    in_world(where, play)


def test_parameters_that_nobody_reads_are_refused(tmp_path: Path) -> None:
    """By every operation of our own API: a filter that is misspelt, or is given twice, shows all."""

    async def play(world: World) -> None:
        table: list[Operation] = world.app.state.operations
        for one in table:
            path = re.sub(r"\{\w+(:path)?\}", "x", one.path)
            if path.startswith("/api/v1/"):
                refused = await world.ask(one.method, f"{path}?devcie=x", status=400)
                assert refused["message"].startswith("devcie: there is no such parameter here")
        refused = await world.ask("GET", "/api/v1/orders?opne=true", status=400)
        told = "opne: there is no such parameter here; there is: "
        assert told + "after, ended, kind, limit, open, tenant" == refused["message"]
        twice = "/api/v1/executions?status=FAILED&status=TIMED_OUT"
        assert (await world.ask("GET", twice, status=400))["message"].startswith("status: give it")
        # What is Conductor's, and what probes ask, goes on as there.
        await world.ask("GET", "/api/devices/x/conductor/api/workflow/search?devcie=x")
        await world.ask("GET", "/health?devcie=x")

    in_world(tmp_path / "ledger.db", play)
