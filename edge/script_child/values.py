"""How the values of jq and of Python become JSON that can be stored.

JavaScript's do so in ``prelude.js``, by the same rules.
"""

from __future__ import annotations

import math
from json import dumps
from typing import Any

from edge.script_child.frames import MOST_RESULT_BYTES, Reply, Verdict

_LONG = 2**63
_MOST_LEVELS = 200
_MOST_SAID = 4_000
"""Characters of what went wrong; a script may throw megabytes."""


def integer(text: str) -> int | float:
    """A number without fraction in JSON; what does not fit 64 bits is a double."""
    return _whole(int(text))


def double(text: str) -> int | float:
    """A number with a fraction or exponent in JSON; ``3.0`` is 3."""
    return _fraction(float(text))


def reply_with(value: Any) -> Reply:
    """The reply that carries a value; one that cannot be stored is a failure that says so."""
    try:
        text = dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        body = text.encode()
    except UnicodeEncodeError:
        return failed("the result holds half a character: a surrogate without its other half")
    if len(body) > MOST_RESULT_BYTES:
        return failed("the result is larger than 10 megabytes")
    return Reply(Verdict.VALUE, body)


def failed(message: str) -> Reply:
    """The reply that says what went wrong."""
    said = message if len(message) <= _MOST_SAID else message[:_MOST_SAID] + "..."
    return Reply(Verdict.FAILED, said.encode(errors="replace"))


def storable(value: Any, level: int = 0) -> Any:
    """A value of Python's as JSON has it.

    Raises:
        TypeError: something in it cannot be stored.
        ValueError: it is nested too deeply, or holds itself.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return _fraction(value) if math.isfinite(value) else _name_of(value)
    if level >= _MOST_LEVELS:
        raise ValueError(
            f"the result is nested deeper than {_MOST_LEVELS} levels, or holds itself"
        )  # fmt: skip
    if isinstance(value, dict):
        return {str(key): storable(item, level + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [storable(item, level + 1) for item in value]
    raise TypeError(
        f"a {type(value).__name__} cannot be stored; return text, numbers, lists or dicts"
    )


def _whole(value: int) -> int | float:
    if -_LONG <= value < _LONG:
        return value
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a whole number is too large to be stored") from None


def _fraction(value: float) -> int | float:
    return int(value) if value.is_integer() and abs(value) < _LONG else value


def _name_of(value: float) -> str:
    """JSON has no infinity; Conductor stores the name of what JSON cannot write."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
