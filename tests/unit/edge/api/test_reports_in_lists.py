"""``POST /api/tasks/bulk``: many reports in one request, each by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.edge.api.device import Device, run


def _report(task: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = {name: task[name] for name in ("workflowInstanceId", "taskId")}
    return {**named, "status": "COMPLETED", "workerId": "me", **more}


async def _claimed(device: Device, count: int) -> list[dict[str, Any]]:
    await device.register()
    for _ in range(count):
        await device.started()
    tasks = await device.answer("GET", f"/tasks/poll/batch/work?count={count}&workerid=me")
    return list(tasks)


def test_each_report_of_a_list_counts(tmp_path: Path) -> None:
    """What is done is done, what goes on goes on; with as few COMMITs as can be."""

    async def body(device: Device) -> None:
        tasks = await _claimed(device, 3)
        before = device.house.engine.counters()["commits"]
        reports = [
            _report(tasks[0], outputData={"n": 1}),
            _report(tasks[1], status="IN_PROGRESS", extendLease=True),
            _report(tasks[2], status="FAILED_WITH_TERMINAL_ERROR", reasonForIncompletion="no"),
        ]
        answer = await device.answer("POST", "/tasks/bulk", json=reports)
        commits = device.house.engine.counters()["commits"] - before
        shown = [await device.answer("GET", f"/tasks/{task['taskId']}") for task in tasks]

        assert [task["taskId"] for task in tasks] == answer["bulkSuccessfulResults"]
        assert {} == answer["bulkErrorResults"]
        assert ["COMPLETED", "IN_PROGRESS", "FAILED_WITH_TERMINAL_ERROR"] == [
            one["status"] for one in shown
        ]
        assert {"n": 1} == shown[0]["outputData"]
        assert commits <= 2

    run(tmp_path, body)


def test_a_report_that_is_refused_does_not_spoil_the_others(tmp_path: Path) -> None:
    """It is told under its task's id, in Conductor's words."""

    async def body(device: Device) -> None:
        (task,) = await _claimed(device, 1)
        unknown = {**task, "taskId": task["taskId"][:-1] + "f"}
        nothing = {**task, "taskId": "never"}
        reports = [_report(unknown), _report(nothing), _report(task)]
        answer = await device.answer("POST", "/tasks/bulk", json=reports)

        assert [task["taskId"]] == answer["bulkSuccessfulResults"]
        assert {
            one["taskId"]: f"No such task found by id: {one['taskId']}"
            for one in (unknown, nothing)
        } == answer["bulkErrorResults"]

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda good: [], "The list of task results is empty."),
        (lambda good: [good] * 1001, "A list may have 1000 task results; this one has 1001."),
        (lambda good: good, "Cannot read the task results: they are no list"),
        (lambda good: [good, {**good, "status": "WELL"}], "Cannot read the task result [1]"),
        (lambda good: [good, 7], "Cannot read the task result [1]"),
        (lambda good: [good, {**good, "taskId": " "}], "[1].taskId"),
        (lambda good: [good, {**good, "callbackAfterSeconds": -1}], "[1].callbackAfterSeconds"),
    ],
)
def test_a_list_with_a_fault_is_refused_as_a_whole(tmp_path: Path, spoil: Any, said: str) -> None:
    """400 says which report and which field it is; nothing has been taken over."""

    async def body(device: Device) -> None:
        (task,) = await _claimed(device, 1)
        response = await device.call("POST", "/tasks/bulk", json=spoil(_report(task)))
        shown = await device.answer("GET", f"/tasks/{task['taskId']}")

        assert 400 == response.status_code
        assert said in response.text
        assert "IN_PROGRESS" == shown["status"]

    run(tmp_path, body)


def test_a_list_that_the_disk_refuses_is_to_be_sent_again(tmp_path: Path) -> None:
    """503 as for one report: nothing of it was taken on."""

    async def body(device: Device) -> None:
        tasks = await _claimed(device, 2)
        device.house.engine.storage.close_for_writing("the disk takes no writes")
        response = await device.call("POST", "/tasks/bulk", json=[_report(one) for one in tasks])
        assert 503 == response.status_code

    run(tmp_path, body)


def test_what_the_disk_refuses_is_not_told_as_refused_for_good(tmp_path: Path) -> None:
    """Another report may be nobody's, or be on the disk already: the list is sent again, and counts."""

    async def body(device: Device) -> None:
        tasks = await _claimed(device, 2)
        reports = [_report(one) for one in ({**tasks[0], "taskId": "never"}, *tasks)]
        engine = device.house.engine
        # The first is on the disk before it: a list may come to more COMMITs than one.
        await device.call("POST", "/tasks", json=_report(tasks[0]))
        engine.storage.close_for_writing("the disk takes no writes")
        refused = await device.call("POST", "/tasks/bulk", json=reports)
        engine.storage.healed()
        again = await device.answer("POST", "/tasks/bulk", json=reports)
        shown = [await device.answer("GET", f"/tasks/{task['taskId']}") for task in tasks]

        assert 503 == refused.status_code
        assert [task["taskId"] for task in tasks] == again["bulkSuccessfulResults"]
        assert ["never"] == list(again["bulkErrorResults"])
        assert ["COMPLETED", "COMPLETED"] == [one["status"] for one in shown]

    run(tmp_path, body)
