"""Retention: takes away executions that ended long ago, or that are too many, a few at a time.

What may be taken away is known by the store; nothing is taken away unless it is configured.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence

import structlog

from edge.clock import stamp_before
from edge.config import RetentionSettings
from edge.engine import Engine
from edge.model.errors import Overloaded, RowDamaged, StorageUnavailable
from edge.model.executions import Workflow
from edge.store import archive, executions, retention, search
from edge.transactions import Transaction

log = structlog.get_logger(__name__)

_EVERY_S = 300.0
"""Between two sweeps. What is too old by minutes hurts nobody."""

_PAUSE_S = 0.02
"""Between two transactions of a sweep, so that a long one leaves the disk to the engine."""

_MAX_EXECUTIONS = 50
_MAX_TASKS = 500
"""What one transaction takes away; about 5 ms. An execution with more tasks goes by itself."""

_PAGE = 100
"""Executions that are read at once."""

_WINDOW = 1_000
"""Executions beyond the ones that have to go, among which the ones that ended first are chosen. Keys
ascend with the start, so one that ran for weeks and has just ended stands among old ones."""

_STEP = 10
"""Executions that go before the size is looked at again."""

_MAX_COPIES = 200
"""Copies of the archive that one transaction takes away."""

_CLOCK_SET_MS = 1_577_836_800_000
"""2020. A device without a clock of its own starts in 1970: how old something is that ended before
that is not known, and only counts and sizes apply to it."""

_DAY_MS = 86_400_000


class Retention:
    """Keeps the executions of one engine within what is configured.

    Args:
        engine: whose executions.
        settings: 0 = no limit.
    """

    def __init__(self, engine: Engine, settings: RetentionSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._removed_any = True
        """Whether definitions may have lost their last execution; before the first sweep they may
        have, by hand."""

    async def run(self) -> None:
        """Sweep now and then, until cancelled."""
        while True:
            try:
                removed = await self.sweep()
            except (StorageUnavailable, Overloaded, RowDamaged) as error:
                # The next sweep finds what this one has left.
                log.warning("retention_postponed", reason=error.message)
            else:
                if removed:
                    log.info("executions_expired", executions=removed)
            await asyncio.sleep(_EVERY_S)

    async def sweep(self) -> int:
        """Take away what is too old or too much; returns the number of executions."""
        removed = await self._too_old()
        removed += await self._too_many()
        await self._archive_too_old()
        removed += await self._too_large()
        if removed or self._removed_any:
            await self._orphans()
        self._removed_any = False
        return removed

    async def _too_old(self) -> int:
        days = self._settings.max_age_days
        if not days:
            return 0
        before_ms = self._before_ms(days)
        removed, after = 0, 0
        while True:
            page = await self._engine.database.read(
                lambda c, after=after: retention.ended(c, after, _PAGE)  # type: ignore[misc]
            )
            old = [one for one in page if _CLOCK_SET_MS <= one.ended_ms < before_ms]
            removed += await self._remove(old)
            # Ids tell the start: who started after that time has ended after it, too.
            if len(page) < _PAGE or _started_ms(page[-1]) >= before_ms:
                return removed
            after = page[-1].key

    def _before_ms(self, days: float) -> int:
        """What is stamped before this has been there for so many days."""
        return stamp_before(self._engine.clock, int(days * _DAY_MS))

    async def _too_many(self) -> int:
        most = self._settings.max_count
        if not most:
            return 0
        surplus = await self._engine.database.read(retention.ended_count) - most
        return await self._remove((await self._oldest(surplus))[:surplus]) if surplus > 0 else 0

    async def _too_large(self) -> int:
        most = self._settings.max_total_mb * 1_000_000
        removed = 0
        young = self._engine.clock.now_ms() + 1
        while most and await self._used() > most and await self._drop_copies(young):
            pass
        while most and await self._used() > most:
            gone = await self._remove((await self._oldest(_STEP))[:_STEP])
            if not gone:
                log.warning("retention_too_small", used_bytes=await self._used(), max_bytes=most)
                break
            removed += gone
        return removed

    async def _archive_too_old(self) -> None:
        days = self._settings.archive_max_age_days
        if days:
            before_ms = self._before_ms(days)
            while await self._drop_copies(before_ms):
                pass

    async def _drop_copies(self, before_ms: int) -> int:
        """Take copies of the archive away, oldest first; returns how many."""
        dropped = await self._engine.request(
            lambda t: archive.drop_oldest(t.connection, before_ms, _MAX_COPIES)
        )
        await asyncio.sleep(_PAUSE_S)
        return dropped

    async def _used(self) -> int:
        return await self._engine.database.read(retention.used_bytes)

    async def _oldest(self, count: int) -> list[Workflow]:
        """Executions that may go, the one that ended first being first; more than were asked for."""
        found: list[Workflow] = []
        after: int | None = 0
        while after is not None and len(found) < count + _WINDOW:
            free, after = await self._engine.database.read(
                lambda c, after=after: _free_page(c, after)  # type: ignore[misc]
            )
            found += free
        return sorted(found, key=lambda one: (one.ended_ms, one.key))

    async def _remove(self, wanted: Sequence[Workflow]) -> int:
        """Take executions away, a few in each transaction; returns how many are gone."""
        removed = 0
        for some in await self._engine.database.read(lambda c: list(_batches(c, wanted))):
            removed += await self._engine.request(lambda t, some=some: _take_away(t, some))  # type: ignore[misc]
            await asyncio.sleep(_PAUSE_S)
        return removed

    async def _orphans(self) -> None:
        """Take definitions away that were registered once and that no execution runs any more.

        First they are condemned, so that no execution can start from them; then those go that none
        runs even so. Whatever happens in between, a definition in use is never taken away.
        """
        database = self._engine.database
        if not await database.read(retention.may_have_orphans):
            return
        unused = await database.read(retention.pinned_keys) - await self._used_pinned()
        if not unused:
            return
        await self._engine.request(lambda t: _condemn(t, unused))
        orphans = unused - await self._used_pinned()
        dropped = await self._engine.request(
            lambda t: retention.drop_condemned(t.connection, orphans)
        )
        if dropped:
            log.info("definitions_expired", definitions=dropped)

    async def _used_pinned(self) -> set[int]:
        used: set[int] = set()
        below = search.END
        while below:
            some, below = await self._engine.database.read(
                lambda c, below=below: retention.used_pinned(c, below)  # type: ignore[misc]
            )
            used |= some
        return used


def _started_ms(workflow: Workflow) -> int:
    """When it was first started: a restart changes the record's time, but not the id."""
    return int.from_bytes(workflow.id[:6], "big")


