"""What handlers do with a message: conditions, the actions, and that each happens once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import events
from edge.engine import Engine
from edge.model.events import EventExecution, EventHandler, Message
from edge.model.executions import TaskStatus, WorkflowStatus
from edge.store import events as store
from tests.unit.edge.engine_house import claim, define, id_of, run, simple, start

_WAIT = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}


async def _register(engine: Engine, *actions: dict[str, Any], **fields: Any) -> None:
    document = {"name": "h", "event": "ev", "active": True, "actions": actions, **fields}
    handler = msgspec.convert(document, EventHandler)
    await engine.request(lambda t: store.add_handlers(t.connection, [handler]))


def _action(kind: str, **fields: Any) -> dict[str, Any]:
    expand = fields.pop("expandInlineJSON", False)
    return {"action": kind, kind: fields, "expandInlineJSON": expand}


async def _send(engine: Engine, payload: Any = None, message_id: str = "m") -> int:
    message = Message("ev", message_id, msgspec.json.encode(payload or {}))
    return await engine.request(lambda t: events.handle(t, message))


async def _done(engine: Engine, handler: str = "h") -> list[EventExecution]:
    """Oldest first."""
    found = await engine.database.read(lambda c: store.read_executions(c, handler, 0, 99))
    return [execution for execution, _ in reversed(found)]


async def _running(engine: Engine, name: str) -> list[Any]:
    ids = await engine.running(name, None)
    return [(await engine.execution(one)).workflow for one in ids]


def test_a_message_starts_a_workflow(tmp_path: Path) -> None:
    """Its input is resolved against the payload, its event and the message are in it."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT, version=3)
        await _register(
            engine,
            _action(
                "start_workflow",
                name="${which}",
                version="3",
                correlationId="c-${deep.id}",
                priority="${deep.id}",
                input={"a": "${deep.list[1]}", "all": "${$}", "text": "n=${none}", "n": None},
            ),
        )
        payload = {
            "which": "w",
            "deep": {"id": 7, "list": [1, {"b": 2}]},
            "taskToDomain": {"*": "d"},
        }
        acted = await _send(engine, payload)
        (workflow,) = await _running(engine, "w")
        (execution,) = await _done(engine)

        assert 1 == acted
        assert {
            "a": {"b": 2},
            "all": payload,
            "text": "n=null",
            "n": None,
            "conductor.event.messageId": "m",
            "conductor.event.name": "ev",
        } == msgspec.json.decode(workflow.input)
        assert ("c-7", "ev", 7, {"*": "d"}) == (
            workflow.correlation_id,
            workflow.event,
            workflow.priority,
            workflow.task_to_domain,
        )
        assert ("m_0", "m", "h", "ev", "COMPLETED", "start_workflow") == (
            execution.id,
            execution.message_id,
            execution.name,
            execution.event,
            execution.status,
            execution.action,
        )
        assert ["workflowId"] == list(execution.output)

    run(tmp_path, body)


def test_a_handlers_own_domains_win(tmp_path: Path) -> None:
    """Those of the message are for handlers without any."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT)
        await _register(engine, _action("start_workflow", name="w", taskToDomain={"a": "own"}))
        await _send(engine, {"taskToDomain": {"a": "theirs"}})
        (workflow,) = await _running(engine, "w")

        assert {"a": "own"} == workflow.task_to_domain

    run(tmp_path, body)


def test_a_message_that_comes_again_acts_once(tmp_path: Path) -> None:
    """Also when it comes twice in one transaction; another message acts again."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT)
        start_w = _action("start_workflow", name="w")
        await _register(engine, start_w, start_w)
        message = Message("ev", "m", b"{}")
        acted = await engine.request(
            lambda t: (events.handle(t, message), events.handle(t, message))
        )
        again = await _send(engine)
        other = await _send(engine, message_id="n")

        assert ((2, 0), 0, 2) == (acted, again, other)
        assert 4 == len(await engine.running("w", None))
        assert ["m_0", "m_1", "n_0", "n_1"] == [one.id for one in await _done(engine)]

    run(tmp_path, body)


def test_a_key_makes_one_start_of_many_messages(tmp_path: Path) -> None:
    """The idempotency key is resolved against the payload."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT)
        keyed = _action(
            "start_workflow",
            name="w",
            idempotencyKey="${order}",
            idempotencyStrategy="RETURN_EXISTING",
        )
        await _register(engine, keyed)
        await _send(engine, {"order": "o1"}, "m1")
        await _send(engine, {"order": "o1"}, "m2")
        first, second = await _done(engine)

        assert 1 == len(await engine.running("w", None))
        assert first.output == second.output

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("condition", "acts"),
    [
        ("", True),
        ("$.score > 0.8", True),
        ("$.score", True),
        ("$.inner.deep[0] === 4", True),
        ("$.score < 0.8", False),
        ("'true'", False),
        ("$.missing", False),
    ],
)
def test_conditions(tmp_path: Path, condition: str, acts: bool) -> None:
    """JavaScript on the payload, JSON in its texts expanded; a false one is recorded as skipped."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT)
        action = _action("start_workflow", name="w")
        await _register(engine, action, action, condition=condition)
        await _send(engine, {"score": 0.9, "inner": '{"deep": [4]}'})
        await _send(engine, {"score": 0.9, "inner": '{"deep": [4]}'})
        done = await _done(engine)

        if acts:
            assert ["COMPLETED", "COMPLETED"] == [one.status for one in done]
        else:
            assert [("m_0", "SKIPPED", None, {"condition": condition})] == [
                (one.id, one.status, one.action, one.output) for one in done
            ]

    run(tmp_path, body)


