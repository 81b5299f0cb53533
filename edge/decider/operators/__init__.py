"""The table of operators: what each task type does to the flow, one file a type.

An operator is pure; a type with a side effect is scheduled here and run by a handler.
"""

from __future__ import annotations

from edge.decider.operators import (
    decision,
    do_while,
    dynamic,
    event,
    exclusive_join,
    fork_join,
    fork_join_dynamic,
    human,
    inline,
    join,
    json_jq_transform,
    lambda_,
    noop,
    pull_workflow_messages,
    set_variable,
    simple,
    start_workflow,
    sub_workflow,
    switch,
    system,
    terminate,
    wait,
    yield_,
)
from edge.decider.operators.operator import Operator

OPERATORS: dict[str, Operator] = {
    "SIMPLE": simple.OPERATOR,
    "SWITCH": switch.OPERATOR,
    "DECISION": decision.OPERATOR,
    "FORK_JOIN": fork_join.OPERATOR,
    "FORK_JOIN_DYNAMIC": fork_join_dynamic.OPERATOR,
    "JOIN": join.OPERATOR,
    "EXCLUSIVE_JOIN": exclusive_join.OPERATOR,
    "DO_WHILE": do_while.OPERATOR,
    "DYNAMIC": dynamic.OPERATOR,
    "SUB_WORKFLOW": sub_workflow.OPERATOR,
    "START_WORKFLOW": start_workflow.OPERATOR,
    "TERMINATE_WORKFLOW": system.OPERATOR,
    "UPDATE_TASK": system.OPERATOR,
    "GET_WORKFLOW": system.OPERATOR,
    "INLINE": inline.OPERATOR,
    "LAMBDA": lambda_.OPERATOR,
    "JSON_JQ_TRANSFORM": json_jq_transform.OPERATOR,
    "HTTP": system.OPERATOR,
    "HTTP_POLL": system.OPERATOR,
    "QUERY_PROCESSOR": system.OPERATOR,
    "UPDATE_SECRET": system.OPERATOR,
    "TERMINATE": terminate.OPERATOR,
    "SET_VARIABLE": set_variable.OPERATOR,
    "WAIT": wait.OPERATOR,
    "YIELD": yield_.OPERATOR,
    "HUMAN": human.OPERATOR,
    "EVENT": event.OPERATOR,
    "NOOP": noop.OPERATOR,
    "PULL_WORKFLOW_MESSAGES": pull_workflow_messages.OPERATOR,
}
"""Task types by the name they have in a definition. Every other name is a type of the user's own,
and its tasks wait for a worker."""


def operator_for(kind: str) -> Operator:
    """The operator of a task type."""
    return OPERATORS.get(kind, simple.USER_DEFINED)
