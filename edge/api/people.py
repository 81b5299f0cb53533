"""Endpoints for users, groups, roles and grants.

What a role allows is the model's affair; where operations are judged stands in the guard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from edge.api import answers
from edge.api.call import Call
from edge.clock import new_request_id
from edge.model.access import (
    ACCESSES,
    MAX_NAMES,
    SYSTEM_ROLES,
    Grant,
    Group,
    Permission,
    PostedGroup,
    PostedRole,
    PostedUser,
    Reference,
    Role,
    User,
    application_user,
    checked_grant,
    checked_id,
    checked_permissions,
    checked_roles,
    parse_access,
    permissions_of,
    shown_role,
)
from edge.model.errors import AccessDenied, Conflict, InvalidInput, NotFound
from edge.responses import Response
from edge.store import access
from edge.store.access import Connection, Directory
from edge.transactions import Transaction

T = TypeVar("T")

Custom = Mapping[str, frozenset[Permission]]


# Users.


async def users(call: Call) -> Response:
    """All users; with ``apps`` the ones that stand for applications too."""
    known = await call.guard.directory()
    with_applications = call.flag("apps", default=False)

    def read(connection: Connection) -> list[dict[str, Any]]:
        found = [
            _shown_user(connection, one, known.custom) for one in access.read_users(connection)
        ]
        if with_applications:
            found += [shown_application(connection, one, known) for one in known.applications]
        return found

    return answers.json(await call.house.engine.database.read(read))


async def user(call: Call) -> Response:
    """One user."""
    known, person = await call.guard.directory(), call.params["id"]
    return answers.json(await call.house.engine.database.read(lambda c: _find(c, person, known)))


async def put_user(call: Call) -> Response:
    """Make a user, or change one that is there; groups that are not named are left."""
    person = checked_id("id", call.params["id"])
    posted = parse_access(await call.json_object(), PostedUser)
    known = await call.guard.directory()
    roles = _grantable(call, posted.roles, known.custom)
    if person.startswith("app:"):
        raise InvalidInput("id: what begins with app: is the user of an application")

    def put(transaction: Transaction) -> dict[str, Any]:
        connection = transaction.connection
        old = {one.id: one for one in access.read_users(connection)}.get(person)
        uuid = new_request_id() if old is None else old.uuid
        new = User(person, posted.name, roles, uuid, posted.contact_information)
        access.put_user(connection, new)
        if posted.groups is not None:
            for one in access.groups_of(connection, person):
                access.leave_group(connection, one.id, person)
            for group in posted.groups[:MAX_NAMES]:
                _grantable(call, access.read_group(connection, group).roles, known.custom)
                access.join_group(connection, group, person)
        return _shown_user(connection, new, known.custom)

    return answers.json(await _change(call, put))


async def remove_user(call: Call) -> Response:
    """Delete a user."""
    person = call.params["id"]
    await _change(call, lambda t: access.remove_user(t.connection, person))
    return answers.json({"message": f"Deleted user '{person}'"})


async def user_permissions(call: Call) -> Response:
    """What has been granted to a user and to the groups of the user."""
    known, person = await call.guard.directory(), call.params["id"]

    def read(connection: Connection) -> dict[str, Any]:
        _find(connection, person, known)
        return _granted(connection, _subjects_of(connection, person))

    return answers.json(await call.house.engine.database.read(read))


async def check_permissions(call: Call) -> Response:
    """Which kinds of access a user has to a target, by grants and by roles."""
    known, person = await call.guard.directory(), call.params["id"]
    target = Reference(call.required("type"), call.required("id"))

    def read(connection: Connection) -> dict[str, bool]:
        shown = _find(connection, person, known)
        roles = {one.name for one in shown["roles"]}
        roles |= {role.name for group in shown["groups"] for role in group["roles"]}
        subjects = {*_subjects_of(connection, person), *(Reference("ROLE", one) for one in roles)}
        granted = {kind for who, kind in access.grants_on(connection, target) if who in subjects}
        everything = "ADMIN" in roles
        return {kind: everything or kind in granted for kind in ACCESSES}

    return answers.json(await call.house.engine.database.read(read))


# Groups.


async def groups(call: Call) -> Response:
    """All groups."""
    custom = (await call.guard.directory()).custom
    found = await call.house.engine.database.read(access.read_groups)
    return answers.json([_shown_group(one, custom) for one in found])


async def group(call: Call) -> Response:
    """One group."""
    custom, name = (await call.guard.directory()).custom, call.params["id"]
    found = await call.house.engine.database.read(lambda c: access.read_group(c, name))
    return answers.json(_shown_group(found, custom))


async def put_group(call: Call) -> Response:
    """Make a group, or change one that is there."""
    name = checked_id("id", call.params["id"])
    posted = parse_access(await call.json_object(), PostedGroup)
    custom = (await call.guard.directory()).custom
    roles = _grantable(call, posted.roles, custom)
    new = Group(name, posted.description, roles, posted.default_access, posted.contact_information)
    await _change(call, lambda t: access.put_group(t.connection, new))
    return answers.json(_shown_group(new, custom))


async def remove_group(call: Call) -> Response:
    """Delete a group."""
    name = call.params["id"]
    await _change(call, lambda t: access.remove_group(t.connection, name))
    return answers.json({"message": f"Deleted group '{name}'"})


async def group_users(call: Call) -> Response:
    """The users in a group."""
    known, name = await call.guard.directory(), call.params["id"]

    def read(connection: Connection) -> list[dict[str, Any]]:
        return [_find(connection, one, known) for one in access.members_of(connection, name)]

    return answers.json(await call.house.engine.database.read(read))


async def group_permissions(call: Call) -> Response:
    """What has been granted to a group."""
    name = call.params["id"]

    def read(connection: Connection) -> dict[str, Any]:
        access.read_group(connection, name)
        return _granted(connection, [Reference("GROUP", name)])

    return answers.json(await call.house.engine.database.read(read))


async def add_member(call: Call) -> Response:
    """Put a user into a group."""
    return await _each_member(call, [call.params["user"]], access.join_group)


async def remove_member(call: Call) -> Response:
    """Take a user out of a group."""
    return await _each_member(call, [call.params["user"]], access.leave_group)


async def add_members(call: Call) -> Response:
    """Put a list of users into a group: all or none."""
    return await _each_member(call, await call.json_list(), access.join_group)


async def remove_members(call: Call) -> Response:
    """Take a list of users out of a group."""
    return await _each_member(call, await call.json_list(), access.leave_group)


async def _each_member(
    call: Call, people: list[Any], change: Callable[[Connection, str, str], None]
) -> Response:
    name, custom = call.params["id"], (await call.guard.directory()).custom
    if len(people) > MAX_NAMES or not all(isinstance(one, str) for one in people):
        raise InvalidInput(f"Expected a list of at most {MAX_NAMES} ids, each a text")

    def put(transaction: Transaction) -> None:
        _grantable(call, access.read_group(transaction.connection, name).roles, custom)
        for one in people:
            change(transaction.connection, name, one)

    await _change(call, put)
    return answers.void()


# Roles.


async def roles(call: Call) -> Response:
    """All roles, those of the site's own among them."""
    custom = (await call.guard.directory()).custom
    return answers.json([shown_role(one, custom) for one in [*SYSTEM_ROLES, *custom]])


