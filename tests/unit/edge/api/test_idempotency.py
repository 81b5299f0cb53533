"""Idempotency keys over the API: where they are read, what a second start with one is answered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.unit.edge.api.device import Device, run

_BY_NAME: list[dict[str, Any]] = [
    {"params": {"idempotencyKey": "k", "idempotencyStrategy": "RETURN_EXISTING"}},
    {"headers": {"X-Idempotency-key": "k", "X-on-conflict": "RETURN_EXISTING"}},
    {"params": {"idempotencyKey": "k"}, "headers": {"X-on-conflict": "RETURN_EXISTING"}},
    {
        "params": {"idempotencyKey": "k", "idempotencyStrategy": "RETURN_EXISTING"},
        "headers": {"X-Idempotency-key": "other", "X-on-conflict": "FAIL"},
    },
]


@pytest.mark.parametrize("given", _BY_NAME)
def test_a_key_may_stand_in_the_query_or_in_headers(tmp_path: Path, given: dict[str, Any]) -> None:
    """The second start finds the first; the query comes before the headers."""

    async def body(device: Device) -> None:
        await device.register()
        ids = [await device.answer("POST", "/workflow/flow", json={}, **given) for _ in range(2)]
        found = await device.answer("GET", f"/workflow/{ids[0]}")

        assert ids[0] == ids[1]
        assert "k" == found["idempotencyKey"]

    run(tmp_path, body)


def test_the_body_comes_first(tmp_path: Path) -> None:
    """A header of a gateway does not change what the client wrote itself."""

    async def body(device: Device) -> None:
        await device.register()
        request = {"name": "flow", "idempotencyKey": "mine"}
        headers = {"X-Idempotency-key": "gateway"}
        workflow_id = await device.answer("POST", "/workflow", json=request, headers=headers)
        found = await device.answer("GET", f"/workflow/{workflow_id}")

        assert "mine" == found["idempotencyKey"]

    run(tmp_path, body)


def test_a_conflict_names_the_first(tmp_path: Path) -> None:
    """409, whether the first one runs or has ended; a new one only where its strategy says so."""

    async def body(device: Device) -> None:
        await device.register()

        async def start(strategy: str | None) -> tuple[int, str]:
            request = {"name": "flow", "idempotencyKey": "k", "idempotencyStrategy": strategy}
            response = await device.call("POST", "/workflow", json=request)
            return response.status_code, response.text

        _, first = await start(None)
        running = [await start(strategy) for strategy in ("FAIL", None, "FAIL_ON_RUNNING")]
        await device.finish(await device.claimed())
        ended = [await start(strategy) for strategy in ("FAIL", "RETURN_EXISTING")]
        status, second = await start("FAIL_ON_RUNNING")

        assert [409, 409, 409] == [code for code, _ in running]
        assert all(first in text and '"code":"conflict"' in text for _, text in running)
        assert [409, 200] == [code for code, _ in ended]
        assert first == ended[1][1]
        assert 200 == status
        assert first != second

    run(tmp_path, body)


def test_an_older_one_that_runs_again_still_counts(tmp_path: Path) -> None:
    """FAIL_ON_RUNNING looks at all with the key, not only at the newest."""

    async def body(device: Device) -> None:
        await device.register()
        request = {
            "name": "flow",
            "idempotencyKey": "k",
            "idempotencyStrategy": "FAIL_ON_RUNNING",
        }
        first = await device.answer("POST", "/workflow", json=request)
        await device.finish(await device.claimed())
        await device.answer("POST", "/workflow", json=request)
        await device.finish(await device.claimed())
        await device.call("POST", f"/workflow/{first}/restart")
        response = await device.call("POST", "/workflow", json=request)
        request["idempotencyStrategy"] = "RETURN_EXISTING"

        assert 409 == response.status_code
        assert first in response.text
        assert first == await device.answer("POST", "/workflow", json=request)

    run(tmp_path, body)


def test_starts_at_the_same_time_are_one(tmp_path: Path) -> None:
    """However many arrive within one commit, one execution is started."""

    async def body(device: Device) -> None:
        await device.register()

        async def start(strategy: str) -> tuple[int, str]:
            request = {"name": "flow", "idempotencyKey": strategy, "idempotencyStrategy": strategy}
            response = await device.call("POST", "/workflow", json=request)
            return response.status_code, response.text

        async with asyncio.TaskGroup() as group:
            returned = [group.create_task(start("RETURN_EXISTING")) for _ in range(20)]
            refused = [group.create_task(start("FAIL")) for _ in range(20)]
        tasks = await device.answer("GET", "/tasks/poll/batch/work?count=99")

        assert 1 == len({one.result() for one in returned})
        assert [200, *[409] * 19] == sorted(one.result()[0] for one in refused)
        assert 2 == len(tasks)

    run(tmp_path, body)


def test_a_key_belongs_to_one_workflow(tmp_path: Path) -> None:
    """Another workflow may use the same."""

    async def body(device: Device) -> None:
        await device.register()
        other = {"name": "other", "tasks": [{"name": "x", "taskReferenceName": "x"}]}
        await device.answer("POST", "/metadata/workflow", json=other)
        for name in ("flow", "other"):
            response = await device.call("POST", f"/workflow/{name}?idempotencyKey=k", json={})
            assert 200 == response.status_code

    run(tmp_path, body)


@pytest.mark.parametrize("key", ["", "   "])
def test_a_blank_key_is_none(tmp_path: Path, key: str) -> None:
    """Two starts without a key are two starts."""

    async def body(device: Device) -> None:
        await device.register()
        ids = [await device.started(idempotencyKey=key, idempotencyStrategy="FAIL") for _ in "ab"]

        assert 2 == len(set(ids))

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"idempotencyKey": "k" * 256}, "idempotencyKey"),
        ({"idempotencyKey": "k", "idempotencyStrategy": "OVERWRITE"}, "idempotencyStrategy"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, fields: dict[str, str], named: str) -> None:
    """400, and the field is named."""

    async def body(device: Device) -> None:
        await device.register()
        response = await device.call("POST", "/workflow", json={"name": "flow", **fields})

        assert 400 == response.status_code
        assert named in response.text

    run(tmp_path, body)
