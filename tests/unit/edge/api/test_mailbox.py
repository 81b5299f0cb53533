"""Messages to running executions, over HTTP."""

from __future__ import annotations

from pathlib import Path

from tests.unit.edge.api.device import Device, run

_PULL = {"name": "p", "taskReferenceName": "p", "type": "PULL_WORKFLOW_MESSAGES"}


def test_a_message_is_pushed_and_pulled(tmp_path: Path) -> None:
    """The answer is the message's id as text; the waiting task has the message by then."""

    async def body(device: Device) -> None:
        await device.answer("POST", "/metadata/workflow", json={"name": "w", "tasks": [_PULL]})
        workflow_id = await device.answer("POST", "/workflow", json={"name": "w"})
        pushed = await device.call("POST", f"/workflow/{workflow_id}/messages", json={"a": [1]})
        workflow = await device.answer("GET", f"/workflow/{workflow_id}")
        late = await device.call("POST", f"/workflow/{workflow_id}/messages", json={})
        unknown = await device.call("POST", "/workflow/none/messages", json={})
        wrong = await device.call("POST", f"/workflow/{workflow_id}/messages", json=[1])

        (message,) = workflow["tasks"][0]["outputData"]["messages"]
        assert (200, "text/plain; charset=utf-8") == (
            pushed.status_code,
            pushed.headers["content-type"],
        )
        assert (pushed.text, {"a": [1]}) == (message["id"], message["payload"])
        assert (409, 404, 400) == (late.status_code, unknown.status_code, wrong.status_code)
        assert "Workflow not found: none" == unknown.json()["message"]

    run(tmp_path, body)