async def system_roles(_: Call) -> Response:
    """The roles that are always there, by name."""
    return answers.json({one: shown_role(one, {}) for one in SYSTEM_ROLES})


async def custom_roles(call: Call) -> Response:
    """The roles of the site's own."""
    custom = (await call.guard.directory()).custom
    return answers.json([shown_role(one, custom) for one in custom])


async def permissions(_: Call) -> Response:
    """All permissions that a role may have, by name: the Python SDK reads a map."""
    return answers.json({one.value: {"name": one.value} for one in Permission})


async def role(call: Call) -> Response:
    """One role."""
    custom, name = (await call.guard.directory()).custom, call.params["name"]
    if name not in SYSTEM_ROLES and name not in custom:
        raise NotFound(f"There is no role {name}")
    return answers.json(shown_role(name, custom))


async def create_role(call: Call) -> Response:
    """Make a role of the site's own."""
    posted = parse_access(await call.json_object(), PostedRole)
    name = checked_id("name", posted.name)
    if name in SYSTEM_ROLES or name in (await call.guard.directory()).custom:
        raise Conflict(f"The role {name} exists already")
    return await _put_role(call, name, posted)


async def update_role(call: Call) -> Response:
    """Change a role of the site's own."""
    name = call.params["name"]
    posted = parse_access(await call.json_object(), PostedRole)
    if name not in (await call.guard.directory()).custom:
        raise NotFound(f"There is no role {name} of this site's own")
    return await _put_role(call, name, posted)


