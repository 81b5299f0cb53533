"""Definitions on Conductor's wire: register, replace, show, delete."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.model.definitions import TaskDefinition
from tests.unit.edge.api.device import FLOW, TASK, Device, run


def test_a_workflow_definition_lives_and_goes(tmp_path: Path) -> None:
    """409 for a second one, overwrite replaces, the latest is the highest, 404 when gone."""

    async def body(device: Device) -> None:
        await device.register()

        again = await device.call("POST", "/metadata/workflow", json=FLOW)
        over = await device.call("POST", "/metadata/workflow?overwrite=True", json=FLOW)
        await device.answer("POST", "/metadata/workflow", json=[{**FLOW, "version": 2}])
        latest = await device.answer("GET", "/metadata/workflow/flow")
        first = await device.answer("GET", "/metadata/workflow/flow?version=1&metadata=true")

        assert (409, 200) == (again.status_code, over.status_code)
        assert "Workflow with flow.1 already exists!" == again.json()["message"]
        assert (b"", "0") == (over.content, over.headers["content-length"])
        assert (2, 1) == (latest["version"], first["version"])
        assert {"x": "${workflow.input.x}", "nothing": None} == first["tasks"][0]["inputParameters"]
        assert None not in first.values()
        assert 2 == len(await device.answer("GET", "/metadata/workflow"))
        assert [2] == [
            one["version"]
            for one in await device.answer("GET", "/metadata/workflow/latest-versions")
        ]
        assert ["flow"] == await device.answer("GET", "/metadata/workflow/names")
        pairs = await device.answer("GET", "/metadata/workflow/names-and-versions")
        assert [1, 2] == [one["version"] for one in pairs["flow"]]
        assert pairs["flow"] == await device.answer("GET", "/metadata/workflow/flow/versions")
        await device.answer("DELETE", "/metadata/workflow/flow/2", json={})
        gone = await device.call("DELETE", "/metadata/workflow/flow/2")
        odd = await device.call("DELETE", "/metadata/workflow/flow/two")
        missing = await device.call("GET", "/metadata/workflow/flow?version=2")
        never = await device.call("GET", "/metadata/workflow/never")
        assert (404, 400, 404) == (gone.status_code, odd.status_code, missing.status_code)
        assert "No such workflow found by name: flow, version: 2" == missing.json()["message"]
        assert "No such workflow found by name: never, version: null" == never.json()["message"]

    run(tmp_path, body)


def test_a_list_of_definitions_is_put_one_by_one(tmp_path: Path) -> None:
    """What failed is told per name, with 200; nothing else suffers."""

    async def body(device: Device) -> None:
        broken = {"name": "broken", "tasks": []}
        result = await device.answer("PUT", "/metadata/workflow", json=[FLOW, broken, 3])

        assert ["flow"] == result["bulkSuccessfulResults"]
        assert "WorkflowTask list cannot be empty" in result["bulkErrorResults"]["broken"]
        assert 2 == len(result["bulkErrorResults"])

    run(tmp_path, body)


def test_a_broken_definition_names_its_fields(tmp_path: Path) -> None:
    """The fixed sentence, and each broken rule with its path; ``validate`` stores nothing."""

    async def body(device: Device) -> None:
        loop = {"name": "x", "taskReferenceName": "x", "type": " "}
        response = await device.call(
            "POST", "/metadata/workflow", json={"name": "", "tasks": [loop]}
        )

        found = response.json()
        assert (400, "Validation failed, check below errors for detail.") == (
            response.status_code,
            found["message"],
        )
        paths = {one["path"] for one in found["validationErrors"]}
        assert {"workflowDef.name", "workflowDef.tasks[0].type"} <= paths
        assert (
            400 == (await device.call("POST", "/metadata/workflow/validate", json={})).status_code
        )
        await device.answer("POST", "/metadata/workflow/validate", json=FLOW)
        assert [] == await device.answer("GET", "/metadata/workflow")

    run(tmp_path, body)


def test_a_task_definition_lives_and_goes(tmp_path: Path) -> None:
    """A list is an upsert of all or none, PUT replaces what exists only."""

    async def body(device: Device) -> None:
        unknown = await device.call("PUT", "/metadata/taskdefs", json=TASK)
        half = await device.call("POST", "/metadata/taskdefs", json=[TASK, {"name": ""}])
        before = await device.answer("GET", "/metadata/taskdefs")
        await device.answer("POST", "/metadata/taskdefs", json=[TASK])
        await device.answer("PUT", "/metadata/taskdefs", json={**TASK, "retryCount": 9})
        shown = await device.answer("GET", "/metadata/taskdefs/work")

        assert (404, "No such task by name work") == (
            unknown.status_code,
            unknown.json()["message"],
        )
        assert (400, []) == (half.status_code, before)
        assert (
            "registerTaskDef.taskDefinitions[1].name" == half.json()["validationErrors"][0]["path"]
        )
        assert (9, 60, "TIME_OUT_WF") == (
            shown["retryCount"],
            shown["responseTimeoutSeconds"],
            shown["timeoutPolicy"],
        )
        await device.answer("DELETE", "/metadata/taskdefs/work")
        gone = await device.call("GET", "/metadata/taskdefs/work")
        assert (404, "No such taskType found by name: work") == (
            gone.status_code,
            gone.json()["message"],
        )
        assert 404 == (await device.call("DELETE", "/metadata/taskdefs/work")).status_code

    run(tmp_path, body)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_list_is_held_against_one_reading_of_the_tasks(tmp_path: Path, method: str) -> None:
    """All task definitions for each of a thousand workflows would be read for minutes."""

    async def body(device: Device) -> None:
        engine, readings = device.house.engine, 0
        read = engine.task_definitions

        async def counted() -> list[TaskDefinition]:
            nonlocal readings
            readings += 1
            return await read()

        engine.task_definitions = counted  # type: ignore[method-assign]
        many = [{**FLOW, "name": f"flow{number}"} for number in range(3)]
        await device.answer(method, "/metadata/workflow", json=many)

        assert (1, 3) == (readings, len(await engine.workflow_definitions()))

    run(tmp_path, body)
