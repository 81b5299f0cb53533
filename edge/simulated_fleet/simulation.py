"""One run of a simulated fleet, from the first connection to the last acknowledgement.

Nothing is printed here: how it goes is told to whoever asked for it.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from edge.simulated_fleet.alone import Alone
from edge.simulated_fleet.connections import Connections, find_protocol
from edge.simulated_fleet.fleet import Fleet
from edge.simulated_fleet.history import Timetable, World
from edge.simulated_fleet.obeying import Obedience
from edge.simulated_fleet.shapes import SHAPES, Mix
from edge.simulated_fleet.shared import Carriers
from edge.simulated_fleet.trouble import Absences, Drops, Turns
from edge.simulated_fleet.uplinks import Uplinks
from sync.link import Broker, Chance
from sync.orders import Verify

_LOOK_S = 0.05
_TELL_S = 1.0
_BREATH = 2_000
"""Devices that are looked through before others get the loop."""
_BACK_S = 60.0
"""How long connections that were cut may take to come back before all say farewell."""
_SILENCE_S = 10.0
"""Without any acknowledgement, after which a person is asked to look."""
_HOUR_MS = 3_600_000
_BACKLOG_PERIOD_MS = 60_000
"""Between two runs of the backlog, when the devices do nothing more."""


class Options(msgspec.Struct, frozen=True):
    """What fleet is wanted, and what is to happen to it."""

    devices: int = 1_000
    sessions: int = 200
    per_hour: float = 60.0
    """Runs of each device; 0 = none but the backlog."""
    backlog: int = 0
    """Runs that each device holds at the beginning."""
    duration_ms: int = 0
    """How long the devices work; 0 = until the run is stopped."""
    drain_ms: int = 300_000
    """How long it may take then until everything has arrived."""
    workflows: tuple[str, ...] = tuple(SHAPES)
    failing_percent: float = 5.0
    output_bytes: int = 0
    offline_percent: float = 0.0
    offline_ms: int = 60_000
    flap_ms: int = 0
    storm_ms: int = 0
    wrong_clocks_percent: float = 0.0
    orders_failing_percent: float = 5.0
    seed: int = 1
    prefix: str = "sim"
    tenant: str = "default"

    @property
    def period_ms(self) -> int:
        """Between two runs of one device."""
        return round(_HOUR_MS / self.per_hour) if self.per_hour else _BACKLOG_PERIOD_MS


class Progress(msgspec.Struct, frozen=True):
    """How far a run has come."""

    phase: str
    """`connecting`, `working`, `draining` or `done`."""
    elapsed_s: float
    devices: int
    sessions: int
    """Connections that are open."""
    most_sessions: int
    """That ever were."""
    written: int
    acked: int
    records_per_s: float
    """Acknowledged in the last second; at the end on an average."""
    backlog: int
    ack_p50_ms: float
    ack_p99_ms: float
    acks: int
    orders_done: int
    orders_failed: int
    connected_s: float
    """How long it took until all sessions were open for the first time; 0 = they never were."""
    lost: int
    storms: int
    rss_bytes: int
    """Of this process."""
    bytes_a_device: float
    """What the process has grown by with its fleet, for each device."""
    problem: str


class _Way(Protocol):
    """How devices reach the broker."""

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Let them speak until cancelled."""
        ...

    def stop(self) -> None:
        """Nobody begins to speak any more."""
        ...

    def due(self, device: int) -> None:
        """A device has something to say."""
        ...

    def lose(self, device: int) -> None:
        """A device has lost its network."""
        ...


