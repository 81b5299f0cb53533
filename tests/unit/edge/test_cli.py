"""The command line against a real daemon: what it prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from edge.cli import main
from tests.unit.edge.test_daemon import daemon

HELLO = {
    "name": "hello",
    "tasks": [
        {
            "name": "greet",
            "taskReferenceName": "greet",
            "type": "INLINE",
            "inputParameters": {
                "evaluatorType": "javascript",
                "name": "${workflow.input.name}",
                "expression": "'Hello ' + $.name",
            },
        }
    ],
    "outputParameters": {"text": "${greet.output.result}"},
}
WAITS = {"name": "waits", "tasks": [{"name": "person", "taskReferenceName": "p", "type": "HUMAN"}]}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A daemon for all tests of this module."""
    folder = tmp_path_factory.mktemp("device")
    with daemon("run", "--data-dir", str(folder), "--listen", "127.0.0.1:0") as (_, address):
        yield address


def baton(url: str, *arguments: str) -> Result:
    """Run a command against the daemon."""
    return CliRunner().invoke(main, arguments, env={"BATON_URL": url})


def pushed(url: str, folder: Path) -> None:
    """Make both workflows known."""
    (folder / "workflow.json").write_text(json.dumps([HELLO, WAITS]))
    (folder / "tasks.json").write_text(json.dumps([{"name": "work"}]))
    assert 0 == baton(url, "workflow", "push", str(folder)).exit_code


def test_a_folder_is_pushed_and_listed(url: str, tmp_path: Path) -> None:
    """Each definition is named; a second push changes nothing; broken ones are told with their fields."""
    pushed(url, tmp_path)
    again = baton(url, "workflow", "push", str(tmp_path), "--json")
    (tmp_path / "workflow.json").write_text('{"name": "broken", "tasks": []}')
    broken = baton(url, "workflow", "push", str(tmp_path))
    (tmp_path / "tasks.json").write_text('[{"name": ""}]')
    refused = baton(url, "workflow", "push", str(tmp_path))
    (tmp_path / "tasks.json").write_text("{")
    unreadable = baton(url, "workflow", "push", str(tmp_path))
    listed = baton(url, "workflow", "list")

    assert {"hello": "unchanged", "waits": "unchanged", "work": "unchanged"} == {
        one["name"]: one["change"] for one in json.loads(again.stdout)["definitions"]
    }
    assert (1, 1, 1) == (broken.exit_code, refused.exit_code, unreadable.exit_code)
    assert "WorkflowTask list cannot be empty" in broken.stderr
    assert "TaskDef name cannot be null or empty" in refused.stderr
    assert "tasks.json" in unreadable.stderr
    assert "hello" in listed.stdout
    assert "work" in baton(url, "tasks").stdout
    assert any(one["name"] == "work" for one in json.loads(baton(url, "tasks", "--json").stdout))
    (tmp_path / "empty").mkdir()
    assert 1 == baton(url, "workflow", "push", str(tmp_path / "empty")).exit_code


def test_a_workflow_is_started_and_waited_for(url: str, tmp_path: Path) -> None:
    """Input as JSON, as a file and as pairs; the exit status tells whether it completed."""
    pushed(url, tmp_path)
    (tmp_path / "in.json").write_text('{"name": "File", "n": 1}')

    plain = baton(url, "start", "hello", "-i", f"@{tmp_path}/in.json", "-i", "name=Ada", "--wait")
    whole = baton(url, "start", "hello", "-i", '{"name": 3}', "-i", "n=[1]", "--wait", "--json")

    assert 0 == plain.exit_code, plain.output
    assert '{"text": "Hello Ada"}' in plain.stdout
    shown = json.loads(whole.stdout)
    assert ({"name": 3, "n": [1]}, {"text": "Hello 3"}) == (shown["input"], shown["output"])


