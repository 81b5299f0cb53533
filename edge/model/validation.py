"""What clients post, turned into definitions and requests: shapes first, then every rule at once.

Nothing is looked up or stored here; what a rule has to know of the outside is handed in.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from edge.model.coercion import converted
from edge.model.definitions import (
    JsonObject,
    TaskDefinition,
    WorkflowDefinition,
    WorkflowTask,
    without_nulls,
)
from edge.model.errors import FieldError, InvalidInput, ValidationFailed
from edge.model.references import (
    SYSTEM_NAMES,
    head_of,
    references_in,
    strings_of,
    well_formed,
)
from edge.model.task_rules import Surrounds, rules_of

T = TypeVar("T", bound=msgspec.Struct)

_LARGEST_INT = 2**31 - 1
"""Conductor's integers are Java's; a client that decodes into one must be able to read ours."""

_LARGEST_MS = 2**53
"""Times of clients: the largest whole number that JavaScript can hold."""

_MAX_NAME = 255
"""Characters in a name: what Conductor's own tables hold."""

_MAX_DEPTH = 50
"""Cases in branches in cases: deeper than a person can draw, and shallow enough to recurse over."""

_MAX_STEPS = 10_000
"""Steps in one definition; it is kept with each version and read whole."""

_SHOWN_VALUE = 200
"""Characters of a refused value that an answer repeats."""


class PostedStart(msgspec.Struct, frozen=True, rename="camel"):
    """A start request as clients post it."""

    name: str = ""
    version: int | None = None
    """None or 0 = the latest."""
    correlation_id: str | None = None
    input: JsonObject = {}
    task_to_domain: dict[str, str] = {}
    workflow_def: JsonObject | None = None
    """A definition to run without registering it; still to be checked."""
    external_input_payload_storage_path: str | None = None
    priority: int = 0
    """0 to 99, the highest first."""
    created_by: str | None = None
    event: str | None = None
    idempotency_key: str | None = None
    idempotency_strategy: Literal["FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING"] | None = None


class PostedLog(msgspec.Struct, frozen=True, rename="camel"):
    """One line of a task's log as workers post it."""

    log: str = ""
    task_id: str | None = None
    created_time: int = 0
    """Epoch milliseconds; 0 = now."""


class PostedResult(msgspec.Struct, frozen=True, rename="camel"):
    """What a worker says of a task."""

    workflow_instance_id: str = ""
    task_id: str = ""
    status: Literal[
        "IN_PROGRESS", "COMPLETED", "FAILED", "FAILED_WITH_TERMINAL_ERROR", "CANCELED"
    ] = "IN_PROGRESS"
    output_data: JsonObject = {}
    external_output_payload_storage_path: str | None = None
    """Where the output has been uploaded, in place of ``output_data``."""
    reason_for_incompletion: str | None = None
    callback_after_seconds: int = 0
    worker_id: str | None = None
    logs: list[PostedLog] = []
    extend_lease: bool = False


def parse_workflow_definition(
    document: Any,
    *,
    owner_required: bool,
    check_script: Callable[[str], str | None],
    template_of: Mapping[str, JsonObject] | None = None,
    process: Container[str] = (),
) -> WorkflowDefinition:
    """Read a posted workflow definition and hold it against every rule.

    Args:
        document: decoded JSON.
        owner_required: whether ``ownerEmail`` must be given.
        check_script: says what is wrong with a JavaScript text; None = nothing.
        template_of: input templates of the registered task definitions, by name.
        process: names of the process's variables, which a whole expression may be.

    Raises:
        InvalidInput: it has not the shape of a definition; the message names the field.
        ValidationFailed: it breaks rules; all of them are listed.
    """
    definition = shaped(document, WorkflowDefinition, "workflow definition")
    surrounds = Surrounds(check_script, template_of or {})
    faults = list(_workflow_faults(definition, owner_required=owner_required))
    steps = list(_walk(definition.tasks, "workflowDef.tasks", 0, faults))
    if len(steps) > _MAX_STEPS:
        message = f"a workflow definition may hold {_MAX_STEPS} tasks, this one has {len(steps)}"
        raise ValidationFailed([FieldError("workflowDef.tasks", message)])
    for path, task in steps:
        faults += _step_faults(path, task, surrounds)
    faults += _duplicates(definition.name, steps)
    refs = {task.task_reference_name for _, task in steps}
    faults += _unknown_references(definition, refs, process)
    _refuse(faults)
    return definition


