"""Roles allow what their permissions say, and nothing that nobody knows."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.access import (
    SYSTEM_ROLES,
    Credentials,
    Grant,
    Permission,
    Reference,
    checked_grant,
    checked_id,
    checked_permissions,
    checked_roles,
    parse_access,
    permissions_of,
    shown_role,
)
from edge.model.errors import InvalidInput

_CUSTOM = {"looker": frozenset({Permission.WORKFLOW_VIEW})}


def test_the_system_roles() -> None:
    """An administrator may do everything, a reader changes nothing, a worker works."""
    changing = frozenset(Permission) - {Permission.WORKFLOW_VIEW, Permission.METADATA_VIEW}

    assert frozenset(Permission) == SYSTEM_ROLES["ADMIN"]
    assert not SYSTEM_ROLES["USER_READ_ONLY"] & changing
    assert {Permission.TASK_EXECUTION} == SYSTEM_ROLES["WORKER"] & changing
    assert Permission.TASK_EXECUTION not in SYSTEM_ROLES["WORKFLOW_MANAGER"]
    assert Permission.METADATA_MANAGEMENT not in SYSTEM_ROLES["WORKFLOW_MANAGER"]
    assert Permission.WORKFLOW_MANAGEMENT not in SYSTEM_ROLES["METADATA_MANAGER"]
    assert ["ADMIN"] == [
        name for name, own in SYSTEM_ROLES.items() if Permission.USER_MANAGEMENT in own
    ]


def test_roles_together() -> None:
    """They add up; a role that is gone allows nothing."""
    both = permissions_of(["WORKER", "looker", "gone"], _CUSTOM)

    assert SYSTEM_ROLES["WORKER"] | {Permission.WORKFLOW_VIEW} == both
    assert frozenset() == permissions_of([], _CUSTOM)
    assert ["WORKFLOW_VIEW"] == [one.name for one in shown_role("looker", _CUSTOM).permissions]


@pytest.mark.parametrize(
    ("check", "what"),
    [
        (lambda: checked_roles(["ADMIN", "KING"], _CUSTOM), "KING"),
        (lambda: checked_permissions(["EVERYTHING"]), "EVERYTHING"),
        (lambda: checked_id("name", " "), "name"),
        (lambda: checked_id("name", "a\nb"), "name"),
        (lambda: checked_id("name", "a" * 501), "name"),
        (lambda: parse_access({"keyId": 5}, Credentials), "keyId"),
        (lambda: parse_access([], Credentials), "object"),
        (lambda: checked_grant(_grant("CAMERA", ["READ"])), "subject.type"),
        (lambda: checked_grant(_grant("USER", ["LOOK"])), "LOOK"),
    ],
)
def test_what_nobody_knows_is_refused(check: Any, what: str) -> None:
    """The message names it."""
    with pytest.raises(InvalidInput, match=what):
        check()


def _grant(subject: str, access: list[str]) -> Grant:
    return Grant(Reference(subject, "a"), Reference("WORKFLOW_DEF", "flow"), access)


def test_grants_are_written_in_capitals() -> None:
    """As clients write them in small letters too."""
    assert _grant("GROUP", ["READ", "EXECUTE"]) == checked_grant(
        _grant("group", ["read", "EXECUTE", "READ"])
    )


def test_nulls_are_defaults() -> None:
    """As everywhere on this wire."""
    assert Credentials("a") == parse_access({"keyId": "a", "keySecret": None}, Credentials)
    assert ["ADMIN"] == checked_roles(["ADMIN", "ADMIN"], {})
