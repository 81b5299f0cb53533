"""``baton cloud``: runs a control plane, and looks after its ledger.

No room of a control plane is imported before it is wanted.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from edge.cli import output
from edge.cli.groups import Group
from edge.cli.run import daemon_options, daemon_settings, place_options, start_role
from edge.config import Settings

_LISTEN = "127.0.0.1:8090"
_ELSEWHERE = -1

T = TypeVar("T")

_DATABASE = click.option(
    "--database",
    metavar="URL",
    help="postgresql://USER@HOST/DATABASE; without it ledger.db in the data directory.",
)


@click.group(
    cls=Group,
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
        if any(one is not None for one in (data_dir, listen, config, database, ingesters)):
            verb = context.invoked_subcommand
            raise click.UsageError(f"options of `baton cloud {verb}` stand behind `{verb}`")
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
    own = msgspec.structs.replace(
        given,
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
    settings = _existing(cloud_settings(config, data_dir, database))

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


@cloud.command(
    epilog=output.examples(
        "baton cloud token --name ops --role admin --data-dir /var/lib/baton-cloud"
    )
)
@click.option("--name", required=True, help="What people call it.")
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator", "admin"]),
    default="admin",
    show_default=True,
    help="A viewer looks, an operator also gives orders, an admin also makes tokens.",
)
@click.option("--tenant", default="*", show_default=True, help="* = all tenants.")
@click.option(
    "--days",
    type=click.IntRange(0, 3_650),
    default=0,
    show_default=True,
    help="Days that it is good for; 0 = it never expires.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@place_options
@_DATABASE
def token(
    *,
    name: str,
    role: str,
    tenant: str,
    days: int,
    as_json: bool,
    data_dir: str | None,
    config: Path | None,
    database: str | None,
) -> None:
    """Make an API token and print it once; the first one can be made in no other way.

    The control plane may run meanwhile. Whoever may write to its database is an administrator anyhow.
    """
    settings = cloud_settings(config, data_dir, database)
    made: list[tuple[str, str]] = []
    from edge.clock import SystemClock

    now_ms = SystemClock().now_ms()
    new = _new_token(name, role, tenant, now_ms + days * 86_400_000 if days else 0)

    async def main() -> None:
        from edge.cloud_role import open_ledger
        from sync.control_plane import access, audit
        from sync.control_plane.dialect import Connection

        def make(connection: Connection) -> tuple[str, str]:
            found, text = access.make_token(
                connection, new, tenant=tenant, created_by="command line", now_ms=now_ms
            )
            audit.append(
                connection, at_ms=now_ms, tenant=tenant, actor="command line",
                action="token.create", target=found.token_id, detail=found,
            )  # fmt: skip
            return found.token_id, text

        ledger = await open_ledger(settings)
        try:
            made.append(await ledger.write(make))
        finally:
            await ledger.close()

    _attempt(main)
    token_id, text = made[0]
    if as_json:
        output.as_json({"id": token_id, "token": text})
        return
    click.echo(f"token id  {token_id}")
    click.echo(f"token     {text}")
    click.echo("It is shown this once. Send it as X-Authorization, or as Authorization: Bearer.")


def _new_token(name: str, role: str, tenant: str, expires_ms: int) -> Any:
    """A `NewToken`, as the API would take it. Raises click.UsageError."""
    from sync import topics
    from sync.control_plane import access

    asked = {"name": name, "role": role, "expiresMs": expires_ms}
    try:
        new = msgspec.convert(asked, access.NewToken)
    except msgspec.ValidationError as error:
        raise click.UsageError("--name: give 1 to 100 characters") from error
    if tenant != access.ALL:
        try:
            topics.address(tenant, tenant)
        except topics.BadName as error:
            raise click.UsageError(f"--tenant: {error}; * = all tenants") from error
    return new


@cloud.command(
    name="remove-tenant",
    epilog=output.examples("baton cloud remove-tenant acme --data-dir /var/lib/baton-cloud"),
)
@click.argument("tenant")
@place_options
@_DATABASE
def remove_tenant(
    *, tenant: str, data_dir: str | None, config: Path | None, database: str | None
) -> None:
    """Remove a tenant that has no devices: its groups, alerts and pushes; its tokens become void.

    One that has devices is refused: their history is kept. The control plane may run meanwhile.
    """
    settings = _existing(cloud_settings(config, data_dir, database))
    from sync.control_plane import access

    try:
        removed = _removed(
            settings, "tenant.remove", tenant, tenant,
            lambda connection, now_ms: access.remove_tenant(connection, tenant, now_ms=now_ms),
        )  # fmt: skip
    except access.TenantHasDevices as error:
        raise click.ClickException(str(error)) from error
    if removed is None:
        raise click.ClickException(f"there is no tenant {tenant}")
    click.echo(f"The tenant {tenant} is removed.")


@cloud.command(
    name="remove-device",
    epilog=output.examples("baton cloud remove-device gate-7 --data-dir /var/lib/baton-cloud"),
)
@click.argument("device")
@click.option("--tenant", help="Whose it is; the tenant under [sync] else.")
@place_options
@_DATABASE
def remove_device(
    *,
    device: str,
    tenant: str | None,
    data_dir: str | None,
    config: Path | None,
    database: str | None,
) -> None:
    """Remove a device that is not connected, for good, with its history and its orders.

    One that speaks again shows up anew, with what it still holds. The control plane may run meanwhile.
    """
    settings = _existing(cloud_settings(config, data_dir, database))
    from sync.control_plane import removal

    of = tenant or settings.sync.tenant
    try:
        removed = _removed(
            settings, "device.remove", of, device,
            lambda connection, now_ms: removal.remove(connection, of, device, now_ms=now_ms),
        )  # fmt: skip
    except removal.DeviceConnected as error:
        raise click.ClickException(str(error)) from error
    if removed is None:
        raise click.ClickException(f"there is no device {device} of the tenant {of}")
    click.echo(
        f"The device {device} is removed, with {removed.records} records, "
        f"{removed.executions} executions and {removed.orders} orders."
    )


def _removed(
    settings: Settings,
    action: str,
    tenant: str,
    target: str,
    remove: Callable[[Any, int], T | None],
) -> T | None:
    """Remove something and write that into the audit, in one transaction; None = it is not there."""
    from edge.clock import SystemClock

    now_ms = SystemClock().now_ms()
    found: list[T | None] = []

    async def main() -> None:
        from edge.cloud_role import open_ledger
        from sync.control_plane import audit
        from sync.control_plane.dialect import Connection

        def step(connection: Connection) -> T | None:
            removed = remove(connection, now_ms)
            if removed is not None:
                audit.append(
                    connection, at_ms=now_ms, tenant=tenant, actor="command line",
                    action=action, target=target, detail=removed,
                )  # fmt: skip
            return removed

        ledger = await open_ledger(settings)
        try:
            found.append(await ledger.write(step))
        finally:
            await ledger.close()

    _attempt(main)
    return found[0]


@cloud.command(name="verify-audit", epilog=output.examples("baton cloud verify-audit --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@place_options
@_DATABASE
def verify_audit(
    *, as_json: bool, data_dir: str | None, config: Path | None, database: str | None
) -> None:
    """Look whether the audit is what was written. The exit status is 1 when it is not."""
    settings = _existing(cloud_settings(config, data_dir, database))
    found: list[Any] = []

    async def main() -> None:
        from edge.cloud_role import open_ledger
        from sync.control_plane.access_routes import verify

        ledger = await open_ledger(settings)
        try:
            found.append(await verify(ledger))
        finally:
            await ledger.close()

    _attempt(main)
    (verdict,) = found
    if as_json:
        output.as_json(msgspec.to_builtins(verdict))
    elif verdict.whole:
        click.echo(f"{verdict.entries} entries, all as written. Last digest: {verdict.last_digest}")
    else:
        click.echo(f"Entry {verdict.broken_at} is not what was written, or is missing.")
    if not verdict.whole:
        raise SystemExit(1)


def _existing(settings: Settings) -> Settings:
    """Settings that name a ledger which is there: a new one would be as good as none."""
    from edge.data_dir import DataDir

    ledger = DataDir(Path(settings.daemon.data_dir)).ledger
    try:
        there = bool(settings.cloud.database) or ledger.is_file()
    except OSError as error:
        raise _out_of_reach(error) from error
    if not there:
        raise click.ClickException(
            f"there is no ledger {ledger}: correct --data-dir, or give --database"
        )
    return settings


def _attempt(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run something; what keeps it from working is said in one line, without a trace."""
    from edge.data_dir import DataDirError
    from sync.control_plane.dialect import StorageUnavailable
    from sync.control_plane.ledger import LedgerError
    from sync.database import DatabaseError
    from sync.identity import IdentityError

    try:
        asyncio.run(main())
    except (DatabaseError, DataDirError, LedgerError, StorageUnavailable, IdentityError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise _out_of_reach(error) from error


def _out_of_reach(error: OSError) -> click.ClickException:
    """What to say of files that are there for somebody else."""
    return click.ClickException(
        f"{error.filename or 'the data directory'} cannot be used: {error.strerror}. "
        "Run this as the user whose control plane it is."
    )
