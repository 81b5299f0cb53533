"""Shapes of control flow: what one decision leads to, in all the ways that a definition knows.

What is done to executions from outside stands elsewhere.
"""

from __future__ import annotations

from typing import Any

from tests.power.recording import Shape
from tests.power.scenario import Scenario
from tests.power.world import RECKONED


def simple(ref: str, **fields: Any) -> dict[str, Any]:
    """A SIMPLE step whose task name is its reference."""
    return {"name": ref, "taskReferenceName": ref, "type": "SIMPLE", **fields}


def step(ref: str, kind: str, **fields: Any) -> dict[str, Any]:
    """A step of any kind."""
    return {"name": ref, "taskReferenceName": ref, "type": kind, **fields}


def join(ref: str, *on: str) -> dict[str, Any]:
    """A JOIN."""
    return step(ref, "JOIN", joinOn=list(on))


async def _simple(s: Scenario) -> None:
    await s.define("flow", simple("a"), simple("b", inputParameters={"x": "${a.output.ref}"}))
    for key in ("k1", "k2", "k3"):
        await s.start("flow", key, input={"x": key})
    await s.work()
    await s.start("flow", "k4", priority=5)
    await s.finish()


async def _dynamic_fork(s: Scenario, width: int) -> None:
    fork = step(
        "fork",
        "FORK_JOIN_DYNAMIC",
        dynamicForkTasksParam="tasks",
        dynamicForkTasksInputParamName="inputs",
        inputParameters={"tasks": "${workflow.input.tasks}", "inputs": "${workflow.input.inputs}"},
    )
    await s.define("fork", simple("before"), fork, join("join"), simple("after"))
    tasks = [simple(f"t{number}", name="branch") for number in range(width)]
    inputs = {f"t{number}": {"n": number} for number in range(width)}
    await s.start("fork", "k", input={"tasks": tasks, "inputs": inputs})
    await s.finish()


async def _fork_none(s: Scenario) -> None:
    await _dynamic_fork(s, 0)


async def _fork_one(s: Scenario) -> None:
    await _dynamic_fork(s, 1)


async def _fork_hundred(s: Scenario) -> None:
    await _dynamic_fork(s, 100)


async def _fork_join(s: Scenario) -> None:
    branches = [[simple("a"), simple("b")], [simple("c", optional=True)], [step("w", "NOOP")]]
    fork = step("fork", "FORK_JOIN", forkTasks=branches)
    await s.define("fork", fork, join("join", "b", "c"), simple("d"))
    await s.start("fork", "k1")
    await s.start("fork", "k2")
    await s.finish()


async def _exclusive_join(s: Scenario) -> None:
    choice = step(
        "choice",
        "SWITCH",
        evaluatorType="value-param",
        expression="x",
        inputParameters={"x": "${workflow.input.x}"},
        decisionCases={"left": [simple("l")], "right": [simple("r")]},
        defaultCase=[simple("n")],
    )
    last = step("last", "EXCLUSIVE_JOIN", joinOn=["l", "r"], defaultExclusiveJoinTask=["n"])
    await s.define("ways", choice, last, simple("end"))
    for key in ("left", "right", "neither"):
        await s.start("ways", key, input={"x": key})
    await s.finish()


async def _do_while(s: Scenario) -> None:
    inner = step(
        "inner",
        "DO_WHILE",
        loopCondition="if ($.inner['iteration'] < 2) { true; } else { false; }",
        loopOver=[simple("b")],
    )
    outer = step(
        "outer",
        "DO_WHILE",
        loopCondition="if ($.outer['iteration'] < 3) { true; } else { false; }",
        loopOver=[simple("a"), inner],
    )
    await s.define("loop", outer, simple("after"))
    await s.start("loop", "k")
    await s.finish()


async def _do_while_items(s: Scenario) -> None:
    loop = step(
        "each", "DO_WHILE", inputParameters={"items": "${workflow.input.list}"},
        loopOver=[simple("one"), step("pause", "WAIT", inputParameters={"duration": "5 seconds"})],
    )  # fmt: skip
    await s.define("items", loop, simple("after"))
    await s.start("items", "k", input={"list": [1, 2, 3]})
    await s.finish()


async def _dynamic(s: Scenario) -> None:
    chosen = step(
        "chosen", "DYNAMIC", dynamicTaskNameParam="which",
        inputParameters={"which": "${workflow.input.which}"},
    )  # fmt: skip
    await s.define("dyn", chosen, simple("after"))
    await s.start("dyn", "k1", input={"which": "this"})
    await s.start("dyn", "k2", input={"which": "that"})
    await s.finish()


