"""Is what is read what was written? SQLite's own check of the structure, and a look at each record.

Nothing is changed here: what has been found is acted upon elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edge.model.errors import RowDamaged
from edge.model.executions import ORDINAL_BITS, Task, Workflow, split_task_key
from edge.store import damage, redo, sealed
from edge.store.checked import plain_document, seed_of, without_checksum
from edge.store.executions import workflow_row
from edge.store.migrations import SCHEMA_VERSION, own_columns
from edge.store.records import decode_task, decode_workflow
from edge.store.relations import columns_of

_ID_OF = "SELECT id FROM workflow WHERE key = ?"
_DIGEST_BYTES = 16
_MOST_TOLD = 20
"""Lines of SQLite's own check that are read."""

PAGE = 500
"""Records that one look goes through, in some milliseconds."""


class Finding(msgspec.Struct, frozen=True):
    """A record that is not what was written."""

    table: str
    rowid: int
    reason: str
    workflow_key: int = 0
    """Key of the execution that it belongs to; 0 = none."""


def structure(connection: sqlite3.Connection) -> list[str]:
    """What is wrong with the trees and with the schema; empty = nothing. Some 2 ms a megabyte."""
    return _told(connection, "quick_check") or schema(connection)


def whole_structure(connection: sqlite3.Connection) -> list[str]:
    """The same, and whether indexes and tables say the same; several times as long."""
    return _told(connection, "integrity_check") or schema(connection)


