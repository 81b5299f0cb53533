"""The stock Conductor SDK for Python, unmodified, against a real daemon: workers, DSL and clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conductor.client.http.models.start_workflow_request import StartWorkflowRequest
from conductor.client.http.models.task_def import TaskDef
from conductor.client.http.rest import ApiException
from conductor.client.orkes_clients import OrkesClients
from conductor.client.workflow.task.fork_task import ForkTask
from conductor.client.workflow.task.inline import InlineTask
from conductor.client.workflow.task.join_task import JoinTask
from conductor.client.workflow.task.set_variable_task import SetVariableTask
from conductor.client.workflow.task.simple_task import SimpleTask
from conductor.client.workflow.task.switch_task import SwitchTask
from conductor.client.workflow.task.terminate_task import TerminateTask, WorkflowStatus
from conductor.client.workflow.task.wait_task import WaitForDurationTask

from tests.acceptance import sdk_house
from tests.acceptance.sdk_house import run, workflow_of
from tests.daemon import Daemon

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("conductor-python")]


@pytest.fixture(scope="module")
def workers(daemon: Daemon, clients: OrkesClients) -> Iterator[None]:
    """The SDK's workers in processes of their own, as in production."""
    metadata = clients.get_metadata_client()
    for name in ("sdk_greet", "sdk_flaky", "sdk_refuse", "sdk_steps"):
        metadata.register_task_def(
            TaskDef(name=name, retry_count=2, retry_delay_seconds=0, owner_email="a@b.invalid")
        )
    with sdk_house.workers("sdk_workers.py", daemon.url):
        yield


@pytest.mark.usefixtures("workers")
def test_a_worker_runs_a_workflow(clients: OrkesClients) -> None:
    """The SDK's DSL defines it, the SDK's worker does its task, the SDK's client reads it."""
    workflow = workflow_of(clients, "sdk_hello")
    greet = SimpleTask("sdk_greet", "greet").input_parameter("name", "${workflow.input.name}")
    workflow >> greet
    workflow.output_parameters({"said": "${greet.output.greeting}"})
    execution = run(clients, workflow, {"name": "edge"})

    assert "COMPLETED" == execution.status
    assert {"said": "hello edge"} == execution.output
    assert "sdk_greet" == execution.tasks[0].task_type


@pytest.mark.usefixtures("workers")
def test_a_failed_attempt_is_retried(clients: OrkesClients) -> None:
    """The worker's exception fails the attempt; the next one succeeds, and its log is there."""
    workflow = workflow_of(clients, "sdk_retry")
    workflow >> SimpleTask("sdk_flaky", "flaky")
    execution = run(clients, workflow, {})
    first, second = execution.tasks
    logs = clients.get_task_client().get_task_logs(second.task_id)

    assert "COMPLETED" == execution.status
    assert ("FAILED", "COMPLETED") == (first.status, second.status)
    assert "the link was down" in first.reason_for_incompletion
    assert {"attempt": 1} == second.output_data
    assert "the link is up again" in [line.log for line in logs]


@pytest.mark.usefixtures("workers")
def test_a_worker_refuses_for_good(clients: OrkesClients) -> None:
    """NonRetryableException ends the workflow although retries are left."""
    workflow = workflow_of(clients, "sdk_refusal")
    workflow >> SimpleTask("sdk_refuse", "refuse")
    execution = run(clients, workflow, {})

    assert "FAILED" == execution.status
    assert ["FAILED_WITH_TERMINAL_ERROR"] == [task.status for task in execution.tasks]


@pytest.mark.usefixtures("workers")
def test_a_worker_is_called_back(clients: OrkesClients) -> None:
    """TaskInProgress puts the task back for a second."""
    workflow = workflow_of(clients, "sdk_callback")
    workflow >> SimpleTask("sdk_steps", "steps")
    execution = run(clients, workflow, {})

    assert "COMPLETED" == execution.status
    assert {"step": 2} == execution.tasks[0].output_data
    assert 2 <= execution.tasks[0].poll_count


@pytest.mark.usefixtures("workers")
def test_control_flow_from_the_dsl(clients: OrkesClients) -> None:
    """INLINE, SWITCH, FORK_JOIN, JOIN, SET_VARIABLE and WAIT as the DSL writes them."""
    workflow = workflow_of(clients, "sdk_flow")
    score = InlineTask(
        "score", "(function(){ return $.n > 3 ? 'high' : 'low'; })()", {"n": "${workflow.input.n}"}
    )
    left = SimpleTask("sdk_greet", "left").input_parameter("name", "left")
    right = SimpleTask("sdk_greet", "right").input_parameter("name", "right")
    switch = SwitchTask("which", "${score.output.result}")
    switch.switch_case(
        "high", [ForkTask("fork", [[left], [right]]), JoinTask("join", ["left", "right"])]
    )
    switch.default_case([TerminateTask("stop", WorkflowStatus.FAILED, "too low")])
    remember = SetVariableTask("remember").input_parameter("seen", "${score.output.result}")
    workflow >> score >> switch >> WaitForDurationTask("pause", 1) >> remember
    workflow.output_parameters(
        {"seen": "${workflow.variables.seen}", "left": "${join.output.left.greeting}"}
    )
    high = run(clients, workflow, {"n": 5})
    low = run(clients, workflow, {"n": 1})

    assert ("COMPLETED", {"seen": "high", "left": "hello left"}) == (high.status, high.output)
    assert ("FAILED", "too low") == (low.status, low.reason_for_incompletion)


def test_the_lifecycle_through_the_client(clients: OrkesClients) -> None:
    """Pause, resume, terminate, restart, retry and search by the SDK's workflow client."""
    client = clients.get_workflow_client()
    workflow = workflow_of(clients, "sdk_lifecycle")
    workflow >> SimpleTask("nobody_serves_this", "lonely")
    workflow.register(overwrite=True)
    workflow_id = client.start_workflow(StartWorkflowRequest(name="sdk_lifecycle", version=1))

    def status() -> str:
        return str(client.get_workflow(workflow_id, include_tasks=False).status)

    client.pause_workflow(workflow_id)
    assert "PAUSED" == status()
    client.resume_workflow(workflow_id)
    assert "RUNNING" == status()
    client.terminate_workflow(workflow_id, "enough")
    assert "TERMINATED" == status()
    client.restart_workflow(workflow_id)
    assert "RUNNING" == status()
    client.terminate_workflow(workflow_id)
    client.retry_workflow(workflow_id)
    assert "RUNNING" == status()
    found = client.search(query=f"workflowId IN ({workflow_id}) AND status = 'RUNNING'")

    assert 1 == len(found.results)
    assert workflow_id == found.results[0].workflow_id


def test_what_is_not_there(clients: OrkesClients) -> None:
    """Errors come in the shape that the SDK reads."""
    with pytest.raises(ApiException) as caught:
        clients.get_workflow_client().get_workflow("00000000-0000-7000-8000-000000000000")

    assert 404 == caught.value.status


def test_queue_and_poll_data(clients: OrkesClients) -> None:
    """Sizes of queues that exist, and zero for those that do not."""
    tasks = clients.get_task_client()

    assert 0 == tasks.get_queue_size_for_task("never_heard_of")
    assert [] == tasks.get_task_poll_data("never_heard_of")
