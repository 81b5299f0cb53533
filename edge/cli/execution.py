"""``baton start``, ``show``, ``tail`` and ``logs``: one execution, as it is and as it changes.

What steers an execution stands in ``steering``; how it is drawn, in ``progress`` and ``tree``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from edge.cli import follow, inputs, output, tree
from edge.cli.client import Client, Refused, Unreachable, advising, client_options
from edge.cli.lonely import Lonely
from edge.clock import SystemClock

UNKNOWN_ID = {404: "`baton search` finds executions and prints their ids."}

_UNKNOWN_NAME = {
    404: "`baton workflow list` shows what is registered; `baton workflow push DIR` registers more."
}
_REMEMBERED = 10_000
"""Executions whose status `tail --all` remembers; the oldest are forgotten first."""


@click.command(
    epilog=output.examples(
        "baton start hello",
        "baton start hello --input name=Ada --input retries=3 --wait",
        'baton start hello --input \'{"name": "Ada"}\' --json',
        "baton start hello --input @order.json",
        "baton start order --idempotency-key order-4711",
    )
)
@click.argument("name")
@click.option(
    "--input",
    "-i",
    "given",
    multiple=True,
    metavar=inputs.OBJECT,
    help="Input; may be given several times, later keys win.",
)
@click.option("--version", type=int, help="Of the definition; the latest without it.")
@click.option("--correlation-id", help="Your own name for what this execution belongs to.")
@click.option("--priority", type=click.IntRange(0, 99), default=0, help="0 to 99, highest first.")
@click.option(
    "--domain",
    "domains",
    multiple=True,
    metavar="TASK=DOMAIN",
    help="Which workers get tasks of this type; * for all; may be given several times.",
)
@click.option("--idempotency-key", help="A second start with this key is the first one.")
@click.option(
    "--on-conflict",
    type=click.Choice(["RETURN_EXISTING", "FAIL", "FAIL_ON_RUNNING"], case_sensitive=False),
    default="RETURN_EXISTING",
    show_default=True,
    help="What a second start with the same key does.",
)
@click.option("--wait", is_flag=True, help="Wait for the end; exit status 0 only if COMPLETED.")
@client_options
def start(
    *,
    name: str,
    given: tuple[str, ...],
    version: int | None,
    correlation_id: str | None,
    priority: int,
    domains: tuple[str, ...],
    idempotency_key: str | None,
    on_conflict: str,
    wait: bool,
    url: str,
    as_json: bool,
) -> None:
    """Start a workflow and print its id.

    With --wait, progress is shown while it runs: a table on a terminal, a line for each change in a
    pipe.
    """
    daemon = Client(url)
    body = {
        "name": name,
        "version": version,
        "correlationId": correlation_id,
        "priority": priority,
        "input": inputs.objects(given),
        "taskToDomain": inputs.pairs(domains, hint="--domain"),
    }
    if idempotency_key is not None:
        body |= {"idempotencyKey": idempotency_key, "idempotencyStrategy": on_conflict}
    with advising(_UNKNOWN_NAME):
        workflow_id = daemon.call("POST", "workflow", body=body)
    if not wait:
        output.as_json({"workflowId": workflow_id}) if as_json else click.echo(workflow_id)
        return
    try:
        execution = _watched(daemon, workflow_id, quiet=as_json)
    except (KeyboardInterrupt, Unreachable):
        # Only the waiting has ended, and nobody else has been told the id.
        follows = f"`baton show {workflow_id} --follow` follows it"
        click.echo(f"{workflow_id} was started and goes on; {follows}.", err=True)
        raise
    output.as_json(execution) if as_json else _print_end(execution)
    if execution["status"] != "COMPLETED":
        raise click.exceptions.Exit(1)


@click.command(
    epilog=output.examples(
        "baton show 0190a5b2-...", "baton show 0190a5b2-... --tree", "baton show 0190a5b2-... -f"
    )
)
@click.argument("workflow_id", metavar="ID")
@click.option("--follow", "-f", "following", is_flag=True, help="Show progress until it ends.")
@click.option("--tree", "expand", is_flag=True, help="Also the tasks of its sub-workflows.")
@client_options
def show(*, workflow_id: str, following: bool, expand: bool, url: str, as_json: bool) -> None:
    """Show an execution and its tasks; what runs inside a task stands further in."""
    daemon = Client(url)
    with advising(UNKNOWN_ID):
        if following:
            execution = _watched(daemon, workflow_id, quiet=as_json)
        else:
            execution = daemon.call("GET", "workflow", workflow_id)
    children: dict[str, Any] = {}

    def child(child_id: str) -> dict[str, Any] | None:
        found = children[child_id] = _read(daemon, child_id)
        return found

    rows = list(tree.expanded(execution, child) if expand else tree.placed(execution))
    if as_json:
        output.as_json({**execution, "subWorkflows": children} if expand else execution)
        return
    _print_execution(execution, rows)
    if not following:
        for line in Lonely(daemon).told(execution):
            click.echo(line, err=True)


@click.command(epilog=output.examples("baton tail 0190a5b2-...", "baton tail --all"))
@click.argument("workflow_id", metavar="[ID]", required=False)
@click.option("--all", "all_", is_flag=True, help="Every execution: its start and its end.")
@client_options
def tail(*, workflow_id: str | None, all_: bool, url: str, as_json: bool) -> None:
    """Print each change of an execution with its time, until it ends.

    With --all, a line for each change of any execution's status, until Ctrl-C. With --json, each
    line is a JSON object.
    """
    if (workflow_id is None) != all_:
        raise click.UsageError("name one execution by its id, or say --all")
    daemon = Client(url)
    lines = _all_changes(daemon) if workflow_id is None else _own_changes(daemon, workflow_id)
    with advising(UNKNOWN_ID):
        for line in lines:
            output.json_line(line) if as_json else _print_change(line)


@click.command(epilog=output.examples("baton logs 0190a5b2-..."))
@click.argument("any_id", metavar="ID")
@client_options
def logs(*, any_id: str, url: str, as_json: bool) -> None:
    """Print what workers have logged for a task, or for all tasks of an execution."""
    daemon = Client(url)
    execution = _read(daemon, any_id)
    if execution is not None:
        tasks = {task["taskId"]: task["referenceTaskName"] for task in execution["tasks"]}
    else:
        with advising({404: "An id of a task or of an execution is wanted; see `baton show ID`."}):
            task = daemon.call("GET", "tasks", any_id)
        tasks = {any_id: task["referenceTaskName"]}
    lines = [
        {"referenceTaskName": ref, **line}
        for task_id, ref in tasks.items()
        for line in daemon.call("GET", "tasks", task_id, "log") or []
    ]
    lines.sort(key=lambda line: line["createdTime"])
    if as_json:
        output.as_json(lines)
        return
    for line in lines:
        ref = click.style(line["referenceTaskName"], fg="cyan")
        click.echo(f"{output.moment(line['createdTime'])} {ref} {line['log']}")


def _read(daemon: Client, workflow_id: str) -> dict[str, Any] | None:
    """An execution; None when there is none of that id."""
    try:
        execution: dict[str, Any] = daemon.call("GET", "workflow", workflow_id)
    except Refused as refused:
        if refused.status != 404:
            raise
        return None
    return execution


def _watched(daemon: Client, workflow_id: str, *, quiet: bool) -> dict[str, Any]:
    """Show progress until it ends; returns how it ended."""
    executions = _told_of_lonely(daemon, follow.changes(daemon, workflow_id))
    if sys.stdout.isatty() and not quiet:
        from edge.cli import progress

        return progress.watch(executions, now_ms=SystemClock().now_ms)
    told: dict[str, str] = {}
    last: dict[str, Any] = {}
    for execution in executions:
        last = execution
        for state in follow.states(execution, told):
            if state.ref and not quiet:
                click.echo(_state_line(state.ref, state.status, state.attempt, state.reason))
    return last


def _told_of_lonely(
    daemon: Client, executions: Iterable[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Each state, and after it what it waits for in vain.

    It is written to whatever standard error is at that moment: a table that moves takes it over.
    """
    lonely = Lonely(daemon)
    for execution in executions:
        yield execution
        for line in lonely.told(execution):
            sys.stderr.write(f"{line}\n")


