"""A Decision while it is being made: inputs, records, and what counts as changed."""

from __future__ import annotations

import msgspec

from edge.decider.draft import Draft, Ending
from edge.model.decision import Decision
from edge.model.executions import TaskStatus, WorkflowStatus
from tests.unit.edge.playbook import NOW_MS, Playbook, sources, step


def test_a_draft_that_does_nothing_decides_nothing() -> None:
    """An empty Decision writes nothing."""
    play = Playbook(step("a"))
    play.start()

    decision = Draft(play.snapshot, NOW_MS, sources()).decision([])

    assert Decision() == decision
    assert decision.empty


def test_what_is_changed_and_changed_back_is_not_written() -> None:
    """Only what differs at the end is part of the Decision."""
    play = Playbook(step("a"))
    play.start()
    draft = Draft(play.snapshot, NOW_MS, sources())
    task = play.task("a")

    changed = draft.change(task, worker="w")
    draft.change(changed, worker=None)
    draft.change_workflow(variables=b'{"v":1}')
    draft.change_workflow(variables=b"{}")

    assert draft.decision(draft.changes()).empty


def test_the_first_ending_counts() -> None:
    """Whatever ends the workflow first gives its status."""
    draft = Draft(Playbook(step("a")).snapshot, NOW_MS, sources())
    first = Ending(WorkflowStatus.FAILED, "first", 1)

    draft.end(first)
    draft.end(Ending(WorkflowStatus.COMPLETED, "second", 2))

    assert first == draft.ending


def test_input_template() -> None:
    """Absent keys come from the template and are resolved; null ones take it as it stands."""
    template = {"a": "${workflow.input.x}", "b": "raw ${workflow.input.x}", "c": None}
    play = Playbook(
        step(
            "t",
            inputParameters={"b": "${workflow.input.none}", "d": "${workflow.input.none}"},
            settings={"inputTemplate": template},
        )
    )

    play.start({"x": 1})

    expected = {"a": 1, "b": "raw ${workflow.input.x}", "c": None, "d": None}
    assert expected == play.input("t")


def test_a_new_attempt_keeps_what_only_its_predecessor_had() -> None:
    """The old input stays under what is resolved anew."""
    play = Playbook(step("t", inputParameters={"a": "${t.retryCount}"}, settings={"retryCount": 1}))
    play.start()
    given = msgspec.structs.replace(play.task("t"), input=b'{"a":null,"given":1}')
    play.snapshot.put(given)

    play.fail("t")

    assert {"a": 0, "given": 1} == play.input("t")


def test_a_finished_record_waits_for_nothing() -> None:
    """Moments and delivery times go when a record ends."""
    play = Playbook(step("a", startDelay=30, settings={"pollTimeoutSeconds": 5}))
    play.start()
    assert NOW_MS + 30_000 == play.task("a").deliver_ms
    assert 0 < play.task("a").due_ms

    play.complete("a")

    assert 0 == play.task("a").deliver_ms == play.task("a").due_ms


def test_a_record_carries_its_task_definition_times() -> None:
    """A new record is due at the earliest moment that anything about it is due."""
    rules = {"totalTimeoutSeconds": 5, "timeoutPolicy": "RETRY"}
    play = Playbook(step("w", "WAIT", inputParameters={"duration": "9 s"}, settings=rules))

    play.start()

    task = play.task("w")
    assert NOW_MS + 5_000 == task.due_ms
    assert NOW_MS == task.scheduled_ms == task.started_ms == task.first_scheduled_ms
    assert {"duration": "9 s", "waitTimeout": NOW_MS + 9_000} == msgspec.json.decode(task.input)
    assert TaskStatus.IN_PROGRESS == task.status
