"""Values written as TOML.

Which values there are is said elsewhere; only the standard library and msgspec are needed here.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec


def document(sections: dict[str, Any]) -> str:
    """Sections of keys and values; a list of them is a section that is written several times."""
    lines: list[str] = []
    for section, found in sections.items():
        for table in found if isinstance(found, list) else [found]:
            lines += ["", f"[[{section}]]" if isinstance(found, list) else f"[{section}]"]
            lines += [f"{key} = {value(item)}" for key, item in table.items() if item is not None]
    return "\n".join(lines[1:]) + "\n"


def value(item: Any) -> str:
    """A value in TOML. A JSON text is a TOML text, but for one letter that TOML wants escaped."""
    if isinstance(item, dict):
        pairs = (f"{value(str(key))} = {value(one)}" for key, one in item.items())
        return "{ " + ", ".join(pairs) + " }" if item else "{}"
    if isinstance(item, list):
        return "[" + ", ".join(value(one) for one in item) + "]"
    if isinstance(item, float) and math.isnan(item):
        return "nan"
    if isinstance(item, float) and item in (float("inf"), float("-inf")):
        return "inf" if item > 0 else "-inf"
    return msgspec.json.encode(item).decode().replace("\x7f", "\\u007f")
