"""A machine with power, a disk and a wall clock: its process is killed, cut off and started again.

What the process runs is not known here: devices and the control plane say so.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from edge.model.errors import BatonError
from sync.database import Owner
from tests.simulation.disk import Disk, Image
from tests.simulation.loop import MACHINE

T = TypeVar("T")

EPOCH_S = 1_700_000_000
"""What wall clocks show when the world begins."""

BOOTED_S = 1_000
"""What monotonic clocks show when the world begins."""

RESTART_S = 1.0
"""After so long a process that has ended by itself is started again."""


class Unreachable(Exception):
    """Nobody answered: what was asked may have been done or not."""


class ServerFault(Exception):
    """The process answered with a fault of its own, as HTTP's status 500."""


class Stopped(Exception):
    """The process has ended in good order."""


class Run:
    """One run of a machine's process, from its start to its end, however that comes."""

    def __init__(self, machine: Machine, number: int) -> None:
        self.machine = machine
        self.number = number
        self.dead = False
        self.ready = False
        self.group: asyncio.TaskGroup | None = None
        self.stopping = asyncio.Event()
        """Somebody wants it to end in good order."""
        self.over = asyncio.Event()
        self.owners: list[Any] = []
        self.waiting: dict[asyncio.Future[Any], None] = {}
        """Requests that are not answered yet, in the order in which they came."""
        self.task: asyncio.Task[None] | None = None

    async def connect(self, path: Path, *, writes: bool) -> Owner:
        """A connection that dies with this run."""
        owner = await self.machine.disk.connect(path, writes=writes)
        self.owners.append(owner)
        return owner

    @property
    def writer(self) -> Any:
        """Who writes now, None between two: after trouble the connections are made anew."""
        return next((one for one in reversed(self.owners) if one.writes and not one.dead), None)

    def kill(self) -> None:
        """From now on nothing of it has any effect."""
        if self.dead:
            return
        self.dead = True
        self.over.set()
        for owner in self.owners:
            owner.let_go()
        for future in self.waiting:
            if not future.done():
                future.set_exception(Unreachable("the connection broke"))
        self.waiting.clear()
        if self.task is not None:
            self.task.cancel()


