"""Event handlers as clients post them, and what has become of the messages that they saw.

What an action does stands in ``edge.events``; nothing is looked up or stored here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from edge.model.definitions import JsonObject
from edge.model.errors import FieldError, ValidationFailed
from edge.model.tags import Tag
from edge.model.validation import shaped

CONDUCTOR = "conductor:"
"""What the name of an internal queue begins with; workflow and reference or name follow."""

MQTT = "mqtt:"
"""What the name of a topic, or of a filter for topics, begins with."""

HTTP = ("http://", "https://")
"""What the address of a web server begins with, that listeners' notices are posted to."""

TOPIC_BYTES = 1_000
PAYLOAD_BYTES = 100_000
"""What any broker takes, and what a slow link can carry between two records."""

_RESERVED = re.compile(r"\$|baton(/[\d+#]|$)")
"""Topics of the broker and of the sync protocol, and filters that only name those."""

_MAX_NAME = 255
_MAX_EVENT = 2_000
_MAX_ACTIONS = 100
"""Actions of one handler; all of them are carried out in one transaction."""

_MAX_NESTING = 50
"""Maps and lists around a text that is expanded; a deeper one stays as it is."""

ActionKind = Literal[
    "start_workflow",
    "complete_task",
    "fail_task",
    "terminate_workflow",
    "update_workflow_variables",
    "start_agent",
]


class StartWorkflow(msgspec.Struct, frozen=True, rename="camel"):
    """Start a workflow with an input made of the message."""

    name: str = ""
    version: int | str | None = None
    """None = the latest; a text is an expression, or a number that was written as one."""
    correlation_id: str | None = None
    input: JsonObject = {}
    task_to_domain: dict[str, str] | None = None
    """None = the ``taskToDomain`` of the message, if it has one."""
    priority: int | str | None = None
    idempotency_key: str | None = None
    idempotency_strategy: Literal["FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING"] | None = None


class TaskDetails(msgspec.Struct, frozen=True, rename="camel"):
    """Which task to end, by its id or by its workflow and reference, and its output."""

    workflow_id: str | None = None
    task_ref_name: str | None = None
    task_id: str | None = None
    output: JsonObject = {}
    reason_for_incompletion: str | None = None


class TerminateWorkflow(msgspec.Struct, frozen=True, rename="camel"):
    """Which workflow to end, and why."""

    workflow_id: str | None = None
    termination_reason: str | None = None


class UpdateWorkflowVariables(msgspec.Struct, frozen=True, rename="camel"):
    """What to lay over the variables of a workflow."""

    workflow_id: str | None = None
    variables: JsonObject = {}
    append_array: bool | None = None
    """None or True: a list is appended to the list that is there. False: it replaces it."""


class Action(msgspec.Struct, frozen=True):
    """One thing that a handler does; the field with the action's own name holds the details."""

    action: ActionKind
    start_workflow: StartWorkflow | None = None
    complete_task: TaskDetails | None = None
    fail_task: TaskDetails | None = None
    terminate_workflow: TerminateWorkflow | None = None
    update_workflow_variables: UpdateWorkflowVariables | None = None
    start_agent: JsonObject | None = None
    expand_inline_json: bool = msgspec.field(name="expandInlineJSON", default=False)
    """Texts in the message that hold JSON are taken as what they hold."""


class EventHandler(msgspec.Struct, frozen=True, rename="camel"):
    """What is done for each message of an event."""

    name: str = ""
    event: str = ""
    """``conductor:<workflow>:<reference>``, ``mqtt:<topic filter>``, or any name that
    ``handleIncomingEvent`` is called with."""
    condition: str | None = None
    """A script on ``$``; None or empty = always."""
    evaluator_type: str | None = None
    """Of the condition: ``python``, or JavaScript whatever else it is called."""
    actions: list[Action] = []
    active: bool = False
    description: str | None = None
    tags: list[Tag] = []
    created_by: str | None = None


class Message(msgspec.Struct, frozen=True):
    """One message of an event."""

    event: str
    """Of a topic the topic itself, not the filter that it matched."""
    message_id: str
    """The same for one message always, however often it is delivered."""
    payload: bytes
    """A JSON object."""


class EventExecution(msgspec.Struct, frozen=True, rename="camel"):
    """What has become of one action for one message."""

    id: str
    """``<message id>_<index of the action>``."""
    message_id: str
    name: str
    """Of the handler."""
    event: str
    created: int
    """Epoch milliseconds."""
    status: Literal["IN_PROGRESS", "COMPLETED", "FAILED", "SKIPPED"]
    action: str | None = None
    output: JsonObject = {}


def parse_event_handler(
    document: Any, *, check_script: Callable[[str], str | None]
) -> EventHandler:
    """Read a posted event handler and hold it against every rule.

    Args:
        document: decoded JSON.
        check_script: says what is wrong with a JavaScript text; None = nothing.

    Raises:
        InvalidInput: it has not the shape of a handler; the message names the field.
        ValidationFailed: it breaks rules; all of them are listed.
    """
    handler = shaped(document, EventHandler, "event handler")
    faults = [*_faults(handler), *_condition_faults(handler, check_script)]
    if faults:
        raise ValidationFailed(faults)
    return handler


