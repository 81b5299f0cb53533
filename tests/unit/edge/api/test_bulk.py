"""Many executions at once on Conductor's wire: always 200, and each failure beside its id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.edge.api.device import Device, run

NOBODY = "01890a5d-ac96-774b-bcce-b30200000000"


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


def test_many_are_removed(tmp_path: Path) -> None:
    """With copies unless they are not wanted; the commercial server's name does the same."""

    async def body(device: Device) -> None:
        await device.register()
        ids = [await device.started() for _ in range(4)]
        await device.answer("POST", "/workflow/bulk/terminate", json=ids[:2])

        first = await device.answer("DELETE", "/workflow/bulk/remove", json=[*ids[:1], ids[2]])
        assert ids[:1] == first["bulkSuccessfulResults"]
        assert "Cannot archive workflow" in first["bulkErrorResults"][ids[2]]
        second = await device.answer("POST", "/workflow/bulk/delete", json=ids[1:2])
        assert ids[1:2] == second["bulkSuccessfulResults"]
        gone = "?archiveWorkflow=False"
        third = await device.answer("DELETE", f"/workflow/bulk/remove{gone}", json=[ids[2], NOBODY])
        assert ids[2:3] == third["bulkSuccessfulResults"]
        assert "No such workflow" in third["bulkErrorResults"][NOBODY]
        codes = [(await device.call("GET", f"/workflow/{one}")).status_code for one in ids]
        assert [200, 200, 404, 200] == codes

    run(tmp_path, body)


@pytest.mark.parametrize(("archive", "status"), [("True", 200), ("False", 404)])
def test_many_are_terminated_and_removed(tmp_path: Path, archive: str, status: int) -> None:
    """In that order; one that is completed stays, as it cannot be terminated."""

    async def body(device: Device) -> None:
        await device.register()
        running, completed = await device.started(), await device.started()
        for _ in range(2):
            task = await device.claimed()
            if task["workflowInstanceId"] == completed:
                await device.finish(task)
        query = f"archiveWorkflow={archive}&reason=broom"
        result = await device.answer(
            "DELETE", f"/workflow/bulk/terminate-remove?{query}", json=[running, completed]
        )
        response = await device.call("GET", f"/workflow/{running}")

        assert [running] == result["bulkSuccessfulResults"]
        assert "COMPLETED" in result["bulkErrorResults"][completed]
        assert status == response.status_code
        if status == 200:
            shown = response.json()
            assert ("TERMINATED", "broom") == (shown["status"], shown["reasonForIncompletion"])

    run(tmp_path, body)


def test_many_are_shown(tmp_path: Path) -> None:
    """Whole executions, copies among them, and what is not there beside its id."""

    async def body(device: Device) -> None:
        await device.register()
        ids = [await device.started(), await device.started()]
        await device.answer("DELETE", f"/workflow/{ids[0]}/terminate-remove")
        found = await device.answer("POST", "/workflow/bulk/search", json=[*ids, NOBODY])
        bare = await device.answer("POST", "/workflow/bulk/search?includeTasks=false", json=ids)

        assert ids == [one["workflowId"] for one in found["bulkSuccessfulResults"]]
        assert [1, 1] == [len(one["tasks"]) for one in found["bulkSuccessfulResults"]]
        assert [NOBODY] == list(found["bulkErrorResults"])
        assert [0, 0] == [len(one["tasks"]) for one in bare["bulkSuccessfulResults"]]

    run(tmp_path, body)
