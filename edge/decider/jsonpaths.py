"""JSONPath queries beyond plain paths: filters, wildcards, slices, descents.

No expression is found or replaced here. A query runs inside a decision, and its text and the values
that it looks at may be anybody's, so what it may cost is bounded.
"""

from __future__ import annotations

import functools
import re
from typing import Any

_LONGEST_TEXT = 1_000
"""Characters of a text that a pattern of a filter is held against; a longer one never matches."""

_MOST_REPEATS = 2
"""Repetitions in a pattern. With groups that may not be repeated, the time of a match grows with
the square of the text and no faster."""

_REPEATED_GROUP = re.compile(r"\)\s*(?:[*+]|\{\d)|\\[1-9]|\(\?P=")
_REPEAT = re.compile(r"(?<!\\)(?:[*+]|\{\d)")


class BadQuery(Exception):
    """The text is no query, or one that asks for too much."""


def find(query: str, document: Any) -> tuple[list[Any], bool]:
    """Everything that a query finds, in document order.

    Args:
        query: JSONPath from the root, ``$...``.
        document: JSON values.

    Returns:
        What was found, and whether the query can find one place at most.

    Raises:
        BadQuery: it cannot be run.
    """
    import jsonpath

    try:
        compiled = _environment().compile(query)
        found = compiled.findall(document)
    except (jsonpath.JSONPathError, TypeError, ValueError, RecursionError, re.error) as error:
        raise BadQuery(str(error)) from error
    single = isinstance(compiled, jsonpath.JSONPath) and compiled.singular_query()
    return list(found), single


@functools.lru_cache(maxsize=1)
def _environment() -> Any:
    """The library with filters whose patterns are bounded; imported when first used."""
    import jsonpath

    class Bounded(jsonpath.JSONPathEnvironment):
        """Patterns that could take for ever never match."""

        def setup_function_extensions(self) -> None:
            """Everything but the functions whose patterns may come out of the data."""
            super().setup_function_extensions()
            for name in ("match", "search"):
                self.function_extensions.pop(name, None)

        def compare(self, left: object, operator: str, right: object) -> bool:
            """Hold two values of a filter against each other."""
            if operator == "=~" and not _is_bounded(left, getattr(right, "pattern", "")):
                return False
            return bool(super().compare(left, operator, right))

    return Bounded()


def _is_bounded(text: object, pattern: str) -> bool:
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        return False
    return not _REPEATED_GROUP.search(pattern) and len(_REPEAT.findall(pattern)) <= _MOST_REPEATS
