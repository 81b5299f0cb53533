"""Who may do what: permissions, the roles that bundle them, and those who have roles.

Nothing is stored and no password is checked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from edge.model.errors import InvalidInput

T = TypeVar("T", bound=msgspec.Struct)

MAX_NAMES = 1_000
"""Roles, groups or members in one request."""
_MAX_CHARACTERS = 500


class Permission(StrEnum):
    """One thing that may be allowed. Every operation of the API needs exactly one."""

    WORKFLOW_VIEW = "WORKFLOW_VIEW"
    """Look at executions, queues, events, devices."""
    WORKFLOW_MANAGEMENT = "WORKFLOW_MANAGEMENT"
    """Start executions and steer them."""
    METADATA_VIEW = "METADATA_VIEW"
    """Look at definitions."""
    METADATA_MANAGEMENT = "METADATA_MANAGEMENT"
    """Change definitions, schedules, event handlers, schemas, environment variables."""
    TASK_EXECUTION = "TASK_EXECUTION"
    """Poll for tasks and report them."""
    SECRET_MANAGEMENT = "SECRET_MANAGEMENT"  # noqa: S105 - a name and no password
    """Read secrets and change them."""
    APPLICATION_MANAGEMENT = "APPLICATION_MANAGEMENT"
    """Applications and their keys, as far as they may do no more than whoever manages them."""
    USER_MANAGEMENT = "USER_MANAGEMENT"
    """Users, groups, roles, grants."""
    ADMIN_MANAGEMENT = "ADMIN_MANAGEMENT"
    """Whatever is nothing of all that."""


_VIEW = frozenset({Permission.WORKFLOW_VIEW, Permission.METADATA_VIEW})

SYSTEM_ROLES: Mapping[str, frozenset[Permission]] = {
    "ADMIN": frozenset(Permission),
    "USER": _VIEW | {Permission.WORKFLOW_MANAGEMENT, Permission.METADATA_MANAGEMENT},
    "USER_READ_ONLY": _VIEW,
    "WORKFLOW_MANAGER": _VIEW | {Permission.WORKFLOW_MANAGEMENT},
    "METADATA_MANAGER": _VIEW | {Permission.METADATA_MANAGEMENT, Permission.SECRET_MANAGEMENT},
    "METADATA_API": frozenset({Permission.METADATA_VIEW, Permission.METADATA_MANAGEMENT}),
    "WORKER": frozenset({Permission.METADATA_VIEW, Permission.TASK_EXECUTION}),
    "UNRESTRICTED_WORKER": frozenset({Permission.METADATA_VIEW, Permission.TASK_EXECUTION}),
    "APPLICATION_CREATOR": frozenset({Permission.APPLICATION_MANAGEMENT}),
    "APPLICATION_MANAGER": frozenset({Permission.APPLICATION_MANAGEMENT}),
}
"""The roles that are always there, in the names of Conductor's commercial server."""


class PermissionName(msgspec.Struct, frozen=True):
    """A permission on the wire."""

    name: str


class Role(msgspec.Struct, frozen=True):
    """A role with its permissions."""

    name: str
    permissions: list[PermissionName] = []


