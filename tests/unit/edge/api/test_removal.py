"""Removing executions: what is left of them, and that nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.api import removal
from edge.engine import Engine
from edge.model.errors import Conflict
from edge.model.requests import ExecutionView
from tests.unit.edge.api.device import Device, run

NOBODY = "01890a5d-ac96-774b-bcce-b30200000000"


async def _completed(device: Device) -> str:
    workflow_id = await device.started(correlationId="abc", input={"needle": 4711})
    await device.finish(await device.claimed(), outputData={"z": 1})
    return workflow_id


def test_a_copy_is_what_clients_saw(tmp_path: Path) -> None:
    """The same body as before, told by a header; a restart of the program changes nothing."""
    seen: dict[str, Any] = {}

    async def remove(device: Device) -> None:
        await device.register()
        seen["id"] = workflow_id = await _completed(device)
        before = await device.call("GET", f"/workflow/{workflow_id}")
        assert "x-workflow-archived" not in before.headers
        seen["body"] = before.json()
        assert b"" == (await device.call("DELETE", f"/workflow/{workflow_id}/remove")).content

    async def look(device: Device) -> None:
        path = f"/workflow/{seen['id']}"
        after = await device.call("GET", path)
        bare = await device.answer("GET", f"{path}?includeTasks=false")
        status = await device.answer("GET", f"{path}/status?includeOutput=true")
        tasks = await device.call("GET", f"{path}/tasks?status=COMPLETED")
        none = await device.answer("GET", f"{path}/tasks?status=FAILED")
        found = await device.answer("GET", "/workflow/search?freeText=4711")
        whole = await device.answer("GET", "/workflow/search-v2?query=correlationId=abc")

        assert seen["body"] == after.json() == whole["results"][0]
        assert "true" == after.headers["x-workflow-archived"]
        assert "true" == tasks.headers["x-workflow-archived"]
        assert [] == bare["tasks"]
        assert "COMPLETED" == status["status"]
        assert seen["body"]["tasks"] == tasks.json()["results"]
        assert 0 == none["totalHits"]
        assert seen["id"] == found["results"][0]["workflowId"]
        # What has been removed cannot be steered.
        for method, verb in (("POST", "/restart"), ("PUT", "/pause"), ("DELETE", "")):
            assert 404 == (await device.call(method, path + verb)).status_code

    run(tmp_path, remove)
    run(tmp_path, look)


def test_without_a_copy_it_is_gone(tmp_path: Path) -> None:
    """An execution, running or not, and a copy of one, too."""

    async def body(device: Device) -> None:
        await device.register()
        ids = [await _completed(device), await _completed(device), await device.started()]
        await device.answer("DELETE", f"/workflow/{ids[0]}/remove?archiveWorkflow=True")
        await device.answer("DELETE", f"/workflow/{ids[0]}/remove")
        assert 200 == (await device.call("GET", f"/workflow/{ids[0]}")).status_code
        for one in ids:
            await device.answer("DELETE", f"/workflow/{one}/remove?archiveWorkflow=false")
            for path in ("", "/status", "/tasks"):
                assert 404 == (await device.call("GET", f"/workflow/{one}{path}")).status_code
        assert 0 == (await device.answer("GET", "/workflow/search"))["totalHits"]
        assert 0 == (await device.answer("GET", "/tasks/search"))["totalHits"]
        for archived in ("true", "false"):
            for one in (ids[0], NOBODY, "no-id"):
                path = f"/workflow/{one}/remove?archiveWorkflow={archived}"
                assert 404 == (await device.call("DELETE", path)).status_code

    run(tmp_path, body)


def test_only_what_has_ended_is_archived(tmp_path: Path) -> None:
    """As in Conductor; terminate-remove ends it first, but nothing that is completed."""

    async def body(device: Device) -> None:
        await device.register()
        running = await device.started()
        refused = await device.call("DELETE", f"/workflow/{running}/remove")
        await device.answer("DELETE", f"/workflow/{running}/terminate-remove?reason=done")
        completed = await _completed(device)
        conflict = await device.call("DELETE", f"/workflow/{completed}/terminate-remove")

        assert 400 == refused.status_code
        expected = f"Cannot archive workflow: {running} with status: RUNNING"
        assert expected == refused.json()["message"]
        assert (
            "done" == (await device.answer("GET", f"/workflow/{running}"))["reasonForIncompletion"]
        )
        assert 409 == conflict.status_code
        assert (
            404 == (await device.call("DELETE", f"/workflow/{NOBODY}/terminate-remove")).status_code
        )

    run(tmp_path, body)


def test_an_execution_that_goes_on_is_not_lost(tmp_path: Path) -> None:
    """What is taken up again between its copy and its removal stays."""

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await _completed(device)
        engine = device.house.engine
        device.house.engine = _Restless(engine)  # type: ignore[assignment]
        with pytest.raises(Conflict, match="keeps changing"):
            await removal.take_away(device.house, workflow_id, archived=True)
        device.house.engine = engine

        assert "RUNNING" == (await device.answer("GET", f"/workflow/{workflow_id}"))["status"]

    run(tmp_path, body)


class _Restless:
    """An engine in which every execution is restarted right after it was looked at."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def execution(self, workflow_id: str) -> ExecutionView:
        if not (await self._engine.workflow(workflow_id)).status.terminal:
            await self._engine.terminate(workflow_id, None)
        view = await self._engine.execution(workflow_id)
        await self._engine.restart(workflow_id, latest=False)
        return view

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)
