"""The twenty rules of Conductor that break naive engines, one test each, under their numbers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.decider import policies
from edge.launches import with_template
from edge.model.calls import Launch
from edge.model.decision import Lease
from edge.model.definitions import TaskDefinition, WorkflowDefinition
from edge.model.executions import Pinned, TaskStatus
from tests.evaluators import EVALUATORS
from tests.unit.edge.playbook import (
    Playbook,
    Step,
    fork,
    inline,
    join,
    step,
    switch,
    terminate,
)

LEASE = Lease("w", 1, 1)


def scripted(*steps: Step, values: dict[str, Any] | None = None, **fields: Any) -> Playbook:
    """A started playbook with real JavaScript."""
    play = Playbook(*steps, **fields)
    play.scripts = EVALUATORS  # type: ignore[assignment]
    play.start(values)
    return play


def test_rule_01_a_retry_is_a_new_record() -> None:
    """The old one stays, marked as retried; the new one names it."""
    play = Playbook(step("a", settings={"retryCount": 1, "retryDelaySeconds": 0}))
    play.start()
    first = play.task("a")
    play.fail("a")
    again = play.task("a")

    assert (first.ordinal, 1, 2) == (again.retried_from, again.attempt, again.seq)
    assert play.snapshot.tasks[first.ordinal].retried
    assert play.snapshot.tasks[first.ordinal].status is TaskStatus.FAILED


def test_rule_02_the_response_timeout_ignores_the_policy() -> None:
    """Silence is TIMED_OUT and then a retry, although the policy would end the workflow."""
    settings = {"retryCount": 1, "responseTimeoutSeconds": 1, "timeoutPolicy": "TIME_OUT_WF"}
    play = Playbook(step("a", settings=settings))
    play.start()
    play.after(2).silent("a", LEASE)

    assert ["1 a 0 TIMED_OUT", "2 a 1 SCHEDULED"] == play.rows()
    assert "RUNNING" == play.status


@pytest.mark.parametrize(
    ("logic", "delays"),
    [
        ("FIXED", [5, 5, 5]),
        ("LINEAR_BACKOFF", [10, 20, 30]),
        ("EXPONENTIAL_BACKOFF", [5, 10, 20]),
    ],
)
def test_rule_03_the_scale_factor_is_for_linear_backoff_only(logic: Any, delays: list[int]) -> None:
    """Exponential doubles; then the cap, then the jitter on top of it."""
    definition = TaskDefinition(
        retry_logic=logic, retry_delay_seconds=5, backoff_scale_factor=2, backoff_jitter_ms=9_000
    )
    capped = msgspec.structs.replace(definition, max_retry_delay_seconds=12)

    assert delays == [policies.retry_delay_s(definition, attempt) for attempt in range(3)]
    assert [min(12, delay) for delay in delays] == [
        policies.retry_delay_s(capped, attempt) for attempt in range(3)
    ]
    jitters = {policies.jitter_ms(capped, str(number)) for number in range(200)}
    assert 0 <= min(jitters) < max(jitters) <= 9_000


def test_rule_04_optional_and_permissive_count_after_the_last_attempt() -> None:
    """Optional becomes COMPLETED_WITH_ERRORS, permissive stays and fails the workflow at the end."""
    once = {"retryCount": 1, "retryDelaySeconds": 0}
    play = Playbook(
        step("o", settings=once, optional=True),
        step("p", settings=once, permissive=True),
        step("z"),
    )
    play.start()
    play.fail("o")
    assert "SCHEDULED" == play.task("o").status
    play.fail("o")
    assert "COMPLETED_WITH_ERRORS" == play.task("o").status
    play.fail("p")
    play.fail("p")
    assert ("FAILED", "SCHEDULED") == (play.task("p").status, play.task("z").status)
    play.complete("z")
    assert "FAILED" == play.status


def test_rule_05_the_default_is_for_keys_that_are_absent() -> None:
    """A case without tasks is a case for SWITCH; for DECISION it is none."""
    cases: dict[str, list[Step]] = {"x": []}
    chosen = Playbook(switch("s", cases, defaultCase=[step("d")]), step("z"))
    chosen.start({"kind": "x"})
    assert {"s": "COMPLETED", "z": "SCHEDULED"} == chosen.states()
    decision = step(
        "s", "DECISION", caseValueParam="kind", decisionCases=cases, defaultCase=[step("d")],
        inputParameters={"kind": "x"},
    )  # fmt: skip
    older = Playbook(decision, step("z"))
    older.start()
    assert {"s": "COMPLETED", "d": "SCHEDULED"} == older.states()


@pytest.mark.parametrize(
    ("value", "key"),
    [(None, "null"), (True, "true"), ([1, 2], "[1, 2]"), (3, "3"), ({"k": "v"}, "{k=v}")],
)
def test_rule_06_cases_are_compared_as_java_writes_them(value: Any, key: str) -> None:
    """Null, booleans, lists and maps have their Java text; a whole double is an integer's."""
    play = scripted(switch("s", {key: [step("a")]}), values={"kind": value})
    assert "SCHEDULED" == play.task("a").status
    number = scripted(
        switch("s", {"3": [step("a")]}, evaluatorType="javascript", expression="1.5 * 2")
    )
    assert "SCHEDULED" == number.task("a").status