def _own_changes(daemon: Client, workflow_id: str) -> Iterator[dict[str, Any]]:
    told: dict[str, str] = {}
    for execution in follow.changes(daemon, workflow_id):
        for state in follow.states(execution, told):
            yield {
                "atMs": state.at_ms,
                "workflowId": workflow_id,
                "name": execution["workflowName"],
                "task": state.ref or None,
                "status": state.status,
                "attempt": state.attempt,
                "reason": state.reason or None,
            }


def _all_changes(daemon: Client) -> Iterator[dict[str, Any]]:
    """A line for each change of a status that the daemon hints at."""
    told: dict[str, str] = {}
    clock = SystemClock()
    for hint in follow.hints(daemon):
        workflow_id = hint.get("workflowId")
        if workflow_id is None or told.get(workflow_id) == hint["status"]:
            continue
        told[workflow_id] = hint["status"]
        if len(told) > _REMEMBERED:
            del told[next(iter(told))]
        query = {"includeTasks": "false"}
        try:
            execution = daemon.call("GET", "workflow", workflow_id, query=query)
        except Refused:
            # It has been removed since.
            continue
        yield {
            "atMs": clock.now_ms(),
            "workflowId": workflow_id,
            "name": execution["workflowName"],
            "task": None,
            "status": hint["status"],
            "attempt": 1,
            "reason": execution.get("reasonForIncompletion"),
        }


