"""Workers as any user of the stock Python SDK writes them; run with the API's address.

Nothing of Baton is imported here. The SDK looks at the annotations themselves to see who wants the
whole task, so they are not deferred.
"""

import sys

from conductor.client.automator.task_handler import TaskHandler
from conductor.client.configuration.configuration import Configuration
from conductor.client.context.task_context import TaskInProgress
from conductor.client.http.models import Task, TaskResult
from conductor.client.http.models.task_result_status import TaskResultStatus
from conductor.client.worker.exception import NonRetryableException
from conductor.client.worker.worker_task import worker_task


@worker_task(task_definition_name="sdk_greet", poll_interval_millis=20)
def greet(name: str) -> dict[str, str]:
    """A plain function: keyword arguments in, a dictionary out."""
    return {"greeting": f"hello {name}"}


@worker_task(task_definition_name="sdk_flaky", poll_interval_millis=20)
def flaky(task: Task) -> TaskResult:
    """Fails on its first attempt, as radio links do."""
    result = task.to_task_result(TaskResultStatus.COMPLETED)
    if task.retry_count == 0:
        raise RuntimeError("the link was down")
    result.add_output_data("attempt", task.retry_count)
    result.log("the link is up again")
    return result


@worker_task(task_definition_name="sdk_refuse", poll_interval_millis=20)
def refuse() -> dict[str, str]:
    """Fails for good."""
    raise NonRetryableException("never ask again")


@worker_task(task_definition_name="sdk_steps", poll_interval_millis=20)
def steps(task: Task) -> object:
    """Asks to be called back once."""
    if task.poll_count < 2:
        return TaskInProgress(callback_after_seconds=1, output={"step": 1})
    return {"step": 2}


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
