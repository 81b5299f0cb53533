"""``baton storage ...``: is the database whole, and what can be salvaged of one that is not.

No daemon is asked: these look at the files of a data directory whose daemon does not run.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from edge.cli import output
from edge.cli.groups import Group

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
_NOT_WHOLE = 1


@click.group(cls=Group)
def storage() -> None:
    """Look after the database file: check it, salvage what is left of it.

    The daemon does both by itself: it looks at the structure after every stop without notice and at
    each record it reads, and it rebuilds a database that is damaged. These are for a person who
    wants to know, or whose disk has no room for it.
    """


@storage.command(
    epilog=output.examples(
        "baton storage check /var/lib/baton", "baton storage check /var/lib/baton --json"
    )
)
@click.argument("folder", metavar="DIR", type=_FOLDER)
@_AS_JSON
def check(*, folder: Path, as_json: bool) -> None:
    """Check the database of a data directory: its structure, its indexes and each record.

    Nothing is changed. The exit status is 1 when something is damaged.
    """
    with _locked(folder) as database:
        told = _check(database, quiet=as_json)
    if as_json:
        output.as_json(told)
    else:
        _print_check(told)
    if not told["whole"]:
        sys.exit(_NOT_WHOLE)


@storage.command(
    epilog=output.examples(
        "baton storage salvage /var/lib/baton --to /mnt/usb/baton.db",
        "baton storage salvage /var/lib/baton --in-place",
    )
)
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what can be read into a new database there; the damaged one stays as it is.",
)
@click.option(
    "--in-place",
    is_flag=True,
    help="Put the new database in the place of the damaged one, which goes to DIR/quarantine.",
)
@_AS_JSON
def salvage(*, folder: Path, target: Path | None, in_place: bool, as_json: bool) -> None:
    """Salvage every row that can be read from the database of a data directory.

    It works where SQLite gives up: when the first page is gone, or pages in between. What is not
    what was written is left out; executions that are lost or incomplete are listed by their ids.
    """
    if (target is None) == (not in_place):
        raise click.UsageError("say where the new database goes: --to FILE or --in-place")
    if target is not None and target.exists():
        raise click.UsageError(f"--to: {target} is there already; name a new file")
    with _locked(folder) as database:
        report = _salvage(database, target, quiet=as_json)
    if as_json:
        output.as_json(report)
    else:
        _print_report(report, target or database)


def _locked(folder: Path) -> Any:
    """The database of a data directory on which no daemon works."""
    return _Locked(folder)


class _Locked:
    """Holds the lock of a data directory; gives the path of its database."""

    def __init__(self, folder: Path) -> None:
        from edge.data_dir import DataDir

        self._data = DataDir(folder)

    def __enter__(self) -> Path:
        from edge.data_dir import DataDirError

        if not self._data.database.exists():
            raise click.ClickException(
                f"{self._data.root} holds no baton.db. Name the data directory of a device."
            )
        try:
            self._data.__enter__()
        except DataDirError as error:
            raise click.ClickException(str(error)) from error
        return self._data.database

    def __exit__(self, *error: Any) -> None:
        self._data.__exit__(*error)


def _check(database: Path, *, quiet: bool) -> dict[str, Any]:
    import msgspec

    from edge.store import integrity

    found = integrity.inspect(database, lambda what: _say(what, quiet=quiet))
    told: dict[str, Any] = msgspec.to_builtins(found)
    return told


def _print_check(told: dict[str, Any]) -> None:
    for line in told["structure"]:
        click.echo(f"structure: {line}")
    for one in told["records"]:
        click.echo(f"{one['table']} {one['rowid']}: {one['reason']}")
    for one in told["known"]:
        owner = f" of execution {one['workflowId']}" if one.get("workflowId") else ""
        click.echo(f"known already: {one['table']} {one['record']}{owner}: {one['reason']}")
    if told["whole"]:
        click.echo(f"{told['database']} is whole.")
        return
    click.echo(
        f"{told['database']} is damaged. The daemon rebuilds it when it starts; by hand: "
        f"baton storage salvage {Path(told['database']).parent} --in-place"
    )


def _salvage(database: Path, target: Path | None, *, quiet: bool) -> dict[str, Any]:
    import msgspec

    from edge.clock import SystemClock
    from edge.store import quarantine
    from edge.store import salvage as salvaging

    now_ms = SystemClock().now_ms()
    try:
        if target is None:
            report = quarantine.recover(
                database,
                reason="asked for on the command line",
                now_ms=now_ms,
                progress=lambda table: _say(table, quiet=quiet),
            )
        else:
            report = salvaging.rebuild(
                database, target, now_ms=now_ms, progress=lambda table: _say(table, quiet=quiet)
            )
    except salvaging.CannotWrite as error:
        raise click.ClickException(f"--to: {target} cannot be written: {error}") from error
    except quarantine.QuarantineError as error:
        raise click.ClickException(str(error)) from error
    told: dict[str, Any] = msgspec.to_builtins(report)
    return told


def _print_report(report: dict[str, Any], target: Path) -> None:
    rows = [
        [table, str(count), str(report["damaged"].get(table, 0)),
         str(report["missing"].get(table, 0))]
        for table, count in sorted(report["rows"].items())
    ]  # fmt: skip
    if rows:
        output.table(["TABLE", "SALVAGED", "DAMAGED", "GAPS"], rows)
    for title, key in (
        ("lost execution", "lost_workflows"),
        ("incomplete execution", "incomplete_workflows"),
        ("lost definition", "lost_definitions"),
    ):
        for one in report[key]:
            click.echo(f"{title}: {one}")
    click.echo(f"{sum(report['rows'].values())} rows are in {target}.")


def _say(table: str, *, quiet: bool) -> None:
    """Progress, for whoever waits."""
    if not quiet:
        click.echo(f"looking at {table} ...", err=True)
