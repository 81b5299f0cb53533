"""The API described as OpenAPI 3.1, built from the one route table.

No word about a single operation stands here; those are in ``operations`` and in the endpoints'
own docstrings.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from edge.api import sources
from edge.api.operations import (
    COMPONENT_NAMES,
    GROUPS,
    NOTES,
    PARAMETER_TEXTS,
    RAW_FIELDS,
    Note,
)
from edge.api.rights import Need, need_of
from edge.api.routing import Route
from edge.api.shapes import ErrorBody
from edge.model.access import Permission

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_TOKEN = "/api/token"  # noqa: S105 - a path
_SCHEME = "token"
_JSON = "application/json"
_TEXT = "text/plain"

_SPACE = re.compile(r"\s+")
_PLACE = re.compile(r"\{(\w+)(?:\.\.\.)?\}")

_INTRODUCTION = (
    "Workflows, tasks and definitions in the shapes of Conductor, and what a device has of its "
    "own. Unknown query parameters and unknown fields of bodies are ignored."
)


class Document:
    """The description of a route table; built when it is asked for first.

    Args:
        routes: the table.
        version: of the release.
    """

    def __init__(self, routes: Iterable[Route], version: str) -> None:
        self._routes = list(routes)
        self._version = version
        self._encoded: bytes | None = None
        self._building = asyncio.Lock()

    async def __call__(self) -> bytes:
        """The document as JSON."""
        async with self._building:
            if self._encoded is None:
                # Reading the sources of all endpoints takes a moment that workers need not wait.
                self._encoded = await asyncio.to_thread(self._encode)
            return self._encoded

    def _encode(self) -> bytes:
        try:
            return msgspec.json.encode(describe(self._routes, self._version))
        finally:
            sources.forget()


def describe(routes: list[Route], version: str) -> Json:
    """The document of a route table."""
    schemas = _Schemas(routes)
    paths: dict[str, Json] = {}
    names = _Names()
    for route, path in placed(routes):
        operation = _operation(route, path, schemas, names)
        paths.setdefault(path, {})[route.method.lower()] = operation
    used = {tag for path in paths.values() for one in path.values() for tag in one["tags"]}
    components: Json = {"schemas": schemas.components}
    if any(route.pattern == _TOKEN for route in routes):
        components["securitySchemes"] = {
            _SCHEME: {"type": "apiKey", "in": "header", "name": "X-Authorization"}
        }
        _tell_needs(routes, paths)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Baton", "version": version, "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in sorted(used)],
        "paths": paths,
        "components": components,
    }


def _tell_needs(routes: list[Route], paths: dict[str, Json]) -> None:
    """Say of each operation whether it asks for a token, and for which permission."""
    for route, path in placed(routes):
        operation, need = paths[path][route.method.lower()], need_of(route.method, route.pattern)
        operation["security"] = [] if need is Need.NOTHING else [{_SCHEME: []}]
        if isinstance(need, Permission):
            operation["description"] += f" Needs {need.value}."


def placed(routes: Iterable[Route]) -> list[tuple[Route, str]]:
    """Each route with the path that it has in the document.

    Patterns that differ in nothing but the names of their places are one path there, under the
    names that most of them use: ``/workflow/{name}`` to start one is ``/workflow/{id}`` as well.
    """
    table = list(routes)
    spellings: dict[str, Counter[str]] = {}
    for route in table:
        plain = _PLACE.sub("{}", route.pattern)
        shown = _PLACE.sub(r"{\1}", route.pattern)
        spellings.setdefault(plain, Counter())[shown] += 1
    return [
        (route, spellings[_PLACE.sub("{}", route.pattern)].most_common(1)[0][0]) for route in table
    ]


class _Names:
    """Gives each operation a name of its own."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def __call__(self, route: Route) -> str:
        module = route.endpoint.__module__.rpartition(".")[2]
        name = f"{module}_{getattr(route.endpoint, '__name__', 'answer')}"
        number = 2
        while name in self._given:
            # The same endpoint under a second path.
            name = f"{name.rstrip('0123456789').rstrip('_')}_{number}"
            number += 1
        self._given.add(name)
        return name


class _Schemas:
    """Schemas of all shapes that the notes name, under Conductor's names."""

    def __init__(self, routes: list[Route]) -> None:
        notes = [NOTES[route.endpoint] for route in routes if route.endpoint in NOTES]
        self._types: list[Any] = [ErrorBody]
        for note in notes:
            self._types += [kind for kind in (note.answer, note.body) if kind is not None]
        shown = {kind.__name__ for kind in _structs(self._types)}
        for name in shown & set(RAW_FIELDS):
            self._types += RAW_FIELDS[name].values()
        found, components = msgspec.json.schema_components(self._types, ref_template=_REF)
        self._schemas: list[Json] = [_renamed(schema) for schema in found]
        texts = {kind.__name__: kind for kind in _structs(self._types)}
        self.components: Json = {}
        for name, schema in sorted(components.items()):
            whole = _with_texts(_renamed(schema), texts.get(name))
            for field, kind in RAW_FIELDS.get(name, {}).items():
                whole["properties"][field] = self.of(kind)
            self.components[COMPONENT_NAMES.get(name, name)] = whole

    def of(self, kind: Any) -> Json:
        """The schema of a shape."""
        for known, schema in zip(self._types, self._schemas, strict=True):
            if known == kind:
                return schema
        raise AssertionError(f"{kind} is in no note")


