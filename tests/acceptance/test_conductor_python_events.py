"""The stock Conductor SDK's client for events, unmodified, against a real daemon."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from conductor.client.configuration.configuration import Configuration
from conductor.client.event.event_client import EventClient
from conductor.client.http.api.event_resource_api import EventResourceApi
from conductor.client.http.api_client import ApiClient
from conductor.client.http.models.action import Action
from conductor.client.http.models.event_handler import EventHandler
from conductor.client.http.models.start_workflow import StartWorkflow
from conductor.client.http.rest import ApiException
from conductor.client.orkes_clients import OrkesClients
from conductor.client.workflow.conductor_workflow import ConductorWorkflow
from conductor.client.workflow.executor.workflow_executor import WorkflowExecutor
from conductor.client.workflow.task.event_task import ConductorEventTask
from conductor.client.workflow.task.wait_task import WaitTask

from tests.daemon import Daemon

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("conductor-python")]


def _handler(**fields: Any) -> EventHandler:
    action = Action(
        action="start_workflow",
        start_workflow=StartWorkflow(name="sdk_heard", version=1, input={"n": "${n}"}),
    )
    return EventHandler(
        name="sdk_handler", event="conductor:sdk_says:told", actions=[action], **fields
    )


def test_handlers_by_the_stock_client(tmp_path: Path) -> None:
    """Registered, shown, changed and removed; what an EVENT task of the SDK says is heard."""
    with Daemon(tmp_path / "data") as daemon:
        configuration = Configuration(server_api_url=f"{daemon.url}/api")
        clients = OrkesClients(configuration=configuration)
        executor = clients.get_workflow_client()
        events = EventResourceApi(ApiClient(configuration))
        workflows = WorkflowExecutor(configuration)
        heard = ConductorWorkflow(executor=workflows, name="sdk_heard", version=1)
        heard >> WaitTask(task_ref_name="wait")
        heard.register(overwrite=True)
        says = ConductorWorkflow(executor=workflows, name="sdk_says", version=1)
        tell = ConductorEventTask(task_ref_name="told", event_name="told")
        tell.input_parameters = {"n": "${workflow.input.n}"}
        says >> tell
        says.register(overwrite=True)

        events.add_event_handler(_handler(active=False))
        with pytest.raises(ApiException) as taken:
            events.add_event_handler(_handler(active=False))
        asleep = events.get_event_handlers_for_event("conductor:sdk_says:told")
        events.update_event_handler(_handler(active=True))
        (shown,) = events.get_event_handlers_for_event("conductor:sdk_says:told")
        workflow_id = executor.start_workflow_by_name("sdk_says", {"n": 7})
        running = _until_heard(daemon)
        (message,) = [executor.get_workflow(one) for one in running]
        events.remove_event_handler_status("sdk_handler")

        assert (409, []) == (taken.value.status, asleep)
        assert ("sdk_handler", True, "start_workflow") == (
            shown.name,
            shown.active,
            shown.actions[0].action,
        )
        assert "COMPLETED" == executor.get_workflow(workflow_id).status
        assert (7, "conductor:sdk_says:told") == (message.input["n"], message.event)
        assert [] == events.get_event_handlers()
        with pytest.raises(ApiException):
            EventClient(ApiClient(configuration)).get_queue_configuration("kafka", "topic")


def _until_heard(daemon: Daemon) -> list[str]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = daemon.call("GET", "/workflow/running/sdk_heard")
        if found:
            return list(found)
        time.sleep(0.02)
    raise AssertionError("nobody has heard it")
