"""Executions that start others: children, their ends, their parents', and what is bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import transactions
from edge.engine import Engine
from edge.model.decision import LaunchNow
from edge.model.executions import TaskStatus, WorkflowStatus, task_uuid, workflow_uuid
from edge.model.requests import StartRequest
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    define_task,
    run,
    simple,
    start,
)


def child(ref: str = "c", name: str = "child", **fields: Any) -> dict[str, Any]:
    """A SUB_WORKFLOW step."""
    param = {"name": name, **fields.pop("param", {})}
    return {
        "name": ref, "taskReferenceName": ref, "type": "SUB_WORKFLOW", "subWorkflowParam": param,
        **fields,
    }  # fmt: skip


async def tasks_of(engine: Engine, workflow_id: str) -> dict[str, Any]:
    """The newest task of each reference."""
    return {task.ref: task for task in (await engine.execution(workflow_id)).tasks}


async def child_of(engine: Engine, workflow_id: str, ref: str = "c") -> str:
    """Id of the execution that a task has started."""
    return workflow_uuid((await tasks_of(engine, workflow_id))[ref].child)


def test_a_child_is_started_with_its_task_and_ends_it(tmp_path: Path) -> None:
    """Input goes down, output comes up; both know of each other."""

    async def body(engine: Engine) -> None:
        await define(engine, "child", simple("a"), outputParameters={"n": "${a.output.n}"})
        await define(
            engine, "parent",
            child(inputParameters={"x": "${workflow.input.x}"}), simple("z"),
        )  # fmt: skip
        parent = await start(engine, "parent", input={"x": 1}, correlation_id="corr")
        inner = await child_of(engine, parent)
        view = await engine.execution(inner)

        assert b'{"x":1}' == view.workflow.input
        assert "corr" == view.workflow.correlation_id
        assert parent == workflow_uuid(view.workflow.parent_id)
        assert TaskStatus.IN_PROGRESS is (await tasks_of(engine, parent))["c"].status
        await answer(engine, await claim(engine, "a"), output={"n": 5})
        task = (await tasks_of(engine, parent))["c"]
        assert TaskStatus.COMPLETED is task.status
        assert {"n": 5, "subWorkflowId": inner} == msgspec.json.decode(task.output)
        assert "z" == (await claim(engine, "z")).task.ref

    run(tmp_path, body)


def test_a_child_that_ends_at_once_ends_its_task_at_once(tmp_path: Path) -> None:
    """All in the transaction that starts the parent."""

    async def body(engine: Engine) -> None:
        noop = {"name": "n", "taskReferenceName": "n", "type": "NOOP"}
        await define(engine, "child", noop)
        await define(engine, "parent", child("c1"), child("c2"))
        parent = await start(engine, "parent")
        counted = engine.counters()["commits"]

        assert WorkflowStatus.COMPLETED is (await engine.workflow(parent)).status
        assert counted == 3

    run(tmp_path, body)


def test_a_failing_child_fails_its_parent(tmp_path: Path) -> None:
    """The reason names the child."""

    async def body(engine: Engine) -> None:
        await define_task(engine, "a", retryCount=0)
        await define(engine, "child", simple("a"))
        await define(engine, "parent", child())
        parent = await start(engine, "parent")
        inner = await child_of(engine, parent)
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED, reason="no light")
        task = (await tasks_of(engine, parent))["c"]

        assert TaskStatus.FAILED is task.status
        assert (task.reason or "").startswith(f"Sub workflow child.1/{inner} failure reason: Task ")
        assert WorkflowStatus.FAILED is (await engine.workflow(parent)).status

    run(tmp_path, body)


def test_ends_go_down_and_up(tmp_path: Path) -> None:
    """A terminated parent ends its children; a terminated child ends its parent."""

    async def body(engine: Engine) -> None:
        await define(engine, "leaf", simple("a"))
        await define(engine, "child", child("l", "leaf"))
        await define(engine, "parent", child())
        top = await start(engine, "parent")
        middle = await child_of(engine, top)
        leaf = await child_of(engine, middle, "l")
        await engine.terminate(top, "enough")

        for one in (middle, leaf):
            workflow = await engine.workflow(one)
            assert WorkflowStatus.TERMINATED is workflow.status
            assert (workflow.reason or "").startswith("Parent workflow has been terminated with ")
        second = await start(engine, "parent")
        middle = await child_of(engine, second)
        await engine.terminate(await child_of(engine, middle, "l"), "broken")
        assert WorkflowStatus.TERMINATED is (await engine.workflow(second)).status
        assert TaskStatus.CANCELED is (await tasks_of(engine, second))["c"].status
        assert [] == await engine.poll("a", worker="w", count=9, timeout_ms=0)

    run(tmp_path, body)


def test_retry_starts_a_new_child_and_resume_takes_up_the_old_one(tmp_path: Path) -> None:
    """Traces H and G of the reference."""

    async def body(engine: Engine) -> None:
        await define_task(engine, "a", retryCount=0)
        await define(engine, "child", simple("a"))
        await define(engine, "parent", child())
        parent = await start(engine, "parent")
        first = await child_of(engine, parent)
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED)
        await engine.retry(parent)
        second = await child_of(engine, parent)

        assert first != second
        assert 1 == (await tasks_of(engine, parent))["c"].attempt
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED)
        await engine.retry(parent, resume_children=True)
        task = (await tasks_of(engine, parent))["c"]
        assert second == workflow_uuid(task.child)
        assert (TaskStatus.IN_PROGRESS, 1) == (task.status, task.attempt)
        await answer(engine, await claim(engine, "a"))
        assert WorkflowStatus.COMPLETED is (await engine.workflow(parent)).status

    run(tmp_path, body)


def test_a_child_that_is_retried_revives_what_stands_around_it(tmp_path: Path) -> None:
    """JOINs are reopened, cancelled siblings go on, and the reasons are gone."""

    async def body(engine: Engine) -> None:
        await define_task(engine, "a", retryCount=0)
        await define(engine, "child", simple("a"))
        fork = {
            "name": "f", "taskReferenceName": "f", "type": "FORK_JOIN",
            "forkTasks": [[child()], [simple("b")]],
        }  # fmt: skip
        join = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["c", "b"]}
        await define(engine, "parent", fork, join)
        parent = await start(engine, "parent")
        inner = await child_of(engine, parent)
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED)
        assert WorkflowStatus.FAILED is (await engine.workflow(parent)).status
        await engine.retry(inner)
        states = {ref: task.status for ref, task in (await tasks_of(engine, parent)).items()}

        workflow = await engine.workflow(parent)
        assert (WorkflowStatus.RUNNING, None) == (workflow.status, workflow.reason)
        assert (TaskStatus.IN_PROGRESS, TaskStatus.IN_PROGRESS) == (states["c"], states["j"])
        await answer(engine, await claim(engine, "b"))
        await answer(engine, await claim(engine, "a"))
        assert WorkflowStatus.COMPLETED is (await engine.workflow(parent)).status
        lines = await engine.logs((await _task_ids(engine, parent, "c"))[0])
        assert [f"Sub workflow {inner} retried."] == [line.line for line in lines]

    run(tmp_path, body)


@pytest.mark.parametrize("removed", [False, True])
def test_children_beside_a_child_that_is_retried_try_again(
    tmp_path: Path, *, removed: bool
) -> None:
    """They are the same children; nobody waits for ever for one that has been removed."""

    async def body(engine: Engine) -> None:
        await define_task(engine, "a", retryCount=0)
        await define(engine, "child", simple("a"))
        fork = {
            "name": "f", "taskReferenceName": "f", "type": "FORK_JOIN",
            "forkTasks": [[child("c")], [child("d")]],
        }  # fmt: skip
        join = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["c", "d"]}
        await define(engine, "parent", fork, join)
        parent = await start(engine, "parent")
        first, second = await child_of(engine, parent, "c"), await child_of(engine, parent, "d")
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED)
        assert WorkflowStatus.TERMINATED is (await engine.workflow(second)).status
        if removed:
            await engine.remove(second)
        await engine.retry(first)

        status = (await engine.workflow(parent)).status
        assert (WorkflowStatus.TERMINATED if removed else WorkflowStatus.RUNNING) is status
        if not removed:
            assert second == await child_of(engine, parent, "d")
            for _ in range(2):
                await answer(engine, await claim(engine, "a"))
            assert WorkflowStatus.COMPLETED is (await engine.workflow(parent)).status

    run(tmp_path, body)


async def _task_ids(engine: Engine, workflow_id: str, ref: str) -> list[str]:
    view = await engine.execution(workflow_id)
    return [task_uuid(view.workflow.id, task.ordinal) for task in view.tasks if task.ref == ref]


def test_an_inline_definition_needs_no_registration(tmp_path: Path) -> None:
    """Its own input says that it is dynamic; a broken one fails the task."""

    async def body(engine: Engine) -> None:
        inline = {"name": "inner", "tasks": [simple("a")]}
        await define(engine, "parent", child(param={"name": None, "workflowDefinition": inline}))
        parent = await start(engine, "parent", input={"x": 1})
        view = await engine.execution(await child_of(engine, parent))

        assert "inner" == view.workflow.name
        assert msgspec.json.decode(view.workflow.input)["_systemMetadata"] == {"dynamic": True}
        broken = {"name": "inner", "tasks": [simple("a"), simple("a")]}
        await define(engine, "wrong", child(param={"name": None, "workflowDefinition": broken}))
        wrong = await start(engine, "wrong")
        workflow = await engine.workflow(wrong)
        assert WorkflowStatus.FAILED is workflow.status

    run(tmp_path, body)


def test_a_missing_definition_fails_the_task(tmp_path: Path) -> None:
    """The parent is started; the task says what is missing."""

    async def body(engine: Engine) -> None:
        await define(engine, "parent", child(name="nobody"))
        parent = await start(engine, "parent")
        task = (await tasks_of(engine, parent))["c"]

        assert TaskStatus.FAILED is task.status
        assert "No such workflow defined. name=nobody, version=null" == task.reason

    run(tmp_path, body)


def test_versions_are_pinned_at_the_start_of_the_parent(tmp_path: Path) -> None:
    """No version means the latest as of then; 0 the latest when the child starts."""

    async def body(engine: Engine) -> None:
        await define(engine, "child", simple("a"))
        await define(engine, "pinned", simple("s"), child())
        await define(engine, "late", simple("s"), child(param={"version": 0}))
        ids = [await start(engine, name) for name in ("pinned", "late")]
        await define(engine, "child", simple("b"), version=2)
        for _ in ids:
            await answer(engine, await claim(engine, "s"))
        versions = [(await engine.workflow(await child_of(engine, one))).version for one in ids]

        assert [1, 2] == versions
        # A name that is not known before is looked for then, and what was found is told.
        await define(engine, "named", child(name="${workflow.input.name}"))
        (task,) = (
            await engine.execution(await start(engine, "named", input={"name": "child"}))
        ).tasks
        assert 2 == msgspec.json.decode(task.input)["subWorkflowVersion"]

    run(tmp_path, body)


def test_a_workflow_that_starts_itself_comes_to_an_end(tmp_path: Path) -> None:
    """The deepest execution fails, and with it all around it; nothing is left running."""

    async def body(engine: Engine) -> None:
        await define(engine, "self", child(name="self"))
        top = await start(engine, "self")

        assert WorkflowStatus.FAILED is (await engine.workflow(top)).status
        counts = await engine.status_counts()
        assert {"FAILED": 51} == counts

    run(tmp_path, body)


def test_one_request_starts_so_many_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tasks that are left wait in their queue, and are served from there."""
    monkeypatch.setattr(transactions, "_LAUNCHES_AT_ONCE", 3)

    async def body(engine: Engine) -> None:
        noop = {"name": "n", "taskReferenceName": "n", "type": "NOOP"}
        await define(engine, "child", noop)
        fork = {
            "name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC",
            "inputParameters": {
                "forkTaskInputs": [{} for _ in range(5)], "forkTaskWorkflow": "child",
            },
        }  # fmt: skip
        join = {"name": "j", "taskReferenceName": "j", "type": "JOIN"}
        await define(engine, "parent", fork, join)
        parent = await start(engine, "parent")
        left = await engine.poll("SUB_WORKFLOW", worker="w", count=9, timeout_ms=0)

        assert 2 == len(left)
        for view in left:
            await engine.command(parent, LaunchNow(view.task.ordinal))
        assert WorkflowStatus.COMPLETED is (await engine.workflow(parent)).status
        assert {} == engine.queue_sizes()

    run(tmp_path, body)


