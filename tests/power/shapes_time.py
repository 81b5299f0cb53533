"""Shapes that time moves: waits, retries, every timeout, limits, schedules.

What only depends on what tasks give stands elsewhere.
"""

from __future__ import annotations

from typing import Any

from edge.model.executions import TaskStatus
from edge.model.requests import TaskView
from tests.power.recording import Shape
from tests.power.scenario import Scenario, no_row, row
from tests.power.shapes_flow import simple, step


def _silent(_: TaskView) -> None:
    return None


def _fails_twice(view: TaskView) -> tuple[TaskStatus, dict[str, Any]]:
    status = TaskStatus.FAILED if view.task.attempt < 2 else TaskStatus.COMPLETED
    return status, {"attempt": view.task.attempt}


def _fails(_: TaskView) -> tuple[TaskStatus, dict[str, Any]]:
    return TaskStatus.FAILED, {"always": True}


def _calls_back(view: TaskView) -> tuple[TaskStatus, dict[str, Any]]:
    """Not done yet at first: the task is handed out again some seconds later."""
    seen = b"seen" in view.task.output
    return (TaskStatus.COMPLETED if seen else TaskStatus.IN_PROGRESS), {"seen": 1}


async def _wait(s: Scenario) -> None:
    pause = step("pause", "WAIT", inputParameters={"duration": "30 seconds"})
    moment = step("moment", "WAIT", inputParameters={"until": "2023-11-15 12:02 UTC"})
    await s.define("wait", simple("a"), pause, moment, simple("b"))
    await s.start("wait", "k1")
    await s.start("wait", "k2")
    await s.finish()


async def _signal(s: Scenario) -> None:
    person = step("person", "HUMAN")
    await s.define("human", simple("a"), person, step("word", "WAIT"), simple("b"))
    one = await s.start("human", "k1")
    await s.work()
    await s.call("POST", f"/tasks/{one}/person/COMPLETED", {"who": "me"})
    await s.work()
    await s.call("POST", f"/tasks/{one}/word/COMPLETED", {"word": "go"})
    await s.finish()


async def _retry(s: Scenario) -> None:
    await s.define_task("fragile", retryCount=3, retryLogic="EXPONENTIAL_BACKOFF",
                        retryDelaySeconds=4)  # fmt: skip
    await s.define_task("hopeless", retryCount=1, retryLogic="FIXED", retryDelaySeconds=0)
    s.hands |= {"fragile": _fails_twice, "hopeless": _fails}
    await s.define("retries", simple("fragile"), simple("after"))
    await s.define("gives_up", simple("hopeless", optional=True), simple("hopeless2"))
    s.hands["hopeless2"] = _fails
    await s.start("retries", "k1")
    await s.start("gives_up", "k2")
    await s.finish()


async def _callback(s: Scenario) -> None:
    s.hands["slow"] = _calls_back
    await s.define("callbacks", simple("slow"), simple("after"))
    await s.start("callbacks", "k1")
    one = await s.start("callbacks", "k2")
    await s.work()
    await s.call("POST", f"/workflow/{one}/resetcallbacks")
    await s.finish()


async def _response_timeout(s: Scenario) -> None:
    await s.define_task("quiet", responseTimeoutSeconds=10, timeoutSeconds=60, retryCount=1,
                        retryDelaySeconds=0)  # fmt: skip
    await s.define("silence", simple("quiet"), simple("after"))
    await s.start("silence", "k1")
    await s.hold()
    await s.until(20)
    await s.finish()


async def _task_timeout(s: Scenario) -> None:
    await s.define_task("long", responseTimeoutSeconds=10, timeoutSeconds=15, retryCount=0,
                        timeoutPolicy="TIME_OUT_WF")  # fmt: skip
    await s.define("too_long", simple("long"))
    await s.start("too_long", "k1")
    s.hands["long"] = _silent
    await s.hold()
    await s.until(40)
    await s.finish()


async def _poll_timeout(s: Scenario) -> None:
    await s.define_task("unwanted", pollTimeoutSeconds=20, responseTimeoutSeconds=10, retryCount=0)
    await s.define("nobody", simple("unwanted"))
    await s.start("nobody", "k1")
    await s.until(30)
    await s.finish()


async def _total_timeout(s: Scenario) -> None:
    await s.define_task("again", retryCount=50, retryDelaySeconds=5, retryLogic="FIXED",
                        totalTimeoutSeconds=22, responseTimeoutSeconds=5)  # fmt: skip
    s.hands["again"] = _fails
    await s.define("in_total", simple("again"))
    await s.start("in_total", "k1")
    await s.finish()


