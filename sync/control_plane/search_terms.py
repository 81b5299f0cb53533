"""What is typed into the search box: terms of the form ``field:op:value``, read and checked.

No SQL stands here and nothing is asked of the ledger. The grammar, which `docs/control-plane.md`
explains to people:

    query    = term *(space term)          all terms must hold
    term     = ["-"] (field ":" op ":" value | field ":" value | text)
    value    = word | '"' any '"' | value "," value
    op       = eq | ne | has | starts | lt | le | gt | ge | older | newer

``field:value`` is ``field:eq:value``; several values are alternatives; a text without a field is
looked for in names and ids.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from enum import StrEnum

import msgspec

MAX_TERMS = 20
MAX_VALUES = 50
MAX_CHARACTERS = 1_000

_WORD = re.compile(r'\s*(-?)((?:[^\s"]|"(?:[^"\\]|\\.)*"?)+)')
_FIELD = re.compile(r"([A-Za-z]+):(?:(eq|ne|has|starts|lt|le|gt|ge|older|newer):)?")
_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,"]+)')
_ONE = r'(?:"(?:[^"\\]|\\.)*(?:"|$)|[^,"]+)'
_VALUES = re.compile(rf"{_ONE}(?:,{_ONE})*")
_JOINING = ("AND", "OR", "NOT")
"""Words of another grammar: as texts they would find nothing, and nobody would know why."""
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d|w)")
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UNITS_MS = {
    "ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
}  # fmt: skip


class QueryError(Exception):
    """A query cannot be read. The message names the term and says what it may be."""

    def of(self, field: str) -> str:
        """The message where the query stands in another field than ``q``."""
        return f"{field}: {str(self).removeprefix('q: ')}"


class Op(StrEnum):
    """How a field and a value are compared."""

    EQ = "eq"
    NE = "ne"
    HAS = "has"
    """The field contains the value, in any case."""
    STARTS = "starts"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    OLDER = "older"
    """A time that is further back than a duration, such as ``15m``."""
    NEWER = "newer"


class Sort(StrEnum):
    """What a field holds."""

    TEXT = "text"
    WORD = "word"
    """A text of a fixed set."""
    NUMBER = "number"
    TIME = "time"
    DURATION = "duration"
    """Milliseconds, written as ``90s``."""
    SET = "set"
    """Several texts at once: tags, groups."""


_OPS = {
    Sort.TEXT: (Op.EQ, Op.NE, Op.HAS, Op.STARTS),
    Sort.WORD: (Op.EQ, Op.NE),
    Sort.NUMBER: (Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE),
    Sort.TIME: (Op.OLDER, Op.NEWER, Op.LT, Op.LE, Op.GT, Op.GE),
    Sort.DURATION: (Op.LT, Op.LE, Op.GT, Op.GE),
    Sort.SET: (Op.EQ, Op.NE),
}


class Field(msgspec.Struct, frozen=True):
    """A field that can be searched for."""

    sort: Sort
    column: str
    """In the statements of whoever searches."""
    words: tuple[str, ...] = ()
    """What a WORD may be; empty = anything."""


class Term(msgspec.Struct, frozen=True):
    """One term."""

    field: str
    """Empty = a text without a field."""
    op: Op
    texts: list[str]
    numbers: list[int]
    """Of a TIME the moment in milliseconds since 1970; empty for texts."""
    negated: bool


def parse(text: str, fields: Mapping[str, Field], *, now_ms: int) -> list[Term]:
    """Read a query.

    Args:
        text: what was typed.
        fields: that can be searched for, by their names.
        now_ms: from which durations are counted back.

    Raises:
        QueryError: the message names the term.
    """
    if len(text) > MAX_CHARACTERS:
        raise QueryError(f"q: a query may have at most {MAX_CHARACTERS} characters")
    terms = []
    for match in _WORD.finditer(text):
        terms.append(_term(match[2], fields, negated=bool(match[1]), now_ms=now_ms))
        if len(terms) > MAX_TERMS:
            raise QueryError(f"q: a query may have at most {MAX_TERMS} terms")
    return terms


def folded(text: str) -> str:
    """A text as the databases' lower() makes it, which knows ASCII's letters only."""
    return text.translate(_ASCII_LOWER)


def duration_ms(text: str) -> int | None:
    """``90s`` in milliseconds; None when it is no duration."""
    match = _DURATION.fullmatch(text)
    return None if match is None else round(float(match[1]) * _UNITS_MS[match[2]])


def _term(word: str, fields: Mapping[str, Field], *, negated: bool, now_ms: int) -> Term:
    match = _FIELD.match(word)
    if match is None:
        if word in _JOINING:
            raise QueryError(
                f"q: {word} is no term: all terms must hold, a comma between values is an or, and a "
                f'- before a term a not; the text itself is found with "{word}"'
            )
        return Term("", Op.HAS, [_unquoted(word)], [], negated)
    name = match[1]
    if name not in fields:
        known = ", ".join(sorted(fields))
        raise QueryError(f"q: there is no field {name!r} in {word!r}; there is: {known}")
    field = fields[name]
    op = Op(match[2]) if match[2] else Op.EQ
    if op not in _OPS[field.sort]:
        can = ", ".join(one.value for one in _OPS[field.sort])
        raise QueryError(f"q: {name} cannot be asked with {op.value}; it can with: {can}")
    texts = [
        re.sub(r"\\(.)", r"\1", quoted) if quoted or not plain else plain
        for quoted, plain in _VALUE.findall(word[match.end() :])
    ]
    if not texts or len(texts) > MAX_VALUES or not _VALUES.fullmatch(word, match.end()):
        raise QueryError(
            f"q: {name} needs 1 to {MAX_VALUES} values, with commas between, in {word!r}"
        )
    if field.words and not set(texts) <= set(field.words):
        raise QueryError(f"q: {name} is one of {', '.join(field.words)}, not {texts[0]!r}")
    numbers = [] if field.sort in (Sort.TEXT, Sort.WORD, Sort.SET) else [
        _number(name, field, op, one, now_ms) for one in texts
    ]  # fmt: skip
    return Term(name, op, texts, numbers, negated)


def _number(name: str, field: Field, op: Op, text: str, now_ms: int) -> int:
    if op in (Op.OLDER, Op.NEWER):
        back = duration_ms(text)
        if back is None:
            raise QueryError(f"q: {name}:{op.value} needs a duration such as 90s, 15m, 2h, 7d")
        return now_ms - back
    if field.sort is Sort.DURATION:
        length = duration_ms(text)
        if length is None:
            raise QueryError(f"q: {name} needs a duration such as 250ms, 90s, 15m, not {text!r}")
        return length
    if not re.fullmatch(r"-?\d{1,16}", text):
        raise QueryError(f"q: {name} needs a whole number, not {text!r}")
    return int(text)


def _unquoted(word: str) -> str:
    return re.sub(r'"((?:[^"\\]|\\.)*)"?', lambda m: re.sub(r"\\(.)", r"\1", m[1]), word)


_COMPARED = {
    Op.LT: "<", Op.LE: "<=", Op.GT: ">", Op.GE: ">=", Op.OLDER: "<", Op.NEWER: ">=",
}  # fmt: skip


def condition(term: Term, field: Field, name: str, values: dict[str, object]) -> str:
    """A term on a column as a condition; its values are put among the others.

    Args:
        term: on a field that is no SET.
        field: its field.
        name: that its values are to have, unique within the statement.
        values: of the statement.
    """
    alternatives = []
    for number, text in enumerate(term.texts):
        key = f"{name}_{number}"
        values[key] = term.numbers[number] if term.numbers else text
        match term.op:
            case Op.EQ | Op.NE:
                said = f"{field.column} = :{key}"
            case Op.HAS:
                values[key] = folded(text)
                said = f"instr(lower({field.column}), :{key}) > 0"
            case Op.STARTS:
                # A range and not LIKE, so that an index serves it.
                values[key], values[f"{key}_end"] = text, text + "\U0010ffff"
                said = f"({field.column} >= :{key} AND {field.column} < :{key}_end)"
            case op:
                said = f"{field.column} {_COMPARED[op]} :{key}"
        alternatives.append(said)
    text = alternatives[0] if len(alternatives) == 1 else f"({' OR '.join(alternatives)})"
    return f"NOT COALESCE({text}, 1 = 0)" if term.negated != (term.op is Op.NE) else text
