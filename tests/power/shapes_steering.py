"""Shapes in which somebody interferes: pausing, ending, going back, taking away.

What executions do by themselves stands elsewhere.
"""

from __future__ import annotations

from typing import Any

from edge.config import RetentionSettings
from edge.model.executions import TaskStatus
from edge.model.requests import TaskView
from tests.power.recording import Shape
from tests.power.scenario import Promise, Scenario, no_row, row
from tests.power.shapes_flow import simple, step


def _fails_at_first(view: TaskView) -> tuple[TaskStatus, dict[str, Any]]:
    status = TaskStatus.FAILED if view.task.attempt < 1 else TaskStatus.COMPLETED
    return status, {"attempt": view.task.attempt}


def _is(workflow_id: str, *statuses: str) -> Promise:
    """An execution stands where it was said to stand."""

    def is_kept(state: Any) -> bool:
        return any(
            workflow_id.replace("-", "") == workflow.id.hex() and workflow.status in statuses
            for workflow in state.workflows.values()
        )

    return Promise(f"status {workflow_id}", f"{workflow_id} is {statuses}", is_kept)


async def _terminate(s: Scenario) -> None:
    await s.define("child", simple("c"))
    sub = step("s", "SUB_WORKFLOW", subWorkflowParam={"name": "child", "version": 1})
    await s.define("parent", simple("a"), sub, simple("b"))
    one = await s.start("parent", "k1")
    two = await s.start("parent", "k2")
    s.hands["c"] = lambda _: None
    await s.work()
    ended = _is(one, "TERMINATED")
    await s.call("DELETE", f"/workflow/{one}?reason=enough", promises=[ended])
    await s.call("DELETE", f"/workflow/{two}?reason=enough", promises=[_is(two, "TERMINATED")])
    await s.finish()


async def _pause(s: Scenario) -> None:
    await s.define("flow", simple("a"), simple("b"))
    one = await s.start("flow", "k1")
    await s.call("PUT", f"/workflow/{one}/pause", promises=[_is(one, "PAUSED")])
    await s.work()
    await s.call("PUT", f"/workflow/{one}/resume", releases=[f"status {one}"])
    await s.work()
    two = await s.start("flow", "k2")
    await s.call("PUT", "/workflow/bulk/pause", [two], promises=[_is(two, "PAUSED")])
    await s.call("PUT", "/workflow/bulk/resume", [two], releases=[f"status {two}"])
    await s.finish()


async def _restart(s: Scenario) -> None:
    await s.define("flow", simple("a"), simple("b"))
    one = await s.start("flow", "k1")
    await s.work()
    await s.call("POST", f"/workflow/{one}/restart", releases=[one])
    await s.work()
    await s.define("flow", simple("a"), simple("c"))
    await s.call("POST", f"/workflow/{one}/restart?useLatestDefinitions=true", releases=[one])
    await s.finish()


async def _rerun(s: Scenario) -> None:
    await s.define("flow", simple("a"), simple("b"), simple("c"))
    one = await s.start("flow", "k1", input={"n": 1})
    await s.work()
    shown = await s.call("GET", f"/workflow/{one}")
    middle = shown["tasks"][1]["taskId"]
    await s.call("POST", f"/workflow/{one}/rerun", {"reRunFromTaskId": middle}, releases=[one])
    await s.work()
    await s.call("POST", f"/workflow/{one}/rerun", {"workflowInput": {"n": 2}}, releases=[one])
    await s.finish()


async def _retry_workflow(s: Scenario) -> None:
    await s.define_task("fragile", retryCount=0)
    s.hands["fragile"] = _fails_at_first
    await s.define("child", simple("fragile"))
    sub = step("s", "SUB_WORKFLOW", subWorkflowParam={"name": "child", "version": 1})
    fork = step("fork", "FORK_JOIN", forkTasks=[[sub], [simple("a")]])
    await s.define("parent", fork, step("join", "JOIN", joinOn=["s", "a"]), simple("b"))
    one = await s.start("parent", "k1")
    await s.work()
    await s.call("POST", f"/workflow/{one}/retry?resumeSubworkflowTasks=true", releases=[one])
    await s.finish()


