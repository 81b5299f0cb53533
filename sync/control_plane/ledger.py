"""The ledger: every device's history, each record once, and what the pages may ask of it.

No MQTT and no HTTP stands here. Truth (segments and cursors) is committed by `commit`, and only
then may its acknowledgements be sent; all that is shown is projected from it afterwards and can be
rebuilt. The statements live in `truth`, `projection` and `queries`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sync.control_plane import projection, queries, truth
from sync.control_plane.truth import Presence
from sync.control_plane.views import (
    Change,
    DeviceView,
    EvidenceContent,
    ExecutionPage,
    ExecutionView,
    LagReport,
    Summary,
)
from sync.database import Connect, Database, on_a_thread
from sync.receiver import Arrival, Outgoing

T = TypeVar("T")

DEFAULT_TENANT = "default"
# Segments projected in one transaction: long enough to share its fsync, short enough that the
# commit of newly arrived segments never waits more than some 50 ms behind it.
PROJECTION_SEGMENTS = 8


class LedgerError(Exception):
    """Head of this module's errors.

    LedgerError
    └── LedgerUnavailable
    """


class LedgerUnavailable(LedgerError):
    """The ledger cannot be written just now. Look at the disk; what arrives meanwhile waits."""


class Ledger:
    """One control plane's ledger in one SQLite file."""

    def __init__(self, database: Database, *, now_ms: Callable[[], int]) -> None:
        """Use `open`; this only keeps what it is given."""
        self._database = database
        self._now_ms = now_ms
        self._changed = asyncio.Event()

    @classmethod
    async def open(
        cls, path: Path, *, now_ms: Callable[[], int], connect: Connect = on_a_thread
    ) -> Ledger:
        """Open the ledger's file, creating it when it is not there."""
        return cls(await Database.open(path, truth.create_schema, connect), now_ms=now_ms)

    async def close(self) -> None:
        """Close the file; nothing may be asked afterwards."""
        await self._database.close()

    # Writing: the ingest's part.

    async def commit(self, arrivals: Sequence[Arrival]) -> list[Outgoing]:
        """Store what has arrived; what is returned may be sent, because it is true now.

        Raises:
            LedgerUnavailable: nothing was stored, or it is not known; give the same again.
        """
        now_ms = self._now_ms()
        outgoing = await self._write(
            lambda connection: truth.commit(connection, arrivals, now_ms=now_ms)
        )
        self._notify()
        return outgoing

    async def project(self) -> int:
        """Bring some more stored segments into view; the number is 0 when all of them are."""
        done = await self._write(
            lambda connection: projection.project(connection, limit=PROJECTION_SEGMENTS)
        )
        if done:
            self._notify()
        return done

    async def rebuild(self) -> int:
        """Throw the projections away and make them again from the segments; how many there were.

        It runs in steps of one transaction each, so that arriving history is stored meanwhile;
        pages show less until it is done.
        """
        await self._write(projection.forget)
        total = 0
        while done := await self.project():
            total += done
        return total

    async def note_presence(self, presences: Sequence[Presence]) -> None:
        """Keep what devices, or their wills, say of their connections."""
        now_ms = self._now_ms()
        await self._write(
            lambda connection: truth.note_presence(connection, presences, now_ms=now_ms)
        )
        self._notify()

    async def note_broker_lost(self) -> None:
        """Show every device as offline: none can be reached until the broker says otherwise."""
        await self._write(truth.note_broker_lost)
        self._notify()

    # Reading: the pages' part.

    async def devices(
        self, *, tenant: str | None = DEFAULT_TENANT, limit: int = 1_000
    ) -> list[DeviceView]:
        """Devices in the order of their names; tenant None means all tenants."""
        return await self._database.read(
            lambda connection: queries.devices(connection, tenant=tenant, device=None, limit=limit)
        )

    async def device(self, device: str, *, tenant: str = DEFAULT_TENANT) -> DeviceView | None:
        """One device; None when it has never been heard of."""
        found = await self._database.read(
            lambda connection: queries.devices(connection, tenant=tenant, device=device, limit=1)
        )
        return found[0] if found else None

    async def executions(
        self,
        *,
        tenant: str | None = DEFAULT_TENANT,
        device: str | None = None,
        status: str | None = None,
        name: str | None = None,
        text: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> ExecutionPage:
        """A page of executions, newest first.

        Args:
            tenant: None means all tenants.
            device: only this device's.
            status: only this status, as Conductor spells it.
            name: only this workflow name, exactly.
            text: part of the name, id, correlation id, reason or device, in any case.
            after: `next` of the page before; None or anything unknown begins at the newest.
            limit: 1 to 500.
        """
        return await self._database.read(
            lambda connection: queries.executions(
                connection,
                tenant=tenant,
                device=device,
                status=status,
                name=name,
                text=text,
                after=after,
                limit=limit,
            )
        )

    async def execution(
        self, device: str, workflow_id: str, *, tenant: str = DEFAULT_TENANT
    ) -> ExecutionView | None:
        """One execution with its tasks and evidence; None when it has not arrived."""
        return await self._database.read(
            lambda connection: queries.execution(
                connection, tenant=tenant, device=device, workflow_id=workflow_id
            )
        )

    async def evidence_content(
        self,
        device: str,
        workflow_id: str,
        task_id: str,
        key: str,
        *,
        tenant: str = DEFAULT_TENANT,
    ) -> EvidenceContent | None:
        """The bytes of one kept file; None until all of it is here and its digest is right."""
        return await self._database.read(
            lambda connection: queries.evidence_content(
                connection,
                tenant=tenant,
                device=device,
                workflow_id=workflow_id,
                task_id=task_id,
                key=key,
            )
        )

    async def summary(self) -> Summary:
        """The fleet in figures."""
        return await self._database.read(queries.summary)

    async def lag_percentiles(self, *, since_ms: int = 0) -> LagReport:
        """How long records took to get here, from the hour of `since_ms` on."""
        return await self._database.read(
            lambda connection: queries.lag_report(connection, since_ms=since_ms)
        )

    async def changes_after(self, cursor: int, limit: int = 200) -> list[Change]:
        """What has changed since a cursor, each thing once, in the order of its last change."""
        return await self._database.read(
            lambda connection: queries.changes_after(connection, after=cursor, limit=limit)
        )

    async def newest_change(self) -> int:
        """The cursor to begin a change feed with when the page has just been loaded."""
        return await self._database.read(queries.newest_change)

    async def wait_for_change(self, cursor: int, *, timeout_s: float) -> bool:
        """Sleep until something after `cursor` has changed; False when the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    # Taken before the look, so that a change in between is not slept through.
                    changed = self._changed
                    if await self.newest_change() > cursor:
                        return True
                    await changed.wait()
        except TimeoutError:
            return False

    async def _write(self, step: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._database.transact(step)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            # A defect of ours, which waiting would not mend.
            raise
        except sqlite3.DatabaseError as error:
            raise LedgerUnavailable(f"{self._database.path}: {error}") from error

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
