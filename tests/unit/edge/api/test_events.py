"""Event handlers, their tags and their history, messages from outside and signals, over HTTP."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.unit.edge.api.device import Device, run

_WAIT = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}


def _handler(name: str = "h", event: str = "conductor:flow:e", **fields: Any) -> dict[str, Any]:
    action = {"action": "start_workflow", "start_workflow": {"name": "waiting", "version": 1}}
    return {"name": name, "event": event, "active": True, "actions": [action], **fields}


async def _define(device: Device) -> None:
    await device.answer("POST", "/metadata/workflow", json={"name": "waiting", "tasks": [_WAIT]})


def test_a_handler_comes_and_goes(tmp_path: Path) -> None:
    """One object or a list; a name is taken once; whoever listens to topics is told each time."""

    async def body(device: Device) -> None:
        changes: list[int] = []
        device.house.handlers_changed = lambda: changes.append(1)
        posted = await device.call("POST", "/event", json=_handler())
        await device.answer("POST", "/event", json=[_handler("i"), _handler("j")])
        taken = await device.call("POST", "/event", json=[_handler("k"), _handler("h")])
        await device.answer("PUT", "/event", json=_handler("i", description="new"))
        gone = await device.call("DELETE", "/event/j")
        shown = await device.answer("GET", "/event")

        assert (200, b"") == (posted.status_code, posted.content)
        assert "content-type" not in posted.headers
        assert (409, "EventHandler with name h already exists!") == (
            taken.status_code,
            taken.json()["message"],
        )
        assert (200, b"") == (gone.status_code, gone.content)
        assert [("h", None), ("i", "new")] == [(h["name"], h.get("description")) for h in shown]
        assert 4 == len(changes)
        assert shown == await device.answer("GET", "/event/handler/")
        assert shown[1] == await device.answer("GET", "/event/handler/i")

    run(tmp_path, body)


def test_what_is_posted_comes_back(tmp_path: Path) -> None:
    """Field for field; nulls of the user's own stay, fields that are not there are left out."""

    async def body(device: Device) -> None:
        action = {
            "action": "complete_task",
            "complete_task": {"taskId": "${id}", "output": {"a": None}},
            "expandInlineJSON": True,
        }
        handler = {
            "name": "a:b/c",
            "event": "kafka:some:topic",
            "condition": "$.x > 1",
            "evaluatorType": "javascript",
            "actions": [action],
        }
        await device.answer("POST", "/event", json=handler)

        assert {**handler, "active": False, "tags": []} == await device.answer(
            "GET", "/event/handler/a%3Ab%2Fc"
        )

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/event", 404),
        ("DELETE", "/event/x", 404),
        ("GET", "/event/handler/x", 404),
        ("GET", "/event/x/tags", 404),
        ("PUT", "/event/x/tags", 404),
        ("DELETE", "/event/x/tags", 404),
    ],
)
def test_an_unknown_handler(tmp_path: Path, method: str, path: str, status: int) -> None:
    """Conductor's words, wherever it is asked for."""

    async def body(device: Device) -> None:
        document: Any = _handler("x") if path == "/event" else []
        answer = await device.call(method, path, json=document)

        assert (status, "EventHandler with name x not found!") == (
            answer.status_code,
            answer.json()["message"],
        )

    run(tmp_path, body)


def test_a_handler_that_breaks_rules_is_refused(tmp_path: Path) -> None:
    """All of them are listed, and nothing of the list is registered."""

    async def body(device: Device) -> None:
        broken = {"name": "", "event": "", "actions": []}
        answer = await device.call("POST", "/event", json=[_handler(), broken])
        syntax = await device.call("POST", "/event", json=_handler(condition="$.a >"))

        assert 400 == answer.status_code
        assert [
            "Missing event handler name",
            "Missing event location",
            "No actions specified. Please specify at-least one action",
        ] == [fault["message"] for fault in answer.json()["validationErrors"]]
        assert 400 == syntax.status_code
        assert [] == await device.answer("GET", "/event")

    run(tmp_path, body)


