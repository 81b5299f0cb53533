"""What a step of each type must bring along to be registered: one function per task type.

No rule of the workflow as a whole stands here, and no opinion of what the step does later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from edge.model.definitions import JsonObject, WorkflowTask
from edge.model.times import BadTime, duration_ms, until_ms

KNOWN_TYPES = frozenset(
    {
        "AGENT",
        "CALL_MCP_TOOL",
        "CANCEL_AGENT",
        "DECISION",
        "DO_WHILE",
        "DYNAMIC",
        "EVENT",
        "EXCLUSIVE_JOIN",
        "FORK",
        "FORK_JOIN",
        "FORK_JOIN_DYNAMIC",
        "GET_AGENT_CARD",
        "GET_SIGNED_JWT",
        "GET_WORKFLOW",
        "HTTP",
        "HTTP_POLL",
        "HUMAN",
        "INLINE",
        "JDBC",
        "JOIN",
        "JSON_JQ_TRANSFORM",
        "KAFKA_PUBLISH",
        "LAMBDA",
        "LIST_MCP_TOOLS",
        "LLM_CHAT_COMPLETE",
        "LLM_GENERATE_EMBEDDINGS",
        "LLM_GET_EMBEDDINGS",
        "LLM_INDEX_DOCUMENT",
        "LLM_INDEX_TEXT",
        "LLM_SEARCH_INDEX",
        "LLM_STORE_EMBEDDINGS",
        "LLM_TEXT_COMPLETE",
        "NOOP",
        "PULL_WORKFLOW_MESSAGES",
        "QUERY_PROCESSOR",
        "SET_VARIABLE",
        "SIMPLE",
        "START_WORKFLOW",
        "SUB_WORKFLOW",
        "SWITCH",
        "TERMINATE",
        "TERMINATE_WORKFLOW",
        "UPDATE_SECRET",
        "UPDATE_TASK",
        "WAIT",
        "WAIT_FOR_WEBHOOK",
        "YIELD",
    }
)
"""Types that Conductor or Orkes run by themselves; any other text names a worker's task."""


class Surrounds(msgspec.Struct, frozen=True):
    """What the rules have to ask others about."""

    check_script: Callable[[str], str | None]
    """Says what is wrong with a JavaScript text; None = nothing."""
    template_of: Mapping[str, JsonObject]
    """The input templates of the registered task definitions, by name."""


def rules_of(task: WorkflowTask, surrounds: Surrounds) -> Iterator[str]:
    """The messages of all rules of its type that a step breaks."""
    rule = _RULES.get(task.type)
    if rule is not None:
        yield from rule(task, surrounds)


def _required(field: str, task: WorkflowTask) -> str:
    return f"{field} field is required for taskType: {task.type} taskName: {task.name}"


def _at_least_one(field: str, task: WorkflowTask) -> str:
    return f"{field} should have atleast one task for taskType: {task.type} taskName: {task.name}"


def _template(task: WorkflowTask, surrounds: Surrounds) -> JsonObject:
    if task.task_definition is not None:
        return task.task_definition.input_template
    return surrounds.template_of.get(task.name, {})


def _event(task: WorkflowTask, _: Surrounds) -> Iterator[str]:
    if not task.sink:
        yield _required("sink", task)


def _decision(task: WorkflowTask, surrounds: Surrounds) -> Iterator[str]:
    if not task.case_value_param and not task.case_expression:
        yield _required("caseValueParam or caseExpression", task)
    if not task.decision_cases:
        yield _at_least_one("decisionCases", task)
    if task.case_expression:
        yield from _script(task, task.case_expression, surrounds)


def _switch(task: WorkflowTask, surrounds: Surrounds) -> Iterator[str]:
    if not task.evaluator_type:
        yield _required("evaluatorType", task)
    if not task.expression:
        yield _required("expression", task)
    if not task.decision_cases:
        yield _at_least_one("decisionCases", task)
    if task.evaluator_type == "javascript" and task.expression:
        yield from _script(task, task.expression, surrounds)


def _script(task: WorkflowTask, text: str, surrounds: Surrounds) -> Iterator[str]:
    fault = surrounds.check_script(text)
    if fault is not None:
        yield (
            f"Expression is not well formatted: {fault}, taskType: {task.type} taskName {task.name}"
        )


def _do_while(task: WorkflowTask, _: Surrounds) -> Iterator[str]:
    # A loop over a list needs no condition; only Conductor's own check asks for one.
    has_list = task.items is not None or not {"items", "_items"}.isdisjoint(task.input_parameters)
    if not task.loop_condition and not has_list:
        yield _required("loopCondition", task)
    if not task.loop_over:
        yield _required("loopOver", task)


