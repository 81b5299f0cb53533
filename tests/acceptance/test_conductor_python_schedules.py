"""The scheduler clients of the stock Conductor SDK for Python, unmodified, against a real daemon."""

from __future__ import annotations

import time
from typing import Any

import pytest
from conductor.client.ai.schedule import Schedule
from conductor.client.ai.schedule_errors import InvalidCronExpression, ScheduleNotFound
from conductor.client.configuration.configuration import Configuration
from conductor.client.http.models.save_schedule_request import SaveScheduleRequest
from conductor.client.http.models.start_workflow_request import StartWorkflowRequest
from conductor.client.http.rest import ApiException
from conductor.client.orkes.models.metadata_tag import MetadataTag
from conductor.client.orkes_clients import OrkesClients
from conductor.client.workflow.task.set_variable_task import SetVariableTask

from tests.acceptance.sdk_house import workflow_of

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("conductor-python-schedules")]


@pytest.fixture(scope="module")
def clients(configuration: Configuration) -> OrkesClients:
    """The SDK's clients, with a workflow that ends at once."""
    clients = OrkesClients(configuration=configuration)
    workflow = workflow_of(clients, "sdk_scheduled")
    workflow >> SetVariableTask("remember").input_parameter("x", "${workflow.input.x}")
    workflow.register(overwrite=True)
    return clients


def _save(client: Any, name: str, cron: str, **fields: Any) -> None:
    request = StartWorkflowRequest(name="sdk_scheduled", version=1, input={"x": 1})
    client.save_schedule(
        SaveScheduleRequest(
            name=name, cron_expression=cron, start_workflow_request=request, **fields
        )
    )


def test_a_schedule_starts_its_workflow(clients: OrkesClients) -> None:
    """Saved, run by the clock, found again by its records, and gone."""
    client = clients.get_scheduler_client()
    _save(client, "sdk_ticks", "* * * * * ?", run_catchup_schedule_instances=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = client.search_schedule_executions(
            start=0, size=10, sort="scheduledTime:ASC",
            query="scheduleName IN (sdk_ticks) AND state IN (EXECUTED)",
        )  # fmt: skip
        if found.total_hits >= 2:
            break
        time.sleep(0.1)
    first, second = found.results[:2]
    execution = clients.get_workflow_client().get_workflow(first.workflow_id, include_tasks=False)
    client.delete_schedule("sdk_ticks")

    assert 1_000 == second.scheduled_time - first.scheduled_time
    assert ("sdk_ticks", "sdk_scheduled", "EXECUTED") == (
        first.schedule_name, first.workflow_name, first.state,
    )  # fmt: skip
    assert "COMPLETED" == execution.status
    assert (1, "sdk_ticks", first.scheduled_time, first.execution_id) == tuple(
        execution.input[key]
        for key in ("x", "_startedByScheduler", "_scheduledTime", "_executionId")
    )
    with pytest.raises(ApiException) as gone:
        client.get_schedule("sdk_ticks")
    assert 404 == gone.value.status


def test_what_is_kept_of_a_schedule(clients: OrkesClients) -> None:
    """Every field comes back; lists are narrowed by the workflow."""
    client = clients.get_scheduler_client()
    _save(
        client, "sdk_kept", "0 30 2 * * MON-FRI", zone_id="Europe/Berlin", description="nightly",
        created_by="ada", schedule_start_time=1_000, schedule_end_time=4_102_444_800_000,
    )  # fmt: skip
    kept = client.get_schedule("sdk_kept")
    of_workflow = client.get_all_schedules("sdk_scheduled")

    assert ("0 30 2 * * MON-FRI", "Europe/Berlin", "nightly", "ada", 1_000, 4_102_444_800_000) == (
        kept.cron_expression, kept.zone_id, kept.description, kept.created_by,
        kept.schedule_start_time, kept.schedule_end_time,
    )  # fmt: skip
    assert (False, False) == (kept.paused, kept.run_catchup_schedule_instances)
    assert "sdk_scheduled" == kept.start_workflow_request.name
    assert {"x": 1} == kept.start_workflow_request.input
    assert "sdk_kept" in [one.name for one in of_workflow]
    assert [] == client.get_all_schedules("nobody")


def test_pause_and_resume(clients: OrkesClients) -> None:
    """One by one with PUT, and the whole scheduler."""
    client = clients.get_scheduler_client()
    _save(client, "sdk_paused", "@daily", paused=True)
    born = client.get_schedule("sdk_paused").paused
    client.resume_schedule("sdk_paused")
    client.pause_schedule("sdk_paused", reason="holidays")
    paused = client.get_schedule("sdk_paused")
    client.resume("sdk_paused")

    assert born
    assert (True, "holidays") == (paused.paused, paused.paused_reason)
    assert not client.get_schedule("sdk_paused").paused
    client.pause_all_schedules()
    client.resume_all_schedules()
    client.requeue_all_execution_records()


def test_a_preview(clients: OrkesClients) -> None:
    """Moments as numbers, in order; nonsense raises the SDK's own error."""
    client = clients.get_scheduler_client()
    start_ms = 4_102_444_800_000
    few = client.get_next_few_schedule_execution_times("0 0 12 * * ?", start_ms, limit=3)
    noon_ms = start_ms + 12 * 3_600_000

    assert [noon_ms, noon_ms + 86_400_000, noon_ms + 2 * 86_400_000] == few
    assert 5 == len(client.preview_next("@hourly"))
    with pytest.raises(InvalidCronExpression):
        client.preview_next("0 0 25 * * *")
    with pytest.raises(ScheduleNotFound):
        client.pause("sdk_nobody")
    with pytest.raises(ApiException) as refused:
        _save(client, "sdk_bad", "0 0 * * *")
    assert 400 == refused.value.status


def test_tags(clients: OrkesClients) -> None:
    """Set, read and taken off."""
    client = clients.get_scheduler_client()
    _save(client, "sdk_tagged", "@daily")
    tags = [MetadataTag("team", "blue"), MetadataTag("site", "roof")]
    client.set_scheduler_tags(tags, "sdk_tagged")
    there = client.get_scheduler_tags("sdk_tagged")
    client.delete_scheduler_tags([tags[0]], "sdk_tagged")
    left = client.get_scheduler_tags("sdk_tagged")

    assert [("team", "blue"), ("site", "roof")] == [(tag.key, tag.value) for tag in there]
    assert ["site"] == [tag.key for tag in left]


def test_schedules_as_they_shall_be(clients: OrkesClients) -> None:
    """The SDK's own reconciliation saves what is wanted and deletes what is not."""
    client = clients.get_scheduler_client()
    wanted = [Schedule(name="a", cron="@daily"), Schedule(name="b", cron="0 0 6 * * MON")]
    client.reconcile("sdk_agent", wanted)
    both = {one.name for one in client.get_all_schedules("sdk_agent")}
    client.reconcile("sdk_agent", wanted[:1])
    one = {one.name for one in client.get_all_schedules("sdk_agent")}

    assert ({"sdk_agent-a", "sdk_agent-b"}, {"sdk_agent-a"}) == (both, one)
