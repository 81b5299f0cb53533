"""How often a JSON schema is gone through for one payload, counted before anything is.

Nothing is validated here. A value inside a payload is held against every schema that leads to it:
two references to the same schema double that, and in a schema that goes into itself they double it
at each level of the payload. Where a reference leads is found out here as well, and one that cannot
be followed is refused, so that no schema is gone through that was not counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin

from edge.model.definitions import JsonObject

MAX_STEPS = 100_000
"""Schemas that one value may have to be held against. Forty references to the same schema twice, a
schema of a few lines, would be a million million."""

_LEAST_LEVELS = 4
"""Levels of a payload that a schema must be able to go into; one that cannot is of no use."""

_MAX_LEVELS = 255
"""Levels of a payload that the library reads."""

_MAX_COUNTED = 100_000
"""Schemas that are counted, the same one once for each level: about a second."""


class _At(Enum):
    """What a part of a schema is held against."""

    HERE = auto()
    """The value itself."""
    NAME = auto()
    """Names of members."""
    MEMBER = auto()
    """Members of its own name: one value for each part."""
    PATTERN = auto()
    """Members whose name fits: many parts may be held against the same one."""
    OTHER_MEMBER = auto()
    """Members that neither of these two are held against."""
    ANY_MEMBER = auto()
    ITEM = auto()
    """The item at its own place."""
    OTHER_ITEM = auto()
    """Items behind these."""
    ANY_ITEM = auto()
    NOWHERE = auto()
    """Nothing, unless a reference leads to it."""


_PARTS = {
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "not", "if", "then", "else"), _At.HERE),
    **dict.fromkeys(("dependentSchemas", "dependencies"), _At.HERE),
    "propertyNames": _At.NAME,
    "properties": _At.MEMBER,
    "patternProperties": _At.PATTERN,
    "additionalProperties": _At.OTHER_MEMBER,
    "unevaluatedProperties": _At.ANY_MEMBER,
    "prefixItems": _At.ITEM,
    "items": _At.OTHER_ITEM,
    "additionalItems": _At.OTHER_ITEM,
    **dict.fromkeys(("contains", "unevaluatedItems"), _At.ANY_ITEM),
    **dict.fromkeys(("$defs", "definitions", "contentSchema"), _At.NOWHERE),
}
"""Keywords whose values are schemas, in any draft. All others are data, or nobody's business."""

_MAPS = frozenset(
    {
        "properties",
        "patternProperties",
        "dependentSchemas",
        "dependencies",
        "$defs",
        "definitions",
    }
)
"""Those of them that hold schemas by names of the author's choice, which may be keywords."""

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHORS = ("$anchor", "$dynamicAnchor")


class Unfolding(NamedTuple):
    """How often a schema is gone through."""

    levels: list[int]
    """Schemas that a value at this depth of the payload is held against, at most."""
    whole: bool
    """Whether deeper values are held against none; else they would be against too many."""

    def steps(self, widths: list[int]) -> int | None:
        """Schemas that a payload is held against, each time counted, at most.

        Args:
            widths: how many values it has at each depth.

        Returns:
            None = it goes deeper than the schema can be followed.
        """
        if len(widths) > len(self.levels) and not self.whole:
            return None
        return sum(w * steps for w, steps in zip(widths, self.levels, strict=False))


def widths_of(payload: Any) -> list[int]:
    """How many values a payload has at each depth, itself included."""
    widths = []
    level = [payload]
    while level:
        widths.append(len(level))
        level = list(chain.from_iterable(map(_inside, level)))
    return widths


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def unfolded(schema: JsonObject) -> Unfolding:
    """How often a schema is gone through.

    Raises:
        ValueError: too often for any payload, without end, or nobody knows: a reference leads to
            another document, to nothing, or past schemas with an address of their own.
    """
    graph = _Graph(schema)
    order = graph.in_order()
    steps = [0] * len(order)
    levels: list[int] = []
    counted = 0
    while len(levels) < _LEAST_LEVELS or (len(levels) < _MAX_LEVELS and counted < _MAX_COUNTED):
        steps = graph.steps(order, len(levels), steps)
        if steps[0] == 0:
            return Unfolding(levels, whole=True)
        if steps[0] > MAX_STEPS:
            break
        levels.append(steps[0])
        counted += len(order)
        # One that reaches no value at this depth reaches none below.
        order = [number for number in order if steps[number]]
    if len(levels) < _LEAST_LEVELS:
        raise ValueError(
            f"it unfolds into more than {MAX_STEPS} schemas for one value {len(levels)} levels "
            "deep; fewer references to the same schema are needed"
        )
    return Unfolding(levels, whole=False)


_Parts = dict[_At, list[int]]


