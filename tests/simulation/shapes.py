"""The workflows of the world: a definition for each way in which executions may go on or end.

Who starts them and who does their tasks is not known here.
"""

from __future__ import annotations

from typing import Any

Step = dict[str, Any]

FLAKY, STEADY, DRIVER, SLOTS, BACK, WINDOW = "flaky", "steady", "expose", "slots", "back", "window"
PURE = "reckon"

QUEUES = {STEADY: 2, FLAKY: 1, SLOTS: 2, BACK: 1, WINDOW: 1}
"""What outside workers ask for, and how many of them do."""

SILENCE_S = {STEADY: 8, FLAKY: 5, DRIVER: 8, SLOTS: 8, BACK: 8, WINDOW: 8, PURE: 8}
"""How long a worker may be silent."""

RUN_S, POLLED_WITHIN_S = 20, 60
"""How long an attempt at ``flaky`` may take, and how long nobody may have asked for it."""

TOLD, TOLD_TASKS = "told", 2
"""What orders start and restart, and how many records one run of it makes."""

VARIABLE = "site"
"""Set by orders."""

AT_ONCE = 2
"""Of the tasks called ``slots``."""

WINDOW_TASKS, WINDOW_S = 2, 4
"""Of the tasks called ``window`` so many may be handed out in so many seconds."""


def task_definitions() -> list[dict[str, Any]]:
    """Definitions of the tasks: patient, short of breath, limited."""
    quick = {"retryDelaySeconds": 1, "responseTimeoutSeconds": 8, "timeoutSeconds": 0}
    return [
        {"name": STEADY, "retryCount": 5, **quick},
        {
            "name": FLAKY,
            "retryCount": 4,
            "retryLogic": "EXPONENTIAL_BACKOFF",
            "retryDelaySeconds": 1,
            "responseTimeoutSeconds": 5,
            "timeoutSeconds": RUN_S,
            "timeoutPolicy": "RETRY",
            "pollTimeoutSeconds": POLLED_WITHIN_S,
        },
        {"name": DRIVER, "retryCount": 3, **quick},
        {"name": PURE, "retryCount": 5, **quick, "retryDelaySeconds": 0},
        {"name": SLOTS, "retryCount": 5, "concurrentExecLimit": AT_ONCE, **quick},
        {"name": BACK, "retryCount": 5, **quick},
        {
            "name": WINDOW,
            "retryCount": 5,
            "rateLimitPerFrequency": WINDOW_TASKS,
            "rateLimitFrequencyInSeconds": WINDOW_S,
            **quick,
        },
    ]


def simple(ref: str, name: str = STEADY, **fields: Any) -> Step:
    """A task for a worker."""
    return {"name": name, "taskReferenceName": ref, "type": "SIMPLE", **fields}


def step(kind: str, ref: str, **fields: Any) -> Step:
    """A task of another type."""
    return {"name": ref, "taskReferenceName": ref, "type": kind, **fields}


def _fork(ref: str, *branches: list[Step]) -> list[Step]:
    ends = [branch[-1]["taskReferenceName"] for branch in branches]
    return [
        step("FORK_JOIN", ref, forkTasks=list(branches)),
        step("JOIN", f"{ref}_join", joinOn=ends),
    ]


def _loop(ref: str, laps: int, *tasks: Step) -> Step:
    condition = f"if ($.{ref}['iteration'] < {laps}) {{ true; }} else {{ false; }}"
    return step("DO_WHILE", ref, loopCondition=condition, loopOver=list(tasks))


def _child(ref: str, name: str, **fields: Any) -> Step:
    return step("SUB_WORKFLOW", ref, subWorkflowParam={"name": name}, **fields)


def _wait(ref: str, seconds: str) -> Step:
    return step("WAIT", ref, inputParameters={"duration": seconds})


def _flows() -> dict[str, list[Step]]:
    """Steps of each workflow, by its name."""
    return _simple_flows() | _data_flows() | _task_flows()


def _simple_flows() -> dict[str, list[Step]]:
    """What branches, repeats, nests and waits."""
    choice = {
        "evaluatorType": "value-param",
        "expression": "way",
        "inputParameters": {"way": "${workflow.input.way}"},
    }
    return {
        "plain": [simple("a"), simple("b", inputParameters={"said": "${a.output.said}"})],
        "forked": [*_fork("f", [simple("a")], [simple("b", FLAKY)], [simple("c")]), simple("d")],
        "looped": [_loop("l", 3, simple("a")), simple("b")],
        "nested": [_loop("l", 2, *_fork("f", [simple("a")], [_wait("w", "2s"), simple("b")]))],
        "chosen": [
            step(
                "SWITCH",
                "s",
                decisionCases={"left": [simple("a")], "end": [_ending()]},
                defaultCase=[simple("b"), _wait("w", "3s")],
                **choice,
            ),
            simple("c"),
        ],
        "parent": [_child("s", "plain"), simple("b")],
        "ancestor": [*_fork("f", [_child("s", "parent")], [_child("t", "forked")]), simple("c")],
        "waiting": [_wait("w", "7s"), simple("a"), _wait("v", "15s")],
        "asking": [step("HUMAN", "h"), simple("a")],
    }


