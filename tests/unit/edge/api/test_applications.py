"""Applications, their keys, roles and tags, in the shapes of Conductor's commercial server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.edge.api.guarded import Guarded, run_guarded


def test_an_application_lives_and_goes(tmp_path: Path) -> None:
    """Made, renamed, listed, found by a key, deleted; times and authors are kept."""

    async def body(device: Guarded) -> None:
        made = await device.answer("POST", "/applications", json={"name": "camera worker"})
        device.clock.pass_s(5)
        path = f"/applications/{made['id']}"
        renamed = await device.answer("PUT", path, json={"name": "worker"})
        key = await device.answer("POST", f"{path}/accessKeys", json={})

        assert ("camera worker", "app:root", "app:root") == (
            made["name"],
            made["createdBy"],
            made["updatedBy"],
        )
        assert made["createTime"] == made["updateTime"] == renamed["createTime"]
        assert 5_000 == renamed["updateTime"] - renamed["createTime"]
        assert renamed == await device.answer("GET", path)
        assert renamed == await device.answer("GET", f"/applications/key/{key['id']}")
        assert ["administration", "worker"] == [
            one["name"] for one in await device.answer("GET", "/applications")
        ]
        await device.answer("DELETE", path)
        assert 404 == (await device.call("GET", path)).status_code
        assert 404 == (await device.call("GET", f"/applications/key/{key['id']}")).status_code

    run_guarded(tmp_path, body)


def test_keys(tmp_path: Path) -> None:
    """The secret is shown once; the list has none, the database only a hash."""

    async def body(device: Guarded) -> None:
        application, key, secret = await device.application("WORKER")
        path = f"/applications/{application}/accessKeys"
        listed = await device.answer("GET", path)
        toggled = await device.answer("POST", f"{path}/{key}/status", json={})
        stored = (tmp_path / "baton.db").read_bytes() + (tmp_path / "baton.db-wal").read_bytes()

        assert [{"id": key, "createdAt": device.clock.now_ms(), "status": "ACTIVE"}] == listed
        assert {**listed[0], "status": "INACTIVE"} == toggled
        assert key.encode() in stored
        assert secret.encode() not in stored
        await device.answer("DELETE", f"{path}/{key}")
        assert [] == await device.answer("GET", path)
        assert 404 == (await device.call("DELETE", f"{path}/{key}")).status_code

    run_guarded(tmp_path, body)


def test_roles_of_an_application(tmp_path: Path) -> None:
    """Given and taken; one that does not exist is refused by name."""

    async def body(device: Guarded) -> None:
        application, key, secret = await device.application("WORKER", "USER")
        path = f"/applications/{application}/roles"
        await device.answer("POST", f"{path}/WORKER", json={})
        await device.answer("DELETE", f"{path}/USER")
        odd = await device.call("POST", f"{path}/KING", json={})
        await device.as_(key, secret)
        me = await device.answer("GET", "/token/userInfo")

        assert 400 == odd.status_code
        assert "KING" in odd.json()["message"]
        assert (f"app:{application}", "WORKER-USER", True) == (
            me["id"],
            me["name"],
            me["applicationUser"],
        )
        assert ["WORKER"] == [role["name"] for role in me["roles"]]
        assert {"name": "TASK_EXECUTION"} in me["roles"][0]["permissions"]

    run_guarded(tmp_path, body)


def test_tags_of_an_application(tmp_path: Path) -> None:
    """Put, shown, taken away."""

    async def body(device: Guarded) -> None:
        application, _, _ = await device.application()
        path = f"/applications/{application}/tags"
        await device.answer("PUT", path, json=[{"key": "a", "value": "1"}, {"key": "b"}])
        await device.answer("PUT", path, json=[{"key": "a", "value": "2"}])
        await device.answer("DELETE", path, json=[{"key": "b", "value": ""}, {"key": "none"}])

        assert [{"key": "a", "value": "2"}] == await device.answer("GET", path)

    run_guarded(tmp_path, body)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/roles/ADMIN"),
        ("DELETE", "/roles/ADMIN"),
        ("POST", "/accessKeys"),
        ("POST", "/accessKeys/root-key/status"),
        ("DELETE", "/accessKeys/root-key"),
        ("PUT", ""),
        ("DELETE", ""),
    ],
)
def test_nobody_manages_more_than_he_is(tmp_path: Path, method: str, path: str) -> None:
    """Whoever manages applications cannot make himself an administrator by one."""

    async def body(device: Guarded) -> None:
        _, key, secret = await device.application("APPLICATION_MANAGER")
        own, _, _ = await device.application("APPLICATION_CREATOR")
        await device.as_(key, secret)
        refused = await device.call(method, f"/applications/root{path}", json={"name": "x"})
        mine = await device.call("POST", f"/applications/{own}/accessKeys", json={})
        more = await device.call("POST", f"/applications/{own}/roles/ADMIN", json={})

        assert (403, "access_denied") == (refused.status_code, refused.json()["code"])
        assert (200, 403) == (mine.status_code, more.status_code)

    run_guarded(tmp_path, body)


@pytest.mark.parametrize("name", ["", "  ", None, "a" * 501])
def test_a_name_is_needed(tmp_path: Path, name: str | None) -> None:
    """The field is named."""

    async def body(device: Guarded) -> None:
        refused = await device.call("POST", "/applications", json={"name": name})

        assert 400 == refused.status_code
        assert refused.json()["message"].startswith("name:")

    run_guarded(tmp_path, body)
