"""The query grammar of the records of ticks, as Conductor's pages and people write it."""

from __future__ import annotations

import pytest

from edge.api.schedule_query import Terms, parse, parse_sort
from edge.model.errors import InvalidInput
from edge.model.schedules import ExecutionState


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("", Terms()),
        ("  AND  ", Terms()),
        ("nightly", Terms(schedules=["nightly"])),
        ("my nightly-job", Terms(schedules=["my nightly-job"])),
        ("'nightly'", Terms(schedules=["nightly"])),
        ("scheduleName=nightly", Terms(schedules=["nightly"])),
        ('scheduleName = "night ly"', Terms(schedules=["night ly"])),
        ("scheduleName IN (a, 'b' ,c)", Terms(schedules=["a", "b", "c"])),
        ("scheduleName IN a", Terms(schedules=["a"])),
        ("state IN (FAILED,POLLED)", Terms(states=[ExecutionState.FAILED, ExecutionState.POLLED])),
        ("state=EXECUTED", Terms(states=[ExecutionState.EXECUTED])),
        ("a AND  AND b", Terms(schedules=["a", "b"])),
        ("ANDa\tAND\nbAND", Terms(schedules=["ANDa", "bAND"])),
        # A blank less on one side, of 20,000: a second or more if each were tried with all others.
        (f"a{' ' * 19_990}AND", Terms(schedules=[f"a{' ' * 19_990}AND"])),
        ("scheduledTime>5", Terms(after_ms=5)),
        ("scheduledTime < 9 AND scheduledTime > 5", Terms(after_ms=5, before_ms=9)),
        ("scheduledTime=5", Terms(after_ms=4, before_ms=6)),
        ("workflowName=flow", Terms(part_of_workflow="flow")),
        ("executionId=1-2", Terms(execution_id="1-2")),
        (
            "scheduleName IN (a) AND state IN (FAILED)   AND workflowName=w",
            Terms(schedules=["a"], states=[ExecutionState.FAILED], part_of_workflow="w"),
        ),
    ],
)
def test_queries(query: str, terms: Terms) -> None:
    """Terms are joined by AND; a word by itself is a schedule."""
    assert terms == parse(query)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("state=DONE", "state 'DONE' is not one of POLLED, EXECUTED, FAILED"),
        ("scheduledTime>yesterday", "scheduledTime is compared with a time"),
        ("scheduledTime IN (1,2)", "scheduledTime IN is not known here"),
        ("scheduleName<a", "scheduleName takes = or IN"),
        ("workflowName IN (a,b)", "workflowName IN is not known here"),
        ("owner=ada", "owner = is not known here; there is scheduleName"),
        ("a" * 20_001, "query: may hold 20000 characters"),
    ],
)
def test_bad_queries(query: str, words: str) -> None:
    """What cannot be searched by is not left out, which would answer too many."""
    with pytest.raises(InvalidInput) as refused:
        parse(query)

    assert words in refused.value.message


def test_sorting() -> None:
    """Descending, unless it says otherwise."""
    assert (("scheduledTime", True), ("state", False), ("x", False)) == parse_sort(
        ["scheduledTime:ASC", "state:DESC", "x"]
    )
