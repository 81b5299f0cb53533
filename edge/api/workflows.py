"""Endpoints under ``/api/workflow``: start executions and steer them.

None is shown, searched or removed here.
"""

from __future__ import annotations

import msgspec

from edge.api import answers, definitions, external
from edge.api.call import Call
from edge.api.idempotency import with_idempotency
from edge.model.requests import StartRequest
from edge.model.validation import PostedStart, parse_start_request
from edge.responses import Response

_encode = msgspec.json.Encoder().encode


async def start(call: Call) -> Response:
    """Start a workflow; answers its id as text."""
    call.house.engine.admit_start()
    request = parse_start_request(with_idempotency(call, await call.document({})))
    return answers.text(await call.house.engine.start(await start_request(call, request)))


async def start_by_name(call: Call) -> Response:
    """Start a workflow by name, the body being its input."""
    call.house.engine.admit_start()
    document = {
        "name": call.params["name"],
        "version": _version(call),
        "correlationId": call.text("correlationId"),
        "priority": call.number("priority", 0),
        "input": await call.json_object(),
    }
    posted = parse_start_request(with_idempotency(call, document))
    return answers.text(await call.house.engine.start(await start_request(call, posted)))


async def terminate(call: Call) -> Response:
    """End an execution now."""
    await call.house.engine.terminate(
        call.params["id"],
        call.text("reason"),
        failure_workflow=call.flag("triggerFailureWorkflow", default=False),
    )
    return answers.void()


async def pause(call: Call) -> Response:
    """Stop scheduling what comes next."""
    await call.house.engine.pause(call.params["id"])
    return answers.void()


async def resume(call: Call) -> Response:
    """Go on after a pause."""
    await call.house.engine.resume(call.params["id"])
    return answers.void()


async def restart(call: Call) -> Response:
    """Run an ended execution from its beginning."""
    latest = call.flag("useLatestDefinitions", default=False)
    await call.house.engine.restart(call.params["id"], latest=latest)
    return answers.nothing()


async def retry(call: Call) -> Response:
    """Try the failed tasks of an ended execution once more."""
    resume = call.flag("resumeSubworkflowTasks", default=False)
    await call.house.engine.retry(call.params["id"], resume_children=resume)
    return answers.nothing()


async def decide(call: Call) -> Response:
    """Nothing has to be nudged here: every change decides at once. Only the id is checked."""
    await call.house.engine.workflow(call.params["id"])
    return answers.void()


async def start_request(call: Call, posted: PostedStart) -> StartRequest:
    """A posted start as the engine takes it, its own definition checked."""
    definition = None
    if posted.workflow_def is not None:
        inline = {"name": posted.name, **posted.workflow_def}
        definition = await definitions.checked_workflow(call, inline)
    path = posted.external_input_payload_storage_path or None
    return StartRequest(
        name=posted.name,
        version=posted.version or None,
        input=_encode(posted.input)
        if path is None
        else await external.payload(call, path, "externalInputPayloadStoragePath"),
        input_path=path,
        correlation_id=posted.correlation_id,
        priority=posted.priority,
        task_to_domain=posted.task_to_domain,
        definition=definition,
        created_by=call.author or posted.created_by,
        event=posted.event,
        idempotency_key=posted.idempotency_key,
        idempotency_strategy=posted.idempotency_strategy,
    )


def _version(call: Call) -> int | None:
    """Of the path where it has one, else of the query."""
    if "version" in call.params:
        return call.path_number("version")
    return call.optional_number("version")
