"""Payloads that travel by themselves, and large ones that nobody notices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge.lookups import Lookups
from edge.model.payload_limits import PayloadLimits
from tests.unit.edge.api.device import Device, run

SMALL: dict[str, Any] = {
    "lookups": Lookups(
        limits=PayloadLimits(task_file=100, task_most=2_000, workflow_file=100, workflow_most=3_000)
    )
}
LARGE = {"x": {"deep": "y" * 300}}


async def _uploaded(device: Device, payload: Any, kind: str = "WORKFLOW_INPUT") -> str:
    """The name of a payload that was uploaded as a client does it."""
    house = kind.split("_", 1)[0].lower().replace("task", "tasks")
    where = await device.answer(
        "GET", f"/{house}/externalstoragelocation?operation=WRITE&payloadType={kind}&path="
    )
    address = urlsplit(where["uri"])
    assert "device" == address.netloc
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    put = await device.client.put(f"{address.path}?{address.query}", content=content)
    assert (200, b"") == (put.status_code, put.content)
    return str(where["path"])


async def _fetched(device: Device, path: str) -> Any:
    """A payload, got as a client gets it."""
    where = await device.answer(
        "GET",
        f"/workflow/externalstoragelocation?operation=READ&payloadType=TASK_INPUT&path={path}",
    )
    assert path == where["path"]
    got = await device.client.get(where["uri"])
    return got.json() if got.status_code == 200 else got.status_code


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "payloads").rglob("*") if path.is_file())


def test_large_payloads_are_not_noticed(tmp_path: Path) -> None:
    """They are in files, and in every answer, for the worker and for expressions."""
    flow = {
        "name": "flow",
        "tasks": [
            {"name": "work", "taskReferenceName": "first",
             "inputParameters": {"all": "${workflow.input.x}", "some": "${workflow.input.x.deep}"}},
            {"name": "work", "taskReferenceName": "second",
             "inputParameters": {"deep": "${first.output.x.deep}"}},
        ],
    }  # fmt: skip

    async def body(device: Device) -> None:
        await device.answer("POST", "/metadata/workflow", json=flow)
        workflow_id = await device.started(input=LARGE)
        first = await device.claimed()
        assert {"all": LARGE["x"], "some": "y" * 300} == first["inputData"]
        await device.finish(first, outputData=LARGE)
        second = await device.claimed()
        assert {"deep": "y" * 300} == second["inputData"]
        await device.finish(second, outputData={"n": 1})

        assert 3 == len(_files(tmp_path))
        shown = await device.answer("GET", f"/workflow/{workflow_id}")
        assert (LARGE, LARGE) == (shown["input"], shown["tasks"][0]["outputData"])
        assert "externalInputPayloadStoragePath" not in shown
        assert LARGE == (await device.answer("GET", f"/tasks/{first['taskId']}"))["outputData"]
        (line,) = (await device.answer("GET", "/workflow/search"))["results"]
        assert "{}" == line["input"]
        assert LARGE == await _fetched(device, line["externalInputPayloadStoragePath"])

    run(tmp_path, body, **SMALL)


def test_a_client_may_upload_an_input(tmp_path: Path) -> None:
    """The execution shows the name that it was given, and expressions look inside."""

    async def body(device: Device) -> None:
        await device.register()
        path = await _uploaded(device, {"x": 5, "more": "y" * 5_000})
        workflow_id = await device.started(externalInputPayloadStoragePath=path)
        shown = await device.answer("GET", f"/workflow/{workflow_id}")

        assert ({}, path) == (shown["input"], shown["externalInputPayloadStoragePath"])
        assert {"x": 5, "nothing": None} == (await device.claimed())["inputData"]
        device.house.uploads.drop(path)
        assert {"x": 5, "more": "y" * 5_000} == await _fetched(device, path)
        assert 200 == (await device.call("DELETE", f"/workflow/{workflow_id}")).status_code
        await device.answer("DELETE", f"/workflow/{workflow_id}/remove")
        assert 404 == await _fetched(device, path)

    run(tmp_path, body, **SMALL)


@pytest.mark.parametrize("update", ["/tasks", "/tasks/update-v2"])
def test_a_worker_may_upload_an_output(tmp_path: Path, update: str) -> None:
    """Small or large; what its answer holds beside it does not count."""

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await device.started(input={"x": 1})
        path = await _uploaded(device, {"n": 1}, "TASK_OUTPUT")
        task = await device.claimed()
        posted = {"externalOutputPayloadStoragePath": path, "outputData": {"ignored": 1}}
        assert (await device.finish(task, update, **posted)).status_code < 300
        shown = await device.answer("GET", f"/workflow/{workflow_id}")

        assert ({}, path) == (
            shown["tasks"][0]["outputData"],
            shown["tasks"][0]["externalOutputPayloadStoragePath"],
        )
        assert {"n": 1} == shown["output"]
        assert {"n": 1} == await _fetched(device, path)

    run(tmp_path, body, **SMALL)


def test_what_was_not_uploaded_is_refused(tmp_path: Path) -> None:
    """The field is named; the task is still the worker's."""

    async def body(device: Device) -> None:
        await device.register()
        field = "externalInputPayloadStoragePath"
        text = await _uploaded(device, b"no json")
        listed = await _uploaded(device, [1])
        for path, words in (
            ("workflow/input/gone.json", "nothing has been uploaded"),
            (text, "malformed"),
            (listed, "no JSON object"),
            ("../../baton.db", "cannot be the name"),
        ):
            refused = await device.call("POST", "/workflow", json={"name": "flow", field: path})
            (fault,) = refused.json()["validationErrors"]
            assert (400, field) == (refused.status_code, fault["path"])
            assert words in fault["message"]
        await device.started(input={"x": 1})
        task = await device.claimed()
        refused = await device.finish(task, externalOutputPayloadStoragePath="gone.json")
        assert 400 == refused.status_code
        assert 200 == (await device.finish(task)).status_code

    run(tmp_path, body)


