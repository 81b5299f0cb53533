"""Every operation needs what the table says, and what the table does not name is not for all."""

from __future__ import annotations

import pytest

from edge.api.access_routes import ACCESS_ROUTES
from edge.api.app import ROUTES
from edge.api.rights import RULES, Need, Rule, _fits, need_of
from edge.model.access import Permission


@pytest.mark.parametrize(
    ("method", "pattern", "need"),
    [
        ("GET", "/health", Need.NOTHING),
        ("GET", "/metrics", Need.NOTHING),
        ("GET", "/api/health", Need.NOTHING),
        ("GET", "/api/version", Need.NOTHING),
        ("POST", "/api/token", Need.NOTHING),
        ("GET", "/api/token/userInfo", Need.TOKEN),
        ("GET", "/api/tasks/poll/batch/{type}", Permission.TASK_EXECUTION),
        ("POST", "/api/tasks", Permission.TASK_EXECUTION),
        ("POST", "/api/tasks/update-v2", Permission.TASK_EXECUTION),
        ("POST", "/api/tasks/{task}/log", Permission.TASK_EXECUTION),
        ("GET", "/api/tasks/{task}", Permission.WORKFLOW_VIEW),
        ("POST", "/api/tasks/{workflow}/{ref}/{status}", Permission.WORKFLOW_MANAGEMENT),
        ("POST", "/api/workflow", Permission.WORKFLOW_MANAGEMENT),
        ("POST", "/api/workflow/{name}/correlated", Permission.WORKFLOW_VIEW),
        ("DELETE", "/api/workflow/{id}/remove", Permission.WORKFLOW_MANAGEMENT),
        ("PUT", "/api/metadata/taskdefs", Permission.METADATA_MANAGEMENT),
        ("GET", "/api/metadata/workflow", Permission.METADATA_VIEW),
        ("GET", "/api/secrets", Permission.METADATA_VIEW),
        ("POST", "/api/secrets", Permission.METADATA_VIEW),
        ("GET", "/api/secrets/{key}", Permission.SECRET_MANAGEMENT),
        ("PUT", "/api/secrets/{key}", Permission.SECRET_MANAGEMENT),
        ("GET", "/api/secrets/{key}/exists", Permission.METADATA_VIEW),
        ("POST", "/api/applications", Permission.APPLICATION_MANAGEMENT),
        ("GET", "/api/users", Permission.USER_MANAGEMENT),
        ("GET", "/api/v1/stream", Permission.WORKFLOW_VIEW),
        ("POST", "/api/v1/view-token", Need.TOKEN),
        ("POST", "/api/v1/something", Permission.ADMIN_MANAGEMENT),
        ("GET", "/api/something/new", Permission.ADMIN_MANAGEMENT),
        ("PATCH", "/api", Permission.ADMIN_MANAGEMENT),
    ],
)
def test_needs(method: str, pattern: str, need: Permission | Need) -> None:
    """By method and path, the first line that fits."""
    assert need is need_of(method, pattern)


def test_few_operations_of_the_api_ask_for_nothing() -> None:
    """Whatever is added to the table of routes later; files ask for the ticket in their address."""
    open_ = {
        (route.method, route.pattern)
        for route in [*ROUTES, *ACCESS_ROUTES]
        if route.pattern.startswith("/api/")
        and need_of(route.method, route.pattern) is Need.NOTHING
    }

    assert {
        ("GET", "/api/health"),
        ("GET", "/api/version"),
        ("POST", "/api/token"),
        ("GET", "/api/v1/payloads/{path...}"),
        ("PUT", "/api/v1/payloads/{path...}"),
        ("GET", "/api/files/content/{workflow}/{file}"),
        ("PUT", "/api/files/content/{workflow}/{file}"),
    } == open_


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.path} {sorted(rule.methods)}")
def test_no_line_of_the_table_is_hidden(rule: Rule) -> None:
    """A rule that another one above it always meets first is a mistake in the order."""
    plain = rule.path.removesuffix("$").replace("*", "{any}")
    below = [plain] if rule.path.endswith("$") else [plain, f"{plain}/{{any}}/odd/end"]

    assert rule.need in {need_of(method, path) for method in rule.methods for path in below}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.path} {sorted(rule.methods)}")
def test_every_line_of_the_table_is_of_some_operation(rule: Rule) -> None:
    """A line that no route meets protects nothing, and looks as if it did."""
    counting = [
        next(
            one
            for one in RULES
            if route.method in one.methods and _fits(one.path, route.pattern[1:].split("/"))
        )
        for route in [*ROUTES, *ACCESS_ROUTES]
        if route.pattern.startswith("/api/")
    ]

    assert rule in counting


def test_looking_changes_nothing() -> None:
    """A role that only looks meets no operation that changes anything."""
    changing = [
        (route.method, route.pattern)
        for route in [*ROUTES, *ACCESS_ROUTES]
        if (route.method in ("PUT", "DELETE") or route.pattern.endswith(("/pause", "/resume")))
        and need_of(route.method, route.pattern)
        in (Permission.WORKFLOW_VIEW, Permission.METADATA_VIEW)
    ]

    assert [] == changing