class Machine(ABC):
    """What is switched on and off.

    Args:
        name: of the machine, for the trace.
        folder: for its disk.
        seed: of the world.
        note: is told what happens, for the trace.
        complain: is told of a process that ended for no reason that the world has given it.
    """

    database = "baton.db"

    def __init__(
        self,
        name: str,
        folder: Path,
        seed: str,
        note: Callable[..., None],
        complain: Callable[[str, str], None],
    ) -> None:
        self.name = name
        self.seed = seed
        self.note = note
        self.complain = complain
        self.chance = random.Random(f"{seed}:{name}")
        self.disk = Disk(folder, self.database, self.chance, self._power_is_gone)
        self.wall_offset_s = 0.0
        self.runs = 0
        self.run: Run | None = None
        self.boots = 1
        """Of the machine: a process that is killed alone is started again in the same boot."""
        self.cuts_s: list[float] = []
        """When the power failed."""
        self.put_back_s: list[float] = []
        """When its disk was put back to what it once was."""
        self.gone = False
        """Whether it has been switched off for good."""
        self.hold: Callable[[], bool] | None = None
        """Whether it has to stay off beyond its time; None = it need not."""
        self.off_s = 1.0
        self.up_since_s = 0.0
        self.loss = 0.0
        """Chance that the answer to a request is lost on its way, or the request itself."""
        self.way_s = 0.02
        """Longest way of a request, and of its answer."""

    def wall_ns(self) -> int:
        """What the machine's wall clock shows."""
        return int((EPOCH_S + self.wall_offset_s + self.now_s()) * 1e9)

    def monotonic_ns(self) -> int:
        """What its other clock shows: it begins anew when the power comes back."""
        booted_s = self.cuts_s[-1] if self.cuts_s else 0.0
        return int((BOOTED_S + self.now_s() - booted_s) * 1e9)

    @staticmethod
    def now_s() -> float:
        """The time that everybody shares and nobody knows."""
        return asyncio.get_running_loop().time()

    def _power_is_gone(self) -> None:
        assert self.run is not None, "a disk without a process writes nothing"
        self.note("cut", self.name)
        self.boots += 1
        self.cuts_s.append(self.now_s())
        self.run.kill()

    def kill(self) -> None:
        """The process is killed between two transactions, and its memory is lost."""
        if self.run is not None and not self.run.dead:
            self.note("kill", self.name)
            self.disk.cut_now()
            self.run.kill()

    def put_back(self, image: Image) -> None:
        """The power goes, and comes back to what was on the disk at another time."""
        self.note("put back", self.name)
        self.boots += 1
        self.cuts_s.append(self.now_s())
        self.put_back_s.append(self.now_s())
        if self.run is not None:
            self.run.kill()
        self.disk.put_back(image)

    def stop(self) -> None:
        """Ask the process to end in good order."""
        if self.run is not None and self.run.ready:
            self.note("stop", self.name)
            self.run.stopping.set()

    def switch_off(self, *, in_good_order: bool) -> None:
        """It is never started again."""
        self.note("off", self.name)
        self.gone = True
        if in_good_order and self.run is not None and self.run.ready:
            self.stop()
        else:
            self.kill()

    async def live(self) -> None:
        """Start the process whenever it has ended, until cancelled or switched off."""
        loop = asyncio.get_running_loop()
        while True:
            self.runs += 1
            run = self.run = Run(self, self.runs)
            self.off_s = RESTART_S
            self.note("boot", self.name, run.number)
            token = MACHINE.set(run)
            run.task = loop.create_task(self._run(run))
            MACHINE.reset(token)
            await run.over.wait()
            if self.gone:
                return
            await asyncio.sleep(self.off_s)
            if self.gone:
                return
            while self.hold is not None and self.hold():
                await asyncio.sleep(1.0)

    async def _run(self, run: Run) -> None:
        reason = ""
        try:
            await self.process(run)
        except asyncio.CancelledError:
            reason = "" if run.dead else "cancelled"
        except BaseException as error:  # noqa: BLE001 - a supervisor sees how the process ended
            reason = _reasons(error)
        if not run.dead:
            if reason:
                self.note("died", self.name)
                if not self.in_trouble(error_s=5.0):
                    self.complain("process died", f"{self.name}: {reason}")
            self.disk.cut_now()
            run.kill()

    def in_trouble(self, *, error_s: float) -> bool:
        """Whether its disk has been bad within the last seconds."""
        return self.disk.troubled or self.now_s() < self.disk.bad_until_s + error_s

    @abstractmethod
    async def process(self, run: Run) -> None:
        """What the process does, until ``run.stopping``."""

    async def ask(self, call: Callable[[Run], Awaitable[T]]) -> T:
        """Have a request answered, as over a network.

        Raises:
            Unreachable: no answer came; it is not known what has been done.
            BatonError: the answer is a refusal.
            ServerFault: the answer is a fault of the process, which must have a reason.
        """
        await asyncio.sleep(self.chance.random() * self.way_s)
        run = self.run
        if run is None or run.dead or not run.ready or run.group is None:
            raise Unreachable("nobody listens")
        if self.chance.random() < self.loss / 2:
            raise Unreachable("the request was lost")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        run.waiting[future] = None
        lives = len(self.put_back_s)
        token, served = MACHINE.set(run), self._serve(call, run, future)
        try:
            run.group.create_task(served)
        except RuntimeError as error:
            # The process is about to end: one of its loops has failed.
            served.close()
            raise Unreachable("nobody listens any more") from error
        finally:
            MACHINE.reset(token)
        try:
            answer = await future
        finally:
            run.waiting.pop(future, None)
        await asyncio.sleep(self.chance.random() * self.way_s)
        if self.chance.random() < self.loss / 2:
            raise Unreachable("the answer was lost")
        if len(self.put_back_s) != lives:
            raise Unreachable("what was done is no more")
        return answer

    async def _serve(
        self, call: Callable[[Run], Awaitable[T]], run: Run, future: asyncio.Future[T]
    ) -> None:
        try:
            answer = await call(run)
        except BatonError as error:
            _tell(future, error)
        except (sqlite3.Error, OSError) as error:
            if not self.in_trouble(error_s=5.0):
                self.complain("request failed", f"{self.name}: {error!r}")
            _tell(future, ServerFault(str(error)))
        except Exception as error:  # noqa: BLE001 - the rim of an API
            self.complain("request failed", f"{self.name}: {error!r}")
            _tell(future, ServerFault(str(error)))
        else:
            if not future.done():
                future.set_result(answer)


def _tell(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _reasons(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_reasons(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"
