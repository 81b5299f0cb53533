"""JSON_JQ_TRANSFORM: a jq program over the whole of the task's input.

Programs are run by what the engine hands in.
"""

from __future__ import annotations

from edge.decider.draft import Draft, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.decider.scripts import ScriptFailed
from edge.model.definitions import JsonObject
from edge.model.executions import TaskStatus

_EXPRESSION = "queryExpression"


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    program = values.get(_EXPRESSION)
    status, reason, output = TaskStatus.COMPLETED, None, None
    if program is None:
        status, reason = TaskStatus.FAILED, f"Missing '{_EXPRESSION}' in input parameters"
    else:
        try:
            output = _output(draft.scripts.evaluate(java_text(program), values, "jq"))
        except ScriptFailed as error:
            status, reason, output = TaskStatus.FAILED, str(error), {"error": str(error)}
    draft.add(visit, status, values=values, output=output, ordinal=ordinal, reason=reason)


def _output(emitted: list[object]) -> JsonObject:
    return {"result": emitted[0] if emitted else None, "resultList": emitted}


OPERATOR = Operator(_schedule)
