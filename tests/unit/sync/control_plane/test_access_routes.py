"""Who may do what: tokens, roles, tenants, areas, expiry, sessions, and the audit of it all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sync.control_plane.access import Area, Role
from sync.control_plane.guard import COOKIE
from tests.unit.sync.control_plane.api_world import NOW_MS, World, in_world


def test_nobody_is_asked_unless_that_is_set(where: Path | str) -> None:
    """As on the device; what is done is audited all the same."""

    async def play(world: World) -> None:
        me = await world.ask("GET", "/api/v1/self")
        assert ("anonymous", "admin", "*") == (me["name"], me["role"], me["tenant"])
        await world.ask("PUT", "/api/v1/tenants/acme", {"title": "Acme"})
        (entry,) = (await world.ask("GET", "/api/v1/audit"))["entries"]
        assert ("anonymous", "tenant.put", "acme") == (
            entry["actor"], entry["action"], entry["target"],
        )  # fmt: skip

    in_world(where, play)


def test_a_token_opens_what_its_role_allows(where: Path | str) -> None:
    """Each role what the one before it may; none without a token."""
    wanted = {
        ("GET", "/api/v1/devices"): Role.VIEWER,
        ("POST", "/api/v1/devices"): Role.OPERATOR,
        ("GET", "/api/v1/audit"): Role.ADMIN,
        ("GET", "/api/v1/tokens"): Role.ADMIN,
    }

    async def play(world: World) -> None:
        tokens = {role: await world.token(role) for role in Role}
        for (method, path), needed in wanted.items():
            for number, role in enumerate(Role):
                body = {"device": f"d{number}"} if method == "POST" else None
                allowed = role.covers(needed)
                done = 201 if method == "POST" else 200
                await world.ask(
                    method, path, body, token=tokens[role], status=done if allowed else 403
                )
            refused = await world.ask(method, path, {} if method == "POST" else None, status=401)
            assert "X-Authorization" in refused["message"]
        await world.ask("GET", "/health")
        answer = await world.client.get(
            "/api/v1/self", headers={"authorization": f"Bearer {tokens[Role.VIEWER]}"}
        )
        assert "viewer" == answer.json()["role"]

    in_world(where, play, authenticate=True)


def test_a_token_is_made_shown_once_and_revoked(where: Path | str) -> None:
    """Kept as a digest only; void from the next second on."""

    async def play(world: World) -> None:
        admin = await world.token(Role.ADMIN)
        body = {"name": "wall", "role": "viewer", "areas": ["devices"]}
        made = await world.ask("POST", "/api/v1/tokens", body, token=admin, status=201)
        token, token_id = made["token"], made["made"]["tokenId"]
        await world.ask("GET", "/api/v1/devices", token=token)
        refused = await world.ask("GET", "/api/v1/executions", token=token, status=403)
        assert "viewer in devices" in refused["message"]
        listed = await world.ask("GET", "/api/v1/tokens", token=admin)
        assert token_id in [one["tokenId"] for one in listed["tokens"]]
        assert token.partition(".")[2] not in str(listed)

        await world.ask("DELETE", f"/api/v1/tokens/{token_id}", token=admin)
        await world.ask("GET", "/api/v1/devices", token=token, status=401)
        await world.ask("DELETE", "/api/v1/tokens/ffff", token=admin, status=404)
        actions = (await world.ask("GET", "/api/v1/audit", token=admin))["entries"]
        assert ["token.revoke", "token.create"] == [one["action"] for one in actions]
        assert token.partition(".")[2] not in str(actions)
        assert (await world.ask("GET", "/api/v1/audit/verification", token=admin))["whole"]

    in_world(where, play, authenticate=True)


def test_a_token_ends_with_its_time(tmp_path: Path) -> None:
    """To the millisecond, once the second of grace for known ones is over."""

    async def play(world: World) -> None:
        token = await world.token(Role.VIEWER, expires_ms=NOW_MS + 5_000)
        world.now_ms = NOW_MS + 4_999
        await world.ask("GET", "/api/v1/self", token=token)
        world.now_ms = NOW_MS + 6_000
        refused = await world.ask("GET", "/api/v1/self", token=token, status=401)
        assert "has expired or was revoked" in refused["message"]
        unknown = f"baton_{'0' * 16}.{'A' * 43}"
        assert refused == await world.ask("GET", "/api/v1/self", token=unknown, status=401)

    in_world(tmp_path / "ledger.db", play, authenticate=True)


def test_a_tenant_sees_its_own_only(where: Path | str) -> None:
    """Devices, tokens and audit; and nobody gives more than he has."""

    async def play(world: World) -> None:
        await world.connect("roof", tenant="acme")
        await world.connect("cellar", tenant="umbrella")
        admin = await world.token(Role.ADMIN, tenant="acme")
        every = await world.token(Role.ADMIN)
        shown = await world.ask("GET", "/api/v1/devices", token=admin)
        assert ["roof"] == [one["device"] for one in shown["devices"]]
        await world.ask("GET", "/api/v1/devices?tenant=umbrella", token=admin, status=403)
        shown = await world.ask("GET", "/api/v1/devices?tenant=umbrella", token=every)
        assert ["cellar"] == [one["device"] for one in shown["devices"]]
        await world.ask("GET", "/api/v1/devices/cellar", token=admin, status=404)
        for tenant in ("umbrella", "*"):
            body = {"name": "x", "role": "viewer", "tenant": tenant}
            await world.ask("POST", "/api/v1/tokens", body, token=admin, status=403)
        await world.ask("PUT", "/api/v1/tenants/new", {}, token=admin, status=403)
        assert 1 == len((await world.ask("GET", "/api/v1/tokens", token=admin))["tokens"])
        names = [one["tenant"] for one in (await world.ask("GET", "/api/v1/tenants", token=every))[
            "tenants"]]  # fmt: skip
        assert ["acme", "umbrella"] == names

    in_world(where, play, authenticate=True)


def test_areas_are_not_outgrown(tmp_path: Path) -> None:
    """An administrator of access alone cannot make a token for orders."""

    async def play(world: World) -> None:
        admin = await world.token(Role.ADMIN, areas=[Area.ACCESS])
        for areas in ([], ["orders"]):
            body = {"name": "x", "role": "admin", "areas": areas}
            refused = await world.ask("POST", "/api/v1/tokens", body, token=admin, status=403)
            assert "no more than access" in refused["message"]
        body = {"name": "x", "role": "viewer", "areas": ["access"]}
        await world.ask("POST", "/api/v1/tokens", body, token=admin, status=201)

    in_world(tmp_path / "ledger.db", play, authenticate=True)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"role": "viewer"}, "name"),
        ({"name": "", "role": "viewer"}, "name: "),
        ({"name": "x", "role": "king"}, "'king'; it is one of viewer, operator, admin"),
        ({"name": "x", "role": "viewer", "areas": ["moon"]}, "areas[0]: "),
        ({"name": "x", "role": "viewer", "areas": ["moon"]}, "'moon'; it is one of devices, "),
        ({"name": "x", "role": "viewer", "tenant": "a b"}, "tenant: "),
        ({"name": "x", "role": "viewer", "expiresMs": 5}, "expiresMs: "),
        ({"name": "x", "role": "viewer", "colour": 1}, "colour"),
        ([], "body: Expected `object`, got `array`"),
    ],
)
def test_bodies_that_are_wrong_are_named(tmp_path: Path, body: Any, told: str) -> None:
    """A 400 with the field; nothing is made."""

    async def play(world: World) -> None:
        refused = await world.ask("POST", "/api/v1/tokens", body, status=400)
        assert told in refused["message"]
        assert [] == (await world.ask("GET", "/api/v1/tokens"))["tokens"]

    in_world(tmp_path / "ledger.db", play)


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    """Or too large."""

    async def play(world: World) -> None:
        answer = await world.client.post("/api/v1/tokens", content=b"{nope")
        assert (400, True) == (answer.status_code, "not valid JSON" in answer.text)
        answer = await world.client.post("/api/v1/tokens", content=b" " * 1_000_001)
        assert 413 == answer.status_code

    in_world(tmp_path / "ledger.db", play)


def test_a_session_is_for_pages_of_this_site(tmp_path: Path) -> None:
    """A cookie that no script reads; pages of other sites change nothing with it."""

    async def play(world: World) -> None:
        token = await world.token(Role.OPERATOR)
        await world.ask("POST", "/api/v1/session", {"token": "baton_x.y"}, status=401)
        await world.ask("POST", "/api/v1/session", {"token": token})
        assert token == world.client.cookies[COOKIE]
        await world.ask("GET", "/api/v1/devices")
        foreign = {"origin": "http://elsewhere"}
        answer = await world.client.post("/api/v1/devices", json={"device": "d"}, headers=foreign)
        assert 403 == answer.status_code
        answer = await world.client.post(
            "/api/v1/devices", json={"device": "d"}, headers={"origin": "http://cloud"}
        )
        assert 201 == answer.status_code
        await world.ask("DELETE", "/api/v1/session", status=204)
        world.client.cookies.clear()
        await world.ask("GET", "/api/v1/devices", status=401)

    in_world(tmp_path / "ledger.db", play, authenticate=True)


def test_no_token_outlives_the_one_that_made_it(tmp_path: Path) -> None:
    """Neither for ever nor a moment longer."""

    async def play(world: World) -> None:
        ends_ms = NOW_MS + 5_000
        admin = await world.token(Role.ADMIN, expires_ms=ends_ms)
        for expires_ms in (0, ends_ms + 1):
            body = {"name": "x", "role": "viewer", "expiresMs": expires_ms}
            refused = await world.ask("POST", "/api/v1/tokens", body, token=admin, status=403)
            assert refused["message"].startswith("expiresMs")
        body = {"name": "x", "role": "viewer", "expiresMs": ends_ms}
        await world.ask("POST", "/api/v1/tokens", body, token=admin, status=201)

    in_world(tmp_path / "ledger.db", play, authenticate=True)


def test_an_origin_that_is_none_is_refused(tmp_path: Path) -> None:
    """Whatever a browser says of where its page came from."""

    async def play(world: World) -> None:
        for origin in ("http://[", "null", "http://elsewhere"):
            answer = await world.client.request(
                "DELETE", "/api/v1/session", headers={"origin": origin}
            )
            assert 403 == answer.status_code, origin
        answer = await world.client.request(
            "DELETE", "/api/v1/session", headers={"origin": "http://cloud"}
        )
        assert 204 == answer.status_code

    in_world(tmp_path / "ledger.db", play)


def test_a_tenant_without_devices_is_removed(where: Path | str) -> None:
    """With all that was made for it; its tokens are void, and the audit keeps what was."""

    async def play(world: World) -> None:
        every, operator = await world.token(Role.ADMIN), await world.token(Role.OPERATOR, "acme")
        own = await world.token(Role.ADMIN, "acme")
        await world.ask("PUT", "/api/v1/tenants/acme", {"title": "Acme"}, token=every)
        body: Any = {"query": "tag:camera"}
        await world.ask("PUT", "/api/v1/groups/cameras", body, token=operator)
        body = {"kind": "webhook", "address": "http://127.0.0.1:9/"}
        await world.ask("PUT", "/api/v1/alert-channels/ops", body, token=own)
        body = {"kind": "silence", "afterS": 600, "channels": ["ops"]}
        await world.ask("PUT", "/api/v1/alert-rules/quiet", body, token=own)
        path = "/api/v1/tenants/acme"
        for token in (own, operator):
            await world.ask("DELETE", path, token=token, status=403)

        left = await world.ask("DELETE", path, token=every)

        assert [] == left["tenants"]
        await world.ask("GET", "/api/v1/self", token=own, status=401)
        assert [] == (await world.ask("GET", "/api/v1/groups?tenant=acme", token=every))["groups"]
        for what in ("alert-rules", "alert-channels"):
            found = await world.ask("GET", f"/api/v1/{what}?tenant=acme", token=every)
            assert [[]] == list(found.values())
        page = await world.ask("GET", "/api/v1/audit?tenant=acme", token=every)
        newest = page["entries"][0]
        assert ("tenant.remove", "acme") == (newest["action"], newest["target"])
        assert {"groups": 1, "alertRules": 1, "alertChannels": 1, "tokens": 2} == newest["detail"]
        refused = await world.ask("DELETE", path, token=every, status=404)
        assert "there is no tenant acme" == refused["message"]

    in_world(where, play, authenticate=True)


def test_a_tenant_with_devices_stays(where: Path | str) -> None:
    """Their history is kept; nothing that was made for it is touched."""

    async def play(world: World) -> None:
        await world.connect("roof", tenant="acme")
        await world.ask("PUT", "/api/v1/groups/all?tenant=acme", {"members": ["roof"]})

        refused = await world.ask("DELETE", "/api/v1/tenants/acme", status=409)

        assert refused["message"].startswith("tenant: acme has 1 device, whose history is kept")
        groups = await world.ask("GET", "/api/v1/groups?tenant=acme")
        assert ["all"] == [one["name"] for one in groups["groups"]]

    in_world(where, play)
