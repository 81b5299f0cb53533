"""The short way of a decision: what it is taken for, what not, and that nobody can tell.

``Playbook.do`` holds every decision on the short way against the same on the long one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge.decider.outside import NOWHERE
from edge.model.decision import Lease, UpdateTask
from edge.model.executions import TaskStatus
from edge.model.payload_limits import PayloadLimits
from tests.unit.edge.playbook import Playbook, Step, fork, join, step, switch

READS: dict[str, Any] = {
    "inputParameters": {"got": "${a.output.n}", "of": "${workflow.input.name}"}
}


class _Narrow:
    """An outside where payloads may have 100 bytes."""

    limits = PayloadLimits(task_most=100, workflow_most=120)
    environment = staticmethod(NOWHERE.environment)
    process = staticmethod(NOWHERE.process)
    secret = staticmethod(NOWHERE.secret)
    faults = staticmethod(NOWHERE.faults)


def test_a_line_of_workers_goes_the_short_way_from_its_start_to_its_end() -> None:
    """What is done is read by what follows, and the end has the output that is asked for."""
    play = Playbook(step("a"), step("b", **READS), outputParameters={"both": "${b.input}"})
    ways = []
    play.start({"name": "x"})
    ways.append(play.went_short)
    play.after(1).complete("a", {"n": 7}, lease=Lease("w", play.now_ms - 400, 1))
    ways.append(play.went_short)
    play.after(1).complete("b", reason="r" * 600, worker="me")
    ways.append(play.went_short)

    assert [True, True, True] == ways
    assert ("COMPLETED", {"both": {"got": 7, "of": "x"}}) == (play.status, play.result)
    assert ["1 a 0 COMPLETED", "2 b 0 COMPLETED"] == play.rows()


def test_deadlines_are_set_on_the_short_way_too() -> None:
    """Of the workflow and of its tasks."""
    settings = {"pollTimeoutSeconds": 5, "timeoutPolicy": "RETRY"}
    fields = {"timeoutPolicy": "TIME_OUT_WF", "timeoutSeconds": 60}
    play = Playbook(step("a", settings=settings), **fields)
    play.start()

    assert play.went_short
    assert (play.now_ms + 60_000, play.now_ms + 5_000) == (
        play.workflow.due_ms,
        play.task("a").due_ms,
    )


def test_the_last_step_of_a_case_leads_to_what_follows_the_switch() -> None:
    """A line need not stand at the top."""
    play = Playbook(switch("s", {"x": [step("in")]}), step("out"))
    play.start({"kind": "x"})
    began_short = play.went_short
    play.complete("in")

    assert (False, True) == (began_short, play.went_short)
    assert {"s": "COMPLETED", "in": "COMPLETED", "out": "SCHEDULED"} == play.states()


SCHEMA = {"data": {"type": "object"}}

LONG: dict[str, tuple[list[Step], dict[str, Any]]] = {
    "another type": ([step("a", "HUMAN")], {}),
    "a type of the user's own": ([step("a", "MINE")], {}),
    "a delay": ([step("a", startDelay=3)], {}),
    "a cache": ([step("a", cacheConfig={"key": "k", "ttlInSecond": 9})], {}),
    "news of its state": (
        [step("a", onStateChange={"onScheduled": [{"type": "t", "payload": {}}]})],
        {},
    ),
    "a schema of its input": ([step("a", settings={"inputSchema": SCHEMA})], {}),
    "a template of its input": ([step("a", settings={"inputTemplate": {"x": 1}})], {}),
    "a schema of the workflow's input": ([step("a")], {"inputSchema": SCHEMA}),
}


@pytest.mark.parametrize("why", LONG)
def test_what_has_something_attached_begins_the_long_way(why: str) -> None:
    """The short way knows nothing of it."""
    steps, fields = LONG[why]
    play = Playbook(*steps, **fields)
    play.start()
    assert not play.went_short
    assert {"a": "IN_PROGRESS" if why == "another type" else "SCHEDULED"} == play.states()


def test_a_domain_is_chosen_the_long_way() -> None:
    """Which one depends on who asks for work."""
    play = Playbook(step("a"))
    play.start(task_to_domain={"a": "d"})
    assert (False, "d:a") == (play.went_short, play.task("a").queue)


ANSWERS: dict[str, Callable[[Playbook], Any]] = {
    "a failure": lambda play: play.fail("a"),
    "no end yet": lambda play: play.update("a", TaskStatus.IN_PROGRESS),
    "lines for the log": lambda play: play.complete("a", logs=(("line", 5),)),
    "an output to be laid over": lambda play: play.complete("a", {"n": 1}, merge=True),
    "an output that was uploaded": lambda play: play.complete("a", output_path="x"),
    "a second time": lambda play: (play.complete("a"), play.complete("a")),
    "a pause": lambda play: (play.pause(), play.complete("a")),
    "a payload that is lost": lambda play: _lost(play).complete("a"),
}


def _lost(play: Playbook) -> Playbook:
    play.snapshot.lost = "it is gone"
    return play


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_that_is_not_plain_goes_the_long_way(what: str) -> None:
    """And what the execution comes to is the long way's affair."""
    play = Playbook(step("a"), step("b"))
    play.start()
    ANSWERS[what](play)
    assert not play.went_short


