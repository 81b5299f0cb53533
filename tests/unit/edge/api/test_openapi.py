"""The document tells of every route and of nothing else, and real answers are as it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import openapi_spec_validator
import pytest

from edge.api import openapi, shapes
from edge.api.access_routes import ACCESS_ROUTES
from edge.api.app import ROUTES
from edge.api.operations import COMPONENT_NAMES, GROUPS, NOTES, PARAMETER_TEXTS
from edge.api.routing import Route, Table
from edge.model.schedules import ExecutionState, ScheduleExecution
from edge.store import schedules as store
from tests.unit.edge.api.device import Device, run
from tests.unit.edge.api.guarded import SECRET, Guarded, run_guarded

ALL = [*ROUTES, *ACCESS_ROUTES]
"""What a device has that asks for a token."""

_DOCUMENT = openapi.describe(ALL, "1.2.3")


def _operations() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (verb.upper(), path): operation
        for path, verbs in _DOCUMENT["paths"].items()
        for verb, operation in verbs.items()
    }


def test_it_is_valid_openapi() -> None:
    """A stock validator has nothing to say."""
    openapi_spec_validator.validate(_DOCUMENT)

    assert "3.1.0" == _DOCUMENT["openapi"]
    assert "1.2.3" == _DOCUMENT["info"]["version"]


def test_every_route_is_in_it_and_nothing_else() -> None:
    """The document is the table, seen from outside."""
    found = [(route.method, path) for route, path in openapi.placed(ALL)]

    assert sorted(found) == sorted(_operations())


def test_no_two_paths_are_the_same_but_for_names() -> None:
    """OpenAPI forbids it; a start by name and a look by id share one path."""
    plain = [re.sub(r"{\w+}", "{}", path) for path in _DOCUMENT["paths"]]
    start = _operations()["POST", "/api/workflow/{id}"]

    assert len(plain) == len(set(plain))
    assert "Start a workflow by name, the body being its input" == start["summary"]
    assert ("id", "path", "name") == tuple(
        start["parameters"][0][key] for key in ("name", "in", "description")
    )


def test_every_path_leads_to_its_endpoint() -> None:
    """What is documented can be asked: the table finds the same route again."""
    table = Table(ALL)
    for route, path in openapi.placed(ALL):
        # No literal of any route is called so.
        filled = re.sub(r"{(\w+)}", r"some-\1", path)

        assert route is table.match(route.method, filled).route


def test_every_operation_says_what_it_does() -> None:
    """Each has a name of its own, a summary, a heading, and an answer for the good case."""
    names = [operation["operationId"] for operation in _operations().values()]
    findings = [
        key
        for key, operation in _operations().items()
        if not operation["summary"]
        or not operation["tags"]
        or not any(status.startswith(("2", "3")) for status in operation["responses"])
    ]

    assert len(names) == len(set(names))
    assert [] == findings


def test_notes_are_of_endpoints_that_exist() -> None:
    """A note, a name or a heading goes when what it tells of goes."""
    endpoints = {route.endpoint for route in ALL}
    patterns = [route.pattern.strip("/") for route in ALL]
    parameters = {
        parameter["name"]
        for operation in _operations().values()
        for parameter in operation["parameters"]
    }

    assert set() == set(NOTES) - endpoints
    assert set() == set(PARAMETER_TEXTS) - parameters
    assert set() == {
        known
        for known in GROUPS
        if not any(one == known or one.startswith(f"{known}/") for one in patterns)
    }
    assert set() == set(COMPONENT_NAMES.values()) - set(_DOCUMENT["components"]["schemas"])


def test_no_shape_is_left_over() -> None:
    """A shape that only the document knows goes when no operation answers it any more."""
    shown = set(_DOCUMENT["components"]["schemas"])
    own = {
        name
        for name, one in vars(shapes).items()
        if getattr(one, "__module__", "") == shapes.__name__
    }

    assert set() == {COMPONENT_NAMES.get(name, name) for name in own} - shown


def test_an_endpoint_without_notes_is_documented() -> None:
    """The docstring and the source are enough."""
    route = next(one for one in ROUTES if one.pattern == "/api/workflow/{id}/pause")
    document = openapi.describe([Route("PUT", "/api/odd-things/{name}", route.endpoint)], "1")
    (operation,) = document["paths"]["/api/odd-things/{name}"].values()

    assert "Stop scheduling what comes next" == operation["summary"]
    assert ["Odd things"] == operation["tags"]
    assert ["name"] == [one["name"] for one in operation["parameters"]]
    openapi_spec_validator.validate(document)


@pytest.mark.parametrize("what", ["secrets", "environment"])
def test_bodies_of_tags_are_told(what: str) -> None:
    """Also where secrets and variables have the same endpoints in common."""
    path = f"/api/{what}/{{key}}/tags"
    operations = _operations()

    for method in ("PUT", "DELETE"):
        (content,) = operations[method, path]["requestBody"]["content"].values()
        assert [{"key": "team", "value": "roof"}] in (content["example"], [content["example"]])
    assert f"{what}_get_tags" == operations["GET", path]["operationId"]


def _fault(method: str, pattern: str, response: httpx.Response) -> str | None:
    """What an answer has that the document does not say of it; None = nothing."""
    path = next(p for r, p in openapi.placed(ALL) if (r.method, r.pattern) == (method, pattern))
    said = _operations()[method, path]["responses"]
    answer = said.get(str(response.status_code), said["default"])
    kind = response.headers.get("content-type", "").partition(";")[0]
    if not response.content:
        return None
    content = answer.get("content", {})
    if kind not in content and "*/*" not in content:
        return f"{kind} is none of {list(content)}"
    schema = content.get(kind, {}).get("schema")
    if kind != "application/json" or schema is None:
        return None
    whole = {**schema, "components": _DOCUMENT["components"]}
    errors = list(jsonschema_rs.Draft202012Validator(whole).iter_errors(response.json()))
    return "; ".join(f"{error.instance_path}: {error.message[:200]}" for error in errors) or None


class _Watched:
    """Holds every answer that goes to a client against the document."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.seen: set[tuple[str, str]] = set()
        self._table = Table(ALL)

    async def __call__(self, response: httpx.Response) -> None:
        await response.aread()
        request = response.request
        route = self._table.match(request.method, request.url.raw_path.decode().split("?")[0]).route
        fault = _fault(route.method, route.pattern, response)
        if fault is not None:
            self.faults.append(f"{request.method} {request.url.path}: {fault}")
        if response.status_code < 300:
            self.seen.add((route.method, route.pattern))


