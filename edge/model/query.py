"""Conductor's query grammar: a text becomes a condition of terms, joined by AND, OR and NOT.

What a field means and whether anything matches is not decided here.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable

import msgspec

from edge.model.errors import InvalidInput

_MAX_QUERY = 65_536
"""Characters; a list of 1,000 ids fits."""

_MAX_VALUES = 1_000
"""Values of one IN."""

_MAX_TERMS = 500
"""Terms of one query."""

_MAX_DEPTH = 32
"""Parentheses and negations inside each other."""

_SHOWN = 200
"""Characters of a query that an error repeats."""

_NAME = re.compile(r"[A-Za-z_]\w*")
_OPERATOR = re.compile(r"!=|<=|>=|=|<|>|(?:IN|BETWEEN|IS|STARTS_WITH)(?=[\s(\"']|$)")
_WORD_NOT = re.compile(r"NOT(?=[\s()]|$)")
_JOINED = re.compile(r"(AND|OR)(?=[\s()]|$)")
_BARE = re.compile(r"(?:(?!\s(?:AND|OR)(?:[\s()]|$))(?:[^()\"']|(?<=\w)'(?=\w)))*")
"""A value without quotes: up to an AND or OR, a parenthesis or a quotation mark, but for the one in
a name such as O'Brien. One blank is looked at before the word, not many: a text of blanks must not
cost a time that grows with its square."""
_BARE_IN_LIST = re.compile(r"(?:(?!\s(?:AND|OR)(?:[\s()]|$))(?:[^()\"',]|(?<=\w)'(?=\w)))*")
_COMPARED = re.compile(r"\s([A-Za-z_]\w*)\s*[!=<>]")
"""Inside a value without quotes: where that is a field, a word is missing before it."""
_CLOSED = re.compile(r"[\s),]|$|(?:AND|OR)[\s()]")
"""What stands behind a quotation mark that closes a value. Any other is one of the value's own, for
clients put marks around values without a look into them."""
_NULL = re.compile(r"(NOT\s+)?NULL(?=[\s)]|$)", re.IGNORECASE)
_LEFT_OUT = re.compile(r"(?:AND|OR)(?:[\s()]|$)")
"""No value at all: behind an equals sign that is the empty text, elsewhere it says nothing."""


class Operator(enum.StrEnum):
    """What a term does with its values; ``!=`` and the like are a NOT around one of these."""

    EQUALS = "="
    IN = "IN"
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    BETWEEN = "BETWEEN"
    """Both ends belong to it."""
    STARTS_WITH = "STARTS_WITH"
    IS_NULL = "IS NULL"


class Term(msgspec.Struct, frozen=True):
    """A field, an operator, and one value or, for IN and BETWEEN, several."""

    field: str
    operator: Operator
    values: tuple[str, ...] = ()
    text: str = ""
    """As it was written, for errors about its values."""


class Both(msgspec.Struct, frozen=True):
    """Every one of several conditions."""

    parts: tuple[Condition, ...]


class Either(msgspec.Struct, frozen=True):
    """At least one of several conditions."""

    parts: tuple[Condition, ...]


class Not(msgspec.Struct, frozen=True):
    """Anything but a condition."""

    part: Condition


Condition = Term | Both | Either | Not


class MalformedQuery(InvalidInput):
    """A query that cannot be read. The message repeats it and says what was expected where."""

    def __init__(self, text: str, why: str) -> None:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        super().__init__(f"Incorrectly formatted query string: {shown} ({why})")


def parse(text: str, knows: Callable[[str], bool]) -> Condition | None:
    """Read a query.

    Args:
        text: terms such as ``status = FAILED``, joined by AND and OR, with NOT and parentheses.
        knows: whether a field exists. Terms with other fields are dropped, as Conductor does.

    Returns:
        None when nothing is asked for.

    Raises:
        MalformedQuery: it has another form, or is larger than the limits above.
    """
    if len(text) > _MAX_QUERY:
        raise MalformedQuery(text, f"it may hold {_MAX_QUERY} characters")
    if not text.strip():
        return None
    return _Reader(text, knows).whole()


def conjuncts(condition: Condition | None) -> list[Condition]:
    """The conditions that must all hold; nested ANDs in one list."""
    if condition is None:
        return []
    if isinstance(condition, Both):
        return [inner for part in condition.parts for inner in conjuncts(part)]
    return [condition]


def demanded(condition: Condition | None, field: str) -> frozenset[str] | None:
    """The only values that a field can have where the condition holds; None = any.

    For choosing an index: what it leaves in must still be judged by the condition.
    """
    found: frozenset[str] | None = None
    for part in conjuncts(condition):
        values = _values_of(part, field)
        if values is not None:
            found = values if found is None else found & values
    return found


def mentions(condition: Condition | None, field: str) -> bool:
    """Whether a field plays a part in a condition."""
    match condition:
        case None:
            return False
        case Term():
            return condition.field == field
        case Not():
            return mentions(condition.part, field)
        case _:
            return any(mentions(part, field) for part in condition.parts)


def _values_of(part: Condition, field: str) -> frozenset[str] | None:
    if isinstance(part, Either):
        each = [demanded(one, field) for one in part.parts]
        known = [values for values in each if values is not None]
        return frozenset().union(*known) if len(known) == len(each) else None
    if not isinstance(part, Term) or part.field != field:
        return None
    if part.operator not in (Operator.EQUALS, Operator.IN):
        return None
    # A wildcard stands for many values, and the empty text also for a field that is absent.
    if any("*" in value or not value for value in part.values):
        return None
    return frozenset(part.values)


class _Reader:
    """Reads one text from its beginning to its end; each method reads one rule of the grammar."""

    def __init__(self, text: str, knows: Callable[[str], bool]) -> None:
        self._text = text
        self._knows = knows
        self._at = 0
        self._depth = 0
        self._terms = 0

    def whole(self) -> Condition | None:
        condition = self._either()
        if self._at < len(self._text):
            raise self._wrong("expected AND, OR or the end")
        return condition

    def _either(self) -> Condition | None:
        return _joined(Either, self._list_of("OR", self._both))

    def _both(self) -> Condition | None:
        return _joined(Both, self._list_of("AND", self._one))

    def _list_of(self, word: str, read: Callable[[], Condition | None]) -> list[Condition | None]:
        parts = [read()]
        while True:
            self._blanks()
            match = _JOINED.match(self._text, self._at)
            if match is None or match[1] != word:
                return parts
            self._at = match.end()
            parts.append(read())

    def _one(self) -> Condition | None:
        self._blanks()
        if self._word(_WORD_NOT):
            return self._negated(self._deeper(self._one))
        if self._sign("("):
            inner = self._deeper(self._either)
            self._blanks()
            if not self._sign(")"):
                raise self._wrong("expected a closing parenthesis")
            return inner
        return self._term()

    def _deeper(self, read: Callable[[], Condition | None]) -> Condition | None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._wrong(f"at most {_MAX_DEPTH} parentheses and negations inside each other")
        inner = read()
        self._depth -= 1
        return inner

    def _term(self) -> Condition | None:
        began = self._at
        self._terms += 1
        if self._terms > _MAX_TERMS:
            raise self._wrong(f"at most {_MAX_TERMS} terms")
        name = _NAME.match(self._text, self._at)
        if name is None:
            raise self._wrong("expected the name of a field")
        self._at = name.end()
        self._blanks()
        negated = self._word(_WORD_NOT)
        self._blanks()
        operator = _OPERATOR.match(self._text, self._at)
        if operator is None or (negated and not operator[0].isidentifier()):
            raise self._wrong(
                "expected one of =, !=, <, <=, >, >=, IN, BETWEEN, IS NULL, STARTS_WITH"
            )
        self._at = operator.end()
        self._blanks()
        kind, values, flipped = self._operand(operator[0])
        if not self._knows(name[0]):
            return None
        term = Term(name[0], kind, values, self._text[began : self._at].strip())
        return Not(term) if negated ^ flipped else term

    def _operand(self, operator: str) -> tuple[Operator, tuple[str, ...], bool]:
        """What stands right of the operator, and whether its meaning is turned round."""
        match operator:
            case "IN":
                return Operator.IN, self._values(), False
            case "BETWEEN":
                return Operator.BETWEEN, self._ends(), False
            case "IS":
                return Operator.IS_NULL, (), self._null()
            case "=" | "!=":
                # In practice some write the list of an IN after an equals sign.
                listed = self._text.startswith("(", self._at)
                values = self._values() if listed else (self._value(_BARE),)
                kind = Operator.IN if listed else Operator.EQUALS
                return kind, values, operator == "!="
            case _:
                return Operator(operator), (self._said(),), False

    def _ends(self) -> tuple[str, str]:
        low = self._said()
        self._blanks()
        match = _JOINED.match(self._text, self._at)
        if match is None or match[1] != "AND":
            raise self._wrong("expected BETWEEN x AND y")
        self._at = match.end()
        self._blanks()
        return low, self._said()

    def _said(self) -> str:
        """A value that may not be left out, though it may be the empty text in quotes."""
        began = self._at
        value = self._value(_BARE)
        if self._at == began:
            raise self._wrong("expected a value")
        return value

    def _null(self) -> bool:
        match = _NULL.match(self._text, self._at)
        if match is None:
            raise self._wrong("expected IS NULL or IS NOT NULL")
        self._at = match.end()
        return match[1] is not None

    def _values(self) -> tuple[str, ...]:
        """The list of an IN; its parentheses may be missing."""
        in_parentheses = self._sign("(")
        values: list[str] = []
        while True:
            self._blanks()
            values.append(self._value(_BARE_IN_LIST))
            self._blanks()
            if not self._sign(","):
                break
        if in_parentheses and not self._sign(")"):
            raise self._wrong("expected a comma or a closing parenthesis")
        values = [value for value in values if value]
        if not 0 < len(values) <= _MAX_VALUES:
            raise self._wrong(f"IN takes 1 to {_MAX_VALUES} values")
        return tuple(values)

    def _value(self, bare: re.Pattern[str]) -> str:
        quote = self._text[self._at : self._at + 1]
        if quote and quote in "\"'":
            return self._quoted(quote)
        if _LEFT_OUT.match(self._text, self._at):
            return ""
        match = bare.match(self._text, self._at)
        value = "" if match is None else match[0].strip()
        if value[:1] in ("=", "<", ">", "!"):
            raise self._wrong("expected a value; one that begins with a sign needs quotes")
        if match is not None:
            self._refuse_a_term(match)
        self._at = self._at if match is None else match.end()
        return value

    def _refuse_a_term(self, bare: re.Match[str]) -> None:
        """Nobody looks for ``FAILED version > 3``: an AND is missing, or is written in small letters."""
        for found in _COMPARED.finditer(bare[0]):
            if self._knows(found[1]):
                self._at += found.start(1)
                raise self._wrong(
                    f"expected AND or OR, in capitals, before {found[1]}; a value that holds such a "
                    "text needs quotes"
                )

    def _quoted(self, quote: str) -> str:
        """Up to the same quotation mark; a backslash, or another mark, makes one a part of it."""
        parts: list[str] = []
        at = self._at + 1
        while at < len(self._text):
            sign, following = self._text[at], self._text[at + 1 : at + 2]
            if sign == quote and _CLOSED.match(self._text, at + 1):
                self._at = at + 1
                return "".join(parts)
            doubled = sign == quote and following == quote
            if doubled or (sign == "\\" and following in (quote, "\\")):
                at += 1
                sign = self._text[at]
            parts.append(sign)
            at += 1
        raise self._wrong("expected the quotation mark that closes the value")

    def _negated(self, part: Condition | None) -> Condition | None:
        return None if part is None else Not(part)

    def _blanks(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _sign(self, sign: str) -> bool:
        found = self._text.startswith(sign, self._at)
        self._at += len(sign) if found else 0
        return found

    def _word(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match is not None

    def _wrong(self, why: str) -> MalformedQuery:
        return MalformedQuery(self._text, f"{why}, at character {self._at + 1}")


def _joined(kind: type[Both] | type[Either], parts: list[Condition | None]) -> Condition | None:
    """Several conditions as one; what was dropped leaves no trace."""
    left = tuple(part for part in parts if part is not None)
    if len(left) > 1:
        return kind(left)
    return left[0] if left else None
