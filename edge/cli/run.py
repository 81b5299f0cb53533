"""``baton run`` and ``baton check``: start a daemon, or show how it would start.

No room of a daemon is imported before one is started.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edge import imports
from edge.cli import output

# Taken where it is there, for what this release of Python has itself: a megabyte.
with imports.without("typing_extensions"):
    import msgspec  # noqa: F401
from edge.config import ConfigError, Settings, load, to_toml

UNUSABLE = 78
"""Exit status of a daemon whose database cannot be used: EX_CONFIG of sysexits.h."""


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which daemon is meant: its configuration and its data directory."""
    for option in (
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            help="TOML file; every key has a default, see `baton check`.",
        ),
        click.option(
            "--data-dir",
            metavar="DIR",
            help="Database, evidence and identity; made if it is not there.",
        ),
    ):
        command = option(command)
    return command


def daemon_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a daemon: the place, and where it answers."""
    listen = click.option(
        "--listen", metavar="HOST:PORT", help="Where to answer HTTP; port 0 = any."
    )
    return place_options(listen(command))


@click.command(
    epilog=output.examples(
        "baton run", "baton run --data-dir /var/lib/baton --config /etc/baton.toml"
    )
)
@daemon_options
def run(*, data_dir: str | None, listen: str | None, config: Path | None) -> None:
    """Run a device: the engine, its API under /api and its console under /.

    Stop it with Ctrl-C or SIGTERM; everything that was acknowledged is on the disk.
    """
    settings = daemon_settings(config, listen=listen, data_dir=data_dir)
    start_role("run_device", settings)


@click.command(epilog=output.examples("baton check --config /etc/baton.toml"))
@daemon_options
def check(*, data_dir: str | None, listen: str | None, config: Path | None) -> None:
    """Print the effective configuration as TOML, or say what is wrong with it.

    A key that nobody reads is an error. So is what the files that it names have wrong: the
    inventory, the settings of each device, the folders of workflows, and a control plane's database
    that cannot be opened. Nothing is started or changed.
    """
    settings = daemon_settings(config, listen=listen, data_dir=data_dir)
    from devices.errors import DeviceError
    from edge import site
    from edge.data_dir import DataDir
    from sync.control_plane.storage import probe
    from sync.database import DatabaseError

    try:
        site.check(settings)
        probe(settings.cloud.database or DataDir(Path(settings.daemon.data_dir)).ledger)
    except (ConfigError, DeviceError, DatabaseError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(to_toml(settings), nl=False)
    for one in site.notes(settings):
        click.echo(f"Note: {one}", err=True)


def daemon_settings(config: Path | None, **options: str | None) -> Settings:
    """What the file and the command line come to."""
    try:
        return load(config, **options)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


class _Unusable(click.ClickException):
    exit_code = UNUSABLE


def start_role(name: str, settings: Settings) -> None:
    """Run a role by its name in ``edge.daemon``.

    What keeps it from starting is said in one line, without a trace.
    """
    # First of all: it keeps structlog from importing what a daemon has no use for.
    from edge import journal

    journal.configure(settings.daemon.log_level)

    from devices.errors import DeviceError
    from edge import daemon
    from edge.data_dir import DataDirError
    from edge.sockets import CannotListen
    from edge.store.migrations import MigrationError
    from edge.store.quarantine import QuarantineError
    from sync.database import DatabaseError, DatabaseUnusable
    from sync.identity import IdentityError
    from sync.topics import BadName

    try:
        getattr(daemon, name)(settings)
    except (DatabaseUnusable, MigrationError, QuarantineError) as error:
        # To start again would change nothing: systemd is told so, and does not.
        raise _Unusable(str(error)) from error
    except (
        ConfigError,
        DataDirError,
        CannotListen,
        DatabaseError,
        DeviceError,
        IdentityError,
        BadName,
    ) as error:
        raise click.ClickException(str(error)) from error
    daemon.leave_behind()
