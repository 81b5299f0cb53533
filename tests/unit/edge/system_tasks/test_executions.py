"""TERMINATE_WORKFLOW, UPDATE_TASK, GET_WORKFLOW, and launches that wait in their queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.engine import Engine
from edge.model.errors import BatonError, Overloaded, StorageUnavailable
from edge.model.executions import TaskStatus, WorkflowStatus, task_uuid, workflow_uuid
from edge.system_tasks import OtherExecutions
from tests.unit.edge.engine_house import claim, define, run, simple, start


async def asked(engine: Engine, kind: str, **inputs: Any) -> Any:
    """A task of this kind as its handler gets it."""
    step = {"name": "s", "taskReferenceName": "s", "type": kind, "inputParameters": inputs}
    await define(engine, f"asks_{kind}", step)
    await start(engine, f"asks_{kind}")
    return await claim(engine, kind)


def test_executions_are_terminated(tmp_path: Path) -> None:
    """One or several; what is completed stays as it is; an unknown one fails the task."""

    async def body(engine: Engine) -> None:
        others = OtherExecutions(engine)
        await define(engine, "w", simple("a"))
        await define(engine, "done", {"name": "n", "taskReferenceName": "n", "type": "NOOP"})
        first, second = await start(engine, "w"), await start(engine, "w")
        done = await start(engine, "done")
        ids = [first, second, done]
        view = await asked(engine, "TERMINATE_WORKFLOW", workflowId=ids, terminationReason="enough")
        answer = await others.terminate(view)
        refused = await others.terminate(await asked(engine, "TERMINATE_WORKFLOW"))
        unknown = await others.terminate(
            await asked(engine, "TERMINATE_WORKFLOW", workflowId="nobody")
        )

        assert (TaskStatus.COMPLETED, {"terminatedWorkflows": [first, second]}) == (
            answer.status,
            answer.output,
        )
        workflow = await engine.workflow(first)
        assert (WorkflowStatus.TERMINATED, "enough") == (workflow.status, workflow.reason)
        assert TaskStatus.FAILED_WITH_TERMINAL_ERROR is refused.status
        assert "No such workflow found by id: nobody" == unknown.reason

    run(tmp_path, body)


def test_tasks_are_reported(tmp_path: Path) -> None:
    """By id, or by workflow and reference; outputs replace or are laid over."""

    async def body(engine: Engine) -> None:
        others = OtherExecutions(engine)
        human = {"name": "h", "taskReferenceName": "h", "type": "HUMAN"}
        await define(engine, "w", human, simple("z"))
        first, second = await start(engine, "w"), await start(engine, "w")
        view = await engine.execution(second)
        task_id = task_uuid(view.workflow.id, view.tasks[0].ordinal)
        by_ref = await others.update_task(
            await asked(engine, "UPDATE_TASK", workflowId=first, taskRefName="h",
                        taskStatus="COMPLETED", taskOutput={"n": 1}, mergeOutput=True)
        )  # fmt: skip
        by_id = await others.update_task(
            await asked(engine, "UPDATE_TASK", taskId=task_id, taskStatus="FAILED")
        )

        assert {"n": 1} == by_ref.output["taskOutput"]
        assert task_id == by_id.output["updatedTaskId"]
        states = [(await engine.execution(one)).tasks[0].status for one in (first, second)]
        assert [TaskStatus.COMPLETED, TaskStatus.FAILED] == states

    run(tmp_path, body)


def test_reports_that_cannot_be_made(tmp_path: Path) -> None:
    """Each says what is wrong with its input."""

    async def body(engine: Engine) -> None:
        others = OtherExecutions(engine)
        for inputs, reason in (
            ({"taskStatus": "SKIPPED"}, "taskStatus: expected one of COMPLETED, FAILED, "),
            ({"taskStatus": "FAILED", "taskOutput": 5}, "taskOutput: expected a map"),
            ({"taskStatus": "FAILED", "taskId": "x"}, "No such task found by id: x"),
            ({"taskStatus": "FAILED", "workflowId": "x"}, "No such workflow found by id: x"),
            ({"taskStatus": "FAILED", "taskRefName": "x"}, "No task with reference name x in "),
        ):
            answer = await others.update_task(await asked(engine, "UPDATE_TASK", **inputs))
            assert not answer.status.successful
            assert (answer.reason or "").startswith(reason)

    run(tmp_path, body)


def test_an_execution_is_read(tmp_path: Path) -> None:
    """With its tasks when they are wanted; an unknown one fails the task."""

    async def body(engine: Engine) -> None:
        others = OtherExecutions(engine)
        await define(engine, "w", simple("a"))
        other = await start(engine, "w", input={"x": 1})
        bare = await others.get_workflow(await asked(engine, "GET_WORKFLOW", id=other))
        full = await others.get_workflow(
            await asked(engine, "GET_WORKFLOW", id=other, includeTasks=True)
        )
        unknown = await others.get_workflow(await asked(engine, "GET_WORKFLOW", id="x"))

        assert (other, {"x": 1}, []) == (
            bare.output["workflowId"], bare.output["input"], bare.output["tasks"],
        )  # fmt: skip
        assert ["a"] == [task["referenceTaskName"] for task in full.output["tasks"]]
        assert TaskStatus.FAILED is unknown.status

    run(tmp_path, body)


def test_a_launch_that_waited_is_made(tmp_path: Path) -> None:
    """After a start delay the task is in its queue, and its child is started from there."""

    async def body(engine: Engine) -> None:
        await define(engine, "child", simple("a"))
        child = {
            "name": "c", "taskReferenceName": "c", "type": "SUB_WORKFLOW", "startDelay": 1,
            "subWorkflowParam": {"name": "child"},
        }  # fmt: skip
        await define(engine, "parent", child)
        parent = await start(engine, "parent")
        assert {"SUB_WORKFLOW": 1} == engine.queue_sizes()
        view = await claim(engine, "SUB_WORKFLOW", timeout_ms=5_000)
        await OtherExecutions(engine).launch(view)
        task = (await engine.execution(parent)).tasks[0]

        assert TaskStatus.IN_PROGRESS is task.status
        assert "child" == (await engine.workflow(workflow_uuid(task.child))).name
        assert msgspec.json.decode(task.output) == {"subWorkflowId": workflow_uuid(task.child)}

    run(tmp_path, body)


@pytest.mark.parametrize("error", [StorageUnavailable("full"), Overloaded("busy")])
def test_a_disk_that_refuses_fails_no_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BatonError
) -> None:
    """Nothing is said to be ended or reported that was not: it is tried again."""

    async def refuse(_: Engine, __: Any) -> None:
        raise error

    async def body(engine: Engine) -> None:
        others = OtherExecutions(engine)
        await define(engine, "w", simple("a"))
        target = await start(engine, "w")
        end = await asked(engine, "TERMINATE_WORKFLOW", workflowId=[target])
        report = await asked(
            engine, "UPDATE_TASK", workflowId=target, taskRefName="a", taskStatus="COMPLETED"
        )
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "request", refuse)
            for act, view in ((others.terminate, end), (others.update_task, report)):
                with pytest.raises(type(error)):
                    await act(view)

        assert WorkflowStatus.RUNNING is (await engine.workflow(target)).status

    run(tmp_path, body)
