"""Snapshot and Decision: what the decider asks, and what it answers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.model.decision import Decision, LogLine, Publication
from edge.model.executions import (
    IllegalChange,
    Task,
    TaskStatus,
    Workflow,
    WorkflowStatus,
)
from edge.model.snapshot import Snapshot, join_refs, step_of
from tests.unit.edge.playbook import WORKFLOW_ID, pin, step

WORKFLOW = Workflow(
    key=1,
    id=WORKFLOW_ID,
    name="w",
    version=1,
    pinned=1,
    status=WorkflowStatus.RUNNING,
    input=b'{"n":1}',
)


def record(ordinal: int, ref: str, status: str = "SCHEDULED", **fields: Any) -> Task:
    """A record whose seq is its ordinal; a finished one has been followed."""
    fields.setdefault("executed", TaskStatus(status).terminal)
    return Task(
        ordinal=ordinal,
        seq=ordinal,
        ref=ref,
        kind=fields.pop("kind", "SIMPLE"),
        type=ref,
        name=ref,
        status=TaskStatus(status),
        **fields,
    )


def waiting_join(ordinal: int, *refs: str, **fields: Any) -> Task:
    """An open JOIN."""
    values = msgspec.json.encode({"joinOn": list(refs)})
    return record(ordinal, "j", "IN_PROGRESS", kind="JOIN", input=values, **fields)


def snapshot(*tasks: Task, **fields: Any) -> Snapshot:
    """A Snapshot of these records."""
    return Snapshot(msgspec.structs.replace(WORKFLOW, **fields), pin(step("a")), list(tasks))


def test_indexes() -> None:
    """The newest record of each reference, the open ones, and the next numbers."""
    found = snapshot(record(1, "a", "FAILED"), record(2, "b"), record(3, "a"))

    assert {"a": 3, "b": 2} == found.latest
    assert [2, 3] == list(found.open)
    assert (4, 4) == (found.next_seq, found.next_ordinal)
    assert [2, 3] == [task.ordinal for task in found.open_tasks()]
    newest = found.find("a")
    assert newest is not None
    assert 3 == newest.ordinal
    assert found.find("c") is None


def test_order_is_by_seq() -> None:
    """The list of tasks has the order of its places, whatever the order of reading."""
    first, second = record(5, "a"), record(6, "b")
    swapped = msgspec.structs.replace(first, seq=9)

    assert [6, 5] == [task.ordinal for task in snapshot(second, swapped).in_order()]


def test_older_records_do_not_replace_newer_ones() -> None:
    """Changing an attempt that was replaced leaves the index alone."""
    found = snapshot(record(1, "a", "FAILED"), record(2, "a"))

    found.put(record(1, "a", "FAILED", retried=True))

    assert {"a": 2} == found.latest


def test_numbers_start_where_a_restart_left_off() -> None:
    """The workflow keeps the first number that no record has had."""
    found = snapshot(next_ordinal=7)
    assert (1, 7) == (found.next_seq, found.next_ordinal)

    found.put(record(7, "a"))
    assert [7] == found.clear()

    assert (1, 8) == (found.next_seq, found.next_ordinal)
    assert not (found.tasks or found.latest or found.open or found.unfinished)


def test_joins_wait_for_what_is_not_settled() -> None:
    """Unknown, open and unfollowed records are waited for."""
    found = snapshot(
        record(1, "done", "COMPLETED"),
        record(2, "failed", "FAILED", executed=False),
        record(3, "open"),
        waiting_join(4, "done", "failed", "open", "never"),
    )

    assert {4: {"failed", "open", "never"}} == found.unfinished
    assert [4] == found.joins_waiting_for("done")
    assert [] == found.joins_waiting_for("other")


def test_joins_hear_of_every_change() -> None:
    """A member that settles is not waited for; one that is tried again is."""
    found = snapshot(record(1, "a"), waiting_join(2, "a", "b"))

    found.put(record(1, "a", "FAILED", executed=False))
    assert {2: {"a", "b"}} == found.unfinished
    found.put(record(1, "a", "FAILED", retried=True))
    assert {2: {"b"}} == found.unfinished
    found.put(record(3, "a"))
    assert {2: {"a", "b"}} == found.unfinished


def test_a_finished_join_waits_for_nobody() -> None:
    """It is forgotten, until it is opened again."""
    found = snapshot(record(1, "a"), waiting_join(2, "a"))
    join = found.tasks[2]

    found.put(msgspec.structs.replace(join, status=TaskStatus.CANCELED))
    assert {} == found.unfinished
    assert [] == found.joins_waiting_for("a")
    found.put(record(1, "a", "COMPLETED"))

    found.put(join)
    found.await_refs(2, join_refs(join))
    assert {2: set()} == found.unfinished
    assert [2] == found.joins_waiting_for("a")


def test_payloads_are_parsed_once_until_they_change() -> None:
    """What is asked for twice is the same object; a new record is parsed anew."""
    found = snapshot(record(1, "a", input=b'{"x":1}'))
    assert {"n": 1} == found.parsed(0, "input")
    assert found.parsed(0, "input") is found.parsed(0, "input")
    assert found.parsed(1, "input") is found.parsed(1, "input")
    assert {} == found.parsed(1, "output")

    found.put(record(1, "a", input=b'{"x":2}', output=b'{"y":1}'))
    found.put_workflow(msgspec.structs.replace(found.workflow, input=b'{"n":2}'))

    assert {"x": 2} == found.parsed(1, "input")
    assert {"y": 1} == found.parsed(1, "output")
    assert {"n": 2} == found.parsed(0, "input")
    assert {} == found.parsed(0, "variables")


def test_illegal_changes_are_refused() -> None:
    """Neither a record nor the workflow may go where the tables do not lead."""
    found = snapshot(record(1, "a", "COMPLETED"))

    with pytest.raises(IllegalChange):
        found.put(record(1, "a", "FAILED"))
    found.put_workflow(msgspec.structs.replace(WORKFLOW, status=WorkflowStatus.COMPLETED))
    with pytest.raises(IllegalChange):
        found.put_workflow(msgspec.structs.replace(WORKFLOW, status=WorkflowStatus.PAUSED))


@pytest.mark.parametrize(
    "decision",
    [
        Decision(workflow=WORKFLOW),
        Decision(tasks=(record(1, "a"),)),
        Decision(dropped=(1,)),
        Decision(publications=(Publication("id", "mqtt:topic", b""),)),
        Decision(logs=(LogLine(1, "line", 0),)),
    ],
)
def test_an_empty_decision_has_nothing_at_all(decision: Decision) -> None:
    """Each part alone is something to write."""
    assert not decision.empty
    assert Decision().empty


def test_join_refs_carry_the_iteration() -> None:
    """Inside a loop a JOIN waits for the references of its own iteration."""
    assert ["a", "b"] == join_refs(waiting_join(1, "a", "b"))
    assert ["a__3"] == join_refs(waiting_join(1, "a", iteration=3, suffix="__3"))
    assert [] == join_refs(record(1, "j"))


def test_a_record_may_bring_its_step() -> None:
    """The step is read back as it was."""
    own = msgspec.convert(step("x"), type(pin(step("x")).definition.tasks[0]))

    assert own == step_of(record(1, "x", step=msgspec.json.encode(own)))
    assert step_of(record(1, "x")) is None


def _bringing(ordinal: int, inner: str, ref: str = "sw", **fields: Any) -> Task:
    """A record of a SWITCH that no definition holds, with one step inside."""
    case = step(ref, "SWITCH", decisionCases={"x": [step(inner), step("z")]})
    brought = msgspec.json.encode(msgspec.convert(case, type(pin(case).definition.tasks[0])))
    return record(ordinal, ref, kind="SWITCH", step=brought, **fields)


def test_the_newest_record_says_what_its_step_holds() -> None:
    """Whichever comes first; an older one that changes does not take it back."""
    old, new = _bringing(1, "a1"), _bringing(2, "b1")
    for found in (snapshot(old, new), snapshot(new, old)):
        assert found.outline_of("b1").place("b1") is not None
        place = found.outline_of("sw").place("sw")
        assert place is not None and step_of(new) == place.step
        following = found.outline_of("b1").following("b1")
        assert following is not None and "z" == following.task_reference_name


def test_a_step_that_was_brought_inside_another_stays_there() -> None:
    """Its own record brings it as well."""
    inner = step("in", "SWITCH", decisionCases={"x": [step("a1")]})
    outer = step("sw", "SWITCH", decisionCases={"x": [inner, step("z")]})
    kind = type(pin(outer).definition.tasks[0])
    records = [
        record(1, "sw", kind="SWITCH", step=msgspec.json.encode(msgspec.convert(outer, kind))),
        record(2, "in", kind="SWITCH", step=msgspec.json.encode(msgspec.convert(inner, kind))),
    ]
    following = snapshot(*records).outline_of("a1").next("a1")

    assert following is not None and "z" == following.task_reference_name


def test_cleared_records_leave_no_steps() -> None:
    """A restart may bring others of the same names."""
    found = snapshot(_bringing(3, "a1"))
    found.clear()
    assert found.outline_of("a1").place("a1") is None
    found.put(_bringing(4, "b1"))
    assert found.outline_of("b1").place("b1") is not None
    assert found.outline_of("a1").place("a1") is None


def test_another_definition_leaves_what_is_known_of_the_records() -> None:
    """Above all that a payload of theirs is lost."""
    found = snapshot(record(1, "a"))
    found.lost = "gone"
    other = found.by_definition(msgspec.structs.replace(found.workflow, pinned=2), pin(step("b")))

    assert ("gone", 2, found.tasks) == (other.lost, other.workflow.pinned, other.tasks)
