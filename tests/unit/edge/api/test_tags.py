"""Tags on Conductor's wire: on definitions, beside them, and as filters of lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.edge.api.device import FLOW, TASK, Device, run

_ROOF = {"key": "team", "value": "roof"}
_CELLAR = {"key": "team", "value": "cellar", "type": "METADATA"}
_ENV = {"key": "env", "value": "test"}


@pytest.mark.parametrize("path", ["/metadata/workflow/flow/tags", "/metadata/task/work/tags"])
def test_tags_of_a_definition(tmp_path: Path, path: str) -> None:
    """POST adds one or several and replaces a key, PUT sets all, DELETE takes away."""

    async def body(device: Device) -> None:
        await device.register()

        assert [] == await device.answer("GET", path)
        await device.answer("POST", path, json=_ROOF)
        await device.answer("POST", path, json=[_CELLAR, _ENV])
        assert [_CELLAR, _ENV] == await device.answer("GET", path)
        await device.answer("PUT", path, json=[_ROOF])
        assert [_ROOF] == await device.answer("GET", path)
        await device.answer("DELETE", path, json=_ROOF)
        again = await device.call("DELETE", path, json=_ROOF)
        empty = await device.call("POST", path, json={"value": "x"})
        assert [] == await device.answer("GET", path)
        assert (404, 400) == (again.status_code, empty.status_code)
        assert "tags[0]" in empty.json()["message"]

    run(tmp_path, body)


def test_the_old_spelling(tmp_path: Path) -> None:
    """Under /metadata/tags/workflow, with lists."""

    async def body(device: Device) -> None:
        await device.register()
        path = "/metadata/tags/workflow/flow"
        await device.answer("POST", path, json=[_ROOF, _ENV])
        await device.answer("DELETE", path, json=[_ROOF])

        assert [_ENV] == await device.answer("GET", path)
        assert [_ENV] == await device.answer("GET", "/metadata/workflow/flow/tags")

    run(tmp_path, body)


def test_tags_over_all(tmp_path: Path) -> None:
    """Each once, counted by kind, and who carries one."""

    async def body(device: Device) -> None:
        await device.register()
        await device.answer("POST", "/metadata/workflow/flow/tags", json=[_ROOF, _ENV])
        await device.answer("POST", "/metadata/task/work/tags", json=_ROOF)
        asked = "tagKey=team&tagValue=roof&resourceType="

        assert [_ENV, _ROOF] == await device.answer("GET", "/metadata/tags")
        grouped = await device.answer("GET", "/metadata/tags/grouped")
        assert {
            "tagKey": "team", "tagValue": "roof", "resourceType": "TASK_DEF",
            "countPerResourceType": 1,
        } in grouped  # fmt: skip
        assert [{"id": "work", "displayName": "work"}] == await device.answer(
            "GET", f"/metadata/tags/resources?{asked}TASK_DEF"
        )
        odd = await device.call("GET", f"/metadata/tags/resources?{asked}CAMERA")
        assert 400 == odd.status_code

    run(tmp_path, body)


def test_tags_in_and_beside_definitions(tmp_path: Path) -> None:
    """Posted with the definition, shown with it when metadata is wanted, and filtered by."""

    async def body(device: Device) -> None:
        await device.answer("POST", "/metadata/workflow", json={**FLOW, "tags": [_ROOF]})
        await device.answer("PUT", "/metadata/workflow", json=[{**FLOW, "tags": [_ENV]}])
        await device.answer("POST", "/metadata/workflow", json={**FLOW, "name": "plain"})
        await device.answer("POST", "/metadata/taskdefs", json=[{**TASK, "tags": [_ROOF]}])
        await device.answer(
            "PUT", "/metadata/taskdefs", json={**TASK, "tags": [_ENV], "overwriteTags": True}
        )

        async def names(path: str) -> list[str]:
            return [one["name"] for one in await device.answer("GET", path)]

        shown = await device.answer("GET", "/metadata/workflow/flow?metadata=true")
        plain = await device.answer("GET", "/metadata/workflow/flow")
        listed = await device.answer("GET", "/metadata/workflow?metadata=True&access=READ")
        task = await device.answer("GET", "/metadata/taskdefs/work?metadata=true")
        tasks = await device.answer("GET", "/metadata/taskdefs?metadata=true")
        assert [_ROOF, _ENV] == shown["tags"]
        assert "tags" not in plain
        assert {"flow": 2, "plain": 0} == {one["name"]: len(one["tags"]) for one in listed}
        assert [_ENV] == task["tags"] == tasks[0]["tags"]
        assert ["flow"] == await names("/metadata/workflow?tagKey=team&tagValue=roof")
        assert [] == await names("/metadata/workflow?tagKey=team&tagValue=test")
        assert ["work"] == await names("/metadata/taskdefs?tagKey=env")
        assert [] == await names("/metadata/taskdefs?tagKey=team")

    run(tmp_path, body)


def test_new_versions_and_short_lists(tmp_path: Path) -> None:
    """newVersion counts on instead of refusing; a short list leaves the tasks out."""

    async def body(device: Device) -> None:
        await device.register()
        await device.answer("POST", "/metadata/workflow?newVersion=true", json=[FLOW, FLOW])
        await device.answer("PUT", "/metadata/workflow?newVersion=True", json=[FLOW])
        kept = await device.answer("PUT", "/metadata/workflow?overwrite=false", json=[FLOW])
        short = await device.answer("GET", "/metadata/workflow?short=true&name=flow")

        assert [1, 2, 3, 4] == [one["version"] for one in short]
        assert {(): 4} == {tuple(one["tasks"]): len(short) for one in short}
        assert [] == await device.answer("GET", "/metadata/workflow?name=other")
        assert {"flow": "Workflow with flow.1 already exists!"} == kept["bulkErrorResults"]

    run(tmp_path, body)


def test_a_list_is_posted_whole_or_not_at_all(tmp_path: Path) -> None:
    """One that exists already keeps the others of its list out."""

    async def body(device: Device) -> None:
        await device.register()
        refused = await device.call(
            "POST", "/metadata/workflow", json=[{**FLOW, "name": "new"}, FLOW]
        )

        assert 409 == refused.status_code
        assert ["flow"] == await device.answer("GET", "/metadata/workflow/names")

    run(tmp_path, body)