def _dynamic(task: WorkflowTask, _: Surrounds) -> Iterator[str]:
    if not task.dynamic_task_name_param:
        yield _required("dynamicTaskNameParam", task)


def _fork_join_dynamic(task: WorkflowTask, _: Surrounds) -> Iterator[str]:
    if "forkTaskInputs" in task.input_parameters:
        return
    pair = (task.dynamic_fork_tasks_param, task.dynamic_fork_tasks_input_param_name)
    if task.dynamic_fork_join_tasks_param:
        if any(pair):
            yield (
                "dynamicForkJoinTasksParam or combination of dynamicForkTasksInputParamName and "
                "dynamicForkTasksParam cam be used for "
                f"taskType: {task.type} taskName: {task.name}"
            )
        return
    if not task.dynamic_fork_tasks_param:
        yield _required("dynamicForkTasksParam", task)
    if not task.dynamic_fork_tasks_input_param_name:
        yield _required("dynamicForkTasksInputParamName", task)


def _http(task: WorkflowTask, surrounds: Surrounds) -> Iterator[str]:
    if task.input_parameters.keys() & {"http_request", "uri", "method"}:
        return
    if "http_request" not in _template(task, surrounds):
        yield _required("inputParameters.http_request or inputParameters.uri", task)


def _kafka(task: WorkflowTask, surrounds: Surrounds) -> Iterator[str]:
    if "kafka_request" not in {**_template(task, surrounds), **task.input_parameters}:
        yield _required("inputParameters.kafka_request", task)


def _sub_workflow(task: WorkflowTask, _: Surrounds) -> Iterator[str]:
    param = task.sub_workflow_param
    if param is None:
        yield _required("subWorkflowParam", task)
        return
    inline = param.workflow_definition
    if isinstance(inline, str) and not (inline.startswith("${") and inline.endswith("}")):
        yield "workflowDefinition is a string, but not a valid DSL string"


def _jq(task: WorkflowTask, surrounds: Surrounds) -> Iterator[str]:
    if "queryExpression" not in {**_template(task, surrounds), **task.input_parameters}:
        yield _required("inputParameters.queryExpression", task)


def _fork_join(task: WorkflowTask, _: Surrounds) -> Iterator[str]:
    if not task.fork_tasks:
        yield _at_least_one("forkTasks", task)
    for index, branch in enumerate(task.fork_tasks):
        # A branch without a task could never end, and its JOIN would wait for ever.
        if not branch:
            yield _at_least_one(f"forkTasks[{index}]", task)


def _terminate(task: WorkflowTask, _: Surrounds) -> Iterator[str]:
    if task.optional:
        yield f"terminate task cannot be optional, taskName: {task.name}"
    status = task.input_parameters.get("terminationStatus")
    if status not in ("COMPLETED", "FAILED", "TERMINATED"):
        yield (
            "terminate task must have an terminationStatus parameter and must be set to "
            f"COMPLETED or FAILED, taskName: {task.name}"
        )


def _wait(task: WorkflowTask, _: Surrounds) -> Iterator[str]:
    duration = _text(task.input_parameters.get("duration"))
    until = _text(task.input_parameters.get("until"))
    if duration and until:
        yield "Both 'duration' and 'until' specified. Please provide only one input"
    if duration and not duration.startswith("${") and not _readable(duration_ms, duration):
        yield "Either date or duration is passed as null "
    if until and not until.startswith("${") and not _readable(until_ms, until):
        yield "Unable to parse date "


def _readable(read: Callable[[str], int], text: str) -> bool:
    try:
        read(text)
    except BadTime:
        return False
    return True


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


_RULES: Mapping[str, Callable[[WorkflowTask, Surrounds], Iterator[str]]] = {
    "EVENT": _event,
    "DECISION": _decision,
    "SWITCH": _switch,
    "DO_WHILE": _do_while,
    "DYNAMIC": _dynamic,
    "FORK_JOIN_DYNAMIC": _fork_join_dynamic,
    "HTTP": _http,
    "HTTP_POLL": _http,
    "KAFKA_PUBLISH": _kafka,
    "SUB_WORKFLOW": _sub_workflow,
    "JSON_JQ_TRANSFORM": _jq,
    "FORK_JOIN": _fork_join,
    "TERMINATE": _terminate,
    "WAIT": _wait,
}
