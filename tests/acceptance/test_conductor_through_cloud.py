"""The stock Conductor SDK for Python, pointed at a device through the control plane: all of it real."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conductor.client.configuration.configuration import Configuration
from conductor.client.configuration.settings.authentication_settings import AuthenticationSettings
from conductor.client.http.models.start_workflow_request import StartWorkflowRequest
from conductor.client.http.models.workflow_def import WorkflowDef
from conductor.client.http.models.workflow_task import WorkflowTask
from conductor.client.http.rest import ApiException
from conductor.client.orkes_clients import OrkesClients

from edge.data_dir import DataDir
from edge.durable import FILES
from sync.identity import load_order_key
from tests.integration.sync_doubles import free_port, mosquitto, running, wait_for_port

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("conductor-python")]


class House:
    """A broker, a control plane that asks for tokens, and a device that can be switched off."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._processes: list[subprocess.Popen[str]] = []
        self._device: subprocess.Popen[str] | None = None
        cloud = folder / "cloud"
        cloud.mkdir()
        key = load_order_key(DataDir(cloud).identity, FILES)
        broker = f'broker = "mqtt://127.0.0.1:{port}"\n'
        (folder / "cloud.toml").write_text(f"[sync]\n{broker}[auth]\nenabled = true\n")
        (folder / "device.toml").write_text(
            f'[sync]\n{broker}device = "roof"\norder_keys = ["{key.public_key.hex()}"]\n'
            "[workflows]\nenable = []\n"
        )
        made = subprocess.run(
            [sys.executable, "-m", "edge.cli", "cloud", "token", "--name", "sdk", "--json",
             "--role", "operator", "--data-dir", str(cloud)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        self.token = json.loads(made.stdout)["token"]
        self.url = self._start("cloud", "--config", str(folder / "cloud.toml"),
                               "--data-dir", str(cloud))[1]  # fmt: skip

    def switch_on(self) -> None:
        """Start the device."""
        self._device, _ = self._start(
            "run", "--config", str(self.folder / "device.toml"), "--data-dir",
            str(self.folder / "device"),
        )  # fmt: skip

    def switch_off(self) -> None:
        """As a power cut would."""
        assert self._device is not None
        self._device.kill()
        self._device.wait()

    def clients(self) -> OrkesClients:
        """The SDK's clients, with the id of the token as key and what is secret of it."""
        key_id, _, secret = self.token.removeprefix("baton_").partition(".")
        return OrkesClients(
            Configuration(
                server_api_url=f"{self.url}/api/devices/roof/conductor/api",
                authentication_settings=AuthenticationSettings(key_id=key_id, key_secret=secret),
            )
        )

    def _start(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge.cli", arguments[0], "--listen", "127.0.0.1:0",
             *arguments[1:]],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._processes.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r" ready on (http://\S+) ", line)
            if found:
                return process, found[1]
        raise AssertionError(f"{arguments[0]} has not started")

    def end(self) -> None:
        """Let go of all processes."""
        for process in self._processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The house with its device on."""
    folder, port = tmp_path_factory.mktemp("house"), free_port()
    broker = mosquitto(folder, port)
    with running(broker):
        broker.start()
        wait_for_port(port)
        found = House(folder, port)
        try:
            found.switch_on()
            yield found
        finally:
            found.end()


def until(ask: Callable[[], Any], good: Callable[[Any], bool], *, limit_s: float = 60) -> Any:
    """Ask again and again until the answer is good."""
    deadline = time.monotonic() + limit_s
    answer = None
    while time.monotonic() < deadline:
        try:
            answer = ask()
        except ApiException as error:
            answer = error
        else:
            if good(answer):
                return answer
        time.sleep(0.1)
    raise AssertionError(f"after {limit_s} s still: {answer}")


def defined(clients: OrkesClients, name: str, step: WorkflowTask) -> list[str]:
    """Register a workflow of one step, and wait until the device has it; all that it has."""
    metadata = clients.get_metadata_client()
    # The device may still be on its way to the broker: then the order is kept.
    metadata.register_workflow_def(
        WorkflowDef(name=name, version=1, tasks=[step], owner_email="a@b.invalid"), overwrite=True
    )
    found: list[str] = until(
        lambda: [one.name for one in metadata.get_all_workflow_defs()], lambda n: name in n
    )
    return found


def setting() -> WorkflowTask:
    """A step that ends by itself."""
    return WorkflowTask(
        name="set", task_reference_name="set", type="SET_VARIABLE",
        input_parameters={"said": "${workflow.input.name}"},
    )  # fmt: skip


def test_a_workflow_is_defined_started_and_read(house: House) -> None:
    """The SDK's metadata and workflow clients, as against a server of its own."""
    clients = house.clients()
    metadata, flows = clients.get_metadata_client(), clients.get_workflow_client()
    assert "through" in defined(clients, "through", setting())
    assert 1 == metadata.get_workflow_def("through").version

    workflow_id = flows.start_workflow(
        StartWorkflowRequest(name="through", input={"name": "edge"}, correlation_id="c-1")
    )
    ended = until(
        lambda: flows.get_workflow(workflow_id, include_tasks=True),
        lambda found: found.status == "COMPLETED",
    )
    assert ("through", {"name": "edge"}, "c-1") == (
        ended.workflow_name, ended.input, ended.correlation_id,
    )  # fmt: skip
    assert [("set", "COMPLETED")] == [
        (task.reference_task_name, task.status) for task in ended.tasks
    ]
    found = flows.search(query="workflowType='through' AND status IN (COMPLETED)", size=10)
    assert [ended.workflow_id] == [one.workflow_id for one in found.results]
    assert [] == flows.search(query="status=FAILED").results
    with pytest.raises(ApiException) as refused:
        flows.search(query="colour='red'")
    assert 400 == refused.value.status
    with pytest.raises(ApiException) as missing:
        flows.get_workflow("00000000-0000-4000-8000-000000000000")
    assert 404 == missing.value.status


def test_an_execution_is_steered(house: House) -> None:
    """Paused, resumed, terminated, restarted: each carried out by the device."""
    clients = house.clients()
    flows = clients.get_workflow_client()
    defined(clients, "waits", WorkflowTask(name="wait", task_reference_name="wait", type="WAIT"))
    workflow_id = flows.start_workflow(StartWorkflowRequest(name="waits"))

    def status() -> str:
        found: str = flows.get_workflow(workflow_id).status
        return found

    until(status, lambda one: one == "RUNNING")
    flows.pause_workflow(workflow_id)
    until(status, lambda one: one == "PAUSED")
    flows.resume_workflow(workflow_id)
    until(status, lambda one: one == "RUNNING")
    flows.terminate_workflow(workflow_id, reason="enough")
    until(status, lambda one: one == "TERMINATED")
    assert "enough" in flows.get_workflow(workflow_id).reason_for_incompletion
    flows.restart_workflow(workflow_id)
    until(status, lambda one: one == "RUNNING")
    flows.terminate_workflow(workflow_id)
    until(status, lambda one: one == "TERMINATED")
    with pytest.raises(ApiException) as refused:
        flows.pause_workflow(workflow_id)
    assert 409 == refused.value.status


def test_a_device_that_is_off_starts_it_later(house: House) -> None:
    """The id that was given for the start leads to the execution once there is one."""
    clients = house.clients()
    flows = clients.get_workflow_client()
    defined(clients, "later", setting())
    house.switch_off()
    given = flows.start_workflow(StartWorkflowRequest(name="later", input={"name": "later"}))
    promised = flows.get_workflow(given)
    assert ("RUNNING", given) == (promised.status, promised.workflow_id)
    house.switch_on()
    ended = until(lambda: flows.get_workflow(given), lambda one: one.status == "COMPLETED")
    assert {"name": "later"} == ended.input
    assert ended.workflow_id != given
