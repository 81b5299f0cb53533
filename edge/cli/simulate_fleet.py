"""``baton simulate-fleet``: a fleet of simulated devices over a real broker, to size and to show.

How the devices work and speak is not said here, see `edge.simulated_fleet`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from edge.cli import output
from edge.cli.run import daemon_settings

if TYPE_CHECKING:
    from edge.config import SyncSettings
    from edge.simulated_fleet.proof import Proof
    from edge.simulated_fleet.simulation import Options, Progress, Simulation

_NAMES = ("inspect_part", "read_meter", "sort_parcel")
_MOST = 10_000_000
_WIDTH = 180


class _Duration(click.ParamType[int]):
    """``90s``, ``15m``, ``2h``; as milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The milliseconds of a text."""
        from sync.control_plane.search_terms import duration_ms

        found = value if isinstance(value, int) else duration_ms(value)
        if found is None:
            self.fail(f"{value!r} is no duration such as 500ms, 90s, 15m, 2h or 1d", param, ctx)
        return found


_DURATION = _Duration()
_PERCENT = click.FloatRange(0, 100)


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_PLACE = _options(
    click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="TOML file whose [sync] names broker, tenant, credentials and order_keys.",
    ),
    click.option("--broker", metavar="URL", help="mqtt://HOST:PORT, in place of [sync] broker."),
    click.option("--tenant", help="Whose devices they are, in place of [sync] tenant."),
    click.option(
        "--embedded",
        is_flag=True,
        help="Start a broker and a control plane for it, and stop them at the end.",
    ),
    click.option(
        "--order-keys",
        "order_keys",
        multiple=True,
        metavar="HEX",
        help="Public key whose orders the devices obey (`orders_signed_with` in the log of "
        "`baton cloud`).",
    ),
)
_SIZE = _options(
    click.option(
        "--devices",
        type=click.IntRange(1, _MOST),
        default=1_000,
        show_default=True,
        help="How many there are.",
    ),
    click.option(
        "--sessions",
        type=click.IntRange(1, 100_000),
        default=200,
        show_default=True,
        help="MQTT connections at most: one a device, or shared when there are more devices.",
    ),
    click.option(
        "--rate",
        type=click.FloatRange(0, 36_000),
        default=60.0,
        show_default=True,
        help="Executions of each device per hour; 0 = only the backlog.",
    ),
    click.option(
        "--backlog",
        type=click.IntRange(0, 100_000),
        default=0,
        show_default=True,
        help="Executions that each device holds at the beginning.",
    ),
    click.option(
        "--duration",
        type=_DURATION,
        help="How long they work, such as 90s; without it, until Ctrl-C.",
    ),
    click.option(
        "--drain",
        type=_DURATION,
        default="5m",
        show_default=True,
        help="How long it may take then until all has arrived.",
    ),
)
_WORK = _options(
    click.option(
        "--workflows",
        multiple=True,
        type=click.Choice(_NAMES),
        help="What they run; may be repeated. All of them when it is left out.",
    ),
    click.option(
        "--failing",
        type=_PERCENT,
        default=5.0,
        show_default=True,
        help="Executions that fail, in %.",
    ),
    click.option(
        "--output-bytes",
        type=click.IntRange(0, 50_000),
        default=0,
        show_default=True,
        help="Added to the output of each execution.",
    ),
    click.option(
        "--orders-failing",
        type=_PERCENT,
        default=5.0,
        show_default=True,
        help="Orders that devices cannot carry out, in %.",
    ),
    click.option(
        "--wrong-clocks",
        type=_PERCENT,
        default=0.0,
        show_default=True,
        help="Devices whose clock is up to a day wrong, or stands in 1970, in %.",
    ),
)
_TROUBLE = _options(
    click.option(
        "--offline-share",
        type=click.FloatRange(0, 95),
        default=0.0,
        show_default=True,
        help="Devices without a network at any moment, in %; they go on working.",
    ),
    click.option(
        "--offline-for", type=_DURATION, default="60s", show_default=True, help="How long each is."
    ),
    click.option("--flap", type=_DURATION, help="Cut each connection about once in so long."),
    click.option("--storm", type=_DURATION, help="Cut all connections at once, every so long."),
)
_END = _options(
    click.option("--seed", type=int, default=1, show_default=True, help="The same does the same."),
    click.option("--name", default="sim", show_default=True, help="What device names begin with."),
    click.option(
        "--verify",
        metavar="URL",
        help="Ask this control plane at the end whether every acknowledged record is there, once.",
    ),
    click.option(
        "--verify-sample",
        type=click.IntRange(0, 100_000),
        default=50,
        show_default=True,
        help="Devices whose executions are compared one by one, with their tasks.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON at the end, for scripts."),
)


@click.command(
    name="simulate-fleet",
    epilog=output.examples(
        "# Show somebody a fleet: broker, control plane and a thousand devices, until Ctrl-C.",
        "baton simulate-fleet --embedded --offline-share 5 --wrong-clocks 2",
        "",
        "# Size: how many records does my control plane take, and how late are they?",
        "baton simulate-fleet --config cloud.toml --devices 2000 --sessions 2000 --rate 600 \\",
        "    --duration 5m --verify http://127.0.0.1:8090",
        "",
        "# How fast does a backlog drain? 100 executions on each of 1,000 devices, nothing new.",
        "baton simulate-fleet --broker mqtt://10.0.0.5 --backlog 100 --rate 0 --duration 1s",
        "",
        "# A reconnect storm every minute, over 5,000 connections.",
        "baton simulate-fleet --devices 5000 --sessions 5000 --storm 60s --duration 10m",
        "",
        "# A million devices, each with one execution an hour, over 500 connections.",
        "baton simulate-fleet --devices 1000000 --sessions 500 --rate 1 --duration 1h",
    ),
)
@_PLACE
@_SIZE
@_WORK
@_TROUBLE
@_END
def simulate_fleet(**given: Any) -> None:
    """Play a fleet: simulated devices that speak the real protocol to a real broker.

    Each device runs workflows of three tasks, tells of them, and obeys orders, with the code that
    every device of Baton speaks with. Up to --sessions devices have an MQTT connection each;
    more devices share them, and then the broker must let the user speak for every device.
    What a device has done follows from --seed and is never stored, so that a million fit.

    With --verify, the exit status is 1 when a record is missing or there twice.
    Where the control plane asks for a key, set CONDUCTOR_AUTH_KEY and CONDUCTOR_AUTH_SECRET.
    """
    from edge import journal

    journal.configure("error")
    with ExitStack() as stack:
        settings = daemon_settings(given["config"]).sync
        settings = _chosen(settings, given)
        verify = given["verify"]
        if given["embedded"]:
            settings, url = _embedded(stack, settings)
            verify = verify or url
        _play(settings, _fleet_options(settings, given), verify, given)


def _chosen(settings: SyncSettings, given: Mapping[str, Any]) -> SyncSettings:
    """The way to the broker that the command line and the file come to."""
    from edge.config import ConfigError, broker_of
    from sync.identity import KeyMalformed, pinned
    from sync.topics import BadName, address

    chosen = msgspec.structs.replace(
        settings,
        broker=given["broker"] or settings.broker,
        tenant=given["tenant"] or settings.tenant,
        order_keys=[*settings.order_keys, *given["order_keys"]],
    )
    try:
        broker_of(chosen.broker, "--broker")
        for option, text in ("--tenant", chosen.tenant), ("--name", f"{given['name']}-0000000"):
            try:
                address(text, text)
            except BadName as error:
                raise click.ClickException(f"{option}: {error}") from error
        pinned(settings.order_keys)
        pinned(given["order_keys"], "--order-keys")
    except (ConfigError, KeyMalformed) as error:
        raise click.ClickException(str(error)) from error
    return chosen


def _embedded(stack: ExitStack, settings: SyncSettings) -> tuple[SyncSettings, str]:
    """Broker and control plane of this run alone, which end with it."""
    from edge.data_dir import DataDir
    from edge.demo.stage import Stage, StageError
    from edge.durable import FILES
    from sync.identity import load_order_key

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="baton-fleet-")))
    stage = Stage(folder)
    stack.callback(stage.stop)
    try:
        stage.start_plane()
    except StageError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"control plane  {stage.cloud_url}", err=True)
    click.echo(f"broker         {stage.broker_name}, port {stage.broker_port}", err=True)
    key = load_order_key(DataDir(folder / "cloud").identity, FILES).public_key.hex()
    return msgspec.structs.replace(
        settings, broker=f"mqtt://127.0.0.1:{stage.broker_port}", tenant="default", username="",
        password_file="", ca_file="", certificate_file="", key_file="", order_keys=[key],
    ), stage.cloud_url  # fmt: skip


def _fleet_options(settings: SyncSettings, given: Mapping[str, Any]) -> Options:
    from edge.simulated_fleet.simulation import Options

    return Options(
        devices=given["devices"],
        sessions=min(given["sessions"], given["devices"]),
        per_hour=given["rate"],
        backlog=given["backlog"],
        duration_ms=given["duration"] or 0,
        drain_ms=given["drain"],
        workflows=given["workflows"] or _NAMES,
        failing_percent=given["failing"],
        output_bytes=given["output_bytes"],
        offline_percent=given["offline_share"],
        offline_ms=given["offline_for"],
        flap_ms=given["flap"] or 0,
        storm_ms=given["storm"] or 0,
        wrong_clocks_percent=given["wrong_clocks"],
        orders_failing_percent=given["orders_failing"],
        seed=given["seed"],
        prefix=given["name"],
        tenant=settings.tenant,
    )


def _play(
    settings: SyncSettings, options: Options, verify: str | None, given: Mapping[str, Any]
) -> None:
    """Run the fleet, ask the control plane, and say what came out."""
    from edge.clock import SystemClock
    from edge.links import Dice, broker, run_id
    from edge.simulated_fleet import proof
    from edge.simulated_fleet.descriptors import TooFewDescriptors, make_room
    from edge.simulated_fleet.simulation import Simulation
    from sync.identity import pinned

    try:
        make_room(options.sessions)
    except TooFewDescriptors as error:
        raise click.ClickException(str(error)) from error
    ask = _asking(verify) if verify else None
    before = proof.stored(ask) if ask else 0
    simulation = Simulation(
        options,
        broker=broker(settings),
        order_keys=pinned(settings.order_keys),
        now_ms=SystemClock().now_ms,
        chance=Dice(),
        run_id=run_id(),
    )
    ended = _run(simulation)
    proved = None
    if ask is not None:
        click.echo("asking the control plane for all of it ...", err=True)
        proved = proof.prove(
            simulation.fleet, ask, stored_before=before, sample=given["verify_sample"],
            sleep=time.sleep,
        )  # fmt: skip
    _report(ended, proved, as_json=given["as_json"])
    if ended.backlog or (proved is not None and not proved.good):
        raise SystemExit(1)


def _asking(url: str) -> Callable[..., Any]:
    """What asks a control plane; its absence is said as such."""
    from edge.cli.client import Client, Unreachable

    client = Client(url)

    def ask(*segments: str, query: dict[str, Any]) -> Any:
        try:
            return client.call("GET", *segments, query=query)
        except Unreachable as error:
            raise Unreachable(
                f"no control plane answers at {url}: start one with `baton cloud`, or name "
                "another with --verify"
            ) from error

    return ask


def _run(simulation: Simulation) -> Progress:
    """Live through it; Ctrl-C ends the work, and once more the waiting for what is under way."""
    from edge.daemon import loop_factory
    from sync.link import LinkError

    async def main() -> Progress:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        return await simulation.run(stop, _tell)

    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(main())
    except LinkError as error:
        raise click.ClickException(
            f"{error}. Start a broker, name another with --broker or --config, "
            "or let --embedded start one."
        ) from error
    finally:
        if sys.stderr.isatty():
            click.echo(err=True)


def _tell(seen: Progress) -> None:
    """One line of progress, written over on a terminal."""
    text = (
        f"{seen.elapsed_s:5.0f} s  {seen.phase:<10} {seen.devices:,} devices, "
        f"{seen.sessions:,} sessions | {seen.acked:,} acknowledged, {seen.records_per_s:,.0f}/s, "
        f"{seen.backlog:,} to go | ack p50 {seen.ack_p50_ms:.0f} p99 {seen.ack_p99_ms:.0f} ms"
    )
    if seen.orders_done or seen.orders_failed:
        text += f" | orders {seen.orders_done} done, {seen.orders_failed} failed"
    if seen.problem:
        text += f" | {seen.problem}"
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[2K{text[:_WIDTH]}", nl=False, err=True)
    else:
        click.echo(text, err=True)


def _report(ended: Progress, proved: Proof | None, *, as_json: bool) -> None:
    if as_json:
        output.as_json(
            {**msgspec.to_builtins(ended), "proof": proved and {
                **msgspec.to_builtins(proved), "good": proved.good
            }}
        )  # fmt: skip
        return
    lines = [
        ("devices", f"{ended.devices:,} over {ended.most_sessions:,} sessions"),
        ("connected", f"all after {ended.connected_s:.1f} s" if ended.connected_s else "never all"),
        ("connections lost", f"{ended.lost:,}, in {ended.storms} storms and otherwise"),
        ("records", f"{ended.written:,} written, {ended.acked:,} acknowledged"),
        ("rate", f"{ended.records_per_s:,.0f} records a second in {ended.elapsed_s:.0f} s"),
        ("acknowledged after", f"p50 {ended.ack_p50_ms:.0f} ms, p99 {ended.ack_p99_ms:.0f} ms"),
        ("orders", f"{ended.orders_done:,} done, {ended.orders_failed:,} failed"),
        (
            "memory",
            f"{ended.rss_bytes / 1e6:,.0f} MB, {ended.bytes_a_device:,.0f} bytes a device",
        ),
    ]
    if ended.backlog:
        lines.append(("NOT ARRIVED", f"{ended.backlog:,} records. {ended.problem}"))
    if proved is not None:
        lines += _verdict(proved)
    for name, text in lines:
        click.echo(f"{name:<20}{text}")


def _verdict(proved: Proof) -> list[tuple[str, str]]:
    lines = [
        ("control plane has", f"{proved.records_there:,} records of {proved.devices:,} devices"),
        ("lost, duplicated", f"{proved.lost:,}, {proved.duplicated:,}"),
        (
            "executions compared",
            f"{proved.executions:,}, of which {proved.wrong_executions:,} are wrong",
        ),
        *(("", one) for one in proved.differences),
    ]
    return [*lines, ("verdict", "PASSED" if proved.good else "FAILED")]
