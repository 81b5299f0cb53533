"""``baton workflow`` and ``baton tasks``: folders of JSON, and what the daemon knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.edge.cli.conftest import HELLO, Type


def test_push_registers_a_folder(type_: Type, tmp_path: Path) -> None:
    """Workflows and task definitions, in files of one or of a list; again replaces them."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "workflow.json").write_text(json.dumps({**HELLO, "name": "pushed"}))
    (tmp_path / "tasks.json").write_text('[{"name": "pushed_task"}]')
    first = type_("workflow", "push", str(tmp_path))
    again = json.loads(type_("workflow", "push", str(tmp_path), "--json").output)

    assert 0 == first.exit_code
    assert "registered workflow pushed" in first.output
    assert {"workflows": ["pushed"], "tasks": ["pushed_task"], "errors": {}} == again


def test_a_refused_definition_is_told(type_: Type, tmp_path: Path) -> None:
    """The others are registered, and the exit status says that one was not."""
    (tmp_path / "w.json").write_text(
        json.dumps([{**HELLO, "name": "good"}, {"name": "bad", "tasks": []}])
    )
    done = type_("workflow", "push", str(tmp_path))

    assert 1 == done.exit_code
    assert "registered workflow good" in done.output
    assert "refused workflow bad" in done.output


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
