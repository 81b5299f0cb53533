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
from tests.unit.edge.cli.conftest import Type
from workflows.catalog import BundledWorkflow, catalog

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


ORDER: dict[str, Any] = {
    "name": "mt_order",
    "tasks": [
        {
            "name": "mt_charge",
            "taskReferenceName": "charge",
            "inputParameters": {"amount": "${workflow.input.amount}"},
        },
        {
            "name": "mt_way",
            "taskReferenceName": "way",
            "type": "SWITCH",
            "evaluatorType": "value-param",
            "expression": "stock",
            "inputParameters": {"stock": "${workflow.input.stock}"},
            "decisionCases": {
                "none": [{"name": "mt_refund", "taskReferenceName": "refund"}],
            },
            "defaultCase": [
                {
                    "name": "mt_send",
                    "taskReferenceName": "send",
                    "type": "SUB_WORKFLOW",
                    "subWorkflowParam": {"name": "mt_send", "version": 1},
                }
            ],
        },
    ],
    "outputParameters": {"parcel": "${send.output.parcel}"},
}
SEND: dict[str, Any] = {
    "name": "mt_send",
    "tasks": [{"name": "mt_ship", "taskReferenceName": "ship"}],
    "outputParameters": {"parcel": "${ship.output.parcel}"},
}
AGAIN: dict[str, Any] = {
    "test": "a card that is declined is tried once more",
    "name": "mt_order",
    "input": {"amount": 30},
    "taskRefToMockOutput": {
        "charge": [{"status": "FAILED", "output": {"code": 51}}, {"output": {"receipt": "r-1"}}]
    },
    "subWorkflowTestRequest": {
        "send": {"taskRefToMockOutput": {"ship": {"output": {"parcel": "p-1"}}}}
    },
    "expect": {
        "status": "COMPLETED",
        "output": {"parcel": "p-1"},
        "tasks": {
            "charge": {"status": "COMPLETED", "attempts": 2, "input": {"amount": 30}},
            "refund": None,
        },
    },
}
REFUND: dict[str, Any] = {
    "test": "without stock, the money goes back",
    "name": "mt_order",
    "input": {"amount": 30, "stock": "none"},
    "taskRefToMockOutput": {"charge": {}, "refund": {}},
    "expect": {"tasks": {"refund": "COMPLETED", "send": None}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Definitions that no daemon knows, with their tests."""
    (tmp_path / "flows.json").write_text(json.dumps([ORDER, SEND]))
    (tmp_path / "tasks.json").write_text('{"name": "mt_charge", "retryCount": 1}')
    (tmp_path / "order.test.json").write_text(json.dumps([AGAIN, REFUND]))
    return tmp_path


def test_definitions_that_no_daemon_knows_are_tested(type_: Type, folder: Path) -> None:
    """Workers are mocked, all else is real; nothing is registered or kept."""
    done = type_("workflow", "test", str(folder))
    as_json = json.loads(type_("workflow", "test", str(folder), "--json").stdout)

    assert 0 == done.exit_code, done.output
    assert "PASS order.test.json: a card that is declined is tried once more (" in done.stdout
    assert "2 passed, 0 failed" in done.stdout
    assert [True, True] == [one["passed"] for one in as_json]
    assert 1 == type_("workflow", "show", "mt_order").exit_code
    assert "0 of 0" in type_("search", "--name", "mt_order").stdout


def test_a_test_that_fails_says_where(type_: Type, folder: Path) -> None:
    """Status 1, the difference, and a report for CI; a task without a mock is named."""
    (folder / "tasks.json").write_text('{"name": "mt_charge", "retryCount": 0}')
    unmocked = {**REFUND, "test": "stuck", "taskRefToMockOutput": {"charge": {}}}
    (folder / "more.test.json").write_text(json.dumps(unmocked))
    report = folder / "report.xml"
    done = type_("workflow", "test", str(folder), "--junit", str(report))
    nowhere = type_("workflow", "test", str(folder), "--junit", str(folder / "no" / "folder.xml"))
    only = type_("workflow", "test", str(folder), "--only", "money")
    nothing = type_("workflow", "test", str(folder), "--only", "no such title")
    suite = ET.fromstring(report.read_text())

    assert 1 == done.exit_code
    assert "cannot be written: No such file or directory" in nowhere.stderr
    assert 'status: expected "COMPLETED", got "FAILED"' in done.stdout
    assert "tasks.charge.attempts: expected 2, got 1" in done.stdout
    assert "it stopped at refund" in done.stdout
    assert "1 passed, 2 failed" in done.stdout
    assert ("3", "2", "0") == tuple(suite.get(key) for key in ("tests", "failures", "errors"))
    assert (0, 1) == (only.exit_code, nothing.exit_code)
    assert "holds no test" in nothing.stderr


def test_a_test_that_cannot_be_run_has_failed(type_: Type, folder: Path) -> None:
    """What the daemon says of it is told."""
    (folder / "order.test.json").write_text(json.dumps({**REFUND, "name": "nowhere"}))
    done = type_("workflow", "test", str(folder))
    as_json = json.loads(type_("workflow", "test", str(folder), "--json").stdout)

    assert 1 == done.exit_code
    assert "0 passed, 1 failed" in done.stdout
    assert "nowhere" in as_json[0]["error"]


@pytest.mark.parametrize("bundle", catalog(), ids=lambda bundle: bundle.name)
def test_bundled_workflows_pass_their_own_tests(type_: Type, bundle: BundledWorkflow) -> None:
    """What comes along is tested like what a site writes."""
    done = type_("workflow", "test", str(bundle.folder))

    assert 0 == done.exit_code, done.output
    assert "0 failed" in done.stdout