def test_real_answers_are_as_documented(tmp_path: Path) -> None:
    """Every operation with a shape is asked, and what comes back holds it; refusals too."""

    async def body(device: Guarded) -> None:
        watched = _Watched()
        device.client.event_hooks["response"].append(watched)
        device.house.devices = lambda: [
            {"name": "cam", "driver": "simulated", "status": {"state": "online"}}
        ]
        await device.register()
        await _ask_everything(device)
        await _ask_for_upkeep(device)
        await _ask_for_schedules(device)
        await _ask_about_access(device)
        asked_for = {
            (route.method, route.pattern)
            for route in ALL
            if route.endpoint in NOTES and NOTES[route.endpoint].answer is not None
        }

        assert [] == watched.faults
        assert set() == asked_for - watched.seen

    run_guarded(tmp_path, body)


def test_what_an_operation_needs_is_told() -> None:
    """Where a token is asked for, and only there."""
    plain = openapi.describe(ROUTES, "1")
    start = _operations()["POST", "/api/workflow"]

    assert "securitySchemes" not in plain["components"]
    assert "security" not in plain["paths"]["/api/workflow"]["post"]
    assert "X-Authorization" == _DOCUMENT["components"]["securitySchemes"]["token"]["name"]
    assert [{"token": []}] == start["security"]
    assert start["description"].endswith("Needs WORKFLOW_MANAGEMENT.")
    assert [] == _operations()["POST", "/api/token"]["security"]


