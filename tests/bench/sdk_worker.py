"""Workers of the stock Python SDK for workload W; run with the API's address.

Nothing of Baton is imported here. The SDK starts a process for each task type.
"""

import sys

from conductor.client.automator.task_handler import TaskHandler
from conductor.client.configuration.configuration import Configuration
from conductor.client.worker.worker_task import worker_task


@worker_task(task_definition_name="w1", thread_count=10, poll_interval_millis=10)
def first(a: str) -> dict[str, str]:
    """The first task."""
    return {"a": a}


@worker_task(task_definition_name="w2", thread_count=10, poll_interval_millis=10)
def second(a: str) -> dict[str, str]:
    """The second task."""
    return {"a": a}


@worker_task(task_definition_name="w3", thread_count=10, poll_interval_millis=10)
def third(a: str) -> dict[str, str]:
    """The third task."""
    return {"a": a}


def main() -> None:
    """Serve until standard input closes."""
    configuration = Configuration(server_api_url=sys.argv[1])
    handler = TaskHandler([], configuration, scan_for_annotated_workers=True)
    handler.start_processes()
    print("ready", flush=True)
    sys.stdin.read()
    handler.stop_processes()


if __name__ == "__main__":
    main()
