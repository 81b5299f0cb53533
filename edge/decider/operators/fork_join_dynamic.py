"""FORK_JOIN_DYNAMIC: goes on in branches that the execution itself has put together.

Each branch is one step, which its record brings along. When the JOIN is done stands in ``join``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from edge.decider.draft import Draft, FlowBroken, Lap, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.model.coercion import converted
from edge.model.definitions import JsonObject, WorkflowTask, without_nulls
from edge.model.executions import Task, TaskStatus, workflow_uuid
from edge.model.task_rules import KNOWN_TYPES

_WHOLE_NUMBER = re.compile(r"-?\d+")


class _Branch(NamedTuple):
    step: WorkflowTask
    document: JsonObject
    """The step as it was given, for the record of the fork."""


def _schedule(draft: Draft, visit: Visit, schedule: Schedule) -> None:
    step = visit.step
    ref = step.task_reference_name
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    following = draft.snapshot.outline_of(ref).following(ref)
    if following is None or following.type != "JOIN":
        raise FlowBroken(
            "Dynamic join definition is not followed by a join task.  Check the workflow definition."
        )
    branches = list(_branches(draft, visit, values))
    refs = [branch.step.task_reference_name for branch in branches]
    _refuse_duplicates(draft, visit, refs, following.task_reference_name)
    fork = draft.add(
        visit,
        TaskStatus.COMPLETED,
        values={
            **values,
            "forkedTasks": refs,
            "forkedTaskDefs": [branch.document for branch in branches],
        },
        ordinal=ordinal,
        type_="FORK",
        name="FORK",
    )
    _open(draft, fork, [branch.step for branch in branches], schedule)


def _open(draft: Draft, fork: Task, steps: list[WorkflowTask], schedule: Schedule) -> None:
    """Go on in all branches, and wait for them."""
    lap = Lap.around(fork)
    with draft.opening():
        for step in steps:
            schedule(draft, Visit(step, lap, brought=True))
        following = draft.snapshot.outline_of(fork.step_ref).following(fork.step_ref)
        if following is not None:
            refs = [step.task_reference_name for step in steps]
            # The names stand in the record, so the definition's own step serves from there on.
            schedule(draft, Visit(msgspec.structs.replace(following, join_on=refs), lap))


def _begin(draft: Draft, fork: Task, schedule: Schedule) -> None:
    """Open what is not open yet: the JOIN comes last, and all is open when it is."""
    following = draft.snapshot.outline_of(fork.step_ref).following(fork.step_ref)
    if following is None or draft.snapshot.find(following.task_reference_name + fork.suffix):
        return
    values = draft.snapshot.parsed(fork.ordinal, "input")
    documents = values.get("forkedTaskDefs") or []
    inputs = values.get(draft.step(fork).dynamic_fork_tasks_input_param_name or "")
    steps = [_step_of(draft, _with_input(document, inputs)) for document in documents]
    _open(draft, fork, steps, schedule)


def _refuse_duplicates(draft: Draft, visit: Visit, refs: list[str], join: str) -> None:
    """A branch must not stand in the place of another, of what has run, of the fork or its JOIN."""
    seen = {visit.step.task_reference_name, join}
    for ref in refs:
        if ref in seen or draft.snapshot.find(ref + visit.lap.suffix) is not None:
            raise FlowBroken(
                f"No dynamic tasks could be created for the Workflow: "
                f"{workflow_uuid(draft.snapshot.workflow.id)}, Dynamic Fork Task: "
                f"{visit.step.task_reference_name} attempted to create a duplicate task reference "
                f"name: {ref}"
            )
        seen.add(ref)


def _branches(draft: Draft, visit: Visit, values: JsonObject) -> Iterator[_Branch]:
    step = visit.step
    if isinstance(values.get("forkTaskInputs"), list):
        return _uniform(draft, visit, values)
    if step.dynamic_fork_tasks_param:
        return _tasks_and_inputs(draft, step, values)
    return _legacy(draft, step, values)


# A list of inputs, the same task for each.


def _uniform(draft: Draft, visit: Visit, values: JsonObject) -> Iterator[_Branch]:
    ref = visit.step.task_reference_name
    workflow = values.get("forkTaskWorkflow")
    type_ = str(values.get("forkTaskType") or "SIMPLE")
    name = values.get("forkTaskName") or (type_ if type_ in KNOWN_TYPES - {"SIMPLE"} else ref)
    before = any(task.kind == "FORK_JOIN_DYNAMIC" for task in draft.snapshot.tasks.values())
    prefix = f"_{ref}_{name}" if before else f"_{name}"
    for index, element in enumerate(values["forkTaskInputs"]):
        given = dict(element) if isinstance(element, dict) else {"input": element}
        given["__index"] = index
        settings = _step_fields(given)
        if visit.step.optional:
            settings["optional"] = True
        document = {
            **settings,
            "name": str(name),
            "taskReferenceName": f"{prefix}_{index}",
            "type": type_,
            "inputParameters": given,
        }
        if workflow:
            document |= {
                "name": str(workflow),
                "type": "SUB_WORKFLOW",
                "subWorkflowParam": _sub_workflow(values, workflow, given),
            }
        yield _Branch(_step_of(draft, document), document)


_SETTINGS = frozenset(
    {"optional", "permissive", "retryCount", "startDelay", "asyncComplete", "sink", "description"}
)
"""Settings of a step that an element may hold beside its inputs, with the type each must have."""


def _step_fields(element: JsonObject) -> JsonObject:
    found: JsonObject = {}
    for key in _SETTINGS & element.keys():
        try:
            msgspec.convert({key: element[key]}, WorkflowTask)
        except msgspec.ValidationError:
            # It has another type, so it is one of the author's own inputs.
            continue
        found[key] = element[key]
    return found


def _sub_workflow(values: JsonObject, workflow: Any, element: JsonObject) -> JsonObject:
    param: JsonObject = {"name": str(workflow)}
    version = values.get("forkTaskWorkflowVersion")
    if isinstance(version, int) and not isinstance(version, bool):
        param["version"] = version
    elif isinstance(version, str) and _WHOLE_NUMBER.fullmatch(version):
        # Whoever starts the child reads it as a number.
        param["version"] = version
    if isinstance(element.get("taskToDomain"), dict):
        param["taskToDomain"] = element["taskToDomain"]
    return param


# A list of steps, and a map of their inputs.


def _tasks_and_inputs(draft: Draft, step: WorkflowTask, values: JsonObject) -> Iterator[_Branch]:
    tasks_name = step.dynamic_fork_tasks_param or ""
    tasks = values.get(tasks_name)
    inputs = values.get(step.dynamic_fork_tasks_input_param_name or "")
    documents = _documents(tasks, tasks_name)
    if inputs is not None and not isinstance(inputs, dict):
        kind = "list" if isinstance(inputs, list) else type(inputs).__name__
        raise FlowBroken(
            "Input to the dynamically forked tasks is not a map -> expecting a map of K,V  "
            f"but found {kind}"
        )
    for document in documents:
        yield _Branch(_step_of(draft, _with_input(document, inputs)), document)


def _with_input(document: JsonObject, inputs: JsonObject | None) -> JsonObject:
    """A branch with what the map of inputs holds for it."""
    ref = document["taskReferenceName"]
    own = (inputs or {}).get(ref)
    if own is not None and not isinstance(own, dict):
        raise FlowBroken(
            f"Tasks could not be dynamically forked due to invalid input: that of {ref} is not a "
            f"map, but {java_text(own)[:500]}"
        )
    parameters = document.get("inputParameters") or {}
    # Anything but a map is left for the step to refuse.
    if isinstance(parameters, dict):
        parameters = {**parameters, **(own or {})}
    return {**document, "inputParameters": parameters}


def _documents(tasks: Any, name: str) -> list[JsonObject]:
    wrong = FlowBroken(
        f"Input '{name}' is invalid. Cannot deserialize a list of Workflow Tasks from "
        f"'{java_text(tasks)[:500]}'"
    )
    if not isinstance(tasks, list):
        raise wrong
    documents: list[JsonObject] = []
    for task in tasks:
        if not isinstance(task, dict) or not isinstance(task.get("taskReferenceName"), str):
            raise wrong
        documents.append(task if task.get("name") else {**task, "name": task["taskReferenceName"]})
    return documents


# The older form: one list that holds all of it.


def _legacy(draft: Draft, step: WorkflowTask, values: JsonObject) -> Iterator[_Branch]:
    name = step.dynamic_fork_join_tasks_param or ""
    given = values.get(name)
    tasks = given.get("dynamicTasks") if isinstance(given, dict) else given
    if not isinstance(tasks, list):
        raise FlowBroken(
            f"Dynamic tasks could not be created. The value of {name} from task's input "
            f"{java_text(values)[:500]} has no dynamic tasks to be scheduled"
        )
    for task in tasks:
        if not isinstance(task, dict) or not task.get("taskName"):
            raise FlowBroken(
                f"Input '{name}' is invalid. Cannot deserialize a list of Workflow Tasks from "
                f"'{java_text(tasks)[:500]}'"
            )
        document = {
            "name": str(task["taskName"]),
            "taskReferenceName": str(task.get("referenceName") or task["taskName"]),
            "type": str(task.get("type") or "SIMPLE"),
            "inputParameters": task.get("input") or {},
        }
        yield _Branch(_step_of(draft, document), document)


def _step_of(draft: Draft, document: JsonObject) -> WorkflowTask:
    """A branch as the flow sees it, with the task definition of its name."""
    try:
        step = converted(without_nulls(document), WorkflowTask)
    except (msgspec.ValidationError, RecursionError) as error:
        raise FlowBroken(
            f"Dynamic tasks could not be created. The task {java_text(document)[:500]} is no "
            f"workflow task: {error}"
        ) from error
    if step.task_definition is None:
        registered = draft.sources.definitions.task_definition(step.name)
        step = msgspec.structs.replace(step, task_definition=registered)
    return step


OPERATOR = Operator(_schedule, begin=_begin)
