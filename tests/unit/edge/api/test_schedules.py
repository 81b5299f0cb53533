"""Schedules on Conductor's wire: save, show, pause, preview, search, tags, and every refusal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.unit.edge.api.device import Device, run

_REQUEST = {"name": "flow", "input": {"x": 1, "nothing": None}}
_HOURLY = {"name": "hourly", "cronExpression": "0 0 * * * *", "startWorkflowRequest": _REQUEST}
_SECONDLY = {**_HOURLY, "name": "secondly", "cronExpression": "* * * * * *"}
_AT = "/scheduler/schedules"


async def _save(device: Device, **fields: Any) -> dict[str, Any]:
    return dict(await device.answer("POST", _AT, json={**_HOURLY, **fields}))


def test_a_schedule_lives_and_goes(tmp_path: Path) -> None:
    """What was posted comes back with the next tick in it and no null but the user's; 404 when gone."""

    async def body(device: Device) -> None:
        saved = await _save(device, description=None, tags=[{"key": "k", "value": "v"}])
        shown = await device.answer("GET", f"{_AT}/hourly")
        await _save(device, name="other", startWorkflowRequest={"name": "report"})
        names = [one["name"] for one in await device.answer("GET", _AT)]
        of_one = await device.answer("GET", f"{_AT}?workflowName=report")
        gone = await device.call("DELETE", f"{_AT}/hourly")
        missing = await device.call("GET", f"{_AT}/hourly")
        again = await device.call("DELETE", f"{_AT}/hourly")

        assert saved == shown
        next_ms = saved.pop("nextRunTime")
        assert next_ms % 3_600_000 == 0
        assert saved.pop("createTime") == saved.pop("updatedTime") < next_ms
        assert {
            **_HOURLY,
            "zoneId": "UTC",
            "runCatchupScheduleInstances": False,
            "paused": False,
            "tags": [{"key": "k", "value": "v"}],
        } == saved
        assert (["hourly", "other"], ["other"]) == (names, [one["name"] for one in of_one])
        assert (200, b"") == (gone.status_code, gone.content)
        assert (404, 404) == (missing.status_code, again.status_code)
        assert "Schedule 'hourly' not found" == missing.json()["message"]

    run(tmp_path, body)


def test_names_of_any_kind(tmp_path: Path) -> None:
    """A slash in a name is a slash."""

    async def body(device: Device) -> None:
        await _save(device, name="a/b c-ü")

        assert "a/b c-ü" == (await device.answer("GET", f"{_AT}/a%2Fb%20c-%C3%BC"))["name"]

    run(tmp_path, body)


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_pause_and_resume(tmp_path: Path, method: str) -> None:
    """With PUT, and with GET as older servers have it."""

    async def body(device: Device) -> None:
        await _save(device)
        await device.answer(method, f"{_AT}/hourly/pause?reason=too%20loud")
        paused = await device.answer("GET", f"{_AT}/hourly")
        await device.answer(method, f"{_AT}/hourly/resume")
        resumed = await device.answer("GET", f"{_AT}/hourly")
        unknown = [
            (await device.call(method, f"{_AT}/x/{verb}")).status_code
            for verb in ("pause", "resume")
        ]

        assert (True, "too loud") == (paused["paused"], paused["pausedReason"])
        assert "nextRunTime" not in paused
        assert not resumed["paused"]
        assert "pausedReason" not in resumed
        assert resumed["nextRunTime"] > resumed["updatedTime"]
        assert [404, 404] == unknown

    run(tmp_path, body)


def test_a_tag_that_is_a_number_is_taken_away(tmp_path: Path) -> None:
    """Also by a client that knows it as a text only."""

    async def body(device: Device) -> None:
        await _save(device, tags=[{"key": "limit", "value": 5, "type": "RATE_LIMIT"}])
        await device.answer("DELETE", f"{_AT}/hourly/tags", json=[{"key": "limit", "value": "5"}])

        assert [] == await device.answer("GET", f"{_AT}/hourly/tags")

    run(tmp_path, body)


