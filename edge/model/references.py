"""The ``${...}`` references inside a definition's parameters, checked as text.

Nothing is resolved here: whether a reference is well formed and what it names is all that is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SYSTEM_NAMES = frozenset({"CPEWF_TASK_ID", "NETFLIX_STACK", "NETFLIX_ENV"})
"""Whole expressions that the engine answers by itself."""

_MAX_DEPTH = 64
"""Maps and lists nested deeper than this are not looked into; the JSON limit refuses them anyway."""


def strings_of(value: Any, key: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every text inside a parameter, with the nearest key above it."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for inner, item in value.items():
            yield from strings_of(item, inner, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from strings_of(item, key, depth + 1)


def references_in(text: str) -> Iterator[str]:
    """The expressions of a text, outermost last: ``a${b${c}}`` gives ``c`` and then ``bx``.

    An inner expression is replaced by one letter, because its value is not known yet. ``$${`` is
    an escape and is skipped; an opening without its end is plain text.
    """
    start = text.find("${")
    while start >= 0:
        end = _end_of(text, start)
        if end < 0:
            return
        if start == 0 or text[start - 1] != "$":
            inner = text[start + 2 : end]
            yield from references_in(inner)
            yield _blanked(inner)
        start = text.find("${", end + 1)


def well_formed(path: str) -> bool:
    """Whether a reference could be a JSONPath: balanced brackets, no blank outside of them."""
    if not path or path[-1] == ".":
        return False
    quote = ""
    depth = 0
    for index, letter in enumerate(path):
        if quote:
            # A backslash takes the quote after it into the name.
            quote = "" if letter == quote and path[index - 1] != "\\" else quote
        elif letter in "'\"" and depth:
            quote = letter
        elif letter in "[(":
            depth += 1
        elif letter in "])":
            depth -= 1
            if depth < 0:
                return False
        elif letter.isspace() and not depth:
            return False
    return not depth and not quote


def head_of(path: str) -> str:
    """What a reference begins with: ``workflow``, or the reference name of a task."""
    head = path.split(".", 1)[0]
    return head.split("[", 1)[0] or head


def _end_of(text: str, start: int) -> int:
    """The index of the brace that closes the expression at ``start``; -1 when there is none."""
    depth = 0
    for index in range(start + 1, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if not depth:
                return index
    return -1


def _blanked(inner: str) -> str:
    """An expression with the expressions inside it replaced by a letter."""
    start = inner.find("${")
    while start >= 0:
        end = _end_of(inner, start)
        if end < 0:
            return inner
        inner = f"{inner[:start]}x{inner[end + 1 :]}"
        start = inner.find("${", start)
    return inner