def test_others_are_served_while_a_condition_is_parsed(tmp_path: Path) -> None:
    """Its process may have to be started first; and a condition that would run is none."""

    async def body(device: Device) -> None:
        asked, go_on = threading.Event(), threading.Event()
        check = device.house.check_script

        def slow_check(text: str) -> str | None:
            asked.set()
            assert go_on.wait(10)
            return check(text)

        device.house.check_script = slow_check
        endless = _handler(condition="});while(1);(function(){")
        for method in ("POST", "PUT"):
            asked.clear()
            go_on.clear()
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                posted = group.create_task(device.call(method, "/event", json=endless))
                assert await asyncio.to_thread(asked.wait, 10)
                assert [] == await device.answer("GET", "/event")
                assert not posted.done()
                go_on.set()

            assert 400 == posted.result().status_code
            assert "SyntaxError" in posted.result().text

    run(tmp_path, body)


@pytest.mark.parametrize(
    "path", ["conductor:flow:e", "conductor%3Aflow%3Ae", "mqtt:a/b", "mqtt%3Aa%2Fb"]
)
def test_handlers_of_an_event(tmp_path: Path, path: str) -> None:
    """Colons and slashes may be encoded or not; those that sleep are shown when asked for."""

    async def body(device: Device) -> None:
        event = "mqtt:a/b" if path.startswith("mqtt") else "conductor:flow:e"
        await device.answer(
            "POST", "/event", json=[_handler("a", event), _handler("b", event, active=False)]
        )
        active = await device.answer("GET", f"/event/{path}")
        all_ = await device.answer("GET", f"/event/{path}?activeOnly=False")

        assert (["a"], ["a", "b"]) == ([h["name"] for h in active], [h["name"] for h in all_])
        assert [] == await device.answer("GET", "/event/conductor:other")

    run(tmp_path, body)


def test_tags(tmp_path: Path) -> None:
    """Put once each, taken away one by one, and no part of what a handler does."""

    async def body(device: Device) -> None:
        await device.answer("POST", "/event", json=_handler(tags=[{"key": "a", "value": "1"}]))
        more = [{"key": "a", "value": "1"}, {"key": "b", "value": "2", "type": "METADATA"}]
        put = await device.call("PUT", "/event/h/tags", json=more)
        both = await device.answer("GET", "/event/h/tags")
        await device.answer("DELETE", "/event/h/tags", json=[{"key": "a", "value": "1"}])
        wrong = await device.call("PUT", "/event/h/tags", json=["a"])

        assert (200, b"") == (put.status_code, put.content)
        assert more == both
        assert [more[1]] == await device.answer("GET", "/event/h/tags")
        assert [more[1]] == (await device.answer("GET", "/event/handler/h"))["tags"]
        assert (400, True) == (wrong.status_code, "tags" in wrong.json()["message"])

    run(tmp_path, body)


def test_a_message_from_outside_acts_before_the_answer(tmp_path: Path) -> None:
    """Its body is the payload; the same message id acts once; its history can be read."""

    async def body(device: Device) -> None:
        await _define(device)
        await device.answer("POST", "/event", json=_handler(event="door:opened"))
        await device.answer("POST", "/event", json=_handler("picky", "door:opened", condition="0"))
        payload = {"event": "door:opened", "messageId": "m1", "by": "key"}
        first = await device.call("POST", "/event/handleIncomingEvent", json=payload)
        await device.answer("POST", "/event/handleIncomingEvent", json=payload)
        ids = await device.answer("GET", "/workflow/running/waiting")
        workflow = await device.answer("GET", f"/workflow/{ids[0]}")
        (execution,) = await device.answer("GET", "/event/execution/h?from=0")
        (skipped,) = await device.answer("GET", "/event/execution/picky")
        (message,) = await device.answer("GET", "/event/message/door:opened")
        counted = await device.answer("GET", "/event/execution")

        assert (200, b"", 1) == (first.status_code, first.content, len(ids))
        assert "door:opened" == workflow["event"]
        assert ("m1_0", "m1", "h", "door:opened", "COMPLETED", "start_workflow") == tuple(
            execution[k] for k in ("id", "messageId", "name", "event", "status", "action")
        )
        assert {"workflowId": ids[0]} == execution["output"]
        assert payload == execution["fullMessagePayload"]
        assert "SKIPPED" == skipped["status"] and "0" == skipped["output"]["condition"]
        assert '"by":"key"' in skipped["output"]["msg"]
        assert ("m1", "door:opened", "HANDLED", payload) == tuple(
            message[k] for k in ("id", "eventTarget", "status", "fullPayload")
        )
        assert 2 == len(message["eventExecutions"])
        assert {
            "name": "h",
            "event": "door:opened",
            "active": True,
            "numberOfActions": 1,
            "numberOfMessages": 1,
        } == counted["results"][0]
        assert counted == await device.answer("GET", "/event/message")

    run(tmp_path, body)


