"""A folder of definitions: what is read from it, and where new ones go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from edge.cli import folder
from edge.cli.folder import Key


def test_tests_and_schedules_are_no_definitions(tmp_path: Path) -> None:
    """They stand beside the definitions and are told apart by their names."""
    for name in ("a.test.json", "tests/b.json", "schedules/c.json", "deep/tests/d.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "task.json").write_text('{"name": "t"}')

    assert [Key("task", "t")] == list(folder.read(tmp_path))
    assert ["a.test.json", "d.json", "b.json"] == [f.name for f in folder.tests_of(tmp_path)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Expecting"),
        ("[1]", "expected a definition"),
        ("{}", 'needs a "name"'),
        ('{"name": "w", "tasks": [], "version": "x"}', "is not a whole number"),
        ('[{"name": "t"}, {"name": "t"}]', "both hold task t"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    """The message names the file."""
    (tmp_path / "odd.json").write_text(text)

    with pytest.raises(click.ClickException, match="odd.json") as caught:
        folder.read(tmp_path)
    assert words in caught.value.message


def test_definitions_are_written_where_they_stand(tmp_path: Path) -> None:
    """In a file of their own, in a list among others, or in a new file."""
    (tmp_path / "mine.json").write_text('{"name": "own"}')
    (tmp_path / "all.json").write_text('[{"name": "first"}, {"name": "second"}]')
    known = folder.read(tmp_path)
    new: dict[Key, dict[str, Any]] = {
        Key("task", "own"): {"name": "own", "retryCount": 1},
        Key("task", "second"): {"name": "second", "retryCount": 2},
        Key("workflow", "w", 3): {"name": "w", "version": 3, "tasks": []},
    }
    written = folder.write(tmp_path, known, new)

    assert {"mine.json", "all.json", "w.3.json"} == {file.name for file in written}
    assert {"name": "own", "retryCount": 1} == json.loads((tmp_path / "mine.json").read_text())
    assert ["first", "second"] == [
        one["name"] for one in json.loads((tmp_path / "all.json").read_text())
    ]
    after = folder.read(tmp_path)
    assert new == {key: after[key].document for key in new}
    assert Key("task", "first") in after


@pytest.mark.parametrize(
    "name", ["../up", ".hidden", "a/b", "looks.test", "grüße", "sp ace", "%41"]
)
def test_every_name_has_a_file(tmp_path: Path, name: str) -> None:
    """None leaves the folder, hides, or is taken for a test."""
    inside = tmp_path / "inside"
    new: dict[Key, dict[str, Any]] = {
        Key("task", name): {"name": name},
        Key("workflow", name, 1): {"name": name, "version": 1, "tasks": []},
    }
    written = folder.write(inside, {}, new)

    assert new.keys() == folder.read(inside).keys()
    assert all(file.resolve().is_relative_to(inside.resolve()) for file in written)
    assert not any(file.name.startswith(".") for file in written)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The file is named."""
    (tmp_path / "tasks").write_text("in the way")

    with pytest.raises(click.ClickException, match="cannot be written"):
        folder.write(tmp_path, {}, {Key("task", "t"): {"name": "t"}})


def test_a_file_of_others_is_not_written_over(tmp_path: Path) -> None:
    """A new definition whose place is taken is refused, by the name of the file."""
    (tmp_path / "tasks").mkdir()
    taken = tmp_path / "tasks" / "order.json"
    taken.write_text('[{"name": "one"}, {"name": "two"}]')
    known = folder.read(tmp_path)

    with pytest.raises(click.ClickException, match="order.json holds something else"):
        folder.write(tmp_path, known, {Key("task", "order"): {"name": "order"}})
    assert '[{"name": "one"}, {"name": "two"}]' == taken.read_text()
