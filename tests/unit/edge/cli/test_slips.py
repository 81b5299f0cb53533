"""What is allowed and looks like a slip is told, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from edge.cli.exchange import slips_of


def _flow(step: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "w", "tasks": [{"name": "a", "taskReferenceName": "a", **step}], **fields}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (_flow({"type": "SIMPEL"}), "step a: the type SIMPEL is no built-in one, so a worker has"),
        (_flow({"type": "http"}), "did you mean HTTP?"),
        (_flow({}, outputParamters={}), "nobody reads the field outputParamters; did you mean ou"),
        (_flow({"inputParameter": {}}), "step a: nobody reads the field inputParameter; did you"),
        (_flow({"type": "JOIN", "joinOn": ["b"]}), "step a: it waits for ever for b, which no st"),
        ({"name": "t", "retrycount": 3}, "nobody reads the field retrycount; did you mean retryC"),
        (
            _flow({"type": "FORK_JOIN", "forkTasks": [[{"name": "b", "type": "INLNE"}]]}),
            "step b: the type INLNE",
        ),
    ],
)
def test_a_slip_is_told_with_what_was_probably_meant(document: dict[str, Any], said: str) -> None:
    """Wherever it stands in the definition."""
    (line,) = slips_of(document)

    assert said in line


@pytest.mark.parametrize(
    "document",
    [
        _flow({"type": "resize_picture"}),
        _flow({"type": "SIMPLE"}, colour="blue", version=3),
        _flow({"type": "JOIN", "joinOn": ["a"]}),
        {"name": "w", "tasks": [{"type": "FORK_JOIN_DYNAMIC"}, {"type": "JOIN", "joinOn": ["b"]}]},
        _flow({"type": 3}),
        {"name": "t", "timeoutSeconds": 3},
    ],
)
def test_what_is_something_of_its_own_is_not_told(document: dict[str, Any]) -> None:
    """Types of workers and fields of other releases are as good as any."""
    assert [] == slips_of(document)


def test_no_more_is_told_than_anybody_reads() -> None:
    """A definition that is wrong all over is cut short."""
    step = {"name": "a", "taskReferenceName": "a", "type": "SIMPEL"}

    assert 20 == len(slips_of({"name": "w", "tasks": [step] * 50}))
