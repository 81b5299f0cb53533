"""INLINE: the value of a script over the task's input.

Scripts are evaluated by what the engine hands in.
"""

from __future__ import annotations

from edge.decider.draft import Draft, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.decider.scripts import ScriptFailed, ScriptTimedOut
from edge.model.executions import TaskStatus


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    evaluator = values.get("evaluatorType", "javascript")
    expression = values.get("expression")
    # A script that runs out of time may be luckier next time; a wrong one never is.
    status = TaskStatus.FAILED_WITH_TERMINAL_ERROR
    try:
        if evaluator not in ("javascript", "graaljs"):
            raise ScriptFailed(f"No evaluator registered for type: {java_text(evaluator)}")
        if not isinstance(expression, str) or not expression.strip():
            raise ScriptFailed("Empty 'expression' in INLINE task's input parameters")
        result = draft.scripts.evaluate(expression, values)
    except ScriptFailed as error:
        if isinstance(error, ScriptTimedOut):
            status = TaskStatus.FAILED
        draft.add(
            visit,
            status,
            values=values,
            output={"error": str(error)},
            ordinal=ordinal,
            reason=str(error),
        )
        return
    draft.add(
        visit, TaskStatus.COMPLETED, values=values, output={"result": result}, ordinal=ordinal
    )


OPERATOR = Operator(_schedule)