async def _ask_about_access(device: Guarded) -> None:
    """One good request for each operation about keys and people, and a refusal."""
    application, key, _ = await device.application("USER")
    await device.call("PUT", "/groups/roof", json={"description": "d", "roles": ["USER"]})
    await device.call("PUT", "/users/ada", json={"name": "Ada", "groups": ["roof"]})
    await device.call("POST", "/roles", json={"name": "looker", "permissions": ["METADATA_VIEW"]})
    await device.call("PUT", "/roles/looker", json={"permissions": []})
    await device.call("PUT", f"/applications/{application}", json={"name": "other"})
    await device.call("PUT", f"/applications/{application}/tags", json=[{"key": "a"}])
    await device.call("POST", f"/applications/{application}/accessKeys/{key}/status", json={})
    await device.call("POST", "/v1/view-token", json={})
    grant = {
        "subject": {"type": "USER", "id": "ada"},
        "target": {"type": "WORKFLOW_DEF", "id": "flow"},
        "access": ["READ"],
    }
    await device.call("POST", "/auth/authorization", json=grant)
    for path in (
        "/token/userInfo", "/applications", f"/applications/{application}",
        f"/applications/{application}/accessKeys", f"/applications/{application}/tags",
        f"/applications/key/{key}", "/users?apps=true", "/users/ada", "/users/ada/permissions",
        "/users/ada/checkPermissions?type=WORKFLOW_DEF&id=flow", "/groups", "/groups/roof",
        "/groups/roof/users", "/groups/roof/permissions", "/roles", "/roles/system",
        "/roles/custom", "/roles/permissions", "/roles/looker",
        "/auth/authorization/WORKFLOW_DEF/flow", "/auth/subjects/USER/ada/grants",
    ):  # fmt: skip
        await device.call("GET", path)
    await device.call("DELETE", "/auth/authorization", json=grant)
    for path in ("/users/ada", "/groups/roof", "/roles/looker", f"/applications/{application}"):
        await device.call("DELETE", path)
    await device.as_("root-key", SECRET)
    await device.call("POST", "/token", json={"keyId": "root-key", "keySecret": "wrong"})
    await device.call("GET", "/users", headers={"X-Authorization": "none"})


async def _ask_everything(device: Device) -> None:
    """One good request at least for each operation whose answer has a shape."""
    first = await device.started(input={"x": 1}, correlationId="c", createdBy="me")
    task = await device.claimed("workerid=me&domain=")
    await device.call("GET", "/tasks/poll/work?workerid=me")
    await device.call("POST", f"/tasks/{task['taskId']}/log", content="a line")
    for kind in ("workflow/flow", "task/work"):
        await device.call("POST", f"/metadata/{kind}/tags", json={"key": "a", "value": "b"})
    for path in (
        "/metadata/workflow/flow/tags",
        "/metadata/task/work/tags",
        "/metadata/tags",
        "/metadata/tags/grouped",
        "/metadata/tags/workflow/flow",
        "/metadata/tags/resources?tagKey=a&tagValue=b&resourceType=TASK_DEF",
        "/metadata/workflow?metadata=true",
        f"/tasks/{task['taskId']}", f"/tasks/{task['taskId']}/log", "/tasks/queue/sizes?taskType=work",
        "/tasks/queue/size?taskType=work", "/tasks/queue/all", "/tasks/queue/all/verbose",
        "/tasks/queue/polldata?taskType=work", "/tasks/queue/polldata/all", f"/workflow/{first}",
        f"/workflow/{first}/status?includeOutput=true", f"/workflow/{first}/tasks",
        "/workflow/running/flow", "/workflow/flow/correlated/c?includeTasks=true",
        "/workflow/search", "/workflow/search-v2", "/metadata/workflow", "/metadata/workflow/flow",
        "/metadata/workflow/names", "/metadata/workflow/names-and-versions",
        "/metadata/workflow/latest-versions", "/metadata/workflow/flow/versions",
        "/metadata/taskdefs", "/metadata/taskdefs/work", "/health", "/v1/devices", "/v1/sync",
        "/version", "/workflow/none", "/tasks/none", "/workflow/search?query=(",
    ):  # fmt: skip
        await device.call("GET", path)
    await device.client.get("/health")
    start = {"action": "start_workflow", "start_workflow": {"name": "flow"}}
    handler = {
        "name": "h",
        "event": "e",
        "active": True,
        "actions": [start],
        "tags": [{"key": "k"}],
    }
    await device.call("POST", "/event", json=handler)
    await device.call("POST", "/event/handleIncomingEvent", json={"event": "e"})
    for path in ("", "/e", "/handler", "/handler/h", "/handler/none", "/h/tags", "/execution/h"):
        await device.call("GET", f"/event{path}")
    await device.call("POST", "/workflow/flow/correlated", json=["c"])
    await device.call("PUT", "/metadata/workflow", json=[{"name": "other", "tasks": []}])
    for verb, act in (
        ("PUT", "pause"), ("PUT", "resume"), ("POST", "terminate"), ("POST", "retry"),
        ("POST", "terminate"), ("POST", "restart"),
    ):  # fmt: skip
        await device.call(verb, f"/workflow/bulk/{act}", json=[first, "none"])
    for _ in range(2):
        await device.started()
    await device.finish(await device.claimed(), "/tasks/update-v2", outputData={"a": None})
    reports = [{"workflowInstanceId": first, "taskId": first, "status": "COMPLETED"}]
    await device.call("POST", "/tasks/bulk", json=reports)
    second = await device.started()
    await device.call("POST", f"/tasks/{second}/first/COMPLETED/sync", json={"b": 1})
    await device.call("POST", "/metadata/workflow", json={"name": "", "tasks": [{}]})


