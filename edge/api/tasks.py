"""Endpoints under ``/api/tasks``: what workers poll and report, and the queues.

No workflow is steered here.
"""

from __future__ import annotations

import contextlib
from collections import Counter

import msgspec

from edge import wire
from edge.api import answers, external
from edge.api.call import Call
from edge.model.errors import InvalidInput, NotFound, Overloaded, StorageUnavailable
from edge.model.executions import TaskStatus
from edge.model.requests import PollData, TaskResult, TaskView
from edge.model.validation import PostedResult, parse_task_result, parse_task_results
from edge.responses import Response

_MAX_POLL_MS = 5_000
"""Conductor's limit of a long poll."""

_DEFAULT_POLL_MS = 100
"""Conductor's waiting time where the client names none; Go clients never do."""

_MAX_BATCH = 1_000
"""Tasks handed out at once; a worker that asks for more gets this many and asks again."""

_MAX_REPORTS = 1_000
"""Reports of one list, as many as ids in Conductor's bulk calls."""

_MAX_LOG_LINES = 10
"""Lines kept of one report, as in Conductor."""

_MAX_LOG_CHARACTERS = 10_000
"""Characters kept of a log line; a stack trace fits, a payload does not."""

_MAX_REASON_CHARACTERS = 500
"""Characters kept of a reason, as in Conductor."""

_REPORTED = frozenset(
    {
        TaskStatus.IN_PROGRESS,
        TaskStatus.FAILED,
        TaskStatus.FAILED_WITH_TERMINAL_ERROR,
        TaskStatus.COMPLETED,
        TaskStatus.CANCELED,
    }
)
"""What a task may be said to be by a call that names no task by its id."""

_encode = msgspec.json.Encoder().encode

_NO_TASKS = answers.json([])
"""Most polls end so."""


async def poll(call: Call) -> Response:
    """Hand out one task; 204 when there is none."""
    queue = _queue(call.params["type"], call.text("domain"))
    return await _hand_one(call, queue, call.text("workerid"))


async def poll_batch(call: Call) -> Response:
    """Hand out up to ``count`` tasks, as soon as there is at least one."""
    timeout_ms = call.number("timeout", _DEFAULT_POLL_MS)
    if timeout_ms > _MAX_POLL_MS:
        raise InvalidInput("Long Poll Timeout value cannot be more than 5 seconds")
    queue = _queue(call.params["type"], call.text("domain"))
    views = await call.house.engine.poll(
        queue,
        worker=call.text("workerid"),
        count=min(max(call.number("count", 1), 1), _MAX_BATCH),
        timeout_ms=max(timeout_ms, 0),
    )
    return answers.json(_handed(call, queue, views)) if views else _NO_TASKS


async def update(call: Call) -> Response:
    """Take a worker's report; answers the id of the task."""
    result = await _result(parse_task_result(await call.body()), call)
    return answers.text(await call.house.engine.update(result))


async def update_all(call: Call) -> Response:
    """Take many reports at once, each by itself; they share one COMMIT, or a few.

    No list is known to Conductor: it is for workers that do many tasks, and for slow links. A report
    that is refused for good is told under its task's id, and what is told must be read. If one was
    not taken on that may be taken on later, the whole list is to be sent again: those that were taken
    over have done what they do, and a finished task stays as it is.

    Raises:
        Overloaded, StorageUnavailable: as for a single report.
    """
    posted = parse_task_results(await call.body(), _MAX_REPORTS)
    results = [await _result(one, call) for one in posted]
    refusals = await call.house.engine.update_all(results)
    errors, done = {}, []
    for result, refusal in zip(results, refusals, strict=True):
        if isinstance(refusal, Overloaded | StorageUnavailable):
            raise refusal
        if refusal is None:
            done.append(result.task_id)
        else:
            errors[result.task_id] = refusal.message
    return answers.json(answers.bulk(errors, done))


async def update_v2(call: Call) -> Response:
    """Take a worker's report and, when the task has ended with it, hand out the next one."""
    result = await _result(parse_task_result(await call.body()), call)
    engine = call.house.engine
    await engine.update(result)
    if result.extend_lease:
        return answers.nothing()
    queue = call.house.handed.take(result.task_id)
    if result.status is TaskStatus.IN_PROGRESS or queue is None:
        task = (await engine.task(result.task_id)).task
        if not task.status.terminal:
            return answers.nothing()
        queue = _queue(task.type, task.domain)
    return await _hand_one(call, queue, result.worker)


async def update_by_ref(call: Call) -> Response:
    """Report a task by its reference name; answers nothing when none is pending."""
    return answers.text(await _update_by_ref(call))


async def update_by_ref_sync(call: Call) -> Response:
    """Report a task by its reference name and answer the workflow after it; 404 without one."""
    workflow, ref = call.params["workflow"], call.params["ref"]
    if not await _update_by_ref(call):
        raise NotFound(f"Found no running task {ref} of workflow {workflow} to update")
    view = await call.house.engine.execution(workflow)
    return answers.json(call.house.encoder.workflow(view.workflow, view.pinned, view.tasks))


async def get(call: Call) -> Response:
    """One task."""
    return answers.json(call.house.encoder.task(await call.house.engine.task(call.params["task"])))


