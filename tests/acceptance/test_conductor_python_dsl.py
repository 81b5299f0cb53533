"""The stock Python SDK's workflow DSL, executor and remaining clients, against a real daemon.

The basics of workers and of the lifecycle stand in ``test_conductor_python``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from conductor.client.configuration.configuration import Configuration
from conductor.client.http.api.event_resource_api import EventResourceApi
from conductor.client.http.api_client import ApiClient
from conductor.client.http.models import (
    RerunWorkflowRequest,
    StartWorkflowRequest,
    TaskDef,
    TaskResult,
)
from conductor.client.http.models.task_result_status import TaskResultStatus
from conductor.client.http.rest import ApiException
from conductor.client.orkes.models.metadata_tag import MetadataTag
from conductor.client.orkes_clients import OrkesClients
from conductor.client.workflow.conductor_workflow import ConductorWorkflow
from conductor.client.workflow.executor.workflow_executor import WorkflowExecutor
from conductor.client.workflow.task.do_while_task import LoopTask
from conductor.client.workflow.task.dynamic_fork_task import DynamicForkTask
from conductor.client.workflow.task.dynamic_task import DynamicTask
from conductor.client.workflow.task.http_task import HttpInput, HttpTask
from conductor.client.workflow.task.javascript_task import JavascriptTask
from conductor.client.workflow.task.join_task import JoinTask
from conductor.client.workflow.task.json_jq_task import JsonJQTask
from conductor.client.workflow.task.set_variable_task import SetVariableTask
from conductor.client.workflow.task.simple_task import SimpleTask
from conductor.client.workflow.task.sub_workflow_task import InlineSubWorkflowTask, SubWorkflowTask
from conductor.client.workflow.task.wait_task import WaitForDurationTask, WaitTask

from tests.acceptance import sdk_house
from tests.acceptance.sdk_house import ended, run, workflow_of
from tests.daemon import Daemon

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("conductor-python")]


@pytest.fixture(scope="module")
def executor(clients: OrkesClients) -> WorkflowExecutor:
    """The SDK's executor."""
    return clients.get_workflow_executor()


@pytest.fixture(scope="module")
def workers(daemon: Daemon, clients: OrkesClients) -> Iterator[None]:
    """The SDK's workers in processes of their own, as in production."""
    metadata = clients.get_metadata_client()
    for name, lease_s in (("sdk_async", 60), ("sdk_place", 60), ("sdk_slow", 5)):
        metadata.register_task_def(
            TaskDef(
                name=name, retry_count=0, timeout_seconds=0, response_timeout_seconds=lease_s,
                owner_email="a@b.invalid",
            )
        )  # fmt: skip
    with sdk_house.workers("sdk_special_workers.py", daemon.url):
        yield


@pytest.fixture(scope="module")
def holding(clients: OrkesClients) -> ConductorWorkflow:
    """A definition of one WAIT that nothing but a client ends."""
    workflow = workflow_of(clients, "dsl_holding")
    workflow >> WaitTask("hold")
    workflow.output_parameters({"said": "${hold.output.said}"})
    workflow.register(overwrite=True)
    return workflow


def _start(executor: WorkflowExecutor, **values: Any) -> str:
    return str(
        executor.start_workflow(StartWorkflowRequest(name="dsl_holding", version=1, **values))
    )