def test_an_execution_is_steered_and_shown(url: str, tmp_path: Path) -> None:
    """Each verb says what it has done; what is not possible is told in the daemon's words."""
    pushed(url, tmp_path)
    workflow_id = baton(url, "start", "waits", "--correlation-id", "me").stdout.strip()

    for verb in ("pause", "resume"):
        assert f"{verb}d {workflow_id}" in baton(url, verb, workflow_id).stdout
    assert 1 == baton(url, "retry", workflow_id).exit_code
    ended = baton(url, "terminate", workflow_id, "--reason", "enough", "--json")
    assert {"done": [workflow_id], "errors": {}} == json.loads(ended.stdout)
    shown = baton(url, "show", workflow_id, "--follow")
    assert "reason: enough" in shown.stdout
    assert "CANCELED" in shown.stdout
    assert "TERMINATED" == json.loads(baton(url, "show", workflow_id, "--json").stdout)["status"]
    assert 0 == baton(url, "restart", workflow_id, "--latest").exit_code
    assert 0 == baton(url, "terminate", workflow_id).exit_code
    found = baton(url, "search", "correlationId = me", "--status", "TERMINATED", "--name", "waits")
    assert workflow_id in found.stdout
    assert "1 of 1" in found.stdout
    raw = json.loads(baton(url, "search", "--text", workflow_id, "--json").stdout)
    assert 1 == raw["totalHits"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["start", "unknown"], 1, "unknown"),
        (["start", "hello", "-i", "{"], 2, "--input"),
        (["start", "hello", "-i", "[1]"], 2, "neither JSON"),
        (["start", "hello", "-i", "@/nowhere"], 2, "No such file"),
        (["show", "nobody"], 1, "No such workflow found by id: nobody"),
        (["search", "no such grammar"], 1, "Incorrectly formatted"),
        (["tasks", "--url", "http://127.0.0.1:1"], 3, "Start one with `baton run`"),
        (["tasks", "--url", "ftp://x"], 1, "is no address"),
    ],
)
def test_what_goes_wrong_says_what_to_do(
    url: str, arguments: list[str], status: int, words: str
) -> None:
    """Refusals end with 1, wrong command lines with 2, a missing daemon with 3; never a trace."""
    ended = baton(url, *arguments)

    assert status == ended.exit_code
    assert words in ended.stderr


def test_the_effective_configuration_is_printed(tmp_path: Path) -> None:
    """``check`` ends with 0 and prints every default; an unknown key ends it otherwise."""
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('[daemon]\nlisten = "127.0.0.1:9"\n')
    bad.write_text("[daemon]\nlisen = 3\n")

    printed = CliRunner().invoke(main, ["check", "--config", str(good)])
    refused = CliRunner().invoke(main, ["check", "--config", str(bad)])

    assert 0 == printed.exit_code
    assert 'listen = "127.0.0.1:9"' in printed.stdout
    assert "body_limit_bytes = 16777216" in printed.stdout
    assert 0 != refused.exit_code
    assert "daemon.lisen; did you mean daemon.listen?" in refused.stderr


def _leaves(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """Every command that does something, with the words that lead to it."""
    if not isinstance(command, click.Group):
        yield context
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from _leaves(inner, click.Context(inner, info_name=name, parent=context))


def test_every_command_shows_how_it_is_typed() -> None:
    """With an example that begins with its own words, and says what each option is for."""
    for context in _leaves(main, click.Context(main, info_name="baton")):
        text, words = context.command.get_help(context), context.command_path
        assert "Examples:" in text and words in text.partition("Examples:")[2], words
        silent = [one.name for one in context.command.params
                  if isinstance(one, click.Option) and not one.help]  # fmt: skip
        assert [] == silent, words


def test_help_teaches() -> None:
    """Every command explains itself, and those that take something show an example."""
    runner = CliRunner()
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        text = runner.invoke(main, [name, "--help"])
        assert 0 == text.exit_code
        assert command.help, name
    assert "baton start hello --input name=Ada" in runner.invoke(main, ["start", "--help"]).stdout
    assert "baton run --data-dir" in runner.invoke(main, ["--help"]).stdout
    assert "0.1.0" in runner.invoke(main, ["--version"]).stdout
