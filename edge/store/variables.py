"""Secrets, sealed, and environment variables, in the clear: rows by name, with their tags.

Nothing is sealed or opened here: a secret comes and goes as the bytes that the vault made of it.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

import msgspec

from edge.model.errors import InvalidInput, NotFound
from edge.model.variables import MAX_COUNT, Tag

_PUT_SEALED = """
INSERT INTO secret (name, key_id, nonce, sealed, tags, created_ms, updated_ms)
VALUES (:name, :key_id, :nonce, :sealed, '[]', :now_ms, :now_ms)
ON CONFLICT (name) DO UPDATE SET
  key_id = excluded.key_id, nonce = excluded.nonce, sealed = excluded.sealed,
  updated_ms = excluded.updated_ms
"""
_SEALED = "SELECT key_id, nonce, sealed FROM secret WHERE name = ?"
_PUT_VARIABLE = """
INSERT INTO environment (name, value, tags, created_ms, updated_ms)
VALUES (:name, :value, '[]', :now_ms, :now_ms)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_ms = excluded.updated_ms
"""
_VARIABLE = "SELECT value FROM environment WHERE name = ?"
_VARIABLES = "SELECT name, value FROM environment ORDER BY name"

# The two tables have these in common.
SECRETS = "secret"
ENVIRONMENT = "environment"
_NAMES = "SELECT name FROM {} ORDER BY name"
_COUNT = "SELECT count(*) FROM {} WHERE name <> ?"
_DROP = "DELETE FROM {} WHERE name = ?"
_TAGS = "SELECT tags FROM {} WHERE name = ?"
_ALL_TAGS = "SELECT name, tags FROM {} ORDER BY name"
_PUT_TAGS = "UPDATE {} SET tags = ? WHERE name = ?"

_TAGS_DECODER = msgspec.json.Decoder(list[Tag])


class Sealed(NamedTuple):
    """A secret as it is stored."""

    key_id: bytes
    """Which key it was sealed with."""
    nonce: bytes
    sealed: bytes


def put_secret(connection: sqlite3.Connection, name: str, sealed: Sealed, now_ms: int) -> None:
    """Keep a secret, in place of the one of that name; its tags stay."""
    _refuse_too_many(connection, SECRETS, name)
    connection.execute(_PUT_SEALED, {"name": name, "now_ms": now_ms, **sealed._asdict()})


def read_secret(connection: sqlite3.Connection, name: str) -> Sealed | None:
    """A sealed secret."""
    row = connection.execute(_SEALED, (name,)).fetchone()
    return None if row is None else Sealed(*row)


def put_variable(connection: sqlite3.Connection, name: str, value: str, now_ms: int) -> None:
    """Keep an environment variable, in place of the one of that name; its tags stay."""
    _refuse_too_many(connection, ENVIRONMENT, name)
    connection.execute(_PUT_VARIABLE, {"name": name, "value": value, "now_ms": now_ms})


def read_variable(connection: sqlite3.Connection, name: str) -> str | None:
    """The value of an environment variable."""
    row = connection.execute(_VARIABLE, (name,)).fetchone()
    return None if row is None else str(row[0])


def read_variables(connection: sqlite3.Connection) -> dict[str, str]:
    """All environment variables by name."""
    return dict(connection.execute(_VARIABLES).fetchall())


# Both alike. The name of the table is one of the two constants, never a client's text.


def read_names(connection: sqlite3.Connection, table: str) -> list[str]:
    """All names."""
    return [row[0] for row in connection.execute(_NAMES.format(table))]


def drop(connection: sqlite3.Connection, table: str, name: str) -> None:
    """Forget one.

    Raises:
        NotFound: there is none of that name.
    """
    if connection.execute(_DROP.format(table), (name,)).rowcount == 0:
        raise not_found(table, name)


def read_tags(connection: sqlite3.Connection, table: str, name: str) -> list[Tag]:
    """The tags of one.

    Raises:
        NotFound: there is none of that name.
    """
    row = connection.execute(_TAGS.format(table), (name,)).fetchone()
    if row is None:
        raise not_found(table, name)
    return _TAGS_DECODER.decode(row[0])


def read_all_tags(connection: sqlite3.Connection, table: str) -> dict[str, list[Tag]]:
    """The tags of all, by name."""
    rows = connection.execute(_ALL_TAGS.format(table))
    return {name: _TAGS_DECODER.decode(tags) for name, tags in rows}


def put_tags(connection: sqlite3.Connection, table: str, name: str, tags: list[Tag]) -> None:
    """Replace the tags of one.

    Raises:
        NotFound: there is none of that name.
    """
    text = msgspec.json.encode(tags).decode()
    if connection.execute(_PUT_TAGS.format(table), (text, name)).rowcount == 0:
        raise not_found(table, name)


def not_found(table: str, name: str) -> NotFound:
    """What to say of a name that nothing has."""
    noun = "secret" if table == SECRETS else "environment variable"
    return NotFound(f"No such {noun} found by name: {name}")


def _refuse_too_many(connection: sqlite3.Connection, table: str, name: str) -> None:
    if connection.execute(_COUNT.format(table), (name,)).fetchone()[0] >= MAX_COUNT:
        raise InvalidInput(f"{MAX_COUNT} are kept already; delete some before adding more")
