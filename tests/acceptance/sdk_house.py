"""What tests of the stock Python SDK do again and again: workflows, their ends, workers.

Only the SDK's own means are used; nothing of Baton is imported here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conductor.client.http.models.start_workflow_request import StartWorkflowRequest
from conductor.client.orkes_clients import OrkesClients
from conductor.client.workflow.conductor_workflow import ConductorWorkflow


def workflow_of(clients: OrkesClients, name: str) -> ConductorWorkflow:
    """A workflow without steps yet."""
    workflow = ConductorWorkflow(
        executor=clients.get_workflow_executor(), name=name, version=1, description="from the SDK"
    )
    workflow.owner_email("a@b.invalid")
    return workflow


def run(clients: OrkesClients, workflow: ConductorWorkflow, values: dict[str, Any]) -> Any:
    """Register, start, and wait for the end."""
    workflow.register(overwrite=True)
    client = clients.get_workflow_client()
    workflow_id = client.start_workflow(
        StartWorkflowRequest(name=workflow.name, version=1, input=values)
    )
    return ended(client, workflow_id)


def ended(client: Any, workflow_id: str, within_s: float = 60) -> Any:
    """An execution once it has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        execution = client.get_workflow(workflow_id, include_tasks=True)
        if execution.status not in ("RUNNING", "PAUSED"):
            return execution
        time.sleep(0.05)
    raise AssertionError(f"{workflow_id} has not ended: {execution}")


@contextmanager
def workers(script: str, url: str, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """The SDK's workers in processes of their own, as in production.

    Args:
        script: a file beside this one.
        url: of the daemon.
        environment: of the processes, beside that of the tests.
    """
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script)), f"{url}/api"],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None
    try:
        assert "ready" in process.stdout.readline()
        yield
    finally:
        process.stdin.close()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        process.stdout.close()
