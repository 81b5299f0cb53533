"""Conductor's query grammar: terms joined by AND, each a field, an operator and a value.

Nothing is searched here.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from edge.model.errors import InvalidInput
from edge.model.executions import WorkflowStatus

T = TypeVar("T")

_TERM = re.compile(r"\s*([A-Za-z_]\w*)\s*(=|<|>|\bIN\b)\s*(.*?)\s*", re.DOTALL)
_AND = re.compile(r"\s+AND\s+")
_MAX_QUERY = 20_000
"""Characters; a list of 500 ids fits."""
_MAX_VALUES = 1_000
"""Values of one IN."""
_KNOWN_UNSUPPORTED = frozenset({"endTime", "updateTime", "parentWorkflowId", "version"})
"""Dropping one of these, as an unknown field is dropped, would answer too many executions."""


class Terms(msgspec.Struct):
    """What a query asks for; None = anything."""

    names: list[str] | None = None
    statuses: list[WorkflowStatus] | None = None
    correlation_id: str | None = None
    workflow_ids: list[str] | None = None
    start_from_ms: int | None = None
    """Exclusive."""
    start_to_ms: int | None = None
    """Exclusive."""


def parse(query: str) -> Terms:
    """Read a query; unknown fields are dropped, as Conductor does.

    Raises:
        InvalidInput: a term has another form, or names a field that cannot be searched by.
    """
    if len(query) > _MAX_QUERY:
        raise InvalidInput(f"query: may hold {_MAX_QUERY} characters")
    terms = Terms()
    for term in _split(query):
        match = _TERM.fullmatch(term)
        if match is None:
            raise InvalidInput(f"Incorrectly formatted query string: {term[:200]}")
        field, operator, value = match.groups()
        _apply(
            terms,
            field,
            operator,
            _values(value) if operator == "IN" else [_bare(value)],
        )
    return terms


def _split(query: str) -> list[str]:
    """The terms; an AND inside quotation marks belongs to a value."""
    terms: list[str] = []
    for part in _AND.split(query):
        if terms and terms[-1].count('"') % 2:
            terms[-1] += f" AND {part}"
        else:
            terms.append(part)
    return [term for term in terms if term.strip()]


def _apply(terms: Terms, field: str, operator: str, values: list[str]) -> None:
    match field:
        case "workflowType" | "workflowName":
            terms.names = _narrowed(terms.names, _equals(field, operator, values))
        case "workflowId":
            terms.workflow_ids = _narrowed(terms.workflow_ids, _equals(field, operator, values))
        case "status":
            asked = [_status(value) for value in _equals(field, operator, values)]
            terms.statuses = _narrowed(terms.statuses, asked)
        case "correlationId":
            asked_ids = _equals(field, operator, values)
            if len(asked_ids) != 1:
                raise InvalidInput("query: correlationId takes one value")
            terms.correlation_id = asked_ids[0]
        case "startTime":
            _apply_time(terms, operator, values)
        case _ if field in _KNOWN_UNSUPPORTED:
            raise InvalidInput(f"query: this release cannot search by {field}")
        case _:
            pass


def _apply_time(terms: Terms, operator: str, values: list[str]) -> None:
    if len(values) != 1 or not re.fullmatch(r"\d{1,15}", values[0]):
        raise InvalidInput("query: startTime is compared with one time in epoch milliseconds")
    moment_ms = int(values[0])
    if operator in (">", "="):
        after = moment_ms if operator == ">" else moment_ms - 1
        terms.start_from_ms = max(after, terms.start_from_ms or after)
    if operator in ("<", "="):
        before = moment_ms if operator == "<" else moment_ms + 1
        terms.start_to_ms = min(before, terms.start_to_ms or before)
    if operator == "IN":
        raise InvalidInput("query: startTime takes =, < or >")


def _narrowed(old: list[T] | None, new: list[T]) -> list[T]:
    return new if old is None else [value for value in old if value in new]


def _equals(field: str, operator: str, values: list[str]) -> list[str]:
    if operator not in ("=", "IN"):
        raise InvalidInput(f"query: {field} takes = or IN")
    return values


def _status(value: str) -> WorkflowStatus:
    try:
        return WorkflowStatus(value)
    except ValueError as error:
        known = ", ".join(WorkflowStatus)
        raise InvalidInput(f"query: status {value[:80]!r} is not one of {known}") from error


def _values(text: str) -> list[str]:
    inner = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    values = [_bare(part) for part in inner.split(",") if part.strip()]
    if not 0 < len(values) <= _MAX_VALUES:
        raise InvalidInput(f"query: IN takes 1 to {_MAX_VALUES} values")
    return values


def _bare(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text
