"""Executions on Conductor's wire: start, show, steer, search, many at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.edge.api.device import FLOW, Device, run

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
        await device.answer("DELETE", f"{path}/remove")
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


def test_executions_are_found_by_what_they_belong_to(tmp_path: Path) -> None:
    """Running ids, and executions by correlation id, with encoded slashes in it."""

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await device.started(correlationId="order/7 ä")

        (found,) = await device.answer("GET", "/workflow/flow/correlated/order%2F7%20%C3%A4")
        several = await device.answer(
            "POST", "/workflow/flow/correlated", json=["order/7 ä", "none"]
        )
        now = "endTime=9000000000000000&startTime=1"

        assert workflow_id == found["workflowId"]
        assert [] == found["tasks"]
        assert [1, 0] == [len(several["order/7 ä"]), len(several["none"])]
        assert [workflow_id] == await device.answer("GET", f"/workflow/running/flow?{now}")
        assert [] == await device.answer("GET", "/workflow/running/flow?version=2")
        assert [] == await device.answer("GET", "/workflow/running/flow?startTime=1&endTime=2")

    run(tmp_path, body)


def test_search_speaks_conductors_grammar(tmp_path: Path) -> None:
    """Each example of the grammar finds what it should, summaries and whole executions."""

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await device.started(correlationId="abc", input={"needle": 4711})

        for query, hits in (
            ("", 1),
            ("workflowType = 'flow' AND status = 'FAILED'", 0),
            ("workflowType IN (a,flow) AND startTime > 1735689600000", 1),
            ('correlationId="abc" AND status IN (RUNNING,PAUSED)', 1),
            (f"workflowId IN ({workflow_id},id2)", 1),
            ("unknownField=3", 1),
        ):
            found = await device.answer("GET", "/workflow/search", params={"query": query})
            assert hits == found["totalHits"], query

        (line,) = (await device.answer("GET", "/workflow/search?freeText=4711"))["results"]
        assert '{"needle":4711}' == line["input"]
        assert line["startTime"].endswith("Z")
        assert "endTime" not in line
        quoted = await device.answer("GET", f'/workflow/search?freeText="{workflow_id}"')
        assert 1 == quoted["totalHits"]
        whole = await device.answer("GET", "/workflow/search-v2?size=5")
        assert "first" == whole["results"][0]["tasks"][0]["referenceTaskName"]
        for bad in ("query=status ~ 3", "query=status=ODD", "size=5001", "start=-1", "size=1e3"):
            assert 400 == (await device.call("GET", f"/workflow/search?{bad}")).status_code, bad

    run(tmp_path, body)


def test_many_at_once_tell_what_failed(tmp_path: Path) -> None:
    """Always 200; the reason of each failure stands beside its id."""

    async def body(device: Device) -> None:
        await device.register()
        ids = [await device.started(), NOBODY]

        for method, verb in (
            ("PUT", "pause"),
            ("PUT", "resume"),
            ("POST", "terminate?reason=x"),
            ("POST", "retry"),
            ("POST", "terminate"),
            ("POST", "restart?useLatestDefinitions=False"),
        ):
            result = await device.answer(method, f"/workflow/bulk/{verb}", json=ids)
            assert ids[:1] == result["bulkSuccessfulResults"], verb
            assert {NOBODY: f"No such workflow found by id: {NOBODY}"} == result["bulkErrorResults"]
        refused: list[Any] = [[], ["x"] * 1001, [3], {}]
        for wrong in refused:
            response = await device.call("PUT", "/workflow/bulk/pause", json=wrong)
            assert 400 == response.status_code

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
