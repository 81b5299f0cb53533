"""Tags of workflow and task definitions, by the name of the definition.

Whether there is a definition of that name is asked elsewhere.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from typing import NamedTuple

import msgspec

from edge.model.tags import Tag

_OF = """
SELECT key, value, type FROM definition_tag WHERE kind = ? AND name = ? ORDER BY position
"""
_ALL_OF = """
SELECT name, key, value, type FROM definition_tag WHERE kind = ? ORDER BY name, position
"""
_EVERY = "SELECT DISTINCT key, value FROM definition_tag ORDER BY key, value"
_COUNTS = """
SELECT key, value, kind, count(*) FROM definition_tag GROUP BY key, value, kind
 ORDER BY key, value, kind
"""
_CARRIERS = """
SELECT name FROM definition_tag WHERE key = ? AND value = ? AND kind = ? ORDER BY name
"""
_PUT = """
INSERT INTO definition_tag (kind, name, position, key, value, type) VALUES (?, ?, ?, ?, ?, ?)
"""
_DROP = "DELETE FROM definition_tag WHERE kind = ? AND name = ?"


class Tagged(StrEnum):
    """What tags are put on, in Conductor's words."""

    WORKFLOW = "WORKFLOW_DEF"
    TASK = "TASK_DEF"


class TagCount(NamedTuple):
    """How many definitions of one kind carry a tag."""

    key: str
    value: str | int | float | bool
    kind: Tagged
    carriers: int


def read(connection: sqlite3.Connection, kind: Tagged, name: str) -> list[Tag]:
    """The tags of one definition, in the order in which they were put there."""
    rows = connection.execute(_OF, (kind.value, name))
    return [Tag(key, msgspec.json.decode(value), type_) for key, value, type_ in rows]


def read_all(connection: sqlite3.Connection, kind: Tagged) -> dict[str, list[Tag]]:
    """The tags of all definitions of a kind, by name; those without any are left out."""
    found: dict[str, list[Tag]] = {}
    for name, key, value, type_ in connection.execute(_ALL_OF, (kind.value,)):
        found.setdefault(name, []).append(Tag(key, msgspec.json.decode(value), type_))
    return found


def every(connection: sqlite3.Connection) -> list[Tag]:
    """Every tag once, whatever carries it."""
    return [Tag(key, msgspec.json.decode(value)) for key, value in connection.execute(_EVERY)]


def counts(connection: sqlite3.Connection) -> list[TagCount]:
    """How many definitions of each kind carry each tag."""
    return [
        TagCount(key, msgspec.json.decode(value), Tagged(kind), count)
        for key, value, kind, count in connection.execute(_COUNTS)
    ]


def carriers(connection: sqlite3.Connection, key: str, value: str, kind: Tagged) -> list[str]:
    """The names of the definitions that carry a tag whose value is a text."""
    encoded = msgspec.json.encode(value).decode()
    return [row[0] for row in connection.execute(_CARRIERS, (key, encoded, kind.value))]


def put(connection: sqlite3.Connection, kind: Tagged, name: str, tags: list[Tag]) -> None:
    """Put these tags in place of the ones that a definition has."""
    if read(connection, kind, name) == tags:
        return
    connection.execute(_DROP, (kind.value, name))
    connection.executemany(
        _PUT,
        [
            (kind.value, name, index, tag.key, msgspec.json.encode(tag.value).decode(), tag.type)
            for index, tag in enumerate(tags)
        ],
    )
