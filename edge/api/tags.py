"""Endpoints for the tags of workflow and task definitions.

What a tag may hold is the model's affair.
"""

from __future__ import annotations

from typing import Any

from edge import registration
from edge.api import answers
from edge.api.call import Call
from edge.model.errors import InvalidInput
from edge.model.tags import parse_tags
from edge.responses import Response
from edge.store import tags
from edge.store.tags import Tagged


async def of_workflow(call: Call) -> Response:
    """The tags of a workflow definition."""
    return await _read(call, Tagged.WORKFLOW)


async def add_to_workflow(call: Call) -> Response:
    """Put a tag, or a list of tags, on a workflow definition; the same key is replaced."""
    return await _change(call, Tagged.WORKFLOW, registration.add_tags)


async def set_of_workflow(call: Call) -> Response:
    """Put a list of tags in place of the ones that a workflow definition has."""
    return await _change(call, Tagged.WORKFLOW, registration.set_tags)


async def remove_from_workflow(call: Call) -> Response:
    """Take a tag, or a list of tags, away from a workflow definition."""
    return await _change(call, Tagged.WORKFLOW, registration.remove_tags)


async def of_task(call: Call) -> Response:
    """The tags of a task definition."""
    return await _read(call, Tagged.TASK)


async def add_to_task(call: Call) -> Response:
    """Put a tag, or a list of tags, on a task definition; the same key is replaced."""
    return await _change(call, Tagged.TASK, registration.add_tags)


async def set_of_task(call: Call) -> Response:
    """Put a list of tags in place of the ones that a task definition has."""
    return await _change(call, Tagged.TASK, registration.set_tags)


async def remove_from_task(call: Call) -> Response:
    """Take a tag, or a list of tags, away from a task definition."""
    return await _change(call, Tagged.TASK, registration.remove_tags)


async def every(call: Call) -> Response:
    """All tags that any definition carries, each once."""
    return answers.json(await call.house.engine.database.read(tags.every))


async def grouped(call: Call) -> Response:
    """All tags, each with the number of definitions of each kind that carry it."""
    found = await call.house.engine.database.read(tags.counts)
    return answers.json(
        [
            {
                "tagKey": one.key,
                "tagValue": str(one.value),
                "resourceType": one.kind,
                "countPerResourceType": one.carriers,
            }
            for one in found
        ]
    )


async def resources(call: Call) -> Response:
    """The definitions of one kind that carry a tag."""
    key, value = call.required("tagKey"), call.required("tagValue")
    name = call.required("resourceType")
    try:
        kind = Tagged(name)
    except ValueError as error:
        known = ", ".join(Tagged)
        raise InvalidInput(f"resourceType: {name[:80]!r} is not one of {known}") from error
    found = await call.house.engine.database.read(lambda c: tags.carriers(c, key, value, kind))
    return answers.json([{"id": one, "displayName": one} for one in found])


async def _read(call: Call, kind: Tagged) -> Response:
    name = call.params["name"]
    return answers.json(await call.house.engine.database.read(lambda c: tags.read(c, kind, name)))


async def _change(call: Call, kind: Tagged, change: Any) -> Response:
    name, posted = call.params["name"], parse_tags(await call.document([]))
    await call.house.engine.request(lambda t: change(t, kind, name, posted))
    return answers.void()
