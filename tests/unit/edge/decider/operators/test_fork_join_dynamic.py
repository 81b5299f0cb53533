"""FORK_JOIN_DYNAMIC: its three forms, what its records are called, and what breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.calls import Launch
from edge.model.definitions import TaskDefinition
from edge.model.executions import TaskStatus
from edge.model.snapshot import step_of
from tests.unit.edge.playbook import Playbook, Step, join, step


def dynamic(**fields: Any) -> Step:
    """A dynamic fork named ``df``."""
    return step("df", "FORK_JOIN_DYNAMIC", **fields)


def uniform(**inputs: Any) -> Step:
    """The form with one list of inputs."""
    return dynamic(inputParameters={"forkTaskInputs": "${workflow.input.list}", **inputs})


def pair() -> Step:
    """The form with steps and a map of inputs."""
    return dynamic(
        dynamicForkTasksParam="tasks",
        dynamicForkTasksInputParamName="inputs",
        inputParameters={"tasks": "${workflow.input.tasks}", "inputs": "${workflow.input.inputs}"},
    )


def legacy() -> Step:
    """The oldest form."""
    return dynamic(
        dynamicForkJoinTasksParam="all", inputParameters={"all": "${workflow.input.all}"}
    )


def test_one_task_for_each_input() -> None:
    """Trace E of the reference: records, names, inputs, and the JOIN's output."""
    play = Playbook(uniform(forkTaskName="shot"), join("j"), step("z"))
    play.start({"list": [{"camera": "a"}, 7]})

    assert [
        "1 df 0 COMPLETED", "2 _shot_0 0 SCHEDULED", "3 _shot_1 0 SCHEDULED", "4 j 0 IN_PROGRESS",
    ] == play.rows()  # fmt: skip
    assert ("FORK", "FORK") == (play.task("df").type, play.task("df").name)
    assert {"camera": "a", "__index": 0} == play.input("_shot_0")
    assert {"input": 7, "__index": 1} == play.input("_shot_1")
    assert ["_shot_0", "_shot_1"] == play.input("j")["joinOn"] == play.input("df")["forkedTasks"]
    play.complete("_shot_0", {"n": 0})
    play.complete("_shot_1", {"n": 1})
    assert {"_shot_0": {"n": 0}, "_shot_1": {"n": 1}} == play.output("j")
    assert "SCHEDULED" == play.task("z").status


def test_names_of_the_first_and_of_later_forks() -> None:
    """Only from the second fork on does the fork's own name stand in front."""
    first, second = uniform(), {**uniform(), "name": "dg", "taskReferenceName": "dg"}
    play = Playbook(first, join("j"), second, join("k"))
    play.start({"list": [{}]})
    play.complete("_df_0")

    assert "SCHEDULED" == play.task("_dg_dg_0").status
    assert "df" == play.task("_df_0").type


def test_sub_workflows_for_each_input() -> None:
    """A version counts as a whole number or as the text of one."""
    play = Playbook(uniform(forkTaskWorkflow="child", forkTaskWorkflowVersion="2"), join("j"))
    decision = play.start({"list": [{"x": 1}, {"x": 2}]})
    launches = [call for call in decision.calls if isinstance(call, Launch)]

    assert [("child", 2), ("child", 2)] == [(one.name, one.version) for one in launches]
    assert {"x": 1, "__index": 0} == play.input("_df_0")["workflowInput"]


def test_a_version_longer_than_any_number() -> None:
    """It is none that anybody registered, and breaks nothing."""
    play = Playbook(
        uniform(forkTaskWorkflow="child", forkTaskWorkflowVersion="9" * 5_000), join("j")
    )
    (call,) = play.start({"list": [{}]}).calls

    assert isinstance(call, Launch)
    assert 2**31 - 1 == call.version


def test_settings_inside_an_input_are_settings_of_the_step() -> None:
    """``optional`` of the element, or of the fork itself."""
    play = Playbook(uniform(forkTaskName="t"), join("j"))
    play.start({"list": [{"optional": True}, {"optional": "maybe", "retryCount": 2}]})
    flagged, other = step_of(play.task("_t_0")), step_of(play.task("_t_1"))

    assert flagged is not None and other is not None
    assert (True, False, 2) == (flagged.optional, other.optional, other.retry_count)


def test_steps_and_their_inputs() -> None:
    """Each step is as it was given; its inputs are laid over, and resolved once more."""
    play = Playbook(pair(), join("j"))
    play.start(
        {
            "tasks": [
                {"name": "a", "taskReferenceName": "r1", "type": "SIMPLE"},
                {"name": "n", "taskReferenceName": "r2", "type": "NOOP"},
            ],
            "inputs": {"r1": {"who": "$${workflow.input.me}"}},
            "me": "Ada",
        }
    )

    assert {"r1": "SCHEDULED", "r2": "COMPLETED", "df": "COMPLETED", "j": "IN_PROGRESS"} == (
        play.states()
    )
    assert "a" == play.task("r1").queue


def test_the_legacy_form() -> None:
    """Name, reference, type and input of each task."""
    play = Playbook(legacy(), join("j"))
    play.start(
        {
            "all": {
                "dynamicTasks": [
                    {"taskName": "a", "referenceName": "r1", "type": "SIMPLE", "input": {"x": 1}}
                ]
            }
        }
    )

    assert {"x": 1} == play.input("r1")
    assert "a" == play.task("r1").type


