"""Listeners: what they are told, in which order, and who is not told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.engine import Engine
from edge.listeners import Listeners
from edge.model.events import EventHandler, is_sink
from edge.model.executions import TaskStatus
from edge.store import events as store
from edge.store import outbox
from tests.unit.edge.engine_house import answer, claim, define, run, simple, start

_TASK = {"retryCount": 0, "responseTimeoutSeconds": 60}
_LISTENED = {"workflowStatusListenerEnabled": True}


async def _told(engine: Engine, topic: str = "cdc") -> list[dict[str, Any]]:
    """What was published on a topic, oldest first."""
    rows = await engine.database.read(lambda c: outbox.read_publications(c, 999))
    return [msgspec.json.decode(p.payload) for _, p in rows if p.sink == f"mqtt:{topic}"]


async def _events(engine: Engine, topic: str = "cdc") -> list[str]:
    return [one["eventType"] for one in await _told(engine, topic)]


def test_the_life_of_an_execution(tmp_path: Path) -> None:
    """Each change in Conductor's words; the end is followed by FINALIZED."""

    async def body(engine: Engine) -> None:
        sink = {"workflowStatusListenerSink": "mqtt:cdc"}
        await define(engine, "w", simple("a", taskDefinition=_TASK), **_LISTENED, **sink)
        workflow_id = await start(engine, "w", correlation_id="c", input={"x": 1})
        await engine.pause(workflow_id)
        await engine.resume(workflow_id)
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED)
        await engine.retry(workflow_id)
        await engine.terminate(workflow_id, "enough")
        await engine.restart(workflow_id, latest=False)
        await answer(engine, await claim(engine, "a"), output={"y": 2})
        told = await _told(engine)

        assert [
            "STARTED", "PAUSED", "RESUMED", "TERMINATED", "FINALIZED", "RETRIED", "TERMINATED",
            "FINALIZED", "RESTARTED", "COMPLETED", "FINALIZED",
        ] == [one["eventType"] for one in told]  # fmt: skip
        last = told[-1]
        assert (workflow_id, workflow_id, "w", "COMPLETED", "c", '{"x":1}', '{"y":2}') == tuple(
            last[k] for k in ("workflowId", "workflowInstanceId", "workflowType", "status",
                              "correlationId", "input", "output")
        )  # fmt: skip
        assert "mqtt:cdc" == last["sink"]

    run(tmp_path, body)


def test_a_start_that_is_the_end(tmp_path: Path) -> None:
    """All of it comes with one decision."""

    async def body(engine: Engine) -> None:
        noop = {"name": "n", "taskReferenceName": "n", "type": "NOOP"}
        await define(engine, "w", noop, workflowStatusListenerSink="mqtt:cdc", **_LISTENED)
        await start(engine, "w")

        assert ["STARTED", "COMPLETED", "FINALIZED"] == await _events(engine)

    run(tmp_path, body)


@pytest.mark.parametrize(
    "fields",
    [
        {"workflowStatusListenerSink": "mqtt:cdc"},
        {"workflowStatusListenerSink": "kafka:cdc:topic", **_LISTENED},
        {"workflowStatusListenerSink": "mqtt:cdc/#", **_LISTENED},
        _LISTENED,
    ],
)
def test_who_is_not_told(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Without the switch, or without a sink that there is."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), **fields)
        await start(engine, "w")

        assert [] == await engine.database.read(lambda c: outbox.read_publications(c, 9))

    run(tmp_path, body)


def test_sinks_of_the_configuration(tmp_path: Path) -> None:
    """For workflows without one of their own, and for tasks that do not forbid it."""

    async def body(engine: Engine) -> None:
        quiet = {**_TASK, "taskStatusListenerEnabled": False}
        await define(
            engine,
            "w",
            simple("a", taskDefinition=_TASK),
            simple("b", taskDefinition=quiet),
            {"name": "n", "taskReferenceName": "n", "type": "NOOP"},
            **_LISTENED,
        )
        workflow_id = await start(engine, "w")
        await answer(engine, await claim(engine, "a"))
        await answer(engine, await claim(engine, "b"))
        tasks = await _told(engine, "tasks")

        assert ["STARTED", "COMPLETED", "FINALIZED"] == await _events(engine, "all")
        assert [("a", "SCHEDULED"), ("a", "COMPLETED"), ("n", "COMPLETED")] == [
            (one["referenceTaskName"], one["eventType"]) for one in tasks
        ]
        assert {workflow_id} == {one["workflowInstanceId"] for one in tasks}

    listeners = Listeners("mqtt:all", "mqtt:tasks")
    run(tmp_path, body, listeners=listeners)


def test_a_handler_can_listen(tmp_path: Path) -> None:
    """An internal queue is a sink like any other; its name is not the workflow's own."""

    async def body(engine: Engine) -> None:
        action = {"action": "start_workflow", "start_workflow": {"name": "x"}}
        document = {"name": "h", "event": "conductor:ends", "active": True, "actions": [action]}
        handler = msgspec.convert(document, EventHandler)
        await engine.request(lambda t: store.add_handlers(t.connection, [handler]))
        await define(
            engine, "w", simple("a"), workflowStatusListenerSink="conductor:ends", **_LISTENED
        )
        await start(engine, "w")
        waiting = await engine.database.read(lambda c: store.waiting(c, 9))

        assert ["conductor:ends"] == [message.event for _, message in waiting]

    run(tmp_path, body)


def test_a_notice_that_is_too_large_goes_without_payloads(tmp_path: Path) -> None:
    """What has happened is told all the same."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), workflowStatusListenerSink="mqtt:cdc", **_LISTENED)
        await start(engine, "w", input={"x": "y" * 100_000})
        (told,) = await _told(engine)

        assert ("STARTED", False) == (told["eventType"], "input" in told)
        assert told["truncated"] > 100_000

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("sink", "good"),
    [
        ("mqtt:a/b", True),
        ("conductor:x", True),
        ("http://h/x", True),
        ("https://h/x", True),
        ("mqtt:a/+", False),
        ("conductor:", False),
        ("kafka:x", False),
        ("", False),
    ],
)
def test_sinks(sink: str, good: bool) -> None:
    """Topics, queues and web addresses."""
    assert good is is_sink(sink)


def test_unknown_sinks_do_not_fill_the_memory(tmp_path: Path) -> None:
    """Each definition may name another one; only so many are told of."""
    listeners = Listeners()

    async def body(_: Engine) -> None:
        for number in range(300):
            assert not listeners._known(f"kafka:{number}")

        assert 200 == len(listeners._unknown)

    run(tmp_path, body)