def _sub(ref: str, name: str, **fields: Any) -> dict[str, Any]:
    return step(ref, "SUB_WORKFLOW", subWorkflowParam={"name": name, "version": 1}, **fields)


async def _sub_workflow(s: Scenario) -> None:
    await s.define("three", simple("deep"))
    await s.define("two", _sub("to_three", "three"), simple("t2"))
    await s.define("one", simple("t1"), _sub("to_two", "two"), simple("end"))
    await s.start("one", "k1")
    await s.start("one", "k2")
    await s.finish()


async def _sub_workflow_forked(s: Scenario) -> None:
    await s.define("child", simple("c"))
    branches = [[_sub(f"s{number}", "child")] for number in range(4)]
    fork = step("fork", "FORK_JOIN", forkTasks=branches)
    await s.define("parents", fork, join("join", "s0", "s1", "s2", "s3"))
    await s.start("parents", "k")
    await s.finish()


async def _start_workflow(s: Scenario) -> None:
    await s.define("other", simple("o"))
    starts = step(
        "go", "START_WORKFLOW",
        inputParameters={"startWorkflow": {"name": "other", "input": {"x": 1}}},
    )  # fmt: skip
    await s.define("starter", starts, simple("after"))
    await s.start("starter", "k1")
    await s.start("starter", "k2")
    await s.finish()


async def _terminate_task(s: Scenario) -> None:
    await s.define("child", simple("c"))
    end = step(
        "end", "TERMINATE",
        inputParameters={"terminationStatus": "FAILED", "workflowOutput": {"why": "enough"}},
    )  # fmt: skip
    fork = step("fork", "FORK_JOIN", forkTasks=[[_sub("s", "child")], [simple("a"), end]])
    await s.define("ending", fork, join("join", "s", "end"), simple("never"))
    await s.define("cleanup", simple("clean"))
    await s.define("with_failure", simple("f"), end, failureWorkflow="cleanup")
    # The child's worker says nothing; its parent's other branch ends it.
    s.hands["c"] = lambda _: None
    await s.start("ending", "k1")
    await s.start("with_failure", "k2")
    await s.finish()


async def _set_variable(s: Scenario) -> None:
    setting = step("set", "SET_VARIABLE", inputParameters={"n": "${a.output.ref}", "l": [1]})
    await s.define(
        "vars", simple("a"), setting, simple("b", inputParameters={"n": "${workflow.variables.n}"}),
        outputParameters={"n": "${workflow.variables.n}", "m": "${workflow.variables.m}"},
    )  # fmt: skip
    one = await s.start("vars", "k1")
    await s.call("POST", f"/workflow/{one}/variables", {"m": 7})
    await s.finish()


async def _scripts(s: Scenario) -> None:
    inline = step(
        "sum", "INLINE",
        inputParameters={"evaluatorType": "javascript", "expression": "$.a + 1",
                         "a": "${workflow.input.a}"},
    )  # fmt: skip
    jq = step(
        "jq", "JSON_JQ_TRANSFORM",
        inputParameters={"queryExpression": ".a.result * 2", "a": "${sum.output}"},
    )  # fmt: skip
    await s.define("scripts", inline, jq, simple("after", inputParameters={"x": "${jq.output}"}))
    for number in range(3):
        await s.start("scripts", f"k{number}", input={"a": number})
    await s.finish()


async def _pure(s: Scenario) -> None:
    def reckon(ref: str, of: str) -> dict[str, Any]:
        return simple(ref, name=RECKONED, inputParameters={"n": of})

    await s.define(
        "pure",
        reckon("one", "${workflow.input.n}"),
        reckon("two", "${one.output.n}"),
        simple("after", inputParameters={"x": "${two.output.n}"}),
        reckon("three", "${two.output.n}"),
    )
    for number in range(3):
        await s.start("pure", f"k{number}", input={"n": number})
    await s.finish()


SHAPES = (
    Shape("simple", _simple),
    Shape("fork_none", _fork_none),
    Shape("fork_one", _fork_one),
    Shape("fork_hundred", _fork_hundred),
    Shape("fork_join", _fork_join),
    Shape("exclusive_join", _exclusive_join),
    Shape("do_while", _do_while),
    Shape("do_while_items", _do_while_items),
    Shape("dynamic", _dynamic),
    Shape("sub_workflow", _sub_workflow),
    Shape("sub_workflow_forked", _sub_workflow_forked),
    Shape("start_workflow", _start_workflow),
    Shape("terminate_task", _terminate_task),
    Shape("set_variable", _set_variable),
    Shape("scripts", _scripts),
    Shape("pure", _pure),
)
