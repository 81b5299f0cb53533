"""Rerun, skip, jump, upgrade, variables, signals and synchronous execution, as clients call them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.unit.edge.api.device import Device, run


def step(ref: str, kind: str = "SIMPLE", **fields: Any) -> dict[str, Any]:
    """A step whose name is its reference."""
    return {"name": ref, "taskReferenceName": ref, "type": kind, **fields}


async def define(device: Device, name: str, *tasks: dict[str, Any], **fields: Any) -> None:
    """Register a workflow."""
    body = {"name": name, "tasks": list(tasks), **fields}
    await device.answer("POST", "/metadata/workflow?overwrite=true", json=body)


async def start(device: Device, name: str, **fields: Any) -> str:
    """Start a workflow."""
    found: str = await device.answer("POST", "/workflow", json={"name": name, **fields})
    return found


async def states(device: Device, workflow_id: str) -> dict[str, str]:
    """Status of the newest task of each reference, and of the workflow under ``""``."""
    body = await device.answer("GET", f"/workflow/{workflow_id}")
    return {task["referenceTaskName"]: task["status"] for task in body["tasks"]} | {
        "": body["status"]
    }


def test_an_execution_is_rerun(tmp_path: Path) -> None:
    """Whole, or from a task; what cannot be is told with Conductor's status."""

    async def body(device: Device) -> None:
        await define(device, "w", step("a", "HUMAN"), step("b", "HUMAN"))
        one = await start(device, "w", input={"x": 1})
        assert 409 == (await device.call("POST", f"/workflow/{one}/rerun", json={})).status_code
        await device.answer("POST", f"/tasks/{one}/a/COMPLETED", json={})
        await device.answer("POST", f"/tasks/{one}/b/FAILED", json={})
        execution = await device.answer("GET", f"/workflow/{one}")
        task_id = execution["tasks"][-1]["taskId"]
        answered = await device.answer(
            "POST",
            f"/workflow/{one}/rerun",
            json={"reRunFromTaskId": task_id, "taskInput": {"y": 2}},
        )
        again = await device.answer("GET", f"/workflow/{one}")

        assert one == answered == again["reRunFromWorkflowId"]
        assert {"a": "COMPLETED", "b": "IN_PROGRESS", "": "RUNNING"} == await states(device, one)
        assert {"y": 2} == again["tasks"][-1]["inputData"]
        await device.answer("DELETE", f"/workflow/{one}")
        other = await start(device, "w")
        foreign = (await device.answer("GET", f"/workflow/{other}"))["tasks"][0]["taskId"]
        for task in ("nonsense", foreign):
            refused = await device.call(
                "POST", f"/workflow/{one}/rerun", json={"reRunFromTaskId": task}
            )
            assert (400, f"Task {task} not found") == (
                refused.status_code,
                refused.json()["message"],
            )
        await device.answer("POST", f"/workflow/{one}/rerun", json={"workflowInput": {"x": 9}})
        assert {"x": 9} == (await device.answer("GET", f"/workflow/{one}"))["input"]

    run(tmp_path, body)


def test_a_rerun_from_a_childs_task_reaches_the_child(tmp_path: Path) -> None:
    """The execution around it runs again with it."""

    async def body(device: Device) -> None:
        await define(device, "child", step("a", "HUMAN"))
        await define(
            device, "parent", step("c", "SUB_WORKFLOW", subWorkflowParam={"name": "child"})
        )
        parent = await start(device, "parent")
        inner = (await device.answer("GET", f"/workflow/{parent}"))["tasks"][0]["subWorkflowId"]
        await device.answer("POST", f"/tasks/{inner}/a/FAILED", json={})
        task = (await device.answer("GET", f"/workflow/{inner}"))["tasks"][0]["taskId"]
        await device.answer("POST", f"/workflow/{parent}/rerun", json={"reRunFromTaskId": task})

        assert "RUNNING" == (await states(device, parent))[""] == (await states(device, inner))[""]

    run(tmp_path, body)


def test_tasks_are_skipped_and_jumped_to(tmp_path: Path) -> None:
    """What is wrong with the reference is told."""

    async def body(device: Device) -> None:
        await define(device, "w", *(step(ref, "HUMAN") for ref in "abcd"))
        one = await start(device, "w")
        await device.answer("PUT", f"/workflow/{one}/skiptask/b", json={"taskOutput": {"n": 1}})
        assert 500 == (await device.call("PUT", f"/workflow/{one}/skiptask/a")).status_code
        await device.answer("POST", f"/tasks/{one}/a/COMPLETED", json={})
        assert "IN_PROGRESS" == (await states(device, one))["c"]
        await device.answer("POST", f"/workflow/{one}/jump/d", json={"x": 1})
        found = await states(device, one)

        assert {"c": "SKIPPED", "d": "IN_PROGRESS", "b": "SKIPPED"}.items() <= found.items()
        assert 400 == (await device.call("POST", f"/workflow/{one}/jump/x", json={})).status_code
        two = await start(device, "w")
        await device.answer("POST", f"/workflow/{two}/jump?taskReferenceName=d", json={})
        assert "IN_PROGRESS" == (await states(device, two))["d"]

    run(tmp_path, body)


