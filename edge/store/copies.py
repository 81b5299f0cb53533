"""A copy of the database as the release before has left it, made before its schema is changed.

One copy is kept. Nothing here changes the database itself, and nothing goes back to a copy: a person
does, as docs/storage.md says.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import structlog

from edge.durable import FILES, FileSystem
from edge.store.migrations import APPLICATION_ID, SCHEMA_VERSION
from sync.database import Trouble, trouble_of

_SPARE_BYTES = 32 * 1024 * 1024
"""What a copy must leave free: for the changed schema, a full log and the work of some hours."""

log = structlog.get_logger()


class _NoRoom(Exception):
    """The disk has no room for a copy."""


def copy_of(database: Path, version: int) -> Path:
    """Where the copy of a database of this schema is."""
    return database.with_name(f"{database.name}.schema-{version}")


def keep_copy(connection: sqlite3.Connection, database: Path, files: FileSystem = FILES) -> None:
    """Copy the database if this release is about to change its schema.

    The copy is whole and on the disk under its name before this returns. When there is no room for
    it, or it cannot be written, there is none, and the log says why: a device that is updated shall
    start.

    Args:
        connection: to the database, outside of any transaction.
        database: its file.
        files: changes the files beside it.

    Raises:
        sqlite3.DatabaseError: the database is damaged.
    """
    version = _older_version(connection)
    if version is None:
        return
    copy = copy_of(database, version)
    unfinished = copy.with_name(copy.name + ".unfinished")
    try:
        files.unlink(unfinished)
        _check_room(connection, database.parent)
        # It holds secrets: nobody else may read it while it is being written either.
        unfinished.touch(mode=0o600)
        connection.execute("VACUUM INTO ?", (str(unfinished),))
        with unfinished.open("rb") as file:
            files.force_out(file)
        files.rename(unfinished, copy)
        files.force_out_folder(database.parent)
        for old in database.parent.glob(f"{database.name}.schema-*"):
            if old != copy:
                files.unlink(old)
    except (_NoRoom, OSError, sqlite3.Error) as error:
        if isinstance(error, sqlite3.Error) and trouble_of(error) is Trouble.DAMAGED:
            raise
        with contextlib.suppress(OSError):
            files.unlink(unfinished)
        log.warning("schema_copy_skipped", schema=version, reason=str(error))
        return
    log.info("schema_copied", schema=version, path=str(copy))


def _older_version(connection: sqlite3.Connection) -> int | None:
    """The schema of a database that this release changes; None = it is another's, new, or ours."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return version if application == APPLICATION_ID and 0 < version < SCHEMA_VERSION else None


def _check_room(connection: sqlite3.Connection, folder: Path) -> None:
    """Raises _NoRoom when a copy would not leave enough for what comes after it."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    wanted, free = pages * page_bytes + _SPARE_BYTES, shutil.disk_usage(folder).free
    if free < wanted:
        raise _NoRoom(
            f"{wanted // 1_000_000} MB would have to be free, and {free // 1_000_000} are"
        )
