"""``baton start``, ``show``, ``search`` and the verbs that steer executions.

No rule of what is possible stands here; the daemon says so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edge.cli import output
from edge.cli.client import Client, client_options

_FIRST_LOOK_S = 0.05
_LAST_LOOK_S = 1.0
"""Between two looks at an execution: quick at first, a second later on."""

_ENDED = frozenset({"COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"})


@click.command(
    epilog=output.examples(
        "baton start hello",
        "baton start hello --input name=Ada --input retries=3 --wait",
        'baton start hello --input \'{"name": "Ada"}\' --json',
        "baton start hello --input @order.json",
    )
)
@click.argument("name")
@click.option(
    "--input",
    "-i",
    "inputs",
    multiple=True,
    metavar="JSON|@FILE|KEY=VALUE",
    help="Input; may be given several times, later keys win.",
)
@click.option("--version", type=int, help="Of the definition; the latest without it.")
@click.option("--correlation-id", help="Your own name for what this execution belongs to.")
@click.option("--priority", type=click.IntRange(0, 99), default=0, help="0 to 99, highest first.")
@click.option("--wait", is_flag=True, help="Wait for the end; exit status 0 only if COMPLETED.")
@client_options
def start(
    *,
    name: str,
    inputs: tuple[str, ...],
    version: int | None,
    correlation_id: str | None,
    priority: int,
    wait: bool,
    url: str,
    as_json: bool,
) -> None:
    """Start a workflow and print its id."""
    daemon = Client(url)
    body = {
        "name": name,
        "version": version,
        "correlationId": correlation_id,
        "priority": priority,
        "input": _inputs(inputs),
    }
    workflow_id = daemon.call("POST", "workflow", body=body)
    if not wait:
        output.as_json({"workflowId": workflow_id}) if as_json else click.echo(workflow_id)
        return
    execution = _follow(daemon, workflow_id, quiet=as_json)
    output.as_json(execution) if as_json else _print_end(execution)
    if execution["status"] != "COMPLETED":
        raise click.exceptions.Exit(1)


@click.command(
    epilog=output.examples("baton show 0190a5b2-...", "baton show 0190a5b2-... --follow")
)
@click.argument("workflow_id", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Print what changes until it ends.")
@client_options
def show(*, workflow_id: str, follow: bool, url: str, as_json: bool) -> None:
    """Show an execution and its tasks."""
    daemon = Client(url)
    if follow:
        execution = _follow(daemon, workflow_id, quiet=as_json)
    else:
        execution = daemon.call("GET", "workflow", workflow_id)
    if as_json:
        output.as_json(execution)
        return
    _print_execution(execution)


@click.command(
    epilog=output.examples(
        "baton search --status FAILED",
        'baton search "workflowType IN (hello,order) AND startTime > 1735689600000"',
        "baton search --text 4711",
    )
)
@click.argument("query", required=False, default="")
@click.option("--text", help="Words that the execution holds anywhere.")
@click.option("--status", help="Only this status, such as FAILED.")
@click.option("--name", help="Only executions of this workflow.")
@click.option("--start", "offset", default=0, type=click.IntRange(0), help="Skip so many.")
@click.option("--size", default=20, type=click.IntRange(1, 5000), help="Show so many.")
@client_options
def search(
    *,
    query: str,
    text: str | None,
    status: str | None,
    name: str | None,
    offset: int,
    size: int,
    url: str,
    as_json: bool,
) -> None:
    """Find executions, the newest first."""
    terms = [query] if query else []
    terms += [f'status = "{status}"'] if status else []
    terms += [f'workflowType = "{name}"'] if name else []
    asked = {"query": " AND ".join(terms), "freeText": text or "*", "start": offset, "size": size}
    found = Client(url).call("GET", "workflow", "search", query=asked)
    if as_json:
        output.as_json(found)
        return
    rows = [
        [
            one["workflowId"],
            one["workflowType"],
            str(one["version"]),
            one["status"],
            one["startTime"],
            f"{one['executionTime'] / 1000:.3f} s" if one.get("endTime") else "-",
        ]
        for one in found["results"]
    ]
    output.table(["ID", "WORKFLOW", "VERSION", "STATUS", "STARTED", "TOOK"], rows)
    click.echo(f"{len(rows)} of {found['totalHits']}")


def _verb(
    name: str, text: str, method: str, path: tuple[str, ...], done: str
) -> Callable[..., click.Command]:
    """A command that does one thing to an execution; ``path`` follows the id."""

    def act(*, workflow_id: str, url: str, as_json: bool, **query: Any) -> None:
        Client(url).call(method, "workflow", workflow_id, *path, query=query)
        output.as_json({"workflowId": workflow_id, "done": done}) if as_json else click.echo(
            f"{done} {workflow_id}"
        )

    def make(*options: Callable[..., Any]) -> click.Command:
        command: Callable[..., Any] = client_options(act)
        for option in options:
            command = option(command)
        command = click.argument("workflow_id", metavar="ID")(command)
        example = output.examples(f"baton {name} 0190a5b2-7c1e-7d04-9c55-3f1b00000000")
        return click.command(name, help=text, epilog=example)(command)

    return make


pause = _verb(
    "pause",
    "Stop scheduling what comes next; tasks that are under way go on.",
    "PUT",
    ("pause",),
    "paused",
)()
resume = _verb("resume", "Go on after a pause.", "PUT", ("resume",), "resumed")()
terminate = _verb(
    "terminate", "End an execution now; open tasks are cancelled.", "DELETE", (), "terminated"
)(click.option("--reason", help="Kept with the execution."))
retry = _verb(
    "retry", "Try the failed tasks of an ended execution once more.", "POST", ("retry",), "retried"
)()
restart = _verb(
    "restart",
    "Run an ended execution from its beginning, under the same id.",
    "POST",
    ("restart",),
    "restarted",
)(
    click.option(
        "--latest",
        "useLatestDefinitions",
        is_flag=True,
        default=False,
        help="With the newest definition instead of the one it ran with.",
    )
)


def _inputs(given: tuple[str, ...]) -> dict[str, Any]:
    """All inputs as one map."""
    merged: dict[str, Any] = {}
    for text in given:
        if text.startswith("@"):
            try:
                merged |= _object(Path(text[1:]).read_text(encoding="utf-8"), text)
            except (OSError, UnicodeDecodeError) as error:
                raise click.BadParameter(f"{text}: {error}", param_hint="--input") from error
        elif text.lstrip().startswith("{"):
            merged |= _object(text, text[:40])
        elif "=" in text:
            key, _, value = text.partition("=")
            merged[key] = _scalar(value)
        else:
            raise click.BadParameter(
                f"{text!r} is neither JSON, nor @FILE, nor KEY=VALUE", param_hint="--input"
            )
    return merged


def _object(text: str, source: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{source}: {error}", param_hint="--input") from error
    if not isinstance(value, dict):
        raise click.BadParameter(f"{source}: expected a JSON object", param_hint="--input")
    return value


def _scalar(text: str) -> Any:
    """``3``, ``true`` and ``[1]`` are what they look like; everything else is a text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _follow(daemon: Client, workflow_id: str, *, quiet: bool) -> dict[str, Any]:
    """Look again and again until it ends; prints each change of a task on the way."""
    told: dict[str, str] = {}
    pause_s = _FIRST_LOOK_S
    while True:
        execution: dict[str, Any] = daemon.call("GET", "workflow", workflow_id)
        changed = False
        for task in execution["tasks"]:
            if told.get(task["taskId"]) == task["status"]:
                continue
            told[task["taskId"]] = task["status"]
            changed = True
            if not quiet:
                click.echo(_task_line(task))
        if execution["status"] in _ENDED:
            return execution
        pause_s = _FIRST_LOOK_S if changed else min(pause_s * 1.5, _LAST_LOOK_S)
        time.sleep(pause_s)


