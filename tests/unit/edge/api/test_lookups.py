"""Searches and look-ups on Conductor's wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.model.executions import Workflow
from tests.unit.edge.api.device import FLOW, Device, run


def test_executions_are_found_by_what_they_belong_to(tmp_path: Path) -> None:
    """Running ids, and executions by correlation id, with encoded slashes in it."""

    async def body(device: Device) -> None:
        await device.register()
        await device.answer("POST", "/metadata/workflow", json={**FLOW, "name": "other"})
        workflow_id = await device.started(correlationId="order/7 ä")
        other = await device.started(name="other", correlationId="order/7 ä")
        await device.answer("DELETE", f"/workflow/{other}")

        (found,) = await device.answer("GET", "/workflow/flow/correlated/order%2F7%20%C3%A4")
        several = await device.answer(
            "POST", "/workflow/flow/correlated", json=["order/7 ä", "none"]
        )
        asked = {"workflowNames": ["flow", "other"], "correlationIds": ["order/7 ä", "none"]}
        running = await device.answer("POST", "/workflow/correlated/batch", json=asked)
        closed = await device.answer(
            "POST", "/workflow/correlated/batch?includeClosed=True&includeTasks=True", json=asked
        )
        now = "endTime=9000000000000000&startTime=1"

        assert workflow_id == found["workflowId"]
        assert [] == found["tasks"]
        assert [1, 0] == [len(several["order/7 ä"]), len(several["none"])]
        assert [1, 0] == [len(running["order/7 ä"]), len(running["none"])]
        assert [workflow_id, other] == [one["workflowId"] for one in closed["order/7 ä"]]
        assert 1 == len(closed["order/7 ä"][0]["tasks"])
        assert [workflow_id] == await device.answer("GET", f"/workflow/running/flow?{now}")
        assert [] == await device.answer("GET", "/workflow/running/flow?version=2")
        assert [] == await device.answer("GET", "/workflow/running/flow?startTime=1&endTime=2")
        wrongs: list[Any] = [{}, {"workflowNames": "flow", "correlationIds": ["x"]}]
        for wrong in wrongs:
            response = await device.call("POST", "/workflow/correlated/batch", json=wrong)
            assert 400 == response.status_code
            assert "workflowNames" in response.json()["message"]
        assert 400 == (await device.call("POST", "/workflow/flow/correlated", json=[])).status_code

    run(tmp_path, body)


def test_a_batch_has_an_end(tmp_path: Path) -> None:
    """Each name is looked up with each id."""

    async def body(device: Device) -> None:
        names, ids = [f"w{number}" for number in range(40)], [f"c{one}" for one in range(26)]
        asked = {"workflowNames": names, "correlationIds": ids}
        refused = await device.call("POST", "/workflow/correlated/batch", json=asked)
        answered = await device.call(
            "POST", "/workflow/correlated/batch", json={**asked, "correlationIds": ids[:25]}
        )

        assert (400, 200) == (refused.status_code, answered.status_code)
        for word in ("workflowNames", "correlationIds", "40", "26", "1000"):
            assert word in refused.json()["message"]

    run(tmp_path, body)


def test_one_that_goes_meanwhile_is_left_out(tmp_path: Path) -> None:
    """The others that belong together are answered all the same."""

    async def body(device: Device) -> None:
        await device.register()
        gone, left = [await device.started(correlationId="c") for _ in range(2)]
        engine = device.house.engine
        correlated = engine.correlated

        async def slow(name: str, correlation_id: str, *, include_closed: bool) -> list[Workflow]:
            found = await correlated(name, correlation_id, include_closed=include_closed)
            await engine.remove(gone)
            return found

        engine.correlated = slow  # type: ignore[method-assign]
        found = await device.answer("GET", "/workflow/flow/correlated/c")

        assert [left] == [one["workflowId"] for one in found]

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("query", "hits"),
    [
        ("", 1),
        ("workflowType = 'flow' AND status = 'FAILED'", 0),
        ("workflowType IN (a,flow) AND startTime > 1735689600000 AND startTime < 9767225600000", 1),
        ('correlationId="abc" AND status IN (RUNNING,PAUSED)', 1),
        ('status="RUNNING" AND workflowType="flow"', 1),
        ("workflowId IN ({id},id2)", 1),
        ("startTime > 2020-01-01 AND endTime IS NULL AND version = 1", 1),
        ("workflowType = FL* AND NOT (status = FAILED OR priority > 3)", 1),
        ("unknownField=3", 1),
        ("status = ODD", 0),
    ],
)
def test_the_grammars_examples_find_what_they_should(tmp_path: Path, query: str, hits: int) -> None:
    """Every example of the contract, summaries and whole executions."""

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await device.started(correlationId="abc", input={"needle": 4711})
        options = {
            "params": {
                "query": query.format(id=workflow_id),
                "freeText": "*",
                "sort": "startTime:DESC",
                "start": 0,
                "size": 15,
            }
        }
        lines = await device.answer("GET", "/workflow/search", **options)
        whole = await device.answer("GET", "/workflow/search-v2", **options)

        assert [hits, hits] == [lines["totalHits"], whole["totalHits"]]
        assert [workflow_id] * hits == [one["workflowId"] for one in lines["results"]]
        assert [workflow_id] * hits == [one["workflowId"] for one in whole["results"]]

    run(tmp_path, body)


def test_a_line_is_conductors(tmp_path: Path) -> None:
    """ISO times, payloads as texts, and nothing that is null."""

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await device.started(correlationId="abc", input={"needle": 4711})
        (line,) = (await device.answer("GET", "/workflow/search?freeText=4711"))["results"]

        assert '{"needle":4711}' == line["input"]
        assert line["startTime"].endswith("Z")
        assert "endTime" not in line
        assert ("", "workflow") == (line["parentWorkflowId"], line["classifier"])
        for text in (f'"{workflow_id}"', workflow_id[:13], "NEEDLE", "abc", "ow"):
            found = await device.answer("GET", "/workflow/search", params={"freeText": text})
            assert 1 == found["totalHits"], text
        nobody_wrote = await device.answer("GET", "/workflow/search?freeText=created_ms")
        assert 0 == nobody_wrote["totalHits"]

    run(tmp_path, body)


def test_whole_executions_have_tasks_where_they_fit(tmp_path: Path) -> None:
    """On a page of few, unless it is asked otherwise."""

    async def body(device: Device) -> None:
        await device.register()
        await device.started()
        whole = await device.answer("GET", "/workflow/search-v2?size=5")
        bare = await device.answer("GET", "/workflow/search-v2?size=5000&includeTasks=false")

        assert "first" == whole["results"][0]["tasks"][0]["referenceTaskName"]
        assert [] == bare["results"][0]["tasks"]

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/workflow/search?query=status ~ 3", "Incorrectly formatted query string: status ~ 3"),
        ("/workflow/search?query=startTime > soon", "Incorrectly formatted query string"),
        ("/workflow/search?size=5001", "Cannot return more than 5000 workflows"),
        ("/workflow/search?start=-1", "start and size must be >= 0"),
        ("/workflow/search?size=1e3", "size"),
        ("/workflow/search-v2?query=status", "Incorrectly formatted query string"),
        ("/workflow/search-by-tasks?query=status", "Incorrectly formatted query string"),
        ("/workflow/search-by-tasks-v2?query=status", "Incorrectly formatted query string"),
        ("/tasks/search?query=status", "Incorrectly formatted query string"),
        ("/tasks/search-v2?size=5001", "Cannot return more than 5000 tasks"),
    ],
)
def test_what_cannot_be_searched_is_refused(tmp_path: Path, path: str, message: str) -> None:
    """400 with Conductor's words."""

    async def body(device: Device) -> None:
        response = await device.call("GET", path)

        assert 400 == response.status_code
        assert message in response.json()["message"]

    run(tmp_path, body)


