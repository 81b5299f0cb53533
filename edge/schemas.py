"""Payloads held against JSON schemas: what is wrong with a schema, and with a payload.

What follows from a fault is decided elsewhere.

The library is imported when it is first used: most devices enforce no schema. Patterns are matched
by an engine whose time grows with the text and never explodes, references lead nowhere but into the
schema itself, and how often it has to be gone through is known before it is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, NoReturn

import msgspec

from edge.model.definitions import JsonObject, SchemaRef
from edge.unfolding import Unfolding, unfolded, widths_of

_KEPT = 64
"""Compiled schemas that are kept, some ten kilobytes each; the one not used longest goes."""

_MAX_FAULTS = 20
"""Faults of one payload that are told; the author mends those and tries again."""

_MAX_MESSAGE = 300
"""Characters of one fault."""

_PATTERN_BYTES = 1_000_000
"""A pattern as a machine; ``x{1000}`` has some ten thousand."""

_MAX_WORK = 20_000_000
"""Schemas that one payload may be held against, each time counted: two seconds."""

_MAX_TOLD = 300_000
"""The same for a payload whose faults are told: that takes up to a hundred times as long as to find
out whether there are some."""

Fault = tuple[str, str]
"""Where in the payload, as ``a.b[0]``, and what is wrong there."""


class Schemas:
    """Holds payloads against schemas. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._compiled: OrderedDict[bytes, _Compiled] = OrderedDict()

    def fault(self, schema: JsonObject) -> str | None:
        """What is wrong with a schema; None = it can be enforced."""
        try:
            self._validator(schema)
        except (ValueError, RecursionError) as error:
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
            compiled = self._validator(schema.data)
        except (ValueError, RecursionError) as error:
            return [("", f"the schema cannot be used: {_first_line(str(error))}")]
        try:
            return compiled.faults(payload)
        except (ValueError, RecursionError):
            # The library reads some hundred levels. What it says of it may hold the value.
            return [("", "the schema cannot be applied: the value is nested too deeply")]

    def _validator(self, schema: JsonObject) -> _Compiled:
        """The schema, compiled.

        Raises:
            ValueError: it is no schema that can be enforced here.
            RecursionError: it is nested too deeply.
        """
        key = msgspec.json.encode(schema)
        with self._lock:
            known = self._compiled.get(key)
            if known is not None:
                self._compiled.move_to_end(key)
                return known
        import jsonschema_rs

        schema = _as_meant(schema)
        # Before it is compiled: nothing leads anywhere that was not counted.
        unfolding = unfolded(schema)
        validator = jsonschema_rs.validator_for(
            schema,
            pattern_options=jsonschema_rs.RegexOptions(
                size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES
            ),
            retriever=_refuse_remote,
            # What is wrong may be a secret: values stay out of what is written and answered.
            mask="the value",
        )
        compiled = _Compiled(validator, unfolding)
        with self._lock:
            self._compiled[key] = compiled
            while len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
        return compiled


class _Compiled:
    """A schema that can be enforced."""

    def __init__(self, validator: Any, unfolding: Unfolding) -> None:
        self._validator = validator
        self._unfolding = unfolding

    def faults(self, payload: Any) -> list[Fault]:
        """What is wrong with a payload.

        Raises:
            ValueError, RecursionError: it is nested too deeply.
        """
        widths = widths_of(payload)
        steps = self._unfolding.steps(widths)
        if steps is None:
            most = len(self._unfolding.levels)
            return [("", f"nested {len(widths)} levels deep; the schema can be followed {most}")]
        if steps > _MAX_WORK:
            return [("", f"too large for its schema: {steps} steps, {_MAX_WORK} are allowed")]
        if steps > _MAX_TOLD:
            if self._validator.is_valid(payload):
                return []
            return [("", "the value is not as its schema wants it, and too large to say where")]
        found: list[Fault] = []
        for wrong in self._validator.iter_errors(payload):
            if len(found) == _MAX_FAULTS:
                found.append(("", "and more"))
                break
            found.append((_path(wrong.instance_path), wrong.message[:_MAX_MESSAGE]))
        return found


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


def _path(steps: list[str | int]) -> str:
    """``a.b[0]``."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0][:_MAX_MESSAGE]
