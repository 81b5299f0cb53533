"""Messages to running executions: pushed, pulled, each once, and bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import mailbox, pulls, transactions
from edge.engine import Engine
from edge.model.decision import UpdateTask
from edge.model.errors import Conflict, NotFound, Overloaded, PayloadTooLarge
from edge.model.executions import TaskStatus, WorkflowStatus
from edge.store import mailboxes
from tests.unit.edge.engine_house import define, ended, engine_at, run, simple, start


def _pull(ref: str = "p", **parameters: Any) -> dict[str, Any]:
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": "PULL_WORKFLOW_MESSAGES",
        "inputParameters": parameters,
    }


def _loop(*steps: dict[str, Any], rounds: int) -> dict[str, Any]:
    return {
        "name": "loop",
        "taskReferenceName": "loop",
        "type": "DO_WHILE",
        "loopCondition": f"$.loop['iteration'] < {rounds}",
        "loopOver": list(steps),
    }


async def _push(engine: Engine, workflow_id: str, *numbers: int) -> None:
    for number in numbers:
        payload = {"n": number}
        await engine.request(
            lambda t, p=payload: mailbox.push(t, workflow_id, f"m{p['n']}", p)  # type: ignore[misc]
        )


async def _taken(engine: Engine, workflow_id: str) -> list[list[int]]:
    """The numbers that each task has taken, by the order of the tasks."""
    view = await engine.execution(workflow_id)
    outputs = [
        msgspec.json.decode(task.output)
        for task in view.tasks
        if task.kind == "PULL_WORKFLOW_MESSAGES" and task.status is TaskStatus.COMPLETED
    ]
    assert all(output["count"] == len(output["messages"]) for output in outputs)
    return [[one["payload"]["n"] for one in output["messages"]] for output in outputs]


def test_a_message_ends_the_wait(tmp_path: Path) -> None:
    """At once, with its id, its execution and the time it came."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _pull(), simple("after"))
        workflow_id = await start(engine, "w")
        waiting = (await engine.execution(workflow_id)).tasks[0].status
        await _push(engine, workflow_id, 1)
        view = await engine.execution(workflow_id)
        (message,) = msgspec.json.decode(view.tasks[0].output)["messages"]

        assert TaskStatus.IN_PROGRESS is waiting
        assert [TaskStatus.COMPLETED, TaskStatus.SCHEDULED] == [t.status for t in view.tasks]
        assert ("m1", workflow_id, {"n": 1}) == (
            message["id"],
            message["workflowId"],
            message["payload"],
        )
        assert message["receivedAt"].endswith("Z")

    run(tmp_path, body)


def test_messages_wait_for_the_task(tmp_path: Path) -> None:
    """First come, first served; a batch takes what is there; none is taken twice."""

    async def body(engine: Engine) -> None:
        wait = {"name": "w", "taskReferenceName": "w", "type": "WAIT"}
        await define(
            engine, "w", wait, _pull("a", batchSize=2), _pull("b", batchSize=9), _pull("c")
        )
        workflow_id = await start(engine, "w")
        await _push(engine, workflow_id, 1, 2, 3)
        await engine.update_by_ref(workflow_id, "w", TaskStatus.COMPLETED, b"{}", None)
        first = await _taken(engine, workflow_id)
        await _push(engine, workflow_id, 4)

        assert [[1, 2], [3]] == first
        assert [[1, 2], [3], [4]] == await _taken(engine, workflow_id)
        assert WorkflowStatus.COMPLETED is (await engine.workflow(workflow_id)).status

    run(tmp_path, body)


