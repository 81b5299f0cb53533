"""Conductor's query grammar becomes terms, and nothing is dropped that would answer too much."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.api.search import Terms, parse
from edge.model.errors import InvalidInput
from edge.model.executions import WorkflowStatus


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Terms()),
        ("workflowType=a", Terms(names=["a"])),
        ("workflowType = 'a' AND workflowType IN (a,b)", Terms(names=["a"])),
        ("workflowType IN (a, \"b c\" ,'d')", Terms(names=["a", "b c", "d"])),
        ('correlationId = "x AND y"', Terms(correlation_id="x AND y")),
        ("status=FAILED", Terms(statuses=[WorkflowStatus.FAILED])),
        ("status=FAILED AND status=RUNNING", Terms(statuses=[])),
        ("startTime > 5 AND startTime<9", Terms(start_from_ms=5, start_to_ms=9)),
        ("startTime=5", Terms(start_from_ms=4, start_to_ms=6)),
        ("workflowId=i AND unknown > 3", Terms(workflow_ids=["i"])),
    ],
)
def test_terms_are_joined(query: str, expected: Terms) -> None:
    """Blanks and quotes do not matter, several terms of one field narrow it."""
    assert expected == parse(query)


@pytest.mark.parametrize(
    "query",
    [
        "status",
        "status ! 3",
        "status > RUNNING",
        "status IN ()",
        "startTime > yesterday",
        "startTime IN (1,2)",
        "endTime > 3",
        "correlationId IN (a,b)",
        "x" * 30_000,
    ],
)
def test_what_cannot_be_searched_is_refused(query: str) -> None:
    """A term with another form, or a field that would silently be left out."""
    with pytest.raises(InvalidInput):
        parse(query)


@given(st.text(alphabet="status=<>IN(),'\" ANDworkflowType12", max_size=60))
def test_any_text_is_read_or_refused(query: str) -> None:
    """Terms or a refusal, nothing else."""
    with contextlib.suppress(InvalidInput):
        assert isinstance(parse(query), Terms)
