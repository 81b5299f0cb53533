"""Executions on Conductor's wire: start, show, steer."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from edge.transactions import Transaction
from tests.unit.edge.api.device import FLOW, Device, run
from tests.unit.edge.manual_clock import ManualClock

NOBODY = "01a20751-17fa-734f-b298-ae0700000000"


def test_an_execution_is_shown_whole(tmp_path: Path) -> None:
    """Every field that a strict client decodes is there, with its type."""

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await device.started(input={"x": None}, correlationId="c")

        shown = await device.answer("GET", f"/workflow/{workflow_id}")
        bare = await device.answer("GET", f"/workflow/{workflow_id}?includeTasks=False")

        assert ("flow", 1, "RUNNING", {"x": None}, {}) == (
            shown["workflowName"],
            shown["workflowVersion"],
            shown["status"],
            shown["input"],
            shown["output"],
        )
        assert shown["createTime"] == shown["startTime"] > 0
        assert 0 == shown["endTime"]
        assert "flow" == shown["workflowDefinition"]["name"]
        assert ["first"] == [task["referenceTaskName"] for task in shown["tasks"]]
        assert [] == bare["tasks"]
        assert "reasonForIncompletion" not in shown
        assert ([], {}, False) == (shown["history"], shown["variables"], shown["rateLimited"])

    run(tmp_path, body)


def test_a_workflow_is_started_by_name(tmp_path: Path) -> None:
    """The body is the input; the answer is the bare id as text; no body is the empty input."""

    async def body(device: Device) -> None:
        await device.register()

        response = await device.call("POST", "/workflow/flow?correlationId=a%2Fb&priority=3")
        shown = await device.answer("GET", f"/workflow/{response.text}")

        assert "text/plain; charset=utf-8" == response.headers["content-type"]
        assert ({}, "a/b", 3) == (shown["input"], shown["correlationId"], shown["priority"])

    run(tmp_path, body)


def test_a_start_is_read_leniently(tmp_path: Path) -> None:
    """A mark of the encoding may stand before a body, a number where a text is wanted."""

    async def body(device: Device) -> None:
        await device.register()
        content = b'\xef\xbb\xbf{"name":"flow","correlationId":12345,"input":{"n":1}}'
        workflow_id = await device.answer("POST", "/workflow", content=content)
        shown = await device.answer("GET", f"/workflow/{workflow_id}")

        assert ("12345", {"n": 1}) == (shown["correlationId"], shown["input"])

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/workflow", {}, 400),
        ("/workflow", {"name": "unknown"}, 404),
        ("/workflow", {"name": "flow", "version": 9}, 404),
        ("/workflow", {"name": "flow", "priority": 100}, 400),
        ("/workflow", {"name": "flow", "input": []}, 400),
        ("/workflow", {"name": "x", "workflowDef": {"tasks": []}}, 400),
        ("/workflow/flow?version=one", {}, 400),
        ("/workflow/flow", [], 400),
        ("/workflow/search", {}, 404),
    ],
)
def test_a_wrong_start_is_refused(tmp_path: Path, path: str, body: Any, status: int) -> None:
    """Wrong fields get 400, unknown definitions 404; a POST to a GET's path is a start by name."""

    async def check(device: Device) -> None:
        await device.register()
        response = await device.call("POST", path, json=body)

        assert (status, status) == (response.status_code, response.json()["status"])

    run(tmp_path, check)


def test_an_embedded_definition_runs_unregistered(tmp_path: Path) -> None:
    """``workflowDef`` is checked like a registered one and is what is shown afterwards."""

    async def body(device: Device) -> None:
        definition = {**FLOW, "name": "inline", "description": "mine"}
        workflow_id = await device.answer(
            "POST", "/workflow", json={"name": "inline", "workflowDef": definition}
        )

        shown = await device.answer("GET", f"/workflow/{workflow_id}")

        assert "mine" == shown["workflowDefinition"]["description"]
        assert [] == await device.answer("GET", "/metadata/workflow")

    run(tmp_path, body)


