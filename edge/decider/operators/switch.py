"""SWITCH: goes on in the case whose key an expression names.

Scripts are evaluated by what the engine hands in.
"""

from __future__ import annotations

from typing import Any

from edge.decider.draft import Draft, Ending, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.decider.scripts import ScriptFailed
from edge.model.definitions import JsonObject, WorkflowTask
from edge.model.executions import TaskStatus, WorkflowStatus

_EVALUATORS = frozenset({"value-param", "javascript", "graaljs", "python"})


def _evaluate(draft: Draft, visit: Visit, values: JsonObject) -> Any:
    expression = visit.step.expression or ""
    evaluator = visit.step.evaluator_type or ""
    if evaluator == "value-param":
        return values.get(expression)
    return draft.scripts.evaluate(expression, values, evaluator)


def _schedule(draft: Draft, visit: Visit, schedule: Schedule) -> None:
    step = visit.step
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    try:
        if step.evaluator_type not in _EVALUATORS:
            # No flag of the step helps: nobody can ever say where to go on.
            reason = f"No evaluator registered for type: {java_text(step.evaluator_type)}"
            draft.end(Ending(WorkflowStatus.FAILED, reason, ordinal))
            raise ScriptFailed(reason)
        case = java_text(_evaluate(draft, visit, values))
    except ScriptFailed as error:
        draft.add(
            visit,
            TaskStatus.FAILED,
            values=values,
            ordinal=ordinal,
            type_="SWITCH",
            name="SWITCH",
            reason=str(error),
        )
        return
    output = {"evaluationResult": [case], "selectedCase": case}
    branch = _branch(step, output)
    values["case"] = case
    if branch:
        values["hasChildren"] = "true"
    draft.add(
        visit,
        TaskStatus.COMPLETED,
        values=values,
        output=output,
        ordinal=ordinal,
        type_="SWITCH",
        name="SWITCH",
    )
    if branch:
        schedule(draft, Visit(branch[0], visit.lap))


def _branch(step: WorkflowTask, output: JsonObject) -> list[WorkflowTask]:
    """The default is for keys that are absent; a case without tasks is a case."""
    return step.decision_cases.get(output["selectedCase"], step.default_case)


OPERATOR = Operator(_schedule, branch=_branch)