class Application(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A program that speaks to this device."""

    id: str
    name: str
    created_by: str = ""
    updated_by: str = ""
    create_time: int = 0
    """Epoch milliseconds."""
    update_time: int = 0
    """Epoch milliseconds."""


class AccessKey(msgspec.Struct, frozen=True, rename="camel"):
    """A key of an application, without its secret."""

    id: str
    created_at: int
    """Epoch milliseconds."""
    status: str = "ACTIVE"
    """ACTIVE or INACTIVE."""


class User(msgspec.Struct, frozen=True, rename="camel"):
    """A person, as it is stored: roles and groups by name."""

    id: str
    name: str = ""
    roles: list[str] = []
    uuid: str = ""
    contact_information: dict[str, str] = {}


class Group(msgspec.Struct, frozen=True, rename="camel"):
    """People with the same roles, as it is stored."""

    id: str
    description: str = ""
    roles: list[str] = []
    default_access: dict[str, list[str]] = {}
    contact_information: dict[str, str] = {}


class PostedUser(msgspec.Struct, frozen=True, rename="camel"):
    """A person as clients post one."""

    name: str = ""
    roles: list[str] = []
    groups: list[str] | None = None
    """None = memberships stay as they are."""
    contact_information: dict[str, str] = {}


class PostedGroup(msgspec.Struct, frozen=True, rename="camel"):
    """A group as clients post one."""

    description: str = ""
    roles: list[str] = []
    default_access: dict[str, list[str]] = {}
    contact_information: dict[str, str] = {}


class PostedRole(msgspec.Struct, frozen=True):
    """A role as clients post one."""

    name: str = ""
    permissions: list[str] = []


class PostedName(msgspec.Struct, frozen=True):
    """An application as clients post one."""

    name: str = ""


class Credentials(msgspec.Struct, frozen=True, rename="camel"):
    """What a token is asked for with."""

    key_id: str = ""
    key_secret: str = ""


class Reference(msgspec.Struct, frozen=True):
    """Who is granted something, or what is granted."""

    type: str
    id: str


class Grant(msgspec.Struct, frozen=True):
    """Access of one subject to one target."""

    subject: Reference
    target: Reference
    access: list[str]


class Caller(msgspec.Struct, frozen=True):
    """Who makes a request."""

    id: str
    """Of the user that stands for the application."""
    application: str
    """Id of the application."""
    name: str
    roles: list[str]
    permissions: frozenset[Permission]


SUBJECTS = frozenset({"USER", "GROUP", "ROLE"})
ACCESSES = ("CREATE", "READ", "UPDATE", "DELETE", "EXECUTE")


def permissions_of(
    roles: Iterable[str], custom: Mapping[str, frozenset[Permission]]
) -> frozenset[Permission]:
    """All that roles allow together; a role that is gone allows nothing."""
    found: frozenset[Permission] = frozenset()
    for role in roles:
        found |= SYSTEM_ROLES.get(role) or custom.get(role, frozenset())
    return found


def shown_role(name: str, custom: Mapping[str, frozenset[Permission]]) -> Role:
    """A role as answers show it."""
    return Role(name, [PermissionName(one.value) for one in sorted(permissions_of([name], custom))])


def parse_access(document: Any, kind: type[T]) -> T:
    """Read a posted user, group, role, grant or pair of key and secret.

    Raises:
        InvalidInput: it is none; the message names the field.
    """
    if isinstance(document, dict):
        document = {name: value for name, value in document.items() if value is not None}
        # The JavaScript SDK posts the one role of a user as a text, which Orkes takes, too.
        if isinstance(document.get("roles"), str):
            document["roles"] = [document["roles"]]
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(str(error)) from error


def checked_id(what: str, text: str) -> str:
    """A name that something is known by. Raises InvalidInput when it cannot be one."""
    if not text.strip() or len(text) > _MAX_CHARACTERS or not text.isprintable():
        raise InvalidInput(f"{what}: 1 to {_MAX_CHARACTERS} printable characters are needed")
    return text


def checked_roles(roles: list[str], custom: Mapping[str, frozenset[Permission]]) -> list[str]:
    """Roles that exist, each once. Raises InvalidInput for one that does not."""
    for role in roles[:MAX_NAMES]:
        if role not in SYSTEM_ROLES and role not in custom:
            known = ", ".join([*SYSTEM_ROLES, *custom])
            raise InvalidInput(f"roles: there is no role {role[:80]!r}; there is: {known}")
    return list(dict.fromkeys(roles[:MAX_NAMES]))


def checked_permissions(names: list[str]) -> frozenset[Permission]:
    """Permissions that exist. Raises InvalidInput for one that does not."""
    try:
        return frozenset(map(Permission, names))
    except ValueError as error:
        raise InvalidInput(f"permissions: {error}; there is: {', '.join(Permission)}") from error


def checked_grant(grant: Grant) -> Grant:
    """A grant with its subject's type in capitals. Raises InvalidInput for unknown words."""
    subject = grant.subject.type.upper()
    if subject not in SUBJECTS:
        raise InvalidInput(f"subject.type: {subject[:80]!r} is none of {', '.join(SUBJECTS)}")
    access = [one.upper() for one in grant.access]
    for one in access:
        if one not in ACCESSES:
            raise InvalidInput(f"access: {one[:80]!r} is none of {', '.join(ACCESSES)}")
    checked_id("subject.id", grant.subject.id)
    checked_id("target.type", grant.target.type)
    checked_id("target.id", grant.target.id)
    return Grant(Reference(subject, grant.subject.id), grant.target, list(dict.fromkeys(access)))


def application_user(application_id: str) -> str:
    """Id of the user that stands for an application."""
    return f"app:{application_id}"