def test_addresses_are_handed_out_for_safe_names_only(tmp_path: Path) -> None:
    """No name leads out of the folder, encoded or not; the parameters are checked."""
    location = "/tasks/externalstoragelocation"

    async def body(device: Device) -> None:
        for query in (
            "payloadType=TASK_INPUT&path=x",
            "operation=READ&path=x",
            "operation=DELETE&payloadType=TASK_INPUT&path=x",
            "operation=READ&payloadType=OTHER&path=x",
            "operation=READ&payloadType=TASK_INPUT",
            "operation=WRITE&payloadType=TASK_INPUT&path=..%2Fx",
            "operation=READ&payloadType=TASK_INPUT&path=/etc/passwd",
        ):
            assert 400 == (await device.call("GET", f"{location}?{query}")).status_code, query
        own = await device.answer(
            "GET",
            "/tasks/external-storage-location?operation=write&payloadType=task_output&path=my/a.json",
        )
        assert "my/a.json" == own["path"]
        assert 404 == await _fetched(device, "my/a.json")
        assert 404 == await _fetched(device, f"x/{'ab' * 32}.json")

    run(tmp_path, body)


def test_an_address_is_good_for_what_it_was_made_for(tmp_path: Path) -> None:
    """Another operation, another name, no ticket at all, and an hour later."""

    async def body(device: Device) -> None:
        where = await device.answer(
            "GET", "/tasks/externalstoragelocation?operation=WRITE&payloadType=TASK_OUTPUT&path=a"
        )
        address = urlsplit(where["uri"])
        content = "/api/v1/payloads/"
        for method, url in (
            ("GET", where["uri"]),
            ("PUT", f"{content}b?{address.query}"),
            ("PUT", f"{content}a"),
            ("PUT", f"{content}a?exp=x&sig=y"),
            ("PUT", f"{content}..%2f..%2fbaton.db?{address.query}"),
        ):
            refused = await device.client.request(method, url, content=b"x")
            assert (403, "access_denied") == (refused.status_code, refused.json()["code"])
        assert 200 == (await device.client.put(where["uri"], content=b"x")).status_code
        tickets, now_ms = device.house.tickets, device.house.engine.clock.now_ms()
        old = tickets.query("WRITE", "a", now_ms - 3_700_000)
        late = await device.client.put(f"{content}a?{old}", content=b"x")
        assert 403 == late.status_code

    run(tmp_path, body)


