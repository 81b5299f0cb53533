"""Definitions of every shape and executions of them, for the pages that draw them.

No page is opened here.
"""

from __future__ import annotations

from typing import Any

from tests.browser.device_double import task

ROUND = "a0000000-0000-4000-8000-00000000000a"
CHILD = "c0000000-0000-4000-8000-00000000000c"
BRANCHES = 20
"""Of the dynamic fork; the ninth of them failed."""


def step(ref: str, kind: str = "SIMPLE", **more: Any) -> dict[str, Any]:
    """One step of a definition."""
    return {"name": ref, "taskReferenceName": ref, "type": kind, **more}


def round_definition() -> dict[str, Any]:
    """A definition in which every kind of step stands."""
    return {
        "name": "night_round",
        "version": 1,
        "schemaVersion": 2,
        "tasks": [
            step("look", "HTTP"),
            step("sort", "JSON_JQ_TRANSFORM"),
            step(
                "which",
                "SWITCH",
                decisionCases={
                    "person": [step("warn"), step("tell", "EVENT"), step("answer", "HUMAN")],
                    "animal": [step("count_animals", "INLINE")],
                    "broken": [step("give_up", "TERMINATE")],
                },
                defaultCase=[],
            ),
            step(
                "rounds",
                "DO_WHILE",
                loopOver=[
                    step("walk"),
                    step("lit", "SWITCH", decisionCases={"no": [step("lamp")]}, defaultCase=[]),
                    step("rest", "WAIT"),
                ],
            ),
            step(
                "both",
                "FORK_JOIN",
                forkTasks=[[step("north"), step("north_check")], [step("south")]],
            ),
            step("both_done", "JOIN", joinOn=["north_check", "south"]),
            step("cameras", "FORK_JOIN_DYNAMIC"),
            step("cameras_done", "JOIN"),
            step("report", "SUB_WORKFLOW", subWorkflowParam={"name": "report"}),
            step("archive_pictures_of_the_whole_night_to_the_store", "SIMPLE"),
        ],
    }


def round_execution(started: int, *, animal: bool = False) -> dict[str, Any]:
    """An execution of it: a person, three rounds, a retry, twenty cameras of which one failed."""
    tasks: list[dict[str, Any]] = []

    def ran(ref: str, kind: str = "SIMPLE", **more: Any) -> None:
        number = len(tasks) + 1
        begin = {"started": started + number * 100, "ran": 80}
        tasks.append(task(ROUND, number, ref, type=kind, **begin, **more))

    ran("look", "HTTP", status="FAILED")
    ran("look", "HTTP", retryCount=1)
    ran("sort", "JSON_JQ_TRANSFORM")
    ran("which", "SWITCH", outputData={"evaluationResult": ["animal" if animal else "person"]})
    if animal:
        ran("count_animals", "INLINE")
    else:
        ran("warn")
        ran("tell", "EVENT")
        ran("answer", "HUMAN")
    ran("rounds", "DO_WHILE", iteration=3, outputData={"iteration": 3})
    for iteration in (1, 2, 3):
        ran(f"walk__{iteration}", iteration=iteration)
        ran(
            f"lit__{iteration}",
            "SWITCH",
            iteration=iteration,
            outputData={"evaluationResult": ["yes"]},
        )
        ran(f"rest__{iteration}", "WAIT", iteration=iteration)
    ran("both", "FORK")
    for ref in ("north", "south", "north_check"):
        ran(ref)
    ran("both_done", "JOIN")
    forked = [f"camera_{number}" for number in range(BRANCHES)]
    ran("cameras", "FORK", inputData={"forkedTasks": forked})
    for number, ref in enumerate(forked):
        ran(ref, status="FAILED_WITH_TERMINAL_ERROR" if number == 9 and not animal else "COMPLETED")
    if animal:
        ran("cameras_done", "JOIN")
        ran("report", "SUB_WORKFLOW", status="IN_PROGRESS", subWorkflowId=CHILD)
    else:
        ran("cameras_done", "JOIN", status="FAILED")
    return {
        "workflowId": ROUND,
        "workflowName": "night_round",
        "workflowVersion": 1,
        "workflowDefinition": round_definition(),
        "status": "RUNNING" if animal else "FAILED",
        "createTime": started,
        "startTime": started,
        "updateTime": started + 9_000,
        "endTime": 0 if animal else started + 9_000,
        "input": {},
        "output": {},
        "variables": {},
        "tasks": tasks,
    }


def large_definition(steps: int = 300) -> dict[str, Any]:
    """A definition of about so many steps: a chain in which every tenth is a wide switch."""
    tasks: list[dict[str, Any]] = []
    for number in range(steps // 10):
        tasks += [step(f"s{number}_{part}") for part in range(4)]
        cases = {f"case {part}": [step(f"c{number}_{part}")] for part in range(5)}
        tasks.append(step(f"which_{number}", "SWITCH", decisionCases=cases, defaultCase=[]))
    return {"name": "large", "version": 1, "schemaVersion": 2, "tasks": tasks}