async def _ask_for_upkeep(device: Device) -> None:
    """The same for searches by and of tasks, for administration and for what is removed."""
    first = await device.started(correlationId="c")
    for path in (
        "/workflow/search-by-tasks", "/workflow/search-by-tasks-v2", "/tasks/search",
        "/tasks/search-v2", "/admin/config", "/admin/task/work", "/tasks/search?query=(",
    ):  # fmt: skip
        await device.call("GET", path)
    batch = {"workflowNames": ["flow"], "correlationIds": ["c"]}
    await device.call("POST", "/workflow/correlated/batch?includeTasks=true", json=batch)
    await device.call("POST", f"/tasks/{first}/ack")
    await device.call("DELETE", "/workflow/bulk/terminate-remove", json=[first, "none"])
    await device.call("DELETE", "/workflow/bulk/remove", json=[first, "none"])
    await device.call("POST", "/workflow/bulk/delete", json=[first])
    await device.call("GET", f"/workflow/{first}")


async def _ask_for_schedules(device: Device) -> None:
    """The same for schedules, of which one has had a tick."""
    at = "/scheduler/schedules"
    request = {"name": "flow", "input": {"x": None}}
    schedule = {
        "name": "s", "startWorkflowRequest": request, "tags": [{"key": "k"}],
        "cronSchedules": [{"cronExpression": "@daily"}],
    }  # fmt: skip
    await device.call("POST", at, json=schedule)
    tick = ScheduleExecution("i", "s", "flow", ExecutionState.EXECUTED, 1, 2, "UTC", "w")
    await device.house.engine.request(lambda t: store.add_execution(t.connection, tick, 1))
    for path in (
        at, f"{at}/s", f"{at}/search", f"{at}/tags?tag=k", f"{at}/s/tags", f"{at}/none",
        "/scheduler/search/executions", "/scheduler/nextFewSchedules?cronExpression=@daily",
    ):  # fmt: skip
        await device.call("GET", path)
    for act in ("pause", "resume"):
        await device.call("PUT", f"/scheduler/bulk/{act}", json=["s", "none"])
    await device.call("POST", at, json={**schedule, "zoneId": "Mars"})


@pytest.mark.parametrize("path", ["/api-docs", "/api-docs/"])
def test_it_is_served(tmp_path: Path, path: str) -> None:
    """Built once, and the same bytes after that."""

    async def body(device: Device) -> None:
        first = await device.client.get(path)
        again = await device.client.get(path)

        assert (200, "application/json") == (first.status_code, first.headers["content-type"])
        assert first.content == again.content
        assert set(openapi.describe(ROUTES, "1")["paths"]) == set(first.json()["paths"])

    run(tmp_path, body)