def test_what_is_masked_is_masked_here_too(tmp_path: Path) -> None:
    """A payload that lies in a file by itself is shown as the execution would show it."""
    flow = {
        "name": "flow",
        "maskedFields": ["pin"],
        "tasks": [{"name": "work", "taskReferenceName": "first"}],
    }
    given = {"pin": "s3cr3t", "_secrets": 1, "open": "y" * 300}

    async def body(device: Device) -> None:
        await device.answer("POST", "/metadata/workflow", json=flow)
        path = await _uploaded(device, given)
        await device.started(externalInputPayloadStoragePath=path)

        assert {"pin": "***", "_secrets": "***", "open": "y" * 300} == await _fetched(device, path)

    run(tmp_path, body)


def test_uploads_are_bounded(tmp_path: Path) -> None:
    """One of them, and all together; the message says what to do."""

    async def body(device: Device) -> None:
        device.house.upload_limit_bytes = 10
        device.house.uploads.budget_bytes = 15
        answers = []
        for name, size in (("a", 11), ("a", 10), ("b", 10)):
            where = await device.answer(
                "GET",
                "/tasks/externalstoragelocation?operation=WRITE&payloadType=TASK_OUTPUT"
                f"&path={name}",
            )
            answers.append(await device.client.put(where["uri"], content=b"x" * size))

        assert [413, 200, 413] == [answer.status_code for answer in answers]
        assert "payload_too_large" == answers[2].json()["code"]

    run(tmp_path, body)


def test_what_is_too_large_fails_its_task_or_its_workflow(tmp_path: Path) -> None:
    """The request itself is taken, as in Conductor."""

    async def body(device: Device) -> None:
        await device.register()
        failed = await device.started(input={"x": "y" * 4_000})
        shown = await device.answer("GET", f"/workflow/{failed}")
        assert ("FAILED", {}) == (shown["status"], shown["input"])
        assert "permissible limit: 3000 bytes" in shown["reasonForIncompletion"]
        workflow_id = await device.started(input={"x": 1})
        task = await device.claimed()
        assert 200 == (await device.finish(task, outputData={"x": "y" * 2_000})).status_code
        (ended,) = (await device.answer("GET", f"/workflow/{workflow_id}"))["tasks"]
        assert "FAILED_WITH_TERMINAL_ERROR" == ended["status"]
        assert "permissible limit: 2000 bytes" in ended["reasonForIncompletion"]

    run(tmp_path, body, **SMALL)


def test_a_lost_file_is_told(tmp_path: Path) -> None:
    """To whoever looks, and to the execution at its next step; others go on."""

    async def body(device: Device) -> None:
        await device.register()
        lost = await device.started(input={"x": 1, "more": "y" * 200})
        kept = await device.started(input={"x": 2})
        for path in (tmp_path / "payloads").rglob("*.json*"):
            path.unlink()
        shown = await device.call("GET", f"/workflow/{lost}")
        assert (500, "payload_lost") == (shown.status_code, shown.json()["code"])
        assert 2 == (await device.answer("GET", "/workflow/search"))["totalHits"]
        assert "RUNNING" == (await device.answer("GET", f"/workflow/{kept}"))["status"]

    run(tmp_path, body, **SMALL)