def test_rule_07_expressions_of_operators_are_not_substituted() -> None:
    """Only their inputs are."""
    play = scripted(
        switch(
            "s",
            {"${workflow.input.x}": [step("a")]},
            evaluatorType="javascript",
            expression="'$' + '{workflow.input.x}'",
        )
    )

    assert "SCHEDULED" == play.task("a").status
    loop = scripted(
        step(
            "l",
            "DO_WHILE",
            loopOver=[inline("i", "1")],
            loopCondition="'${workflow.input.x}' == 'y'",
        ),
        values={"x": "y"},
    )
    assert 1 == loop.task("l").laps


def test_rule_08_resolution_happens_once() -> None:
    """What a value brings along stays text; only the steps of a dynamic fork are resolved twice."""
    play = Playbook(step("a", inputParameters={"v": "${workflow.input.v}"}))
    play.start({"v": "${workflow.input.w}", "w": 1})
    assert {"v": "${workflow.input.w}"} == play.input("a")
    tasks = [
        {"name": "t", "taskReferenceName": "t", "inputParameters": {"v": "${workflow.input.w}"}}
    ]
    dynamic = step(
        "d", "FORK_JOIN_DYNAMIC", dynamicForkTasksParam="tasks",
        dynamicForkTasksInputParamName="inputs",
        inputParameters={"tasks": "${workflow.input.tasks}", "inputs": {}},
    )  # fmt: skip
    forked = Playbook(dynamic, join("j"))
    forked.start({"tasks": tasks, "w": 1})
    assert {"v": 1} == forked.input("t")


def test_rule_09_what_is_missing_is_null_and_objects_are_written_as_java_does() -> None:
    """Null as a whole value, the word inside a text."""
    play = Playbook(
        step("a", inputParameters={"whole": "${workflow.input.n}", "text": "x${workflow.input.n}y",
                                   "map": "m=${workflow.input.m}"})
    )  # fmt: skip
    play.start({"m": {"k": "v", "deep": {"z": 3.5}}})

    assert {"whole": None, "text": "xnully", "map": "m={k=v, deep={z=3.5}}"} == play.input("a")


def test_rule_10_template_literals_collide_with_expressions() -> None:
    """Authors escape with a second dollar."""
    play = scripted(
        inline("a", "(function(){ return `${ 'js' }` })()"),
        inline("b", "(function(){ let x = 'js'; return `$${x}` })()"),
    )

    assert ("null", "js") == (play.output("a")["result"], play.output("b")["result"])


def test_rule_11_the_value_of_a_script_is_that_of_its_last_statement() -> None:
    """Without any return."""
    play = scripted(
        inline("a", "if ($.n > 1) { 'big'; } else { 'small'; }", inputParameters={"n": 2})
    )

    assert "big" == play.output("a")["result"]


def test_rule_12_what_is_true_for_a_loop() -> None:
    """Booleans as they are, numbers above 0, and nothing else."""
    for condition, laps in (("'true'", 1), ("[1]", 1), ("0", 1), ("$.l.iteration < 2 ? 5 : 0", 2)):
        play = scripted(step("l", "DO_WHILE", loopOver=[inline("i", "1")], loopCondition=condition))
        assert laps == play.task("l").laps


