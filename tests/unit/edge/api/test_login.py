"""What a caller is told of itself, and the token that pages look with."""

from __future__ import annotations

from pathlib import Path

from edge.api import login
from edge.api.access_routes import ACCESS_ROUTES
from tests.unit.edge.api.guarded import SECRET, Guarded, run_guarded


def test_a_token_names_its_user(tmp_path: Path) -> None:
    """In the shape of the SDKs; whom it is for is told with groups and permissions."""

    async def body(device: Guarded) -> None:
        posted = {"keyId": "root-key", "keySecret": SECRET}
        given = await device.answer("POST", "/token", json=posted)
        await device.answer("PUT", "/groups/roof", json={"description": "d", "roles": ["USER"]})
        await device.answer("POST", "/groups/roof/users/app:root", json={})
        me = await device.answer("GET", "/token/userInfo")

        assert {"token", "userId"} == set(given)
        assert ("app:root", "app:root", "root") == (given["userId"], me["id"], me["uuid"])
        assert ["ADMIN"] == [role["name"] for role in me["roles"]]
        assert ["roof"] == [group["id"] for group in me["groups"]]
        assert me["applicationUser"]

    run_guarded(tmp_path, body)


def test_the_address_of_a_client_that_has_none(tmp_path: Path) -> None:
    """A server on a socket file knows no address; tokens are given all the same."""

    async def body(device: Guarded) -> None:
        device.client._transport.client = None  # type: ignore[attr-defined]
        await device.as_("root-key", SECRET)

        assert device.token

    run_guarded(tmp_path, body)
    assert login.create_token in {route.endpoint for route in ACCESS_ROUTES}