@pytest.mark.parametrize(
    "following",
    [
        step("b", "WAIT", inputParameters={"duration": "9 seconds"}),
        step("b", settings={"inputSchema": SCHEMA}),
        step("b", inputParameters={"large": ["${a.output.large}"] * 2}),
    ],
)
def test_what_follows_and_is_not_plain_is_reached_the_long_way(following: Step) -> None:
    """The short way has ended the task when it finds out, and takes that back."""
    play = Playbook(step("a"), following)
    play.outside = _Narrow()
    play.start()
    play.complete("a", {"large": "x" * 80, "n": 1})
    assert not play.went_short
    assert "COMPLETED" == play.states()["a"]


def test_branches_loops_and_children_go_the_long_way() -> None:
    """Others are under way, or wait to be told."""
    play = Playbook(fork("f", [step("x")], [step("y")]), join("j", "x", "y"), step("z"))
    play.start()
    for ref, short in (("x", False), ("y", False), ("z", True)):
        play.complete(ref)
        assert short == play.went_short

    play = Playbook(step("l", "DO_WHILE", loopCondition="fail", loopOver=[step("x"), step("y")]))
    play.start()
    play.complete("x__1")
    assert not play.went_short

    play = Playbook(step("a"))
    play.start(parent=bytes(12) + b"\0\0\0\1")
    play.complete("a")
    assert (False, "COMPLETED") == (play.went_short, play.status)


def test_an_end_that_leaves_failures_behind_goes_the_long_way() -> None:
    """They are told with it."""
    play = Playbook(step("a", settings={"retryCount": 1, "retryDelaySeconds": 0}), step("b"))
    play.start()
    play.fail("a")
    play.complete("a")
    assert play.went_short
    play.complete("b")
    assert (False, ["a"]) == (play.went_short, play.workflow.failed_refs)


@pytest.mark.parametrize(
    ("output", "fields"),
    [
        ({"x": "y" * 95}, {"outputParameters": {"x": "${a.output.x}", "more": "${a.output.x}"}}),
        ({"n": 1}, {"outputSchema": SCHEMA}),
    ],
)
def test_an_output_that_may_be_refused_goes_the_long_way(
    output: dict[str, Any], fields: dict[str, Any]
) -> None:
    """It may be too large, or not as its schema wants it."""
    play = Playbook(step("a"), **fields)
    play.outside = _Narrow()
    play.start()
    play.complete("a", output)
    assert not play.went_short


def test_what_nests_too_deeply_goes_the_long_way() -> None:
    """Nobody could read it again; the long way says so."""
    play = Playbook(step("a"), step("b", inputParameters={"all": "${a.output}"}))
    play.start()
    output = b'{"d":' * 1100 + b"{}" + b"}" * 1100
    play.do(UpdateTask(play.task("a").ordinal, TaskStatus.COMPLETED, output))
    assert (False, "FAILED") == (play.went_short, play.status)
