"""Opening a database that may not be whole: it is looked at, and rebuilt where it must be.

What is salvaged and how files are moved stands in ``store``; what runs on the database comes after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from edge.clock import SystemClock
from edge.engine import Engine
from edge.store import integrity, quarantine
from edge.store.migrations import MigrationError
from sync.database import DatabaseDamaged, DatabaseReadOnly
from sync.marks import LogCut, forget, saved_log

log = structlog.get_logger()

_MOST_LOGGED = 100
"""Ids in one line; all of them stand in the report."""

CHECKED_AT_ONCE_BYTES = 200_000_000
"""A larger database is checked while it is used already: this takes about half a second."""

_ALWAYS_CHECKED_BYTES = 20_000_000
"""One so small is looked at after every stop, in some 40 ms: a bit may have changed meanwhile."""


async def open_whole(
    path: Path, open_engine: Callable[[bool], Awaitable[Engine]], *, damaged: str = ""
) -> Engine:
    """Open an engine on a database that is whole, or on what could be salvaged of it.

    Args:
        path: of the database.
        open_engine: opens it; True = the disk takes no writes.
        damaged: what is known to be wrong with it already; "" = nothing.

    Raises:
        QuarantineError: nothing can be salvaged, or there is no room for it.
        DatabaseError, MigrationError: as ``Engine.open``.
    """
    if await asyncio.to_thread(quarantine.finish, path):
        log.warning("recovery_finished", database=str(path))
    cut = await asyncio.to_thread(_size, saved_log(path)) > 0
    if damaged or cut:
        await asyncio.to_thread(_recover, path, damaged or "a recovery was interrupted")
    unclean = await asyncio.to_thread(was_left_open, path)
    size = await asyncio.to_thread(_size, path)
    try:
        engine = await open_engine(False)  # noqa: FBT003 - the only word of this callable
        if unclean and size <= CHECKED_AT_ONCE_BYTES:
            # With the indexes, too: a bit in one of them makes executions impossible to find.
            await _check(engine, integrity.whole_structure)
        elif not unclean and 0 < size <= _ALWAYS_CHECKED_BYTES:
            await _check(engine, integrity.structure)
    except (DatabaseDamaged, LogCut) as error:
        reason = error.reason if isinstance(error, DatabaseDamaged) else str(error)
        await asyncio.to_thread(_recover, path, reason)
        return await open_engine(False)  # noqa: FBT003
    except DatabaseReadOnly as error:
        log.error("disk_takes_no_writes", database=str(path), reason=error.reason)
        return await open_engine(True)  # noqa: FBT003
    except MigrationError:
        # It is another program's, or a later release's: whole, and none of our business.
        raise
    except Exception:
        # What was read made no sense: one bit of the schema makes another name, or leads elsewhere.
        wrong = await asyncio.to_thread(integrity.structure_of, path)
        if not wrong:
            raise
        await asyncio.to_thread(_recover, path, "; ".join(wrong[:3]))
        return await open_engine(False)  # noqa: FBT003
    return engine


def _recover(path: Path, reason: str) -> None:
    log.error("database_damaged", database=str(path), reason=reason)
    saved = saved_log(path)
    if saved.exists():
        # SQLite has folded in what it could read of the log; behind that there may be more.
        saved.replace(path.with_name(path.name + "-wal"))
    report = quarantine.recover(path, reason=reason, now_ms=SystemClock().now_ms())
    log.error(
        "database_recovered",
        rows=report.total,
        damaged_rows=sum(report.damaged.values()),
        lost=len(report.lost_workflows),
        lost_workflows=report.lost_workflows[:_MOST_LOGGED],
        incomplete=len(report.incomplete_workflows),
        incomplete_workflows=report.incomplete_workflows[:_MOST_LOGGED],
        lost_definitions=report.lost_definitions[:_MOST_LOGGED],
        damaged_copy=str(quarantine.folder_of(path)),
    )
    forget(path)


async def _check(engine: Engine, look: Callable[..., list[str]]) -> None:
    """Look at the structure. Raises DatabaseDamaged, the engine closed, when it is not whole."""
    path = engine.database.path
    wrong = await engine.database.read(look)
    if wrong:
        await engine.close()
        raise DatabaseDamaged(path, "; ".join(wrong[:3]))
    log.info("database_checked")


def was_left_open(path: Path) -> bool:
    """Whether a database was not closed in order: its log is folded into it then."""
    return _size(path.with_name(path.name + "-wal")) > 0


def is_checked_at_once(path: Path) -> bool:
    """Whether a database is small enough to be checked before anybody uses it."""
    return _size(path) <= CHECKED_AT_ONCE_BYTES


def _size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
