"""A world: devices, broker, control plane, clients and workers, living through a plan.

What must be true of it stands in the checks. Nothing outside of the seed decides what happens, so
the same plan leaves the same trace, in every process.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import random
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from edge.effects import Effects
from tests.simulation import ending
from tests.simulation.actors import Client, Stage, Worker
from tests.simulation.books import Books
from tests.simulation.checks import DeviceChecks, Rows
from tests.simulation.cloud import Cloud
from tests.simulation.device import Device
from tests.simulation.ledgers import Ledgers
from tests.simulation.lineage import History
from tests.simulation.loop import Deadlock, Livelock, SimLoop
from tests.simulation.machine import Machine, Run
from tests.simulation.network import SimBroker, Weather
from tests.simulation.operator import Operator, check_orders
from tests.simulation.plan import CLONE, CLOUD, NINETEEN_SEVENTY_S, STEERING, Event, Plan
from tests.simulation.shapes import DRIVER, PURE, QUEUES
from tests.simulation.twins import Twins
from workflows.task import Handler, TaskContext, TaskFailed, pure

REST_WITHIN_S = 3_600.0
"""After the faults everything must come to rest within so many virtual seconds."""

_OPEN_ORDERS = "SELECT COUNT(*) FROM device_order WHERE ended IS NULL"

_PUT_BACK_TAKES_S = 8.0
"""How long a machine is off at least when its disk is put back: longer than messages are late."""

_SHOWN_ON_WITHIN_S = 100
"""The less a broker is reached the longer a device waits, and it begins one epoch in a minute."""

_SHOWN_OFF_WITHIN_S = 15.0
"""A broker waits for ten seconds before it says that somebody is gone."""

_SHARED_MEMORY = Path("/dev/shm")


class Violation(msgspec.Struct, frozen=True):
    """Something that must never be, and was."""

    what: str
    facts: str
    at_s: float


class Outcome(msgspec.Struct, frozen=True):
    """What came of a world."""

    seed: int
    violation: Violation | None
    trace: str
    """Digest of everything that has happened; the same for the same plan and code."""
    virtual_s: float
    steps: int
    boots: int
    cuts: int
    commits: int
    executions: int


class _Over(Exception):
    """The world has ended before its time: something was wrong."""


class World:
    """One life of a plan.

    Args:
        plan: what is going to happen.
        folder: for the disks; it is empty.
        tell: is given each line of the trace; None = nobody reads it.
    """

    def __init__(self, plan: Plan, folder: Path, tell: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self.violation: Violation | None = None
        self.commits = 0
        self.cuts = 0
        self._tell = tell
        self._digest = hashlib.blake2b(digest_size=12)
        self._loop = SimLoop(str(plan.seed), shuffled=plan.shuffled)
        self._bad = asyncio.Event()
        self._going: set[asyncio.Task[None]] = set()
        self._starts = 0
        seed = str(plan.seed)
        self.books = Books(self.complain)
        self.stage = Stage(plan.seed, self.books, plan.manners, self.note)
        self.broker = SimBroker(
            random.Random(f"{seed}:network"), msgspec.structs.replace(plan.weather), self.note
        )
        self.cloud = Cloud(
            folder,
            seed,
            note=self.note,
            complain=self.complain,
            broker=self.broker,
            orders=plan.with_orders,
        )
        self.operator = Operator(self.stage, self.cloud)
        self.devices = [self._device(number, folder) for number in range(plan.devices)]
        self.ledgers = Ledgers(self.cloud, self.devices, self.complain)
        self.twins: Twins | None = None
        if plan.cloned is not None:
            original = self.devices[plan.cloned]
            self.devices.append(self._device(plan.devices, folder, original))
        self.machines: list[Machine] = [*self.devices, self.cloud]
        self.clients = [Client(self.stage, device) for device in self.devices]
        self.checks = [DeviceChecks(d, self.books, self.complain) for d in self.devices]
        self.histories = [History(d, self.complain) for d in self.devices]
        if plan.cloned is not None:
            self.twins = Twins(
                (self.checks[plan.cloned], self.checks[-1]),
                (self.histories[plan.cloned], self.histories[-1]),
                self.books,
                self.complain,
            )

    def _device(self, number: int, folder: Path, clone_of: Device | None = None) -> Device:
        return Device(
            number,
            folder,
            str(self.plan.seed),
            note=self.note,
            complain=self.complain,
            broker=self.broker,
            handlers=self._handlers,
            watch=self._committed,
            slow_scripts=self.plan.slow_scripts,
            orders=self.plan.with_orders,
            copies=self.plan.with_copies,
            clone_of=clone_of,
        )

    def note(self, *facts: Any) -> None:
        """Something has happened."""
        line = f"{self._loop.time():10.4f} {' '.join(map(str, facts))}"
        self._digest.update(line.encode())
        if facts[0] == "cut":
            self.cuts += 1
        if self._tell is not None:
            self._tell(line)

    def complain(self, what: str, facts: str) -> None:
        """Something is wrong; the first of such ends the world."""
        if self.violation is None:
            self.violation = Violation(what, facts, round(self._loop.time(), 4))
            self.note("WRONG", what, facts)
            self._bad.set()

    def run(self) -> Outcome:
        """Live through the plan."""
        loop = self._loop
        gc.disable()
        try:
            loop.run_until_complete(self._live())
        except _Over:
            pass
        except (Deadlock, Livelock) as error:
            self.complain(type(error).__name__, str(error))
        finally:
            self._clear(loop)
            gc.enable()
        return Outcome(
            self.plan.seed,
            self.violation,
            self._digest.hexdigest(),
            round(loop.time(), 3),
            loop.steps,
            sum(machine.runs for machine in self.machines),
            self.cuts,
            self.commits,
            len(self.books.starts),
        )

    @staticmethod
    def _clear(loop: SimLoop) -> None:
        """Cancel what still runs, so that nothing of it is left for the next world."""
        for task in asyncio.all_tasks(loop):
            task.cancel()
        for _ in range(200):
            left = asyncio.all_tasks(loop)
            if not left:
                break
            loop.call_later(0.01, lambda: None)
            loop._run_once()
        loop.close()

    def _go(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let something happen beside everything else; a fault of it is a fault of the world."""

        def done(task: asyncio.Task[None]) -> None:
            self._going.discard(task)
            if not task.cancelled() and task.exception() is not None:
                self.complain("an actor failed", repr(task.exception()))

        task = self._loop.create_task(coroutine)
        self._going.add(task)
        task.add_done_callback(done)
        return task

    async def _wait_for_bad(self) -> None:
        await self._bad.wait()

    async def _live(self) -> None:
        life, bad = self._go(self._life()), self._go(self._wait_for_bad())
        await asyncio.wait([life, bad], return_when=asyncio.FIRST_COMPLETED)
        for machine in self.machines:
            if machine.run is not None:
                machine.run.kill()
        if self.violation is not None:
            raise _Over

    async def _life(self) -> None:
        loop = asyncio.get_running_loop()
        begin = [
            device
            for device in self.devices
            if self.twins is None or not self.twins.is_clone(device)
        ]
        for machine in (*begin, self.cloud):
            self._go(machine.live())
        for device in begin:
            await self.clients[device.number].register()
        for device in begin:
            self._surround(device)
        for device in begin:
            self._go(self._watch(self.checks[device.number]))
        began_s = loop.time()
        for machine in self.devices:
            machine.loss = self.plan.loss
        for event in self.plan.events:
            await asyncio.sleep(max(0.0, began_s + event.at_s - loop.time()))
            self._happen(event)
        await asyncio.sleep(max(0.0, began_s + self.plan.length_s - loop.time()))
        self._make_peace()
        await self._come_to_rest()
        if self.twins is not None:
            await self._see_them_there(self.twins)
        self._look_back()
        if self.twins is not None:
            await self._see_them_go(self.twins)

    def _surround(self, device: Device) -> None:
        """Let workers ask a device for tasks."""
        for queue, many in QUEUES.items():
            for number in range(many):
                self._go(Worker(self.stage, device, queue, number).run())

    # What happens.

    def _happen(self, event: Event) -> None:
        loop = asyncio.get_running_loop()
        self.note("event", event.kind, event.device, event.number, event.word)
        if event.device == CLONE:
            if self.twins is None:
                return
            event = msgspec.structs.replace(event, device=self.twins.clone.number)
        if event.kind == "start":
            self._starts += 1
            self._go(self.clients[event.device].start(event, self._starts))
        elif event.kind == "schedule":
            self._go(self.clients[event.device].schedule(event))
        elif event.kind == "order":
            self._go(self.operator.give(event, self.devices[event.device]))
        elif event.kind in STEERING:
            self._go(self.clients[event.device].steer(event))
        elif event.kind == "clone":
            self._clone(event)
        elif event.kind == "ledger_copy":
            self.ledgers.copy()
        elif event.kind == "ledger_back":
            self._put_ledger_back(event)
        elif event.kind == "off":
            self.devices[event.device].switch_off(in_good_order=event.word == "stop")
        elif event.kind == "broker":
            self.broker.kill()
            loop.call_later(event.for_s, setattr, self.broker, "up", True)
        else:
            machine = self.cloud if event.device == CLOUD else self.devices[event.device]
            self._trouble(machine, event)

    def _trouble(self, machine: Machine, event: Event) -> None:
        disk, loop = machine.disk, asyncio.get_running_loop()
        ends_s = loop.time() + event.for_s
        match event.kind:
            case "cut":
                disk.cut_next = event.word
                machine.off_s = event.number
            case "kill":
                machine.off_s = event.number
                machine.kill()
            case "stop":
                machine.stop()
            case "slow":
                disk.slow_s = event.number
                loop.call_later(event.for_s, setattr, disk, "slow_s", 0.0)
                disk.bad_until_s = max(disk.bad_until_s, ends_s)
            case "full":
                disk.full = True
                loop.call_later(event.for_s, setattr, disk, "full", False)
                disk.bad_until_s = max(disk.bad_until_s, ends_s)
            case "read_error" | "write_error" | "commit_error":
                kind = event.kind.removesuffix("_error")
                disk.io_errors[kind] = event.number
                loop.call_later(event.for_s, disk.io_errors.pop, kind, None)
                disk.bad_until_s = max(disk.bad_until_s, ends_s)
            case "wall":
                self._jump(machine, event)
            case "partition":
                self._cut_off(machine, event.for_s)
            case "copy":
                device = self.devices[event.device]
                device.copies.append(device.copy())
                self.histories[event.device].copied()
            case "put_back":
                self._put_back(self.devices[event.device], event)
            case _:
                raise AssertionError(f"no such event: {event.kind}")

    def _jump(self, machine: Machine, event: Event) -> None:
        if event.number == NINETEEN_SEVENTY_S:
            machine.wall_offset_s = event.number
        else:
            machine.wall_offset_s += event.number
        if isinstance(machine, Device):
            self.checks[machine.number].jumps_s.append(self._loop.time())

    def _put_back(self, device: Device, event: Event) -> None:
        """A device's disk is put back to a copy; what was under way arrives before it is up."""
        if not device.copies:
            return
        which = int(event.number) % len(device.copies)
        history, until_s = self.histories[device.number], self._loop.time() + _PUT_BACK_TAKES_S
        with self.cloud.disk.look() as ledger:
            history.put_back(which, ledger)
        device.put_back_to(device.copies[which], whole=event.word == "image")
        self.broker.forget(device.name)
        self.checks[device.number].put_back()
        device.hold = lambda: self._loop.time() < until_s or self.cloud.in_trouble(error_s=2.0)

    def _put_ledger_back(self, event: Event) -> None:
        """What was given to the ledger that is lost is given again to the one that was put back."""
        self.ledgers.put_back(int(event.number))
        self.cloud.off_s = event.for_s
        if self.ledgers.put_back_s:
            self._go(self.operator.give_again(self.devices))

    def _clone(self, event: Event) -> None:
        """Another machine is made of a device's disk, and switched on a little later."""
        twins = self.twins
        if twins is None or twins.copied_s is not None:
            return
        with self.cloud.disk.look() as ledger:
            twins.part(ledger, clock_s=event.number)

        def switch_on() -> None:
            twins.switch_on(jumped=bool(event.number))
            self._go(twins.clone.live())
            self._surround(twins.clone)
            self._go(self._watch(self.checks[twins.clone.number]))

        asyncio.get_running_loop().call_later(event.for_s, switch_on)

    def _cut_off(self, machine: Machine, for_s: float) -> None:
        """Nothing goes in or out for a while."""
        self.broker.cut_off.add(machine.name)
        asyncio.get_running_loop().call_later(for_s, self.broker.join_again, machine.name)

    def _handlers(self, device: Device, run: Run) -> dict[str, Handler]:
        """Drivers in the device's process; each action is counted."""
        chance = random.Random(f"{self.plan.seed}:driver:{device.number}:{run.number}")

        def expose(context: TaskContext) -> dict[str, Any]:
            self.note("exposed", device.name, context.task_id)
            self.books.exposed(device.number, run.number, context.task_id)
            if not self.stage.peace and chance.random() < self.plan.manners.fail:
                raise TaskFailed("the shutter was stuck")
            return {"exposed": True}

        @pure
        def reckon(context: TaskContext) -> dict[str, Any]:
            if not self.stage.peace and chance.random() < self.plan.manners.fail:
                raise TaskFailed("that was too hard")
            return {"n": context.input["n"] + 1}

        return {DRIVER: expose, PURE: reckon}

    # What is looked at.

    def _committed(self, device: Device, effects: Effects) -> None:
        del effects
        self.commits += 1
        run, memory = device.run, device.memory
        if (
            self.commits % self.plan.worry
            or run is None
            or memory is None
            or not run.ready
            or run.writer is None
        ):
            return
        self.checks[device.number].committed(run.writer._connection, memory.engine)
        if self.plan.with_copies:
            self.histories[device.number].note(run.writer._connection)

    async def _watch(self, check: DeviceChecks) -> None:
        device = check.device
        while True:
            await asyncio.sleep(0.7)
            engine = device.engine
            if engine is not None:
                check.watch(engine)

    # The end.

    def _make_peace(self) -> None:
        self.note("peace")
        self.stage.peace = True
        self.ledgers.peace()
        self.broker.up = True
        for machine in self.machines:
            self.broker.join_again(machine.name)
        calm = Weather(delay_s=0.02)
        for name in calm.__struct_fields__:
            setattr(self.broker.weather, name, getattr(calm, name))
        for machine in self.machines:
            machine.disk.heal()
            machine.loss = 0.0
            if machine.wall_offset_s < -1_000_000:
                # Time sync has reached the device.
                machine.wall_offset_s = 0.0
                for check in self.checks:
                    check.jumps_s.append(self._loop.time())

    async def _come_to_rest(self) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + REST_WITHIN_S
        pause_s = 1.0
        while True:
            for client in self.clients:
                await client.settle()
            await asyncio.sleep(pause_s)
            pause_s = min(10.0, pause_s * 1.3)
            left = self._left()
            if not left:
                return
            if loop.time() > until_s:
                self.complain("no rest", "; ".join(left))
                await asyncio.sleep(1)

    async def _see_them_there(self, twins: Twins) -> None:
        """Who is there is shown as that, if not now then when it has connected again."""
        for again in (True, False):
            for _ in range(_SHOWN_ON_WITHIN_S):
                with self.cloud.disk.look() as ledger:
                    if twins.shown_online(ledger):
                        return
                await asyncio.sleep(1)
            if again:
                # What was said of the last connection may have been lost with the control plane's
                # process, and the broker may have let it fall.
                for device in twins.both:
                    self.broker.forget(device.name)
        self.complain("presence", f"{twins.original.known_as} is there and shown as offline")

    async def _see_them_go(self, twins: Twins) -> None:
        """Who has been switched off is shown as that."""
        twins.clone.switch_off(in_good_order=False)
        if not twins.original.gone:
            # Whoever is left may be about to say that it is there.
            await asyncio.sleep(_SHOWN_ON_WITHIN_S)
        twins.original.switch_off(in_good_order=False)
        await asyncio.sleep(_SHOWN_OFF_WITHIN_S)
        with self.cloud.disk.look() as ledger:
            if twins.shown_online(ledger):
                facts = f"{twins.original.known_as} is gone and shown as online"
                self.complain("presence", facts)

    def _left(self) -> list[str]:
        """What is still to be done anywhere."""
        found = ["orders to be given again"] if self.operator.gives_again else []
        for device in self.devices:
            if device.gone:
                continue
            if device.engine is None:
                found.append(f"{device.name} is down")
                continue
            with device.disk.look() as connection:
                found += ending.undone(device, connection)
        with self.cloud.disk.look() as ledger:
            waiting = ledger.execute(
                "SELECT COUNT(*) FROM segment WHERE segment_id > CASE WHEN lane < 2"
                " THEN (SELECT value FROM progress WHERE name = 'pressing')"
                " ELSE (SELECT value FROM counter WHERE name = 'projected') END"
            ).fetchone()[0]
            ordered = ledger.execute(_OPEN_ORDERS).fetchone()[0]
            found += [
                f"cloud: nothing has come of {device.name}"
                for device, history in zip(self.devices, self.histories, strict=True)
                if device.put_back_s and history.unheard(ledger)
            ]
            found += [] if self.twins is None else self.twins.left(ledger)
            found += self.ledgers.left(ledger)
            self.ledgers.check_heard(ledger)
        if waiting:
            found.append(f"cloud: {waiting} segments to project")
        if ordered or not all(one.given for one in self.books.orders):
            found.append(f"cloud: {ordered} orders are open")
        asked = [
            one.shape
            for one in self.books.starts
            if one.key is not None and one.id is None and not self.devices[one.device].gone
        ]
        return [*found, *(f"a client still starts {shape}" for shape in asked)]

    def _look_back(self) -> None:
        """The whole must be right, on all machines."""
        with self.cloud.disk.look() as ledger:
            ending.check_integrity("cloud", ledger, self.complain)
            for device, check, history in zip(
                self.devices, self.checks, self.histories, strict=True
            ):
                with device.disk.look() as connection:
                    ending.check_integrity(device.name, connection, self.complain)
                    check._runs_seen = 0
                    rows: Rows = check.committed(connection, device.engine)
                if not device.gone:
                    # Else it may have been switched off before it came to that.
                    ending.check_effects(device, rows, self.books, self.complain)
                self._digest.update(repr(sorted(_ends(rows))).encode())
                if self.twins is not None and self.twins.has(device):
                    continue
                if self.plan.with_copies:
                    history.check(ledger)
                if device.put_back_s:
                    ending.check_shown_after(
                        device, rows, ledger, self.complain,
                        left_behind=history.left_behind, reopened=self.books.reopened,
                    )  # fmt: skip
                elif self.ledgers.put_back_s:
                    self.ledgers.check(device, rows, ledger)
                else:
                    ending.check_cloud(device, rows, ledger, self.complain)
                check_orders(device, rows, self.books.orders, ledger, self.complain)
            if self.twins is not None:
                self.twins.check(ledger)


def _ends(rows: Rows) -> Iterator[tuple[str, str, str]]:
    for workflow in rows.by_id.values():
        yield workflow.id.hex(), workflow.name, workflow.status.value


@contextmanager
def quiet() -> Iterator[None]:
    """No line of the product's log is written, and none costs anything."""
    before = structlog.get_config()

    def drop(*_: Any) -> Any:
        raise structlog.DropEvent

    structlog.configure(processors=[drop])
    try:
        yield
    finally:
        structlog.configure(**before)


def live(plan: Plan, tell: Callable[[str], None] | None = None) -> Outcome:
    """Make a world for a plan, let it live, and take it away."""
    place = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="baton-world-", dir=place))
    try:
        with quiet():
            return World(plan, folder, tell).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
