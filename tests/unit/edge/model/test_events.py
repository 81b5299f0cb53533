"""Event handlers as they are posted, topics and their filters, payloads that hold JSON in texts."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.errors import InvalidInput, ValidationFailed
from edge.model.events import (
    EventHandler,
    expanded,
    is_for,
    may_be_published_to,
    parse_event_handler,
)

_START = {"action": "start_workflow", "start_workflow": {"name": "w"}}


def _parse(**fields: Any) -> EventHandler:
    document = {"name": "h", "event": "conductor:w:e", "actions": [_START], **fields}
    return parse_event_handler(document, check_script=lambda text: "odd" if "(" in text else None)


def _faults(**fields: Any) -> list[str]:
    with pytest.raises(ValidationFailed) as caught:
        _parse(**fields)
    return [fault.message for fault in caught.value.fields]


def test_defaults() -> None:
    """A handler sleeps until it is told to be active; a null is as good as no field."""
    handler = _parse(condition=None, unknown=1)

    assert (False, None, []) == (handler.active, handler.condition, handler.tags)
    assert handler.actions[0].expand_inline_json is False


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "Missing event handler name"),
        ({"name": None}, "Missing event handler name"),
        ({"event": " "}, "Missing event location"),
        ({"actions": []}, "No actions specified. Please specify at-least one action"),
        ({"name": "n" * 256}, "may hold 255 characters"),
        ({"actions": [_START] * 101}, "a handler may have 100 actions"),
        ({"condition": "("}, "Expression is not well formatted: odd"),
        (
            {"actions": [{"action": "start_workflow"}]},
            "start_workflow must say what the action start_workflow does",
        ),
        (
            {"actions": [{"action": "start_workflow", "start_workflow": {}}]},
            "Workflow name cannot be null or empty",
        ),
        (
            {"actions": [{"action": "fail_task", "fail_task": {"workflowId": "${id}"}}]},
            "give taskId, or workflowId and taskRefName",
        ),
        (
            {"actions": [{"action": "terminate_workflow", "terminate_workflow": {}}]},
            "Workflow Id cannot be null or empty",
        ),
        ({"event": "mqtt:"}, "a topic filter has 1 to 1000 bytes, for example mqtt:site/+/alarm"),
        ({"event": "mqtt:a/b#"}, "+ and # stand for whole levels of a topic"),
        ({"event": "mqtt:a/#/b"}, "# may only be the last level of a topic filter"),
    ],
)
def test_broken_rules(fields: dict[str, Any], message: str) -> None:
    """Each is told in the words of the reference, where it has any."""
    assert [message] == _faults(**fields)


@pytest.mark.parametrize("topic", ["$SYS/#", "$share/g/a", "baton/1/x", "baton/#", "baton/+/x"])
def test_topics_of_others_are_refused(topic: str) -> None:
    """Those of the broker and of the protocol between device and control plane."""
    assert len(_faults(event=f"mqtt:{topic}")) == 1
    assert not may_be_published_to(topic)


def test_only_javascript_is_checked() -> None:
    """A condition in another language has another syntax."""
    assert "(" == _parse(condition="(", evaluatorType="python").condition


def test_all_faults_are_told_at_once() -> None:
    """Whoever posts an empty handler sees all three."""
    assert 3 == len(_faults(name="", event="", actions=[]))


@pytest.mark.parametrize("document", [[], 1, None, {"actions": [{"action": "dance"}]}])
def test_what_is_no_handler_is_refused(document: Any) -> None:
    """With the place of what is wrong."""
    with pytest.raises(InvalidInput, match="Cannot read the event handler"):
        parse_event_handler(document, check_script=lambda _: None)


@pytest.mark.parametrize(
    ("event", "handled", "meets"),
    [
        ("conductor:w:e", "conductor:w:e", True),
        ("conductor:w:e", "conductor:w:#", False),
        ("mqtt:a/b", "mqtt:a/b", True),
        ("mqtt:a/b", "mqtt:a/+", True),
        ("mqtt:a/b", "mqtt:+/b", True),
        ("mqtt:a/b", "mqtt:#", True),
        ("mqtt:a", "mqtt:a/#", True),
        ("mqtt:a/b/c", "mqtt:a/#", True),
        ("mqtt:a/b/c", "mqtt:a/+", False),
        ("mqtt:a", "mqtt:a/+", False),
        ("mqtt:a/", "mqtt:a/+", True),
        ("mqtt:b/a", "mqtt:a/+", False),
        ("mqtt:$SYS/x", "mqtt:#", False),
        ("mqtt:$SYS/x", "mqtt:+/x", False),
        ("mqtt:a", "conductor:a", False),
    ],
)
def test_filters(event: str, handled: str, meets: bool) -> None:
    """A topic meets a filter as MQTT says; all other events by their name."""
    assert meets is is_for(event, handled)


def test_json_in_texts_is_expanded() -> None:
    """Objects and lists in maps and lists; other texts, and what is no JSON, stay."""
    payload = {"a": '{"b": "[1]"}', "c": [" [2]", "3"], "d": "{no", "e": {"f": "[]"}, "g": 1}

    assert {
        "a": {"b": "[1]"},
        "c": [[2], "3"],
        "d": "{no",
        "e": {"f": []},
        "g": 1,
    } == expanded(payload)


def test_a_payload_that_is_very_deep_stays_as_it_is() -> None:
    """Nothing recurses without a bound."""
    deep: Any = "[1]"
    for _ in range(60):
        deep = [deep]
    shown = expanded(deep)

    for _ in range(60):
        shown = shown[0]
    assert "[1]" == shown