def test_parameters_are_terms_by_another_name(tmp_path: Path) -> None:
    """A classifier, or several, and whether executions stand on top."""

    async def body(device: Device) -> None:
        await device.register()
        tagged = {**FLOW, "name": "bot", "metadata": {"agent_sdk": "x"}}
        await device.answer("POST", "/metadata/workflow", json=tagged)
        flow, bot = await device.started(), await device.started(name="bot")

        async def ids(query: str) -> list[str]:
            found = await device.answer("GET", f"/workflow/search?{query}")
            return [one["workflowId"] for one in found["results"]]

        assert [bot] == await ids("classifier=agent")
        assert [bot] == await ids("classifier=agent&query=status=RUNNING OR status=PAUSED")
        assert [] == await ids("classifier=agent&query=status=FAILED OR status=PAUSED")
        assert {flow, bot} == set(await ids("classifier=agent,workflow"))
        assert [] == await ids('classifier=a"b\\')
        assert {flow, bot} == set(await ids("classifier=&topLevelOnly=true"))
        assert {flow, bot} == set(await ids("topLevelOnly=False"))
        assert [flow] == await ids("topLevelOnly=true&query=workflowType=flow")

    run(tmp_path, body)


def test_tasks_are_searched(tmp_path: Path) -> None:
    """A line has exactly Conductor's fields; what is whole is the task itself."""

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await device.started(correlationId="abc", input={"x": "y"})
        task = await device.claimed("workerid=me&domain=")
        await device.finish(task, outputData={"z": 1})
        query = f"query=workflowId={workflow_id} AND status=COMPLETED&sort=startTime:DESC"
        found = await device.answer("GET", f"/tasks/search?{query}")
        (whole,) = (await device.answer("GET", f"/tasks/search-v2?{query}"))["results"]

        (line,) = found["results"]
        assert 1 == found["totalHits"]
        assert set(line) == {
            "workflowId", "workflowType", "correlationId", "scheduledTime", "startTime",
            "updateTime", "endTime", "status", "executionTime", "queueWaitTime", "taskDefName",
            "taskType", "input", "output", "taskId", "workflowPriority",
        }  # fmt: skip
        assert (workflow_id, "flow", "abc") == (
            line["workflowId"], line["workflowType"], line["correlationId"]
        )  # fmt: skip
        assert (task["taskId"], "work", "work") == (
            line["taskId"], line["taskType"], line["taskDefName"]
        )  # fmt: skip
        assert ('{"x":"y","nothing":null}', '{"z":1}') == (line["input"], line["output"])
        assert all(line[f"{one}Time"].endswith("Z") for one in ("scheduled", "start", "end"))
        assert ({"z": 1}, "me") == (whole["outputData"], whole["workerId"])
        assert 0 == (await device.answer("GET", "/tasks/search?freeText=nowhere"))["totalHits"]

    run(tmp_path, body)


def test_times_that_have_not_come_are_the_epochs(tmp_path: Path) -> None:
    """Conductor shows them so in a task's line, and clients read them as a date."""

    async def body(device: Device) -> None:
        await device.register()
        await device.started()
        (line,) = (await device.answer("GET", "/tasks/search"))["results"]

        assert "1970-01-01T00:00:00.000Z" == line["endTime"] == line["startTime"]
        assert (0, 0) == (line["executionTime"], line["queueWaitTime"])

    run(tmp_path, body)


def test_executions_are_searched_by_their_tasks(tmp_path: Path) -> None:
    """Each once, as a line and whole."""

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await device.started()
        await device.claimed()
        query = "query=taskType=work AND status=IN_PROGRESS"
        lines = await device.answer("GET", f"/workflow/search-by-tasks?{query}")
        whole = await device.answer("GET", f"/workflow/search-by-tasks-v2?{query}")

        assert (1, 1) == (lines["totalHits"], whole["totalHits"])
        assert workflow_id == lines["results"][0]["workflowId"]
        assert "IN_PROGRESS" == whole["results"][0]["tasks"][0]["status"]

    run(tmp_path, body)
