"""Masks: what is hidden, wherever it stands, and what costs nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.model.executions import Task, TaskStatus
from edge.model.masking import masked, masked_task


def _masked(value: Any, *fields: str) -> Any:
    return msgspec.json.decode(masked(msgspec.json.encode(value), fields))


@pytest.mark.parametrize("name", ["_secrets", "_masked"])
@pytest.mark.parametrize("value", [{"a": 1}, "text", [1], None, 5, ""])
def test_some_names_are_always_hidden(name: str, value: Any) -> None:
    """Whatever stands there is three asterisks, as in Conductor."""
    assert {name: "***", "x": [{name: "***"}]} == _masked({name: value, "x": [{name: value}]})


def test_fields_of_the_definition_are_hidden_wherever_they_stand() -> None:
    """At the top and inside; the same text as a value is no field."""
    value = {"pin": 1234, "deep": {"pin": {"a": 1}}, "list": [{"pin": None}], "word": "pin"}

    assert {
        "pin": "***", "deep": {"pin": "***"}, "list": [{"pin": "***"}], "word": "pin"
    } == _masked(value, "pin", "other")  # fmt: skip


def test_a_field_may_have_any_name() -> None:
    """Quotation marks, letters of any script."""
    assert {'a"b': "***", "größe": "***"} == _masked({'a"b': 1, "größe": 2}, 'a"b', "größe")


def test_a_payload_without_them_is_not_touched() -> None:
    """The very same bytes."""
    payload = b'{ "a": 1 }'

    assert payload is masked(payload, ["pin"])


def test_depth_is_bounded() -> None:
    """What is too deep to look into is not shown."""
    deep: Any = {"_secrets": "s3cr3t"}
    for _ in range(300):
        deep = [deep]

    assert b"s3cr3t" not in masked(msgspec.json.encode(deep), [])


@pytest.mark.parametrize("place", ["input", "output"])
@pytest.mark.parametrize(("name", "fields"), [("_secrets", []), ("_masked", []), ("pin", ["pin"])])
def test_a_task_is_shown_without_what_is_hidden(place: str, name: str, fields: list[str]) -> None:
    """In its input and in its output, with and without fields of the definition."""
    task = Task(1, 1, "r", "SIMPLE", "SIMPLE", "n", TaskStatus.COMPLETED)
    payload = msgspec.json.encode({name: 7})
    told = msgspec.structs.replace(task, **{place: payload})

    assert {name: "***"} == msgspec.json.decode(getattr(masked_task(told, fields), place))
    assert task is masked_task(task, fields)
