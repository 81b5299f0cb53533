"""Definitions as clients post them: workflows, their tasks, and the settings of task types.

Field names and defaults are those of Conductor's wire format; what a definition must fulfil to be
registered stands in ``validation``, what it makes the engine do stands in the decider.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

JsonObject = dict[str, Any]
"""A user's own map; nobody in the engine looks inside but through an expression."""


class SchemaRef(msgspec.Struct, frozen=True, rename="camel"):
    """A schema, whole or by the name under which it is registered."""

    name: str | None = None
    version: int | None = None
    """None or 0 = the latest when an execution starts."""
    type: str = "JSON"
    """Any other kind is kept and not enforced."""
    data: JsonObject | None = None
    external_ref: str | None = None


class TaskDefinition(msgspec.Struct, frozen=True, rename="camel"):
    """How tasks of one name are retried and timed out."""

    name: str = ""
    description: str | None = None
    retry_count: int = 3
    """Attempts after the first; 0 = none."""
    timeout_seconds: int = 0
    """Run time of one attempt since its first poll, in seconds; 0 = none."""
    input_keys: list[str] = []
    output_keys: list[str] = []
    timeout_policy: Literal["RETRY", "TIME_OUT_WF", "ALERT_ONLY"] = "TIME_OUT_WF"
    retry_logic: Literal["FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"] = "FIXED"
    retry_delay_seconds: int = 60
    response_timeout_seconds: int = 3600
    """Seconds without a word from the worker before the attempt counts as dead; 0 = none."""
    concurrent_exec_limit: int | None = None
    input_template: JsonObject = {}
    rate_limit_per_frequency: int | None = None
    rate_limit_frequency_in_seconds: int | None = None
    isolation_group_id: str | None = None
    execution_name_space: str | None = None
    owner_email: str | None = None
    owner_app: str | None = None
    poll_timeout_seconds: int | None = None
    """Seconds in the queue before the attempt times out; 0 or None = none."""
    backoff_scale_factor: int = 1
    """Used by LINEAR_BACKOFF only."""
    max_retry_delay_seconds: int = 0
    """Cap of every back-off in seconds; 0 = no cap."""
    backoff_jitter_ms: int = 0
    """Added after the cap, uniform in 0..n milliseconds."""
    base_type: str | None = None
    total_timeout_seconds: int = 0
    """Across all attempts since the first was scheduled, in seconds; 0 = none."""
    task_status_listener_enabled: bool = True
    input_schema: SchemaRef | None = None
    output_schema: SchemaRef | None = None
    enforce_schema: bool = False
    runtime_metadata: list[str] | None = None
    create_time: int | None = None
    update_time: int | None = None
    created_by: str | None = None
    updated_by: str | None = None


class StateChangeEvent(msgspec.Struct, frozen=True):
    """An event that is published when a task changes its state."""

    type: str
    payload: JsonObject = {}