def _task_line(task: dict[str, Any]) -> str:
    reason = task.get("reasonForIncompletion")
    attempt = f" attempt {task['retryCount'] + 1}" if task["retryCount"] else ""
    because = f": {reason}" if reason else ""
    return f"{task['referenceTaskName']} {output.status(task['status'])}{attempt}{because}"


def _print_end(execution: dict[str, Any]) -> None:
    took = output.span(execution["createTime"], execution["endTime"])
    click.echo(f"{execution['workflowId']} {output.status(execution['status'])} in {took}")
    if execution.get("reasonForIncompletion"):
        click.echo(f"reason: {execution['reasonForIncompletion']}")
    click.echo(f"output: {output.short(execution['output'], 2_000)}")


def _print_execution(execution: dict[str, Any]) -> None:
    click.echo(
        f"{execution['workflowName']} version {execution['workflowVersion']}, "
        f"started {output.moment(execution['createTime'])}"
    )
    click.echo(f"input:  {output.short(execution['input'])}")
    _print_end(execution)
    rows = [
        [
            task["referenceTaskName"],
            task["taskType"],
            task["status"],
            str(task["retryCount"] + 1),
            output.span(task["startTime"], task["endTime"]),
            output.short(task.get("reasonForIncompletion") or task["outputData"], 80),
        ]
        for task in execution["tasks"]
    ]
    if rows:
        output.table(["TASK", "TYPE", "STATUS", "ATTEMPT", "TOOK", "OUTPUT OR REASON"], rows)
