"""``baton schedule ...``: which workflows start by the clock, and what became of their ticks.

No cron expression is read here; the daemon does that.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from edge.cli import output
from edge.cli.client import Client, client_options
from edge.cli.groups import Group

_LATEST = 10
"""Ticks that are shown with a schedule."""

_FEW = 5
"""Moments that the daemon previews at most."""


@click.group(cls=Group)
def schedule() -> None:
    """Start workflows by the clock."""


@schedule.command("list", epilog=output.examples("baton schedule list --workflow report"))
@click.option("--workflow", help="Only schedules of this workflow.")
@client_options
def list_(*, workflow: str | None, url: str, as_json: bool) -> None:
    """List the schedules and when each starts its workflow next."""
    query = {"workflowName": workflow}
    found = Client(url).call("GET", "scheduler", "schedules", query=query)
    if as_json:
        output.as_json(found)
        return
    rows = [
        [
            one["name"],
            _workflow(one),
            "; ".join(_crons(one)),
            "PAUSED" if one["paused"] else output.moment(one.get("nextRunTime")),
        ]
        for one in found
    ]
    output.table(["NAME", "WORKFLOW", "CRON", "NEXT"], rows)


@schedule.command(epilog=output.examples("baton schedule show nightly"))
@click.argument("name")
@client_options
def show(*, name: str, url: str, as_json: bool) -> None:
    """Show a schedule and its latest ticks."""
    daemon = Client(url)
    found = daemon.call("GET", "scheduler", "schedules", name)
    query = {"query": f'scheduleName="{name}"', "size": _LATEST}
    ticks = daemon.call("GET", "scheduler", "search", "executions", query=query)
    if as_json:
        output.as_json({"schedule": found, "executions": ticks["results"]})
        return
    click.echo(f"{found['name']}  starts {_workflow(found)}")
    for line in _crons(found):
        click.echo(f"cron     {line}")
    click.echo(f"next     {output.moment(found.get('nextRunTime'))}")
    missed = "run later, one by one" if found["runCatchupScheduleInstances"] else "dropped"
    click.echo(f"missed   {missed}")
    for label, field in (("from", "scheduleStartTime"), ("until", "scheduleEndTime")):
        if field in found:
            click.echo(f"{label:<8} {output.moment(found[field])}")
    if found["paused"]:
        click.echo(f"{output.status('PAUSED')}   {found.get('pausedReason', '')}".rstrip())
    click.echo(f"ticks    {ticks['totalHits']} recorded")
    rows = [
        [
            output.moment(one["scheduledTime"]),
            one["state"],
            f"{(one['executionTime'] - one['scheduledTime']) / 1000:.3f} s",
            one.get("workflowId") or one.get("reason", ""),
        ]
        for one in ticks["results"]
    ]
    if rows:
        output.table(["TICK", "STATE", "LATE BY", "EXECUTION OR REASON"], rows)


@schedule.command(
    epilog=output.examples("baton schedule put nightly.json", "baton schedule put - < nightly.json")
)
@click.argument(
    "file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)
)
@client_options
def put(*, file: Path, url: str, as_json: bool) -> None:
    """Add or replace the schedules of a JSON file: one, or a list of them."""
    daemon = Client(url)
    saved = [
        daemon.call("POST", "scheduler", "schedules", body=document) for document in _read(file)
    ]
    if as_json:
        output.as_json(saved)
        return
    for one in saved:
        click.echo(f"saved {one['name']}, next at {output.moment(one.get('nextRunTime'))}")


@schedule.command(
    epilog=output.examples('baton schedule pause nightly --reason "the press is down"')
)
@click.argument("name")
@click.option("--reason", help="Kept with the schedule.")
@client_options
def pause(*, name: str, reason: str | None, url: str, as_json: bool) -> None:
    """Run no more ticks of a schedule; those that come due meanwhile are never run."""
    query = {"reason": reason}
    Client(url).call("PUT", "scheduler", "schedules", name, "pause", query=query)
    _done("paused", name, as_json=as_json)


@schedule.command(epilog=output.examples("baton schedule resume nightly"))
@click.argument("name")
@client_options
def resume(*, name: str, url: str, as_json: bool) -> None:
    """Go on with the next tick from now."""
    Client(url).call("PUT", "scheduler", "schedules", name, "resume")
    _done("resumed", name, as_json=as_json)


@schedule.command(epilog=output.examples("baton schedule remove nightly"))
@click.argument("name")
@client_options
def remove(*, name: str, url: str, as_json: bool) -> None:
    """Forget a schedule and the records of its ticks; what it started goes on."""
    Client(url).call("DELETE", "scheduler", "schedules", name)
    _done("removed", name, as_json=as_json)


@schedule.command(
    "next",
    epilog=output.examples(
        "baton schedule next '0 30 6 * * MON-FRI' --zone Europe/Berlin",
        "baton schedule next @hourly --count 2",
    ),
)
@click.argument("cron")
@click.option("--zone", default="UTC", show_default=True, help="The time zone it is meant in.")
@click.option("--count", default=_FEW, type=click.IntRange(1, _FEW), help="Show so many.")
@client_options
def next_(*, cron: str, zone: str, count: int, url: str, as_json: bool) -> None:
    """Show the next moments of a cron expression, in your own time zone."""
    query = {"cronExpression": cron, "zoneId": zone, "limit": count}
    moments = Client(url).call("GET", "scheduler", "nextFewSchedules", query=query)
    if as_json:
        output.as_json(moments)
        return
    for moment_ms in moments:
        click.echo(output.moment(moment_ms))


def _done(what: str, name: str, *, as_json: bool) -> None:
    if as_json:
        output.as_json({"name": name, "done": what})
    else:
        click.echo(f"{what} {name}")


def _workflow(document: dict[str, Any]) -> str:
    request = document["startWorkflowRequest"]
    version = request.get("version")
    return f"{request['name']} {version}" if version else str(request["name"])


def _crons(document: dict[str, Any]) -> list[str]:
    several = document.get("cronSchedules")
    if several:
        return [f"{one['cronExpression']} ({one.get('zoneId', 'UTC')})" for one in several]
    return [f"{document['cronExpression']} ({document['zoneId']})"]


def _read(file: Path) -> list[Any]:
    try:
        document = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise click.ClickException(f"{file}: {error}") from error
    return document if isinstance(document, list) else [document]