def _data_flows() -> dict[str, list[Step]]:
    """What depends on data, or leads to something outside of itself."""
    return {
        "telling": [
            step(
                "EVENT",
                "e",
                sink="conductor",
                inputParameters={"token": "${workflow.workflowId}"},
            ),
            step("EVENT", "m", sink="mqtt:sim/told", inputParameters={"x": 1}),
            simple("a"),
        ],
        "caught": [simple("a")],
        "dynamic": [
            step(
                "FORK_JOIN_DYNAMIC",
                "d",
                inputParameters={
                    "tasks": "${workflow.input.tasks}",
                    "inputs": "${workflow.input.inputs}",
                },
                dynamicForkTasksParam="tasks",
                dynamicForkTasksInputParamName="inputs",
            ),
            step("JOIN", "j"),
            simple("z"),
        ],
        "computed": [
            step(
                "INLINE",
                "i",
                inputParameters={
                    "evaluatorType": "javascript",
                    "expression": "$.n * 2 + 1;",
                    "n": "${workflow.input.n}",
                },
            ),
            step("SET_VARIABLE", "v", inputParameters={"n": "${i.output.result}"}),
            simple("a", inputParameters={"n": "${workflow.variables.n}"}),
        ],
        "launching": [
            step(
                "START_WORKFLOW",
                "s",
                inputParameters={
                    "startWorkflow": {
                        "name": "launched",
                        "input": {"token": "${workflow.workflowId}"},
                    }
                },
            ),
            simple("a"),
        ],
        "launched": [simple("a")],
        TOLD: [_wait("w", "1s"), step("SET_VARIABLE", "v", inputParameters={"n": 1})],
    }


def _task_flows() -> dict[str, list[Step]]:
    """What is about how its tasks are handed out and end."""
    return {
        "flaky": [simple("a", FLAKY), simple("b", FLAKY, optional=True), simple("c")],
        "driven": [simple("x", DRIVER), simple("y", DRIVER), simple("a")],
        "reckoned": [
            simple("n", PURE, inputParameters={"n": "${workflow.input.way}"}),
            *_fork("f", [_reckon("x", "n")], [_reckon("y", "n"), simple("a")]),
            _loop("l", 3, _reckon("z", "x")),
            _reckon("m", "y"),
        ],
        "limited": [*_fork("f", *[[simple(f"a{n}", SLOTS)] for n in range(5)])],
        "paced": [*_fork("f", *[[simple(f"a{n}", WINDOW)] for n in range(4)])],
        "calling": [simple("a", BACK), simple("b")],
        "heavy": [simple("a", inputParameters={"bulk": "${workflow.input.bulk}"}), simple("b")],
    }


def _reckon(ref: str, of: str) -> Step:
    return simple(ref, PURE, inputParameters={"n": f"${{{of}.output.n}}"})


def _ending() -> Step:
    return step(
        "TERMINATE", "t", inputParameters={"terminationStatus": "COMPLETED", "workflowOutput": {}}
    )


SHAPES = tuple(name for name in _flows() if name not in ("caught", "launched", TOLD))
"""What clients start; the others are started by executions and by orders."""


def workflow_definitions() -> list[dict[str, Any]]:
    """The workflows as clients register them."""
    found = []
    for name, tasks in _flows().items():
        document: dict[str, Any] = {"name": name, "version": 1, "tasks": tasks}
        document |= {"schemaVersion": 2, "timeoutPolicy": "TIME_OUT_WF", "timeoutSeconds": 0}
        if name == "flaky":
            document |= {"timeoutSeconds": 120, "failureWorkflow": "caught"}
        found.append(document)
    return found


def event_handler() -> dict[str, Any]:
    """Starts a ``caught`` for each message that a ``telling`` sends."""
    return {
        "name": "catcher",
        "event": "conductor:telling:e",
        "active": True,
        "actions": [
            {
                "action": "start_workflow",
                "start_workflow": {"name": "caught", "input": {"token": "${token}"}},
            }
        ],
    }


def input_for(shape: str, way: int) -> dict[str, Any]:
    """An input that a shape can use; ``way`` is any number."""
    match shape:
        case "chosen":
            return {"way": ("left", "right", "end")[way % 3]}
        case "dynamic":
            names = [f"n{i}" for i in range(way % 4)]
            tasks = [{"name": STEADY, "taskReferenceName": n, "type": "SIMPLE"} for n in names]
            return {"tasks": tasks, "inputs": {n: {"i": n} for n in names}}
        case "computed":
            return {"n": way % 7}
        case "heavy":
            return {"bulk": f"{way:04d}" * (way % 3 * 700 + 1)}
        case _:
            return {"way": way}