def test_a_foreign_page_cannot_pause_anything(tmp_path: Path) -> None:
    """A picture's address on somebody else's page is a GET, too."""

    async def body(device: Device) -> None:
        await _save(device)
        for path in (f"{_AT}/hourly/pause", "/scheduler/admin/pause", "/scheduler/admin/requeue"):
            foreign = await device.call("GET", path, headers={"Sec-Fetch-Site": "cross-site"})
            assert (403, "forbidden") == (foreign.status_code, foreign.json()["code"])
        shown = await device.call("GET", f"{_AT}/hourly", headers={"Sec-Fetch-Site": "cross-site"})

        assert (200, False) == (shown.status_code, shown.json()["paused"])
        await device.answer("GET", f"{_AT}/hourly/pause", headers={"Sec-Fetch-Site": "same-origin"})

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "name: Schedule name is required"),
        ({"cronExpression": "0 0 24 * * *"}, "cronExpression: Invalid cron expression"),
        ({"cronExpression": "0 0 0 30 2 *"}, "no date fits"),
        ({"cronExpression": None}, "cronExpression: is required"),
        ({"zoneId": "Mars"}, "zoneId: there is no time zone 'Mars'"),
        ({"startWorkflowRequest": {}}, "startWorkflowRequest: is required"),
        ({"startWorkflowRequest": {"name": "f", "priority": -1}}, "startWorkflowRequest.priority"),
        ({"scheduleStartTime": "soon"}, "scheduleStartTime"),
    ],
)
def test_refusals_name_the_field(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    """400, and nothing is kept."""

    async def body(device: Device) -> None:
        refused = await device.call("POST", _AT, json={**_HOURLY, **fields})

        assert (400, False) == (refused.status_code, refused.json()["retryable"])
        assert words in refused.json()["message"]
        assert [] == await device.answer("GET", _AT)

    run(tmp_path, body)


def test_a_definition_that_comes_along_is_checked(tmp_path: Path) -> None:
    """A schedule that could never start anything is refused when it is saved."""

    async def body(device: Device) -> None:
        step = {"name": "w", "taskReferenceName": "r", "type": "NOOP"}
        twice = {"name": "w", "workflowDef": {"tasks": [step, step]}}
        once = {"name": "w", "workflowDef": {"tasks": [step]}}
        refused = await device.call("POST", _AT, json={**_HOURLY, "startWorkflowRequest": twice})

        assert 400 == refused.status_code
        assert once == (await _save(device, startWorkflowRequest=once))["startWorkflowRequest"]

    run(tmp_path, body)


def test_a_preview(tmp_path: Path) -> None:
    """Five moments at most, within start and end, in a zone."""

    async def body(device: Device) -> None:
        at = "/scheduler/nextFewSchedules?cronExpression=0 30 2 * * MON-FRI"
        noon_ms = 4_102_488_000_000  # 2100-01-01 12:00 UTC, a Friday
        five = await device.answer("GET", at)
        two = await device.answer("GET", f"{at}&limit=2&scheduleStartTime={noon_ms}")
        zone = await device.answer(
            "GET", f"{at}&zoneId=%2B02:00&limit=1&scheduleStartTime={noon_ms}"
        )
        ended = await device.answer("GET", f"{at}&scheduleEndTime=1000")
        none = await device.answer("GET", f"{at}&limit=0")
        many = await device.answer("GET", f"{at}&limit=50")
        exactly = await device.answer(
            "GET", f"{at}&scheduleStartTime={two[0]}&scheduleEndTime={two[0]}"
        )

        monday_ms = noon_ms - 9 * 3_600_000 - 30 * 60_000 + 3 * 86_400_000
        assert [monday_ms, monday_ms + 86_400_000] == two
        assert [monday_ms - 2 * 3_600_000] == zone
        assert (5, 5, [], [], [two[0]]) == (len(five), len(many), ended, none, exactly)
        assert five == sorted(five)

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "'cronExpression' is not present"),
        ("cronExpression=0 0 * * *", "cronExpression: Invalid cron expression"),
        ("cronExpression=0 0 0 31 6 *", "no date fits"),
        ("cronExpression=@daily&zoneId=Mars", "zoneId: there is no time zone"),
        ("cronExpression=@daily&limit=many", "limit: 'many' is not a whole number"),
        ("cronExpression=@daily&scheduleStartTime=x", "scheduleStartTime: 'x'"),
    ],
)
def test_a_preview_of_nothing(tmp_path: Path, query: str, words: str) -> None:
    """400, and the field."""

    async def body(device: Device) -> None:
        refused = await device.call("GET", f"/scheduler/nextFewSchedules?{query}")

        assert 400 == refused.status_code
        assert words in refused.json()["message"]

    run(tmp_path, body)


def test_searching_schedules(tmp_path: Path) -> None:
    """By workflow, part of the name, state and words, a page at a time."""

    async def body(device: Device) -> None:
        for name in ("day", "night", "noon"):
            await _save(device, name=name, paused=name == "night", description=f"the {name}")

        async def found(query: str) -> list[str]:
            answer = await device.answer("GET", f"{_AT}/search?{query}")
            return [str(answer["totalHits"]), *(one["name"] for one in answer["results"])]

        assert ["3", "day", "night", "noon"] == await found("")
        assert ["2", "night", "noon"] == await found("scheduleName=n")
        assert ["1", "night"] == await found("paused=true&freeText=*&sort=name:ASC")
        assert ["2", "day", "noon"] == await found("paused=False")
        assert ["1", "noon"] == await found("freeText=the noon")
        assert ["3", "night"] == await found("start=1&size=1")
        assert ["0"] == await found("workflowName=other")
        assert 400 == (await device.call("GET", f"{_AT}/search?size=5001")).status_code
        assert 400 == (await device.call("GET", f"{_AT}/search?paused=maybe")).status_code

    run(tmp_path, body)


async def _ticked(device: Device, count: int) -> list[dict[str, Any]]:
    """Records of ticks, once there are enough of them."""
    async with asyncio.timeout(25):
        while True:
            answer = await device.answer("GET", "/scheduler/search/executions")
            if answer["totalHits"] >= count:
                return list(answer["results"])
            await asyncio.sleep(0.05)