def test_the_life_of_an_execution(tmp_path: Path) -> None:
    """Pause, resume, terminate, restart, retry, remove: status codes and empty bodies as theirs."""

    async def body(device: Device) -> None:
        await device.register()
        path = f"/workflow/{await device.started()}"

        codes = []
        for method, verb in (
            ("PUT", "/pause"),
            ("PUT", "/pause"),
            ("PUT", "/resume"),
            ("PUT", "/resume"),
            ("POST", "/restart"),
            ("DELETE", "/remove"),
            ("DELETE", "?reason=enough"),
            ("DELETE", ""),
            ("PUT", "/pause"),
            ("POST", "/retry"),
            ("DELETE", ""),
            ("POST", "/restart?useLatestDefinitions=True"),
        ):
            codes.append((await device.call(method, path + verb, json={})).status_code)

        assert [200, 200, 200, 500, 409, 400, 200, 200, 409, 204, 200, 204] == codes
        shown = await device.answer("GET", f"{path}/status?includeOutput=true")
        assert ("RUNNING", {}) == (shown["status"], shown["output"])
        assert "variables" not in shown
        await device.answer("PUT", f"/workflow/decide/{path[10:]}")
        await device.answer("DELETE", path)
        await device.answer("DELETE", f"{path}/remove?archiveWorkflow=false")
        assert 404 == (await device.call("GET", path)).status_code

    run(tmp_path, body)


def test_tasks_are_paged(tmp_path: Path) -> None:
    """The number of hits counts what is left after the filter."""

    async def body(device: Device) -> None:
        await device.register()
        path = f"/workflow/{await device.started()}/tasks"

        assert 1 == (await device.answer("GET", path))["totalHits"]
        assert 0 == (await device.answer("GET", f"{path}?status=FAILED,COMPLETED"))["totalHits"]
        assert [] == (await device.answer("GET", f"{path}?start=1"))["results"]
        assert 400 == (await device.call("GET", f"{path}?status=ODD")).status_code
        assert 400 == (await device.call("GET", f"{path}?start=-1")).status_code

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/workflow/{NOBODY}"),
        ("GET", "/workflow/not-an-id"),
        ("GET", f"/workflow/{NOBODY}/status"),
        ("PUT", f"/workflow/{NOBODY}/pause"),
        ("DELETE", f"/workflow/{NOBODY}"),
        ("POST", f"/workflow/{NOBODY}/retry"),
        ("GET", f"/tasks/{NOBODY}"),
    ],
)
def test_what_is_not_there_is_404(tmp_path: Path, method: str, path: str) -> None:
    """In the error shape, whatever the verb."""

    async def body(device: Device) -> None:
        response = await device.call(method, path)

        assert (404, 404) == (response.status_code, response.json()["status"])

    run(tmp_path, body)


STARTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("POST", "/workflow", {"name": "flow"}),
    ("POST", "/workflow/flow", {}),
    ("POST", "/workflow/start/flow/1", {}),
    ("POST", "/workflow/execute/flow/1?waitForSeconds=0", {}),
    ("POST", "/workflow/execute/flow", {}),
)
"""Every way to start something."""


def test_a_disk_that_keeps_starts_waiting(tmp_path: Path) -> None:
    """The starts that come then are told when to come again; a result is taken all the same."""
    clock = ManualClock()

    async def body(device: Device) -> None:
        await device.register()
        await device.started()
        task = await device.claimed()
        held, release = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def hold(_: Transaction) -> None:
            loop.call_soon_threadsafe(held.set)
            release.wait(20)

        engine = device.house.engine
        async with asyncio.TaskGroup() as group:
            group.create_task(engine.request(hold))
            await held.wait()
            start = group.create_task(device.call("POST", "/workflow", json={"name": "flow"}))
            while not engine._commits._starts:
                await asyncio.sleep(0)
            clock.pass_s(1)
            refused = [await device.call(how, path, json=body) for how, path, body in STARTS]
            report = group.create_task(device.finish(task))
            while not engine._commits._inbox:
                await asyncio.sleep(0)
            release.set()

        assert [(429, "1")] * 5 == [
            (one.status_code, one.headers["Retry-After"]) for one in refused
        ]
        assert {"overloaded"} == {one.json()["code"] for one in refused}
        assert (200, 200) == (start.result().status_code, report.result().status_code)
        figures = (await device.client.get("/metrics")).text
        assert "baton_starts_refused_total 5" in figures
        assert 200 == (await device.call("POST", "/workflow", json={"name": "flow"})).status_code

    run(tmp_path, body, clock=clock, timers=False)
