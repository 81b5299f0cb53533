"""A daemon for the tests of the command line, and a way to type commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge.cli import main
from tests.daemon import Daemon

HELLO: dict[str, Any] = {
    "name": "hello",
    "tasks": [
        {
            "name": "greet",
            "taskReferenceName": "greet",
            "type": "INLINE",
            "inputParameters": {
                "evaluatorType": "javascript",
                "expression": "'Hello ' + $.name",
                "name": "${workflow.input.name}",
            },
        }
    ],
    "outputParameters": {"said": "${greet.output.result}"},
}
WAITING: dict[str, Any] = {
    "name": "waiting",
    "tasks": [{"name": "nobody", "taskReferenceName": "lonely", "type": "SIMPLE"}],
}

STEPS: dict[str, Any] = {
    "name": "steps",
    "tasks": [
        {"name": "nobody", "taskReferenceName": "first", "type": "SIMPLE"},
        {"name": "person", "taskReferenceName": "person", "type": "WAIT"},
        {"name": "nobody", "taskReferenceName": "last", "type": "SIMPLE"},
    ],
}
OUTER: dict[str, Any] = {
    "name": "outer",
    "tasks": [
        {
            "name": "inside",
            "taskReferenceName": "inside",
            "type": "SUB_WORKFLOW",
            "subWorkflowParam": {"name": "waiting"},
        }
    ],
}

Type = Callable[..., Result]


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One for all commands; each test starts executions of its own."""
    folder = tmp_path_factory.mktemp("cli")
    with Daemon(folder / "data", config="[workflows]\nenable = []\n") as running:
        definitions = folder / "definitions"
        definitions.mkdir()
        (definitions / "workflows.json").write_text(json.dumps([HELLO, WAITING, STEPS, OUTER]))
        (definitions / "tasks.json").write_text(json.dumps([{"name": "nobody"}]))
        pushed = CliRunner().invoke(
            main, ["workflow", "push", str(definitions), "--url", running.url]
        )
        assert 0 == pushed.exit_code, pushed.output
        yield running


@pytest.fixture
def type_(daemon: Daemon) -> Type:
    """``type_("start", "hello")`` is ``baton start hello`` against the daemon."""

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, [*words, "--url", daemon.url])

    return invoke