def test_a_condition_that_breaks_is_recorded(tmp_path: Path) -> None:
    """Its handler does nothing, the others act."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT)
        action = _action("start_workflow", name="w")
        await _register(engine, action, condition="$.a.b.c", name="broken")
        await _register(engine, action)
        acted = await _send(engine)
        (broken,) = await _done(engine, "broken")

        assert 1 == acted
        assert "FAILED" == broken.status
        assert "TypeError" in broken.output["exception"]

    run(tmp_path, body)


def test_only_active_handlers_act(tmp_path: Path) -> None:
    """One that sleeps sees nothing and has nothing recorded."""

    async def body(engine: Engine) -> None:
        await _register(engine, _action("start_workflow", name="w"), active=False)

        assert 0 == await _send(engine)
        assert [] == await _done(engine)

    run(tmp_path, body)


def test_a_start_that_fails_is_recorded_and_hinders_nothing(tmp_path: Path) -> None:
    """The action after it is carried out, and neither is tried again."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT)
        await _register(
            engine,
            _action("start_workflow", name="unknown"),
            _action("start_workflow", name="w", version="${v}"),
            _action("start_agent", name="a"),
            _action("start_workflow", name="w"),
        )
        await _send(engine, {"v": "three"})
        await _send(engine, {"v": "three"})
        done = await _done(engine)

        assert ["FAILED", "FAILED", "FAILED", "COMPLETED"] == [one.status for one in done]
        assert [
            "No such workflow defined. name=unknown, version=null",
            "version: 'three' is not a whole number",
            "Action not supported start_agent for event ev",
        ] == [one.output["exception"] for one in done[:3]]
        assert 1 == len(await engine.running("w", None))

    run(tmp_path, body)


def test_a_task_is_completed_by_reference(tmp_path: Path) -> None:
    """Its output is all that the action resolves to, and the message."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT, simple("after"))
        workflow_id = await start(engine, "w")
        await _register(
            engine,
            _action(
                "complete_task",
                workflowId="${wf}",
                taskRefName="wait",
                output={"picked": "${data.x}"},
            ),
        )
        await _send(engine, {"wf": workflow_id, "data": {"x": [1]}})
        view = await engine.execution(workflow_id)
        (execution,) = await _done(engine)

        expected = {
            "workflowId": workflow_id,
            "taskId": None,
            "taskRefName": "wait",
            "reasonForIncompletion": None,
            "picked": [1],
            "conductor.event.messageId": "m",
            "conductor.event.name": "ev",
        }
        assert [TaskStatus.COMPLETED, TaskStatus.SCHEDULED] == [one.status for one in view.tasks]
        assert expected == msgspec.json.decode(view.tasks[0].output)
        assert expected == execution.output

    run(tmp_path, body)


@pytest.mark.parametrize("ref", ["wait", "wait__1"])
def test_a_task_in_a_loop_is_completed_by_reference(tmp_path: Path, ref: str) -> None:
    """With the suffix of its iteration or without it."""

    async def body(engine: Engine) -> None:
        loop = {"loopOver": [_WAIT], "inputParameters": {"items": [1]}}
        await define(
            engine, "w", {"name": "l", "taskReferenceName": "l", "type": "DO_WHILE", **loop}
        )
        workflow_id = await start(engine, "w")
        await _register(engine, _action("complete_task", workflowId="${wf}", taskRefName=ref))
        await _send(engine, {"wf": workflow_id})
        view = await engine.execution(workflow_id)

        assert WorkflowStatus.COMPLETED is view.workflow.status

    run(tmp_path, body)


def test_a_task_is_failed_by_id(tmp_path: Path) -> None:
    """With the reason of the action; JSON in a text of the payload is read when asked for."""

    async def body(engine: Engine) -> None:
        task = {"retryCount": 0, "responseTimeoutSeconds": 60}
        await define(engine, "w", simple("a", taskDefinition=task))
        workflow_id = await start(engine, "w")
        task_id = id_of(await claim(engine, "a"))
        fail = _action(
            "fail_task",
            taskId="${inner.task}",
            reasonForIncompletion="because ${inner.why}",
            expandInlineJSON=True,
        )
        await _register(engine, fail)
        inner = msgspec.json.encode({"task": task_id, "why": 7}).decode()
        await _send(engine, {"inner": inner})
        view = await engine.execution(workflow_id)

        assert (WorkflowStatus.FAILED, TaskStatus.FAILED, "because 7") == (
            view.workflow.status,
            view.tasks[0].status,
            view.tasks[0].reason,
        )

    run(tmp_path, body)


def test_what_is_not_there_is_told_in_the_record(tmp_path: Path) -> None:
    """An unknown task or workflow is no exception, as in Conductor."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT)
        workflow_id = await start(engine, "w")
        unknown = "0190a0a0-0000-7000-8000-000000000000"
        ghost = "0190a0a0-0000-7000-8000-000000000001"
        await _register(
            engine,
            _action("complete_task", workflowId=workflow_id, taskRefName="other"),
            _action("complete_task", workflowId=unknown, taskRefName="wait"),
            _action("complete_task", taskId="no id"),
            _action("complete_task", taskId=ghost),
            _action("complete_task", workflowId="${a}", taskRefName="${b}"),
        )
        await _send(engine)
        done = await _done(engine)

        assert ["COMPLETED"] * 5 == [one.status for one in done]
        assert [
            f"No task found with taskId: null, reference name: other, workflowId: {workflow_id}",
            f"No workflow found with ID: {unknown}",
            "No task found with taskId: no id, reference name: null, workflowId: null",
            f"No task found with taskId: {ghost}, reference name: null, workflowId: null",
            "No task found with taskId: null, reference name: null, workflowId: null",
        ] == [one.output["error"] for one in done]

    run(tmp_path, body)