def _held(clients: OrkesClients, workflow_id: str) -> Any:
    """The task that waits, once it does."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        execution = clients.get_workflow_client().get_workflow(workflow_id, include_tasks=True)
        waiting = [task for task in execution.tasks if task.status == "IN_PROGRESS"]
        if waiting:
            return waiting[-1]
        time.sleep(0.05)
    raise AssertionError(f"{workflow_id} does not wait: {execution}")


# The DSL.


def test_scripts_variables_and_a_loop(clients: OrkesClients) -> None:
    """JavaScript with bindings, jq, variables, and a loop of so many rounds."""
    workflow = workflow_of(clients, "dsl_scripts")
    double = JavascriptTask("double", "(() => $.n * 2)()", {"n": "${workflow.input.n}"})
    first = JsonJQTask("first", ".list[0]").input_parameter("list", ["a", "b"])
    step = SetVariableTask("step").input_parameter("at", "${loop.output.iteration}")
    workflow >> double >> first >> LoopTask("loop", 3, [step])
    workflow.output_parameters(
        {"n": double.output(), "first": "${first.output.result}", "at": "${workflow.variables.at}"}
    )
    execution = run(clients, workflow, {"n": 21})

    assert "COMPLETED" == execution.status, execution.reason_for_incompletion
    assert (42, "a") == (execution.output["n"], execution.output["first"])
    assert 3 == sum(task.reference_task_name.startswith("step") for task in execution.tasks)


def test_a_dynamic_fork(clients: OrkesClients) -> None:
    """What is forked comes from the input; the join has every branch's output."""
    workflow = workflow_of(clients, "dsl_dynamic_fork")
    fork = DynamicForkTask("fan", join_task=JoinTask("gather"))
    fork.input_parameters.update(
        {
            "dynamicTasks": "${workflow.input.tasks}",
            "dynamicTasksInputs": "${workflow.input.inputs}",
        }
    )
    workflow >> fork
    workflow.output_parameter("all", "${gather.output}")
    branches = ["one", "two", "three"]
    execution = run(
        clients, workflow,
        {
            "tasks": [
                {"name": name, "taskReferenceName": name, "type": "JSON_JQ_TRANSFORM"}
                for name in branches
            ],
            "inputs": {name: {"queryExpression": ".w", "w": name.upper()} for name in branches},
        },
    )  # fmt: skip

    assert "COMPLETED" == execution.status, execution.reason_for_incompletion
    assert {name: name.upper() for name in branches} == {
        name: output["result"] for name, output in execution.output["all"].items()
    }


def test_sub_workflows_and_a_dynamic_task(clients: OrkesClients) -> None:
    """By name, embedded, and a task whose type the input says."""
    child = workflow_of(clients, "dsl_child")
    child >> JsonJQTask("word", ".w").input_parameter("w", "${workflow.input.word}")
    child.output_parameter("word", "${word.output.result}")
    child.register(overwrite=True)
    named = SubWorkflowTask("named", "dsl_child", 1).input_parameter("word", "named")
    embedded = InlineSubWorkflowTask("embedded", child).input_parameter("word", "embedded")
    chosen = DynamicTask("${workflow.input.type}", "chosen")
    chosen.input_parameters.update({"queryExpression": ".x", "x": 7})
    workflow = workflow_of(clients, "dsl_parent")
    workflow >> named >> embedded >> chosen
    workflow.output_parameters(
        {
            "words": ["${named.output.word}", "${embedded.output.word}"],
            "x": "${chosen.output.result}",
        }
    )
    execution = run(clients, workflow, {"type": "JSON_JQ_TRANSFORM"})

    assert "COMPLETED" == execution.status, execution.reason_for_incompletion
    assert {"words": ["named", "embedded"], "x": 7} == execution.output