def parse_inline_definition(document: Any) -> WorkflowDefinition:
    """Read a definition that an execution brings along for a child of its.

    It is held against what the engine itself needs, not against the rules for registered ones.

    Raises:
        InvalidInput: it has not the shape of a definition; the message names the field.
        ValidationFailed: it cannot be followed.
    """
    definition = shaped(document, WorkflowDefinition, "workflow definition")
    faults = list(_workflow_faults(definition, owner_required=False))
    steps = list(_walk(definition.tasks, "workflowDef.tasks", 0, faults))
    if len(steps) > _MAX_STEPS:
        message = f"a workflow definition may hold {_MAX_STEPS} tasks, this one has {len(steps)}"
        faults.append(FieldError("workflowDef.tasks", message))
    for path, task in steps:
        faults += _name_faults(path, task)
    faults += _duplicates(definition.name, steps)
    _refuse(faults)
    return definition


def parse_task_definition(
    document: Any, *, owner_required: bool, path: str = "taskDef"
) -> TaskDefinition:
    """Read a posted task definition and hold it against every rule.

    Args:
        document: decoded JSON.
        owner_required: whether ``ownerEmail`` must be given.
        path: what the refused fields' paths begin with.

    Raises:
        InvalidInput: it has not the shape of a task definition; the message names the field.
        ValidationFailed: it breaks rules; all of them are listed.
    """
    definition = shaped(document, TaskDefinition, "task definition")
    faults = list(_task_faults(definition, path, owner_required=owner_required))
    if not definition.name.strip():
        faults.insert(0, FieldError(f"{path}.name", "TaskDef name cannot be null or empty"))
    _refuse(faults)
    return definition


def parse_start_request(document: Any) -> PostedStart:
    """Read a start request; an embedded definition is left to ``parse_workflow_definition``.

    Raises:
        InvalidInput: it has not the shape of a request; the message names the field.
        ValidationFailed: it breaks rules; all of them are listed.
    """
    request = shaped(document, PostedStart, "start request")
    faults = []
    if not request.name.strip():
        faults.append(FieldError("name", "Workflow name cannot be null or empty"))
    faults += list(_priority_faults(request.priority))
    if len(request.idempotency_key or "") > _MAX_NAME:
        faults.append(_too_long("idempotencyKey", request.idempotency_key or ""))
    faults += _wide_integers(request, "")
    _refuse(faults)
    return request


_result_decoder = msgspec.json.Decoder(PostedResult, strict=False)


def parse_task_result(body: bytes) -> PostedResult:
    """Read a worker's answer straight from its JSON: this is the busiest request of all.

    Raises:
        InvalidInput: it has not the shape of an answer; the message names the field.
        ValidationFailed: an id is missing or a number is out of range.
        msgspec.DecodeError: it is no JSON.
    """
    try:
        result = _result_decoder.decode(body)
    except msgspec.DecodeError:
        # Nulls stand for defaults; only bodies that hold one, a wrong type or a mark of their
        # encoding come this way.
        result = shaped(decoded(body), PostedResult, "task result")
    _refuse(_result_faults(result))
    return result


_results_decoder = msgspec.json.Decoder(list[PostedResult], strict=False)


def parse_task_results(body: bytes, most: int) -> list[PostedResult]:
    """Read many answers at once; one that is wrong is a fault of the whole list.

    Args:
        body: a list of them as JSON.
        most: how many there may be.

    Raises:
        InvalidInput: it is no list of answers, or too long; the message names the field.
        ValidationFailed: an id is missing or a number is out of range.
        msgspec.DecodeError: it is no JSON.
    """
    try:
        results = _results_decoder.decode(body)
    except msgspec.DecodeError:
        document = decoded(body)
        if not isinstance(document, list):
            raise InvalidInput("Cannot read the task results: they are no list") from None
        results = [
            shaped(one, PostedResult, f"task result [{index}]")
            for index, one in enumerate(document[: most + 1])
        ]
    if not results:
        raise InvalidInput("The list of task results is empty.")
    if len(results) > most:
        raise InvalidInput(f"A list may have {most} task results; this one has {len(results)}.")
    _refuse(
        [
            msgspec.structs.replace(fault, path=f"[{index}].{fault.path}")
            for index, result in enumerate(results)
            for fault in _result_faults(result)
        ]
    )
    return results


def _result_faults(result: PostedResult) -> list[FieldError]:
    faults = []
    if not result.workflow_instance_id.strip():
        faults.append(FieldError("workflowInstanceId", "Workflow Id cannot be null or empty"))
    if not result.task_id.strip():
        faults.append(FieldError("taskId", "Task ID cannot be null or empty"))
    if not 0 <= result.callback_after_seconds <= _LARGEST_INT:
        faults.append(_out_of_range("callbackAfterSeconds", result.callback_after_seconds))
    for index, line in enumerate(result.logs):
        if not 0 <= line.created_time <= _LARGEST_MS:
            faults.append(_out_of_range(f"logs[{index}].createdTime", line.created_time))
    return faults


def decoded(body: bytes) -> Any:
    """JSON text as Python values; a mark of its encoding may stand before it.

    Raises:
        msgspec.DecodeError: it is no JSON.
    """
    return msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))


