"""``baton workflow push``, ``pull``, ``diff`` and ``promote`` between folders and real daemons."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge.cli import exchange, main
from edge.cli.folder import Key
from tests.daemon import Daemon
from tests.unit.edge.cli.conftest import HELLO, Type

PARENT: dict[str, Any] = {
    "name": "ex_parent",
    "version": 2,
    "failureWorkflow": "ex_cleanup",
    "tasks": [
        {"name": "ex_work", "taskReferenceName": "work"},
        {
            "name": "ex_sub",
            "taskReferenceName": "way",
            "type": "SWITCH",
            "evaluatorType": "value-param",
            "expression": "x",
            "inputParameters": {"x": "1"},
            "decisionCases": {"1": [{"name": "ex_inner", "taskReferenceName": "inner"}]},
        },
    ],
}
CLEANUP = {**HELLO, "name": "ex_cleanup"}


@pytest.fixture
def tag(tmp_path: Path) -> str:
    """What the names of one test begin with: all share a daemon, and it remembers."""
    return re.sub(r"\W", "_", tmp_path.name)


@pytest.fixture
def folder(tmp_path: Path, tag: str) -> Path:
    """Two workflows and a task definition, as people write them."""
    (tmp_path / "defs").mkdir()
    flows = json.dumps([PARENT, CLEANUP]).replace("ex_", f"{tag}_")
    (tmp_path / "defs" / "flows.json").write_text(flows)
    _retries(tmp_path / "defs", tag, 0)
    return tmp_path / "defs"


def _retries(folder: Path, tag: str, count: int) -> None:
    (folder / "tasks.json").write_text(json.dumps([{"name": f"{tag}_work", "retryCount": count}]))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A second daemon, to which definitions are promoted."""
    folder = tmp_path_factory.mktemp("other")
    with Daemon(folder / "data", config="[workflows]\nenable = []\n") as running:
        yield running


def _changes(done: Result) -> dict[str, str]:
    return {one["name"]: one["change"] for one in json.loads(done.stdout)["definitions"]}


def test_push_tells_what_is_new_changed_and_unchanged(type_: Type, tag: str, folder: Path) -> None:
    """A dry run registers nothing; what is unchanged is not registered again."""
    dry = type_("workflow", "push", str(folder), "--dry-run", "--json")
    first = type_("workflow", "push", str(folder), "--json")
    before = type_("workflow", "show", f"{tag}_cleanup", "--json").stdout
    _retries(folder, tag, 5)
    second = type_("workflow", "push", str(folder), "--json")

    all_new = {f"{tag}_parent": "new", f"{tag}_cleanup": "new", f"{tag}_work": "new"}
    assert all_new == _changes(dry) == _changes(first)
    assert {**dict.fromkeys(all_new, "unchanged"), f"{tag}_work": "changed"} == _changes(second)
    assert before == type_("workflow", "show", f"{tag}_cleanup", "--json").stdout
    assert f"unchanged workflow {tag}_parent 2" in type_("workflow", "push", str(folder)).stdout


def test_diff_shows_what_a_push_would_change(type_: Type, tag: str, folder: Path) -> None:
    """Status 1 and a unified difference when there is one, else 0 and nothing."""
    type_("workflow", "push", str(folder))
    same = type_("workflow", "diff", str(folder))
    _retries(folder, tag, 7)
    differs = type_("workflow", "diff", str(folder))
    as_json = type_("workflow", "diff", str(folder), "--json")
    (folder / "flows.json").unlink()
    more = type_("workflow", "diff", str(folder), "--all", "--json")

    assert (0, "") == (same.exit_code, same.output)
    assert 1 == differs.exit_code
    assert '+  "retryCount": 7' in differs.stdout
    assert [(f"{tag}_work", "changed")] == [
        (one["name"], one["change"]) for one in json.loads(as_json.stdout)
    ]
    missing = {one["name"] for one in json.loads(more.stdout) if one["change"] == "missing"}
    assert {f"{tag}_parent", f"{tag}_cleanup", "hello"} <= missing


