"""``baton workflow ...`` and ``baton tasks``: definitions as a folder of JSON, and what is known.

No definition is judged here; the daemon does that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edge.cli import output
from edge.cli.client import Client, client_options

_MAX_FILES = 1_000


@click.group()
def workflow() -> None:
    """Register workflow definitions and list them."""


@workflow.command(epilog=output.examples("baton workflow push workflows/video_analysis"))
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@client_options
def push(*, folder: Path, url: str, as_json: bool) -> None:
    """Register every definition in a folder of JSON files.

    A file with a `tasks` key is a workflow; any other holds task definitions, one or a list.
    Definitions that exist are replaced.
    """
    workflows, tasks = _read(folder)
    if not workflows and not tasks:
        raise click.ClickException(
            f"{folder} holds no definition; expected files such as workflow.json"
        )
    daemon = Client(url)
    if tasks:
        daemon.call("POST", "metadata", "taskdefs", body=tasks)
    answer = daemon.call("PUT", "metadata", "workflow", body=workflows) if workflows else {}
    errors: dict[str, str] = answer.get("bulkErrorResults", {})
    done: list[str] = answer.get("bulkSuccessfulResults", [])
    names = [str(task.get("name")) for task in tasks]
    if as_json:
        output.as_json({"workflows": done, "tasks": names, "errors": errors})
    else:
        for name in names:
            click.echo(f"registered task {name}")
        for name in done:
            click.echo(f"registered workflow {name}")
        for name, message in errors.items():
            click.echo(f"refused workflow {name}: {message}", err=True)
    if errors:
        raise click.exceptions.Exit(1)


@workflow.command("list")
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


@click.command()
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


def _read(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The workflow and the task definitions of a folder."""
    workflows: list[dict[str, Any]] = []
    tasks: list[dict[str, Any]] = []
    files = sorted(folder.rglob("*.json"))
    if len(files) > _MAX_FILES:
        raise click.ClickException(f"{folder} holds {len(files)} JSON files, {_MAX_FILES} at most")
    for file in files:
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise click.ClickException(f"{file}: {error}") from error
        for one in document if isinstance(document, list) else [document]:
            if not isinstance(one, dict):
                raise click.ClickException(f"{file}: expected a definition, or a list of them")
            (workflows if "tasks" in one else tasks).append(one)
    return workflows, tasks
