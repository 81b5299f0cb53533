"""``baton workflow ...`` and ``baton tasks``: what a daemon knows, one definition at a time.

Folders are the affair of ``exchange`` and ``mock_tests``, and no definition is judged here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge.cli import exchange, mock_tests, output
from edge.cli import folder as folders
from edge.cli.client import Client, Refused, advising, client_options
from edge.cli.groups import Group

_UNKNOWN = {404: "`baton workflow list` shows what is registered."}


@click.group(cls=Group)
def workflow() -> None:
    """Workflow definitions: folders of JSON as code, and what a daemon knows."""


workflow.add_command(exchange.push)
workflow.add_command(exchange.pull)
workflow.add_command(exchange.diff)
workflow.add_command(exchange.promote)
workflow.add_command(mock_tests.test)


@workflow.command("list", epilog=output.examples("baton workflow list --json"))
@client_options
def list_(*, url: str, as_json: bool) -> None:
    """List the registered workflow definitions."""
    found = Client(url).call("GET", "metadata", "workflow")
    if as_json:
        output.as_json(found)
        return
    rows = [
        [one["name"], str(one["version"]), str(len(one["tasks"])), one.get("description") or ""]
        for one in sorted(found, key=lambda one: (one["name"], one["version"]))
    ]
    output.table(["NAME", "VERSION", "TASKS", "DESCRIPTION"], rows)


@workflow.command(epilog=output.examples("baton workflow show hello --version 2"))
@click.argument("name")
@click.option("--version", type=int, help="Which one; the latest without it.")
@client_options
def show(*, name: str, version: int | None, url: str, as_json: bool) -> None:
    """Show a definition: its steps, and how they stand in one another."""
    with advising(_UNKNOWN):
        document = Client(url).call("GET", "metadata", "workflow", name, query={"version": version})
    if as_json:
        output.as_json(document)
        return
    click.echo(f"{document['name']} version {document['version']}")
    if document.get("description"):
        click.echo(document["description"])
    rows: list[list[str]] = []
    _outline(document["tasks"], 0, rows)
    output.table(["TASK", "TYPE", "NAME", "IN"], rows)


@workflow.command(epilog=output.examples("baton workflow remove hello --version 1"))
@click.argument("name")
@click.option("--version", type=int, required=True, help="Which one.")
@client_options
def remove(*, name: str, version: int, url: str, as_json: bool) -> None:
    """Take a definition away; executions keep the copy that they started with."""
    with advising(_UNKNOWN):
        Client(url).call("DELETE", "metadata", "workflow", name, str(version))
    if as_json:
        output.as_json({"name": name, "version": version, "done": "removed"})
    else:
        click.echo(f"removed workflow {name} {version}")


@workflow.command(epilog=output.examples("baton workflow validate definitions"))
@exchange.folder_argument
@client_options
def validate(*, folder: Path, url: str, as_json: bool) -> None:
    """Hold every workflow of a folder against the daemon's rules; nothing is registered."""
    daemon = Client(url)
    errors: dict[str, str] = {}
    entries = [one for key, one in sorted(folders.read(folder).items()) if key.kind == "workflow"]
    for entry in entries:
        try:
            daemon.call("POST", "metadata", "workflow", "validate", body=entry.document)
        except Refused as refused:
            errors[str(entry.key)] = refused.message
    warnings = {str(one.key): exchange.slips_of(one.document) for one in entries}
    if as_json:
        told = {key: lines for key, lines in warnings.items() if lines}
        names = [str(one.key) for one in entries]
        output.as_json({"workflows": names, "errors": errors, "warnings": told})
    else:
        for entry in entries:
            why = errors.get(str(entry.key))
            verdict = click.style("valid", fg="green") if why is None else f"refused: {why}"
            click.echo(f"{entry.key}: {verdict}", err=why is not None)
            output.warnings(warnings[str(entry.key)])
    if errors:
        raise click.exceptions.Exit(1)


@click.command(epilog=output.examples("baton tasks"))
@client_options
def tasks(*, url: str, as_json: bool) -> None:
    """List the task types: how many wait, and when a worker last asked for one."""
    daemon = Client(url)
    known = {one["name"] for one in daemon.call("GET", "metadata", "taskdefs")}
    sizes: dict[str, int] = daemon.call("GET", "tasks", "queue", "all")
    polls = {_queue(one): one for one in daemon.call("GET", "tasks", "queue", "polldata", "all")}
    lines = [
        {
            "name": name,
            "waiting": sizes.get(name, 0),
            "lastPollTime": polls.get(name, {}).get("lastPollTime", 0),
            "worker": polls.get(name, {}).get("workerId", ""),
        }
        for name in sorted(known | sizes.keys() | polls.keys())
    ]
    if as_json:
        output.as_json(lines)
        return
    rows = [
        [one["name"], str(one["waiting"]), output.moment(one["lastPollTime"]), one["worker"]]
        for one in lines
    ]
    output.table(["TASK", "WAITING", "LAST POLL", "WORKER"], rows)


def _queue(line: dict[str, Any]) -> str:
    name: str = line["queueName"]
    return f"{line['domain']}:{name}" if line.get("domain") else name


def _outline(steps: list[dict[str, Any]], depth: int, rows: list[list[str]], of: str = "") -> None:
    """A row for each step, those inside another one below it and further in."""
    for step in steps:
        ref = step["taskReferenceName"]
        rows.append(["  " * depth + ref, step.get("type", "SIMPLE"), step.get("name", ""), of])
        for case, inner in (step.get("decisionCases") or {}).items():
            _outline(inner, depth + 1, rows, f"{ref}: {case}")
        _outline(step.get("defaultCase") or [], depth + 1, rows, f"{ref}: default")
        for number, branch in enumerate(step.get("forkTasks") or [], 1):
            _outline(branch, depth + 1, rows, f"{ref}: branch {number}")
        _outline(step.get("loopOver") or [], depth + 1, rows, f"{ref}: loop")
