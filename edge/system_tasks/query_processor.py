"""QUERY_PROCESSOR: a search for executions, its answer as the task's output.

How records are searched is not known here, and no metric is asked for.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec

from edge.engine import Engine
from edge.model.definitions import JsonObject
from edge.model.errors import InvalidInput, Overloaded
from edge.model.executions import TaskStatus, WorkflowStatus
from edge.model.requests import Answer, TaskView
from edge.searches import Ask, Searches
from edge.system_tasks.http_request import whole_number
from edge.wire import WireSummary, summary

_MOST = 100
"""Executions in one answer; ``totalHits`` counts all."""

_MAX_PAYLOAD = 2_000
"""Characters of an input or output that are shown; a longer one is left out, its size is not."""

_STATUSES = frozenset(one.value for one in WorkflowStatus)
_MAX_VALUES = 1_000
_MINUTE_MS = 60_000

_LISTS = (
    ("workflowNames", "workflowType"),
    ("statuses", "status"),
    ("correlationIds", "correlationId"),
)
_TIMES = (
    ("startTimeFrom", "startTime >="),
    ("startTimeTo", "startTime <="),
    ("endTimeFrom", "endTime >="),
    ("endTimeTo", "endTime <="),
)
"""Inputs, and what they are in a query. Times are minutes before now."""


class QueryProcessor:
    """Searches for one task at a time.

    Args:
        engine: whose executions are searched.
    """

    def __init__(self, engine: Engine) -> None:
        self._clock = engine.clock
        self._searches = Searches(engine.database, engine.clock, engine.hand_over.as_held)

    async def __call__(self, view: TaskView) -> Answer:
        """Make the search that a task's input describes."""
        values: JsonObject = msgspec.json.decode(view.task.input)
        try:
            query = query_of(values, self._clock.now_ms())
            text = str(values.get("freeText") or "").strip() or "*"
            hits = await self._searches.workflows(Ask(query, text, limit=_MOST))
        except Overloaded as error:
            return Answer(TaskStatus.FAILED, reason=error.message)
        except InvalidInput as error:
            return Answer(TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason=error.message)
        found = [_shortened(summary(one.workflow)) for one in hits.page]
        return Answer(
            TaskStatus.COMPLETED,
            {
                "result": {
                    "totalHits": hits.total,
                    "count": len(found),
                    "workflowsUrl": _address(values, text),
                    "workflows": found,
                }
            },
        )


def query_of(values: JsonObject, now_ms: int) -> str:
    """A task's input in Conductor's query language.

    Raises:
        InvalidInput: a field cannot be used; the message names it.
    """
    kind = str(values.get("queryType") or "").upper()
    if kind == "METRICS":
        raise InvalidInput(
            "queryType: METRICS asks a Prometheus server, and there is none on this device; its "
            "own figures are under /metrics"
        )
    if kind != "CONDUCTOR_API":
        raise InvalidInput(f"queryType: {kind[:80]!r} is neither CONDUCTOR_API nor METRICS")
    for status in _texts(values, "statuses"):
        if status not in _STATUSES:
            known = ", ".join(sorted(_STATUSES))
            raise InvalidInput(f"statuses: {status[:80]!r} is none of {known}")
    terms = []
    for field, name in _LISTS:
        wanted = _texts(values, field)
        if wanted:
            terms.append(f"{name} IN ({', '.join(_quoted(field, one) for one in wanted)})")
    for field, comparison in _TIMES:
        minutes = values.get(field)
        if minutes is not None and minutes != "":
            ago = whole_number(minutes)
            if ago is None or ago < 0:
                raise InvalidInput(f"{field}: {str(minutes)[:80]!r} is no number of minutes")
            terms.append(f"{comparison} {max(0, now_ms - ago * _MINUTE_MS)}")
    return " AND ".join(terms)


def _texts(values: JsonObject, field: str) -> list[str]:
    """A list of texts, or one alone; nothing, and empty texts, are no condition."""
    given = values.get(field)
    listed: list[Any] = given if isinstance(given, list) else [given]
    if len(listed) > _MAX_VALUES:
        raise InvalidInput(f"{field}: {_MAX_VALUES} values are allowed, these are {len(listed)}")
    return [str(one).strip() for one in listed if one is not None and str(one).strip()]


def _quoted(field: str, text: str) -> str:
    for quote in ('"', "'"):
        if quote not in text:
            return f"{quote}{text}{quote}"
    raise InvalidInput(f"{field}: {text[:80]} holds quotation marks of both kinds")


def _shortened(found: WireSummary) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(found)
    for part in ("input", "output"):
        if len(shown[part]) > _MAX_PAYLOAD:
            del shown[part]
    return shown


def _address(values: JsonObject, text: str) -> str:
    """The console's list of the same executions, as near as its filters come."""
    names, statuses = _texts(values, "workflowNames"), _texts(values, "statuses")
    filters = {
        "name": names[0] if len(names) == 1 else "",
        "status": statuses[0] if len(statuses) == 1 else "",
        "text": "" if text == "*" else text,
    }
    query = urlencode({name: value for name, value in filters.items() if value})
    return f"/#/workflows?{query}" if query else "/#/workflows"
