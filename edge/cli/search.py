"""``baton search``: executions by name, status, time and words.

The grammar of queries is the daemon's; nothing is steered here.
"""

from __future__ import annotations

import re
from typing import Any

import click

from edge.cli import inputs, output
from edge.cli.client import Client, client_options
from edge.clock import SystemClock

_STATUSES = ("RUNNING", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED", "PAUSED")


def _sort(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """A sort that the daemon knows: what it does not know it leaves out, as Conductor does."""
    del context, parameter
    from edge.model.fields import WORKFLOW_FIELDS

    for step in re.split(r"[|,]", text) if text is not None else ():
        name, _, way = step.partition(":")
        if name.strip() not in WORKFLOW_FIELDS:
            known = ", ".join(WORKFLOW_FIELDS)
            raise click.BadParameter(f"{name.strip()!r} is none of {known}")
        if way.strip().upper() not in ("", "ASC", "DESC"):
            raise click.BadParameter(f"{way.strip()!r} is neither ASC nor DESC")
    return text


@click.command(
    epilog=output.examples(
        "baton search --status FAILED --since 2h",
        'baton search "workflowType IN (hello,order) AND startTime > 1735689600000"',
        "baton search --text 4711 --sort startTime:ASC",
        "baton search --status FAILED --ids | baton retry -",
    )
)
@click.argument("query", required=False, default="")
@click.option("--text", help="Words that the execution holds anywhere.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(_STATUSES, case_sensitive=False),
    help="Only this status; may be given several times.",
)
@click.option("--name", "names", multiple=True, help="Only executions of this workflow; likewise.")
@click.option("--correlation-id", help="Only what belongs to this.")
@click.option("--since", metavar="2h|TIME", help="Only what was started after this.")
@click.option("--until", metavar="2h|TIME", help="Only what was started before this.")
@click.option(
    "--sort",
    metavar="FIELD:ASC|DESC",
    callback=_sort,
    help="Such as startTime:ASC; newest first else. A wrong field is refused with all there are.",
)
@click.option("--start", "offset", default=0, type=click.IntRange(0), help="Skip so many.")
@click.option("--size", default=20, type=click.IntRange(1, 5000), help="Show so many.")
@click.option("--ids", is_flag=True, help="Print nothing but ids, for other verbs to read.")
@client_options
def search(
    *,
    query: str,
    text: str | None,
    statuses: tuple[str, ...],
    names: tuple[str, ...],
    correlation_id: str | None,
    since: str | None,
    until: str | None,
    sort: str | None,
    offset: int,
    size: int,
    ids: bool,
    url: str,
    as_json: bool,
) -> None:
    """Find executions, the newest first.

    Times are spans back from now, such as 30m, 2h or 7d, or moments such as 2025-01-31T08:00 in
    your own time zone.
    """
    now_ms = SystemClock().now_ms()
    terms = [f"status IN ({','.join(statuses)})"] if statuses else []
    terms += [f"workflowType IN ({','.join(map(_quoted, names))})"] if names else []
    terms += [f"correlationId = {_quoted(correlation_id)}"] if correlation_id else []
    if since:
        terms.append(f"startTime > {inputs.moment_ms(since, now_ms=now_ms, hint='--since')}")
    if until:
        terms.append(f"startTime < {inputs.moment_ms(until, now_ms=now_ms, hint='--until')}")
    # Alone it stays as it was typed: what is wrong with it is told by its characters.
    terms = [f"({query})" if terms else query, *terms] if query.strip() else terms
    asked = {
        "query": " AND ".join(terms),
        "freeText": text or "*",
        "sort": sort,
        "start": offset,
        "size": size,
    }
    found = Client(url).call("GET", "workflow", "search", query=asked)
    if as_json:
        output.as_json(found)
    elif ids:
        for one in found["results"]:
            click.echo(one["workflowId"])
    else:
        _print(found)


def _quoted(text: str) -> str:
    """A value in which nothing is a sign of the grammar."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _print(found: dict[str, Any]) -> None:
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
