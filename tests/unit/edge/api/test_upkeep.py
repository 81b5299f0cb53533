"""What an administrator asks for and puts right, on Conductor's wire."""

from __future__ import annotations

from pathlib import Path

from tests.unit.edge.api.device import Device, run

NOBODY = "01890a5d-ac96-774b-bcce-b30200000000"


def test_settings_are_shown(tmp_path: Path) -> None:
    """As texts, with the release."""

    async def body(device: Device) -> None:
        device.house.version = "1.2"
        device.house.settings = {"daemon.log_level": "info"}

        shown = await device.answer("GET", "/admin/config")
        assert {"version": "1.2", "daemon.log_level": "info"} == shown
        assert {} == await device.answer("GET", "/admin/queues?verbose=true")

    run(tmp_path, body)


def test_pending_tasks_are_listed(tmp_path: Path) -> None:
    """Oldest first, page by page, those in a worker's hands too; finished ones are not."""

    async def body(device: Device) -> None:
        await device.register()
        first, second = await device.started(), await device.started()
        ended = await device.started()
        await device.answer("DELETE", f"/workflow/{ended}")
        await device.claimed("count=1")
        tasks = await device.answer("GET", "/admin/task/work")
        page = await device.answer("GET", "/admin/task/work?start=1&count=1")

        assert [first, second] == [one["workflowInstanceId"] for one in tasks]
        assert ["IN_PROGRESS", "SCHEDULED"] == [one["status"] for one in tasks]
        assert [second] == [one["workflowInstanceId"] for one in page]
        assert [] == await device.answer("GET", '/admin/task/no"body')
        assert 400 == (await device.call("GET", "/admin/task/work?count=-1")).status_code

    run(tmp_path, body)


def test_tasks_go_back_into_their_queue(tmp_path: Path) -> None:
    """Also out of the hands of a worker that nobody hears of; the number is told as text."""

    async def body(device: Device) -> None:
        await device.register()
        await device.started()
        await device.started()
        task = await device.claimed("count=1")

        assert "true" == (await device.call("POST", f"/tasks/{task['taskId']}/ack")).text
        assert "2" == await device.answer("POST", "/tasks/queue/requeue/work")
        assert "false" == (await device.call("POST", f"/tasks/{task['taskId']}/ack")).text
        assert 2 == (await device.answer("GET", "/tasks/queue/size?taskType=work"))
        assert "0" == await device.answer("POST", "/tasks/queue/requeue/other")
        assert "false" == (await device.call("POST", "/tasks/no-id/ack")).text

    run(tmp_path, body)


def test_an_execution_is_looked_at(tmp_path: Path) -> None:
    """Whether it goes on, and whether anything of it had to be put right."""

    async def body(device: Device) -> None:
        await device.register()
        workflow_id = await device.started()
        repair = f"/admin/consistency/verifyAndRepair/{workflow_id}"
        sweep = f"/admin/sweep/requeue/{workflow_id}"

        assert f"true.{workflow_id}" == await device.answer("POST", sweep)
        assert "false" == await device.answer("POST", repair)
        # A task that fell out of its queue: the fault that the call is for.
        (one,) = device.house.engine.hand_over.queues.take("work", 1, 0)
        assert "true" == await device.answer("POST", repair)
        assert "false" == await device.answer("POST", repair)
        task = await device.claimed()
        assert "false" == await device.answer("POST", repair)
        await device.finish(task)
        assert "false" == await device.answer("POST", repair)
        assert f"false.{workflow_id}" == await device.answer("POST", sweep)
        for verb in ("sweep/requeue", "consistency/verifyAndRepair"):
            assert 404 == (await device.call("POST", f"/admin/{verb}/{NOBODY}")).status_code
        assert one

    run(tmp_path, body)