def test_a_definition_is_exchanged_under_way(tmp_path: Path) -> None:
    """Without a name, or with an unknown one, nothing happens."""

    async def body(device: Device) -> None:
        await define(device, "w", step("a", "HUMAN"), step("b", "HUMAN"))
        one = await start(device, "w")
        await define(device, "w", step("new"), step("a", "HUMAN"), step("z", "HUMAN"), version=2)
        request = {"name": "w", "version": 2, "taskOutput": {"new": {"n": 1}}}
        await device.answer("POST", f"/workflow/{one}/upgrade", json=request)
        await device.answer("POST", f"/tasks/{one}/a/COMPLETED", json={})

        assert {"new": "SKIPPED", "a": "COMPLETED", "z": "IN_PROGRESS", "": "RUNNING"} == (
            await states(device, one)
        )
        assert 2 == (await device.answer("GET", f"/workflow/{one}"))["workflowVersion"]
        for body, status in (({}, 400), ({"name": "nobody"}, 404)):
            answer = await device.call("POST", f"/workflow/{one}/upgrade", json=body)
            assert status == answer.status_code

    run(tmp_path, body)


def test_variables_and_tasks_are_updated_together(tmp_path: Path) -> None:
    """The answer says where the execution has got to."""

    async def body(device: Device) -> None:
        await define(device, "w", step("a", "HUMAN"), step("y", "YIELD"), variables={"v": 0})
        one = await start(device, "w")
        whole = await device.answer("POST", f"/workflow/{one}/variables", json={"v": 1, "u": [1]})
        assert {"v": 1, "u": [1]} == whole["variables"]
        request = {
            "taskReferenceName": "a",
            "taskResult": {"status": "COMPLETED", "outputData": {"n": 1}},
            "variables": {"v": 2},
        }
        run_ = await device.answer("POST", f"/workflow/{one}/state?waitForSeconds=5", json=request)

        assert ("RUNNING", {"v": 2, "u": [1]}) == (run_["status"], run_["variables"])
        assert "IN_PROGRESS" == (await states(device, one))["y"]
        missing = {**request, "taskReferenceName": "nowhere"}
        answer = await device.call("POST", f"/workflow/{one}/state", json=missing)
        assert 404 == answer.status_code
        await device.answer("DELETE", f"/workflow/{one}")
        closed = await device.call("POST", f"/workflow/{one}/variables", json={})
        assert 409 == closed.status_code

    run(tmp_path, body)


def test_callbacks_are_reset(tmp_path: Path) -> None:
    """A task that waits for its worker's delay is handed out at once."""

    async def body(device: Device) -> None:
        await device.register()
        one = await device.started()
        task = await device.claimed()
        await device.finish(task, status="IN_PROGRESS", callbackAfterSeconds=600)
        assert [] == await device.answer("GET", "/tasks/poll/batch/work")
        reset = await device.call("POST", f"/workflow/{one}/resetcallbacks")
        assert 204 == reset.status_code
        assert task["taskId"] == (await device.claimed())["taskId"]
        await device.answer("DELETE", f"/workflow/{one}")
        assert 409 == (await device.call("POST", f"/workflow/{one}/resetcallbacks")).status_code

    run(tmp_path, body)


def test_a_synchronous_execution_ends_or_blocks(tmp_path: Path) -> None:
    """It answers at the end, at a task that waits for a signal, at a reference, or in time."""

    async def body(device: Device) -> None:
        noop = step("n", "NOOP")
        await define(device, "done", noop, outputParameters={"x": "${workflow.input.x}"})
        await define(device, "blocked", noop, step("y", "YIELD", inputParameters={"q": 1}))
        await define(device, "timed", step("w", "WAIT", inputParameters={"duration": "1 hour"}))
        await define(device, "named", step("h", "HUMAN"), step("z", "HUMAN"))
        done = await device.answer(
            "POST", "/workflow/execute/done/1?requestId=r1", json={"input": {"x": 5}}
        )
        assert ("COMPLETED", {"x": 5}, "r1", False, "TARGET_WORKFLOW") == (
            done["status"], done["output"], done["requestId"], done["signalTimeout"],
            done["responseType"],
        )  # fmt: skip
        task = await device.answer(
            "POST", "/workflow/execute/blocked/0?returnStrategy=BLOCKING_TASK", json={}
        )
        assert ("y", {"q": 1}, "RUNNING") == (
            task["referenceTaskName"], task["input"], task["targetWorkflowStatus"],
        )  # fmt: skip
        late = await device.answer("POST", "/workflow/execute/timed/1?waitForSeconds=0", json={})
        assert (True, "RUNNING") == (late["signalTimeout"], late["status"])
        waiting = asyncio.ensure_future(
            device.answer(
                "POST", "/workflow/execute/named/1?waitUntilTaskRef=h&waitForSeconds=20", json={}
            )
        )
        while not (ids := await device.answer("GET", "/workflow/running/named")):
            await asyncio.sleep(0)
        await device.answer("POST", f"/tasks/{ids[0]}/h/COMPLETED", json={})
        assert "COMPLETED" == (await waiting)["tasks"][0]["status"]
        for path, status in (
            ("/workflow/execute/nobody/1", 404),
            ("/workflow/execute/done/x", 400),
            ("/workflow/execute/done/1?returnStrategy=ALL", 400),
        ):
            assert status == (await device.call("POST", path, json={})).status_code

    run(tmp_path, body)


