"""Endpoints under ``/api/metadata``: workflow and task definitions.

No rule of a definition stands here.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from edge.api import answers
from edge.api.call import Call
from edge.api.definitions import checked_task, checked_workflow
from edge.model.definitions import WorkflowDefinition
from edge.model.errors import BatonError, InvalidInput, ValidationFailed
from edge.wire import definition_document

_MAX_LIST = 1_000
"""Definitions in one call."""


async def create_workflow(call: Call) -> Response:
    """Register a workflow definition; an existing version only with ``overwrite``."""
    overwrite = call.flag("overwrite", default=False)
    for document in _listed(await call.document()):
        definition = await checked_workflow(call, document)
        await call.house.engine.put_workflow_definition(definition, overwrite=overwrite)
    return answers.void()


async def put_workflows(call: Call) -> Response:
    """Register or replace a list; what failed is told per name."""
    errors: dict[str, str] = {}
    done: list[str] = []
    for document in _listed(await call.json_list()):
        name = str(document.get("name", "")) if isinstance(document, dict) else ""
        try:
            definition = await checked_workflow(call, document)
            await call.house.engine.put_workflow_definition(definition, overwrite=True)
        except BatonError as error:
            errors[name] = _why(error)
        else:
            done.append(definition.name)
    return answers.json(answers.bulk(errors, done))


async def validate_workflow(call: Call) -> Response:
    """Hold a definition against the rules without registering it."""
    await checked_workflow(call, await call.document())
    return answers.void()


async def get_workflow(call: Call) -> Response:
    """One definition; the latest without a version."""
    definition = await call.house.engine.workflow_definition(
        call.params["name"], call.optional_number("version")
    )
    return answers.json(definition_document(definition))


async def list_workflows(call: Call) -> Response:
    """All definitions in all versions."""
    found = await call.house.engine.workflow_definitions()
    return answers.json([definition_document(one) for one in found])


async def latest_workflows(call: Call) -> Response:
    """All definitions, the latest version of each."""
    latest = [versions[-1] for versions in (await _versions(call)).values()]
    return answers.json([definition_document(one) for one in latest])


async def workflow_names(call: Call) -> Response:
    """Names of all definitions."""
    return answers.json(list(await _versions(call)))


async def names_and_versions(call: Call) -> Response:
    """All names, each with its versions."""
    found = await _versions(call)
    return answers.json({name: [_line(one) for one in all_] for name, all_ in found.items()})


async def workflow_versions(call: Call) -> Response:
    """The versions of one definition."""
    found = await _versions(call)
    return answers.json([_line(one) for one in found.get(call.params["name"], [])])


async def remove_workflow(call: Call) -> Response:
    """Delete one version of a definition; executions keep the copy they started with."""
    version = call.params["version"]
    if not version.isascii() or not version.isdigit() or len(version) > 9:
        raise InvalidInput(f"version: {version[:80]!r} is not a whole number")
    await call.house.engine.remove_workflow_definition(call.params["name"], int(version))
    return answers.void()


async def put_tasks(call: Call) -> Response:
    """Register or replace a list of task definitions: all of them or none."""
    documents = _listed(await call.document())
    definitions = [checked_task(call, one, index) for index, one in enumerate(documents)]
    await call.house.engine.put_task_definitions(definitions)
    return answers.void()


async def replace_task(call: Call) -> Response:
    """Replace a task definition that exists."""
    definition = checked_task(call, await call.json_object(), 0)
    await call.house.engine.replace_task_definition(definition)
    return answers.void()


async def get_task(call: Call) -> Response:
    """One task definition."""
    definition = await call.house.engine.task_definition(call.params["name"])
    return answers.json(definition_document(definition))


async def list_tasks(call: Call) -> Response:
    """All task definitions."""
    found = await call.house.engine.task_definitions()
    return answers.json([definition_document(one) for one in found])


async def remove_task(call: Call) -> Response:
    """Delete a task definition."""
    await call.house.engine.remove_task_definition(call.params["name"])
    return answers.void()


def _listed(document: Any) -> list[Any]:
    """A list as it is, one object as a list of one: some clients post either."""
    items = document if isinstance(document, list) else [document]
    if len(items) > _MAX_LIST:
        raise InvalidInput(f"a call may hold {_MAX_LIST} definitions, this one has {len(items)}")
    return items


async def _versions(call: Call) -> dict[str, list[WorkflowDefinition]]:
    """All definitions by name, their versions ascending."""
    found: dict[str, list[WorkflowDefinition]] = {}
    all_ = await call.house.engine.workflow_definitions()
    for one in sorted(all_, key=lambda definition: (definition.name, definition.version)):
        found.setdefault(one.name, []).append(one)
    return found


def _line(definition: WorkflowDefinition) -> dict[str, Any]:
    line = {
        "name": definition.name,
        "version": definition.version,
        "createTime": definition.create_time,
        "updateTime": definition.update_time,
    }
    return {key: value for key, value in line.items() if value is not None}


def _why(error: BatonError) -> str:
    if isinstance(error, ValidationFailed):
        return "; ".join(f"{fault.path}: {fault.message}" for fault in error.fields)
    return error.message