class _Site(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_GET(self) -> None:
        body = b'{"path": "%s"}' % self.path.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing on standard error."""


def test_http_and_a_pause(clients: OrkesClients) -> None:
    """HTTP as the DSL writes it, and the duration that a WAIT takes."""
    with HTTPServer(("127.0.0.1", 0), _Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        workflow = workflow_of(clients, "dsl_http")
        ask = HttpTask("ask", HttpInput(uri=f"http://127.0.0.1:{site.server_port}/reading"))
        workflow >> ask >> WaitForDurationTask("pause", 1)
        execution = run(clients, workflow, {})
        site.shutdown()
    asked, paused = execution.tasks

    assert "COMPLETED" == execution.status, execution.reason_for_incompletion
    assert {"path": "/reading"} == asked.output_data["response"]["body"]
    assert 1_000 <= paused.end_time - paused.start_time


# Workers.


@pytest.mark.usefixtures("workers")
def test_an_asynchronous_worker(clients: OrkesClients) -> None:
    """Coroutines of one worker run side by side, and all of them answer."""
    workflow = workflow_of(clients, "dsl_async")
    workflow >> SimpleTask("sdk_async", "later").input_parameter("name", "${workflow.input.name}")
    workflow.output_parameter("said", "${later.output.greeting}")
    workflow.register(overwrite=True)
    client = clients.get_workflow_client()
    names = ["a", "b", "c", "d", "e"]
    ids = [
        client.start_workflow(StartWorkflowRequest(name="dsl_async", input={"name": name}))
        for name in names
    ]

    assert [f"later {name}" for name in names] == [ended(client, one).output["said"] for one in ids]


@pytest.mark.usefixtures("workers")
def test_a_worker_of_a_domain(clients: OrkesClients) -> None:
    """A task is taken in its domain; one without a domain waits for somebody else."""
    workflow = workflow_of(clients, "dsl_domain")
    workflow >> SimpleTask("sdk_place", "where")
    workflow.register(overwrite=True)
    client = clients.get_workflow_client()
    there = client.start_workflow(
        StartWorkflowRequest(name="dsl_domain", task_to_domain={"sdk_place": "roof"})
    )
    elsewhere = client.start_workflow(StartWorkflowRequest(name="dsl_domain"))

    assert {"place": "roof"} == ended(client, there).tasks[0].output_data
    assert "RUNNING" == client.get_workflow(elsewhere, include_tasks=False).status
    assert 1 == clients.get_task_client().get_queue_size_for_task("sdk_place")


@pytest.mark.usefixtures("workers")
def test_a_lease_is_extended(clients: OrkesClients) -> None:
    """A worker that takes longer than the lease keeps its task, and nobody gets it twice."""
    workflow = workflow_of(clients, "dsl_lease")
    workflow >> SimpleTask("sdk_slow", "slow")
    workflow.register(overwrite=True)
    client = clients.get_workflow_client()
    execution = ended(
        client,
        client.start_workflow(
            StartWorkflowRequest(name="dsl_lease", task_to_domain={"sdk_slow": "patient"})
        ),
    )

    assert "COMPLETED" == execution.status, execution.reason_for_incompletion
    assert [{"done": True}] == [task.output_data for task in execution.tasks]


# The executor.


def test_execute(clients: OrkesClients, holding: ConductorWorkflow) -> None:
    """What ends at once is answered with its end; what does not, as the strategy says."""
    workflow = workflow_of(clients, "dsl_executed")
    workflow >> JsonJQTask("word", ".w").input_parameter("w", "${workflow.input.word}")
    workflow.output_parameter("word", "${word.output.result}")
    run = workflow.execute({"word": "now"})
    blocked = clients.get_workflow_executor().execute_workflow_with_return_strategy(
        StartWorkflowRequest(name=holding.name, version=1),
        wait_for_seconds=1,
        return_strategy="BLOCKING_TASK",
    )

    assert ("COMPLETED", {"word": "now"}) == (run.status, run.output)
    assert blocked.is_blocking_task()
    assert "hold" == blocked.reference_task_name


@pytest.mark.usefixtures("holding")
def test_signals(clients: OrkesClients, executor: WorkflowExecutor) -> None:
    """A signal ends what waits, and answers with the workflow or does not wait for it."""
    first, second = _start(executor), _start(executor)
    _held(clients, first), _held(clients, second)
    answer = executor.signal(first, "COMPLETED", {"said": "go"})
    executor.signal_async(second, "FAILED", {})

    assert first == answer.target_workflow_id
    client = clients.get_workflow_client()
    assert {"said": "go"} == ended(client, first).output
    assert "FAILED" == ended(client, second).status


@pytest.mark.usefixtures("holding")
def test_updates_of_a_task(clients: OrkesClients, executor: WorkflowExecutor) -> None:
    """By id, by reference name, and waiting for what follows; then from a task again."""
    tasks, client = clients.get_task_client(), clients.get_workflow_client()
    by_id, by_name, in_step = (_start(executor) for _ in range(3))
    held = _held(clients, by_id)
    tasks.add_task_log(held.task_id, "somebody looked")
    tasks.update_task(
        TaskResult(
            task_id=held.task_id, workflow_instance_id=by_id,
            status=TaskResultStatus.COMPLETED, output_data={"said": "id"},
        )
    )  # fmt: skip
    _held(clients, by_name), _held(clients, in_step)
    executor.update_task_by_ref_name({"said": "name"}, by_name, "hold", "COMPLETED")
    after = tasks.update_task_sync(in_step, "hold", "COMPLETED", {"said": "step"})

    assert in_step == after.workflow_id
    assert ["id", "name", "step"] == [
        ended(client, one).output["said"] for one in (by_id, by_name, in_step)
    ]
    assert ["somebody looked"] == [line.log for line in tasks.get_task_logs(held.task_id)]
    executor.rerun(RerunWorkflowRequest(re_run_from_task_id=held.task_id), by_id)
    assert "hold" == _held(clients, by_id).reference_task_name


@pytest.mark.usefixtures("holding")
def test_what_belongs_together(clients: OrkesClients, executor: WorkflowExecutor) -> None:
    """Executions by their correlation id; the same key of idempotency starts one only."""
    ids = [_start(executor, correlation_id="dsl-family") for _ in range(2)]
    found = executor.get_by_correlation_ids("dsl_holding", ["dsl-family", "dsl-nobody"])
    twice = {
        _start(executor, idempotency_key="dsl-once", idempotency_strategy="RETURN_EXISTING")
        for _ in range(2)
    }

    assert set(ids) == {one.workflow_id for one in found["dsl-family"]}
    assert [] == found["dsl-nobody"]
    assert 1 == len(twice)


# Clients of what is kept.


def test_metadata(clients: OrkesClients, holding: ConductorWorkflow) -> None:
    """Definitions and their tags."""
    metadata = clients.get_metadata_client()
    metadata.register_task_def(TaskDef(name="dsl_task", retry_count=1, owner_email="a@b.invalid"))
    metadata.update_task_def(TaskDef(name="dsl_task", retry_count=4, owner_email="a@b.invalid"))
    metadata.set_workflow_tags([MetadataTag("a", "1"), MetadataTag("b", "2")], holding.name)
    metadata.delete_workflow_tag(MetadataTag("b", "2"), holding.name)

    assert 4 == metadata.get_task_def("dsl_task").retry_count
    assert ["hold"] == [
        task.task_reference_name for task in metadata.get_workflow_def(holding.name, 1).tasks
    ]
    assert ["a"] == [tag.key for tag in metadata.get_workflow_tags(holding.name)]
    metadata.unregister_task_def("dsl_task")
    with pytest.raises(ApiException):
        metadata.get_task_def("dsl_task")


def test_event_handlers(configuration: Configuration) -> None:
    """Add, change, list and remove by the SDK's resource of events."""
    events = EventResourceApi(ApiClient(configuration))
    handler = {
        "name": "dsl_handler", "event": "dsl_door", "active": True,
        "actions": [{"action": "start_workflow", "start_workflow": {"name": "dsl_holding"}}],
    }  # fmt: skip
    events.add_event_handler([handler])
    events.update_event_handler({**handler, "active": False})
    (kept,) = [one for one in events.get_event_handlers() if one.name == "dsl_handler"]

    assert ("dsl_door", False) == (kept.event, kept.active)
    events.remove_event_handler_status("dsl_handler")
    assert "dsl_handler" not in [one.name for one in events.get_event_handlers()]