def test_a_workflow_serves_as_an_api(tmp_path: Path) -> None:
    """Body in, output out; the key makes it once."""

    async def body(device: Device) -> None:
        await define(
            device, "echo", step("n", "NOOP"), outputParameters={"x": "${workflow.input.x}"}
        )
        headers = {"X-Idempotency-key": "k", "X-on-conflict": "RETURN_EXISTING"}
        first = await device.answer(
            "POST", "/workflow/execute/echo", json={"x": 1}, headers=headers
        )
        second = await device.answer(
            "POST", "/workflow/execute/echo", json={"x": 2}, headers=headers
        )
        empty = await device.answer("GET", "/workflow/execute/echo?version=1")

        assert {"x": 1} == first == second
        assert {"x": None} == empty
        for text in (b"x", b"\xb2"):
            given = {b"waitForSeconds": text}
            odd = await device.call("GET", "/workflow/execute/echo", headers=given)
            assert 400 == odd.status_code
        started = await device.call("POST", "/workflow/start/echo/1", json={"x": 3})
        assert 200 == started.status_code

    run(tmp_path, body)


def test_signals_find_the_task_that_waits(tmp_path: Path) -> None:
    """The execution's own first, then those inside it; each form answers in its own way."""

    async def body(device: Device) -> None:
        await define(device, "child", step("y1", "YIELD"), step("y2", "WAIT"))
        await define(
            device, "parent", step("c", "SUB_WORKFLOW", subWorkflowParam={"name": "child"})
        )
        parent = await start(device, "parent")
        path = f"/tasks/{parent}/COMPLETED/signal"
        run_ = await device.answer(
            "POST", f"{path}/sync?returnStrategy=BLOCKING_WORKFLOW", json={"go": 1}
        )
        assert ("BLOCKING_WORKFLOW", parent, "RUNNING") == (
            run_["responseType"], run_["targetWorkflowId"], run_["targetWorkflowStatus"],
        )  # fmt: skip
        assert parent != run_["workflowId"]
        assert {"go": 1} == run_["tasks"][0]["outputData"]
        nothing = await device.call(
            "POST", f"{path}/sync?returnStrategy=BLOCKING_TASK_INPUT", json={}
        )
        assert (200, b"") == (nothing.status_code, nothing.content)
        assert "COMPLETED" == (await states(device, parent))[""]
        again = await device.call("POST", f"{path}/sync", json={})
        assert (404, f"Found no blocked task in workflow {parent} to signal") == (
            again.status_code, again.json()["message"],
        )  # fmt: skip
        assert 200 == (await device.call("POST", path, json={})).status_code
        odd = await device.call("POST", f"/tasks/{parent}/SKIPPED/signal", json={})
        assert 400 == odd.status_code

    run(tmp_path, body)


def test_in_a_loop_a_reference_means_the_latest_iteration(tmp_path: Path) -> None:
    """Clients need not know the suffix."""

    async def body(device: Device) -> None:
        loop = step(
            "l", "DO_WHILE", loopOver=[step("h", "HUMAN")], loopCondition="$.l.iteration < 2"
        )
        await define(device, "w", loop)
        one = await start(device, "w")
        for _ in range(2):
            assert await device.answer("POST", f"/tasks/{one}/h/COMPLETED", json={})

        assert "COMPLETED" == (await states(device, one))[""]

    run(tmp_path, body)


def test_a_failed_child_is_resumed(tmp_path: Path) -> None:
    """The flag of the retry reaches the engine, and a terminate may start the failure workflow."""

    async def body(device: Device) -> None:
        await define(device, "cleanup", step("s", "HUMAN"))
        await define(device, "child", step("a", "HUMAN"), failureWorkflow="cleanup")
        await define(
            device, "parent", step("c", "SUB_WORKFLOW", subWorkflowParam={"name": "child"})
        )
        parent = await start(device, "parent")
        inner = (await device.answer("GET", f"/workflow/{parent}"))["tasks"][0]["subWorkflowId"]
        await device.answer("DELETE", f"/workflow/{inner}?triggerFailureWorkflow=true&reason=x")
        assert 1 == len(await device.answer("GET", "/workflow/running/cleanup"))
        answer = await device.call("POST", f"/workflow/{parent}/retry?resumeSubworkflowTasks=True")
        assert 204 == answer.status_code
        body = await device.answer("GET", f"/workflow/{parent}")
        assert inner == body["tasks"][-1]["subWorkflowId"]
        assert "RUNNING" == (await states(device, inner))[""]
        assert parent == (await device.answer("GET", f"/workflow/{inner}"))["parentWorkflowId"]

    run(tmp_path, body)
