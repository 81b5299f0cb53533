"""Who gets a token, what it opens, and when it is void."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge.api.guard import Guard
from edge.model.errors import TokenInvalid
from edge.tokens import Claims
from tests.unit.edge.api.device import FLOW, Device, run
from tests.unit.edge.api.guarded import SECRET, Guarded, run_guarded


def test_without_a_guard_nothing_of_this_exists(tmp_path: Path) -> None:
    """Its /token is 404 to the letter, and a token that is sent all the same is not looked at."""

    async def body(device: Device) -> None:
        for method, path in (
            ("POST", "/token"), ("GET", "/token"), ("GET", "/token/userInfo"),
            ("GET", "/applications"), ("PUT", "/users/a"), ("GET", "/roles"),
        ):  # fmt: skip
            response = await device.call(method, path, json={})
            assert (404, 404) == (response.status_code, response.json()["status"]), path
        odd = await device.call("GET", "/metadata/workflow", headers={"X-Authorization": "x"})
        document = await device.client.get("/api-docs")
        assert 200 == odd.status_code
        assert "/api/token" not in document.json()["paths"]

    run(tmp_path, body)


def test_without_a_token_only_the_door_is_open(tmp_path: Path) -> None:
    """Health, version and the way to a token; all else is 401 in the words that clients know."""

    async def body(device: Guarded) -> None:
        device.token = ""
        for path in ("/health", "/version"):
            assert 200 == (await device.call("GET", path)).status_code
        for method, path in (
            ("GET", "/metadata/workflow"), ("POST", "/workflow"), ("GET", "/tasks/poll/batch/a"),
            ("GET", "/v1/devices"), ("GET", "/token/userInfo"), ("POST", "/applications"),
        ):  # fmt: skip
            for token in ("", "nonsense", "a.b.c"):
                headers = {"X-Authorization": token} if token else {}
                refused = await device.call(method, path, headers=headers)
                body = refused.json()
                assert 401 == refused.status_code, path
                assert ("INVALID_TOKEN", 401) == (body["error"], body["status"])
                assert body["message"]
        assert 404 == (await device.call("GET", "/nothing/here")).status_code
        assert 200 == (await device.client.get("/metrics")).status_code
        assert "/api/token" in (await device.client.get("/api-docs")).json()["paths"]

    run_guarded(tmp_path, body)


def test_a_token_ends_and_is_renewed(tmp_path: Path) -> None:
    """EXPIRED_TOKEN is the word on which clients ask again."""

    async def body(device: Guarded) -> None:
        device.clock.pass_s(3_599)
        assert 200 == (await device.call("GET", "/metadata/workflow")).status_code
        device.clock.pass_s(1)
        over = await device.call("GET", "/metadata/workflow")
        assert (401, "EXPIRED_TOKEN") == (over.status_code, over.json()["error"])
        await device.as_("root-key", SECRET)
        assert 200 == (await device.call("GET", "/metadata/workflow")).status_code

    run_guarded(tmp_path, body)


@pytest.mark.parametrize(
    ("posted", "status"),
    [
        ({"keyId": "root-key", "keySecret": "wrong"}, 401),
        ({"keyId": "none", "keySecret": SECRET}, 401),
        ({"keyId": "root-key", "keySecret": ""}, 400),
        ({"keyId": "root-key"}, 400),
        ({}, 400),
        ({"keyId": 5, "keySecret": []}, 400),
    ],
)
def test_wrong_credentials(tmp_path: Path, posted: dict[str, Any], status: int) -> None:
    """Which of the two was wrong is not told, and no client is made to renew in a circle."""

    async def body(device: Guarded) -> None:
        refused = await device.call("POST", "/token", json=posted)

        assert status == refused.status_code
        if status == 401:
            assert "INVALID_CREDENTIALS" == refused.json()["error"]
            assert "wrong_credentials" == refused.json()["code"]
            assert SECRET not in refused.text

    run_guarded(tmp_path, body)


def test_a_key_that_is_switched_off_or_gone(tmp_path: Path) -> None:
    """Its tokens are void with the next request, also those given before."""

    async def body(device: Guarded) -> None:
        application, key, secret = await device.application("USER_READ_ONLY")
        root = device.token
        await device.as_(key, secret)
        theirs = device.token

        async def seen() -> tuple[int, str | None]:
            device.token = theirs
            answer = await device.call("GET", "/metadata/workflow")
            device.token = root
            return answer.status_code, answer.json().get("error") if answer.is_error else None

        assert (200, None) == await seen()
        off = await device.answer(
            "POST", f"/applications/{application}/accessKeys/{key}/status", json={}
        )
        assert "INACTIVE" == off["status"]
        assert (401, "INVALID_TOKEN") == await seen()
        refused = await device.call("POST", "/token", json={"keyId": key, "keySecret": secret})
        assert 401 == refused.status_code
        await device.answer("POST", f"/applications/{application}/accessKeys/{key}/status", json={})
        assert (200, None) == await seen()
        await device.answer("DELETE", f"/applications/{application}/accessKeys/{key}")
        assert (401, "INVALID_TOKEN") == await seen()
        await device.answer("DELETE", f"/applications/{application}")
        assert (401, "INVALID_TOKEN") == await seen()

    run_guarded(tmp_path, body)


def test_roles_decide(tmp_path: Path) -> None:
    """A reader reads, a worker works, a manager starts; everything else is 403 and says why."""

    async def body(device: Guarded) -> None:
        await device.register()
        await device.started()
        asked: dict[str, tuple[str, str, dict[str, Any]]] = {
            "read": ("GET", "/metadata/workflow", {}),
            "see": ("GET", "/workflow/search", {}),
            "poll": ("GET", "/tasks/poll/batch/work", {}),
            "start": ("POST", "/workflow/flow", {"json": {}}),
            "define": ("POST", "/metadata/workflow?overwrite=true", {"json": FLOW}),
            "people": ("GET", "/users", {}),
        }
        root = device.token
        allowed: dict[str, set[str]] = {}
        for role in (
            "ADMIN",
            "USER",
            "USER_READ_ONLY",
            "WORKFLOW_MANAGER",
            "WORKER",
            "METADATA_API",
        ):
            device.token = root
            _, key, secret = await device.application(role)
            await device.as_(key, secret)
            allowed[role] = set()
            for name, (method, path, options) in asked.items():
                answer = await device.call(method, path, **options)
                assert answer.status_code in (200, 403), (role, name, answer.text)
                if answer.status_code == 200:
                    allowed[role].add(name)
                else:
                    assert "access_denied" == answer.json()["code"]
                    assert role in answer.json()["message"]

        assert {
            "ADMIN": set(asked),
            "USER": {"read", "see", "start", "define"},
            "USER_READ_ONLY": {"read", "see"},
            "WORKFLOW_MANAGER": {"read", "see", "start"},
            "WORKER": {"read", "poll"},
            "METADATA_API": {"read", "define"},
        } == allowed

    run_guarded(tmp_path, body)


def test_who_did_it_is_kept(tmp_path: Path) -> None:
    """Definitions and executions name the caller, whatever the body says."""

    async def body(device: Guarded) -> None:
        await device.register()
        application, key, secret = await device.application("USER")
        await device.as_(key, secret)
        changed = {**FLOW, "description": "new", "createdBy": "somebody else"}
        await device.answer("PUT", "/metadata/workflow", json=[changed])
        definition = await device.answer("GET", "/metadata/workflow/flow")
        started = await device.started(createdBy="somebody else")
        execution = await device.answer("GET", f"/workflow/{started}")

        assert ("app:root", f"app:{application}") == (
            definition["createdBy"],
            definition["updatedBy"],
        )
        assert f"app:{application}" == execution["createdBy"]

    run_guarded(tmp_path, body)


def test_what_pages_embed(tmp_path: Path) -> None:
    """A view token opens looking at /api/v1 by a cookie, and nothing else anyhow."""

    async def body(device: Guarded) -> None:
        view = (await device.answer("POST", "/v1/view-token", json={}))["token"]
        api, device.token = device.token, ""
        cookie = {"Cookie": f"other=1; baton-view={view}"}

        assert 200 == (await device.call("GET", "/v1/devices", headers=cookie)).status_code
        assert 401 == (await device.call("GET", "/metadata/workflow", headers=cookie)).status_code
        assert (
            401
            == (await device.call("POST", "/v1/view-token", headers=cookie, json={})).status_code
        )
        for path in ("/metadata/workflow", "/token/userInfo"):
            refused = await device.call("GET", path, headers={"X-Authorization": view})
            assert 401 == refused.status_code
        # An API token in the cookie would travel with every request of the browser.
        wide = {"Cookie": f"baton-view={api}"}
        assert 401 == (await device.call("GET", "/metadata/workflow", headers=wide)).status_code

    run_guarded(tmp_path, body)


def test_a_view_token_opens_no_more_than_its_caller(tmp_path: Path) -> None:
    """Whoever may look gets one without being an administrator; to others it opens nothing."""

    async def body(device: Guarded) -> None:
        root, seen = device.token, {}
        for role in ("USER_READ_ONLY", "WORKER"):
            device.token = root
            _, key, secret = await device.application(role)
            await device.as_(key, secret)
            view = (await device.answer("POST", "/v1/view-token", json={}))["token"]
            device.token = ""
            cookie = {"Cookie": f"baton-view={view}"}
            seen[role] = [
                (await device.call(method, path, headers=cookie)).status_code
                for method, path in (
                    ("GET", "/v1/devices"),
                    ("GET", "/v1/events"),
                    ("GET", "/workflow/search"),
                    ("POST", "/v1/view-token"),
                )
            ]
        nobody = await device.call("POST", "/v1/view-token", json={})

        assert {"USER_READ_ONLY": [200, 200, 401, 401], "WORKER": [403, 403, 401, 401]} == seen
        assert 401 == nobody.status_code

    run_guarded(tmp_path, body)


def test_guessing_all_at_once_is_no_faster(tmp_path: Path) -> None:
    """Those that are sent together are counted, too: of each, before its hash is computed."""

    async def body(device: Guarded) -> None:
        async def guess(number: int) -> int:
            posted = {"keyId": "root-key", "keySecret": f"wrong {number}"}
            return (await device.call("POST", "/token", json=posted)).status_code

        async with asyncio.TaskGroup() as group:
            guesses = [group.create_task(guess(number)) for number in range(24)]
        statuses = [one.result() for one in guesses]

        # Two are computed at once: the last of ten may have one beside it.
        assert statuses.count(401) in (10, 11)
        assert 24 == statuses.count(401) + statuses.count(429)

    run_guarded(tmp_path, body)


def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    """Ten wrong secrets for a key within a minute, then a pause; others go on meanwhile."""

    async def body(device: Guarded) -> None:
        async def guess(key: str, secret: str) -> int:
            posted = {"keyId": key, "keySecret": secret}
            return (await device.call("POST", "/token", json=posted)).status_code

        _, key, secret = await device.application("WORKER")
        statuses = [await guess("root-key", f"wrong {number}") for number in range(12)]
        other = await guess(key, secret)
        locked = await guess("root-key", SECRET)
        device.clock.pass_s(61)

        assert [401] * 10 + [429] * 2 == statuses
        assert (200, 429, 200) == (other, locked, await guess("root-key", SECRET))

    run_guarded(tmp_path, body)


def test_failures_that_are_counted_are_bounded(tmp_path: Path) -> None:
    """Whoever tries a thousand names does not fill the memory."""

    async def body(device: Guarded) -> None:
        guard = device.house.guard
        assert guard is not None
        for number in range(5_000):
            guard._note_failure(((f"{number}", 9), (f"{number} key", 9)))

        assert 2_000 == len(guard._failures)

    run_guarded(tmp_path, body)


def test_a_change_during_a_look_is_not_missed(tmp_path: Path) -> None:
    """What was read before keys changed never stands after it."""

    async def body(device: Guarded) -> None:
        guard = device.house.guard
        assert guard is not None
        database = device.house.engine.database
        read, changed = database.read, asyncio.Event()

        async def slow(function: Any) -> Any:
            found = await read(function)
            if not changed.is_set():
                changed.set()
                guard.forget()
            return found

        database.read = slow  # type: ignore[method-assign]
        guard.forget()
        first = await guard.directory()
        database.read = read  # type: ignore[method-assign]

        assert changed.is_set()
        assert first is await guard.directory()

    run_guarded(tmp_path, body)


def test_a_token_of_an_application_that_never_was(tmp_path: Path) -> None:
    """Signed by this device, for a key that it does not know any more."""

    async def body(device: Guarded) -> None:
        guard = device.house.guard
        assert guard is not None
        now_s = device.clock.now_ms() // 1000
        device.token = guard._signer.sign(Claims("app:x", "gone", now_s, now_s + 60))
        refused = await device.call("GET", "/metadata/workflow")

        assert (401, "INVALID_TOKEN") == (refused.status_code, refused.json()["error"])

    run_guarded(tmp_path, body)


def test_a_key_for_a_part_of_this_device(tmp_path: Path) -> None:
    """It opens what its roles say, is in no list and on no disk, and does not outlive the guard."""

    async def body(device: Guarded) -> None:
        guard = device.house.guard
        assert guard is not None
        key = guard.inner_key("hosted-workers", ["WORKER"])
        await device.application("USER")
        listed = [one["name"] for one in await device.answer("GET", "/applications")]
        root = device.token
        await device.as_(key.key_id, key.key_secret)
        polled = await device.call("GET", "/tasks/poll/batch/work")
        refused = await device.call("GET", "/users")
        theirs = device.token
        device.token = root
        other = Guard(device.house.engine, guard._signer, ttl_s=60)

        assert ["USER", "administration"] == listed
        assert (200, 403) == (polled.status_code, refused.status_code)
        with pytest.raises(TokenInvalid):
            await other.admit("GET", "/api/tasks/poll/{type}", theirs, None)

    run_guarded(tmp_path, body)
