"""cacheConfig: which output is kept under which key, and who takes it over."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.executions import TaskStatus
from edge.model.outputs import KeptOutput
from tests.unit.edge.playbook import NOW_MS, Playbook, Step, step


def cached(ref: str = "a", kind: str = "SIMPLE", **fields: Any) -> Step:
    """A step whose output is kept for a minute, by its inputs ``uri`` and ``method``."""
    fields.setdefault("cacheConfig", {"key": "${uri}-${method}", "ttlInSecond": 60})
    fields.setdefault("inputParameters", {"uri": "${workflow.input.uri}", "method": "GET"})
    return step(ref, kind, name="fetch", **fields)


@pytest.mark.parametrize("kind", ["SIMPLE", "HTTP", "MY_TYPE"])
def test_an_output_is_kept_when_its_task_has_completed(kind: str) -> None:
    """Under the name of the task definition and the key that its input makes; for its time."""
    play = Playbook(cached(kind=kind))
    play.start({"uri": "x"})

    decision = play.complete("a", {"n": 1})

    assert (KeptOutput("fetch", "x-GET", b'{"n":1}', NOW_MS + 60_000),) == decision.kept


@pytest.mark.parametrize("kind", ["SIMPLE", "HTTP", "MY_TYPE"])
def test_a_kept_output_is_taken_over(kind: str) -> None:
    """The task is completed at once, nobody is asked, and the flow goes on with its output."""
    play = Playbook(cached(kind=kind), step("b", inputParameters={"n": "${a.output.n}"}), version=1)
    play.shelf.kept["fetch", "x-GET"] = b'{"n":7}'

    decision = play.start({"uri": "x"})

    task = play.task("a")
    assert ("COMPLETED", None, {"n": 7}) == (task.status, task.queue, play.output("a"))
    assert NOW_MS == task.started_ms == task.ended_ms
    assert {"n": 7} == play.input("b")
    assert (2,) == decision.queued
    # Its time runs from the task that has made it, not from those that take it over.
    assert () == decision.kept


def test_another_input_or_another_definition_is_not_found() -> None:
    """Both are part of what is asked for."""
    play = Playbook(cached())
    play.shelf.kept["fetch", "y-GET"] = play.shelf.kept["other", "x-GET"] = b"{}"

    play.start({"uri": "x"})

    assert "SCHEDULED" == play.task("a").status


@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.FAILED_WITH_TERMINAL_ERROR])
def test_only_success_is_kept(status: TaskStatus) -> None:
    """Neither a failure nor one that the flow forgives."""
    play = Playbook(cached(optional=True), step("b"))
    play.start({"uri": "x"})

    decision = play.update("a", status, {"n": 1})

    assert () == decision.kept
    assert "COMPLETED_WITH_ERRORS" == play.states()["a"]


@pytest.mark.parametrize(
    ("key", "inputs", "expected"),
    [
        ("all", {}, "all"),
        ("${http_request.uri}", {"http_request": {"uri": "x"}}, "x"),
        ("${list[1]}/${n}/${b}", {"list": [1, 2], "n": 1.5, "b": True}, "2/1.5/true"),
        ("${map}", {"map": {"a": 1}}, "{a=1}"),
        ("${uri}-${missing}", {"uri": "x"}, "x-null"),
        ("${missing}", {"uri": "x"}, None),
        ("  ", {}, None),
        ("", {}, None),
    ],
)
def test_keys(key: str, inputs: dict[str, Any], expected: str | None) -> None:
    """Expressions over the task's own input; without any value there is no key."""
    play = Playbook(cached(cacheConfig={"key": key, "ttlInSecond": 1}, inputParameters=inputs))
    play.start()

    decision = play.complete("a")

    assert ([] if expected is None else [expected]) == [one.key for one in decision.kept]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"key": "k"},
        {"ttlInSecond": 60},
        {"key": "k", "ttlInSecond": 0},
        {"key": "k", "ttlInSecond": -1},
        {"key": "k", "ttlInSecond": "60"},
        {"key": 5, "ttlInSecond": 60},
    ],
)
def test_what_cannot_be_followed_keeps_nothing(config: dict[str, Any]) -> None:
    """The task is done as if nothing stood there."""
    play = Playbook(cached(cacheConfig=config))
    play.shelf.kept["fetch", "k"] = b"{}"
    play.start()

    assert "SCHEDULED" == play.task("a").status
    assert () == play.complete("a").kept


def test_a_new_attempt_may_take_it_over_too() -> None:
    """In the meantime another execution may have succeeded."""
    play = Playbook(cached(settings={"retryCount": 1, "retryDelaySeconds": 5}))
    play.start({"uri": "x"})
    play.shelf.kept["fetch", "x-GET"] = b'{"n":7}'

    play.fail("a")

    assert ["1 a 0 FAILED", "2 a 1 COMPLETED"] == play.rows()
    assert ("COMPLETED", None) == (play.status, play.task("a").reason)


def test_what_is_found_in_a_pause_is_kept_when_the_flow_goes_on() -> None:
    """Consequences are drawn then, and this is one."""
    play = Playbook(cached())
    play.start({"uri": "x"})
    play.pause()
    assert () == play.complete("a", {"n": 1}).kept

    decision = play.after(10).resume()

    assert [NOW_MS + 70_000] == [one.expires_ms for one in decision.kept]