def test_records_of_ticks(tmp_path: Path) -> None:
    """What was started and what was not, with why; searched by Conductor's query."""

    async def body(device: Device) -> None:
        await device.register()
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(device.house.schedules.run())
            await _save(device, **_SECONDLY)
            await _save(
                device, **{**_SECONDLY, "name": "bad", "startWorkflowRequest": {"name": "nobody"}}
            )
            await _ticked(device, 4)
            loop.cancel()

        async def found(query: str) -> list[dict[str, Any]]:
            answer = await device.answer("GET", f"/scheduler/search/executions?{query}")
            return list(answer["results"])

        good = await found("query=scheduleName=secondly AND state=EXECUTED&sort=scheduledTime:ASC")
        bad = await found("query=state IN (FAILED)")
        one = await found(f"query=executionId={good[0]['executionId']}")
        execution = await device.answer("GET", f"/workflow/{good[0]['workflowId']}")

        assert good[0]["scheduledTime"] < good[1]["scheduledTime"]
        assert {"secondly"} == {record["scheduleName"] for record in good}
        assert {"bad"} == {record["scheduleName"] for record in bad}
        assert "nobody" in bad[0]["reason"]
        assert "workflowId" not in bad[0]
        assert [good[0]] == one == await found(f"freeText={good[0]['workflowId']}")
        assert [] == await found("query=state=POLLED")
        assert set(good[0]) == {
            "executionId", "scheduleName", "scheduledTime", "executionTime", "workflowName",
            "workflowId", "startWorkflowRequest", "state", "zoneId",
        }  # fmt: skip
        assert _REQUEST == good[0]["startWorkflowRequest"]
        assert good[0]["scheduledTime"] == execution["input"]["_scheduledTime"]
        assert good[0]["executionId"] == execution["input"]["_executionId"]
        figures = (await device.client.get("/metrics")).text
        assert 'baton_schedule_ticks_total{result="executed"}' in figures
        refused = await device.call("GET", "/scheduler/search/executions?query=owner=ada")
        assert 400 == refused.status_code

    run(tmp_path, body)


def test_all_at_once(tmp_path: Path) -> None:
    """The whole scheduler, and lists of names of which each is done by itself."""

    async def body(device: Device) -> None:
        await _save(device, name="a")
        await _save(device, name="b")
        stopped = await device.answer("GET", "/scheduler/admin/pause")
        going = await device.answer("GET", "/scheduler/admin/resume")
        requeued = await device.answer("GET", "/scheduler/admin/requeue")
        paused = await device.answer("PUT", "/scheduler/bulk/pause", json=["a", "x", "a"])
        after = [one["paused"] for one in await device.answer("GET", _AT)]
        resumed = await device.answer("PUT", "/scheduler/bulk/resume", json=["a", "b"])

        assert ({"paused": True}, {"paused": False}) == (stopped, going)
        assert {"recordIds.size": 0, "sampleIds": [], "movedSchedules": 0} == requeued
        assert (["a"], {"x": "Schedule 'x' not found"}) == (
            paused["bulkSuccessfulResults"], paused["bulkErrorResults"],
        )  # fmt: skip
        assert [True, False] == after
        assert ["a", "b"] == resumed["bulkSuccessfulResults"]
        for wrong in ([], [1], ["a"] * 1_001, {"a": 1}):
            refused = await device.call("PUT", "/scheduler/bulk/pause", json=wrong)
            assert 400 == refused.status_code

    run(tmp_path, body)


def test_tags(tmp_path: Path) -> None:
    """Set, shown, taken off, and found by key, by value and by both."""

    async def body(device: Device) -> None:
        await _save(device)
        tags = [{"key": "team", "value": "blue"}, {"key": "site", "value": "roof", "type": "X"}]
        await device.answer("PUT", f"{_AT}/hourly/tags", json=tags)
        kept = await device.answer("GET", f"{_AT}/hourly/tags")
        found = [
            [one["name"] for one in await device.answer("GET", f"{_AT}/tags?tag={tag}")]
            for tag in ("team", "blue", "team:blue", "team:roof")
        ]
        await device.answer("DELETE", f"{_AT}/hourly/tags", json=[tags[0]])
        left = await device.answer("GET", f"{_AT}/hourly/tags")
        await device.answer("PUT", f"{_AT}/hourly/tags", json={"key": "k", "value": "v"})
        replaced = await device.answer("GET", f"{_AT}/hourly/tags")

        assert tags == kept
        assert [["hourly"], ["hourly"], ["hourly"], []] == found
        assert ([tags[1]], ["k"]) == (left, [tag["key"] for tag in replaced])
        assert 404 == (await device.call("GET", f"{_AT}/x/tags")).status_code
        assert 404 == (await device.call("PUT", f"{_AT}/x/tags", json=tags)).status_code
        for wrong in ([{"value": "v"}], [{"key": 5}], "team"):
            refused = await device.call("PUT", f"{_AT}/hourly/tags", json=wrong)
            assert 400 == refused.status_code
        assert 400 == (await device.call("GET", f"{_AT}/tags")).status_code

    run(tmp_path, body)