class Simulation:
    """A fleet that works, speaks and suffers as it was asked to.

    Args:
        options: what is wanted.
        broker: where the devices connect.
        order_keys: whose orders they obey, by the ids of the keys.
        now_ms: the machine's wall clock, which never steps back.
        chance: draws the jitter between attempts to connect.
        run_id: of this run.
    """

    def __init__(
        self,
        options: Options,
        *,
        broker: Broker,
        order_keys: Mapping[bytes, Verify],
        now_ms: Callable[[], int],
        chance: Chance,
        run_id: bytes,
    ) -> None:
        self._options = options
        self._broker = broker
        self._order_keys = order_keys
        self._now_ms = now_ms
        self._chance = chance
        self._run_id = run_id
        self._rss_before = rss_bytes()
        began_ms = now_ms()
        table = Timetable(
            began_ms=began_ms, period_ms=options.period_ms, devices=options.devices,
            backlog=options.backlog, idle=not options.per_hour,
        )  # fmt: skip
        world = World(
            seed=options.seed,
            mix=Mix(options.workflows, options.failing_percent, options.seed),
            timetable=table,
            lineage=began_ms,
            wrong_clocks_percent=options.wrong_clocks_percent,
            output_bytes=options.output_bytes,
        )
        # Seconds since 1970 fit into an epoch until 2106, and each run begins a higher one.
        self.fleet = Fleet(
            world, epoch=began_ms // 1_000, tenant=options.tenant, prefix=options.prefix,
            now_ms=now_ms,
        )  # fmt: skip
        self._turns = Turns(began_ms, table.period_ms, options.devices)
        self._connections = Connections(self.fleet.figures)
        self._drops = Drops(
            self._connections, flap_ms=options.flap_ms, storm_ms=options.storm_ms,
            seed=options.seed, began_ms=began_ms,
        )  # fmt: skip
        self._absences: Absences | None = None
        if options.offline_percent:
            self._absences = Absences(
                self.fleet, options.offline_percent, options.offline_ms, began_ms
            )
        self._began_s = 0.0
        self._connected_s = 0.0
        self._told_s = 0.0
        self._told_acked = 0
        self._per_s = 0.0
        self._phase = "connecting"

    async def run(self, stop: asyncio.Event, tell: Callable[[Progress], None]) -> Progress:
        """Live until the time is over or ``stop`` is set, then let everything arrive.

        Args:
            stop: set once: nothing new happens; set and cleared meanwhile: not even what is under
                way is waited for.
            tell: called every second.

        Raises:
            BrokerUnreachable, BrokerRefused: there is no broker at the beginning.
        """
        options = self._options
        protocol = await find_protocol(self._broker)
        broker = msgspec.structs.replace(self._broker, protocol=protocol)
        for device in self.fleet.count_backlog():
            if device % _BREATH == 0:
                await asyncio.sleep(0)
        way = self._way(broker)
        self._began_s = _steady_s()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(way.run(group))
            try:
                until_s = self._began_s + options.duration_ms / 1_000
                while not stop.is_set() and not (options.duration_ms and _steady_s() >= until_s):
                    self._work(way, self._now_ms())
                    self._look(tell)
                    await asyncio.sleep(_LOOK_S)
                stop.clear()
                await self._drain(way, stop, tell)
                await self._gather_again(stop)
                ended = self._progress("done", self._average())
            finally:
                way.stop()
                running.cancel()
        return ended

    def _way(self, broker: Broker) -> _Way:
        options, fleet = self._options, self.fleet
        obedience = Obedience(
            fleet, failing_percent=options.orders_failing_percent, seed=options.seed
        )
        uplinks = Uplinks(
            fleet, broker=broker, chance=self._chance, obedience=obedience,
            order_keys=self._order_keys, run_id=self._run_id,
        )  # fmt: skip
        if options.devices <= options.sessions:
            return Alone(fleet, uplinks, self._connections)
        return Carriers(options.sessions, fleet, uplinks, self._connections)

    def _work(self, way: _Way, now_ms: int) -> None:
        """Let happen what has become due."""
        if self._absences is not None:
            for device in self._absences.leave(now_ms):
                way.lose(device)
            for device in self._absences.come_back(now_ms):
                way.due(device)
        self._drops.happen(now_ms)
        self._end_runs(way, now_ms)

    def _end_runs(self, way: _Way, now_ms: int) -> None:
        """Count the runs that have ended, and let their devices tell of them."""
        if not self._options.per_hour:
            return
        for device, period in self._turns.due(now_ms):
            self.fleet.count_run(device, self._options.backlog + period)
            if not self.fleet.away[device]:
                way.due(device)

    async def _drain(
        self, way: _Way, stop: asyncio.Event, tell: Callable[[Progress], None]
    ) -> None:
        """Everybody has a network, nobody works, and all that was written arrives."""
        fleet, now_ms = self.fleet, self._now_ms()
        self._phase = "draining"
        self._end_runs(way, now_ms)
        fleet.stop_writing(now_ms)
        for device in range(fleet.size):
            was_away, fleet.away[device] = fleet.away[device], 0
            if was_away or fleet.waits(device):
                way.due(device)
            if device % _BREATH == 0:
                self._look(tell)
                await asyncio.sleep(0)
        until_s = _steady_s() + self._options.drain_ms / 1_000
        while fleet.figures.backlog > 0 and _steady_s() < until_s and not stop.is_set():
            self._look(tell)
            await asyncio.sleep(_LOOK_S)

    async def _gather_again(self, stop: asyncio.Event) -> None:
        """Wait for connections that were cut at last: who has none can say no farewell."""
        wanted = min(self._options.sessions, self.fleet.size)
        until_s = _steady_s() + _BACK_S
        while len(self._connections.open) < wanted and not stop.is_set():
            await asyncio.sleep(_LOOK_S)
            if _steady_s() > until_s:
                return

    def _look(self, tell: Callable[[Progress], None]) -> None:
        """Note when all are connected, and tell how it goes, once a second."""
        now_s, figures = _steady_s(), self.fleet.figures
        wanted = min(self._options.sessions, self._options.devices)
        wanted -= self._absent() if self._options.devices <= self._options.sessions else 0
        if not self._connected_s and self.fleet.figures.opened >= wanted:
            self._connected_s = now_s - self._began_s
        if self._phase != "draining":
            self._phase = "working" if self._connected_s else "connecting"
        if now_s - self._told_s < _TELL_S:
            return
        self._per_s = (figures.acked - self._told_acked) / (now_s - self._told_s)
        self._told_s, self._told_acked = now_s, figures.acked
        tell(self._progress(self._phase, self._per_s))

    def _absent(self) -> int:
        return sum(self.fleet.away) if self._absences is not None else 0

    def _average(self) -> float:
        return self.fleet.figures.acked / max(_steady_s() - self._began_s, _LOOK_S)

    def _progress(self, phase: str, per_s: float) -> Progress:
        figures, now_bytes = self.fleet.figures, rss_bytes()
        return Progress(
            phase=phase,
            elapsed_s=_steady_s() - self._began_s,
            devices=self.fleet.size,
            sessions=len(self._connections.open),
            most_sessions=self._connections.most_open,
            written=figures.written,
            acked=figures.acked,
            records_per_s=per_s,
            backlog=figures.backlog,
            ack_p50_ms=figures.delays.quantile_s(0.50) * 1_000,
            ack_p99_ms=figures.delays.quantile_s(0.99) * 1_000,
            acks=figures.acks,
            orders_done=figures.orders_done,
            orders_failed=figures.orders_failed,
            connected_s=self._connected_s,
            lost=figures.lost,
            storms=self._drops.storms,
            rss_bytes=now_bytes,
            bytes_a_device=max(0, now_bytes - self._rss_before) / self.fleet.size,
            problem=self._problem(),
        )

    def _problem(self) -> str:
        """What a person should look at; empty when all is well."""
        figures = self.fleet.figures
        if figures.refused_messages:
            return (
                f"the broker refused {figures.refused_messages} messages: sessions that are shared "
                "need a user that may speak for every device, see docs/simulate-fleet.md"
            )
        if not self._connections.open or figures.refusals:
            return figures.problem
        if not figures.acks and _steady_s() - self._began_s > _SILENCE_S:
            return (
                "no acknowledgement yet: is there a control plane (`baton cloud`) on this broker, "
                f"for the tenant {self._options.tenant}?"
            )
        return ""


def rss_bytes() -> int:
    """What this process has of the memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _steady_s() -> float:
    return asyncio.get_running_loop().time()
