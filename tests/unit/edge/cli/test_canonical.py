"""The canonical form: what a server adds is left out, what an author means stays."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edge.cli.canonical import canonical, difference, text_of
from edge.model.definitions import TaskDefinition, WorkflowDefinition
from edge.wire import definition_document

FULL: dict[str, Any] = {
    "name": "order",
    "version": 2,
    "restartable": True,
    "timeoutSeconds": 0,
    "createTime": 1,
    "updatedBy": "somebody",
    "inputSchema": {"name": "order_in", "version": 1, "type": "JSON"},
    "rateLimitConfig": {"rateLimitKey": "k", "concurrentExecLimit": 1, "policy": "QUEUE"},
    "tasks": [
        {
            "name": "way",
            "taskReferenceName": "way",
            "type": "SWITCH",
            "startDelay": 0,
            "decisionCases": {
                "data": [{"name": "a", "taskReferenceName": "a", "optional": False}],
                "tasks": [{"name": "b", "taskReferenceName": "b", "optional": True}],
            },
            "onStateChange": {"onStart": [{"type": "seen", "payload": {}}]},
        },
        {
            "name": "both",
            "taskReferenceName": "both",
            "type": "FORK_JOIN",
            "forkTasks": [
                [{"name": "c", "taskReferenceName": "c", "inputParameters": {"x": None}}]
            ],
        },
    ],
}


def test_defaults_and_audit_fields_are_left_out() -> None:
    """At every depth; what an author has to see stays, and so does a null of the user's own."""
    assert {
        "name": "order",
        "version": 2,
        "inputSchema": {"name": "order_in", "version": 1},
        "rateLimitConfig": {"rateLimitKey": "k", "concurrentExecLimit": 1},
        "tasks": [
            {
                "name": "way",
                "taskReferenceName": "way",
                "type": "SWITCH",
                "decisionCases": {
                    "data": [{"name": "a", "taskReferenceName": "a", "type": "SIMPLE"}],
                    "tasks": [
                        {"name": "b", "taskReferenceName": "b", "type": "SIMPLE", "optional": True}
                    ],
                },
                "onStateChange": {"onStart": [{"type": "seen"}]},
            },
            {
                "name": "both",
                "taskReferenceName": "both",
                "type": "FORK_JOIN",
                "forkTasks": [
                    [
                        {
                            "name": "c",
                            "taskReferenceName": "c",
                            "type": "SIMPLE",
                            "inputParameters": {"x": None},
                        }
                    ]
                ],
            },
        ],
    } == canonical(FULL, WorkflowDefinition)


def test_what_a_daemon_makes_of_a_definition_is_the_same_definition() -> None:
    """Whatever it writes out by itself is no difference."""
    answered = definition_document(msgspec.convert(FULL, WorkflowDefinition, strict=False))

    assert canonical(FULL, WorkflowDefinition) == canonical(answered, WorkflowDefinition)


def test_unknown_fields_are_kept_only_where_they_are_wanted() -> None:
    """A file keeps what a newer daemon says; a comparison leaves it alone."""
    task = {"name": "t", "novelty": 1}

    assert {"name": "t"} == canonical(task, TaskDefinition)
    assert task == canonical(task, TaskDefinition, keep_unknown=True)


def test_false_is_not_nought() -> None:
    """A wrong type is a difference, and the daemon judges it."""
    assert {"name": "t", "timeoutSeconds": False} == canonical(
        {"name": "t", "timeoutSeconds": False}, TaskDefinition
    )


def test_what_has_no_shape_is_left_as_it_is() -> None:
    """Comparing broken definitions breaks nothing."""
    broken = {"name": "w", "version": 1, "tasks": "none", "decisionCases": 3}

    assert {"name": "w", "version": 1, "tasks": "none"} == canonical(broken, WorkflowDefinition)


@given(st.dictionaries(st.text(max_size=5), st.integers()))
def test_the_text_depends_on_nothing_but_the_definition(values: dict[str, int]) -> None:
    """The order in which keys came does not show."""
    backwards = dict(reversed(list(values.items())))

    assert text_of(values) == text_of(backwards)


def test_a_difference_is_unified() -> None:
    """Both names, then what goes and what comes; nothing when there is none."""
    before, after = {"name": "t", "retryCount": 1}, {"name": "t", "retryCount": 2}
    lines = difference(before, after, ("there", "here"))

    assert ["--- there", "+++ here"] == lines[:2]
    assert '-  "retryCount": 1' in lines
    assert '+  "retryCount": 2' in lines
    assert [] == difference(before, before, ("there", "here"))
    assert "+++ here" in difference(None, after, ("there", "here"))
