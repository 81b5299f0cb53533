"""Which handlers a module names, read without running it, and which of them nobody asks for.

Nothing is imported or refused here: a handler may wait for a workflow that is yet to come.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

_TABLE = "HANDLERS"

_MAX_DEPTH = 64
"""Definitions nested deeper are not looked into; none that a daemon takes is."""


def texts_of(value: Any, depth: int = 0) -> Iterator[str]:
    """Every text of a definition.

    All count as names of tasks: a dynamic task is named by what is handed to it, not by its ``name``.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list) and depth < _MAX_DEPTH:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_of(inner, depth + 1)


def meant(name: str, known: Collection[str], handled: Collection[str]) -> str:
    """What a handler's name was probably meant to be, as a question; empty = nothing is near.

    Args:
        name: that of a handler that nobody asks for.
        known: names of tasks.
        handled: those of them that have a handler already.
    """
    # Imported when it is needed: most sites have no slip.
    from difflib import get_close_matches

    close = get_close_matches(name, [one for one in known if one not in handled], n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def faults(path: Path, known: Collection[str]) -> list[str]:
    """A sentence for each thing in a ``handlers.py`` that would keep tasks waiting.

    Args:
        path: of the file.
        known: texts of all definitions of the site, those of its task definitions too.

    Raises:
        OSError: the file cannot be read.
        SyntaxError: it is no Python; the message says where.
    """
    tree = ast.parse(path.read_bytes(), filename=str(path))
    bound, is_open = _bound(tree)
    if _TABLE not in bound:
        return [] if is_open else [f"there is no {_TABLE}"]
    there = None if is_open else bound
    return [fault for table in _tables(tree) for fault in _of_table(table, there, known)]


def _of_table(
    table: ast.Dict, there: Collection[str] | None, known: Collection[str]
) -> Iterator[str]:
    """What is wrong with a table; None = the module may have names that do not stand in it."""
    named = [
        (key.value, value)
        for key, value in zip(table.keys, table.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]
    handled = {name for name, _ in named}
    for name, value in named:
        if isinstance(value, ast.Constant | ast.Dict | ast.List | ast.JoinedStr):
            yield f"the handler {name!r} is no function"
        elif isinstance(value, ast.Name) and there is not None and value.id not in there:
            yield f"the handler {name!r} is {value.id}, which is defined nowhere"
        if name not in known:
            question = meant(name, known, handled)
            yield f"no task is called {name!r}, for which there is a handler" + (
                f"; {question}" if question else ""
            )


def _tables(tree: ast.Module) -> Iterator[ast.Dict]:
    """What is written behind ``HANDLERS =`` as a table; one that is put together is not read."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=targets, value=ast.Dict() as value) if any(
                isinstance(one, ast.Name) and one.id == _TABLE for one in targets
            ):
                yield value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict() as value) if (
                name == _TABLE
            ):
                yield value


def _bound(tree: ast.Module) -> tuple[set[str], bool]:
    """Names that a module gives to something, and whether it may have others: by ``import *``."""
    bound, is_open = set(dir(builtins)), False
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                bound.add(name)
            case ast.ClassDef(name=name):
                bound.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound.update((one.asname or one.name).split(".")[0] for one in names)
                is_open = is_open or any(one.name == "*" for one in names)
    return bound, is_open