async def add_log(call: Call) -> Response:
    """Append a line to a task's log; some clients send a JSON text, some the bare line."""
    body = await call.body()
    line = body.decode(errors="replace")
    if body[:1] == b'"':
        # A bare line may begin with a quotation mark, too.
        with contextlib.suppress(msgspec.DecodeError, UnicodeError):
            line = msgspec.json.decode(body, type=str)
    await call.house.engine.log(call.params["task"], line[:_MAX_LOG_CHARACTERS])
    return answers.void()


async def get_log(call: Call) -> Response:
    """A task's log; 204 when it is empty."""
    lines = await call.house.engine.logs(call.params["task"])
    return answers.json(wire.logs(call.params["task"], lines)) if lines else answers.nothing()


async def queue_sizes(call: Call) -> Response:
    """How many tasks wait in each queue that was asked for."""
    sizes = call.house.engine.queue_sizes()
    return answers.json({name: sizes.get(name, 0) for name in call.texts("taskType")})


async def queue_size(call: Call) -> Response:
    """How many tasks wait in one queue."""
    name, domain = call.required("taskType"), call.text("domain")
    return answers.json(call.house.engine.queue_sizes().get(_queue(name, domain), 0))


async def queue_all(call: Call) -> Response:
    """How many tasks wait in every queue."""
    return answers.json(dict(call.house.engine.queue_sizes()))


async def queue_all_verbose(call: Call) -> Response:
    """The same with what is handed out, in Conductor's form for queues with shards; ours have one."""
    engine = call.house.engine
    sizes = engine.queue_sizes()
    held = Counter(held.place.queue for held in engine.hand_over.leases.all().values())
    return answers.json(
        {
            name: {"a": {"size": sizes.get(name, 0), "uacked": held[name]}}
            for name in sorted({*sizes, *held})
        }
    )


async def poll_data(call: Call) -> Response:
    """Who polled for one task type last, a line for each domain."""
    wanted = call.required("taskType")
    seen = call.house.engine.poll_data()
    return answers.json([_poll_line(line) for line in seen if _type_of(line) == wanted])


async def poll_data_all(call: Call) -> Response:
    """Who polled for every task type last."""
    return answers.json([_poll_line(line) for line in call.house.engine.poll_data()])


def reported(status: str) -> TaskStatus:
    """The status of a task as a path or a state update names it.

    Raises:
        InvalidInput: it is none that a task can be given from outside.
    """
    if status not in _REPORTED:
        known = ", ".join(sorted(_REPORTED))
        raise InvalidInput(f"status: {status[:80]!r} is not one of {known}")
    return TaskStatus(status)


def _queue(kind: str, domain: str | None) -> str:
    return f"{domain}:{kind}" if domain else kind


async def _hand_one(call: Call, queue: str, worker: str | None) -> Response:
    views = await call.house.engine.poll(queue, worker=worker, count=1, timeout_ms=_DEFAULT_POLL_MS)
    tasks = _handed(call, queue, views)
    return answers.json(tasks[0]) if tasks else answers.nothing()


def _handed(call: Call, queue: str, views: list[TaskView]) -> list[wire.WireTask]:
    """The tasks for the worker. If nobody is there any more to take them, they are given back."""
    encode = call.house.encoder.handed
    tasks = [encode(view) for view in views]
    if tasks and call.gone():
        call.house.engine.give_back([task.task_id for task in tasks])
        return []
    for task in tasks:
        call.house.handed.note(task.task_id, queue)
    return tasks


async def _result(posted: PostedResult, call: Call) -> TaskResult:
    now_ms = call.house.engine.clock.now_ms()
    reason = posted.reason_for_incompletion
    path = posted.external_output_payload_storage_path or None
    return TaskResult(
        workflow_id=posted.workflow_instance_id,
        task_id=posted.task_id,
        status=TaskStatus(posted.status),
        output=_encode(posted.output_data)
        if path is None
        else await external.payload(call, path, "externalOutputPayloadStoragePath"),
        output_path=path,
        reason=None if reason is None else reason[:_MAX_REASON_CHARACTERS],
        callback_after_s=posted.callback_after_seconds,
        worker=posted.worker_id,
        logs=tuple(
            (line.log[:_MAX_LOG_CHARACTERS], line.created_time or now_ms)
            for line in posted.logs[:_MAX_LOG_LINES]
        ),
        extend_lease=posted.extend_lease,
    )


async def _update_by_ref(call: Call) -> str:
    output = _encode(await call.json_object())
    return await call.house.engine.update_by_ref(
        call.params["workflow"],
        call.params["ref"],
        reported(call.params["status"]),
        output,
        call.text("workerid"),
    )


def _type_of(line: PollData) -> str:
    return line.queue.removeprefix(f"{line.domain}:") if line.domain else line.queue


def _poll_line(line: PollData) -> dict[str, str | int]:
    shown: dict[str, str | int] = {
        "queueName": _type_of(line),
        "lastPollTime": line.last_poll_ms,
    }
    if line.domain:
        shown["domain"] = line.domain
    if line.worker:
        shown["workerId"] = line.worker
    return shown
