"""LAMBDA: the older INLINE, whose script is the body of a function and has to return its value.

Scripts are evaluated by what the engine hands in.
"""

from __future__ import annotations

from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.decider.scripts import ScriptFailed
from edge.model.executions import TaskStatus


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    body = values.get("scriptExpression")
    try:
        if not isinstance(body, str) or not body.strip():
            raise ScriptFailed(
                "Empty 'scriptExpression' in Lambda task's input parameters. "
                "A non-empty String value must be provided."
            )
        # A line of its own for the end, so that a comment in the last line does not hide it.
        result = draft.scripts.evaluate(f"(function(){{{body}\n}})();", values)
    except ScriptFailed as error:
        draft.add(
            visit,
            TaskStatus.FAILED,
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
