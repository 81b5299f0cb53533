"""What an endpoint takes and answers, read from its own source text.

Nothing is run here, and nothing is described: a parameter that an endpoint reads is documented
because it reads it, so that the document cannot forget one or invent one.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import sys
from collections.abc import Callable
from importlib.abc import InspectLoader
from types import FunctionType, ModuleType
from typing import Any

import msgspec

_MAX_DEPTH = 8
"""Functions that call each other with the request; endpoints are three deep."""

_MAX_STEPS = 400
"""Functions followed for one endpoint."""

_READERS = {
    "text": "string",
    "required": "string",
    "texts": "array",
    "number": "integer",
    "optional_number": "integer",
    "flag": "boolean",
}
"""The methods of a Call that read the query, with the type that they read."""

_BODIES = {"json_object": "object", "json_list": "array", "document": "any", "body": "bytes"}
"""The methods of a Call that read the body, with its kind."""

_ANSWERS = {"json": 200, "text": 200, "void": 200, "nothing": 204}
"""The functions of ``answers``, with the status that each answers."""


class Parameter(msgspec.Struct, frozen=True):
    """One name in the query."""

    name: str
    kind: str
    """A type of JSON schema."""
    required: bool = False
    default: Any = None


class Reading(msgspec.Struct):
    """What was found in an endpoint and in the functions that it hands the request to."""

    query: dict[str, Parameter] = {}
    body: str | None = None
    """``object``, ``array``, ``any`` or ``bytes``; None = no body is read."""
    answers: dict[int, set[str]] = {}
    """By status: ``json``, ``text``, ``void``, ``nothing`` or a media type."""


def read(endpoint: Callable[..., Any]) -> Reading:
    """Read an endpoint's source; one whose source is not there has nothing to tell."""
    reading = Reading()
    if isinstance(endpoint, FunctionType):
        _follow(endpoint, {}, reading, set(), 0)
    return reading


def field_texts(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The texts that stand under the fields of a Struct, by the fields' Python names."""
    module = sys.modules.get(kind.__module__)
    node = None if module is None else _definitions(module).get(kind.__name__)
    texts: dict[str, str] = {}
    body = node.body if isinstance(node, ast.ClassDef) else []
    for field, following in itertools.pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        value = following.value if isinstance(following, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            texts[field.target.id] = " ".join(value.value.replace("``", "").split())
    return texts


@functools.cache
def _definitions(
    module: ModuleType,
) -> dict[str, ast.AsyncFunctionDef | ast.FunctionDef | ast.ClassDef]:
    """The functions and classes of a module by name; none where its source is not there."""
    loader = None if module.__spec__ is None else module.__spec__.loader
    if not isinstance(loader, InspectLoader):
        return {}
    # Asked of the loader, because ``inspect`` would keep every line that it reads.
    tree = ast.parse(loader.get_source(module.__name__) or "")
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef | ast.ClassDef)
    }


def forget() -> None:
    """Let the syntax trees leave memory, which hold far more than was learned from them."""
    _definitions.cache_clear()


def _follow(
    function: FunctionType,
    bound: dict[str, Any],
    reading: Reading,
    seen: set[tuple[Any, ...]],
    depth: int,
) -> None:
    """Read one function, and those it hands the request to.

    Args:
        function: an endpoint, or what an endpoint calls.
        bound: its arguments as far as they are constants.
        reading: what was found so far.
        seen: functions that were read, with their constants.
        depth: calls between the endpoint and this function.
    """
    key = (function.__module__, function.__qualname__, *sorted(map(str, bound.items())))
    module = sys.modules.get(function.__module__)
    if key in seen or depth > _MAX_DEPTH or len(seen) > _MAX_STEPS or module is None:
        return
    seen.add(key)
    node = _definitions(module).get(function.__name__)
    if not isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
        return
    request = _request_name(node)
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            _note(one, request, function, bound, reading)
            called = _called(one, request, function)
            if called is not None:
                _follow(called, _bindings(one, called, function, bound), reading, seen, depth + 1)


def _request_name(node: ast.AsyncFunctionDef | ast.FunctionDef) -> str:
    """The parameter that is the request: the one that is annotated so."""
    for argument in [*node.args.args, *node.args.kwonlyargs]:
        if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "Call":
            return argument.arg
    return ""


def _note(
    call: ast.Call, request: str, function: FunctionType, bound: dict[str, Any], reading: Reading
) -> None:
    """Take over what one call in the source reads or answers."""
    target = call.func
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        owner, name = target.value.id, target.attr
        if owner == request and request and name in _READERS:
            _note_parameter(call, name, function, bound, reading)
        elif owner == request and request and name in _BODIES:
            reading.body = _BODIES[name]
        elif owner == "answers" and name in _ANSWERS:
            reading.answers.setdefault(_ANSWERS[name], set()).add(name)
    elif isinstance(target, ast.Name) and target.id.endswith("Response"):
        media = _keyword(call, "media_type", function, bound)
        status = _keyword(call, "status_code", function, bound)
        # Whatever has no type of its own is a file, whose type its name tells.
        shown = media if isinstance(media, str) else "*/*"
        reading.answers.setdefault(status if isinstance(status, int) else 200, set()).add(shown)


def _note_parameter(
    call: ast.Call, reader: str, function: FunctionType, bound: dict[str, Any], reading: Reading
) -> None:
    name = _constant(call.args[0], function, bound) if call.args else None
    if not isinstance(name, str):
        return
    default = _keyword(call, "default", function, bound)
    if default is None and len(call.args) > 1:
        default = _constant(call.args[1], function, bound)
    plain = default if isinstance(default, str | int | float) and default != "" else None
    reading.query.setdefault(
        name, Parameter(name, _READERS[reader], required=reader == "required", default=plain)
    )


def _called(call: ast.Call, request: str, function: FunctionType) -> FunctionType | None:
    """The function of the API that a call hands the request to."""
    if not request or not any(
        isinstance(value, ast.Name) and value.id == request
        for value in [*call.args, *(keyword.value for keyword in call.keywords)]
    ):
        return None
    target = call.func
    found: Any = None
    if isinstance(target, ast.Name):
        found = function.__globals__.get(target.id)
    elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        found = getattr(function.__globals__.get(target.value.id), target.attr, None)
    ours = function.__module__.partition(".")[0]
    is_ours = isinstance(found, FunctionType) and found.__module__.partition(".")[0] == ours
    return found if is_ours else None


def _bindings(
    call: ast.Call, called: FunctionType, function: FunctionType, bound: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a call that are constants, by the called function's own names."""
    names = list(inspect.signature(called).parameters)
    given = [*zip(names, call.args, strict=False)]
    given += [(keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg]
    found = {name: _constant(value, function, bound) for name, value in given}
    return {name: value for name, value in found.items() if value is not None}


def _keyword(call: ast.Call, name: str, function: FunctionType, bound: dict[str, Any]) -> Any:
    for keyword in call.keywords:
        if keyword.arg == name:
            return _constant(keyword.value, function, bound)
    return None


def _constant(value: ast.expr, function: FunctionType, bound: dict[str, Any]) -> Any:
    """The value of an expression that is a literal, a bound argument or a module's constant."""
    if isinstance(value, ast.Constant):
        return value.value
    if isinstance(value, ast.Name):
        known = bound.get(value.id, function.__globals__.get(value.id))
    elif isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):
        known = getattr(function.__globals__.get(value.value.id), value.attr, None)
    else:
        known = None
    return known if isinstance(known, str | int | float) else None
