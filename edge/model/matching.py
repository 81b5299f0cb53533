"""Conditions, sorts and free text as functions over records of any kind.

No query text is read here, and no field of any record is known.
"""

from __future__ import annotations

import datetime as dt
import enum
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from edge.model.query import Condition, Either, MalformedQuery, Not, Operator, Term, conjuncts

R = TypeVar("R")
S = TypeVar("S", str, bytes)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_PART_OF_ID = re.compile(r"[0-9a-f-]{1,36}")
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,18}")
_COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.GREATER: operator.gt,
    Operator.AT_LEAST: operator.ge,
}

Value = str | int | list[str] | bytes | None
Predicate = Callable[[R], bool]


class Kind(enum.Enum):
    """How a field's values are compared."""

    TEXT = enum.auto()
    """Letter by letter; with ``*`` as a pattern, in any case of letters."""
    NUMBER = enum.auto()
    TIME = enum.auto()
    """Epoch milliseconds, 0 = not yet; asked for as that or as an ISO date."""
    NAMES = enum.auto()
    """Several texts, one of which has to match."""
    PROSE = enum.auto()
    """A sentence or a payload, in which a text has to occur."""


class Field(msgspec.Struct, Generic[R], frozen=True):
    """One thing to search and sort by."""

    kind: Kind
    read: Callable[[R], Value]


Fields = Mapping[str, Field[R]]


class Order(msgspec.Struct, Generic[R], frozen=True):
    """One step of a sort."""

    field: Field[R]
    descending: bool

    def key(self, record: R) -> str | int:
        """A value that can be compared with that of any other record."""
        value = self.field.read(record)
        if self.field.kind in (Kind.NUMBER, Kind.TIME):
            return value if isinstance(value, int) else 0
        return _text_of(value)


# Conditions.


def predicate(condition: Condition | None, fields: Fields[R]) -> Predicate[R]:
    """A condition as a function over records.

    Raises:
        MalformedQuery: a value is none that the field can be compared with.
    """
    if condition is None:
        return lambda _: True
    if isinstance(condition, Term):
        return _term(condition, fields[condition.field])
    if isinstance(condition, Not):
        holds = predicate(condition.part, fields)
        return lambda record: not holds(record)
    parts = [predicate(part, fields) for part in condition.parts]
    if isinstance(condition, Either):
        return lambda record: any(part(record) for part in parts)
    return lambda record: all(part(record) for part in parts)


def bounds_ms(condition: Condition | None, field: str) -> tuple[int | None, int | None]:
    """The earliest and the latest a time can be where the condition holds; None = any.

    For leaving records out early: the ones that stay must still be judged by the condition.
    """
    earliest: int | None = None
    latest: int | None = None
    for part in conjuncts(condition):
        if not isinstance(part, Term) or part.field != field:
            continue
        low, high = _span(part)
        if low is not None:
            earliest = low if earliest is None else max(earliest, low)
        if high is not None:
            latest = high if latest is None else min(latest, high)
    return earliest, latest


def _span(term: Term) -> tuple[int | None, int | None]:
    match term.operator:
        case Operator.GREATER:
            return _moment(term, 0) + 1, None
        case Operator.AT_LEAST:
            return _moment(term, 0), None
        case Operator.LESS:
            return None, _moment(term, 0) - 1
        case Operator.AT_MOST:
            return None, _moment(term, 0)
        case Operator.BETWEEN:
            return _moment(term, 0), _moment(term, 1)
        case _:
            return None, None


def is_span(condition: Condition, field: str) -> bool:
    """Whether a condition says no more than the bounds of a time."""
    return (
        isinstance(condition, Term)
        and condition.field == field
        and _span(condition) != (None, None)
    )


def _term(term: Term, field: Field[R]) -> Predicate[R]:
    read = field.read
    test = _test(term, field.kind)
    return lambda record: test(read(record))


def _test(term: Term, kind: Kind) -> Callable[[Any], bool]:
    """What a term asks of a field's value."""
    if term.operator is Operator.IS_NULL:
        # A time of 0 is one that has not come; the number 0 is a number.
        return (lambda value: value is None) if kind is Kind.NUMBER else (lambda value: not value)
    match kind:
        case Kind.NUMBER | Kind.TIME:
            return _test_of_numbers(term, kind)
        case Kind.NAMES:
            return _any(_test_of_texts(term))
        case Kind.PROSE:
            return _test_of_prose(term)
        case _:
            return _test_of_texts(term)


def _test_of_numbers(term: Term, kind: Kind) -> Callable[[Any], bool]:
    # Nobody compares with what has not come: an execution that runs has no end before or after.
    missing = 0 if kind is Kind.TIME else None
    if term.operator in (Operator.EQUALS, Operator.IN):
        patterns = [_glob(value) for value in term.values if "*" in value]
        numbers = frozenset(
            _number(term, kind, index)
            for index, value in enumerate(term.values)
            if "*" not in value
        )
        return lambda value: (
            value != missing
            and (value in numbers or any(pattern(str(value)) for pattern in patterns))
        )
    first = _number(term, kind, 0)
    if term.operator is Operator.BETWEEN:
        last = _number(term, kind, 1)
        return lambda value: value != missing and first <= value <= last
    if term.operator is Operator.STARTS_WITH:
        return lambda value: value != missing and str(value).startswith(term.values[0])
    compare = _COMPARE[term.operator]
    return lambda value: value != missing and compare(value, first)


