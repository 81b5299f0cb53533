"""The verbs that steer executions, one or many at once: pause, retry, rerun, signal and the rest.

No rule of what is possible stands here; the daemon says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from edge.cli import inputs, output
from edge.cli.client import Client, Refused, client_options
from edge.cli.execution import UNKNOWN_ID
from edge.cli.follow import OPEN

_BULK = 1_000
"""Ids in one bulk request, as in Conductor."""

_EXAMPLE_ID = "0190a5b2-7c1e-7d04-9c55-3f1b00000000"

Act = Callable[[Client, str], None]


class Outcome(msgspec.Struct):
    """What has become of each of the executions that a verb was said to."""

    done: list[str] = []
    errors: dict[str, str] = {}


def one_by_one(daemon: Client, ids: list[str], act: Act) -> Outcome:
    """Do something to each; one that is refused does not keep the others from it."""
    outcome = Outcome()
    for workflow_id in ids:
        try:
            act(daemon, workflow_id)
        except Refused as refused:
            advice = UNKNOWN_ID.get(refused.status, "") if len(ids) == 1 else ""
            outcome.errors[workflow_id] = "\n".join(filter(None, (refused.message, advice)))
        else:
            outcome.done.append(workflow_id)
    return outcome


def in_bulk(
    daemon: Client, ids: list[str], method: str, path: str, query: dict[str, Any]
) -> Outcome:
    """Do something to all of them in as few requests as may be."""
    outcome = Outcome()
    for first in range(0, len(ids), _BULK):
        page = ids[first : first + _BULK]
        answer = daemon.call(method, "workflow", "bulk", path, body=page, query=query)
        outcome.done += answer["bulkSuccessfulResults"]
        outcome.errors |= answer["bulkErrorResults"]
    return outcome


def tell(outcome: Outcome, done: str, *, as_json: bool) -> None:
    """Print what has become of each; ends with status 1 when one was refused."""
    if as_json:
        output.as_json({"done": outcome.done, "errors": outcome.errors})
    else:
        for workflow_id in outcome.done:
            click.echo(f"{done} {workflow_id}")
        for workflow_id, why in outcome.errors.items():
            click.echo(f"Error: {workflow_id}: {why}", err=True)
    if outcome.errors:
        raise click.exceptions.Exit(1)


ids_argument = click.argument("ids", metavar="ID...", nargs=-1)
id_argument = click.argument("any_id", metavar="ID")
ref_argument = click.argument("ref", metavar="REF")


def _output_option(text: str) -> Callable[..., Any]:
    return click.option("--output", "-o", "given", multiple=True, metavar=inputs.OBJECT, help=text)


def _verb(
    name: str, text: str, single: tuple[str, tuple[str, ...]], bulk: tuple[str, str], done: str
) -> Callable[..., click.Command]:
    """A command that does one thing to executions.

    Args:
        name, text: of the command.
        single: method, and what follows the id in the path.
        bulk: the same for many ids.
        done: said of each id.
    """

    def act(*, ids: tuple[str, ...], url: str, as_json: bool, **query: Any) -> None:
        wanted, daemon = inputs.ids(ids), Client(url)
        if len(wanted) == 1:
            method, path = single
            outcome = one_by_one(
                daemon, wanted, lambda d, one: d.call(method, "workflow", one, *path, query=query)
            )
        else:
            outcome = in_bulk(daemon, wanted, *bulk, query)
        tell(outcome, done, as_json=as_json)

    def make(*options: Callable[..., Any]) -> click.Command:
        command: Callable[..., Any] = client_options(act)
        for option in options:
            command = option(command)
        command = ids_argument(command)
        example = output.examples(
            f"baton {name} {_EXAMPLE_ID}", f"baton search --name hello --ids | baton {name} -"
        )
        return click.command(name, help=text, epilog=example)(command)

    return make


pause = _verb(
    "pause",
    "Stop scheduling what comes next; tasks that are under way go on.",
    ("PUT", ("pause",)),
    ("PUT", "pause"),
    "paused",
)()
resume = _verb(
    "resume", "Go on after a pause.", ("PUT", ("resume",)), ("PUT", "resume"), "resumed"
)()
terminate = _verb(
    "terminate",
    "End an execution now; open tasks are cancelled.",
    ("DELETE", ()),
    ("POST", "terminate"),
    "terminated",
)(click.option("--reason", help="Kept with the execution."))
restart = _verb(
    "restart",
    "Run an ended execution from its beginning, under the same id.",
    ("POST", ("restart",)),
    ("POST", "restart"),
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


@click.command(
    epilog=output.examples(
        f"baton retry {_EXAMPLE_ID}",
        "baton search --status FAILED --since 1d --ids | baton retry -",
    )
)
@ids_argument
@click.option(
    "--resume-sub", is_flag=True, help="Go on inside the sub-workflow that failed, not anew."
)
@client_options
def retry(*, ids: tuple[str, ...], resume_sub: bool, url: str, as_json: bool) -> None:
    """Try the failed tasks of ended executions once more."""
    wanted, daemon = inputs.ids(ids), Client(url)
    if len(wanted) > 1 and not resume_sub:
        outcome = in_bulk(daemon, wanted, "POST", "retry", {})
    else:
        query = {"resumeSubworkflowTasks": "true"} if resume_sub else {}
        outcome = one_by_one(
            daemon, wanted, lambda d, one: d.call("POST", "workflow", one, "retry", query=query)
        )
    tell(outcome, "retried", as_json=as_json)


@click.command(
    epilog=output.examples(
        f"baton remove {_EXAMPLE_ID}",
        "baton search --status COMPLETED --until 30d --size 5000 --ids | baton remove -",
    )
)
@ids_argument
@click.option("--terminate", "ending", is_flag=True, help="End those first that still run.")
@click.option("--reason", help="With --terminate: why.")
@click.option("--for-good", is_flag=True, help="Keep no copy of them either, ended or not.")
@client_options
def remove(
    *,
    ids: tuple[str, ...],
    ending: bool,
    reason: str | None,
    for_good: bool,
    url: str,
    as_json: bool,
) -> None:
    """Take ended executions away; a copy stays where the daemon keeps an archive."""
    wanted, daemon = inputs.ids(ids), Client(url)
    path = "terminate-remove" if ending else "remove"
    query = {"reason": reason} if ending else {}
    query |= {"archiveWorkflow": "false"} if for_good else {}
    if len(wanted) == 1:
        outcome = one_by_one(
            daemon, wanted, lambda d, one: d.call("DELETE", "workflow", one, path, query=query)
        )
    else:
        outcome = in_bulk(daemon, wanted, "DELETE", path, query)
    tell(outcome, "removed", as_json=as_json)


@click.command(
    epilog=output.examples(
        f"baton rerun {_EXAMPLE_ID}", f"baton rerun {_EXAMPLE_ID} --from charge -t amount=3"
    )
)
@id_argument
@click.option("--from", "ref", metavar="REF", help="The task to run again; the first without it.")
@click.option(
    "--input", "-i", "given", multiple=True, metavar=inputs.OBJECT, help="Instead of the old input."
)
@click.option(
    "--task-input",
    "-t",
    "task_given",
    multiple=True,
    metavar=inputs.OBJECT,
    help="With --from: instead of that task's input.",
)
@client_options
def rerun(
    *,
    any_id: str,
    ref: str | None,
    given: tuple[str, ...],
    task_given: tuple[str, ...],
    url: str,
    as_json: bool,
) -> None:
    """Run an ended execution again from a task on; what came before it stays as it is."""
    new_input = inputs.objects(given)
    task_input = inputs.objects(task_given, hint="--task-input")
    if task_input and ref is None:
        raise click.UsageError("--task-input goes with --from")

    def act(daemon: Client, workflow_id: str) -> None:
        body: dict[str, Any] = {"reRunFromWorkflowId": workflow_id}
        body |= {"workflowInput": new_input} if given else {}
        if ref is not None:
            body["reRunFromTaskId"] = _record(daemon, workflow_id, ref)["taskId"]
            body |= {"taskInput": task_input} if task_given else {}
        daemon.call("POST", "workflow", workflow_id, "rerun", body=body)

    _for_each(any_id, url, act, "rerun", as_json=as_json)


@click.command(epilog=output.examples(f"baton skip {_EXAMPLE_ID} approve -o approved=true"))
@id_argument
@ref_argument
@_output_option("What the task is taken to have answered.")
@client_options
def skip(*, any_id: str, ref: str, given: tuple[str, ...], url: str, as_json: bool) -> None:
    """Have a task that has not been reached yet passed over."""
    body = {"taskInput": {}, "taskOutput": inputs.objects(given, hint="--output")}

    def act(daemon: Client, workflow_id: str) -> None:
        daemon.call("PUT", "workflow", workflow_id, "skiptask", ref, body=body)

    _for_each(any_id, url, act, f"skipped {ref} of", as_json=as_json)


@click.command(epilog=output.examples(f"baton jump {_EXAMPLE_ID} cleanup"))
@id_argument
@ref_argument
@click.option(
    "--input", "-i", "given", multiple=True, metavar=inputs.OBJECT, help="For the task jumped to."
)
@client_options
def jump(*, any_id: str, ref: str, given: tuple[str, ...], url: str, as_json: bool) -> None:
    """Go on at another task; those in between count as skipped."""
    body = inputs.objects(given)

    def act(daemon: Client, workflow_id: str) -> None:
        daemon.call("POST", "workflow", workflow_id, "jump", ref, body=body)

    _for_each(any_id, url, act, f"jumped to {ref} in", as_json=as_json)


@click.command(
    "update-vars", epilog=output.examples(f"baton update-vars {_EXAMPLE_ID} limit=5 mode=slow")
)
@id_argument
@click.argument("given", metavar=f"{inputs.OBJECT}...", nargs=-1, required=True)
@client_options
def update_vars(*, any_id: str, given: tuple[str, ...], url: str, as_json: bool) -> None:
    """Set variables of a running execution; the others keep their values."""
    variables = inputs.objects(given, hint="KEY=VALUE")

    def act(daemon: Client, workflow_id: str) -> None:
        daemon.call("POST", "workflow", workflow_id, "variables", body=variables)

    _for_each(any_id, url, act, "updated", as_json=as_json)


@click.command(epilog=output.examples(f"baton signal {_EXAMPLE_ID} -o approved=true"))
@id_argument
@_output_option("What the task has to say.")
@click.option(
    "--status",
    default="COMPLETED",
    show_default=True,
    type=click.Choice(["COMPLETED", "FAILED", "FAILED_WITH_TERMINAL_ERROR", "IN_PROGRESS"]),
    help="What becomes of the task.",
)
@client_options
def signal(*, any_id: str, given: tuple[str, ...], status: str, url: str, as_json: bool) -> None:
    """Let an execution go on that waits: its first waiting task ends, in a child if need be."""
    body = inputs.objects(given, hint="--output")

    def act(daemon: Client, workflow_id: str) -> None:
        daemon.call("POST", "tasks", workflow_id, status, "signal", body=body)

    _for_each(any_id, url, act, "signalled", as_json=as_json)


@click.command(
    "complete-task", epilog=output.examples(f"baton complete-task {_EXAMPLE_ID} approve -o by=Ada")
)
@id_argument
@ref_argument
@_output_option("The task's output.")
@client_options
def complete_task(
    *, any_id: str, ref: str, given: tuple[str, ...], url: str, as_json: bool
) -> None:
    """Complete an open task by its reference name, as a person or a script would."""
    body = inputs.objects(given, hint="--output")

    def act(daemon: Client, workflow_id: str) -> None:
        if not daemon.call("POST", "tasks", workflow_id, ref, "COMPLETED", body=body):
            raise _not_open(daemon, workflow_id, ref)

    _for_each(any_id, url, act, f"completed {ref} of", as_json=as_json)


@click.command(
    "fail-task",
    epilog=output.examples(f'baton fail-task {_EXAMPLE_ID} approve --reason "no answer"'),
)
@id_argument
@ref_argument
@_output_option("The task's output.")
@click.option("--reason", help="Kept with the task.")
@click.option("--terminal", is_flag=True, help="For good: it is not tried again.")
@client_options
def fail_task(
    *,
    any_id: str,
    ref: str,
    given: tuple[str, ...],
    reason: str | None,
    terminal: bool,
    url: str,
    as_json: bool,
) -> None:
    """Fail an open task by its reference name; its definition says whether it is tried again."""
    out = inputs.objects(given, hint="--output")

    def act(daemon: Client, workflow_id: str) -> None:
        task = _record(daemon, workflow_id, ref)
        if task["status"] not in OPEN:
            raise _not_open(daemon, workflow_id, ref)
        status = "FAILED_WITH_TERMINAL_ERROR" if terminal else "FAILED"
        if reason is None:
            if not daemon.call("POST", "tasks", workflow_id, ref, status, body=out):
                raise _not_open(daemon, workflow_id, ref)
            return
        # Not laid over what the task has: what is read here may be masked, and would be kept so.
        result = {
            "workflowInstanceId": workflow_id,
            "taskId": task["taskId"],
            "status": status,
            "reasonForIncompletion": reason,
            "outputData": out,
        }
        daemon.call("POST", "tasks", body=result)

    _for_each(any_id, url, act, f"failed {ref} of", as_json=as_json)


def _for_each(any_id: str, url: str, act: Act, done: str, *, as_json: bool) -> None:
    tell(one_by_one(Client(url), inputs.ids((any_id,)), act), done, as_json=as_json)


def _tasks(daemon: Client, workflow_id: str) -> list[dict[str, Any]]:
    """The newest record first."""
    execution = daemon.call("GET", "workflow", workflow_id)
    return list(reversed(execution["tasks"]))


def _record(daemon: Client, workflow_id: str, ref: str) -> dict[str, Any]:
    """The newest record of a task. Raises Refused, naming those that there are."""
    refs: dict[str, None] = {}
    for task in _tasks(daemon, workflow_id):
        if task["referenceTaskName"] == ref:
            return task
        refs[task["referenceTaskName"]] = None
    raise Refused(f"no task {ref} has run; those that have: {', '.join(reversed(refs))}", 0)


def _not_open(daemon: Client, workflow_id: str, ref: str) -> Refused:
    is_open = [
        task["referenceTaskName"] for task in _tasks(daemon, workflow_id) if task["status"] in OPEN
    ]
    known = f"open are: {', '.join(reversed(is_open))}" if is_open else "no task is open"
    return Refused(f"the task {ref} is not open; {known}", 0)