def test_rule_13_loops_rename_their_tasks_and_expressions_do_not_see_it() -> None:
    """``s__2`` is ``${s.output}``, the latest iteration; with its suffix it cannot be named."""
    body = step("s", inputParameters={"last": "${s.output.n}", "odd": "${s__1.output.n}"})
    play = scripted(step("l", "DO_WHILE", loopOver=[body], loopCondition="$.l.iteration < 2"))
    play.complete("s__1", {"n": 1})

    assert {"last": 1, "odd": None} == play.input("s__2")


def test_rule_14_definitions_are_kept_with_the_execution() -> None:
    """A registered definition that changes later changes nothing here."""
    play = Playbook(step("a", settings={"retryCount": 0}), step("z"))
    play.registry.known["a"] = TaskDefinition("a", retry_count=5)
    play.start()
    play.fail("a")

    assert "FAILED" == play.status


def test_rule_15_an_empty_input_takes_nothing_of_the_template() -> None:
    """One key is enough to get the others."""
    definition = msgspec.convert(
        {"name": "w", "inputTemplate": {"a": 1, "b": 2}}, WorkflowDefinition
    )
    pinned = Pinned(1, definition, b"")

    assert b"{}" == with_template(b"{}", pinned)
    assert {"a": 9, "b": 2} == msgspec.json.decode(with_template(b'{"a":9}', pinned))


def test_rule_16_late_answers_are_taken_and_change_nothing() -> None:
    """For a task, and for a workflow, that has ended."""
    play = Playbook(step("a"), step("b"))
    play.start()
    play.complete("a", {"n": 1})

    assert play.fail("a").empty
    play.terminate("enough")
    assert play.complete("b").empty
    assert "CANCELED" == play.task("b").status


def test_rule_17_in_progress_puts_the_task_back() -> None:
    """SCHEDULED, hidden until the callback."""
    play = Playbook(step("a"))
    play.start()
    decision = play.update("a", TaskStatus.IN_PROGRESS, {"n": 1}, callback_after_s=30)

    assert ("SCHEDULED", play.now_ms + 30_000) == (play.task("a").status, play.task("a").deliver_ms)
    assert (1,) == decision.queued


def test_rule_18_an_update_replaces_and_an_update_by_reference_merges() -> None:
    """Key by key."""
    play = Playbook(step("a"), step("b"))
    play.start()
    play.update("a", TaskStatus.IN_PROGRESS, {"x": 1})
    play.update("a", TaskStatus.IN_PROGRESS, {"y": 2})
    assert {"y": 2} == play.output("a")
    play.complete("a", {"z": 3}, merge=True)
    assert {"y": 2, "z": 3} == play.output("a")


def test_rule_19_the_apis_terminate_starts_no_failure_workflow() -> None:
    """A failure, a timeout and a TERMINATE task do."""
    play = Playbook(step("a"), failureWorkflow="cleanup")
    play.start()
    assert () == play.terminate("enough").calls
    for broken in (
        Playbook(step("a", settings={"retryCount": 0}), failureWorkflow="cleanup"),
        Playbook(step("a"), terminate("t", "TERMINATED"), failureWorkflow="cleanup"),
    ):
        broken.start()
        act = broken.fail if len(broken.snapshot.pinned.definition.tasks) == 1 else broken.complete
        (call,) = act("a").calls
        assert isinstance(call, Launch)
        assert "cleanup" == call.name


def test_rule_20_a_pause_stops_scheduling_and_nothing_else() -> None:
    """What is queued stays pollable, and its result is kept."""
    play = Playbook(fork("f", [step("a")], [step("b")]), join("j", "a", "b"), step("z"))
    play.start()
    play.pause()
    assert "SCHEDULED" == play.task("a").status
    play.complete("a", {"n": 1})
    play.complete("b")
    assert ("IN_PROGRESS", {"n": 1}) == (play.task("j").status, play.output("a"))
    play.resume()
    assert "SCHEDULED" == play.task("z").status
