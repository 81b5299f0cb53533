"""``baton workflow test``: what is read from a folder, what is asked of a daemon, what is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import click
import pytest

from edge.cli import mock_tests
from edge.cli.exchange import Documents
from edge.cli.folder import Key

KNOWN: Documents = {
    Key("workflow", "order", 1): {"name": "order", "version": 1, "tasks": []},
    Key("workflow", "order", 2): {
        "name": "order",
        "version": 2,
        "tasks": [
            {"name": "pay", "taskReferenceName": "pay"},
            {
                "name": "sub",
                "taskReferenceName": "sub",
                "type": "SUB_WORKFLOW",
                "subWorkflowParam": {"name": "child"},
            },
        ],
    },
    Key("workflow", "child", 1): {
        "name": "child",
        "tasks": [
            {"name": "pay", "taskReferenceName": "again"},
            {
                "name": "up",
                "taskReferenceName": "up",
                "type": "SUB_WORKFLOW",
                "subWorkflowParam": {"name": "order"},
            },
        ],
    },
    Key("task", "pay"): {"name": "pay", "retryCount": 1},
}


def test_the_folders_own_definitions_are_what_is_tested() -> None:
    """The latest version, its task definitions and sub-workflows; a ring is left to the daemon."""
    made = mock_tests.request_of({"name": "order", "input": {"n": 1}}, KNOWN)
    pay, sub = made["workflowDef"]["tasks"]
    child = sub["subWorkflowParam"]["workflowDefinition"]

    assert 2 == made["workflowDef"]["version"]
    assert {"name": "pay", "retryCount": 1} == pay["taskDefinition"]
    assert {"name": "pay", "retryCount": 1} == child["tasks"][0]["taskDefinition"]
    assert {"name": "order"} == child["tasks"][1]["subWorkflowParam"]
    assert "taskDefinition" not in KNOWN[Key("workflow", "order", 2)]["tasks"][0]


def test_a_version_or_an_own_definition_may_be_named() -> None:
    """What the folder does not hold, the daemon has."""
    own = {"name": "order", "tasks": [1]}

    assert (
        1 == mock_tests.request_of({"name": "order", "version": 1}, KNOWN)["workflowDef"]["version"]
    )
    assert own == mock_tests.request_of({"name": "order", "workflowDef": own}, KNOWN)["workflowDef"]
    assert "workflowDef" not in mock_tests.request_of({"name": "elsewhere"}, KNOWN)


def test_mocks_may_be_written_short() -> None:
    """One output stands for a list of one, and COMPLETED is what is meant where nothing is said."""
    request = {
        "name": "x",
        "taskRefToMockOutput": {"a": {"output": {"n": 1}}, "b": [{"status": "FAILED"}, {}]},
        "subWorkflowTestRequest": {"s": {"name": "y", "taskRefToMockOutput": {"c": {}}}},
    }
    made = mock_tests.request_of(request, {})

    assert {
        "a": [{"status": "COMPLETED", "output": {"n": 1}}],
        "b": [{"status": "FAILED"}, {"status": "COMPLETED"}],
    } == made["taskRefToMockOutput"]
    inner = made["subWorkflowTestRequest"]["s"]["taskRefToMockOutput"]
    assert {"c": [{"status": "COMPLETED"}]} == inner


def test_tests_are_read_with_their_titles(tmp_path: Path) -> None:
    """One of a file or a list; a title of its own or the workflow's name."""
    (tmp_path / "tests").mkdir()
    one = {"name": "order", "expect": {"status": "COMPLETED"}}
    (tmp_path / "a.test.json").write_text(json.dumps({"test": "it works", **one}))
    (tmp_path / "tests" / "b.json").write_text(json.dumps([one, one]))

    assert ["it works", "order 1", "order 2"] == [t.title for t in mock_tests.read(tmp_path)]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (3, "expected a test"),
        ({"expect": {"status": "X"}}, "names the workflow"),
        ({"name": "w"}, "names what it expects"),
        ({"name": "w", "expects": {}, "expect": {"status": "X"}}, "expects: unknown"),
    ],
)
def test_what_is_no_test_is_refused(tmp_path: Path, document: Any, words: str) -> None:
    """The file and the key are named."""
    (tmp_path / "odd.test.json").write_text(json.dumps(document))

    with pytest.raises(click.ClickException, match=r"odd\.test\.json") as caught:
        mock_tests.read(tmp_path)
    assert words in caught.value.message


def test_the_report_is_junits(tmp_path: Path) -> None:
    """What passed, what differed and what could not be run; no character breaks the XML."""
    test = mock_tests.MockTest(tmp_path / "a.test.json", "t", {"name": "w"}, {"status": "X"})
    verdicts = [
        mock_tests.Verdict(test, [], None, 1_500),
        mock_tests.Verdict(test, ["status: <\x00>", "more"], None, 1),
        mock_tests.Verdict(test, [], "no such workflow", 1),
    ]
    suite = ET.fromstring(mock_tests.report(verdicts, tmp_path))
    passed, failed, refused = suite

    assert ("3", "1", "1", "1.502") == tuple(
        suite.get(key) for key in ("tests", "failures", "errors", "time")
    )
    assert ("a.test.json", "t", "1.500") == (
        passed.get("classname"), passed.get("name"), passed.get("time"),
    )  # fmt: skip
    assert "status: <?>\nmore" == failed[0].text
    assert ("error", "no such workflow") == (refused[0].tag, refused[0].get("message"))
