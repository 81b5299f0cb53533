"""Payloads held against JSON schemas: what is wrong with a schema, and with a payload.

What follows from a fault is decided elsewhere.

The library is imported when it is first used: most devices enforce no schema. Patterns are matched
by an engine whose time grows with the text and never explodes, references lead nowhere but into the
schema itself, and a schema that would have to be gone through too often is refused.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, NoReturn

import msgspec

from edge.model.definitions import JsonObject, SchemaRef

_KEPT = 64
"""Compiled schemas that are kept, some ten kilobytes each; the one not used longest goes."""

_MAX_FAULTS = 20
"""Faults of one payload that are told; the author mends those and tries again."""

_MAX_MESSAGE = 300
"""Characters of one fault."""

_PATTERN_BYTES = 1_000_000
"""A pattern as a machine; ``x{1000}`` has some ten thousand."""

_MAX_STEPS = 100_000
"""Schemas that one payload may have to be held against, counted along all references. Forty
references to the same schema twice, a schema of a few lines, would be a million million."""

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_NO_SCHEMAS = ("$defs", "definitions", "enum", "const", "examples", "default")
"""Keywords whose values are data, or are schemas only where something refers to them."""

Fault = tuple[str, str]
"""Where in the payload, as ``a.b[0]``, and what is wrong there."""


class Schemas:
    """Holds payloads against schemas. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._compiled: OrderedDict[bytes, Any] = OrderedDict()

    def fault(self, schema: JsonObject) -> str | None:
        """What is wrong with a schema; None = it can be enforced."""
        try:
            self._validator(schema)
        except ValueError as error:
            return _first_line(str(error))
        return None

    def faults(self, schema: SchemaRef, payload: Any) -> list[Fault]:
        """What is wrong with a payload; nothing = it is as the schema wants it.

        A schema of another kind than JSON is kept and not enforced.
        """
        if schema.type != "JSON":
            return []
        if schema.data is None:
            version = f", version {schema.version}" if schema.version else ""
            return [("", f"the schema {schema.name}{version} is not registered")]
        try:
            validator = self._validator(schema.data)
        except ValueError as error:
            return [("", f"the schema cannot be used: {_first_line(str(error))}")]
        found: list[Fault] = []
        for wrong in validator.iter_errors(payload):
            if len(found) == _MAX_FAULTS:
                found.append(("", "and more"))
                break
            found.append((_path(wrong.instance_path), wrong.message[:_MAX_MESSAGE]))
        return found

    def _validator(self, schema: JsonObject) -> Any:
        """The schema, compiled.

        Raises:
            ValueError: it is no schema that can be enforced here.
        """
        key = msgspec.json.encode(schema)
        with self._lock:
            known = self._compiled.get(key)
            if known is not None:
                self._compiled.move_to_end(key)
                return known
        import jsonschema_rs

        schema = _as_meant(schema)
        _refuse_explosions(schema)
        validator = jsonschema_rs.validator_for(
            schema,
            pattern_options=jsonschema_rs.RegexOptions(
                size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES
            ),
            retriever=_refuse_remote,
            # What is wrong may be a secret: values stay out of what is written and answered.
            mask="the value",
        )
        with self._lock:
            self._compiled[key] = validator
            while len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
        return validator


def _as_meant(schema: JsonObject) -> JsonObject:
    """The schema without two mistakes of the SDKs' own examples, which the reference server takes.

    They post a whole definition, ``{"name": …, "type": "JSON", "data": {…}}``, where its data are
    wanted; JSON is no type that a schema could have. And they write ``$schema`` among the
    properties, where it would have to be a schema itself.
    """
    inner = schema.get("data")
    if schema.get("type") == "JSON" and isinstance(inner, dict):
        schema = inner
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not isinstance(properties.get("$schema"), str):
        return schema
    rest = {name: inner for name, inner in properties.items() if name != "$schema"}
    return {**schema, "properties": rest}


def _refuse_remote(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not fetched; a schema may refer to its own parts only")


def _refuse_explosions(schema: JsonObject) -> None:
    """Refuse a schema through which one payload goes too often.

    Raises:
        ValueError: it does.
    """
    steps = _steps(schema, schema, {}, set())
    if steps > _MAX_STEPS:
        raise ValueError(f"it unfolds into {steps} schemas; {_MAX_STEPS} are allowed")


def _steps(schema: Any, root: JsonObject, known: dict[int, int], around: set[int]) -> int:
    """Schemas that a schema unfolds into when its references are followed.

    Args:
        schema: the schema, or a list or map of them.
        root: the document.
        known: what has been counted, by identity.
        around: schemas that this one stands in.
    """
    if isinstance(schema, list):
        return sum(_steps(item, root, known, around) for item in schema)
    if not isinstance(schema, dict):
        return 0
    here = id(schema)
    if here in known:
        return known[here]
    if here in around:
        # A schema inside itself: the payload bounds how often.
        return 1
    around.add(here)
    steps = 1
    for keyword, inner in schema.items():
        if keyword in _REFERENCES:
            steps += _steps(_target(inner, root), root, known, around)
        elif keyword not in _NO_SCHEMAS:
            steps += _steps(inner, root, known, around)
    around.discard(here)
    known[here] = steps
    return steps


def _target(reference: Any, root: JsonObject) -> Any:
    """What a reference into the same document leads to; others are judged by the library."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    value: Any = root
    for step in reference[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def _path(steps: list[str | int]) -> str:
    """``a.b[0]``."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0][:_MAX_MESSAGE]