def shaped(document: Any, type_: type[T], noun: str) -> T:
    """The document as a struct; nulls count as absent, numbers and truth values as their texts.

    Raises:
        InvalidInput: when a field has the wrong type; the message names it.
    """
    try:
        return converted(without_nulls(document), type_)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"Cannot read the {noun}: {error}") from error
    except RecursionError as error:
        raise InvalidInput(f"Cannot read the {noun}: it is nested too deeply") from error


def _refuse(faults: list[FieldError]) -> None:
    if faults:
        raise ValidationFailed(faults)


def _workflow_faults(
    definition: WorkflowDefinition, *, owner_required: bool
) -> Iterator[FieldError]:
    root = "workflowDef"
    if not definition.name.strip():
        yield FieldError(f"{root}.name", "WorkflowDef name cannot be null or empty")
    if len(definition.name) > _MAX_NAME:
        yield _too_long(f"{root}.name", definition.name)
    if not definition.tasks:
        yield FieldError(f"{root}.tasks", "WorkflowTask list cannot be empty", "[]")
    if definition.schema_version != 2:
        message = "workflowDef schemaVersion: 2 is only supported"
        yield FieldError(f"{root}.schemaVersion", message, str(definition.schema_version))
    if definition.version < 0:
        message = f"version: {definition.version} must be >= 0"
        yield FieldError(f"{root}.version", message, str(definition.version))
    if owner_required and not (definition.owner_email or "").strip():
        yield FieldError(f"{root}.ownerEmail", "ownerEmail cannot be empty")
    yield from _wide_integers(definition, root)


def _walk(
    tasks: list[WorkflowTask], path: str, depth: int, faults: list[FieldError]
) -> Iterator[tuple[str, WorkflowTask]]:
    """Every step of a definition with its path, a container before what is inside it."""
    if tasks and depth > _MAX_DEPTH:
        faults.append(FieldError(path, f"tasks may be nested {_MAX_DEPTH} deep"))
        return
    for index, task in enumerate(tasks):
        here = f"{path}[{index}]"
        yield here, task
        for case, inner in task.decision_cases.items():
            yield from _walk(inner, f"{here}.decisionCases.{case}", depth + 1, faults)
        yield from _walk(task.default_case, f"{here}.defaultCase", depth + 1, faults)
        for branch, inner in enumerate(task.fork_tasks):
            yield from _walk(inner, f"{here}.forkTasks[{branch}]", depth + 1, faults)
        yield from _walk(task.loop_over, f"{here}.loopOver", depth + 1, faults)


def _step_faults(
    path: str,
    task: WorkflowTask,
    surrounds: Surrounds,
) -> Iterator[FieldError]:
    yield from _name_faults(path, task)
    if task.start_delay < 0:
        message = f"startDelay: {task.start_delay} must be >= 0"
        yield FieldError(f"{path}.startDelay", message, str(task.start_delay))
    # A text in the Struct: definitions that were stored before this was asked must still open.
    if task.join_mode not in (None, "SYNC", "ASYNC"):
        message = "joinMode should be SYNC or ASYNC"
        yield FieldError(f"{path}.joinMode", message, _short(task.join_mode))
    yield from _cache_faults(f"{path}.cacheConfig", task.cache_config or {})
    for message in rules_of(task, surrounds):
        yield FieldError(path, message)
    yield from _wide_integers(task, path)
    if task.task_definition is not None:
        # Conductor holds an embedded definition against no rule, and executions show ones that a
        # registered one could not be: what a client has read there it may post again.
        yield from _wide_integers(task.task_definition, f"{path}.taskDefinition")


def _name_faults(path: str, task: WorkflowTask) -> Iterator[FieldError]:
    if not task.name.strip():
        yield FieldError(f"{path}.name", "WorkflowTask name cannot be empty or null")
    if not task.task_reference_name.strip():
        message = "WorkflowTask taskReferenceName name cannot be empty or null"
        yield FieldError(f"{path}.taskReferenceName", message)
    for field, value in (
        ("name", task.name),
        ("taskReferenceName", task.task_reference_name),
    ):
        if len(value) > _MAX_NAME:
            yield _too_long(f"{path}.{field}", value)
    if not task.type.strip():
        yield FieldError(f"{path}.type", "WorkTask type cannot be null or empty")


def _cache_faults(path: str, config: JsonObject) -> Iterator[FieldError]:
    key, ttl_s = config.get("key", ""), config.get("ttlInSecond", 0)
    if not isinstance(key, str):
        yield FieldError(
            f"{path}.key", "expected a text, such as ${uri}-${method}", _short(str(key))
        )
    if isinstance(ttl_s, bool) or not isinstance(ttl_s, int) or not 0 <= ttl_s <= _LARGEST_INT:
        message = "expected a whole number of seconds, at least 0"
        yield FieldError(f"{path}.ttlInSecond", message, _short(str(ttl_s)))


