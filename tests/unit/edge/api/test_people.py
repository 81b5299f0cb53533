"""Users, groups, roles and grants, in the shapes of Conductor's commercial server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.edge.api.guarded import Guarded, run_guarded

_FLOW = {"type": "WORKFLOW_DEF", "id": "flow"}


def test_users_and_groups(tmp_path: Path) -> None:
    """Upserted, shown with what their roles allow, and joined from either side."""

    async def body(device: Guarded) -> None:
        group = await device.answer(
            "PUT", "/groups/roof", json={"description": "on the roof", "roles": "USER_READ_ONLY"}
        )
        user = await device.answer(
            "PUT", "/users/ada@b.invalid",
            json={"name": "Ada", "roles": ["WORKER"], "groups": ["roof"]},
        )  # fmt: skip
        again = await device.answer("PUT", "/users/ada@b.invalid", json={"name": "Ada L."})
        found = await device.answer("GET", "/users/ada@b.invalid")

        assert ("roof", "on the roof", {}) == (
            group["id"], group["description"], group["defaultAccess"],
        )  # fmt: skip
        assert {"name": "WORKFLOW_VIEW"} in group["roles"][0]["permissions"]
        assert ("Ada", ["WORKER"], [group], False) == (
            user["name"],
            [role["name"] for role in user["roles"]],
            user["groups"],
            user["applicationUser"],
        )
        assert ([], [group], user["uuid"]) == (again["roles"], again["groups"], again["uuid"])
        assert again == found
        assert [found] == await device.answer("GET", "/users")
        assert [found] == await device.answer("GET", "/groups/roof/users")
        assert [group] == await device.answer("GET", "/groups")
        assert group == await device.answer("GET", "/groups/roof")
        await device.answer("DELETE", "/groups/roof/users/ada@b.invalid")
        assert [] == await device.answer("GET", "/groups/roof/users")
        assert {"message": "Deleted user 'ada@b.invalid'"} == await device.answer(
            "DELETE", "/users/ada@b.invalid"
        )
        assert {"message": "Deleted group 'roof'"} == await device.answer("DELETE", "/groups/roof")
        for path in ("/users/ada@b.invalid", "/groups/roof"):
            assert 404 == (await device.call("GET", path)).status_code

    run_guarded(tmp_path, body)


def test_members_in_bulk(tmp_path: Path) -> None:
    """All of a list or none; applications can be members, and then have the group's roles."""

    async def body(device: Guarded) -> None:
        application, key, secret = await device.application()
        await device.answer("PUT", "/groups/roof", json={"roles": ["USER_READ_ONLY"]})
        for name in ("ada", "bob"):
            await device.answer("PUT", f"/users/{name}", json={"name": name})
        refused = await device.call("POST", "/groups/roof/users", json=["ada", "nobody"])
        none = await device.answer("GET", "/groups/roof/users")
        await device.answer("POST", "/groups/roof/users", json=["ada", "bob", f"app:{application}"])
        await device.answer("DELETE", "/groups/roof/users", json=["bob"])
        members = await device.answer("GET", "/groups/roof/users")
        with_applications = await device.answer("GET", "/users?apps=true")
        odd = await device.call("POST", "/groups/roof/users", json=[5])
        await device.as_(key, secret)

        assert (404, [], 400) == (refused.status_code, none, odd.status_code)
        assert ["ada", f"app:{application}"] == [one["id"] for one in members]
        assert {"ada", "bob", "app:root", f"app:{application}"} == {
            one["id"] for one in with_applications
        }
        assert 200 == (await device.call("GET", "/metadata/workflow")).status_code

    run_guarded(tmp_path, body)


def test_roles(tmp_path: Path) -> None:
    """The site's own beside those that are always there; they decide like any other."""

    async def body(device: Guarded) -> None:
        posted = {"name": "looker", "permissions": ["METADATA_VIEW"]}
        made = await device.answer("POST", "/roles", json=posted)
        again = await device.call("POST", "/roles", json=posted)
        system = await device.call("POST", "/roles", json={**posted, "name": "ADMIN"})
        _, key, secret = await device.application("looker")
        root = device.token
        await device.as_(key, secret)
        before = await device.call("GET", "/metadata/workflow")
        theirs, device.token = device.token, root
        await device.answer("PUT", "/roles/looker", json={"permissions": []})
        device.token = theirs
        after = await device.call("GET", "/metadata/workflow")
        device.token = root

        assert {"name": "looker", "permissions": [{"name": "METADATA_VIEW"}]} == made
        assert (409, 409) == (again.status_code, system.status_code)
        assert (200, 403) == (before.status_code, after.status_code)
        assert ["looker"] == [one["name"] for one in await device.answer("GET", "/roles/custom")]
        assert {"ADMIN", "looker"} <= {one["name"] for one in await device.answer("GET", "/roles")}
        assert "looker" not in await device.answer("GET", "/roles/system")
        everything = await device.answer("GET", "/roles/permissions")
        assert {"name": "TASK_EXECUTION"} == everything["TASK_EXECUTION"]
        assert "ADMIN" == (await device.answer("GET", "/roles/ADMIN"))["name"]
        await device.answer("DELETE", "/roles/looker")
        for method in ("GET", "PUT", "DELETE"):
            gone = await device.call(method, "/roles/looker", json={})
            assert 404 == gone.status_code, method
        odd = await device.call("POST", "/roles", json={"name": "x", "permissions": ["FLY"]})
        assert 400 == odd.status_code

    run_guarded(tmp_path, body)


