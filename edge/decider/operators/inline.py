"""INLINE: the value of a script over the task's input.

Scripts are evaluated by what the engine hands in.
"""

from __future__ import annotations

from typing import Any

from edge.decider.draft import Draft, Visit
from edge.decider.java_text import java_text
from edge.decider.operators.operator import Operator, Schedule
from edge.decider.scripts import ScriptFailed, ScriptTimedOut
from edge.model.decision import LogLine
from edge.model.definitions import JsonObject
from edge.model.executions import TaskStatus

_EVALUATORS = frozenset({"javascript", "graaljs", "python"})
"""A ``value-param`` is for a SWITCH: here, the input holds the value already."""


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    log: list[str] = []
    try:
        result = _evaluate(draft, values, log)
    except ScriptFailed as error:
        # A script that runs out of time may be luckier next time; a wrong one never is.
        timed_out = isinstance(error, ScriptTimedOut)
        draft.add(
            visit,
            TaskStatus.FAILED if timed_out else TaskStatus.FAILED_WITH_TERMINAL_ERROR,
            values=values,
            output={"error": str(error)},
            ordinal=ordinal,
            reason=str(error),
        )
    else:
        draft.add(
            visit, TaskStatus.COMPLETED, values=values, output={"result": result}, ordinal=ordinal
        )
    draft.logs += [LogLine(ordinal, line, draft.now_ms) for line in log]


def _evaluate(draft: Draft, values: JsonObject, log: list[str]) -> Any:
    evaluator = _text(values, "evaluatorType", "javascript")
    if evaluator not in _EVALUATORS:
        raise ScriptFailed(f"Unknown evaluator '{evaluator}' in Inline task.")
    return draft.scripts.evaluate(_text(values, "expression", None), values, evaluator, log)


def _text(values: JsonObject, key: str, default: str | None) -> str:
    text = values.get(key, default)
    if text is None or not java_text(text).strip():
        raise ScriptFailed(
            f"Empty '{key}' in Inline task's input parameters. "
            "A non-empty String value must be provided."
        )
    return java_text(text)


OPERATOR = Operator(_schedule)