def _number(term: Term, kind: Kind, index: int) -> int:
    if kind is Kind.TIME:
        return _moment(term, index)
    value = term.values[index].strip()
    if _WHOLE_NUMBER.fullmatch(value) is None:
        raise MalformedQuery(term.text, f"{term.field} is compared with whole numbers")
    return int(value)


def _moment(term: Term, index: int) -> int:
    """Epoch milliseconds of a value that is that already, or an ISO date."""
    value = term.values[index].strip()
    if _WHOLE_NUMBER.fullmatch(value) is not None:
        return int(value)
    try:
        moment = dt.datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=moment.tzinfo or dt.UTC)
        return (moment - _EPOCH) // dt.timedelta(milliseconds=1)
    except (ValueError, OverflowError) as error:
        raise MalformedQuery(
            term.text, f"{term.field} is compared with epoch milliseconds or an ISO date"
        ) from error


def _test_of_texts(term: Term) -> Callable[[Any], bool]:
    first = term.values[0]
    match term.operator:
        case Operator.EQUALS | Operator.IN:
            exact = frozenset(value for value in term.values if "*" not in value)
            patterns = [_glob(value) for value in term.values if "*" in value]
            if not patterns:
                return lambda value: (value or "") in exact
            return lambda value: (
                (value or "") in exact or any(pattern(value or "") for pattern in patterns)
            )
        case Operator.STARTS_WITH:
            return lambda value: (value or "").startswith(first)
        case Operator.BETWEEN:
            last = term.values[1]
            return lambda value: value is not None and first <= value <= last
        case _:
            compare = _COMPARE[term.operator]
            return lambda value: value is not None and compare(value, first)


def _any(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    # None of many is asked for by the empty text, as the absent one of a single text is.
    return lambda values: any(test(value) for value in values or [None])


def _test_of_prose(term: Term) -> Callable[[Any], bool]:
    if term.operator in (Operator.EQUALS, Operator.IN):
        if "" in term.values:
            return lambda value: not value
        patterns = [_glob(f"*{value}*") for value in term.values]
        return lambda value: any(pattern(_text_of(value)) for pattern in patterns)
    test = _test_of_texts(term)
    return lambda value: test(_text_of(value))


def _text_of(value: Value) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return ",".join(value)
    return "" if value is None else str(value)


def _glob(pattern: str) -> Callable[[str], bool]:
    """Whether a text fits a pattern in which ``*`` stands for anything, in any case of letters.

    By hand and not by a regular expression: many stars would make that one try too many ways.
    """
    first, *middle, last = pattern.lower().split("*")

    def fits(text: str) -> bool:
        text = text.lower()
        if len(text) < len(first) + len(last):
            return False
        if not (text.startswith(first) and text.endswith(last)):
            return False
        at, end = len(first), len(text) - len(last)
        for part in middle:
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return fits


# Sorting.


def orders(text: str, fields: Fields[R]) -> list[Order[R]]:
    """The steps of a sort such as ``workflowType:ASC|startTime:DESC``.

    Without a direction it is ASC. Steps with unknown fields or directions are left out, as
    Conductor does.
    """
    found = []
    for step in re.split(r"[|,]", text)[:_MAX_ORDERS]:
        name, _, direction = step.strip().partition(":")
        direction = direction.strip().upper() or "ASC"
        if name.strip() in fields and direction in ("ASC", "DESC"):
            found.append(Order(fields[name.strip()], direction == "DESC"))
    return found


_MAX_ORDERS = 16
"""Steps of a sort; there are no more fields that anybody would sort by."""


# Free text.


def free_text(text: str) -> FreeText | None:
    """What a search's free text asks for; None = everything.

    Quotation marks around it are taken off. Without them ``*`` stands for anything.
    """
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        parts = [text[1:-1]]
    else:
        parts = text.split("*")
    parts = [part.lower() for part in parts if part]
    return FreeText(parts) if parts else None


class FreeText:
    """Texts that must occur one after the other in one of a record's texts, in any case of letters.

    Args:
        parts: in lower case.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        self._parts = list(parts)
        # In a payload a quotation mark or a line break is written with a backslash.
        escaped = [msgspec.json.encode(part).decode()[1:-1] for part in parts]
        self._texts = [self._parts] if escaped == self._parts else [self._parts, escaped]
        self._joinable = len(self._parts) == 1 and "\0" not in self._parts[0]
        self._ascii = all(part.isascii() for part in parts)
        self._bytes = [[part.encode() for part in form] for form in self._texts]
        self.may_be_id = all(_PART_OF_ID.fullmatch(part) for part in parts)
        """Whether it can occur in an id at all, which is dear to write out."""

    def in_any(self, texts: Iterable[str | None]) -> bool:
        """Whether it occurs in one of several texts."""
        if self._joinable:
            # One look is cheaper than ten; the separator keeps it from matching across two.
            return self._parts[0] in "\0".join(text for text in texts if text).lower()
        return any(text and _in_turn(self._parts, text.lower()) for text in texts)

    def in_payload(self, payload: bytes) -> bool:
        """Whether it occurs in a JSON text."""
        if self._ascii:
            # Bytes know the case of ASCII letters only, and that is all that is asked for.
            lowered = payload.lower()
            return any(_in_turn(form, lowered) for form in self._bytes)
        text = payload.decode().lower()
        return any(_in_turn(form, text) for form in self._texts)


def _in_turn(parts: Sequence[S], text: S) -> bool:
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True
