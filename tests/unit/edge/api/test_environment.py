"""``/api/environment``: variables in the clear, for expressions."""

from __future__ import annotations

from pathlib import Path

from edge.lookups import Lookups
from tests.unit.edge.api.device import Device, run


def test_a_variable_is_kept_read_and_forgotten(tmp_path: Path) -> None:
    """The value is bare text; the list shows names, values and tags."""

    async def body(device: Device) -> None:
        tag = {"key": "team", "value": "x", "type": "METADATA"}
        await device.answer("PUT", "/environment/REGION", content="north")
        await device.answer("PUT", "/environment/REGION/tags", json=[tag])

        assert "north" == await device.answer("GET", "/environment/REGION")
        assert [tag] == await device.answer("GET", "/environment/REGION/tags")
        assert [{"name": "REGION", "value": "north", "tags": [tag]}] == (
            await device.answer("GET", "/environment")
        )
        await device.answer("DELETE", "/environment/REGION")
        assert 404 == (await device.call("GET", "/environment/REGION")).status_code
        assert 404 == (await device.call("DELETE", "/environment/REGION")).status_code

    run(tmp_path, body)


def test_variables_of_the_process_are_read_only(tmp_path: Path) -> None:
    """They are listed and read; a stored one of the same name wins."""

    async def body(device: Device) -> None:
        assert "north" == await device.answer("GET", "/environment/REGION")
        assert 400 == (await device.call("DELETE", "/environment/REGION")).status_code
        await device.answer("PUT", "/environment/REGION", content="south")
        assert [{"name": "REGION", "value": "south", "tags": []}] == (
            await device.answer("GET", "/environment")
        )
        await device.answer("DELETE", "/environment/REGION")
        assert "north" == await device.answer("GET", "/environment/REGION")

    run(tmp_path, body, lookups=Lookups(None, {"CONDUCTOR_ENV_REGION": "north"}))


def test_what_cannot_be_a_variable_is_refused(tmp_path: Path) -> None:
    """Names that no expression can hold, and values without an end."""

    async def body(device: Device) -> None:
        assert 400 == (await device.call("PUT", "/environment/a%20b", content="v")).status_code
        assert 400 == (await device.call("PUT", "/environment/a", content="")).status_code
        assert 400 == (await device.call("PUT", "/environment/a", content="x" * 70_000)).status_code

    run(tmp_path, body)
