"""``baton start``, ``show``, ``search`` and the verbs, against a real daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.edge.cli.conftest import Type


def test_start_and_wait(type_: Type) -> None:
    """The output is printed, and the exit status is that of the execution."""
    done = type_("start", "hello", "--input", "name=Ada", "--wait")

    assert 0 == done.exit_code
    assert "COMPLETED" in done.output
    assert '{"said": "Hello Ada"}' in done.output


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (['{"name": "Ada"}'], "Hello Ada"),
        (["name=Ada", "name=Bob"], "Hello Bob"),
        (["name=3"], "Hello 3"),
    ],
)
def test_inputs(type_: Type, inputs: list[str], said: str) -> None:
    """JSON, or keys with values; later ones win."""
    words = [word for text in inputs for word in ("--input", text)]
    done = type_("start", "hello", *words, "--wait", "--json")

    assert {"said": said} == json.loads(done.output)["output"]


def test_input_from_a_file(type_: Type, tmp_path: Path) -> None:
    """``@FILE`` holds a JSON object."""
    (tmp_path / "in.json").write_text('{"name": "file"}')
    done = type_("start", "hello", "--input", f"@{tmp_path / 'in.json'}", "--wait", "--json")

    assert {"said": "Hello file"} == json.loads(done.output)["output"]


@pytest.mark.parametrize("text", ["nonsense", "{broken", "@/no/such/file", "@/dev/null"])
def test_inputs_that_are_none(type_: Type, text: str) -> None:
    """The usage error names the option."""
    done = type_("start", "hello", "--input", text)

    assert 2 == done.exit_code
    assert "--input" in done.output


def test_an_unknown_workflow(type_: Type) -> None:
    """What the daemon says is what is shown."""
    done = type_("start", "nope")

    assert 1 == done.exit_code
    assert "No such workflow defined" in done.output


def test_the_life_of_an_execution(type_: Type) -> None:
    """Every verb does what it says, and ``show`` tells."""
    workflow_id = type_("start", "waiting").output.strip()
    for verb, status in (
        (["pause"], "PAUSED"),
        (["resume"], "RUNNING"),
        (["terminate", "--reason", "enough"], "TERMINATED"),
        (["restart", "--latest"], "RUNNING"),
        (["terminate"], "TERMINATED"),
        (["retry"], "RUNNING"),
    ):
        done = type_(verb[0], workflow_id, *verb[1:])
        assert 0 == done.exit_code, done.output
        shown = json.loads(type_("show", workflow_id, "--json").output)

        assert status == shown["status"]
    refused = type_("resume", workflow_id)

    assert 1 == refused.exit_code
    assert "is not PAUSED" in refused.output
    assert "lonely" in type_("show", workflow_id).output
    type_("terminate", workflow_id)
    assert "TERMINATED" in type_("show", workflow_id, "--follow").output


def test_a_failed_execution_is_an_exit_status(type_: Type) -> None:
    """Scripts notice."""
    workflow_id = type_("start", "waiting").output.strip()
    type_("terminate", workflow_id, "--reason", "enough")
    shown = type_("show", workflow_id)

    assert "reason: enough" in shown.output


def test_search(type_: Type) -> None:
    """By name, status and text, as a table and as JSON."""
    done = type_("start", "hello", "--input", "name=needle", "--wait", "--json")
    workflow_id = json.loads(done.output)["workflowId"]
    found = json.loads(type_("search", "--text", "needle", "--json").output)
    table = type_("search", "--name", "hello", "--status", "COMPLETED", "--size", "1")

    assert [workflow_id] == [one["workflowId"] for one in found["results"]]
    assert "hello" in table.output
    assert 1 == type_("search", "no such grammar").exit_code