def _structs(kinds: Iterable[Any]) -> Iterator[type[msgspec.Struct]]:
    """All Structs that stand in types, those inside others too."""
    seen: set[Any] = set()
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        waiting += getattr(kind, "__args__", ())
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in seen:
            seen.add(kind)
            yield kind
            waiting += [field.type for field in msgspec.structs.fields(kind)]


def _renamed(schema: Any) -> Any:
    """A schema with references to Conductor's names."""
    if isinstance(schema, list):
        return [_renamed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _renamed(value) for key, value in schema.items()}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        result["$ref"] = _REF.format(name=COMPONENT_NAMES.get(name, name))
    title = schema.get("title")
    if isinstance(title, str):
        result["title"] = COMPONENT_NAMES.get(title, title)
    return result


def _with_texts(schema: Json, kind: type[msgspec.Struct] | None) -> Json:
    """A schema with the words that stand under the fields of its Struct."""
    if kind is None:
        return schema
    texts = sources.field_texts(kind)
    for field in msgspec.structs.fields(kind):
        if field.name in texts:
            # A reference may have words of its own beside it since OpenAPI 3.1.
            schema["properties"][field.encode_name]["description"] = texts[field.name]
    return schema


def _operation(route: Route, path: str, schemas: _Schemas, names: _Names) -> Json:
    reading = sources.read(route.endpoint)
    note = NOTES.get(route.endpoint, Note())
    words = _SPACE.sub(" ", inspect.getdoc(route.endpoint) or "").strip().replace("``", "")
    summary = re.split(r"[.;:](?:\s|$)", words, maxsplit=1)[0]
    operation: Json = {
        "operationId": names(route),
        "tags": [_group(route.pattern)],
        "summary": summary,
        "description": words,
        "parameters": [*_path_parameters(route.pattern, path), *_query_parameters(reading)],
        "responses": _responses(reading, note, schemas),
    }
    body = _body(reading, note, schemas)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _group(pattern: str) -> str:
    segments = pattern.strip("/").split("/")
    for length in range(len(segments), 0, -1):
        known = GROUPS.get("/".join(segments[:length]))
        if known is not None:
            return known
    word = next((one for one in segments if one != "api" and not one.startswith("{")), "api")
    return word.replace("-", " ").capitalize()


def _path_parameters(pattern: str, path: str) -> list[Json]:
    found = []
    for own, shown in zip(_PLACE.findall(pattern), _PLACE.findall(path), strict=True):
        parameter = _parameter(own, "path", {"type": "string"}, required=True)
        if own != shown:
            text = parameter.get("description")
            parameter["description"] = f"{own}: {text}" if text else own
        found.append({**parameter, "name": shown})
    return found


def _query_parameters(reading: sources.Reading) -> list[Json]:
    found = []
    for one in reading.query.values():
        schema: Json = {"type": one.kind}
        if one.kind == "array":
            schema["items"] = {"type": "string"}
        if one.default is not None:
            schema["default"] = one.default
        found.append(_parameter(one.name, "query", schema, required=one.required))
    return found


def _parameter(name: str, place: str, schema: Json, *, required: bool) -> Json:
    parameter = {"name": name, "in": place, "required": required, "schema": schema}
    if name in PARAMETER_TEXTS:
        parameter["description"] = PARAMETER_TEXTS[name]
    return parameter


def _body(reading: sources.Reading, note: Note, schemas: _Schemas) -> Json | None:
    if reading.body is None and note.body is None:
        return None
    if note.body is not None:
        content: Json = {_JSON: {"schema": schemas.of(note.body)}}
        if note.example is not None:
            content[_JSON]["example"] = note.example
    elif reading.body == "bytes":
        content = {_TEXT: {"schema": {"type": "string"}}}
    else:
        schema = {} if reading.body == "any" else {"type": reading.body}
        content = {_JSON: {"schema": schema}}
    return {"required": reading.body == "array", "content": content}


def _responses(reading: sources.Reading, note: Note, schemas: _Schemas) -> Json:
    responses: Json = {}
    for status, kinds in sorted(reading.answers.items() or {200: {"*/*"}}.items()):
        content: Json = {}
        for kind in sorted(kinds):
            match kind:
                case "json":
                    schema = {} if note.answer is None else schemas.of(note.answer)
                    content[_JSON] = {"schema": schema}
                case "text":
                    content[_TEXT] = {"schema": {"type": "string"}}
                case "void" | "nothing":
                    pass
                case media:
                    content[media.partition(";")[0]] = {}
        said = "Nothing" if status == 204 else "Done"
        responses[str(status)] = {"description": said} | ({"content": content} if content else {})
    responses["default"] = {
        "description": "Refused",
        "content": {_JSON: {"schema": schemas.of(ErrorBody)}},
    }
    return responses
