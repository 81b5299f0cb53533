"""``/api/schema``, and what is enforced through the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.edge.api.device import Device, run

DATA = {"properties": {"n": {"type": "integer"}}, "required": ["n"]}
SCHEMA = {"name": "num", "version": 1, "type": "JSON", "data": DATA}


def test_schemas_are_kept_read_and_forgotten(tmp_path: Path) -> None:
    """One or a list, by version or the latest."""

    async def body(device: Device) -> None:
        put = await device.call("POST", "/schema", json=SCHEMA)
        assert (200, b"") == (put.status_code, put.content)
        await device.answer("POST", "/schema?newVersion=True", json=[SCHEMA])
        avro = {"name": "other", "type": "AVRO", "externalRef": "https://x.invalid"}
        await device.answer("POST", "/schema", json=[avro])

        latest = await device.answer("GET", "/schema/num")
        assert {**SCHEMA, "version": 2} == {key: latest[key] for key in SCHEMA}
        assert latest["createTime"] == latest["updateTime"]
        assert "createdBy" not in latest
        assert 1 == (await device.answer("GET", "/schema/num/1"))["version"]
        every = await device.answer("GET", "/schema")
        assert [("num", 1), ("num", 2), ("other", 1)] == [(s["name"], s["version"]) for s in every]
        await device.answer("DELETE", "/schema/num/2")
        assert 1 == (await device.answer("GET", "/schema/num"))["version"]
        await device.answer("DELETE", "/schema/num")
        for method in ("GET", "DELETE"):
            assert 404 == (await device.call(method, "/schema/num")).status_code
            assert 404 == (await device.call(method, "/schema/num/1")).status_code
            assert 400 == (await device.call(method, "/schema/num/x")).status_code

    run(tmp_path, body)


def test_what_cannot_be_enforced_is_refused(tmp_path: Path) -> None:
    """All of a list or none; the path names which."""

    async def body(device: Device) -> None:
        wrong = {"name": "bad", "data": {"pattern": "(?=x)"}}
        refused = await device.call("POST", "/schema", json=[SCHEMA, wrong])

        assert 400 == refused.status_code
        (fault,) = refused.json()["validationErrors"]
        assert "schema[1].data" == fault["path"]
        assert [] == await device.answer("GET", "/schema")
        assert 400 == (await device.call("POST", "/schema", json=[SCHEMA] * 1_001)).status_code

    run(tmp_path, body)


def test_definitions_with_schemas_of_their_own_are_checked(tmp_path: Path) -> None:
    """A schema that is written into a definition is refused with it; a name may be known later."""
    wrong = {"data": {"type": "nonsense"}}
    step: dict[str, Any] = {"name": "t", "taskReferenceName": "t"}
    inner = {**step, "taskDefinition": {"name": "t", "outputSchema": wrong}}
    switch = {
        "name": "s", "taskReferenceName": "s", "type": "SWITCH", "evaluatorType": "value-param",
        "expression": "x", "decisionCases": {"a": [inner]},
    }  # fmt: skip

    async def body(device: Device) -> None:
        for document, path in (
            ({"name": "w", "tasks": [step], "inputSchema": wrong}, "workflowDef.inputSchema.data"),
            ({"name": "w", "tasks": [switch]}, "t.taskDefinition.outputSchema.data"),
        ):
            refused = await device.call("POST", "/metadata/workflow", json=document)
            assert (400, [path]) == (
                refused.status_code, [one["path"] for one in refused.json()["validationErrors"]]
            )  # fmt: skip
        refused = await device.call(
            "POST", "/metadata/taskdefs", json=[{"name": "t", "inputSchema": wrong}]
        )
        assert 400 == refused.status_code
        later = {"name": "w", "tasks": [step], "inputSchema": {"name": "later"}}
        await device.answer("POST", "/metadata/workflow", json=later)
        shown = await device.answer("GET", "/metadata/workflow/w")
        assert {"name": "later", "type": "JSON"} == shown["inputSchema"]

    run(tmp_path, body)


def test_a_wrong_input_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    """400 with the path of each fault; a right one starts; a later version meets later starts."""
    flow = {
        "name": "flow",
        "tasks": [{"name": "work", "taskReferenceName": "first"}],
        "inputSchema": {"name": "num"},
    }

    async def body(device: Device) -> None:
        await device.answer("POST", "/metadata/workflow", json=flow)
        refused = await device.call("POST", "/workflow/flow", json={"n": 1})
        assert "not registered" in refused.json()["validationErrors"][0]["message"]
        await device.answer("POST", "/schema", json=SCHEMA)
        refused = await device.call("POST", "/workflow", json={"name": "flow", "input": {"n": "x"}})
        assert (400, "validation_failed") == (refused.status_code, refused.json()["code"])
        assert ["input.n"] == [one["path"] for one in refused.json()["validationErrors"]]
        assert 0 == (await device.answer("GET", "/workflow/search"))["totalHits"]
        started = await device.answer("POST", "/workflow", json={"name": "flow", "input": {"n": 1}})
        run_ = await device.answer("GET", f"/workflow/{started}")
        assert DATA == run_["workflowDefinition"]["inputSchema"]["data"]
        strict = {**SCHEMA, "data": {"maxProperties": 0}}
        await device.answer("POST", "/schema?newVersion=true", json=strict)
        refused = await device.call("POST", "/workflow", json={"name": "flow", "input": {"n": 1}})
        assert 400 == refused.status_code

    run(tmp_path, body)


def test_a_worker_with_a_wrong_output_fails_its_task(tmp_path: Path) -> None:
    """The update is taken; the task's fate says why."""
    task = {
        "name": "work",
        "retryCount": 3,
        "outputSchema": {"name": "num", "version": 1},
        "enforceSchema": True,
    }

    async def body(device: Device) -> None:
        await device.register()
        await device.answer("POST", "/schema", json=SCHEMA)
        await device.answer("POST", "/metadata/taskdefs", json=[task])
        workflow_id = await device.started(input={"x": 1})
        claimed = await device.claimed()
        assert 200 == (await device.finish(claimed, outputData={"n": "x"})).status_code
        ended = await device.answer("GET", f"/workflow/{workflow_id}")

        assert "FAILED" == ended["status"]
        assert "FAILED_WITH_TERMINAL_ERROR" == ended["tasks"][0]["status"]
        assert "outputData.n" in ended["tasks"][0]["reasonForIncompletion"]

    run(tmp_path, body)


def test_a_child_with_a_wrong_input_fails_the_task_that_wants_it(tmp_path: Path) -> None:
    """The parent learns which field it was."""
    child = {
        "name": "child",
        "tasks": [{"name": "work", "taskReferenceName": "w"}],
        "inputSchema": {"data": DATA},
    }
    parent = {
        "name": "parent",
        "tasks": [
            {
                "name": "sub",
                "taskReferenceName": "sub",
                "type": "SUB_WORKFLOW",
                "subWorkflowParam": {"name": "child"},
                "inputParameters": {"n": "x"},
            }
        ],
    }

    async def body(device: Device) -> None:
        await device.answer("POST", "/metadata/workflow", json=child)
        await device.answer("POST", "/metadata/workflow", json=parent)
        workflow_id = await device.answer("POST", "/workflow/parent", json={})
        ended = await device.answer("GET", f"/workflow/{workflow_id}")

        assert "FAILED" == ended["status"]
        reason = ended["tasks"][0]["reasonForIncompletion"]
        assert 'input.n: the value is not of type "integer"' in reason
        assert 1 == (await device.answer("GET", "/workflow/search"))["totalHits"]

    run(tmp_path, body)