async def _put_role(call: Call, name: str, posted: PostedRole) -> Response:
    allowed = checked_permissions(posted.permissions)
    if not allowed <= call.caller.permissions:
        raise AccessDenied(f"{call.caller.name} may not grant more than it may itself")
    await _change(call, lambda t: access.put_custom_role(t.connection, name, allowed))
    return answers.json(shown_role(name, {name: allowed}))


async def remove_role(call: Call) -> Response:
    """Delete a role of the site's own."""
    name = call.params["name"]
    await _change(call, lambda t: access.remove_custom_role(t.connection, name))
    return answers.json({"message": f"Deleted role '{name}'"})


# Grants.


async def grant(call: Call) -> Response:
    """Grant a user, a group or a role access to a target."""
    posted = checked_grant(parse_access(await call.json_object(), Grant))
    await _change(call, lambda t: access.put_grant(t.connection, posted))
    return answers.json({"message": "Granted permission"})


async def revoke(call: Call) -> Response:
    """Take access back from a user, a group or a role."""
    posted = checked_grant(parse_access(await call.json_object(), Grant))
    await _change(call, lambda t: access.remove_grant(t.connection, posted))
    return answers.json({"message": "Removed permission"})


async def grants(call: Call) -> Response:
    """Who has access to a target: by kind of access or, ``groupBy=subject``, by subject."""
    target = Reference(call.params["type"], call.params["id"])
    by_subject = call.text("groupBy", "access") == "subject"
    found = await call.house.engine.database.read(lambda c: access.grants_on(c, target))
    shown: dict[str, list[Any]] = {}
    for subject, kind in found:
        if by_subject:
            shown.setdefault(f"{subject.type}:{subject.id}", []).append(kind)
        else:
            shown.setdefault(kind, []).append(subject)
    return answers.json(shown)


async def subject_grants(call: Call) -> Response:
    """What has been granted to one user, group or role."""
    subject = Reference(call.params["type"].upper(), call.params["id"])
    wanted = call.text("resourceType")
    found = await call.house.engine.database.read(lambda c: access.grants_to(c, subject))
    return answers.json(
        [
            {"target": target, "access": kinds}
            for target, kinds in found
            if wanted is None or target.type == wanted
        ]
    )


def _grantable(call: Call, names: list[str], custom: Custom) -> list[str]:
    """Roles that exist and allow no more than the caller may itself.

    Raises:
        InvalidInput: there is no such role.
        AccessDenied: together they allow more.
    """
    found = checked_roles(names, custom)
    if not permissions_of(found, custom) <= call.caller.permissions:
        raise AccessDenied(f"{call.caller.name} may not grant more than it may itself")
    return found


def _find(connection: Connection, person: str, known: Directory) -> dict[str, Any]:
    """A user by id, also one that stands for an application. Raises NotFound."""
    application = person.removeprefix("app:")
    if application != person and application in known.applications:
        return shown_application(connection, application, known)
    return _shown_user(connection, access.read_user(connection, person), known.custom)


def shown_application(connection: Connection, application: str, known: Directory) -> dict[str, Any]:
    """The user that stands for an application, as answers show it."""
    own = access.application_roles(connection, application)
    shown = User(
        application_user(application), known.applications[application].name, own, application
    )
    return {**_shown_user(connection, shown, known.custom), "applicationUser": True}


def _shown_user(connection: Connection, one: User, custom: Custom) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "roles": _shown_roles(one.roles, custom),
        "groups": [_shown_group(g, custom) for g in access.groups_of(connection, one.id)],
        "uuid": one.uuid,
        "applicationUser": False,
        "contactInformation": one.contact_information,
    }


def _shown_group(one: Group, custom: Custom) -> dict[str, Any]:
    return {
        "id": one.id,
        "description": one.description,
        "roles": _shown_roles(one.roles, custom),
        "defaultAccess": one.default_access,
        "contactInformation": one.contact_information,
    }


def _shown_roles(names: Iterable[str], custom: Custom) -> list[Role]:
    return [shown_role(one, custom) for one in names]


def _subjects_of(connection: Connection, person: str) -> list[Reference]:
    own = [Reference("GROUP", one.id) for one in access.groups_of(connection, person)]
    return [Reference("USER", person), *own]


def _granted(connection: Connection, subjects: list[Reference]) -> dict[str, Any]:
    found = [
        {"target": target, "access": kinds}
        for subject in subjects
        for target, kinds in access.grants_to(connection, subject)
    ]
    return {"grantedAccess": found}


async def _change(call: Call, change: Callable[[Transaction], T]) -> T:
    """Change something, and judge the next request by what is then."""
    try:
        return await call.house.engine.request(change)
    finally:
        call.guard.forget()