def _faults(handler: EventHandler) -> Iterator[FieldError]:
    root = "eventHandler"
    if not handler.name.strip():
        yield FieldError(f"{root}.name", "Missing event handler name")
    if not handler.event.strip():
        yield FieldError(f"{root}.event", "Missing event location")
    for field, value, limit in (
        ("name", handler.name, _MAX_NAME),
        ("event", handler.event, _MAX_EVENT),
    ):
        if len(value) > limit:
            yield FieldError(f"{root}.{field}", f"may hold {limit} characters")
    fault = _filter_fault(handler.event)
    if fault is not None:
        yield FieldError(f"{root}.event", fault, handler.event)
    if not handler.actions:
        message = "No actions specified. Please specify at-least one action"
        yield FieldError(f"{root}.actions", message, "[]")
    if len(handler.actions) > _MAX_ACTIONS:
        yield FieldError(f"{root}.actions", f"a handler may have {_MAX_ACTIONS} actions")
    for index, action in enumerate(handler.actions):
        yield from _action_faults(f"{root}.actions[{index}]", action)


def _action_faults(path: str, action: Action) -> Iterator[FieldError]:
    kind = action.action
    details = getattr(action, kind)
    if details is None:
        yield FieldError(f"{path}.{kind}", f"{kind} must say what the action {kind} does")
    elif isinstance(details, StartWorkflow) and not details.name.strip():
        yield FieldError(f"{path}.{kind}.name", "Workflow name cannot be null or empty")
    elif isinstance(details, TaskDetails) and not (
        details.task_id or (details.workflow_id and details.task_ref_name)
    ):
        message = "give taskId, or workflowId and taskRefName"
        yield FieldError(f"{path}.{kind}", message)
    elif isinstance(details, TerminateWorkflow | UpdateWorkflowVariables) and not (
        details.workflow_id
    ):
        yield FieldError(f"{path}.{kind}.workflowId", "Workflow Id cannot be null or empty")


def _condition_faults(
    handler: EventHandler, check_script: Callable[[str], str | None]
) -> Iterator[FieldError]:
    if handler.condition and handler.evaluator_type != "python":
        fault = check_script(handler.condition)
        if fault is not None:
            message = f"Expression is not well formatted: {fault}"
            yield FieldError("eventHandler.condition", message, handler.condition)


# Topics.


def _filter_fault(event: str) -> str | None:
    """Why an event cannot be listened to; None when it can, or is no topic."""
    if not event.startswith(MQTT):
        return None
    wanted = event.removeprefix(MQTT)
    if not wanted or len(wanted.encode()) > TOPIC_BYTES or "\0" in wanted:
        return f"a topic filter has 1 to {TOPIC_BYTES} bytes, for example mqtt:site/+/alarm"
    if _RESERVED.match(wanted):
        return "topics that begin with $ or with baton/ and a number are not for handlers"
    levels = wanted.split("/")
    for place, level in enumerate(levels):
        lone = level in ("+", "#")
        if not lone and set("+#") & set(level):
            return "+ and # stand for whole levels of a topic"
        if level == "#" and place != len(levels) - 1:
            return "# may only be the last level of a topic filter"
    return None


def may_be_published_to(topic: str) -> bool:
    """Whether a message may go there: the uplink would set aside what is let through here."""
    if not topic or len(topic.encode()) > TOPIC_BYTES or _RESERVED.match(topic):
        return False
    return not set("+#\0") & set(topic)


def is_sink(sink: str) -> bool:
    """Whether listeners can be told there."""
    if sink.startswith(MQTT):
        return may_be_published_to(sink.removeprefix(MQTT))
    return sink.startswith((CONDUCTOR, *HTTP)) and sink not in (CONDUCTOR, *HTTP)


def is_for(event: str, handled: str) -> bool:
    """Whether a message of an event meets a handler.

    Args:
        event: of the message; a topic in full.
        handled: of the handler; a topic may have wildcards in it.
    """
    if not (event.startswith(MQTT) and handled.startswith(MQTT)):
        return event == handled
    topic = event.removeprefix(MQTT).split("/")
    wanted = handled.removeprefix(MQTT).split("/")
    if topic[0].startswith("$") and wanted[0] in ("+", "#"):
        return False
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place == len(topic) or (level != "+" and level != topic[place]):
            return False
    return len(topic) == len(wanted)


# Payloads.


def expanded(value: Any, depth: int = 0) -> Any:
    """A payload in which every text that holds a JSON object or list is what it holds.

    What stands inside an expanded text is left as it is, as in Conductor.
    """
    if isinstance(value, str):
        return _read_json(value)
    if depth > _MAX_NESTING:
        return value
    if isinstance(value, dict):
        return {key: expanded(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [expanded(item, depth + 1) for item in value]
    return value


def _read_json(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text