class _Graph:
    """The schemas of a document by number, the document itself first, and what leads to what."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._numbers: dict[int, int] = {}
        self._schemas: list[JsonObject] = []
        self.parts: list[_Parts] = []
        self._anchors: dict[str, JsonObject | None] = {}
        self._id_keyword = "id" if "draft-04" in str(root.get("$schema")) else "$id"
        base = root.get(self._id_keyword)
        self._base = base.partition("#")[0] if isinstance(base, str) else ""
        self._take(root)
        self._connect()

    def _take(self, schema: JsonObject) -> int:
        """The number of a schema; with all that stands in it, if it is new."""
        if id(schema) in self._numbers:
            return self._numbers[id(schema)]
        first = self._new(schema)
        waiting = [first]
        while waiting:
            number = waiting.pop()
            for at, part in _parts(self._schemas[number]):
                known = self._numbers.get(id(part))
                if known is None:
                    known = self._new(part)
                    waiting.append(known)
                self.parts[number].setdefault(at, []).append(known)
        return first

    def _new(self, schema: JsonObject) -> int:
        number = self._numbers[id(schema)] = len(self._schemas)
        self._schemas.append(schema)
        self.parts.append({})
        names = {name for key in _ANCHORS if isinstance(name := schema.get(key), str)}
        for name in names:
            # Of two with the same name nobody knows which one is meant.
            self._anchors[name] = None if name in self._anchors else schema
        return number

    def _connect(self) -> None:
        """Follow the references; what they lead to may hold more of them."""
        referring = False
        number = 0
        while number < len(self._schemas):
            schema = self._schemas[number]
            for keyword in _REFERENCES:
                reference = schema.get(keyword)
                if isinstance(reference, str):
                    referring = True
                    target = self._target(reference)
                    if target is not None:
                        self.parts[number].setdefault(_At.HERE, []).append(self._take(target))
            number += 1
        addressed = any(
            isinstance(schema.get(self._id_keyword), str) for schema in self._schemas[1:]
        )
        if referring and addressed:
            raise ValueError(
                f"it has references and parts with an {self._id_keyword} of their own, which "
                "change where they lead; leave those out"
            )

    def _target(self, reference: str) -> JsonObject | None:
        """The schema that a reference leads to; None = one that is only true or false.

        Raises:
            ValueError: it leads to nothing that can be known here.
        """
        uri, _, fragment = reference.partition("#")
        if uri and (not self._base or urljoin(self._base, uri) != self._base):
            raise ValueError(f"{uri} is not fetched; a schema may refer to its own parts only")
        fragment = unquote(fragment)
        if not fragment or fragment.startswith("/"):
            target = _pointed(self._root, fragment)
        else:
            target = self._anchors.get(fragment)
        if isinstance(target, bool):
            return None
        if not isinstance(target, dict):
            raise ValueError(f"{reference} does not exist, or not only once")
        return target

    def in_order(self) -> list[int]:
        """All schemas, each behind those that it holds for the same value.

        Raises:
            ValueError: one leads to itself without going into the payload.
        """
        order: list[int] = []
        done: set[int] = set()
        under_way: set[int] = set()
        waiting = [(number, False) for number in range(len(self.parts))]
        while waiting:
            number, all_inside = waiting.pop()
            if all_inside:
                under_way.discard(number)
                done.add(number)
                order.append(number)
            elif number in under_way:
                raise ValueError("it leads back to itself for the same value, again and again")
            elif number not in done:
                under_way.add(number)
                waiting.append((number, True))
                waiting += [(part, False) for part in self.parts[number].get(_At.HERE, ())]
        return order

    def steps(self, order: list[int], depth: int, above: list[int]) -> list[int]:
        """Schemas that a value is held against at some depth below where each schema begins.

        Args:
            order: the schemas that count.
            depth: 0 = the value that the schema itself is held against.
            above: the same for the depth before.
        """
        steps = [0] * len(above)
        for number in order:
            parts = self.parts[number]
            found = sum(steps[part] for part in parts.get(_At.HERE, ()))
            if depth == 0:
                found += 1
            else:
                found += max(_members(parts, above), _items(parts, above))
            if depth == 1:
                # A name is a text, and nothing is inside.
                found += sum(above[part] for part in parts.get(_At.NAME, ()))
            # More than too many is not counted: the numbers would have thousands of digits.
            steps[number] = min(found, MAX_STEPS + 1)
        return steps


def _parts(schema: JsonObject) -> Iterator[tuple[_At, JsonObject]]:
    for keyword, at in _PARTS.items():
        value = schema.get(keyword)
        if isinstance(value, dict):
            inside = list(value.values()) if keyword in _MAPS else [value]
        elif isinstance(value, list):
            inside = value
        else:
            continue
        listed = keyword == "items" and isinstance(value, list)
        for part in inside:
            if isinstance(part, dict):
                yield _At.ITEM if listed else at, part


def _pointed(root: JsonObject, pointer: str) -> Any:
    value: Any = root
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            known = key.isascii() and key.isdecimal() and int(key) < len(value)
            value = value[int(key)] if known else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def _members(parts: _Parts, steps: list[int]) -> int:
    """Schemas for one member."""
    own = max((steps[part] for part in parts.get(_At.MEMBER, ())), default=0)
    own += sum(steps[part] for part in parts.get(_At.PATTERN, ()))
    other = sum(steps[part] for part in parts.get(_At.OTHER_MEMBER, ()))
    return max(own, other) + sum(steps[part] for part in parts.get(_At.ANY_MEMBER, ()))


def _items(parts: _Parts, steps: list[int]) -> int:
    """Schemas for one item."""
    own = max((steps[part] for part in parts.get(_At.ITEM, ())), default=0)
    other = sum(steps[part] for part in parts.get(_At.OTHER_ITEM, ()))
    return max(own, other) + sum(steps[part] for part in parts.get(_At.ANY_ITEM, ()))
