"""What workers see: poll, update, update-v2, logs and queues, on Conductor's wire."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from edge.api.app import build_app
from tests.unit.edge.api.device import Device, run


def test_a_polled_task_holds_all_that_a_worker_needs(tmp_path: Path) -> None:
    """The task is shown as handed over, with its definition, nulls only inside the user's maps."""

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await device.started(input={"x": 5}, correlationId="c/1", priority=7)

        task = await device.claimed()

        assert "IN_PROGRESS" == task["status"]
        assert {"x": 5, "nothing": None} == task["inputData"]
        assert (workflow_id, "flow", "c/1") == (
            task["workflowInstanceId"],
            task["workflowType"],
            task["correlationId"],
        )
        assert (1, 7, 0, "me", 60) == (
            task["pollCount"],
            task["workflowPriority"],
            task["retryCount"],
            task["workerId"],
            task["responseTimeoutSeconds"],
        )
        assert "work" == task["taskDefinition"]["name"]
        assert task["taskDefinition"] == task["workflowTask"]["taskDefinition"]
        assert {"x": "${workflow.input.x}", "nothing": None} == task["workflowTask"][
            "inputParameters"
        ]
        assert "domain" not in task
        assert all(type(task[name]) is int for name in ("startTime", "endTime", "scheduledTime"))

    run(tmp_path, body)


def test_an_empty_queue_is_no_error(tmp_path: Path) -> None:
    """Batch polls answer an empty list, single polls 204 without a body, for unknown types too."""

    async def body(device: Device) -> None:
        batch = await device.call("GET", "/tasks/poll/batch/nobody%20knows?timeout=1&workerid=")
        single = await device.call("GET", "/tasks/poll/nobody")

        assert (200, []) == (batch.status_code, batch.json())
        assert (204, b"") == (single.status_code, single.content)

    run(tmp_path, body)


def test_a_poll_longer_than_five_seconds_is_refused(tmp_path: Path) -> None:
    """Conductor's limit, in Conductor's words."""

    async def body(device: Device) -> None:
        response = await device.call("GET", "/tasks/poll/batch/work?timeout=5001")

        assert 400 == response.status_code
        assert "Long Poll Timeout value cannot be more than 5 seconds" == response.json()["message"]

    run(tmp_path, body)


def test_a_parked_poll_wakes_when_a_task_arrives(tmp_path: Path) -> None:
    """Nothing waits for the end of the poll: the answer comes with the task."""

    async def body(device: Device) -> None:
        await device.register()
        async with asyncio.TaskGroup() as group:
            polling = group.create_task(device.claimed("timeout=5000"))
            await device.started()

        assert "first" == polling.result()["referenceTaskName"]

    run(tmp_path, body)


def test_an_update_answers_the_bare_id(tmp_path: Path) -> None:
    """Text, and a second copy of the same update is a harmless 200."""

    async def body(device: Device) -> None:
        await device.register()
        await device.started()
        task = await device.claimed()

        first = await device.finish(task, outputData={"y": None}, logs=[{"log": "done"}])
        second = await device.finish(task, outputData={"y": 2})

        assert (task["taskId"], "text/plain; charset=utf-8") == (
            first.text,
            first.headers["content-type"],
        )
        assert 200 == second.status_code
        stored = await device.answer("GET", f"/tasks/{task['taskId']}")
        assert ("COMPLETED", {"y": None}) == (stored["status"], stored["outputData"])
        (line,) = await device.answer("GET", f"/tasks/{task['taskId']}/log")
        assert ("done", task["taskId"]) == (line["log"], line["taskId"])

    run(tmp_path, body)


def test_update_v2_hands_out_the_next_task(tmp_path: Path) -> None:
    """Only when the task has ended; 204 when there is nothing, or the task goes on."""

    async def body(device: Device) -> None:
        await device.register()
        await device.started()
        await device.started()
        task = await device.claimed()

        extended = await device.finish(
            task, "/tasks/update-v2", status="IN_PROGRESS", extendLease=True
        )
        following = await device.finish(task, "/tasks/update-v2")
        last = await device.finish(following.json(), "/tasks/update-v2")

        assert 204 == extended.status_code
        assert "IN_PROGRESS" == following.json()["status"]
        assert task["taskId"] != following.json()["taskId"]
        assert (204, b"") == (last.status_code, last.content)

    run(tmp_path, body)


def test_update_v2_knows_the_queue_of_a_task_it_never_handed_out(tmp_path: Path) -> None:
    """After a restart the daemon has forgotten who holds what; the next task comes all the same."""

    async def body(device: Device) -> None:
        await device.register()
        await device.started()
        await device.started()
        task = await device.claimed()
        device.house.handed.take(task["taskId"])

        following = await device.finish(task, "/tasks/update-v2")

        assert 200 == following.status_code

    run(tmp_path, body)