def structure_of(path: Path) -> list[str]:
    """The same of a database that nobody uses; nothing where there is none to be read."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            return whole_structure(connection)
    except sqlite3.Error:
        return []


def schema(connection: sqlite3.Connection) -> list[str]:
    """Which tables are not there under their names with their columns; empty = all are.

    SQLite takes any schema for granted that can be read: one flipped bit in it makes another name.
    In the database of an older release, before its migration, nothing is missed.
    """
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version < SCHEMA_VERSION:
            return []
        there = columns_of(connection)
    except (sqlite3.Error, UnicodeError) as error:
        return [f"the schema cannot be read: {error}"]
    wrong = []
    for name, own in own_columns().items():
        found = there.get(name)
        if found is None:
            wrong.append(f"there is no table {name}")
        elif found[: len(own)] != own:
            wrong.append(f"table {name} has other columns than it was made with")
    return wrong


def _told(connection: sqlite3.Connection, check: str) -> list[str]:
    try:
        rows = connection.execute(f"PRAGMA {check}({_MOST_TOLD})").fetchall()
        # The pages of the whole file are of no more use.
        connection.execute("PRAGMA shrink_memory")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # Some damage stops the check itself, or spoils the words that tell of it.
        return [str(error)]
    return [str(row[0]) for row in rows if row[0] != "ok"]


class Inspection(msgspec.Struct, rename="camel"):
    """What a look at a whole database has found."""

    database: str
    structure: list[str] = []
    records: list[Finding] = []
    known: list[damage.Damage] = []
    """What the daemon has found before, and has taken out of the way."""
    whole: bool = True


def inspect(path: Path, progress: Callable[[str], None]) -> Inspection:
    """Look at everything in a database that nobody uses; nothing is changed.

    Args:
        path: of the database.
        progress: told what is looked at.
    """
    found = Inspection(str(path))
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA query_only = ON")
            progress("structure and indexes")
            found.structure += whole_structure(connection)
            there = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
            for table in [one for one in TABLES if one in there]:
                progress(table)
                found.records += _damaged_records(connection, table)
            if "damage" in there:
                found.known += damage.latest(connection)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if str(error) not in found.structure:
            found.structure.append(str(error))
    found.whole = not found.structure and not found.records
    return found


def _damaged_records(connection: sqlite3.Connection, table: str) -> list[Finding]:
    found: list[Finding] = []
    after: int | None = -(1 << 63)
    while after is not None:
        part, after = look(connection, table, after)
        found += part
    return found


def look(
    connection: sqlite3.Connection, table: str, after: int, limit: int = PAGE
) -> tuple[list[Finding], int | None]:
    """Judge the next records of a table of ``TABLES``.

    Returns:
        What is damaged, and the row id after which to go on; None = nothing is left.
    """
    judge = TABLES[table]
    found: list[Finding] = []
    count, last = 0, after
    statement = f"SELECT rowid, * FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?"
    for rowid, *values in _rows(connection, statement, (after, limit)):
        count, last = count + 1, rowid
        try:
            judge(rowid, values)
        except RowDamaged as error:
            found.append(Finding(table, rowid, error.reason, _workflow_of(table, rowid)))
    return found, last if count == limit else None


def _rows(
    connection: sqlite3.Connection, statement: str, values: tuple[int, ...]
) -> list[tuple[Any, ...]]:
    """Rows, also those whose texts are none any more: they will be another's than their record's."""
    factory = connection.text_factory
    connection.text_factory = _lenient
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.text_factory = factory


def _lenient(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _workflow_of(table: str, rowid: int) -> int:
    if table == "task":
        return rowid >> ORDINAL_BITS
    return rowid if table == "workflow" else 0


def whole_workflow(rowid: int, values: Sequence[Any]) -> Workflow:
    """The record of a row of ``workflow``, whatever its columns say.

    Raises:
        RowDamaged: it is not what was written.
    """
    workflow = decode_workflow(bytes_of("workflow", values[8]))
    if workflow.key != rowid:
        raise RowDamaged("workflow", "its key is another's")
    return workflow


def whole_task(rowid: int, values: Sequence[Any]) -> Task:
    """The record of a row of ``task``, whatever its columns say.

    Raises:
        RowDamaged: it is not what was written.
    """
    task = decode_task(bytes_of("task", values[2]))
    if task.ordinal != split_task_key(rowid)[1]:
        raise RowDamaged("task", "its key is another's")
    return task


def bytes_of(table: str, value: object) -> bytes:
    """A column that holds bytes. Raises RowDamaged when it does not."""
    if not isinstance(value, bytes):
        raise RowDamaged(table, "a value is of another type")
    return value


def _workflow(rowid: int, values: Sequence[Any]) -> None:
    if list(workflow_row(whole_workflow(rowid, values))[:8]) != list(values[:8]):
        raise RowDamaged("workflow", "its columns are not those of its record")


def _task(rowid: int, values: Sequence[Any]) -> None:
    if (whole_task(rowid, values).due_ms or None) != values[1]:
        raise RowDamaged("task", "its time is not that of its record")


def history_body(key: int, values: Sequence[Any]) -> bytes:
    """The body of a row of ``history``, without its checksum. Raises RowDamaged."""
    return without_checksum(bytes_of("history", values[4]), "history", seed_of(key, *values[1:4]))


def _history(rowid: int, values: Sequence[Any]) -> None:
    history_body(rowid, values)


def _sealed(rowid: int, values: Sequence[Any]) -> None:
    if sealed.checked_count(rowid, values[2]) != values[1]:
        raise RowDamaged("sealed", "its count is not that of its frame")


def _pinned(_: int, values: Sequence[Any]) -> None:
    document = _document("pinned_definition", values[2])
    digest = bytes_of("pinned_definition", values[1])
    made = hashlib.blake2b(document, digest_size=_DIGEST_BYTES).digest()
    # A definition that is on its way out has another digest, longer or of no document.
    if len(digest) == _DIGEST_BYTES and digest != made:
        raise RowDamaged("pinned_definition", "its digest is another document's")


def _document(table: str, value: object) -> bytes:
    """A document that can be read. Raises RowDamaged."""
    document = plain_document(bytes_of(table, value), table)
    try:
        msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RowDamaged(table, str(error)) from error
    return document


def _documents(table: str, column: int, named: tuple[str, ...] = ()) -> Callable[..., None]:
    """Judges rows with a document, and the columns that repeat some of its fields."""

    def judge(_: int, values: Sequence[Any]) -> None:
        fields = msgspec.json.decode(_document(table, values[column]))
        for index, name in enumerate(named):
            if name in fields and fields[name] != values[index]:
                raise RowDamaged(table, f"its {name} is not that of its document")

    return judge


def _records(table: str, column: int) -> Callable[..., None]:
    def judge(_: int, values: Sequence[Any]) -> None:
        body = bytes_of(table, values[column])
        without_checksum(body, table)
        try:
            msgspec.msgpack.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RowDamaged(table, str(error)) from error

    return judge


def _redo(_: int, values: Sequence[Any]) -> None:
    redo.unpack(bytes_of("redo", values[1]))


TABLES: dict[str, Callable[[int, Sequence[Any]], None]] = {
    "workflow": _workflow,
    "task": _task,
    "history": _history,
    "sealed": _sealed,
    "pinned_definition": _pinned,
    "workflow_definition": _documents("workflow_definition", 2, ("name", "version")),
    "task_definition": _documents("task_definition", 1, ("name",)),
    "event_handler": _documents("event_handler", 3, ("name", "event")),
    "schema_definition": _documents("schema_definition", 2, ("name", "version")),
    "schedule": _documents("schedule", 3, ("name",)),
    "schedule_execution": _records("schedule_execution", 6),
    "archive": _records("archive", 3),
    "redo": _redo,
}
"""What raises RowDamaged for a row, given its row id and its columns, by table."""


def damaged_body(connection: sqlite3.Connection, found: Finding) -> bytes | None:
    """What stands in place of a damaged record; None when it is whole after all, or gone."""
    statement = f"SELECT rowid, * FROM {found.table} WHERE rowid = ?"
    for row in _rows(connection, statement, (found.rowid,)):
        try:
            TABLES[found.table](row[0], row[1:])
        except RowDamaged:
            return next((one for one in reversed(row) if isinstance(one, bytes)), b"")
    return None


def drop(connection: sqlite3.Connection, found: Finding) -> None:
    """Take a damaged record away."""
    connection.execute(f"DELETE FROM {found.table} WHERE rowid = ?", (found.rowid,))


def owner_of(connection: sqlite3.Connection, found: Finding) -> bytes:
    """Id of the execution that a damaged record belongs to; b"" = none, or none is known."""
    row = connection.execute(_ID_OF, (found.workflow_key,)).fetchone()
    return bytes(row[0]) if row is not None and isinstance(row[0], bytes) else b""