def test_without_patience_an_empty_queue_is_an_answer(tmp_path: Path) -> None:
    """The task ends with an empty list."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", _pull(blocking=False))
        workflow_id = await start(engine, "w")

        assert WorkflowStatus.COMPLETED is await ended(engine, workflow_id)
        assert [[]] == await _taken(engine, workflow_id)

    run(tmp_path, body)


def test_messages_survive_a_restart(tmp_path: Path) -> None:
    """So does the wait for them."""

    async def main() -> None:
        path = tmp_path / "baton.db"
        async with engine_at(path) as engine:
            await define(engine, "w", {**_pull("a"), "type": "WAIT"}, _pull("b"), _pull("c"))
            workflow_id = await start(engine, "w")
            await _push(engine, workflow_id, 1)
        async with engine_at(path) as engine:
            await engine.update_by_ref(workflow_id, "a", TaskStatus.COMPLETED, b"{}", None)
        async with engine_at(path) as engine:
            await _push(engine, workflow_id, 2)

            assert [[1], [2]] == await _taken(engine, workflow_id)

    asyncio.run(main())


def test_a_loop_takes_many_and_others_have_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too much for one transaction goes on in the next, in order."""
    monkeypatch.setattr(pulls, "AT_ONCE", 4)

    async def body(engine: Engine) -> None:
        wait = {"name": "w", "taskReferenceName": "w", "type": "WAIT"}
        await define(engine, "w", wait, _loop(_pull("a", blocking=False), rounds=15))
        workflow_id = await start(engine, "w")
        await _push(engine, workflow_id, *range(10))
        await engine.update_by_ref(workflow_id, "w", TaskStatus.COMPLETED, b"{}", None)
        at_once = len(await _taken(engine, workflow_id))
        status = await ended(engine, workflow_id)

        assert (4, WorkflowStatus.COMPLETED) == (at_once, status)
        assert [*([n] for n in range(10)), *[[]] * 5] == await _taken(engine, workflow_id)

    run(tmp_path, body)


def test_who_may_not_be_sent_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, ended or paused executions, full queues, and messages that are too large."""
    monkeypatch.setattr(mailboxes, "MAX_MESSAGES", 2)

    async def body(engine: Engine) -> None:
        await define(engine, "w", {**_pull("a"), "type": "WAIT"})
        full, paused, over = [await start(engine, "w") for _ in range(3)]
        await engine.pause(paused)
        await _push(engine, over, 1)
        await engine.terminate(over, None)
        await _push(engine, full, 1, 2)

        with pytest.raises(Overloaded, match=f"workflowId={full} has reached the maximum size"):
            await _push(engine, full, 3)
        with pytest.raises(Conflict, match=f"{paused} is not in RUNNING state .current: PAUSED"):
            await _push(engine, paused, 1)
        with pytest.raises(Conflict, match="current: TERMINATED"):
            await _push(engine, over, 2)
        for unknown in ("nobody", "0190a0a0-0000-7000-8000-000000000000"):
            with pytest.raises(NotFound, match=f"Workflow not found: {unknown}"):
                await _push(engine, unknown, 1)
        large = {"x": "y" * 100_000}
        with pytest.raises(PayloadTooLarge):
            await engine.request(lambda t: mailbox.push(t, full, "m", large))
        left = await engine.database.read(
            lambda c: c.execute("SELECT count(*) FROM workflow_message").fetchone()[0]
        )
        assert 2 == left

    run(tmp_path, body)


def test_a_request_that_fails_takes_nothing(tmp_path: Path) -> None:
    """What it took is there for the next."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", {**_pull("a"), "type": "WAIT"}, _pull("b"))
        workflow_id = await start(engine, "w")
        await _push(engine, workflow_id, 1)
        key = (await engine.execution(workflow_id)).workflow.id

        def broken(transaction: transactions.Transaction) -> None:
            task = transaction.snapshot(key).find("a")
            assert task is not None
            transaction.decide(key, UpdateTask(task.ordinal, TaskStatus.COMPLETED))
            raise Conflict("no")

        with pytest.raises(Conflict):
            await engine.request(broken)
        before = await _taken(engine, workflow_id)
        await engine.update_by_ref(workflow_id, "a", TaskStatus.COMPLETED, b"{}", None)

        assert ([], [[1]]) == (before, await _taken(engine, workflow_id))

    run(tmp_path, body)
