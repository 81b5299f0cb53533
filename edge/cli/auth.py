"""``baton auth``: the first key of a device that asks its callers who they are.

What a key allows is the affair of the rooms that ask for it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from edge.cli import output
from edge.cli.groups import Group
from edge.cli.run import daemon_settings, place_options
from edge.config import Settings

_NAME = "administration"


@click.group(cls=Group)
def auth() -> None:
    """Keys of a device that asks for them ([auth] enabled = true)."""


@auth.command(epilog=output.examples("baton auth bootstrap --config /etc/baton.toml"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@place_options
def bootstrap(*, as_json: bool, data_dir: str | None, config: Path | None) -> None:
    """Make an access key with the role ADMIN, and print it once.

    The daemon must not be running: whoever may write to its data directory is an administrator
    anyhow, so this is also the way back when all keys are lost.
    """
    key, secret = asyncio.run(_make(daemon_settings(config, data_dir=data_dir)))
    if as_json:
        output.as_json({"id": key, "secret": secret})
        return
    click.echo(f"key id      {key}")
    click.echo(f"key secret  {secret}")
    click.echo("The secret is shown this once. Give clients both, or export them for baton itself:")
    click.echo("CONDUCTOR_AUTH_KEY and CONDUCTOR_AUTH_SECRET.")


async def _make(settings: Settings) -> tuple[str, str]:
    """A new key in the database; every daemon that is started on it knows the key."""
    from edge import tokens
    from edge.clock import SystemClock, new_request_id
    from edge.data_dir import DataDir, DataDirError
    from edge.model.access import Application, application_user
    from edge.store import access
    from edge.store.access import Connection
    from edge.store.migrations import MigrationError, migrate
    from sync.database import Database, DatabaseError

    key, secret = new_request_id(), tokens.new_secret()
    salt, digest = tokens.hashed(secret)
    now_ms = SystemClock().now_ms()

    def write(connection: Connection) -> None:
        known = {one.name: one.id for one in access.read_applications(connection)}
        application = known.get(_NAME) or new_request_id()
        author = application_user(application)
        access.put_application(
            connection, Application(application, _NAME, author, author, now_ms, now_ms)
        )
        access.put_application_roles(connection, application, ["ADMIN"])
        access.put_key(connection, application, key, salt=salt, digest=digest, now_ms=now_ms)

    try:
        with DataDir(Path(settings.daemon.data_dir)) as data:
            database = await Database.open(data.database, migrate)
            try:
                await database.transact(write)
            finally:
                await database.close()
    except (DataDirError, DatabaseError, MigrationError) as error:
        raise click.ClickException(str(error)) from error
    return key, secret
