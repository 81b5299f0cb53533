"""``/api/files``: handed over by handle, whole, and only within a family of executions."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge.payload_sweep import PayloadSweep
from edge.store.files import drop_files
from edge.uploads import Uploads
from tests.unit.edge.api.device import Device, run

BYTES = bytes(range(256)) * 40


def _on(device: Device, folder: Path, budget: int = 1_000_000) -> None:
    device.house.files = Uploads(folder / "payloads" / "files", budget)


async def _created(device: Device, workflow_id: str, **more: Any) -> dict[str, Any]:
    response = await device.call("POST", "/files", json={"workflowId": workflow_id, **more})
    assert 201 == response.status_code, response.text
    return dict(response.json())


async def _uploaded(device: Device, workflow_id: str, content: bytes = BYTES) -> str:
    """The id of a file that is complete."""
    made = await _created(device, workflow_id, contentType="image/png")
    put = await device.client.put(made["uploadUrl"], content=content)
    assert (204, b"") == (put.status_code, put.content)
    file_id = str(made["fileHandleId"]).removeprefix("conductor://file/")
    await device.answer("POST", f"/files/{workflow_id}/{file_id}/upload-complete", json={})
    return file_id


def test_a_file_goes_from_one_worker_to_another(tmp_path: Path) -> None:
    """Created, sent, completed, found, fetched: each answer is Conductor's."""

    async def body(device: Device) -> None:
        _on(device, tmp_path)
        made = await _created(
            device, "wf-demo", taskId="t", fileName="a.png", contentType="image/png"
        )
        assert {"fileName": "a.png", "contentType": "image/png", "storageType": "CONDUCTOR",
                "uploadStatus": "UPLOADING"}.items() <= made.items()  # fmt: skip
        file_id = made["fileHandleId"].removeprefix("conductor://file/")
        assert urlsplit(made["uploadUrl"]).path == f"/api/files/content/wf-demo/{file_id}"
        assert made["uploadUrlExpiresAt"] > made["createdAt"]
        again = await device.answer("GET", f"/files/wf-demo/{file_id}/upload-url")
        assert 204 == (await device.client.put(again["uploadUrl"], content=BYTES)).status_code
        done = await device.answer("POST", f"/files/wf-demo/{file_id}/upload-complete")
        digest = hashlib.sha256(BYTES).hexdigest()
        assert ("UPLOADED", digest) == (done["uploadStatus"], done["contentHash"])
        known = await device.answer("GET", f"/files/wf-demo/{file_id}")
        assert {"fileSize": len(BYTES), "contentHash": digest, "workflowId": "wf-demo",
                "taskId": "t", "uploadStatus": "UPLOADED"}.items() <= known.items()  # fmt: skip
        where = await device.answer("GET", f"/files/wf-demo/{file_id}/download-url")
        got = await device.client.get(where["downloadUrl"])
        assert (BYTES, "image/png") == (got.content, got.headers["content-type"])
        assert str(len(BYTES)) == got.headers["content-length"]
        assert "attachment" == got.headers["content-disposition"]

    run(tmp_path, body)


def test_it_is_off_unless_it_is_wanted(tmp_path: Path) -> None:
    """Then it is as if there were no such address."""

    async def body(device: Device) -> None:
        for method, path in (("POST", ""), ("GET", "/w/f"), ("PUT", "/content/w/f")):
            answer = await device.call(method, f"/files{path}", json={"workflowId": "w"})
            assert (404, "not_found") == (answer.status_code, answer.json()["code"])

    run(tmp_path, body)


def test_a_file_changes_until_it_is_complete(tmp_path: Path) -> None:
    """The last bytes count; afterwards nobody writes."""

    async def body(device: Device) -> None:
        _on(device, tmp_path)
        made = await _created(device, "w")
        file_id = made["fileHandleId"].removeprefix("conductor://file/")
        path = f"/files/w/{file_id}"
        assert 500 == (await device.call("POST", f"{path}/upload-complete")).status_code
        assert 400 == (await device.call("GET", f"{path}/download-url")).status_code
        assert 400 == (await device.call("GET", f"/files/content/w/{file_id}")).status_code
        for content in (b"one", b"two"):
            await device.client.put(made["uploadUrl"], content=content)
        await device.answer("POST", f"{path}/upload-complete")
        got = await device.call("GET", f"/files/content/w/{file_id}")
        assert (b"two", "application/octet-stream") == (got.content, got.headers["content-type"])
        assert 409 == (await device.client.put(made["uploadUrl"], content=b"x")).status_code
        assert 409 == (await device.call("POST", f"{path}/upload-complete")).status_code

    run(tmp_path, body)


def test_bytes_that_come_late_change_nothing(tmp_path: Path) -> None:
    """A sender that is overtaken by the end of the upload is refused, and the file stays whole."""

    async def body(device: Device) -> None:
        _on(device, tmp_path)
        made = await _created(device, "w")
        file_id = made["fileHandleId"].removeprefix("conductor://file/")
        await device.client.put(made["uploadUrl"], content=b"one")

        async def slow() -> AsyncIterator[bytes]:
            yield b"la"
            await device.answer("POST", f"/files/w/{file_id}/upload-complete")
            yield b"te"

        late = await device.client.put(made["uploadUrl"], content=slow())
        known = await device.answer("GET", f"/files/w/{file_id}")
        got = await device.call("GET", f"/files/content/w/{file_id}")

        assert (409, "conflict") == (late.status_code, late.json()["code"])
        assert ("UPLOADED", 3, hashlib.sha256(b"one").hexdigest()) == (
            known["uploadStatus"], known["fileSize"], known["contentHash"]
        )  # fmt: skip
        assert b"one" == got.content

    run(tmp_path, body)


