"""The archive: executions that were removed, each as one compressed copy of what clients saw of it.

No copy is made or unpacked here.
"""

from __future__ import annotations

import sqlite3

import msgspec

from edge.model.executions import Workflow
from edge.model.fields import Found
from edge.store.checked import RecordDecoder, RecordEncoder

# A copy that takes another's place has a new key, too.
_PUT = "INSERT OR REPLACE INTO archive (id, archived_ms, body, document) VALUES (?, ?, ?, ?)"
_BODY = "SELECT body FROM archive WHERE id = ?"
_DOCUMENT = "SELECT document FROM archive WHERE id = ?"
_DROP = "DELETE FROM archive WHERE id = ?"
_COUNT = "SELECT count(*) FROM archive"
# Keys ascend with the time of archiving, so that only those which may go are looked at.
_DROP_OLDEST = """
DELETE FROM archive
 WHERE key IN (SELECT key FROM archive ORDER BY key LIMIT ?)
   AND archived_ms < ?
"""


class _Entry(msgspec.Struct, frozen=True):
    """What a search looks into."""

    workflow: Workflow = msgspec.field(name="w")
    classifier: str = msgspec.field(name="c")


_ENCODER = RecordEncoder()
_DECODER = RecordDecoder(_Entry, "archive")


def decode(body: bytes) -> Found:
    """An archived execution as it is searched."""
    entry = _DECODER.decode(body)
    return Found(entry.workflow, entry.classifier, archived=True)


def put(
    connection: sqlite3.Connection,
    workflow: Workflow,
    classifier: str,
    document: bytes,
    *,
    now_ms: int,
) -> None:
    """Keep a copy of an execution.

    Args:
        workflow: its record.
        classifier: of its definition.
        document: the whole of it as JSON, compressed with zlib.
        now_ms: epoch milliseconds.
    """
    body = _ENCODER.encode(_Entry(workflow, classifier))
    connection.execute(_PUT, (workflow.id, now_ms, body, document))


def read(connection: sqlite3.Connection, workflow_id: bytes) -> Found | None:
    """The record of an archived execution."""
    row = connection.execute(_BODY, (workflow_id,)).fetchone()
    return None if row is None else decode(row[0])


def read_document(connection: sqlite3.Connection, workflow_id: bytes) -> bytes | None:
    """The whole of an archived execution, still compressed."""
    row = connection.execute(_DOCUMENT, (workflow_id,)).fetchone()
    return None if row is None else bytes(row[0])


def drop(connection: sqlite3.Connection, workflow_id: bytes) -> bool:
    """Take a copy away; False when there is none."""
    return connection.execute(_DROP, (workflow_id,)).rowcount > 0


def count(connection: sqlite3.Connection) -> int:
    """Number of archived executions."""
    return int(connection.execute(_COUNT).fetchone()[0])


def drop_oldest(connection: sqlite3.Connection, before_ms: int, limit: int) -> int:
    """Take copies away that were made before a time, oldest first; returns how many."""
    return connection.execute(_DROP_OLDEST, (limit, before_ms)).rowcount