async def _skip(s: Scenario) -> None:
    await s.define("flow", simple("a"), simple("b"), simple("c"))
    one = await s.start("flow", "k1")
    body = {"taskOutput": {"skipped": True}}
    await s.call("PUT", f"/workflow/{one}/skiptask/b", body)
    await s.finish()


async def _jump(s: Scenario) -> None:
    await s.define("flow", simple("a"), simple("b"), simple("c"), simple("d"))
    one = await s.start("flow", "k1")
    await s.call("POST", f"/workflow/{one}/jump/c", {"jumped": True}, releases=[one])
    await s.finish()


async def _upgrade(s: Scenario) -> None:
    await s.define("flow", simple("a"), simple("b"))
    one = await s.start("flow", "k1")
    await s.define("flow", simple("a"), simple("x"), simple("b"), version=2)
    await s.call("POST", f"/workflow/{one}/upgrade", {"name": "flow", "version": 2})
    await s.finish()


async def _idempotency(s: Scenario) -> None:
    await s.define("flow", simple("a"))
    first = await s.start("flow", "k1")
    second = await s.start("flow", "k1")
    assert first == second, "one key starts one execution"
    await s.work()
    assert first == await s.start("flow", "k1")
    await s.start("flow", "k2")
    await s.finish()


async def _definitions(s: Scenario) -> None:
    await s.define("flow", simple("a"))
    await s.start("flow", "k1")
    await s.define("flow", simple("b"))
    await s.define("flow", simple("c"), version=2)
    await s.start("flow", "k2")
    tags = [{"key": "team", "value": "roof"}]
    tagged = row("tags", "definition_tag", {"name": "flow", "key": "team"})
    await s.call("PUT", "/metadata/workflow/flow/tags", tags, promises=[tagged])
    gone = no_row("definition flow", "workflow_definition", {"name": "flow", "version": 2})
    await s.call("DELETE", "/metadata/workflow/flow/2", promises=[gone],
                 releases=["definition flow"])  # fmt: skip
    await s.define_task("a", retryCount=1)
    await s.define_task("a", retryCount=2)
    none = no_row("task definition a", "task_definition", {"name": "a"})
    await s.call("DELETE", "/metadata/taskdefs/a", promises=[none],
                 releases=["task definition a"])  # fmt: skip
    schema = {"name": "shape", "version": 1, "type": "JSON", "data": {"type": "object"}}
    kept = row("schema", "schema_definition", {"name": "shape", "version": 1})
    await s.call("POST", "/schema", [schema], promises=[kept])
    await s.finish()


async def _removal(s: Scenario) -> None:
    await s.define("flow", simple("a"))
    ids = [await s.start("flow", f"k{number}") for number in range(3)]
    await s.work()
    copied = row("copy", "archive", {"id": bytes.fromhex(ids[0].replace("-", ""))})
    await s.call("DELETE", f"/workflow/{ids[0]}/remove", promises=[copied], releases=[ids[0]])
    await s.call("DELETE", f"/workflow/{ids[1]}/remove?archiveWorkflow=false", releases=[ids[1]])
    await s.finish()


async def _retention(s: Scenario) -> None:
    await s.define("flow", simple("a"))
    ids = [await s.start("flow", f"k{number}") for number in range(6)]
    await s.work()
    await s.define("flow", simple("b"))
    await s.start("flow", "k9")

    async def sweep(settings: RetentionSettings) -> None:
        async def perform() -> None:
            for one in ids:
                s.log.release(one)
            await s.world.retain(settings)

        await s.step(perform)

    await sweep(RetentionSettings(max_count=2))
    await s.until(60)
    await sweep(RetentionSettings(max_age_days=30 / 86_400))
    await s.finish()


SHAPES = (
    Shape("terminate", _terminate),
    Shape("pause", _pause),
    Shape("restart", _restart),
    Shape("rerun", _rerun),
    Shape("retry_workflow", _retry_workflow),
    Shape("skip", _skip),
    Shape("jump", _jump),
    Shape("upgrade", _upgrade),
    Shape("idempotency", _idempotency),
    Shape("definitions", _definitions),
    Shape("removal", _removal),
    Shape("retention", _retention),
)