async def _workflow_timeout(s: Scenario) -> None:
    await s.define("limited", simple("a"), step("for_ever", "HUMAN"), timeoutSeconds=60,
                   timeoutPolicy="TIME_OUT_WF", failureWorkflow="tidy")  # fmt: skip
    await s.define("tidy", simple("clean"))
    await s.start("limited", "k1")
    await s.finish()


async def _rate_limits(s: Scenario) -> None:
    await s.define("single", simple("a"),
                   rateLimitConfig={"rateLimitKey": "${workflow.input.x}",
                                    "concurrentExecLimit": 1})  # fmt: skip
    for key in ("k1", "k2", "k3"):
        await s.start("single", key, input={"x": "same"})
    await s.define_task("narrow", concurrentExecLimit=1, rateLimitPerFrequency=1,
                        rateLimitFrequencyInSeconds=5)  # fmt: skip
    await s.define("narrows", simple("narrow"))
    await s.start("narrows", "k4")
    await s.start("narrows", "k5")
    await s.finish()


async def _firmware(s: Scenario) -> None:
    """An update over the air: two slots, a reboot in between, and back when it is not healthy."""
    await s.define_task("health", retryCount=2, retryDelaySeconds=3, retryLogic="FIXED")
    s.hands["health"] = _healthy_if_even
    judged = {"ok": "${health.output.ok}"}
    choice = {"evaluatorType": "value-param", "expression": "ok", "inputParameters": judged}
    cases = {"true": [simple("keep_slot")]}
    await s.define(
        "firmware",
        simple("fetch"),
        simple("verify", inputParameters={"digest": "${fetch.output.ref}"}),
        step("consent", "HUMAN"),
        simple("write_slot"),
        step("reboot", "WAIT", inputParameters={"duration": "40 seconds"}),
        simple("health", inputParameters={"n": "${workflow.input.n}"}),
        step("judge", "SWITCH", decisionCases=cases, defaultCase=[simple("go_back")], **choice),
        step("noted", "SET_VARIABLE", inputParameters=judged),
        outputParameters=judged,
        timeoutSeconds=600,
        timeoutPolicy="TIME_OUT_WF",
    )
    for number in range(2):
        one = await s.start("firmware", f"k{number}", input={"n": number})
        await s.work()
        await s.call("POST", f"/tasks/{one}/consent/COMPLETED", {"by": "the owner"})
    await s.finish()


def _healthy_if_even(view: TaskView) -> tuple[TaskStatus, dict[str, Any]]:
    """It does not answer at first, as what has just been booted."""
    if view.task.attempt == 0:
        return TaskStatus.FAILED, {}
    return TaskStatus.COMPLETED, {"ok": "true" if b'"n":0' in view.task.input else "false"}


async def _schedule(s: Scenario) -> None:
    await s.define("ticked", simple("a"))
    document = {
        "name": "often", "cronExpression": "*/10 * * * * *", "zoneId": "UTC",
        "startWorkflowRequest": {"name": "ticked", "version": 1, "correlationId": "tick"},
    }  # fmt: skip
    kept = row("schedule often", "schedule", {"name": "often"})
    await s.call("POST", "/scheduler/schedules", document, promises=[kept])
    await s.until(35)
    await s.work()
    paused = row("schedule often", "schedule", {"name": "often", "paused": 1})
    await s.call("PUT", "/scheduler/schedules/often/pause", promises=[paused])
    await s.until(65)
    await s.call("PUT", "/scheduler/schedules/often/resume", releases=["schedule often"])
    await s.until(85)
    await s.work()
    gone = no_row("schedule often", "schedule", {"name": "often"})
    await s.call("DELETE", "/scheduler/schedules/often", promises=[gone],
                 releases=["schedule often"])  # fmt: skip
    await s.until(120)
    await s.finish()


SHAPES = (
    Shape("wait", _wait),
    Shape("signal", _signal),
    Shape("retry", _retry),
    Shape("callback", _callback),
    # A lease is not written: after a power cut the worker is asked once more, and may answer.
    Shape("response_timeout", _response_timeout, loose=frozenset({"silence"})),
    Shape("task_timeout", _task_timeout),
    Shape("poll_timeout", _poll_timeout),
    Shape("total_timeout", _total_timeout),
    Shape("workflow_timeout", _workflow_timeout),
    Shape("rate_limits", _rate_limits),
    Shape("schedule", _schedule),
    Shape("firmware", _firmware),
)
