"""The control plane's API described as OpenAPI 3.1, read from the route table.

No word about a single operation stands here: those are in the table, in the endpoints' docstrings,
and under the fields of the Structs that they take and give.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any, get_args

import msgspec
from starlette.responses import Response

from sync.control_plane.calls import Call, Operation

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_JSON = "application/json"
_SPACE = re.compile(r"\s+")
_PLACE = re.compile(r"\{(\w+)(?::path)?\}")

_INTRODUCTION = (
    "A fleet of devices: their history, their state, and orders to them. Each operation says which "
    "role of a token it needs, and in which area; without `[auth] enabled` nobody is asked. Times "
    "are milliseconds since 1970. What is refused is answered with a status and a message that "
    "names the field."
)

_TEXTS = {
    "q": "Terms of the search box, field:op:value; see docs/control-plane.md.",
    "tenant": "Whose devices are meant; for tokens of all tenants.",
    "after": "What `next` of the page before was.",
    "limit": "Length of the page.",
    "sort": "device, seen (longest silent first) or backlog (furthest behind first).",
    "device": "Name of a device.",
    "workflow_id": "Id of an execution.",
    "group": "Name of a group.",
    "count": "`true`: say how many the query finds.",
    "newest": "`true`: newest first.",
    "ended": "done, failed, expired or superseded.",
    "revision": "Number of a version.",
    "open": "`true`: only those that have come to nothing yet.",
    "left": "An execution as DEVICE/ID.",
    "right": "An execution as DEVICE/ID.",
    "action": "pause, resume, retry, restart or terminate.",
    "kind": "Of what is wanted workflow, task or config; of an order its kind.",
    "state": "Of alerts pending, firing or resolved; of a campaign's devices what it counts; of "
    "drift in-step, pending or drifted.",
    "hours": "How far back.",
    "lastEventId": "For browsers, which cannot set the header Last-Event-ID themselves.",
    "key": "Key that the task has kept the file under.",
    "query": "Conditions with AND between, such as workflowType='a' AND status IN (FAILED).",
    "freeText": "Part of a name, an id, a reason.",
}

_REFUSED = {
    "type": "object",
    "properties": {"status": {"type": "integer"}, "message": {"type": "string"}},
    "required": ["status", "message"],
}


class Document:
    """The description of a route table; built when it is asked for first."""

    def __init__(self, table: list[Operation]) -> None:
        self._table = table
        self._encoded: bytes | None = None

    def operation(self) -> Operation:
        """Its own line of the route table."""
        return Operation("GET", "/api-docs", self.document, None)

    async def document(self, _: Call) -> Response:
        """This document: every operation of the control plane as OpenAPI."""
        if self._encoded is None:
            # Reading the sources takes a moment that others need not wait.
            self._encoded = await asyncio.to_thread(self._encode)
        return Response(self._encoded, media_type="application/json")

    def _encode(self) -> bytes:
        return msgspec.json.encode(describe(self._table, version("baton")))


def describe(table: list[Operation], release: str) -> Json:
    """The document of a route table."""
    kinds = [kind for one in table for kind in (one.body, one.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    shapes = list(zip(kinds, schemas, strict=True))
    structs = {kind.__name__: kind for kind in _structs(kinds)}
    for name, schema in components.items():
        _put_texts(schema, structs.get(name))
    paths: dict[str, Json] = {}
    for one in table:
        path = _PLACE.sub(r"{\1}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, shapes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Baton control plane", "version": release, "description": _INTRODUCTION,
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in sorted({_tag(one) for one in table})],
        "paths": paths,
        "components": {
            "schemas": {**dict(sorted(components.items())), "Refused": _REFUSED},
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Authorization"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }  # fmt: skip


def _operation(one: Operation, shapes: list[tuple[Any, Json]]) -> Json:
    words = _SPACE.sub(" ", inspect.getdoc(one.endpoint) or "").strip().replace("``", "`")
    need = "Needs no token."
    if one.any_area:
        need = "Needs a token, of any area."
    elif one.area is not None:
        need = f"Needs {one.role.value} in {one.area.value}."
    owner = getattr(one.endpoint, "__self__", None)
    prefix = type(owner).__name__.removesuffix("Api").lower()
    found: Json = {
        "operationId": f"{prefix}_{one.endpoint.__name__}_{_short(one)}",
        "tags": [_tag(one)],
        "summary": re.split(r"[.;:](?:\s|$)", words, maxsplit=1)[0],
        "description": f"{words} {need}",
        "parameters": [
            *(_parameter(name, "path") for name in _PLACE.findall(one.path)),
            *(_parameter(name, "query") for name in one.parameters),
        ],
        "security": [] if one.area is None else [{"token": []}, {"bearer": []}],
        "responses": {
            "2XX": {"description": "Done"},
            "default": {
                "description": "Refused",
                "content": {_JSON: {"schema": {"$ref": _REF.format(name="Refused")}}},
            },
        },
    }
    if one.answer is not None:
        found["responses"]["2XX"]["content"] = {_JSON: {"schema": _schema(one.answer, shapes)}}
    if one.body is not None:
        content = {_JSON: {"schema": _schema(one.body, shapes)}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _short(one: Operation) -> str:
    """What tells two lines of one endpoint apart."""
    return f"{one.method.lower()}_{re.sub(r'[^a-z0-9]+', '_', one.path.lower()).strip('_')}"


def _tag(one: Operation) -> str:
    if "/conductor/" in one.path:
        return "conductor"
    return one.area.value if one.area is not None else "open"


def _parameter(name: str, place: str) -> Json:
    found: Json = {
        "name": name, "in": place, "required": place == "path", "schema": {"type": "string"}
    }  # fmt: skip
    if name in _TEXTS:
        found["description"] = _TEXTS[name]
    return found


def _schema(kind: Any, shapes: list[tuple[Any, Json]]) -> Json:
    for known, schema in shapes:
        if known is kind:
            return schema
    raise AssertionError(f"{kind} is in no line of the table")


def _structs(kinds: Iterable[Any]) -> Iterator[type[msgspec.Struct]]:
    """All Structs that stand in types, those inside others too."""
    seen: set[int] = set()
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        if id(kind) in seen:
            continue
        seen.add(id(kind))
        waiting += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield kind
            waiting += [field.type for field in msgspec.structs.fields(kind)]


def _put_texts(schema: Json, kind: type[msgspec.Struct] | None) -> None:
    """Put the words that stand under the fields of a Struct into its schema."""
    if kind is None:
        return
    names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    for one in reversed(kind.__mro__):
        if one is not msgspec.Struct and issubclass(one, msgspec.Struct):
            for name, text in _field_texts(one).items():
                if name in names:
                    # A reference may have words of its own beside it since OpenAPI 3.1.
                    schema["properties"][names[name]]["description"] = text


def _field_texts(kind: type) -> dict[str, str]:
    """The texts under the fields of a class, as its source has them."""
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except OSError:
        # Installed without sources: the document is right, and has fewer words.
        return {}
    (found,) = ast.parse(source).body
    assert isinstance(found, ast.ClassDef)
    texts: dict[str, str] = {}
    for field, text in zip(found.body, found.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            texts[field.target.id] = _SPACE.sub(" ", text.value.value).strip().replace("``", "`")
    return texts