class SubWorkflowParams(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which workflow a SUB_WORKFLOW task starts."""

    name: str | None = None
    version: int | str | None = None
    task_to_domain: dict[str, str] | None = None
    workflow_definition: JsonObject | str | None = None
    idempotency_key: str | None = None
    idempotency_strategy: str | None = None
    priority: int | str | None = None


class WorkflowTask(msgspec.Struct, frozen=True, rename="camel"):
    """One step of a workflow definition."""

    name: str = ""
    task_reference_name: str = ""
    description: str | None = None
    input_parameters: JsonObject = {}
    type: str = "SIMPLE"
    dynamic_task_name_param: str | None = None
    case_value_param: str | None = None
    case_expression: str | None = None
    script_expression: str | None = None
    decision_cases: dict[str, list[WorkflowTask]] = {}
    default_case: list[WorkflowTask] = []
    dynamic_fork_join_tasks_param: str | None = None
    dynamic_fork_tasks_param: str | None = None
    dynamic_fork_tasks_input_param_name: str | None = None
    fork_tasks: list[list[WorkflowTask]] = []
    start_delay: int = 0
    """Seconds before the task may be polled."""
    sub_workflow_param: SubWorkflowParams | None = None
    join_on: list[str] = []
    sink: str | None = None
    optional: bool = False
    task_definition: TaskDefinition | None = None
    """The settings of the task type; pinned here when an execution starts."""
    rate_limited: bool | None = None
    default_exclusive_join_task: list[str] = []
    async_complete: bool = False
    loop_condition: str | None = None
    loop_over: list[WorkflowTask] = []
    items: Any = None
    retry_count: int | None = None
    """Overrides the retryCount of the task definition; None = does not."""
    evaluator_type: str | None = None
    expression: str | None = None
    join_status: str | None = None
    join_mode: str | None = None
    cache_config: JsonObject | None = None
    permissive: bool = False
    on_state_change: dict[str, list[StateChangeEvent]] = {}
    metadata: JsonObject = {}


class RateLimitConfig(msgspec.Struct, frozen=True, rename="camel"):
    """How many executions with the same key may run at once."""

    rate_limit_key: str | None = None
    concurrent_exec_limit: int = 0
    policy: Literal["QUEUE", "REJECT"] = "QUEUE"


class WorkflowDefinition(msgspec.Struct, frozen=True, rename="camel"):
    """A workflow: its tasks, and what goes in and out."""

    name: str = ""
    description: str | None = None
    version: int = 1
    tasks: list[WorkflowTask] = []
    input_parameters: list[str] = []
    output_parameters: JsonObject = {}
    failure_workflow: str | None = None
    failure_workflow_version: int | None = None
    schema_version: int = 2
    restartable: bool = True
    workflow_status_listener_enabled: bool = False
    workflow_status_listener_sink: str | None = None
    owner_email: str | None = None
    owner_app: str | None = None
    timeout_policy: Literal["TIME_OUT_WF", "ALERT_ONLY"] = "ALERT_ONLY"
    timeout_seconds: int = 0
    """0 = none. ALERT_ONLY never ends an execution."""
    variables: JsonObject = {}
    input_template: JsonObject = {}
    rate_limit_config: RateLimitConfig | None = None
    input_schema: SchemaRef | None = None
    output_schema: SchemaRef | None = None
    enforce_schema: bool = True
    metadata: JsonObject = {}
    cache_config: JsonObject | None = None
    masked_fields: list[str] = []
    create_time: int | None = None
    update_time: int | None = None
    created_by: str | None = None
    updated_by: str | None = None


_FREE_FORM = frozenset(
    {
        "inputParameters",
        "outputParameters",
        "inputTemplate",
        "variables",
        "metadata",
        "data",
        "payload",
        "workflowDefinition",
        "input",
        "output",
        "outputData",
    }
)
"""Keys whose values are the user's: a null in there is a value and stays."""


def without_nulls(value: Any) -> Any:
    """Drop null fields of a posted object, so that each takes its default, as Conductor does.

    Args:
        value: decoded JSON.

    Returns:
        The same tree without null entries, but for those inside the user's own maps.
    """
    if isinstance(value, dict):
        return {key: _field(key, item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _field(name: str, value: Any) -> Any:
    if name in _FREE_FORM:
        return value
    if name == "decisionCases" and isinstance(value, dict):
        # Its keys are the author's: a case named "data" or "input" holds tasks like any other.
        return {case: without_nulls(tasks) for case, tasks in value.items() if tasks is not None}
    return without_nulls(value)


def children_of(task: WorkflowTask) -> list[list[WorkflowTask]]:
    """The task lists that stand inside a task: cases, branches or a loop's body."""
    lists = [*task.decision_cases.values(), *task.fork_tasks]
    if task.default_case:
        lists.append(task.default_case)
    if task.loop_over:
        lists.append(task.loop_over)
    return lists