def test_a_failure_workflow_explains_itself(tmp_path: Path) -> None:
    """It gets the input, the reason and the whole execution; the output names it."""

    async def body(engine: Engine) -> None:
        await define_task(engine, "a", retryCount=0)
        await define(engine, "cleanup", simple("sweep"))
        await define(engine, "w", simple("a"), failureWorkflow="cleanup")
        failed = await start(engine, "w", input={"x": 1})
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED, reason="broken")
        sweeping = await claim(engine, "sweep")
        values = msgspec.json.decode(sweeping.workflow.input)
        output = msgspec.json.decode((await engine.workflow(failed)).output)

        assert {"x": 1, "workflowId": failed, "failureStatus": "FAILED"}.items() <= values.items()
        assert "a" == values["failedWorkflow"]["tasks"][0]["referenceTaskName"]
        assert workflow_uuid(sweeping.workflow.id) == output["conductor.failure_workflow"]

    run(tmp_path, body)


def test_who_does_not_start_a_failure_workflow(tmp_path: Path) -> None:
    """The API's terminate does not, unless it is asked to; a missing one is told in the output."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"), failureWorkflow="nobody")
        await define(engine, "named", simple("a"), failureWorkflow="$workflow.input.handler")
        await define(engine, "cleanup", simple("sweep"))
        quiet = await start(engine, "w")
        await engine.terminate(quiet, "enough")
        loud = await start(engine, "w")
        await engine.terminate(loud, "enough", failure_workflow=True)
        named = await start(engine, "named", input={"handler": "cleanup"})
        await engine.terminate(named, "enough", failure_workflow=True)

        assert b"{}" == (await engine.workflow(quiet)).output
        assert b"Error workflow nobody failed to start." in (await engine.workflow(loud)).output
        assert 1 == len(await engine.running("cleanup", None))

    run(tmp_path, body)


def test_a_started_workflow_goes_its_own_way(tmp_path: Path) -> None:
    """START_WORKFLOW is done when the other is started; what is wrong with it fails the task."""

    async def body(engine: Engine) -> None:
        def starting(request: Any) -> dict[str, Any]:
            return {
                "name": "s", "taskReferenceName": "s", "type": "START_WORKFLOW",
                "inputParameters": {"startWorkflow": request} if request is not None else {},
            }  # fmt: skip

        await define(engine, "other", simple("a"))
        await define(engine, "w", starting({"name": "other", "input": {"x": 1}}))
        first = await start(engine, "w", correlation_id="corr")
        view = await engine.execution(first)
        other = await claim(engine, "a")

        assert WorkflowStatus.COMPLETED is view.workflow.status
        assert {"workflowId": workflow_uuid(other.workflow.id)} == msgspec.json.decode(
            view.workflow.output
        )
        assert ("corr", b"", b'{"x":1}') == (
            other.workflow.correlation_id, other.workflow.parent, other.workflow.input,
        )  # fmt: skip
        for request, reason in (
            (None, "Missing 'startWorkflow' in input data."),
            ({}, "startWorkflow validation failed. 'name' -> Workflow name cannot be null or "),
            ({"name": [5]}, "startWorkflow validation failed. Expected `str`, got `array`"),
            ({"name": "none"}, "No such workflow defined. name=none, version=null"),
        ):
            await define(engine, "bad", starting(request))
            task = (await tasks_of(engine, await start(engine, "bad")))["s"]
            assert TaskStatus.FAILED is task.status
            assert (task.reason or "").startswith(reason)

    run(tmp_path, body)


def test_a_request_is_undone_with_all_that_it_did_to_others(tmp_path: Path) -> None:
    """What fails at its end leaves nothing behind, in memory or on the disk."""

    async def body(engine: Engine) -> None:
        await define(engine, "child", simple("a"))
        await define(engine, "parent", child())

        def broken(transaction: transactions.Transaction) -> None:
            transaction.connection.execute("INSERT INTO fact (name, value) VALUES ('x', 1)")
            transaction.start(StartRequest("parent"))
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await engine.request(broken)
        good = await start(engine, "parent")

        assert {"RUNNING": 2} == await engine.status_counts()
        facts = await engine.database.read(
            lambda c: c.execute("SELECT count(*) FROM fact WHERE name = 'x'").fetchone()[0]
        )
        assert 0 == facts
        assert 1 == len(await engine.poll("a", worker="w", count=9, timeout_ms=0))
        assert WorkflowStatus.RUNNING is (await engine.workflow(good)).status

    run(tmp_path, body)


@pytest.mark.parametrize("depth", [0, 1])
def test_an_execution_never_waits_for_itself(tmp_path: Path, depth: int) -> None:
    """An idempotency key that leads to what stands around the task fails the task."""

    async def body(engine: Engine) -> None:
        again = {"idempotencyKey": "key", "idempotencyStrategy": "RETURN_EXISTING"}
        inner = child("again", "top", param=again)
        await define(engine, "middle", inner)
        await define(engine, "top", child("m", "middle") if depth else inner)
        top = await start(engine, "top", idempotency_key="key")
        around = await child_of(engine, top, "m") if depth else top
        task = (await tasks_of(engine, around))["again"]

        assert WorkflowStatus.FAILED is (await engine.workflow(top)).status
        assert TaskStatus.FAILED is task.status or task.status.terminal
        assert "which would wait for itself" in (task.reason or "")
        assert b"" == (await engine.workflow(top)).parent

    run(tmp_path, body)


def test_a_version_that_no_definition_can_have(tmp_path: Path) -> None:
    """It is not found, like any other that is not there."""

    async def body(engine: Engine) -> None:
        await define(engine, "child", simple("a"))
        request = {"startWorkflow": {"name": "child", "version": "${workflow.input.n}"}}
        begin = {"name": "s", "taskReferenceName": "s", "type": "START_WORKFLOW"}
        await define(engine, "parent", {**begin, "inputParameters": request})
        parent = await start(engine, "parent", input={"n": 10**30})
        task = (await tasks_of(engine, parent))["s"]

        assert f"No such workflow defined. name=child, version={10**30}" in (task.reason or "")

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("idempotencyKey", "k" * 300, "idempotencyKey: may hold 255 characters"),
        ("idempotencyStrategy", "SOMETIMES", "Cannot read the start request: "),
        ("version", 2**70, "No such workflow defined. name=child, version="),
        ("version", "9" * 30, "No such workflow defined. name=child, version="),
        ("priority", 2**70, "priority: "),
        ("priority", -1, "priority: "),
        ("taskToDomain", [5], "Cannot read the start request: "),
    ],
)
def test_what_expressions_have_made_of_a_child_is_checked(
    tmp_path: Path, field: str, value: Any, reason: str
) -> None:
    """A field that no start may have fails its task, and nothing of it is written."""

    async def body(engine: Engine) -> None:
        await define(engine, "child", simple("a"))
        given = "${workflow.input.x}"
        param = {field: {"a": given} if field == "taskToDomain" else given}
        await define(engine, "parent", child(param=param, retryCount=0))
        parent = await start(engine, "parent", input={"x": value})
        task = (await tasks_of(engine, parent))["c"]

        assert TaskStatus.FAILED is task.status
        assert reason in (task.reason or "")
        assert await start(engine, "child")

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("value", "key"), [(7, "7"), (1.5, "1.5"), ({"a": [1]}, "{a=[1]}"), (None, None)]
)
def test_a_childs_key_is_a_text(tmp_path: Path, value: Any, key: str | None) -> None:
    """Whatever the expression comes to, as it would stand inside of a text."""

    async def body(engine: Engine) -> None:
        await define(engine, "child", simple("a"))
        await define(engine, "parent", child(param={"idempotencyKey": "${workflow.input.x}"}))
        parent = await start(engine, "parent", input={"x": value})
        inner = await engine.workflow(await child_of(engine, parent))

        assert key == inner.idempotency_key

    run(tmp_path, body)