def test_a_workflow_is_terminated(tmp_path: Path) -> None:
    """With the reason of the action; what cannot be terminated is recorded as failed."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT)
        workflow_id = await start(engine, "w")
        await _register(
            engine,
            _action("terminate_workflow", workflowId="${wf}", terminationReason="say ${why}"),
            _action("terminate_workflow", workflowId="nobody"),
        )
        await _send(engine, {"wf": workflow_id, "why": "so"})
        workflow = await engine.workflow(workflow_id)
        first, second = await _done(engine)

        assert (WorkflowStatus.TERMINATED, "say so") == (workflow.status, workflow.reason)
        assert {"workflowId": workflow_id, "terminationReason": "say so"} == first.output
        assert ("FAILED", "No such workflow found by id: nobody") == (
            second.status,
            second.output["exception"],
        )

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("append", "seen"), [(None, [1, 2, 3]), (True, [1, 2, 3]), (False, [2, 3])]
)
def test_variables_are_updated(tmp_path: Path, append: bool | None, seen: list[int]) -> None:
    """Lists are appended unless the action says otherwise; an ended workflow refuses."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT, variables={"seen": [1], "kept": True, "last": 1})
        workflow_id = await start(engine, "w")
        update = _action(
            "update_workflow_variables",
            workflowId="${wf}",
            variables={"seen": "${n}", "last": "${n[1]}"},
            appendArray=append,
        )
        await _register(engine, update)
        await _send(engine, {"wf": workflow_id, "n": [2, 3]})
        await engine.terminate(workflow_id, None)
        await _send(engine, {"wf": workflow_id, "n": [4]}, "late")
        first, late = await _done(engine)
        workflow = await engine.workflow(workflow_id)

        assert {"seen": seen, "kept": True, "last": 3} == msgspec.json.decode(workflow.variables)
        assert {"workflowId": workflow_id, "variables": {"seen": [2, 3], "last": 3}} == first.output
        assert ("FAILED", True) == (late.status, "has ended" in late.output["exception"])

    run(tmp_path, body)


def test_inside_a_loop_the_newest_iteration_is_meant(tmp_path: Path) -> None:
    """A handler knows the reference of the definition, not the number of the round."""

    async def body(engine: Engine) -> None:
        loop = {
            "name": "loop",
            "taskReferenceName": "loop",
            "type": "DO_WHILE",
            "loopCondition": "$.loop['iteration'] < 3",
            "loopOver": [_WAIT],
        }
        await define(engine, "w", loop)
        workflow_id = await start(engine, "w")
        done = _action(
            "complete_task", workflowId=workflow_id, taskRefName="wait", output={"n": "${n}"}
        )
        await _register(engine, done)
        for number in range(1, 4):
            await _send(engine, {"n": number}, f"m{number}")
        view = await engine.execution(workflow_id)
        rounds = {task.ref: msgspec.json.decode(task.output) for task in view.tasks}

        assert WorkflowStatus.COMPLETED is view.workflow.status
        assert [1, 2, 3] == [rounds[f"wait__{number}"]["n"] for number in range(1, 4)]

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("version", 2**70, "version: the number is out of range"),
        ("priority", "9" * 30, "priority: "),
        ("idempotencyKey", "k" * 300, "idempotencyKey: may hold 255 characters"),
        ("name", None, "Workflow name cannot be null or empty"),
    ],
)
def test_what_a_message_fills_in_is_checked(
    tmp_path: Path, field: str, value: Any, reason: str
) -> None:
    """A start that no client may ask for is recorded as one that has failed."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _WAIT)
        await _register(engine, _action("start_workflow", **({"name": "w"} | {field: "${x}"})))
        await _send(engine, {"x": value})
        (done,) = await _done(engine)

        assert "FAILED" == done.status
        assert reason in done.output["exception"]
        assert [] == await engine.running("w", None)

    run(tmp_path, body)