def test_grants(tmp_path: Path) -> None:
    """Granted, seen from all sides, and taken back."""

    async def body(device: Guarded) -> None:
        await device.answer("PUT", "/groups/roof", json={})
        await device.answer("PUT", "/users/ada", json={"groups": ["roof"]})

        def grant(kind: str, name: str, *access: str) -> dict[str, Any]:
            return {"subject": {"type": kind, "id": name}, "target": _FLOW, "access": list(access)}

        said = await device.answer(
            "POST", "/auth/authorization", json=grant("user", "ada", "READ", "EXECUTE")
        )
        await device.answer("POST", "/auth/authorization", json=grant("GROUP", "roof", "UPDATE"))
        target = "/auth/authorization/WORKFLOW_DEF/flow"
        ada, roof = {"type": "USER", "id": "ada"}, {"type": "GROUP", "id": "roof"}

        assert {"message": "Granted permission"} == said
        assert {"READ": [ada], "EXECUTE": [ada], "UPDATE": [roof]} == await device.answer(
            "GET", target
        )
        assert {"USER:ada": ["EXECUTE", "READ"], "GROUP:roof": ["UPDATE"]} == await device.answer(
            "GET", f"{target}?groupBy=subject"
        )
        own = {"target": _FLOW, "access": ["EXECUTE", "READ"]}
        theirs = {"target": _FLOW, "access": ["UPDATE"]}
        assert {"grantedAccess": [own, theirs]} == await device.answer(
            "GET", "/users/ada/permissions"
        )
        assert {"grantedAccess": [theirs]} == await device.answer("GET", "/groups/roof/permissions")
        assert [own] == await device.answer("GET", "/auth/subjects/user/ada/grants")
        assert [] == await device.answer(
            "GET", "/auth/subjects/USER/ada/grants?resourceType=TASK_DEF"
        )
        checked = await device.answer(
            "GET", "/users/ada/checkPermissions?type=WORKFLOW_DEF&id=flow"
        )
        assert {
            "CREATE": False,
            "READ": True,
            "UPDATE": True,
            "DELETE": False,
            "EXECUTE": True,
        } == checked
        everything = await device.answer(
            "GET", "/users/app:root/checkPermissions?type=WORKFLOW_DEF&id=flow"
        )
        assert {True} == set(everything.values())
        gone = await device.answer(
            "DELETE", "/auth/authorization", json=grant("USER", "ada", "READ", "EXECUTE")
        )
        assert {"message": "Removed permission"} == gone
        assert {"UPDATE": [roof]} == await device.answer("GET", target)
        odd = await device.call("POST", "/auth/authorization", json=grant("USER", "ada", "FLY"))
        assert 400 == odd.status_code

    run_guarded(tmp_path, body)


@pytest.mark.parametrize(
    ("method", "path", "posted"),
    [
        ("PUT", "/users/me", {"roles": ["ADMIN"]}),
        ("PUT", "/users/me", {"groups": ["admins"]}),
        ("PUT", "/groups/mine", {"roles": ["ADMIN"]}),
        ("POST", "/groups/admins/users", ["ada"]),
        ("POST", "/groups/admins/users/ada", {}),
        ("POST", "/roles", {"name": "king", "permissions": ["ADMIN_MANAGEMENT"]}),
    ],
)
def test_nobody_grants_more_than_he_has(
    tmp_path: Path, method: str, path: str, posted: Any
) -> None:
    """Whoever manages people cannot make an administrator, of himself or of others."""

    async def body(device: Guarded) -> None:
        await device.answer("PUT", "/users/ada", json={})
        await device.answer("PUT", "/groups/admins", json={"roles": ["ADMIN"]})
        await device.answer(
            "POST", "/roles", json={"name": "host", "permissions": ["USER_MANAGEMENT"]}
        )
        _, key, secret = await device.application("host")
        await device.as_(key, secret)
        refused = await device.call(method, path, json=posted)

        assert 403 == refused.status_code, refused.text

    run_guarded(tmp_path, body)


def test_an_applications_user_is_not_posted(tmp_path: Path) -> None:
    """It belongs to its application."""

    async def body(device: Guarded) -> None:
        refused = await device.call("PUT", "/users/app:root", json={"roles": []})

        assert 400 == refused.status_code

    run_guarded(tmp_path, body)
