"""The query grammar of the scheduler's records: terms joined by AND, as Conductor's own pages send.

Nothing is searched here.
"""

from __future__ import annotations

import re

import msgspec

from edge.model.errors import InvalidInput
from edge.model.schedules import ExecutionState

# One blank on each side: to try a long run of them from each of its places takes seconds.
_AND = re.compile(r"(?<=\s)AND(?=\s)")
_TERM = re.compile(r"(\w+)\s*(=|<|>|\bIN\b)\s*(.*)", re.DOTALL)
_MAX_QUERY = 20_000
"""Characters; a list of 200 long names fits."""
_TIME = re.compile(r"\d{1,15}")


class Terms(msgspec.Struct):
    """What a query asks for; None = anything."""

    schedules: list[str] | None = None
    states: list[ExecutionState] | None = None
    part_of_workflow: str | None = None
    execution_id: str | None = None
    after_ms: int | None = None
    """Exclusive."""
    before_ms: int | None = None
    """Exclusive."""


def parse(query: str) -> Terms:
    """Read a query; a term without any operator is the name of a schedule.

    Raises:
        InvalidInput: a term names a field that records cannot be searched by, or a wrong value.
    """
    if len(query) > _MAX_QUERY:
        raise InvalidInput(f"query: may hold {_MAX_QUERY} characters")
    terms = Terms()
    for term in (part.strip() for part in _AND.split(query)):
        if not term:
            continue
        match = _TERM.fullmatch(term)
        if match is None:
            terms.schedules = [*(terms.schedules or []), _bare(term)]
        else:
            _apply(terms, match[1], match[2], _values(match[3], several=match[2] == "IN"))
    return terms


def parse_sort(options: list[str]) -> tuple[tuple[str, bool], ...]:
    """Fields and whether each ascends, from texts such as ``scheduledTime:ASC``."""
    pairs = (option.partition(":") for option in options)
    return tuple((field.strip(), way.strip().upper() == "ASC") for field, _, way in pairs)


def _apply(terms: Terms, field: str, operator: str, values: list[str]) -> None:
    if field == "scheduledTime" and operator != "IN":
        _apply_time(terms, operator, values[0])
    elif operator in ("<", ">"):
        raise InvalidInput(f"query: {field} takes = or IN")
    elif field == "scheduleName":
        terms.schedules = [*(terms.schedules or []), *values]
    elif field == "state":
        terms.states = [*(terms.states or []), *map(_state, values)]
    elif field == "workflowName" and len(values) == 1:
        terms.part_of_workflow = values[0]
    elif field == "executionId" and len(values) == 1:
        terms.execution_id = values[0]
    else:
        raise InvalidInput(
            f"query: {field} {operator} is not known here; there is scheduleName, state, "
            "scheduledTime, workflowName and executionId"
        )


def _apply_time(terms: Terms, operator: str, value: str) -> None:
    if not _TIME.fullmatch(value):
        raise InvalidInput("query: scheduledTime is compared with a time in epoch milliseconds")
    moment_ms = int(value)
    if operator in (">", "="):
        terms.after_ms = moment_ms if operator == ">" else moment_ms - 1
    if operator in ("<", "="):
        terms.before_ms = moment_ms if operator == "<" else moment_ms + 1


def _state(value: str) -> ExecutionState:
    try:
        return ExecutionState(value)
    except ValueError as error:
        known = ", ".join(ExecutionState)
        raise InvalidInput(f"query: state {value[:80]!r} is not one of {known}") from error


def _values(text: str, *, several: bool) -> list[str]:
    if not several:
        return [_bare(text)]
    inner = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    return [_bare(part) for part in inner.split(",") if part.strip()]


def _bare(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text
