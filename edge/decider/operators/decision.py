"""DECISION: the older SWITCH, which goes on in the case that a parameter or a script names.

It differs where definitions depend on it: a case without tasks falls to the default, the inputs are
not kept, and a script that fails ends the workflow.
"""

from __future__ import annotations

from typing import Any

from edge.decider.draft import Draft, Ending, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.decider.scripts import ScriptFailed
from edge.model.definitions import JsonObject, WorkflowTask
from edge.model.executions import TaskStatus, WorkflowStatus


def _value(draft: Draft, visit: Visit) -> Any:
    values = draft.input_of(visit, 0)
    expression = visit.step.case_expression
    if expression and expression.strip():
        return draft.scripts.evaluate(expression, values)
    return values.get(visit.step.case_value_param or "")


def _schedule(draft: Draft, visit: Visit, schedule: Schedule) -> None:
    ordinal = draft.new_ordinal()
    try:
        case = java_text(_value(draft, visit))
    except ScriptFailed as error:
        reason = f"Error while evaluating script: {error}"
        draft.end(Ending(WorkflowStatus.FAILED, reason, ordinal))
        draft.add(
            visit,
            TaskStatus.FAILED,
            values={},
            ordinal=ordinal,
            type_="DECISION",
            name="DECISION",
            reason=reason,
        )
        return
    output: JsonObject = {"caseOutput": [case]}
    branch = _branch(visit.step, output)
    draft.add(
        visit,
        TaskStatus.COMPLETED,
        values={"case": case, **({"hasChildren": "true"} if branch else {})},
        output=output,
        ordinal=ordinal,
        type_="DECISION",
        name="DECISION",
    )
    if branch:
        schedule(draft, Visit(branch[0], visit.lap))


def _branch(step: WorkflowTask, output: JsonObject) -> list[WorkflowTask]:
    """The default is for keys that are absent and for cases without tasks."""
    return step.decision_cases.get(output["caseOutput"][0]) or step.default_case


OPERATOR = Operator(_schedule, branch=_branch)