def _print_change(line: dict[str, Any]) -> None:
    what = line["task"] or f"{line['name']} {line['workflowId']}"
    text = _state_line(what, line["status"], line["attempt"], line["reason"] or "")
    click.echo(f"{output.time_of_day(line['atMs'])} {text}")


def _state_line(what: str, status: str, attempt: int, reason: str) -> str:
    tried = f" attempt {attempt}" if attempt > 1 else ""
    return f"{what} {output.status(status)}{tried}{f': {reason}' if reason else ''}"


def _print_end(execution: dict[str, Any]) -> None:
    took = ""
    if execution["status"] in follow.ENDED:
        took = f" in {output.span(execution['createTime'], execution['endTime'])}"
    click.echo(f"{execution['workflowId']} {output.status(execution['status'])}{took}")
    if execution.get("reasonForIncompletion"):
        click.echo(f"reason: {execution['reasonForIncompletion']}")
    click.echo(f"output: {_payload(execution, 'output', 2_000)}")


def _payload(execution: dict[str, Any], which: str, limit: int = 200) -> str:
    """An input or output; of one that lies in a file the API gives the name alone."""
    file = execution.get(f"external{which.capitalize()}PayloadStoragePath")
    return f"in the file {file}" if file else output.short(execution[which], limit)


def _print_execution(execution: dict[str, Any], tasks: list[tuple[int, dict[str, Any]]]) -> None:
    click.echo(
        f"{execution['workflowName']} version {execution['workflowVersion']}, "
        f"started {output.moment(execution['createTime'])}"
    )
    click.echo(f"input:  {_payload(execution, 'input')}")
    _print_end(execution)
    rows = [
        [
            "  " * depth + task["referenceTaskName"],
            task["taskType"],
            task["status"],
            str(task["retryCount"] + 1),
            output.span(task["startTime"], task["endTime"]),
            output.short(task.get("reasonForIncompletion") or task["outputData"], 80),
        ]
        for depth, task in tasks
    ]
    if rows:
        output.table(["TASK", "TYPE", "STATUS", "ATTEMPT", "TOOK", "OUTPUT OR REASON"], rows)
