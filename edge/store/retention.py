"""What may be taken away: executions that have ended, and definitions that nobody runs any more.

Whether anything shall be taken away, and how much, is not decided here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable

import msgspec

from edge.model.executions import Workflow, task_key
from edge.store import search
from edge.store.checked import RecordDecoder
from edge.store.executions import read_workflow
from edge.store.records import decode_workflow

_ENDED = """
SELECT key, body FROM workflow
 WHERE key > ?
   AND status NOT IN ('RUNNING', 'PAUSED')
 ORDER BY key
 LIMIT ?
"""
_COUNT = "SELECT count(*) FROM workflow"
_COUNT_OPEN = "SELECT count(*) FROM workflow WHERE status IN ('RUNNING', 'PAUSED')"
_COUNT_TASKS = "SELECT count(*) FROM task WHERE key BETWEEN ? AND ?"
_PINNED_KEYS = "SELECT key FROM pinned_definition"
_COUNT_PINNED = "SELECT count(*) FROM pinned_definition"
_COUNT_REGISTERED = "SELECT count(*) FROM workflow_definition"
# A digest that no definition has, being longer than all of them: the row is found by its key only, and a definition that is pinned
# from now on gets a row of its own.
_CONDEMN = """
UPDATE pinned_definition SET digest = randomblob(24)
 WHERE key IN (SELECT value FROM json_each(?))
   AND length(digest) = 16
"""
# The newest row stays, so that its key is not given a second time: who keeps definitions by their
# keys would mistake one for the other.
_DROP_PINNED = """
DELETE FROM pinned_definition
 WHERE key IN (SELECT value FROM json_each(?))
   AND length(digest) > 16
   AND key < (SELECT max(key) FROM pinned_definition)
"""

_MAX_ANCESTORS = 100
"""Executions around one; the engine refuses to start deeper ones long before."""


class _Pin(msgspec.Struct):
    """What is read of a record to know which definition it runs."""

    p: int


_PIN_DECODER = RecordDecoder(_Pin, "workflow")


def ended(connection: sqlite3.Connection, after_key: int, limit: int) -> list[Workflow]:
    """Executions that have ended, in the order of their starts."""
    rows = connection.execute(_ENDED, (after_key, limit))
    return [decode_workflow(body) for _, body in rows]


def ended_count(connection: sqlite3.Connection) -> int:
    """Number of executions that have ended. Both counts are read from indexes."""
    every = int(connection.execute(_COUNT).fetchone()[0])
    return every - int(connection.execute(_COUNT_OPEN).fetchone()[0])


def task_count(connection: sqlite3.Connection, workflow: Workflow) -> int:
    """Number of an execution's task records."""
    span = task_key(workflow.key, 0), task_key(workflow.key + 1, 0) - 1
    return int(connection.execute(_COUNT_TASKS, span).fetchone()[0])


def is_free(connection: sqlite3.Connection, workflow: Workflow) -> bool:
    """Whether no execution around this one is still going on."""
    around = workflow
    for _ in range(_MAX_ANCESTORS):
        if not around.parent:
            return True
        found = read_workflow(connection, around.parent_id)
        if found is None:
            return True
        if not found.status.terminal:
            return False
        around = found
    return False


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the database that hold something; what was deleted is free for what comes."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


# Definitions that executions started from.


def may_have_orphans(connection: sqlite3.Connection) -> bool:
    """Whether more definitions are kept than are registered."""
    pinned = int(connection.execute(_COUNT_PINNED).fetchone()[0])
    return pinned > int(connection.execute(_COUNT_REGISTERED).fetchone()[0])


def pinned_keys(connection: sqlite3.Connection) -> set[int]:
    """The keys of all definitions that are kept."""
    return {row[0] for row in connection.execute(_PINNED_KEYS)}


def used_pinned(connection: sqlite3.Connection, below: int) -> tuple[set[int], int]:
    """Keys of the definitions that some executions run, and where to go on; 0 = nowhere."""
    part = search.window(connection, search.Place("workflow"), below)
    return {_PIN_DECODER.decode(body).p for _, body in part.records}, part.below


def condemn(connection: sqlite3.Connection, keys: Collection[int]) -> None:
    """See to it that no execution starts from these definitions from now on."""
    connection.execute(_CONDEMN, (_json(keys),))


def drop_condemned(connection: sqlite3.Connection, keys: Collection[int]) -> int:
    """Take condemned definitions away that nobody runs; returns how many."""
    return connection.execute(_DROP_PINNED, (_json(keys),)).rowcount


def _json(keys: Iterable[int]) -> str:
    return msgspec.json.encode(sorted(keys)).decode()
