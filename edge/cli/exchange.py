"""``baton workflow push``, ``pull``, ``diff`` and ``promote``: definitions on their way.

A folder or a daemon stands at either end; no definition is judged here, the daemon does that.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from edge.cli import folder as folders
from edge.cli import output
from edge.cli.canonical import AUDIT, difference
from edge.cli.client import Client, Refused, client_options
from edge.cli.folder import Key
from edge.cli.slips import slips

Documents = dict[Key, dict[str, Any]]

_COLOURS = {"new": "green", "changed": "yellow", "unchanged": None}

folder_argument = click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False)
)


class Change(msgspec.Struct, frozen=True):
    """What registering a definition would change on a daemon."""

    key: Key
    what: Literal["new", "changed", "unchanged"]
    document: dict[str, Any]
    """As it is to be registered."""
    before: dict[str, Any] | None
    """What the daemon has, in the form that is compared; None = nothing."""

    @property
    def after(self) -> dict[str, Any]:
        """What it would have, in the same form."""
        return folders.compared(self.key, self.document)

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        named = {"kind": self.key.kind, "name": self.key.name, "change": self.what}
        return named | ({"version": self.key.version} if self.key.version else {})


def registered(daemon: Client) -> Documents:
    """Every definition that a daemon has."""
    found: Documents = {}
    for document in daemon.call("GET", "metadata", "workflow") or []:
        found[folders.key_of(document, where=daemon.url)] = document
    for document in daemon.call("GET", "metadata", "taskdefs") or []:
        found[Key("task", document["name"])] = document
    return found


def changes(wanted: Documents, there: Documents) -> list[Change]:
    """What has to be done so that a daemon has what is wanted, task definitions first."""
    found: list[Change] = []
    for key, document in sorted(wanted.items()):
        before = folders.compared(key, there[key]) if key in there else None
        after = folders.compared(key, document)
        what: Literal["new", "changed", "unchanged"] = "new"
        if before is not None:
            what = "unchanged" if before == after else "changed"
        found.append(Change(key, what, document, before))
    return found


@click.command(
    epilog=output.examples(
        "baton workflow push workflows/video_analysis",
        "baton workflow push . --dry-run",
    )
)
@folder_argument
@click.option("--dry-run", is_flag=True, help="Only tell what would be registered.")
@client_options
def push(*, folder: Path, dry_run: bool, url: str, as_json: bool) -> None:
    """Register what is new or changed in a folder of JSON files.

    A file with a `tasks` key is a workflow; any other holds task definitions, one or a list. The
    folders `tests` and `schedules` and files named `*.test.json` are left out.
    """
    _register(Client(url), _documents(folder), dry_run=dry_run, as_json=as_json)


@click.command(
    epilog=output.examples("baton workflow pull definitions", "baton workflow pull . hello order")
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.argument("names", metavar="[NAME]...", nargs=-1)
@client_options
def pull(*, folder: Path, names: tuple[str, ...], url: str, as_json: bool) -> None:
    """Write a daemon's definitions into a folder, one JSON file each.

    With names, only these workflows, all their versions, and what they need. A definition that a
    file of the folder holds already is written there; what does not differ is not touched. The
    files are stable: the same definition is the same file, whatever daemon it comes from.
    """
    there = registered(Client(url))
    if names:
        there = needed(there, names)
    known = folders.read(folder) if folder.is_dir() else {}
    here = {key: entry.document for key, entry in known.items()}
    differing = [one for one in changes(there, here) if one.what != "unchanged"]
    new = {one.key: folders.kept(one.key, one.document) for one in differing}
    files = folders.write(folder, known, new)
    if as_json:
        output.as_json({"files": [str(file) for file in files], "definitions": len(there)})
        return
    for file in files:
        click.echo(f"wrote {file}")
    click.echo(f"{len(there)} definitions, {len(new)} of them were new or changed")


@click.command(
    epilog=output.examples("baton workflow diff .", "baton workflow diff . --url http://stage:8080")
)
@folder_argument
@click.option("--all", "all_", is_flag=True, help="Also tell what only the daemon has.")
@client_options
def diff(*, folder: Path, all_: bool, url: str, as_json: bool) -> None:
    """Show what a push would change; the exit status is 1 when there is a difference."""
    wanted, there = _documents(folder), registered(Client(url))
    differing = [one for one in changes(wanted, there) if one.what != "unchanged"]
    missing = sorted(there.keys() - wanted.keys()) if all_ else []
    shown: list[tuple[Key, str, list[str]]] = []
    for one in differing:
        names = (f"{url} {one.key}", f"{folder} {one.key}")
        shown.append((one.key, one.what, difference(one.before, one.after, names)))
    for key in missing:
        names = (f"{url} {key}", f"{folder}: not there")
        lines = difference(folders.compared(key, there[key]), None, names)
        shown.append((key, "missing", lines))
    if as_json:
        output.as_json(
            [
                {"kind": key.kind, "name": key.name, "version": key.version or None}
                | {"change": what, "diff": lines}
                for key, what, lines in shown
            ]
        )
    else:
        for _, _, lines in shown:
            output.diff(lines)
    if shown:
        raise click.exceptions.Exit(1)


@click.command(
    epilog=output.examples(
        "baton workflow promote order --to http://production:8080",
        "baton workflow promote order --version 3 --to http://production:8080 --dry-run",
    )
)
@click.argument("name")
@click.option("--version", type=int, help="Which one; the latest without it.")
@click.option("--to", "target", metavar="URL", required=True, help="The daemon that gets it.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be registered.")
@client_options
def promote(
    *, name: str, version: int | None, target: str, dry_run: bool, url: str, as_json: bool
) -> None:
    """Register a workflow of one daemon on another, with what it needs.

    What it needs: its task definitions, the workflows that it starts by name, and its failure
    workflow.
    """
    there = registered(Client(url))
    versions = sorted(key.version for key in there if key.kind == "workflow" and key.name == name)
    if not versions or (version is not None and version not in versions):
        known = f"; it has version {', '.join(map(str, versions))}" if versions else ""
        raise click.ClickException(
            f"{url} has no workflow {name}{f' {version}' if version else ''}{known}. "
            "`baton workflow list` shows what is registered."
        )
    wanted = needed(there, [name], version=version or versions[-1])
    _register(Client(target), wanted, dry_run=dry_run, as_json=as_json)


def needed(there: Documents, names: Iterable[str], *, version: int | None = None) -> Documents:
    """Workflows by name and all that they name.

    Args:
        there: where they are looked for; a name that is not there is left out.
        names: of the workflows.
        version: of those named; None = all. What they start is taken in all its versions.

    Raises:
        click.ClickException: one of ``names`` is not there at all.
    """
    found: Documents = {}
    waiting = [(name, version) for name in names]
    for name, _ in waiting:
        if not any(key.kind == "workflow" and key.name == name for key in there):
            raise click.ClickException(
                f"there is no workflow {name}; `baton workflow list` shows what is registered"
            )
    while waiting:
        name, only = waiting.pop()
        for key, document in there.items():
            wanted = key.kind == "workflow" and key.name == name
            if not wanted or key in found or (only is not None and key.version != only):
                continue
            found[key] = document
            task_names, workflow_names = _named(document)
            waiting += [(one, None) for one in workflow_names]
            for task in task_names:
                task_key = Key("task", task)
                if task_key in there:
                    found[task_key] = there[task_key]
    return found


def _named(document: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Names of the tasks and of the workflows that a definition mentions."""
    tasks: set[str] = set()
    workflows: set[str] = set()
    failure = document.get("failureWorkflow")
    if isinstance(failure, str):
        workflows.add(failure)
    for step in steps_of(document):
        tasks.add(str(step.get("name")))
        started = step.get("subWorkflowParam")
        if isinstance(started, dict) and isinstance(started.get("name"), str):
            workflows.add(started["name"])
        inputs = step.get("inputParameters")
        if step.get("type") == "START_WORKFLOW" and isinstance(inputs, dict):
            request = inputs.get("startWorkflow")
            if isinstance(request, dict) and isinstance(request.get("name"), str):
                workflows.add(request["name"])
    return tasks, workflows