def test_registered_definitions_apply_to_branches() -> None:
    """A branch is retried as its task definition says, with a record that brings its step again."""
    play = Playbook(uniform(forkTaskName="shot"), join("j"))
    play.registry.known["shot"] = TaskDefinition("shot", retry_count=1, retry_delay_seconds=0)
    play.start({"list": [{}]})
    play.fail("_shot_0")

    assert (1, "SCHEDULED") == (play.task("_shot_0").attempt, play.task("_shot_0").status)
    play.complete("_shot_0")
    assert "COMPLETED" == play.status


def test_no_branches_complete_the_join_at_once() -> None:
    """An empty list is a list."""
    play = Playbook(uniform(), join("j"), step("z"))
    play.start({"list": []})

    assert {"df": "COMPLETED", "j": "COMPLETED", "z": "SCHEDULED"} == play.states()


def test_branches_may_hold_steps() -> None:
    """A case or a loop that the execution brings along is followed to its end."""
    play = Playbook(pair(), join("j"))
    case = {
        "name": "sw", "taskReferenceName": "sw", "type": "SWITCH", "evaluatorType": "value-param",
        "expression": "k", "inputParameters": {"k": "x"},
        "decisionCases": {"x": [step("a"), step("b")]},
    }  # fmt: skip
    play.start({"tasks": [case], "inputs": {}})
    play.complete("a")
    play.complete("b")

    assert "COMPLETED" == play.status
    assert ["df", "sw", "a", "j", "b"] == [task.ref for task in play.snapshot.in_order()]


def test_inside_a_loop_every_branch_has_the_suffix() -> None:
    """The JOIN's names stay without it; the branches stay out of the loop's own output."""
    loop = step(
        "loop", "DO_WHILE", loopOver=[uniform(forkTaskName="t"), join("j")], loopCondition="false"
    )
    play = Playbook(loop)
    play.start({"list": [{}, {}]})
    play.complete("_t_0__1", {"n": 0})
    play.complete("_t_1__1", {"n": 1})

    assert {"_t_0": {"n": 0}, "_t_1": {"n": 1}} == play.output("j__1")
    assert {"df", "j"} == play.output("loop")["1"].keys()


def test_a_failing_branch_ends_the_workflow() -> None:
    """The others are cancelled."""
    play = Playbook(uniform(forkTaskName="t"), join("j"))
    play.start({"list": [{}, {}]})
    play.update("_t_0", TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason="broken")

    assert "FAILED" == play.status
    assert "CANCELED" == play.task("_t_1").status == play.task("j").status


@pytest.mark.parametrize(
    ("fork", "values", "message"),
    [
        (pair(), {"tasks": "no", "inputs": {}}, "Input 'tasks' is invalid. Cannot deserialize a "),
        (pair(), {"tasks": [{"name": "x"}], "inputs": {}}, "Input 'tasks' is invalid."),
        (pair(), {"tasks": None, "inputs": {}}, "Input 'tasks' is invalid."),
        (
            pair(),
            {"tasks": [], "inputs": [1]},
            "Input to the dynamically forked tasks is not a map",
        ),
        (
            pair(),
            {"tasks": [{"taskReferenceName": "r"}], "inputs": {"r": "v1"}},
            "Tasks could not be dynamically forked due to invalid input: that of r is not a map",
        ),
        (
            pair(),
            {"tasks": [{"name": "a", "taskReferenceName": "r", "optional": {}}], "inputs": {}},
            "Dynamic tasks could not be created. The task ",
        ),
        (
            pair(),
            {"tasks": [{"taskReferenceName": "r", "inputParameters": "no"}], "inputs": {}},
            "Dynamic tasks could not be created. The task ",
        ),
        (
            pair(),
            {"tasks": [{"taskReferenceName": "r"}, {"taskReferenceName": "r"}], "inputs": {}},
            "No dynamic tasks could be created for the Workflow: ",
        ),
        (legacy(), {"all": {}}, "Dynamic tasks could not be created. The value of all from "),
    ],
)
def test_what_cannot_be_followed_fails_the_workflow(
    fork: Step, values: dict[str, Any], message: str
) -> None:
    """With Conductor's words, and no branch has a record."""
    play = Playbook(fork, join("j"))
    play.start(values)

    assert "FAILED" == play.status
    assert (play.workflow.reason or "").startswith(message)
    assert {} == play.states()


@pytest.mark.parametrize("ref", ["df", "j", "before", "x"])
def test_a_branch_takes_nobodys_place(ref: str) -> None:
    """Neither that of the fork, nor of its JOIN, nor of what has run: it would be dropped unseen."""
    play = Playbook(step("before", "NOOP"), pair(), join("j"))
    tasks = [{"taskReferenceName": name, "name": "t"} for name in ("x", ref)]
    play.start({"tasks": tasks, "inputs": {}})

    assert "FAILED" == play.workflow.status
    reason = play.workflow.reason or ""
    assert reason.endswith(f"attempted to create a duplicate task reference name: {ref}")


def test_a_join_has_to_follow() -> None:
    """Nobody could ever say when the branches are done."""
    play = Playbook(uniform(), step("z"))
    play.start({"list": [{}]})

    assert "FAILED" == play.status
    assert (
        "Dynamic join definition is not followed by a join task.  Check the workflow definition."
        == play.workflow.reason
    )
