"""The ``${...}`` expressions of definitions: found, compiled once, and looked up in a Snapshot.

No expression is evaluated a second time in its own result, and keys of maps are never touched.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from edge.decider.java_text import java_text
from edge.decider.jsonpaths import BadQuery, find
from edge.decider.outside import NOWHERE, Outside
from edge.model.executions import Task, task_uuid, workflow_uuid
from edge.model.snapshot import Snapshot

Lookup = Callable[[str], Any]
"""Value of the expression with this text; None when there is none."""

_MAX_NESTING = 100
"""Maps, lists or expressions inside each other; deeper ones are left as they stand, which no real
definition reaches."""


SECRETS = "workflow.secrets."
ENVIRONMENT = "workflow.env."

_SYSTEM_NAMES = frozenset({"NETFLIX_STACK", "NETFLIX_ENV"})
"""Names that stay as they stand where the process has no such variable, as in Conductor."""

Kept = Callable[[str], str | None]
"""The text that is kept under a name; None = there is none."""


class _Expression(NamedTuple):
    parts: tuple[str | _Expression, ...]
    """The text between the braces; inner expressions are replaced by their text first."""
    plain: str | None = None
    """That text, when there is something in it and no inner expression."""


_Parts = tuple[str | _Expression, ...]


def resolve(value: Any, lookup: Lookup, depth: int = 0) -> Any:
    """Replace every expression in a JSON value.

    Args:
        value: a definition's parameter: map, list, string or scalar.
        lookup: gives the value of an expression.
        depth: maps and lists around it.

    Returns:
        A new value. A string that is one expression becomes the value itself, of any type; an
        expression inside a larger string becomes its text in Java's form.
    """
    if isinstance(value, str):
        return _resolve_text(value, lookup) if "${" in value else value
    if depth > _MAX_NESTING:
        return value
    if isinstance(value, dict):
        return {key: resolve(item, lookup, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, lookup, depth + 1) for item in value]
    return value


def _resolve_text(text: str, lookup: Lookup) -> Any:
    parts = _parse(text)
    first = parts[0]
    if len(parts) == 1 and isinstance(first, _Expression):
        return lookup(first.plain) if first.plain is not None else _value(first, lookup)
    return "".join(part if isinstance(part, str) else _as_text(part, lookup) for part in parts)


def _value(expression: _Expression, lookup: Lookup) -> Any:
    text = "".join(
        part if isinstance(part, str) else _as_text(part, lookup) for part in expression.parts
    )
    return "" if not text.strip() else lookup(text)


def _as_text(expression: _Expression, lookup: Lookup) -> str:
    value = _value(expression, lookup)
    if isinstance(value, Found):
        return msgspec.json.encode(list(value)).decode()
    return java_text(value)


@functools.lru_cache(maxsize=8192)
def _parse(text: str) -> _Parts:
    """Split a string into literal text and expressions with balanced braces."""
    parts, _ = _parse_from(text, 0, depth=0)
    return tuple(parts)


def _parse_from(text: str, start: int, *, depth: int) -> tuple[list[str | _Expression], int]:
    """Parse until the end or, at a depth above 0, until the braces close.

    Returns:
        The parts and the position after them; -1 when the braces never close.
    """
    parts: list[str | _Expression] = []
    literal: list[str] = []
    position, braces = start, 0
    while position < len(text):
        if text.startswith("$${", position):
            # A doubled dollar is the escape: one is taken away and nothing is evaluated.
            end = _closing(text, position + 2)
            stop = len(text) if end < 0 else end + 1
            literal.append(text[position + 1 : stop])
            position = stop
        elif text.startswith("${", position) and depth < _MAX_NESTING:
            inner, after = _parse_from(text, position + 2, depth=depth + 1)
            if after < 0:
                literal.append(text[position:])
                position = len(text)
                continue
            if literal:
                parts.append("".join(literal))
                literal = []
            parts.append(_expression(inner))
            position = after
        else:
            character = text[position]
            if depth and character == "{":
                braces += 1
            elif depth and character == "}":
                if braces == 0:
                    if literal:
                        parts.append("".join(literal))
                    return parts, position + 1
                braces -= 1
            literal.append(character)
            position += 1
    if literal:
        parts.append("".join(literal))
    return parts, -1 if depth else position


def _expression(inner: list[str | _Expression]) -> _Expression:
    literal = inner[0] if len(inner) == 1 else None
    plain = literal if isinstance(literal, str) and literal.strip() else None
    return _Expression(tuple(inner), plain)


def _closing(text: str, opening: int) -> int:
    """Position of the brace that closes the one at ``opening``; -1 when none does."""
    depth = 0
    for position in range(opening, len(text)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
    return -1


# Paths.


class Found(list[Any]):
    """What a path that may match many places found; always a list, as JSONPath has it."""


_SEGMENT = re.compile(
    r"""\.?(?P<name>[^\s.\[\]()'"*?@,:]+)(?P<call>\(\))?   # a.b or length()
      | \[(?P<index>-?\d+)\]                             # [0]
      | \[(?P<quote>['"])(?P<quoted>(?:(?!(?P=quote)).)*)(?P=quote)\]  # ['dot.key']
    """,
    re.VERBOSE,
)

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "length": lambda value: len(value) if isinstance(value, list | dict | str) else None,
    "size": lambda value: len(value) if isinstance(value, list | dict | str) else None,
    "keys": lambda value: list(value) if isinstance(value, dict) else None,
    "sum": lambda value: float(sum(_numbers(value))),
    "max": lambda value: max(map(float, _numbers(value)), default=None),
    "min": lambda value: min(map(float, _numbers(value)), default=None),
    "avg": lambda value: sum(_numbers(value)) / len(_numbers(value)) if _numbers(value) else None,
}


def _numbers(value: Any) -> list[float]:
    if not isinstance(value, list):
        return []
    return [item for item in value if isinstance(item, int | float) and not isinstance(item, bool)]


class _Call(NamedTuple):
    function: str


_Segments = tuple[str | int | _Call, ...]


@functools.lru_cache(maxsize=8192)
def _segments(path: str) -> _Segments | None:
    """A plain path as its steps; None for one that needs a JSONPath library."""
    text = path.removeprefix("$.")
    steps: list[str | int | _Call] = []
    position = 0
    while position < len(text):
        match = _SEGMENT.match(text, position)
        if match is None or (not steps and text[0] == "."):
            return None
        if match["index"] is not None:
            steps.append(int(match["index"]))
        elif match["quoted"] is not None:
            steps.append(match["quoted"])
        else:
            steps.append(_Call(match["name"]) if match["call"] else match["name"])
        position = match.end()
    return tuple(steps)


def read_path(root: Callable[[str], Any], path: str) -> Any:
    """Follow a path.

    Args:
        root: value of a name at the top, for example ``workflow`` or a reference name.
        path: text between the braces.

    Returns:
        The value, None when there is none; a Found list for a path that may match many places.
    """
    steps = _segments(path)
    if steps is None:
        return _read_jsonpath(root, path)
    name = steps[0] if steps else None
    return _follow(root(name), steps[1:]) if isinstance(name, str) else None


def _follow(value: Any, steps: _Segments) -> Any:
    """What the steps of a path lead to from a value; None when it is not there."""
    for step in steps:
        if value is None:
            return None
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(step, int):
            inside = isinstance(value, list) and -len(value) <= step < len(value)
            value = value[step] if inside else None
        else:
            value = _call(step.function, _whole(value))
    return _whole(value)


def _call(name: str, value: Any) -> Any:
    function = _FUNCTIONS.get(name)
    try:
        return None if function is None else function(value)
    except OverflowError:
        # JSON knows integers that no double can hold.
        return None


def _whole(value: Any) -> Any:
    return value.whole() if isinstance(value, _Fields) else value


_FIRST_NAME = re.compile(r"^(?:\$\.)?(?P<name>[^\s.\[\]()'\"*?@,:]+)(?P<rest>[.\[].*)$", re.DOTALL)


def _read_jsonpath(root: Callable[[str], Any], path: str) -> Any:
    """Filters, wildcards, slices and descents, by the library."""
    if path != path.strip():
        return None
    match = _FIRST_NAME.match(path)
    if match is None:
        return None
    rest = match["rest"]
    call = re.search(r"\.(\w+)\(\)$", rest)
    if call:
        rest = rest[: call.start()]
    try:
        matches, single = find("$" + rest, _whole(root(match["name"])))
    except BadQuery:
        return None
    found = Found(matches)
    if call:
        return _call(call[1], found)
    if single:
        return found[0] if found else None
    return found


def member(reference: str, lookup: Kept) -> Any:
    """The value that ``NAME`` or ``NAME.json.path`` means; None when there is none.

    Args:
        reference: what stands behind ``workflow.secrets.`` or ``workflow.env.``.
        lookup: the text that is kept under a name.
    """
    text = lookup(reference)
    name, dot, path = reference.partition(".")
    if text is not None or not dot:
        return text
    text = lookup(name)
    if text is None:
        return None
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    # A path begins with a name; the document has none of its own.
    path = path.removeprefix("$").removeprefix(".")
    return read_path(lambda _: document, f"x{path}" if path.startswith("[") else f"x.{path}")


# The root of all paths: the workflow and the newest record of each reference.


class SnapshotLookup:
    """Expressions as a task of one execution sees them.

    Args:
        snapshot: the execution.
        ordinal: of the record being scheduled, for ``${CPEWF_TASK_ID}``; 0 = none.
        outside: knows what is not in the execution.
    """

    def __init__(self, snapshot: Snapshot, ordinal: int = 0, outside: Outside = NOWHERE) -> None:
        self._snapshot = snapshot
        self._ordinal = ordinal
        self._outside = outside

    def __call__(self, text: str) -> Any:
        """Value of one expression."""
        plain = _plain(text)
        if plain is None:
            return self._any(text)
        of_process = self._outside.process(text)
        if of_process is not None:
            return of_process
        name, field, rest = plain
        if name == "workflow":
            maker = _WORKFLOW_FIELDS.get(field)
            return None if maker is None else _follow(maker(self._snapshot), rest)
        task = self._snapshot.find_named(name)
        seen = None if task is None else _TASK_FIELDS.get(field)
        return None if task is None or seen is None else _follow(seen((self._snapshot, task)), rest)

    def _any(self, text: str) -> Any:
        """Value of an expression of any kind."""
        if text == "CPEWF_TASK_ID" and self._ordinal:
            return task_uuid(self._snapshot.workflow.id, self._ordinal)
        if text.startswith(SECRETS):
            # What is written holds the reference; whoever does the work is handed the secret.
            return f"${{{text}}}"
        if text.startswith(ENVIRONMENT):
            return member(text.removeprefix(ENVIRONMENT), self._outside.environment)
        of_process = self._outside.process(text)
        if of_process is not None:
            return of_process
        if text in _SYSTEM_NAMES:
            return f"${{{text}}}"
        return read_path(self._root, text)

    def _root(self, name: str) -> Any:
        if name == "workflow":
            return _Fields(_WORKFLOW_FIELDS, self._snapshot)
        # Inside a loop a reference means its newest iteration.
        task = self._snapshot.find_named(name)
        return None if task is None else _Fields(_TASK_FIELDS, (self._snapshot, task))


@functools.lru_cache(maxsize=8192)
def _plain(text: str) -> tuple[str, str, _Segments] | None:
    """Holder, field and further steps of nearly every expression; None = it is of another kind."""
    if text in _SYSTEM_NAMES or text.startswith((SECRETS, ENVIRONMENT)):
        return None
    steps = _segments(text)
    if steps is None or len(steps) < 2:
        return None
    name, field = steps[0], steps[1]
    return (name, field, steps[2:]) if isinstance(name, str) and isinstance(field, str) else None


class _Fields(dict[str, Any]):
    """A map whose values are made when they are asked for.

    Args:
        makers: gives each value from the holder.
        holder: what the values are made from.
    """

    def __init__(self, makers: Mapping[str, Callable[[Any], Any]], holder: Any) -> None:
        super().__init__()
        self._makers = makers
        self._holder = holder

    def get(self, key: str, default: Any = None) -> Any:
        maker = self._makers.get(key)
        return default if maker is None else maker(self._holder)

    def whole(self) -> dict[str, Any]:
        """Every field, made."""
        return {key: maker(self._holder) for key, maker in self._makers.items()}


_WORKFLOW_FIELDS: Mapping[str, Callable[[Snapshot], Any]] = {
    "input": lambda s: s.parsed(0, "input"),
    "output": lambda s: s.parsed(0, "output"),
    "variables": lambda s: s.parsed(0, "variables"),
    "status": lambda s: str(s.workflow.status),
    "workflowId": lambda s: workflow_uuid(s.workflow.id),
    "workflowType": lambda s: s.workflow.name,
    "version": lambda s: s.workflow.version,
    "schemaVersion": lambda s: s.pinned.definition.schema_version,
    "correlationId": lambda s: s.workflow.correlation_id,
    "priority": lambda s: s.workflow.priority,
    "parentWorkflowId": lambda s: (
        (s.workflow.parent and workflow_uuid(s.workflow.parent_id)) or None
    ),
    "parentWorkflowTaskId": lambda s: (
        (s.workflow.parent and task_uuid(s.workflow.parent_id, s.workflow.parent_ordinal)) or None
    ),
    "reasonForIncompletion": lambda s: s.workflow.reason,
    "createTime": lambda s: s.workflow.created_ms,
    "idempotencyKey": lambda s: s.workflow.idempotency_key,
    "taskToDomain": lambda s: s.workflow.task_to_domain,
}

_Seen = tuple[Snapshot, Task]

_TASK_FIELDS: Mapping[str, Callable[[_Seen], Any]] = {
    "input": lambda seen: seen[0].parsed(seen[1].ordinal, "input"),
    "output": lambda seen: seen[0].parsed(seen[1].ordinal, "output"),
    "status": lambda seen: str(seen[1].status),
    "taskId": lambda seen: task_uuid(seen[0].workflow.id, seen[1].ordinal),
    "taskType": lambda seen: seen[1].type,
    "taskDefName": lambda seen: seen[1].name,
    "referenceTaskName": lambda seen: seen[1].ref,
    "subWorkflowId": lambda seen: workflow_uuid(seen[1].child) if seen[1].child else None,
    "retryCount": lambda seen: seen[1].attempt,
    "pollCount": lambda seen: seen[1].polls,
    "iteration": lambda seen: seen[1].shown_iteration,
    "correlationId": lambda seen: seen[0].workflow.correlation_id,
    "workflowInstanceId": lambda seen: workflow_uuid(seen[0].workflow.id),
    "scheduledTime": lambda seen: seen[1].scheduled_ms,
    "startTime": lambda seen: seen[1].started_ms,
    "endTime": lambda seen: seen[1].ended_ms,
    "reasonForIncompletion": lambda seen: seen[1].reason,
    "callbackAfterSeconds": lambda seen: seen[1].callback_after_s,
    "workerId": lambda seen: seen[1].worker,
}