def _free_page(connection: sqlite3.Connection, after: int) -> tuple[list[Workflow], int | None]:
    page = retention.ended(connection, after, _PAGE)
    free = [one for one in page if retention.is_free(connection, one)]
    return free, page[-1].key if len(page) == _PAGE else None


def _batches(
    connection: sqlite3.Connection, wanted: Sequence[Workflow]
) -> Iterator[list[Workflow]]:
    """Executions in the portions of one transaction each."""
    some: list[Workflow] = []
    tasks = 0
    for workflow in wanted:
        count = retention.task_count(connection, workflow)
        if some and (len(some) >= _MAX_EXECUTIONS or tasks + count > _MAX_TASKS):
            yield some
            some, tasks = [], 0
        some.append(workflow)
        tasks += count
    if some:
        yield some


def _take_away(transaction: Transaction, some: Sequence[Workflow]) -> int:
    """Take executions away that are still as they were when they were chosen."""
    connection = transaction.connection
    transaction.executions.fold(connection)
    removed = 0
    for workflow in some:
        stored = executions.read_workflow(connection, workflow.id)
        # It may have been taken up again, or its parent, or be gone.
        if stored == workflow and retention.is_free(connection, workflow):
            transaction.executions.remove(workflow)
            removed += 1
    return removed


def _condemn(transaction: Transaction, keys: set[int]) -> None:
    retention.condemn(transaction.connection, keys)
    # What is in memory would be started from without the disk being asked.
    transaction.metadata.forget_all()