def steps_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every step of a workflow definition, those inside others too."""
    found: list[dict[str, Any]] = []
    waiting: list[Any] = [document.get("tasks")]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            found.append(one)
            waiting += [one.get("defaultCase"), one.get("loopOver"), one.get("forkTasks")]
            cases, started = one.get("decisionCases"), one.get("subWorkflowParam")
            waiting += list(cases.values()) if isinstance(cases, dict) else []
            inline = started.get("workflowDefinition") if isinstance(started, dict) else None
            waiting.append(inline.get("tasks") if isinstance(inline, dict) else None)
    return found


def slips_of(document: dict[str, Any]) -> list[str]:
    """What of a definition was probably meant otherwise; nothing of it is refused."""
    return slips(document, steps_of(document))


def _documents(folder: Path) -> Documents:
    found = {key: entry.document for key, entry in folders.read(folder).items()}
    if not found:
        raise click.ClickException(
            f"{folder} holds no definition; expected files such as workflow.json"
        )
    return found


def _register(daemon: Client, wanted: Documents, *, dry_run: bool, as_json: bool) -> None:
    """Register what the daemon lacks; what it refuses does not keep the rest from it."""
    plan = changes(wanted, registered(daemon))
    refused: dict[Key, str] = {}
    for change in plan:
        why = None if dry_run or change.what == "unchanged" else _put(daemon, change)
        if why is not None:
            refused[change.key] = why
    if as_json:
        output.as_json(
            {
                "definitions": [one.to_json() for one in plan if one.key not in refused],
                "errors": {str(key): why for key, why in refused.items()},
                "warnings": {
                    str(one.key): lines
                    for one in plan
                    if one.what != "unchanged" and (lines := slips_of(one.document))
                },
                "dryRun": dry_run,
            }
        )
    else:
        for change in plan:
            _tell(change, refused.get(change.key))
            if change.what != "unchanged":
                output.warnings(slips_of(change.document))
        if dry_run:
            click.echo("nothing was registered")
    if refused:
        raise click.exceptions.Exit(1)


def _put(daemon: Client, change: Change) -> str | None:
    """Register one; returns why it was refused."""
    document = {key: value for key, value in change.document.items() if key not in AUDIT}
    try:
        if change.key.kind == "task":
            daemon.call("POST", "metadata", "taskdefs", body=[document])
        else:
            query = {"overwrite": "true"}
            daemon.call("POST", "metadata", "workflow", body=document, query=query)
    except Refused as refused:
        return refused.message
    return None


def _tell(change: Change, refused: str | None) -> None:
    if refused is not None:
        click.echo(f"{click.style('refused  ', fg='red')} {change.key}: {refused}", err=True)
        return
    click.echo(f"{click.style(change.what.ljust(9), fg=_COLOURS[change.what])} {change.key}")
