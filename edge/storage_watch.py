"""Looks after the disk: space that is kept, tries whether it is well again, and damaged records.

What the disk has refused is remembered in ``storage``; how damage is found stands in the store.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

import structlog

from edge.engine import Engine
from edge.group_commit import call_soon
from edge.mending import set_aside
from edge.model.errors import BatonError, Overloaded, RowDamaged, StorageUnavailable
from edge.model.executions import parse_workflow_id
from edge.storage import Mode
from edge.store import damage, integrity
from edge.store.damage import Damage
from edge.store.integrity import Finding
from edge.store.reserve import Reserve
from sync.database import DatabaseDamaged, DatabaseError

log = structlog.get_logger()

TRY_AGAIN_S = 2.0
"""Between two tries whether the disk is well again."""

_TOLD_EVERY = 30
"""Tries between two lines of the log: one a minute."""

_SWEEP_EVERY_S = 86_400.0
_PAUSE_S = 0.02
"""Between two looks of a sweep: everybody else comes first."""

Sleep = Callable[[float], Awaitable[None]]


class StorageWatch:
    """Runs beside the engine.

    Args:
        engine: whose disk it is.
        reserve: the space that is kept.
        unclean: whether the database was not closed in order the last time: then every record is
            looked at soon.
        unchecked: whether the structure has still to be looked at.
    """

    def __init__(
        self, engine: Engine, reserve: Reserve, *, unclean: bool, unchecked: bool = False
    ) -> None:
        self._engine = engine
        self._storage = engine.storage
        self._reserve = reserve
        self._wake = asyncio.Event()
        self._sweep_due = unclean
        self._unchecked = unchecked
        self._tries = 0
        self.on_healed: list[Callable[[], Awaitable[None]]] = []
        """Called when the disk takes writes again that were refused."""
        loop = asyncio.get_running_loop()
        self._storage.on_change = lambda: call_soon(loop, self._wake.set)

    async def run(self) -> None:
        """Look after the disk until cancelled.

        Raises:
            DatabaseDamaged: the file must be rebuilt; nothing is written any more.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep())
            group.create_task(self._sweeps())

    def close(self) -> None:
        """Give the kept space back: it is for a daemon that runs."""
        self._storage.on_change = None
        self._reserve.release()

    # The disk.

    async def _keep(self) -> None:
        if not await asyncio.to_thread(self._reserve.take):
            self._storage.refuse_full("there is less space than has to be kept free")
            log.error("disk_nearly_full", kept_bytes=self._reserve.size_bytes)
        while True:
            storage = self._storage
            if storage.damaged:
                raise DatabaseDamaged(self._engine.database.path, storage.damaged)
            if storage.mode is Mode.WHOLE and not storage.stale:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._recover()

    async def _recover(self) -> None:
        """Try whether the disk is well again, at intervals."""
        storage = self._storage
        if self._tries % _TOLD_EVERY == 0:
            log.error("disk_in_trouble", mode=storage.mode, reason=storage.reason or "an error")
        self._tries += 1
        if storage.mode is Mode.FULL:
            # What is going on is finished with it.
            await asyncio.to_thread(self._reserve.release)
        if await self._is_well():
            log.warning("disk_well_again", after_tries=self._tries)
            self._tries = 0
            # They were handed nothing meanwhile, and would sleep beside their work until they give up.
            self._engine.hand_over.queues.waiters.wake_all()
            for told in self.on_healed:
                await told()
            return
        await asyncio.sleep(TRY_AGAIN_S)

    async def _is_well(self) -> bool:
        """One try."""
        storage = self._storage
        if storage.mode is Mode.FULL and not await asyncio.to_thread(self._reserve.take):
            return False
        try:
            if storage.stale or storage.mode is Mode.READ_ONLY:
                await self._engine.reopen()
            await self._engine.probe()
        except (StorageUnavailable, Overloaded, DatabaseError) as error:
            log.debug("disk_tried", reason=str(error))
            return False
        storage.healed()
        return True

    # Damage.

    async def _sweeps(self) -> None:
        while True:
            try:
                if self._unchecked:
                    await self._check()
                await self._settle()
                if self._sweep_due:
                    self._sweep_due = self._storage.record_damaged = False
                    await self.sweep()
                    await self._settle()
            except (StorageUnavailable, Overloaded) as error:
                log.warning("sweep_postponed", reason=error.message)
                self._sweep_due = True
            await self._until_next()

    async def _until_next(self) -> None:
        for _ in range(int(_SWEEP_EVERY_S / TRY_AGAIN_S)):
            await asyncio.sleep(TRY_AGAIN_S)
            if self._sweep_due or self._storage.record_damaged:
                break
        self._sweep_due = True

    async def _check(self) -> None:
        wrong = await self._engine.database.read(integrity.structure)
        self._unchecked = False
        if wrong:
            self._storage.damaged = "; ".join(wrong[:3])
            self._wake.set()

    async def sweep(self) -> int:
        """Look at every record; damaged ones are taken out of the way. Returns how many there were."""
        count = 0
        for table in integrity.TABLES:
            after: int | None = -(1 << 63)
            while after is not None:

                def look(
                    connection: sqlite3.Connection, table: str = table, after: int = after
                ) -> tuple[list[Finding], int | None]:
                    return integrity.look(connection, table, after)

                found, after = await self._engine.database.read(look)
                for one in found:
                    count += await self._mend(one)
                await asyncio.sleep(_PAUSE_S)
        if count:
            log.error("damaged_records_found", count=count)
        return count

    async def _mend(self, found: Finding) -> int:
        now_ms = self._engine.clock.now_ms()
        told = await self._engine.request(lambda t: set_aside(t, found, now_ms))
        for line in told:
            log.error(
                "record_set_aside",
                table=line.table,
                record=line.record,
                workflow_id=line.workflow_id,
                reason=line.reason,
            )
        return len(told)

    async def _settle(self) -> None:
        """End the executions that have lost something."""
        while waiting := await self._engine.database.read(damage.unsettled):
            for one in waiting:
                await self._end(one)

    async def _goes_on(self, workflow_id: str) -> bool:
        if parse_workflow_id(workflow_id) is None:
            return False
        return not (await self._engine.workflow(workflow_id)).status.terminal

    async def _end(self, one: Damage) -> None:
        reason = f"The storage has damaged it: {one.reason} ({one.table} {one.record})"
        try:
            if await self._goes_on(one.workflow_id):
                await self._engine.terminate(one.workflow_id, reason, failure_workflow=True)
                log.error("damaged_execution_ended", workflow_id=one.workflow_id)
        except RowDamaged:
            # More of it is damaged than was known; the sweep that comes takes that out of the way.
            self._sweep_due = True
        except (StorageUnavailable, Overloaded):
            raise
        except BatonError as error:
            log.warning("damaged_execution_left", workflow_id=one.workflow_id, reason=error.message)
        await self._engine.request(lambda t: damage.settle(t.connection, one.key))
