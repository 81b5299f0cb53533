"""Endpoints under ``/api/workflow/bulk``: many executions at once.

Each id is done by itself, and what failed is told per id; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from edge.api import answers, executions, removal
from edge.api.call import Call
from edge.model.errors import BatonError, InvalidInput
from edge.responses import Response

_MAX_BULK = 1_000
"""Conductor's limit of ids in one bulk call."""


async def pause(call: Call) -> Response:
    """Pause each of a list."""
    return await _each(call, call.house.engine.pause)


async def resume(call: Call) -> Response:
    """Resume each of a list."""
    return await _each(call, call.house.engine.resume)


async def retry(call: Call) -> Response:
    """Retry each of a list."""
    return await _each(call, call.house.engine.retry)


async def restart(call: Call) -> Response:
    """Restart each of a list."""
    latest = call.flag("useLatestDefinitions", default=False)
    return await _each(call, lambda one: call.house.engine.restart(one, latest=latest))


async def terminate(call: Call) -> Response:
    """Terminate each of a list."""
    reason = call.text("reason")
    also = call.flag("triggerFailureWorkflow", default=False)
    engine = call.house.engine
    return await _each(call, lambda one: engine.terminate(one, reason, failure_workflow=also))


async def remove(call: Call) -> Response:
    """Remove each of a list."""
    archived = call.flag("archiveWorkflow", default=True)
    return await _each(call, lambda one: removal.take_away(call.house, one, archived=archived))


async def terminate_remove(call: Call) -> Response:
    """Terminate each of a list, then remove it."""
    archived = call.flag("archiveWorkflow", default=True)
    reason = call.text("reason")
    return await _each(
        call,
        lambda one: removal.end_and_take_away(call.house, one, reason, archived=archived),
    )


async def search(call: Call) -> Response:
    """The executions of a list, whole; archived ones too."""
    with_tasks = call.flag("includeTasks", default=True)
    found: list[Any] = []
    errors: dict[str, str] = {}
    for one in listed_ids(await call.json_list()):
        try:
            found.append(await executions.whole(call.house, one, with_tasks=with_tasks))
        except BatonError as error:
            errors[one] = error.message
    return answers.json(answers.bulk(errors, found))


async def each(
    call: Call,
    act: Callable[[str], Awaitable[None]],
    listed: Callable[[list[Any]], list[str]],
) -> Response:
    """Do something with each of a posted list by itself, and tell of each how it went.

    Args:
        call: the request.
        act: what is done.
        listed: the list as it was posted made into what is acted on, or refused.
    """
    errors: dict[str, str] = {}
    done: list[str] = []
    for one in listed(await call.json_list()):
        try:
            await act(one)
        except BatonError as error:
            errors[one] = error.message
        else:
            done.append(one)
    return answers.json(answers.bulk(errors, done))


async def _each(call: Call, act: Callable[[str], Awaitable[None]]) -> Response:
    return await each(call, act, listed_ids)


def listed_ids(items: list[Any]) -> list[str]:
    """The ids of a bulk call, each once.

    Raises:
        InvalidInput: there are none or too many, or one is no text.
    """
    if not items:
        raise InvalidInput("WorkflowIds list cannot be null.")
    if len(items) > _MAX_BULK:
        raise InvalidInput(
            f"Cannot process more than {_MAX_BULK} workflows. Please use multiple requests."
        )
    if not all(isinstance(item, str) for item in items):
        raise InvalidInput("Expected a list of ids, each a text")
    # To pause the same execution twice is nobody's wish.
    return list(dict.fromkeys(items))
