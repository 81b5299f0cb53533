"""JSONPath queries beyond plain paths: filters, wildcards, slices, descents.

No expression is found or replaced here. A query runs inside a decision, and its text and the values
that it looks at may be anybody's, so what it may cost is bounded.
"""

from __future__ import annotations

import functools
import re
from typing import Any

_MOST_STEPS = 400_000
"""What one query may cost, a second or a few: places looked at, and tries of its patterns. Steps that
stand behind each other multiply, so the text of a query says nothing of what it costs."""

_LEVELS_A_STEP = 4
"""A place so deep costs one more: it is handed up through all that stands around it."""

_UNSEEN_STEPS = 4
"""What a place in a filter costs, where nobody sees how deep it is."""

_TRIES_A_STEP = 200
"""A pattern tries so many times in the time that it takes to look at a place."""

_LONGEST_TEXT = 1_000
"""Characters of a text that a pattern of a filter is held against; a longer one never matches."""

_MOST_REPEATS = 2
"""Repetitions in a pattern. With groups that may not be repeated, the time of a match grows with
the square of the text and no faster."""

_MOST_WAYS = 64
"""Ways through a pattern: each ``?`` doubles them, each group has as many as it has alternatives."""

_TOKEN = re.compile(
    r"""(?P<back>\\[1-9]|\(\?(?:P=|\(|[a-zA-Z-]*x))   # what is not counted here
      | \\. | \[\^?\]?(?:\\.|[^\]\\])*\]             # an escape, a set
      | (?P<open>\((?:\?[^:)=!>]*[:=!>]?)?)
      | (?P<close>\))
      | (?P<repeat>(?:[*+]|\{\d*,?\d*\})[?+]?)
      | (?P<maybe>\?[?+]?)
      | (?P<bar>\|)
    """,
    re.VERBOSE | re.DOTALL,
)

_UNION = re.compile(r"[*:~]\s*-?\d*\s*,|,\s*[*:~?]")
"""Selectors side by side that may find the same places once more."""

_MOST_UNIONS = 2
"""Of these in a filter, where the places are not counted."""


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

    if len(_UNION.findall(query.partition("?")[2])) > _MOST_UNIONS:
        raise BadQuery("a filter has too many selectors side by side")
    environment = _environment()()
    try:
        compiled = environment.compile(query)
        found = environment.found(compiled, document)
    except (jsonpath.JSONPathError, TypeError, ValueError, RecursionError, re.error) as error:
        raise BadQuery(str(error)) from error
    single = isinstance(compiled, jsonpath.JSONPath) and compiled.singular_query()
    return list(found), single


@functools.lru_cache(maxsize=1)
def _environment() -> Any:
    """The library with a bound on what a query costs; imported when first used."""
    import jsonpath
    from jsonpath.match import JSONPathMatch

    class Counted(JSONPathMatch):
        """A place; whoever looks at what is inside pays for it."""

        __slots__ = ()

        def new_child(self, obj: object, key: int | str) -> JSONPathMatch:
            """A place inside this one."""
            self._filter_context["pay"](1 + len(self.parts) // _LEVELS_A_STEP)
            return super().new_child(obj, key)

    class Bounded(jsonpath.JSONPathEnvironment):
        """The library for one query."""

        def __init__(self) -> None:
            self._left = _MOST_STEPS
            super().__init__()

        def pay(self, steps: int) -> None:
            """Count what the query costs."""
            self._left -= steps
            if self._left < 0:
                raise BadQuery("the query looks at too many places")

        def found(self, compiled: Any, document: Any) -> list[Any]:
            """Everything that a query finds."""
            if not isinstance(compiled, jsonpath.JSONPath):
                raise BadQuery("several queries in one are none")
            matches: Any = [
                Counted(
                    filter_context={"pay": self.pay},
                    obj=document, parent=None, path="$", parts=(), root=document,
                )
            ]  # fmt: skip
            for segment in compiled.segments:
                matches = segment.resolve(matches)
            return [match.obj for match in matches]

        @property
        def max_recursion_depth(self) -> int:  # type: ignore[override]
            """Asked for each place that a descent comes to, also inside a filter."""
            self.pay(_UNSEEN_STEPS)
            return super().max_recursion_depth

        def getitem(self, obj: Any, key: Any) -> Any:
            """What stands under a name or a number."""
            self.pay(_UNSEEN_STEPS)
            return super().getitem(obj, key)

        def setup_function_extensions(self) -> None:
            """Everything but the functions whose patterns may come out of the data."""
            super().setup_function_extensions()
            for name in ("match", "search"):
                self.function_extensions.pop(name, None)

        def compare(self, left: object, operator: str, right: object) -> bool:
            """Hold two values of a filter against each other."""
            self.pay(1)
            if operator == "=~":
                tries = _tries(left, getattr(right, "pattern", ""))
                if tries is None:
                    return False
                self.pay(tries // _TRIES_A_STEP)
            return bool(super().compare(left, operator, right))

    return Bounded


def _tries(text: object, pattern: str) -> int | None:
    """How often a match may have to try at most; None = it is not bounded well enough."""
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        return None
    counted = _shape(pattern)
    return None if counted is None else counted[1] * (len(text) + 1) ** counted[0]


@functools.lru_cache(maxsize=256)
def _shape(pattern: str) -> tuple[int, int] | None:
    """Repetitions in a pattern, and ways through it without them; None = too many."""
    repeats, ways, closed_at = 0, 1, -1
    groups = [1]
    for token in _TOKEN.finditer(pattern):
        kind = token.lastgroup
        if kind == "back" or (kind == "repeat" and token.start() == closed_at):
            return None
        if kind == "open":
            groups.append(1)
        elif kind == "bar":
            groups[-1] += 1
        elif kind == "close" and len(groups) > 1:
            ways *= groups.pop()
            closed_at = token.end()
        elif kind == "repeat":
            repeats += 1
        elif kind == "maybe":
            ways *= 2
    ways *= groups[0]
    return None if repeats > _MOST_REPEATS or ways > _MOST_WAYS else (repeats, ways)
