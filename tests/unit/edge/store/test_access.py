"""Applications, keys, people and grants in the database: what goes, goes with all that is its."""

from __future__ import annotations

import sqlite3

import pytest

from edge.model.access import (
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
from edge.store import access
from edge.store.migrations import migrate

_FLOW = Reference("WORKFLOW_DEF", "flow")


@pytest.fixture
def connection() -> sqlite3.Connection:
    """A database with one application that has a key."""
    opened = sqlite3.connect(":memory:")
    migrate(opened)
    access.put_application(opened, Application("app-1", "worker", "me", "me", 5, 5))
    access.put_key(opened, "app-1", "key-1", salt=bytes(16), digest=bytes(32), now_ms=7)
    return opened


def test_an_application_and_its_keys(connection: sqlite3.Connection) -> None:
    """Renamed, switched, and gone with everything that is its."""
    access.put_application(connection, Application("app-1", "other", "x", "you", 9, 9))
    access.put_application_roles(connection, "app-1", ["WORKER"])
    access.put_application_tags(connection, "app-1", [Tag("a", "b")])
    user = application_user("app-1")
    access.put_group(connection, Group("people"))
    access.join_group(connection, "people", user)
    access.put_grant(connection, Grant(Reference("USER", user), _FLOW, ["READ"]))

    assert Application("app-1", "other", "me", "you", 5, 9) == access.owner_of(connection, "key-1")
    assert ["WORKER"] == access.application_roles(connection, "app-1")
    assert [Tag("a", "b")] == access.application_tags(connection, "app-1")
    assert ("INACTIVE", "ACTIVE") == tuple(
        access.toggle_key(connection, "app-1", "key-1").status for _ in range(2)
    )
    access.remove_application(connection, "app-1")
    assert [] == access.read_applications(connection)
    assert [] == access.members_of(connection, "people")
    assert [] == access.grants_on(connection, _FLOW)
    with pytest.raises(NotFound):
        access.owner_of(connection, "key-1")


def test_the_directory(connection: sqlite3.Connection) -> None:
    """Roles of an application are its own and those of its groups; unknown permissions are none."""
    access.put_application_roles(connection, "app-1", ["WORKER"])
    access.put_group(connection, Group("people", roles=["USER", "WORKER"]))
    access.join_group(connection, "people", application_user("app-1"))
    access.put_custom_role(connection, "looker", frozenset({Permission.WORKFLOW_VIEW}))
    connection.execute('UPDATE custom_role SET permissions = \'["WORKFLOW_VIEW", "FLY"]\'')
    known = access.read_directory(connection)

    assert {"app-1": ["WORKER", "USER"]} == known.roles
    assert {"looker": frozenset({Permission.WORKFLOW_VIEW})} == known.custom
    assert known.keys["key-1"].active
    assert "worker" == known.applications["app-1"].name


def test_people_and_groups(connection: sqlite3.Connection) -> None:
    """Memberships need both sides, and end with either."""
    access.put_user(connection, User("ada", "Ada"))
    access.put_group(connection, Group("roof"))
    access.join_group(connection, "roof", "ada")
    access.join_group(connection, "roof", "ada")

    assert ["ada"] == access.members_of(connection, "roof")
    assert ["roof"] == [one.id for one in access.groups_of(connection, "ada")]
    for group, person in (("roof", "bob"), ("none", "ada"), ("roof", "app:none")):
        with pytest.raises(NotFound):
            access.join_group(connection, group, person)
    access.leave_group(connection, "roof", "nobody")
    access.remove_group(connection, "roof")
    assert [] == access.groups_of(connection, "ada")
    access.put_group(connection, Group("roof"))
    access.join_group(connection, "roof", "ada")
    access.remove_user(connection, "ada")
    assert [] == access.members_of(connection, "roof")


def test_grants_from_both_ends(connection: sqlite3.Connection) -> None:
    """Granted twice is granted once, and revoked is gone."""
    ada = Reference("USER", "ada")
    access.put_grant(connection, Grant(ada, _FLOW, ["READ", "EXECUTE"]))
    access.put_grant(connection, Grant(ada, _FLOW, ["READ"]))
    access.put_grant(connection, Grant(Reference("ROLE", "looker"), _FLOW, ["READ"]))
    access.put_custom_role(connection, "looker", frozenset())

    assert [(_FLOW, ["EXECUTE", "READ"])] == access.grants_to(connection, ada)
    assert [(ada, "EXECUTE"), (Reference("ROLE", "looker"), "READ"), (ada, "READ")] == (
        access.grants_on(connection, _FLOW)
    )
    access.remove_grant(connection, Grant(ada, _FLOW, ["READ", "DELETE"]))
    access.remove_custom_role(connection, "looker")
    assert [(ada, "EXECUTE")] == access.grants_on(connection, _FLOW)


def test_what_is_not_there(connection: sqlite3.Connection) -> None:
    """Each question says so."""
    for ask in (
        lambda: access.read_application(connection, "none"),
        lambda: access.remove_application(connection, "none"),
        lambda: access.application_roles(connection, "none"),
        lambda: access.put_application_roles(connection, "none", []),
        lambda: access.application_tags(connection, "none"),
        lambda: access.put_application_tags(connection, "none", []),
        lambda: access.read_keys(connection, "none"),
        lambda: access.read_key(connection, "app-1", "none"),
        lambda: access.toggle_key(connection, "app-1", "none"),
        lambda: access.remove_key(connection, "app-1", "none"),
        lambda: access.put_key(connection, "none", "k", salt=bytes(16), digest=bytes(32), now_ms=0),
        lambda: access.read_user(connection, "none"),
        lambda: access.remove_user(connection, "none"),
        lambda: access.read_group(connection, "none"),
        lambda: access.remove_group(connection, "none"),
        lambda: access.remove_custom_role(connection, "none"),
    ):
        with pytest.raises(NotFound):
            ask()
