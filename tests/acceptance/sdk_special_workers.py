"""Workers of the stock Python SDK that use what most do not; run with the API's address.

Nothing of Baton is imported here. The SDK looks at the annotations themselves to see who wants the
whole task, so they are not deferred.
"""

import asyncio
import sys
import time

from conductor.client.automator.task_handler import TaskHandler
from conductor.client.configuration.configuration import Configuration
from conductor.client.worker.worker_task import worker_task


@worker_task(task_definition_name="sdk_async", poll_interval_millis=20, thread_count=5)
async def answer_later(name: str) -> dict[str, str]:
    """A coroutine: the SDK runs several of them at once."""
    await asyncio.sleep(0.2)
    return {"greeting": f"later {name}"}


@worker_task(task_definition_name="sdk_place", poll_interval_millis=20, domain="roof")
def on_the_roof() -> dict[str, str]:
    """Takes the tasks of its domain only."""
    return {"place": "roof"}


@worker_task(
    task_definition_name="sdk_slow",
    poll_interval_millis=20,
    domain="patient",
    lease_extend_enabled=True,
)
def slow() -> dict[str, bool]:
    """Works longer than the lease, which the SDK extends meanwhile."""
    time.sleep(8)
    return {"done": True}


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