def test_pull_then_push_changes_nothing(
    type_: Type, tag: str, folder: Path, tmp_path: Path
) -> None:
    """What was pulled is what is there; a second pull writes nothing; files are the same bytes."""
    type_("workflow", "push", str(folder))
    first = type_("workflow", "pull", str(tmp_path / "one"), "--json")
    type_("workflow", "pull", str(tmp_path / "two"))
    again = json.loads(type_("workflow", "pull", str(tmp_path / "one"), "--json").stdout)
    pushed = type_("workflow", "push", str(tmp_path / "one"), "--json")

    assert len(json.loads(first.stdout)["files"]) == json.loads(first.stdout)["definitions"]
    assert [] == again["files"]
    assert {"unchanged"} == set(_changes(pushed).values())
    files = sorted((tmp_path / "one").rglob("*.json"))
    assert files
    for file in files:
        twin = tmp_path / "two" / file.relative_to(tmp_path / "one")
        assert file.read_bytes() == twin.read_bytes()
        assert "createTime" not in file.read_text()


def test_pull_by_name_takes_what_is_needed(
    type_: Type, tag: str, folder: Path, tmp_path: Path
) -> None:
    """The workflow, its task definitions and the workflows it names, nothing else."""
    type_("workflow", "push", str(folder))
    type_("workflow", "pull", str(tmp_path / "one"), f"{tag}_parent")
    unknown = type_("workflow", "pull", str(tmp_path / "one"), f"{tag}_nowhere")

    assert {f"{tag}_parent.2.json", f"{tag}_cleanup.1.json", f"{tag}_work.json"} == {
        file.name for file in (tmp_path / "one").rglob("*.json")
    }
    assert 1 == unknown.exit_code
    assert f"there is no workflow {tag}_nowhere" in unknown.stderr


def test_promote_takes_a_workflow_to_another_daemon(
    type_: Type, tag: str, folder: Path, other: Daemon
) -> None:
    """With what it needs; what is there already is told; an unknown version is refused."""
    type_("workflow", "push", str(folder))
    words = ("workflow", "promote", f"{tag}_parent", "--to", other.url)
    dry = type_(*words, "--dry-run", "--json")
    done = type_(*words, "--json")
    again = type_(*words, "--version", "2", "--json")
    wrong = type_(*words, "--version", "9")

    assert dict.fromkeys((f"{tag}_parent", f"{tag}_cleanup", f"{tag}_work"), "new") == _changes(
        done
    )
    assert _changes(dry) == _changes(done)
    assert {"unchanged"} == set(_changes(again).values())
    assert "it has version 2" in wrong.stderr
    there = CliRunner().invoke(main, ["workflow", "show", f"{tag}_parent", "--url", other.url])
    assert f"{tag}_parent version 2" in there.stdout
    assert "inner" in there.stdout


def test_what_starts_what_is_followed() -> None:
    """Sub-workflows, started workflows and inline definitions, each once though they form a ring."""
    sub = {"name": "s", "taskReferenceName": "s", "type": "SUB_WORKFLOW"}
    start = {"name": "go", "taskReferenceName": "go", "type": "START_WORKFLOW"}
    inline = {"tasks": [{"name": "deep", "taskReferenceName": "deep"}]}
    flows: exchange.Documents = {
        Key("workflow", "a", 1): {
            "tasks": [{**sub, "subWorkflowParam": {"name": "b", "workflowDefinition": inline}}]
        },
        Key("workflow", "b", 1): {
            "tasks": [{**start, "inputParameters": {"startWorkflow": {"name": "a"}}}]
        },
        Key("workflow", "c", 1): {"tasks": []},
        Key("task", "deep"): {"name": "deep"},
        Key("task", "other"): {"name": "other"},
    }

    assert {"a", "b", "deep"} == {key.name for key in exchange.needed(flows, ["a"])}
