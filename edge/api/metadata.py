"""Endpoints under ``/api/metadata``: workflow and task definitions.

No rule of a definition stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from edge.api import answers
from edge.api.call import Call
from edge.api.definitions import Templates, checked_task, checked_workflow, input_templates
from edge.model.definitions import TaskDefinition, WorkflowDefinition
from edge.model.errors import BatonError, InvalidInput, ValidationFailed
from edge.model.tags import Tag, matches, parse_tags
from edge.registration import Posted, register_tasks, register_workflow, register_workflows
from edge.registration import remove_task as remove_task_definition
from edge.registration import remove_workflow as remove_workflow_version
from edge.registration import replace_task as replace_task_definition
from edge.responses import Response
from edge.store import tags
from edge.store.tags import Tagged
from edge.wire import definition_document

_MAX_LIST = 1_000
"""Definitions in one call."""


async def create_workflow(call: Call) -> Response:
    """Register a workflow definition, or a list of them: all or none.

    A version that exists is replaced only with ``overwrite``; with ``newVersion`` the definition
    gets the number after the highest there is. ``tags`` are put on it, with ``overwriteTags`` in
    place of the ones it has.
    """
    overwrite = call.flag("overwrite", default=False)
    new_version = call.flag("newVersion", default=False)
    documents, templates = _listed(await call.document()), await input_templates(call)
    posted = [await _posted_workflow(call, one, templates) for one in documents]

    await call.house.engine.request(
        lambda t: register_workflows(t, posted, overwrite=overwrite, new_version=new_version)
    )
    return answers.void()


async def put_workflows(call: Call) -> Response:
    """Register or replace a list of workflow definitions; what failed is told per name."""
    overwrite = call.flag("overwrite", default=True)
    new_version = call.flag("newVersion", default=False)
    documents, templates = _listed(await call.json_list()), await input_templates(call)
    errors: dict[str, str] = {}
    done: list[str] = []
    for document in documents:
        name = str(document.get("name", "")) if isinstance(document, dict) else ""
        try:
            posted = await _posted_workflow(call, document, templates)
            await call.house.engine.request(
                lambda t, one=posted: register_workflow(  # type: ignore[misc]
                    t, one, overwrite=overwrite, new_version=new_version
                )
            )
        except BatonError as error:
            errors[name] = _why(error)
        else:
            done.append(name)
    return answers.json(answers.bulk(errors, done))


async def validate_workflow(call: Call) -> Response:
    """Hold a definition against the rules without registering it."""
    await checked_workflow(call, await call.document())
    return answers.void()


async def get_workflow(call: Call) -> Response:
    """One workflow definition; the latest without a version."""
    name, with_tags = call.params["name"], call.flag("metadata", default=False)
    definition = await call.house.engine.workflow_definition(name, call.optional_number("version"))
    document = definition_document(definition)
    if with_tags:
        document["tags"] = await _tags_of(call, Tagged.WORKFLOW, name)
    return answers.json(document)


async def list_workflows(call: Call) -> Response:
    """All workflow definitions in all versions, or those with a name or a tag."""
    documents = await _filtered(
        call, Tagged.WORKFLOW, await call.house.engine.workflow_definitions()
    )
    wanted = call.text("name")
    found = [one for one in documents if wanted is None or one["name"] == wanted]
    if call.flag("short", default=False):
        found = [{**one, "tasks": []} for one in found]
    return answers.json(found)


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
    name, number = call.params["name"], call.path_number("version")
    await call.house.engine.request(lambda t: remove_workflow_version(t, name, number))
    return answers.void()


async def put_tasks(call: Call) -> Response:
    """Register or replace a list of task definitions: all of them or none."""
    posted = [
        _posted_task(call, one, index) for index, one in enumerate(_listed(await call.document()))
    ]

    await call.house.engine.request(lambda t: register_tasks(t, posted))
    return answers.void()


async def replace_task(call: Call) -> Response:
    """Replace a task definition that exists."""
    posted = _posted_task(call, await call.json_object(), 0)
    await call.house.engine.request(lambda t: replace_task_definition(t, posted))
    return answers.void()


async def get_task(call: Call) -> Response:
    """One task definition."""
    name, with_tags = call.params["name"], call.flag("metadata", default=False)
    document = definition_document(await call.house.engine.task_definition(name))
    if with_tags:
        document["tags"] = await _tags_of(call, Tagged.TASK, name)
    return answers.json(document)


async def list_tasks(call: Call) -> Response:
    """All task definitions, or those with a tag."""
    found = await call.house.engine.task_definitions()
    return answers.json(await _filtered(call, Tagged.TASK, found))


async def remove_task(call: Call) -> Response:
    """Delete a task definition."""
    name = call.params["name"]
    await call.house.engine.request(lambda t: remove_task_definition(t, name))
    return answers.void()


async def _posted_workflow(call: Call, document: Any, templates: Templates) -> Posted:
    return _with_tags(call, await checked_workflow(call, document, templates), document)


def _posted_task(call: Call, document: Any, index: int) -> Posted:
    return _with_tags(call, checked_task(call, document, index), document)


def _with_tags(
    call: Call, definition: WorkflowDefinition | TaskDefinition, document: dict[str, Any]
) -> Posted:
    if call.author is not None:
        # Where callers are asked who they are, nobody can say that it was somebody else.
        definition = msgspec.structs.replace(
            definition, created_by=call.author, updated_by=call.author
        )
    posted = document.get("tags")
    found = None if posted is None else parse_tags(posted)
    return Posted(definition, found, overwrite_tags=document.get("overwriteTags") is True)


async def _tags_of(call: Call, kind: Tagged, name: str) -> list[Tag]:
    return await call.house.engine.database.read(lambda c: tags.read(c, kind, name))


async def _filtered(
    call: Call, kind: Tagged, found: Sequence[WorkflowDefinition | TaskDefinition]
) -> list[dict[str, Any]]:
    """Definitions as documents: those with the tag that is asked for, their tags if wanted."""
    # Everybody who may ask may read all of them: the kind of access makes no difference.
    call.text("access")
    key, value = call.text("tagKey"), call.text("tagValue")
    with_tags = call.flag("metadata", default=False)
    known: dict[str, list[Tag]] = {}
    if with_tags or key is not None or value is not None:
        known = await call.house.engine.database.read(lambda c: tags.read_all(c, kind))
    documents = []
    for one in found:
        own = known.get(one.name, [])
        if matches(own, key, value):
            document = definition_document(one)
            documents.append({**document, "tags": own} if with_tags else document)
    return documents


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
