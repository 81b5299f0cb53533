"""Workflow tests: made-up results, real flow, and nothing that stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge import rehearsal
from edge.lookups import Lookups
from edge.rehearsal import Rehearsals
from tests.evaluators import EVALUATORS
from tests.unit.edge.api.device import Device, run


def step(ref: str, kind: str = "SIMPLE", **fields: Any) -> dict[str, Any]:
    """A step whose name is its reference."""
    return {"name": ref, "taskReferenceName": ref, "type": kind, **fields}


async def define(device: Device, name: str, *tasks: dict[str, Any], **fields: Any) -> None:
    """Register a workflow."""
    body = {"name": name, "tasks": list(tasks), **fields}
    await device.answer("POST", "/metadata/workflow?overwrite=true", json=body)


async def tried(device: Device, name: str, mocks: Any = None, **fields: Any) -> Any:
    """The execution that a test request comes to."""
    device.house.rehearsals = Rehearsals(device.house.engine, EVALUATORS, Lookups())
    body = {"name": name, "taskRefToMockOutput": mocks or {}, **fields}
    return await device.answer("POST", "/workflow/test", json=body)


def rows(execution: Any) -> list[str]:
    """Reference and status of each task."""
    return [f"{task['referenceTaskName']} {task['status']}" for task in execution["tasks"]]


def test_a_workflow_runs_on_made_up_results(tmp_path: Path) -> None:
    """Operators are real, results are used up one attempt after the other, nothing is kept."""

    async def body(device: Device) -> None:
        await device.answer("POST", "/metadata/taskdefs", json=[{"name": "a", "retryCount": 1}])
        switch = step(
            "s", "SWITCH", evaluatorType="javascript", expression="$.n > 1 ? 'big' : 'small'",
            inputParameters={"n": "${a.output.n}"}, decisionCases={"big": [step("b")]},
        )  # fmt: skip
        await define(
            device,
            "w",
            step("a"),
            switch,
            step("h", "HTTP", inputParameters={"uri": "http://x", "method": "GET"}),
        )
        mocks = {
            "a": [{"status": "FAILED"}, {"status": "COMPLETED", "output": {"n": 2}}],
            "b": [{}],
            "h": [{"output": {"response": {"statusCode": 200}}}],
        }
        found = await tried(device, "w", mocks, input={"x": 1})

        assert "COMPLETED" == found["status"]
        assert ["a FAILED", "a COMPLETED", "s COMPLETED", "b COMPLETED", "h COMPLETED"] == rows(
            found
        )
        assert 0 == (await device.answer("GET", "/workflow/search"))["totalHits"]
        assert 404 == (await device.call("GET", f"/workflow/{found['workflowId']}")).status_code
        assert [] == await device.answer("GET", "/tasks/poll/batch/a?timeout=0")

    run(tmp_path, body)


def test_a_task_without_a_result_stops_it(tmp_path: Path) -> None:
    """What has been reached is the answer."""

    async def body(device: Device) -> None:
        await define(device, "w", step("a"), step("b"))

        found = await tried(device, "w", {"a": [{"output": {"n": 1}}]})
        assert ("RUNNING", ["a COMPLETED", "b SCHEDULED"]) == (found["status"], rows(found))

    run(tmp_path, body)


def test_loops_branches_and_children(tmp_path: Path) -> None:
    """By the name with its suffix, or one after the other; children have results of their own."""

    async def body(device: Device) -> None:
        await define(device, "child", step("a"), outputParameters={"n": "${a.output.n}"})
        loop = step("l", "DO_WHILE", loopOver=[step("s")], loopCondition="$.l.iteration < 2")
        named = step("m", "DO_WHILE", loopOver=[step("t")], loopCondition="$.m.iteration < 2")
        inner = step("c", "SUB_WORKFLOW", subWorkflowParam={"name": "child"})
        wait = step("w", "WAIT", inputParameters={"duration": "1 hour"})
        await define(device, "w", loop, named, inner, wait)
        mocks = {
            "s": [{"output": {"i": 1}}, {"output": {"i": 2}}],
            "t__1": [{"output": {"i": 1}}],
            "t__2": [{"output": {"i": 2}}],
            "w": [{}],
        }
        inside = {"c": {"name": "child", "taskRefToMockOutput": {"a": [{"output": {"n": 7}}]}}}
        found = await tried(device, "w", mocks, subWorkflowTestRequest=inside)
        tasks = {task["referenceTaskName"]: task for task in found["tasks"]}

        assert "COMPLETED" == found["status"]
        assert {"i": 2} == tasks["l"]["outputData"]["2"]["s"] == tasks["m"]["outputData"]["2"]["t"]
        assert 7 == tasks["c"]["outputData"]["n"]

    run(tmp_path, body)


def test_an_inline_definition_and_its_timeouts(tmp_path: Path) -> None:
    """Times are made up as well: queues, runs, and the delays between attempts."""

    async def body(device: Device) -> None:
        slow: dict[str, Any] = {"name": "a", "retryCount": 0, "responseTimeoutSeconds": 5}
        patient = {**slow, "pollTimeoutSeconds": 5, "timeoutPolicy": "RETRY"}
        for settings, mock in (
            (slow, {"executionTime": 6_000}),
            (patient, {"queueWaitTime": 6_000}),
            ({**slow, "timeoutSeconds": 6}, {"executionTime": 7_000}),
        ):
            inline = {"name": "w", "tasks": [step("a", taskDefinition=settings)]}
            found = await tried(device, "w", {"a": [mock]}, workflowDef=inline)
            assert ("TIMED_OUT", ["a TIMED_OUT"]) == (found["status"], rows(found))
        definition = {
            "name": "w", "tasks": [step("a")], "timeoutSeconds": 60, "timeoutPolicy": "TIME_OUT_WF",
        }  # fmt: skip
        found = await tried(device, "w", {"a": [{"executionTime": 61_000}]}, workflowDef=definition)
        assert "TIMED_OUT" == found["status"]

    run(tmp_path, body)


def test_what_cannot_be_tested(tmp_path: Path) -> None:
    """An unknown workflow, a status that is none, and a body of another shape."""

    async def body(device: Device) -> None:
        await define(device, "w", step("a"))
        assert 500 == (await device.call("POST", "/workflow/test", json={"name": "w"})).status_code
        device.house.rehearsals = Rehearsals(device.house.engine, EVALUATORS, Lookups())
        for request, status in (
            ({"name": "nobody"}, 404),
            ({"name": "w", "taskRefToMockOutput": {"a": [{"status": "DONE"}]}}, 400),
            ({"name": "w", "taskRefToMockOutput": {"a": {}}}, 400),
            ({"name": "w", "subWorkflowTestRequest": {"c": 5}}, 400),
            ({}, 400),
        ):
            answer = await device.call("POST", "/workflow/test", json=request)
            assert status == answer.status_code, answer.text

    run(tmp_path, body)


def test_registered_schemas_are_enforced(tmp_path: Path) -> None:
    """As on the device: a name stands for what is registered under it."""

    async def body(device: Device) -> None:
        data = {"properties": {"n": {"type": "integer"}}}
        schema = {"name": "s", "version": 1, "type": "JSON", "data": data}
        await device.answer("POST", "/schema", json=[schema])
        named = {"outputSchema": {"name": "s", "version": 1, "type": "JSON"}, "enforceSchema": True}
        settings = {"name": "a", "retryCount": 0, **named}
        inline = {"name": "w", "tasks": [step("a", taskDefinition=settings)]}

        right = await tried(device, "w", {"a": [{"output": {"n": 1}}]}, workflowDef=inline)
        wrong = await tried(device, "w", {"a": [{"output": {"n": "one"}}]}, workflowDef=inline)
        assert ("COMPLETED", "FAILED") == (right["status"], wrong["status"])
        assert "outputData.n" in wrong["reasonForIncompletion"]

    run(tmp_path, body)


@pytest.mark.parametrize("field", ["executionTime", "queueWaitTime"])
def test_no_result_takes_for_ever(tmp_path: Path, field: str) -> None:
    """Time that no database could count is refused, by the name of its field."""

    async def body(device: Device) -> None:
        await define(device, "w", step("a"))
        device.house.rehearsals = Rehearsals(device.house.engine, EVALUATORS, Lookups())
        for ms in (2**62, 10**15):
            request = {"name": "w", "taskRefToMockOutput": {"a": [{field: ms}]}}
            answer = await device.call("POST", "/workflow/test", json=request)
            assert 400 == answer.status_code
            assert f"as its {field}" in answer.json()["message"]

    run(tmp_path, body)


def test_a_loop_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bounded time, while the device goes on."""
    monkeypatch.setattr(rehearsal, "_LIMIT_S", 0.3)

    async def body(device: Device) -> None:
        loop = step(
            "l", "DO_WHILE", loopOver=[step("n", "NOOP")],
            inputParameters={"k": True, "keepLastN": 1}, evaluatorType="value-param",
            loopCondition="k",
        )  # fmt: skip
        await define(device, "endless", loop)
        device.house.rehearsals = Rehearsals(device.house.engine, EVALUATORS, Lookups())
        answer = await device.call("POST", "/workflow/test", json={"name": "endless"})

        assert 400 == answer.status_code
        assert "has not come to an end" in answer.json()["message"]

    run(tmp_path, body)
