"""The text forms that Conductor's expressions produce, which are those of Java.

Nothing is looked up here.
"""

from __future__ import annotations

import decimal
import math
from typing import Any

_MAX_NESTING = 100
"""Maps and lists inside each other; what is deeper is shown as three dots, for a payload that
somebody made to be deep must not stop a decision."""


def java_text(value: Any, depth: int = 0) -> str:
    """The text of a JSON value inside a larger string.

    ``null``, ``true``, ``3.0``, ``1.0E10``, ``{k=v, deep={z=3.5}}``, ``[1, 2]``.
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _double(value)
    if depth > _MAX_NESTING and isinstance(value, dict | list):
        return "..."
    if isinstance(value, dict):
        items = (f"{key}={java_text(item, depth + 1)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(java_text(item, depth + 1) for item in value) + "]"
    return str(value)


def _double(value: float) -> str:
    """Java's Double.toString: decimal from 0.001 up to 10 million, scientific outside."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        text = format(decimal.Decimal(repr(value)), "f")
        return text if "." in text else text + ".0"
    sign, digits, exponent = decimal.Decimal(repr(value)).as_tuple()
    figures = "".join(map(str, digits)).rstrip("0") or "0"
    power = int(exponent) + len(digits) - 1
    return f"{'-' if sign else ''}{figures[0]}.{figures[1:] or '0'}E{power}"