def test_a_file_that_goes_while_it_is_sent_does_not_come_back(tmp_path: Path) -> None:
    """Its execution was removed, and its bytes would never be."""

    async def body(device: Device) -> None:
        _on(device, tmp_path)
        made = await _created(device, "w")
        file_id = made["fileHandleId"].removeprefix("conductor://file/")

        async def slow() -> AsyncIterator[bytes]:
            yield b"la"
            later_ms = device.house.engine.clock.now_ms() + 1
            await device.house.engine.request(
                lambda t: drop_files(t.connection, [file_id], later_ms)
            )
            yield b"te"

        late = await device.client.put(made["uploadUrl"], content=slow())

        assert 404 == late.status_code
        assert device.house.files is not None and device.house.files.find(file_id) is None

    run(tmp_path, body)


def test_a_file_is_its_executions(tmp_path: Path) -> None:
    """That one writes; those around and inside it read; all others are refused."""
    child = {"name": "child", "tasks": [{"name": "work", "taskReferenceName": "w"}]}
    parent = {
        "name": "parent",
        "tasks": [
            {"name": "s", "taskReferenceName": "s", "type": "SUB_WORKFLOW",
             "subWorkflowParam": {"name": "child"}}
        ],
    }  # fmt: skip

    async def body(device: Device) -> None:
        _on(device, tmp_path)
        for definition in (child, parent):
            await device.answer("POST", "/metadata/workflow", json=definition)
        outer = await device.answer("POST", "/workflow/parent", json={})
        stranger = await device.answer("POST", "/workflow/parent", json={})
        inner = (await device.answer("GET", f"/workflow/{outer}"))["tasks"][0]["subWorkflowId"]
        for owner, reader in ((outer, inner), (inner, outer)):
            file_id = await _uploaded(device, owner)
            assert 200 == (await device.call("GET", f"/files/{reader}/{file_id}")).status_code
            where = await device.answer("GET", f"/files/{reader}/{file_id}/download-url")
            assert BYTES == (await device.client.get(where["downloadUrl"])).content
            for method, path in (
                ("GET", f"/files/{reader}/{file_id}/upload-url"),
                ("PUT", f"/files/content/{reader}/{file_id}"),
                ("GET", f"/files/{stranger}/{file_id}"),
                ("GET", f"/files/content/{stranger}/{file_id}"),
                ("GET", f"/files/nobody/{file_id}"),
            ):
                refused = await device.call(method, path)
                assert (403, "access_denied") == (refused.status_code, refused.json()["code"])

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("posted", "words"),
    [
        ({}, "workflowId is required"),
        ({"workflowId": 5}, "workflowId"),
        ({"workflowId": "w", "fileName": "x" * 256}, "fileName"),
        ({"workflowId": "w", "contentType": "text/html\r\nX: y"}, "contentType"),
    ],
)
def test_what_is_no_file_is_refused(tmp_path: Path, posted: dict[str, Any], words: str) -> None:
    """The message names the field."""

    async def body(device: Device) -> None:
        _on(device, tmp_path)
        refused = await device.call("POST", "/files", json=posted)
        assert (400, True) == (refused.status_code, words in refused.json()["message"])

    run(tmp_path, body)


def test_unknown_files_pieces_and_limits(tmp_path: Path) -> None:
    """404 for what is not there, 400 for pieces, 413 for too much of one or of all."""

    async def body(device: Device) -> None:
        _on(device, tmp_path, budget=50)
        device.house.file_limit_bytes = 40
        assert 404 == (await device.call("GET", "/files/w/..%2f..%2fbaton.db")).status_code
        made = await _created(device, "w")
        file_id = made["fileHandleId"].removeprefix("conductor://file/")
        assert 400 == (await device.call("POST", f"/files/w/{file_id}/multipart")).status_code
        assert 413 == (await device.client.put(made["uploadUrl"], content=b"x" * 41)).status_code
        assert 204 == (await device.client.put(made["uploadUrl"], content=b"x" * 30)).status_code
        other = await _created(device, "w")
        assert 413 == (await device.client.put(other["uploadUrl"], content=b"x" * 30)).status_code

    run(tmp_path, body)


def test_files_go_with_their_execution(tmp_path: Path) -> None:
    """A day after it has been removed, or if there never was one; a living one keeps its files."""

    async def body(device: Device) -> None:
        _on(device, tmp_path)
        await device.register()
        files, engine = device.house.files, device.house.engine
        workflow_id = await device.started()
        kept, stray = await _uploaded(device, workflow_id), await _uploaded(device, "nobody")
        sweep = PayloadSweep(engine, device.house.uploads, files)
        assert 0 == await sweep.sweep()
        await engine.request(lambda t: t.connection.execute("UPDATE file SET updated_ms = 1"))
        assert 1 == await sweep.sweep()
        assert files is not None and files.find(kept) is not None and files.find(stray) is None
        assert 404 == (await device.call("GET", f"/files/nobody/{stray}")).status_code

    run(tmp_path, body)
