"""Masked values: shown to the worker, and to nobody who looks at an execution."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.unit.edge.api.device import Device, run

HIDDEN = "s3cr3t-0815"
FLOW = {
    "name": "flow",
    "maskedFields": ["pin"],
    "variables": {"pin": HIDDEN, "word": "pin"},
    "tasks": [
        {
            "name": "work",
            "taskReferenceName": "first",
            "inputParameters": {
                "pin": "${workflow.input.pin}",
                "_secrets": {"token": "${workflow.input._secrets.token}"},
                "open": "${workflow.input.open}",
            },
        }
    ],
    "outputParameters": {"pin": "${first.output.pin}", "_masked": "${first.output.note}"},
}
INPUT = {"pin": HIDDEN, "_secrets": {"token": HIDDEN}, "open": [{"pin": HIDDEN}, 1]}


def test_every_read_is_masked_and_the_worker_is_not(tmp_path: Path) -> None:
    """Executions, tasks, searches, status; polls and the engine itself have the values."""

    async def body(device: Device) -> None:
        await device.answer("POST", "/metadata/workflow", json=FLOW)
        workflow_id = await device.started(input=INPUT)
        handed = await device.claimed()
        assert {**INPUT} == handed["inputData"]
        output = {"pin": HIDDEN, "note": {"a": HIDDEN}, "_masked": HIDDEN}
        await device.finish(handed, outputData=output)

        shown = await device.answer("GET", f"/workflow/{workflow_id}")
        assert {"pin": "***", "_secrets": "***", "open": [{"pin": "***"}, 1]} == shown["input"]
        assert {"pin": "***", "_masked": "***"} == shown["output"]
        assert {"pin": "***", "word": "pin"} == shown["variables"]
        (task,) = shown["tasks"]
        assert {"pin": "***", "_secrets": "***", "open": [{"pin": "***"}, 1]} == task["inputData"]
        assert {"pin": "***", "_masked": "***", "note": {"a": HIDDEN}} == task["outputData"]
        status = f"/workflow/{workflow_id}/status?includeOutput=true&includeVariables=true"
        for path in (
            "/workflow/search",
            "/workflow/search?query=workflowType%3Dflow",
            status,
        ):
            assert HIDDEN not in (await device.call("GET", path)).text
        found = (await device.answer("GET", "/workflow/search"))["results"][0]
        assert len(found["input"]) < found["inputSize"]

    run(tmp_path, body)


def test_history_that_goes_up_is_masked(tmp_path: Path) -> None:
    """A control plane shows executions, too."""

    async def body(device: Device) -> None:
        await device.answer("POST", "/metadata/workflow", json=FLOW)
        await device.started(input=INPUT)
        handed = await device.claimed()
        await device.finish(handed, outputData={"pin": HIDDEN})

    run(tmp_path, body, syncing=True)
    with sqlite3.connect(tmp_path / "baton.db") as connection:
        bodies = [row[0] for row in connection.execute("SELECT body FROM history")]
    connection.close()

    assert any(b"***" in one for one in bodies)
    assert not any(HIDDEN.encode() in one for one in bodies)


def test_another_definition_has_other_masks(tmp_path: Path) -> None:
    """A restart by the latest definition is shown by its fields."""

    async def body(device: Device) -> None:
        await device.answer("POST", "/metadata/workflow", json={**FLOW, "maskedFields": []})
        workflow_id = await device.started(input=INPUT)
        await device.call("DELETE", f"/workflow/{workflow_id}")
        await device.answer("PUT", "/metadata/workflow", json=[FLOW])
        before = await device.answer("GET", f"/workflow/{workflow_id}")
        await device.answer("POST", f"/workflow/{workflow_id}/restart?useLatestDefinitions=true")
        after = await device.answer("GET", f"/workflow/{workflow_id}")

        assert [HIDDEN, "***"] == [before["input"]["pin"], after["input"]["pin"]]

    run(tmp_path, body)