def _task_faults(
    definition: TaskDefinition, path: str, *, owner_required: bool
) -> Iterator[FieldError]:
    response_s, run_s = definition.response_timeout_seconds, definition.timeout_seconds
    total_s = definition.total_timeout_seconds
    if len(definition.name) > _MAX_NAME:
        yield _too_long(f"{path}.name", definition.name)
    if owner_required and not (definition.owner_email or "").strip():
        yield FieldError(f"{path}.ownerEmail", "ownerEmail cannot be empty")
    if response_s < 1:
        message = f"TaskDef responseTimeoutSeconds: {response_s} should be minimum 1 second"
        yield FieldError(f"{path}.responseTimeoutSeconds", message, str(response_s))
    if 0 < run_s < response_s:
        message = (
            f"TaskDef: {definition.name} responseTimeoutSeconds: {response_s} "
            f"must be less than timeoutSeconds: {run_s}"
        )
        yield FieldError(f"{path}.responseTimeoutSeconds", message, str(response_s))
    if 0 < total_s < run_s:
        message = (
            f"TaskDef: {definition.name} timeoutSeconds: {run_s} "
            f"must be less than or equal to totalTimeoutSeconds: {total_s}"
        )
        yield FieldError(f"{path}.timeoutSeconds", message, str(run_s))
    for field, value in (
        ("retryCount", definition.retry_count),
        ("timeoutSeconds", run_s),
        ("retryDelaySeconds", definition.retry_delay_seconds),
        ("pollTimeoutSeconds", definition.poll_timeout_seconds or 0),
        ("totalTimeoutSeconds", total_s),
        ("maxRetryDelaySeconds", definition.max_retry_delay_seconds),
        ("backoffJitterMs", definition.backoff_jitter_ms),
    ):
        if value < 0:
            yield FieldError(f"{path}.{field}", f"TaskDef {field}: 0 must be >= 0", str(value))
    if definition.backoff_scale_factor < 1:
        scale = definition.backoff_scale_factor
        yield FieldError(
            f"{path}.backoffScaleFactor",
            "TaskDef backoffScaleFactor: 1 must be >= 1",
            str(scale),
        )
    yield from _wide_integers(definition, path)


def _priority_faults(priority: int) -> Iterator[FieldError]:
    if priority > 99:
        message = f"priority: {priority} should be maximum 99"
        yield FieldError("priority", message, str(priority))
    if priority < 0:
        message = f"priority: {priority} should be minimum 0"
        yield FieldError("priority", message, str(priority))


def _duplicates(name: str, steps: list[tuple[str, WorkflowTask]]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for path, task in steps:
        ref = task.task_reference_name
        if ref and ref in seen:
            message = (
                f"taskReferenceName: {ref} should be unique across tasks "
                f"for a given workflowDefinition: {name}"
            )
            yield FieldError(f"{path}.taskReferenceName", message, ref)
        seen.add(ref)


def _unknown_references(
    definition: WorkflowDefinition, refs: set[str], process: Container[str]
) -> Iterator[FieldError]:
    """Only steps of the top level are looked at, as Conductor does."""
    for index, task in enumerate(definition.tasks):
        path = f"workflowDef.tasks[{index}].inputParameters"
        for key, value in strings_of(task.input_parameters, "inputParameters"):
            for reference in references_in(value):
                message = _reference_fault(reference, key, task.name, refs)
                if message is not None and reference not in process:
                    yield FieldError(f"{path}.{key}", message, _short(value))


def _reference_fault(reference: str, key: str, task_name: str, refs: set[str]) -> str | None:
    if not well_formed(reference):
        return f"key: {key} input parameter value: {reference} is not valid"
    head = head_of(reference)
    if head == "workflow" or head in refs or reference in SYSTEM_NAMES:
        return None
    return (
        f"taskReferenceName: {head} for given task: {task_name} input value: {key} "
        f"of input parameter: {reference} is not defined in workflow definition."
    )


def _wide_integers(holder: msgspec.Struct, path: str) -> Iterator[FieldError]:
    """A fault for each whole number of a struct that a client could not decode."""
    names = type(holder).__struct_encode_fields__
    for field, wire in zip(type(holder).__struct_fields__, names, strict=True):
        value = getattr(holder, field)
        limit = _LARGEST_MS if wire in ("createTime", "updateTime") else _LARGEST_INT
        if isinstance(value, int) and not -limit <= value <= limit:
            yield _out_of_range(f"{path}.{wire}" if path else wire, value)


def _out_of_range(path: str, value: int) -> FieldError:
    return FieldError(path, "the number is out of range", _short(str(value)))


def _too_long(path: str, value: str) -> FieldError:
    return FieldError(path, f"may hold {_MAX_NAME} characters", _short(value))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}..."
