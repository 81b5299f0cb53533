"""Endpoints that take executions back, ahead or on, signal them, and wait for where they get to.

No execution is looked for here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.api import answers, executions, runs, tasks, workflows
from edge.api.call import Call
from edge.api.idempotency import with_idempotency
from edge.clock import new_request_id
from edge.model.errors import InvalidInput, NotFound
from edge.model.masking import masked_workflow
from edge.model.requests import StartRequest
from edge.model.validation import parse_start_request, shaped
from edge.responses import Response

_MAX_WAIT_S = 3_600
"""Longest time that a caller may be made to wait."""

_encode = msgspec.json.Encoder().encode


class PostedRerun(msgspec.Struct, frozen=True, rename="camel"):
    """Where to run an execution from again."""

    re_run_from_workflow_id: str | None = msgspec.field(name="reRunFromWorkflowId", default=None)
    re_run_from_task_id: str | None = msgspec.field(name="reRunFromTaskId", default=None)
    workflow_input: dict[str, Any] | None = None
    task_input: dict[str, Any] | None = None
    correlation_id: str | None = None


class PostedSkip(msgspec.Struct, frozen=True, rename="camel"):
    """What a skipped task is said to have had and made."""

    task_input: dict[str, Any] = {}
    task_output: dict[str, Any] = {}


class PostedUpgrade(msgspec.Struct, frozen=True, rename="camel"):
    """The definition to go on by."""

    name: str = ""
    version: int | None = None
    workflow_input: dict[str, Any] | None = None
    task_output: dict[str, dict[str, Any]] = {}


class PostedStateResult(msgspec.Struct, frozen=True, rename="camel"):
    """What is said of the task of a state update; a task result, of which two fields count."""

    status: str = "COMPLETED"
    output_data: dict[str, Any] = {}


class PostedState(msgspec.Struct, frozen=True, rename="camel"):
    """Variables and a task to update together."""

    task_reference_name: str | None = None
    task_result: PostedStateResult | None = None
    variables: dict[str, Any] | None = None


# Back, ahead, on.


async def rerun(call: Call) -> Response:
    """Run an ended execution again, from its beginning or from a task; answers its id."""
    posted = shaped(await call.json_object(), PostedRerun, "rerun request")
    workflow_id = posted.re_run_from_workflow_id or call.params["id"]
    await call.house.steering.rerun(
        workflow_id,
        task_id=posted.re_run_from_task_id,
        workflow_input=None if posted.workflow_input is None else _encode(posted.workflow_input),
        task_input=None if posted.task_input is None else _encode(posted.task_input),
        correlation_id=posted.correlation_id,
    )
    return answers.text(workflow_id)


async def skip(call: Call) -> Response:
    """Count a task that the flow has not come to as done."""
    posted = shaped(await call.json_object(), PostedSkip, "skip request")
    await call.house.steering.skip(
        call.params["id"],
        call.params["ref"],
        _encode(posted.task_input),
        _encode(posted.task_output),
    )
    return answers.void()


async def jump(call: Call) -> Response:
    """Go on from another task, whose input is laid under the body."""
    ref = call.params.get("ref") or call.required("taskReferenceName")
    await call.house.steering.jump(call.params["id"], ref, _encode(await call.json_object()))
    return answers.void()


async def upgrade(call: Call) -> Response:
    """Go on by another definition."""
    posted = shaped(await call.json_object(), PostedUpgrade, "upgrade request")
    if not posted.name.strip():
        raise InvalidInput("name: the definition to go on by cannot be null or empty")
    await call.house.steering.upgrade(
        call.params["id"],
        posted.name,
        posted.version or None,
        None if posted.workflow_input is None else _encode(posted.workflow_input),
        posted.task_output,
    )
    return answers.void()


async def reset_callbacks(call: Call) -> Response:
    """Hand out at once what waits for a delay that its worker asked for."""
    await call.house.steering.reset_callbacks(call.params["id"])
    return answers.nothing()


async def update_variables(call: Call) -> Response:
    """Lay values over the variables; answers the execution."""
    values = await call.json_object()
    await call.house.steering.update_variables(call.params["id"], _encode(values))
    return answers.json(await executions.stored(call.house, call.params["id"], with_tasks=True))


async def update_state(call: Call) -> Response:
    """Update variables and a task together, then answer where the execution gets to."""
    posted = shaped(await call.json_object(), PostedState, "state update")
    result = posted.task_result or PostedStateResult()
    await call.house.steering.update_state(
        call.params["id"],
        variables=None if posted.variables is None else _encode(posted.variables),
        ref=posted.task_reference_name if posted.task_result is not None else None,
        status=tasks.reported(result.status),
        output=_encode(result.output_data),
    )
    blocked = await call.house.steering.wait(
        call.params["id"], refs=call.texts("waitUntilTaskRef"), timeout_s=_wait_s(call)
    )
    run = runs.target(call.house.encoder, blocked, _request_id(call))
    return answers.json(run)


# Waiting for where an execution gets to.


async def execute(call: Call) -> Response:
    """Start a workflow and answer where it has got to within the time."""
    call.house.engine.admit_start()
    document = await call.json_object()
    document |= {"name": call.params["name"], "version": call.path_number("version")}
    posted = parse_start_request(with_idempotency(call, document))
    request = await workflows.start_request(call, posted)
    strategy = _strategy(call)
    blocked = await call.house.steering.start_and_wait(
        request, refs=call.texts("waitUntilTaskRef"), timeout_s=_wait_s(call)
    )
    return _answer(call, blocked, strategy)


async def execute_for_output(call: Call) -> Response:
    """Start a workflow whose input is the body, and answer its output."""
    call.house.engine.admit_start()
    document = {
        "name": call.params["name"],
        "version": call.optional_number("version"),
        "input": await call.json_object(),
    }
    posted = parse_start_request(with_idempotency(call, document))
    request: StartRequest = await workflows.start_request(call, posted)
    refs = (call.header(b"waituntiltaskref") or "").split(",")
    blocked = await call.house.steering.start_and_wait(
        request, refs=[ref for ref in refs if ref], timeout_s=_header_wait_s(call)
    )
    return answers.json(msgspec.Raw(masked_workflow(blocked.view.workflow).output))


async def signal(call: Call) -> Response:
    """Report the first task that waits for a signal, if any does."""
    output = _encode(await call.json_object())
    status = tasks.reported(call.params["status"])
    await call.house.steering.signal(call.params["workflow"], status, output)
    return answers.void()


async def signal_sync(call: Call) -> Response:
    """Report the first task that waits for a signal, and answer where the execution gets to."""
    output = _encode(await call.json_object())
    status, strategy = tasks.reported(call.params["status"]), _strategy(call)
    timeout_ms = call.number("timeoutMillis", 5_000)
    workflow_id = call.params["workflow"]
    steering = call.house.steering
    if await steering.signal(workflow_id, status, output) is None:
        raise NotFound(f"Found no blocked task in workflow {workflow_id} to signal")
    blocked = await steering.wait(
        workflow_id, refs=[], timeout_s=min(max(timeout_ms / 1000, 0), _MAX_WAIT_S)
    )
    return _answer(call, blocked, strategy)


def _answer(call: Call, blocked: Any, strategy: str) -> Response:
    body = runs.RUNS[strategy](call.house.encoder, blocked, _request_id(call))
    return answers.void() if body is None else answers.json(body)


def _strategy(call: Call) -> str:
    strategy = call.text("returnStrategy", "TARGET_WORKFLOW") or "TARGET_WORKFLOW"
    if strategy not in runs.RUNS:
        raise InvalidInput(
            f"returnStrategy: {strategy[:80]!r} is not one of {', '.join(runs.RUNS)}"
        )
    return strategy


def _wait_s(call: Call) -> float:
    return min(max(call.number("waitForSeconds", 10), 0), _MAX_WAIT_S)


def _header_wait_s(call: Call) -> float:
    given = (call.header(b"waitforseconds") or "").strip()
    if given and not given.isdecimal():
        raise InvalidInput(f"waitForSeconds: {given[:80]!r} is not a whole number")
    return min(int(given[:9]) if given else 10, _MAX_WAIT_S)


def _request_id(call: Call) -> str:
    return call.text("requestId") or call.header(b"requestid") or new_request_id()
