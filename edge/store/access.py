"""Applications with their keys, people, groups, roles and grants in the database.

Whether somebody may do something is judged elsewhere, and no secret is ever written here.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

import msgspec

from edge.model.access import (
    AccessKey,
    Application,
    Grant,
    Group,
    Permission,
    Reference,
    User,
    application_user,
)
from edge.model.errors import NotFound
from edge.model.tags import Tag

Connection = sqlite3.Connection
"""For those who put several of these questions together and may not know SQLite."""

_APPLICATIONS = """
SELECT id, name, created_by, updated_by, created_ms, updated_ms FROM application
"""
_PUT_APPLICATION = """
INSERT INTO application
  (id, name, roles, tags, created_by, updated_by, created_ms, updated_ms)
VALUES (?, ?, '[]', '[]', ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
  name = excluded.name, updated_by = excluded.updated_by, updated_ms = excluded.updated_ms
"""
_KEYS = """
SELECT id, created_ms, status FROM access_key WHERE application = ? ORDER BY created_ms, id
"""
_PUT_KEY = """
INSERT INTO access_key (id, application, salt, hash, status, created_ms)
VALUES (?, ?, ?, ?, 'ACTIVE', ?)
"""
_TOGGLE = """
UPDATE access_key SET status = CASE status WHEN 'ACTIVE' THEN 'INACTIVE' ELSE 'ACTIVE' END
 WHERE id = ? AND application = ?
"""
_PUT_PERSON = """
INSERT INTO person (id, document) VALUES (?, ?)
ON CONFLICT (id) DO UPDATE SET document = excluded.document
"""
_PUT_GROUP = """
INSERT INTO person_group (id, document) VALUES (?, ?)
ON CONFLICT (id) DO UPDATE SET document = excluded.document
"""
_PUT_ROLE = """
INSERT INTO custom_role (name, permissions) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET permissions = excluded.permissions
"""
_GRANT = """
INSERT OR IGNORE INTO access_grant (target_type, target_id, subject_type, subject_id, access)
VALUES (?, ?, ?, ?, ?)
"""
_REVOKE = """
DELETE FROM access_grant
 WHERE target_type = ? AND target_id = ? AND subject_type = ? AND subject_id = ? AND access = ?
"""
_GRANTS_OF_TARGET = """
SELECT subject_type, subject_id, access FROM access_grant WHERE target_type = ? AND target_id = ?
 ORDER BY access, subject_type, subject_id
"""
_GRANTS_OF_SUBJECT = """
SELECT target_type, target_id, access FROM access_grant WHERE subject_type = ? AND subject_id = ?
 ORDER BY target_type, target_id, access
"""


class KeyRecord(NamedTuple):
    """What a key is checked with."""

    application: str
    salt: bytes
    hash: bytes
    active: bool


class Directory(NamedTuple):
    """Everything that decides on a request, read at once."""

    keys: dict[str, KeyRecord]
    applications: dict[str, Application]
    roles: dict[str, list[str]]
    """By application id: its own, and those of the groups that its user is in."""
    custom: dict[str, frozenset[Permission]]


def read_directory(connection: sqlite3.Connection) -> Directory:
    """Applications, keys and roles as of now."""
    applications = {one.id: one for one in read_applications(connection)}
    groups = {one.id: one.roles for one in read_groups(connection)}
    members: dict[str, list[str]] = {}
    for group, person in connection.execute("SELECT group_id, person_id FROM group_member"):
        members.setdefault(person, []).extend(groups.get(group, ()))
    own = dict(connection.execute("SELECT id, roles FROM application").fetchall())
    return Directory(
        keys={
            key: KeyRecord(application, salt, digest, status == "ACTIVE")
            for key, application, salt, digest, status in connection.execute(
                "SELECT id, application, salt, hash, status FROM access_key"
            )
        },
        applications=applications,
        roles={
            one: list(
                dict.fromkeys(
                    [*msgspec.json.decode(own[one]), *members.get(application_user(one), ())]
                )
            )
            for one in applications
        },
        custom=read_custom_roles(connection),
    )


# Applications.


def read_applications(connection: sqlite3.Connection) -> list[Application]:
    """All applications by name."""
    return [Application(*row) for row in connection.execute(f"{_APPLICATIONS} ORDER BY name, id")]


def read_application(connection: sqlite3.Connection, application: str) -> Application:
    """One application. Raises NotFound."""
    row = connection.execute(f"{_APPLICATIONS} WHERE id = ?", (application,)).fetchone()
    if row is None:
        raise NotFound(f"There is no application {application}")
    return Application(*row)


def put_application(connection: sqlite3.Connection, one: Application) -> None:
    """Make an application, or give one that is there another name."""
    connection.execute(
        _PUT_APPLICATION,
        (one.id, one.name, one.created_by, one.updated_by, one.create_time, one.update_time),
    )


def remove_application(connection: sqlite3.Connection, application: str) -> None:
    """Take an application away with its keys, memberships and grants. Raises NotFound."""
    read_application(connection, application)
    user = application_user(application)
    connection.execute("DELETE FROM access_key WHERE application = ?", (application,))
    connection.execute("DELETE FROM application WHERE id = ?", (application,))
    _forget_subject(connection, "USER", user)
    connection.execute("DELETE FROM group_member WHERE person_id = ?", (user,))


def application_roles(connection: sqlite3.Connection, application: str) -> list[str]:
    """The roles of an application's own. Raises NotFound."""
    read_application(connection, application)
    return list(_column(connection, "roles", application))


def put_application_roles(
    connection: sqlite3.Connection, application: str, roles: list[str]
) -> None:
    """Give an application these roles. Raises NotFound."""
    read_application(connection, application)
    _put_column(connection, "roles", application, roles)


def application_tags(connection: sqlite3.Connection, application: str) -> list[Tag]:
    """The tags of an application. Raises NotFound."""
    read_application(connection, application)
    return msgspec.convert(_column(connection, "tags", application), list[Tag])


def put_application_tags(connection: sqlite3.Connection, application: str, tags: list[Tag]) -> None:
    """Put tags in place of the ones an application has. Raises NotFound."""
    read_application(connection, application)
    _put_column(connection, "tags", application, tags)


def _column(connection: sqlite3.Connection, column: str, application: str) -> Any:
    query = f"SELECT {column} FROM application WHERE id = ?"
    return msgspec.json.decode(connection.execute(query, (application,)).fetchone()[0])


def _put_column(connection: sqlite3.Connection, column: str, application: str, value: Any) -> None:
    connection.execute(
        f"UPDATE application SET {column} = ? WHERE id = ?", (_json(value), application)
    )


# Keys.


def read_keys(connection: sqlite3.Connection, application: str) -> list[AccessKey]:
    """The keys of an application, oldest first. Raises NotFound."""
    read_application(connection, application)
    return [AccessKey(*row) for row in connection.execute(_KEYS, (application,))]


def read_key(connection: sqlite3.Connection, application: str, key: str) -> AccessKey:
    """One key of an application. Raises NotFound."""
    for one in read_keys(connection, application):
        if one.id == key:
            return one
    raise NotFound(f"The application {application} has no access key {key}")


def owner_of(connection: sqlite3.Connection, key: str) -> Application:
    """The application that a key belongs to. Raises NotFound."""
    row = connection.execute("SELECT application FROM access_key WHERE id = ?", (key,)).fetchone()
    if row is None:
        raise NotFound(f"There is no access key {key}")
    return read_application(connection, row[0])


def put_key(
    connection: sqlite3.Connection,
    application: str,
    key: str,
    *,
    salt: bytes,
    digest: bytes,
    now_ms: int,
) -> None:
    """Keep a new key. Raises NotFound when there is no such application."""
    read_application(connection, application)
    connection.execute(_PUT_KEY, (key, application, salt, digest, now_ms))


def toggle_key(connection: sqlite3.Connection, application: str, key: str) -> AccessKey:
    """Make an active key inactive, or the other way round. Raises NotFound."""
    read_key(connection, application, key)
    connection.execute(_TOGGLE, (key, application))
    return read_key(connection, application, key)


def remove_key(connection: sqlite3.Connection, application: str, key: str) -> None:
    """Take a key away. Raises NotFound."""
    read_key(connection, application, key)
    connection.execute("DELETE FROM access_key WHERE id = ?", (key,))


# People and groups.


def read_users(connection: sqlite3.Connection) -> list[User]:
    """All people by id."""
    rows = connection.execute("SELECT document FROM person ORDER BY id")
    return [msgspec.json.decode(row[0], type=User) for row in rows]


def read_user(connection: sqlite3.Connection, person: str) -> User:
    """One person. Raises NotFound."""
    row = connection.execute("SELECT document FROM person WHERE id = ?", (person,)).fetchone()
    if row is None:
        raise NotFound(f"There is no user {person}")
    return msgspec.json.decode(row[0], type=User)


def put_user(connection: sqlite3.Connection, user: User) -> None:
    """Make a person, or change one that is there."""
    connection.execute(_PUT_PERSON, (user.id, _json(user)))


def remove_user(connection: sqlite3.Connection, person: str) -> None:
    """Take a person away with memberships and grants. Raises NotFound."""
    read_user(connection, person)
    connection.execute("DELETE FROM person WHERE id = ?", (person,))
    connection.execute("DELETE FROM group_member WHERE person_id = ?", (person,))
    _forget_subject(connection, "USER", person)


def read_groups(connection: sqlite3.Connection) -> list[Group]:
    """All groups by id."""
    rows = connection.execute("SELECT document FROM person_group ORDER BY id")
    return [msgspec.json.decode(row[0], type=Group) for row in rows]


def read_group(connection: sqlite3.Connection, group: str) -> Group:
    """One group. Raises NotFound."""
    row = connection.execute("SELECT document FROM person_group WHERE id = ?", (group,)).fetchone()
    if row is None:
        raise NotFound(f"There is no group {group}")
    return msgspec.json.decode(row[0], type=Group)


def put_group(connection: sqlite3.Connection, group: Group) -> None:
    """Make a group, or change one that is there."""
    connection.execute(_PUT_GROUP, (group.id, _json(group)))


def remove_group(connection: sqlite3.Connection, group: str) -> None:
    """Take a group away with memberships and grants. Raises NotFound."""
    read_group(connection, group)
    connection.execute("DELETE FROM person_group WHERE id = ?", (group,))
    connection.execute("DELETE FROM group_member WHERE group_id = ?", (group,))
    _forget_subject(connection, "GROUP", group)


def groups_of(connection: sqlite3.Connection, person: str) -> list[Group]:
    """The groups that a person or an application's user is in."""
    rows = connection.execute(
        "SELECT group_id FROM group_member WHERE person_id = ? ORDER BY group_id", (person,)
    )
    return [read_group(connection, row[0]) for row in rows.fetchall()]


def members_of(connection: sqlite3.Connection, group: str) -> list[str]:
    """Ids of the people in a group, and of the users of applications. Raises NotFound."""
    read_group(connection, group)
    rows = connection.execute(
        "SELECT person_id FROM group_member WHERE group_id = ? ORDER BY person_id", (group,)
    )
    return [row[0] for row in rows]


def join_group(connection: sqlite3.Connection, group: str, person: str) -> None:
    """Put a person, or the user of an application, into a group. Raises NotFound for either."""
    read_group(connection, group)
    application = person.removeprefix("app:")
    if application == person:
        read_user(connection, person)
    else:
        read_application(connection, application)
    connection.execute("INSERT OR IGNORE INTO group_member VALUES (?, ?)", (group, person))


def leave_group(connection: sqlite3.Connection, group: str, person: str) -> None:
    """Take somebody out of a group; one who is not in it is not missed. Raises NotFound."""
    read_group(connection, group)
    connection.execute(
        "DELETE FROM group_member WHERE group_id = ? AND person_id = ?", (group, person)
    )


# Roles and grants.


def read_custom_roles(connection: sqlite3.Connection) -> dict[str, frozenset[Permission]]:
    """The site's own roles. A permission that this release does not know allows nothing."""
    known = {one.value for one in Permission}
    return {
        name: frozenset(Permission(one) for one in msgspec.json.decode(permissions) if one in known)
        for name, permissions in connection.execute(
            "SELECT name, permissions FROM custom_role ORDER BY name"
        )
    }


def put_custom_role(
    connection: sqlite3.Connection, name: str, permissions: frozenset[Permission]
) -> None:
    """Make a role, or change one that is there."""
    connection.execute(_PUT_ROLE, (name, _json(sorted(permissions))))


def remove_custom_role(connection: sqlite3.Connection, name: str) -> None:
    """Take a role away; whoever has it may do less from now on. Raises NotFound."""
    if connection.execute("DELETE FROM custom_role WHERE name = ?", (name,)).rowcount == 0:
        raise NotFound(f"There is no role {name} of this site's own")
    _forget_subject(connection, "ROLE", name)


def put_grant(connection: sqlite3.Connection, grant: Grant) -> None:
    """Grant access; what is granted already stays."""
    connection.executemany(_GRANT, _rows(grant))


def remove_grant(connection: sqlite3.Connection, grant: Grant) -> None:
    """Take access back; what was never granted is not missed."""
    connection.executemany(_REVOKE, _rows(grant))


def grants_on(connection: sqlite3.Connection, target: Reference) -> list[tuple[Reference, str]]:
    """Who has which access to a target."""
    rows = connection.execute(_GRANTS_OF_TARGET, (target.type, target.id))
    return [(Reference(kind, subject), access) for kind, subject, access in rows]


def grants_to(
    connection: sqlite3.Connection, subject: Reference
) -> list[tuple[Reference, list[str]]]:
    """What a subject has access to."""
    found: dict[Reference, list[str]] = {}
    for kind, target, access in connection.execute(_GRANTS_OF_SUBJECT, (subject.type, subject.id)):
        found.setdefault(Reference(kind, target), []).append(access)
    return list(found.items())


def _forget_subject(connection: sqlite3.Connection, kind: str, subject: str) -> None:
    connection.execute(
        "DELETE FROM access_grant WHERE subject_type = ? AND subject_id = ?", (kind, subject)
    )


def _rows(grant: Grant) -> list[tuple[str, str, str, str, str]]:
    subject, target = grant.subject, grant.target
    return [(target.type, target.id, subject.type, subject.id, one) for one in grant.access]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
