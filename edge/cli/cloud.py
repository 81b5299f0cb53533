"""``baton cloud``: runs a control plane, and looks after its ledger.

No room of a control plane is imported before it is wanted.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click
import msgspec

from edge.cli import output
from edge.cli.run import daemon_options, daemon_settings, place_options, start_role
from edge.config import CloudSettings, Settings

_LISTEN = "127.0.0.1:8090"
_ELSEWHERE = -1

_DATABASE = click.option(
    "--database",
    metavar="URL",
    help="postgresql://USER@HOST/DATABASE; without it ledger.db in the data directory.",
)


@click.group(
    invoke_without_command=True,
    epilog=output.examples(
        "baton cloud",
        "baton cloud --data-dir /var/lib/baton-cloud --listen 127.0.0.1:8090",
        "baton cloud --database postgresql://baton@db/fleet --ingesters 2",
        "baton cloud rebuild --data-dir /var/lib/baton-cloud",
    ),
)
@daemon_options
@_DATABASE
@click.option(
    "--ingesters",
    type=click.IntRange(_ELSEWHERE, 64),
    help="Processes that take in what devices send; 0 = this one does, -1 = others do, "
    "see `baton cloud ingest`.",
)
@click.pass_context
def cloud(
    context: click.Context,
    *,
    data_dir: str | None,
    listen: str | None,
    config: Path | None,
    database: str | None,
    ingesters: int | None,
) -> None:
    """Run a control plane: the history of a fleet, and its pages under /.

    It hears devices over the MQTT broker that [sync] broker names.
    """
    if context.invoked_subcommand is not None:
        return
    start_role("run_cloud", cloud_settings(config, data_dir, database, ingesters, listen=listen))


def cloud_settings(
    config: Path | None,
    data_dir: str | None,
    database: str | None,
    ingesters: int | None = None,
    *,
    listen: str | None = None,
) -> Settings:
    """What the file and the command line come to."""
    settings = daemon_settings(
        config,
        listen=listen,
        data_dir=data_dir,
        default_listen=_LISTEN,
        state_name="baton-cloud",
    )
    given = settings.cloud
    own = CloudSettings(
        database=given.database if database is None else database,
        ingesters=given.ingesters if ingesters is None else ingesters,
    )
    return msgspec.structs.replace(settings, cloud=own)


@cloud.command(epilog=output.examples("baton cloud ingest --database postgresql://baton@db/fleet"))
@place_options
@_DATABASE
def ingest(*, data_dir: str | None, config: Path | None, database: str | None) -> None:
    """Take in what devices send, and nothing else.

    Any number of these share the work ($share) on one database, beside a `baton cloud` with
    --ingesters -1, which hears who is there and has the pages.
    """
    settings = cloud_settings(config, data_dir, database)
    from edge import journal

    journal.configure(settings.daemon.log_level)
    from edge.cloud_role import ingest_until

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await ingest_until(settings, stop)

    _attempt(main)


@cloud.command(epilog=output.examples("baton cloud rebuild --data-dir /var/lib/baton-cloud"))
@place_options
@_DATABASE
def rebuild(*, data_dir: str | None, config: Path | None, database: str | None) -> None:
    """Throw away all that is shown and make it again from the segments, which are the truth.

    The control plane may run meanwhile; its pages show less until this is done.
    """
    settings = cloud_settings(config, data_dir, database)

    async def main() -> None:
        from edge.cloud_role import open_ledger

        ledger = await open_ledger(settings)
        try:
            with click.progressbar(length=1_000, label="Rebuilding") as bar:

                def tell(done: int, last: int) -> None:
                    bar.update(done * 1_000 // max(last, 1) - bar.pos)

                total = await ledger.rebuild(tell)
        finally:
            await ledger.close()
        click.echo(f"Rebuilt from {total} segments.")

    _attempt(main)


def _attempt(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run something; what keeps it from working is said in one line, without a trace."""
    from sync.control_plane.dialect import StorageUnavailable
    from sync.control_plane.ledger import LedgerError
    from sync.database import DatabaseError
    from sync.identity import IdentityError

    try:
        asyncio.run(main())
    except (DatabaseError, LedgerError, StorageUnavailable, IdentityError) as error:
        raise click.ClickException(str(error)) from error
