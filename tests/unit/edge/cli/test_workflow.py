"""``baton workflow`` and ``baton tasks``: folders of JSON, and what the daemon knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.edge.cli.conftest import HELLO, Type


def test_push_registers_a_folder(type_: Type, tmp_path: Path) -> None:
    """Workflows and task definitions, in files of one or of a list; again changes nothing."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "workflow.json").write_text(json.dumps({**HELLO, "name": "pushed"}))
    (tmp_path / "tasks.json").write_text('[{"name": "pushed_task"}]')
    first = type_("workflow", "push", str(tmp_path))
    again = json.loads(type_("workflow", "push", str(tmp_path), "--json").output)

    assert 0 == first.exit_code
    assert "new       workflow pushed 1" in first.output
    assert {"pushed", "pushed_task"} == {one["name"] for one in again["definitions"]}
    assert ({}, False) == (again["errors"], again["dryRun"])


def test_a_refused_definition_is_told(type_: Type, tmp_path: Path) -> None:
    """The others are registered, and the exit status says that one was not."""
    (tmp_path / "w.json").write_text(
        json.dumps([{**HELLO, "name": "good"}, {"name": "bad", "tasks": []}])
    )
    done = type_("workflow", "push", str(tmp_path))

    assert 1 == done.exit_code
    assert "new       workflow good 1" in done.stdout
    assert "refused   workflow bad 1" in done.stderr
    assert "WorkflowTask list cannot be empty" in done.stderr


@pytest.mark.parametrize("text", ["{", "3", "[1]"])
def test_files_that_are_no_definitions(type_: Type, tmp_path: Path, text: str) -> None:
    """The file is named."""
    (tmp_path / "odd.json").write_text(text)
    done = type_("workflow", "push", str(tmp_path))

    assert 1 == done.exit_code
    assert "odd.json" in done.output


def test_an_empty_folder(type_: Type, tmp_path: Path) -> None:
    """It says what was expected."""
    done = type_("workflow", "push", str(tmp_path))

    assert 1 == done.exit_code
    assert "workflow.json" in done.output


def test_lists(type_: Type) -> None:
    """Workflows and task types, as tables and as JSON."""
    type_("start", "waiting")
    names = [one["name"] for one in json.loads(type_("workflow", "list", "--json").output)]
    waiting = {one["name"]: one for one in json.loads(type_("tasks", "--json").output)}

    assert {"hello", "waiting"} <= set(names)
    assert "hello" in type_("workflow", "list").output
    assert waiting["nobody"]["waiting"] >= 1
    assert "nobody" in type_("tasks").output


def test_one_definition(type_: Type, tmp_path: Path) -> None:
    """It is shown with its steps, held against the rules, and taken away."""
    nested = {
        "name": "nested",
        "description": "steps in steps",
        "tasks": [
            {
                "name": "loop",
                "taskReferenceName": "loop",
                "type": "SWITCH",
                "evaluatorType": "value-param",
                "expression": "x",
                "inputParameters": {"x": "1"},
                "decisionCases": {"1": [{"name": "inner", "taskReferenceName": "inner"}]},
                "defaultCase": [{"name": "last", "taskReferenceName": "last"}],
            }
        ],
    }
    (tmp_path / "n.json").write_text(json.dumps([nested, {"name": "empty", "tasks": []}]))
    (tmp_path / "t.json").write_text('{"name": "no_workflow"}')
    judged = type_("workflow", "validate", str(tmp_path))
    as_json = json.loads(type_("workflow", "validate", str(tmp_path), "--json").stdout)
    type_("workflow", "push", str(tmp_path))
    shown = type_("workflow", "show", "nested")
    removed = type_("workflow", "remove", "nested", "--version", "1")
    again = type_("workflow", "remove", "nested", "--version", "1", "--json")

    assert 1 == judged.exit_code
    assert "workflow nested 1: valid" in judged.stdout
    assert "workflow empty 1: refused" in judged.stderr
    assert ["workflow empty 1"] == list(as_json["errors"])
    assert "steps in steps" in shown.stdout
    assert "  inner" in shown.stdout
    assert "loop: default" in shown.stdout
    assert "removed workflow nested 1" in removed.stdout
    assert 1 == again.exit_code
    assert "`baton workflow list` shows what is registered" in again.stderr
