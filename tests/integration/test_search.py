"""Searches by the stock Conductor SDK, and retention, against a real daemon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conductor.client.configuration.configuration import Configuration
from conductor.client.http.models.start_workflow_request import StartWorkflowRequest
from conductor.client.http.rest import ApiException
from conductor.client.orkes_clients import OrkesClients

from tests.daemon import Daemon

pytestmark = pytest.mark.timeout(90)

_STEP = {"name": "look", "taskReferenceName": "look", "type": "HUMAN"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with one workflow, which waits for a person."""
    with Daemon(tmp_path_factory.mktemp("search") / "data") as running:
        definition = {"name": "order", "version": 1, "tasks": [_STEP], "ownerEmail": "a@b.invalid"}
        running.call("POST", "/metadata/workflow", definition)
        yield running


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Any:
    """The SDK's client of workflows."""
    configuration = Configuration(server_api_url=f"{daemon.url}/api")
    return OrkesClients(configuration=configuration).get_workflow_client()


def _start(client: Any, correlation_id: str, values: dict[str, Any]) -> str:
    request = StartWorkflowRequest(
        name="order", version=1, input=values, correlation_id=correlation_id
    )
    return str(client.start_workflow(request))


def test_the_sdk_finds_executions(client: Any, daemon: Daemon) -> None:
    """Lines with all their fields, pages, free text; the total, which it does not read, counts all."""
    ids = [_start(client, "sdk", {"n": number, "text": "Grüße"}) for number in range(3)]
    client.terminate_workflow(ids[0], reason="not needed")

    found = client.search(query="correlationId = 'sdk' AND workflowType IN (order, other)", size=2)
    ended = client.search(query="correlationId = sdk AND status = TERMINATED")
    by_text = client.search(free_text=f'"{ids[1]}"', query="")
    umlaut = client.search(query="correlationId = sdk", free_text="grüSSe".replace("SS", "ß"))

    assert [ids[2], ids[1]] == [one.workflow_id for one in found.results]
    (line,) = ended.results
    assert (ids[0], "TERMINATED", "not needed") == (
        line.workflow_id, line.status, line.reason_for_incompletion
    )  # fmt: skip
    assert line.end_time.endswith("Z")
    assert [ids[1]] == [one.workflow_id for one in by_text.results]
    assert 3 == len(umlaut.results)
    whole = daemon.call("GET", "/workflow/search?query=correlationId=sdk&size=1")
    assert (3, 1) == (whole["totalHits"], len(whole["results"]))
    with pytest.raises(ApiException, match="Incorrectly formatted query string"):
        client.search(query="status ~ FAILED")
    tasks = daemon.call("GET", f"/tasks/search?query=workflowId={ids[1]}")
    assert "IN_PROGRESS" == tasks["results"][0]["status"]


def test_the_sdk_removes_executions(client: Any) -> None:
    """A copy is found and shown unless none is wanted."""
    kept, gone = _start(client, "rm", {}), _start(client, "rm", {})
    for one in (kept, gone):
        client.terminate_workflow(one)
    client.delete_workflow(kept, archive_workflow=True)
    client.delete_workflow(gone, archive_workflow=False)

    assert "TERMINATED" == client.get_workflow(kept, include_tasks=True).status
    found = client.search(query="correlationId = rm")
    assert [kept] == [one.workflow_id for one in found.results]
    with pytest.raises(ApiException) as caught:
        client.get_workflow(gone)
    assert 404 == caught.value.status


def test_old_executions_go_by_themselves(tmp_path: Path) -> None:
    """With the limits of the configuration, after a start of the daemon; what runs stays."""
    config = "[retention]\nmax_count = 1\n"
    with Daemon(tmp_path / "data") as daemon:
        definition = {"name": "order", "version": 1, "tasks": [_STEP], "ownerEmail": "a@b.invalid"}
        daemon.call("POST", "/metadata/workflow", definition)
        ids = [daemon.call("POST", "/workflow/order", {}) for _ in range(4)]
        for one in ids[:3]:
            daemon.call("DELETE", f"/workflow/{one}")
        assert 0 == daemon.stop()
    with Daemon(tmp_path / "data", config=config) as daemon:
        deadline = time.monotonic() + 60
        left: list[str] = []
        while time.monotonic() < deadline and len(left) != 2:
            answer = daemon.call("GET", "/workflow/search")
            left = [one["workflowId"] for one in answer["results"]]
            time.sleep(0.05)
        shown = daemon.call("GET", "/admin/config")

    assert [ids[3], ids[2]] == left
    assert "1" == shown["retention.max_count"]