def test_messages_without_an_id_are_each_their_own(tmp_path: Path) -> None:
    """Whoever sends the same twice means it twice."""

    async def body(device: Device) -> None:
        await _define(device)
        await device.answer("POST", "/event", json=_handler(event="e"))
        for _ in range(2):
            await device.answer("POST", "/event/handleIncomingEvent", json={"event": "e"})
        await device.answer("POST", "/event/handleIncomingEvent", json={"event": "nobody's"})

        assert 2 == len(await device.answer("GET", "/workflow/running/waiting"))
        assert [] == await device.answer("GET", "/event/message/nobody's")

    run(tmp_path, body)


@pytest.mark.parametrize("payload", [{}, {"event": ""}, {"event": 1}])
def test_a_message_without_an_event_is_refused(tmp_path: Path, payload: Any) -> None:
    """With the field that is missing."""

    async def body(device: Device) -> None:
        answer = await device.call("POST", "/event/handleIncomingEvent", json=payload)

        assert (400, True) == (answer.status_code, answer.json()["message"].startswith("event:"))

    run(tmp_path, body)


def test_settings_of_brokers_are_not_kept_here(tmp_path: Path) -> None:
    """There are none to list, and none to find."""

    async def body(device: Device) -> None:
        missing = await device.call("GET", "/event/queue/config/kafka/topic")

        assert {} == await device.answer("GET", "/event/queue/config")
        assert 404 == missing.status_code

    run(tmp_path, body)


def test_signals_end_waiting_tasks(tmp_path: Path) -> None:
    """By reference or by id; the output tells where the signal came from, as in Conductor."""

    async def body(device: Device) -> None:
        await _define(device)
        ids = [await device.answer("POST", "/workflow", json={"name": "waiting"}) for _ in "ab"]
        second = (await device.answer("GET", f"/workflow/{ids[1]}"))["tasks"][0]["taskId"]
        await device.answer("POST", f"/queue/update/{ids[0]}/wait/COMPLETED", json={"a": 1})
        await device.answer("POST", f"/queue/update/{ids[1]}/task/{second}/FAILED", json={})
        first, other = [await device.answer("GET", f"/workflow/{one}") for one in ids]

        assert ("COMPLETED", "FAILED") == (first["status"], other["status"])
        assert 1 == first["tasks"][0]["outputData"]["a"]
        assert ids[0] in first["tasks"][0]["outputData"]["externalId"]
        assert {} == await device.answer("GET", "/queue/size")
        assert ["COMPLETED", "FAILED"] == list(await device.answer("GET", "/queue/"))

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("IN_PROGRESS", "There is no queue for handling IN_PROGRESS status"),
        ("DONE", "status: 'DONE' is no status of a task"),
    ],
)
def test_signals_that_nobody_handles(tmp_path: Path, status: str, message: str) -> None:
    """Only an end can be signalled."""

    async def body(device: Device) -> None:
        answer = await device.call("POST", f"/queue/update/w/r/{status}", json={})

        assert (400, message) == (answer.status_code, answer.json()["message"])

    run(tmp_path, body)