def test_in_progress_puts_a_task_back(tmp_path: Path) -> None:
    """The worker sees its own earlier output, and the next hand-over is counted."""

    async def body(device: Device) -> None:
        await device.register()
        await device.started()
        task = await device.claimed()

        response = await device.finish(
            task, "/tasks/update-v2", status="IN_PROGRESS", outputData={"half": 1}
        )
        again = await device.claimed()

        assert 204 == response.status_code
        assert (2, {"half": 1}) == (again["pollCount"], again["outputData"])

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"status": "DONE"}', 400),
        (b'{"workflowInstanceId":"a"}', 400),
        (b'{"workflowInstanceId":"a","taskId":"b","outputData":{"x":NaN}}', 400),
        (b'{"workflowInstanceId":"a","taskId":"b","outputData":{"x":"\\ud800"}}', 400),
        (b'{"workflowInstanceId":"a","taskId":"b","outputData":{"x":"\xff"}}', 400),
        (b'{"workflowInstanceId":"a","taskId":"b"}', 404),
        (
            b'{"workflowInstanceId":"a","taskId":"01a20751-17fa-734f-b298-ae0700000001",'
            b'"status":"COMPLETED"}',
            404,
        ),
    ],
)
def test_a_wrong_update_is_refused_in_the_error_shape(
    tmp_path: Path, body: bytes, status: int
) -> None:
    """No body of any kind gives anything but a 4xx that says why."""

    async def check(device: Device) -> None:
        for path in ("/tasks", "/tasks/update-v2"):
            response = await device.call("POST", path, content=body)

            assert status == response.status_code
            assert (status, False) == (response.json()["status"], response.json()["retryable"])
            assert response.json()["message"]

    run(tmp_path, check)


def test_a_task_is_reported_by_its_reference(tmp_path: Path) -> None:
    """The output is merged; nothing pending answers an empty text, a wrong status 400.

    Who wants to see the execution is told with 404 that nothing was pending.
    """

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await device.started()
        path = f"/tasks/{workflow_id}/first"

        wrong = await device.call("POST", f"{path}/DONE", json={})
        done = await device.call("POST", f"{path}/COMPLETED?workerid=me", json={"a": 1})
        late = await device.call("POST", f"{path}/COMPLETED", json={})
        later = await device.call("POST", f"{path}/COMPLETED/sync")
        path = f"/tasks/{await device.started()}/first"
        shown = await device.answer("POST", f"{path}/COMPLETED/sync", json={"a": 1})

        assert 400 == wrong.status_code
        assert (200, 36) == (done.status_code, len(done.text))
        assert (200, "") == (late.status_code, late.text)
        assert 404 == later.status_code
        assert "Found no running task first of workflow" in later.json()["message"]
        assert ("COMPLETED", {"a": 1}) == (shown["status"], shown["output"])

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(b"plain words", "plain words"), (b'"a \\"text\\""', 'a "text"'), (b'"half', '"half')],
)
def test_log_lines_come_raw_or_as_json(tmp_path: Path, sent: bytes, kept: str) -> None:
    """Each client has its own way to send one line."""

    async def body(device: Device) -> None:
        await device.register()
        await device.started()
        task = await device.claimed()
        path = f"/tasks/{task['taskId']}/log"

        empty = await device.call("GET", path)
        added = await device.call("POST", path, content=sent)

        assert 204 == empty.status_code
        assert (200, b"", "0") == (
            added.status_code,
            added.content,
            added.headers["content-length"],
        )
        assert "content-type" not in added.headers
        assert [kept] == [line["log"] for line in await device.answer("GET", path)]

    run(tmp_path, body)


def test_queues_and_polls_are_shown(tmp_path: Path) -> None:
    """Sizes for every type that is asked for, poll data a line for each domain."""

    async def body(device: Device) -> None:
        await device.register()
        await device.started()
        await device.answer("GET", "/tasks/poll/batch/work?domain=far&timeout=0&workerid=w1")

        asked = await device.answer("GET", "/tasks/queue/sizes?taskType=work&taskType=other")
        (line,) = await device.answer("GET", "/tasks/queue/polldata?taskType=work")

        assert {"work": 1, "other": 0} == asked
        assert 1 == await device.answer("GET", "/tasks/queue/size?taskType=work")
        assert {"work": 1} == await device.answer("GET", "/tasks/queue/all")
        assert {"work": {"a": {"size": 1, "uacked": 0}}} == await device.answer(
            "GET", "/tasks/queue/all/verbose"
        )
        assert ("work", "far", "w1") == (line["queueName"], line["domain"], line["workerId"])
        assert [line] == await device.answer("GET", "/tasks/queue/polldata/all")
        missing = await device.call("GET", "/tasks/queue/polldata")
        assert (400, "Required request parameter 'taskType' is not present") == (
            missing.status_code,
            missing.json()["message"],
        )
        await device.claimed()
        assert {"work": {"a": {"size": 0, "uacked": 1}}} == await device.answer(
            "GET", "/tasks/queue/all/verbose"
        )

    run(tmp_path, body)


def test_a_task_goes_back_when_its_worker_went_away(tmp_path: Path) -> None:
    """A client that closes its connection in mid-poll costs nobody the task."""

    async def body(device: Device) -> None:
        await device.register()
        app = build_app(device.house)
        arrived: list[MutableMapping[str, Any]] = [
            {"type": "http.request", "body": b"", "more_body": False},
            {"type": "http.disconnect"},
        ]

        async def receive() -> MutableMapping[str, Any]:
            return arrived.pop(0)

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        sent: list[MutableMapping[str, Any]] = []
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/tasks/poll/batch/work",
            "raw_path": b"/api/tasks/poll/batch/work",
            "query_string": b"workerid=gone",
            "headers": [],
        }
        await device.started()
        await app(scope, receive, send)

        assert b"[]" == sent[1]["body"]
        assert (1, "me") == (
            (task := await device.claimed())["pollCount"],
            task["workerId"],
        )

    run(tmp_path, body)
