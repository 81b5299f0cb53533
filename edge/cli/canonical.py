"""The one form of a definition in which two of them can be compared and kept in git.

What a server writes by itself and what a definition would have anyway is left out, keys are sorted;
nothing is read, asked or judged here.
"""

from __future__ import annotations

import difflib
import functools
import json
from typing import Any

import msgspec

from edge.model.definitions import (
    RateLimitConfig,
    SchemaRef,
    StateChangeEvent,
    SubWorkflowParams,
    TaskDefinition,
    WorkflowDefinition,
    WorkflowTask,
    without_nulls,
)

AUDIT = frozenset({"createTime", "updateTime", "createdBy", "updatedBy"})
"""Written by the server at each registration; who changed what is the history's affair in git."""

_WRITTEN_OUT: dict[type[msgspec.Struct], dict[str, Any]] = {
    WorkflowDefinition: {"version": 1},
    WorkflowTask: {"type": "SIMPLE"},
}
"""Defaults that a reader looks for, so they stand there always."""

_INSIDE: dict[str, type[msgspec.Struct]] = {
    "tasks": WorkflowTask,
    "defaultCase": WorkflowTask,
    "loopOver": WorkflowTask,
    "decisionCases": WorkflowTask,
    "forkTasks": WorkflowTask,
    "taskDefinition": TaskDefinition,
    "subWorkflowParam": SubWorkflowParams,
    "inputSchema": SchemaRef,
    "outputSchema": SchemaRef,
    "rateLimitConfig": RateLimitConfig,
    "onStateChange": StateChangeEvent,
}
"""What stands inside a field: one, or lists and maps of them."""

_MAPS = frozenset({"decisionCases", "onStateChange"})
"""Fields whose keys are the author's."""


def canonical(
    document: dict[str, Any], kind: type[msgspec.Struct], *, keep_unknown: bool = False
) -> dict[str, Any]:
    """A definition without audit fields and defaults.

    Args:
        document: decoded JSON.
        kind: WorkflowDefinition or TaskDefinition.
        keep_unknown: whether to keep fields that this release does not know. A newer daemon may
            mean something by them; to compare them would show what a daemon does not keep as a
            difference for ever.
    """
    return _pruned(without_nulls(document), kind, keep_unknown=keep_unknown)


def text_of(value: Any) -> str:
    """The file that holds a definition: the same for the same definition, always."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def difference(
    before: dict[str, Any] | None, after: dict[str, Any] | None, names: tuple[str, str]
) -> list[str]:
    """Lines of a unified difference of two canonical definitions; None = there is none.

    Args:
        before, after: what is compared.
        names: what the two sides are called.
    """
    sides = ["" if one is None else text_of(one) for one in (before, after)]
    first, second = (side.splitlines() for side in sides)
    return list(difflib.unified_diff(first, second, *names, lineterm=""))


@functools.cache
def _defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """What each field has that a definition does not name, as JSON."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.default_factory is not msgspec.NODEFAULT:
            found[field.encode_name] = field.default_factory()
        elif field.default is not msgspec.NODEFAULT:
            found[field.encode_name] = field.default
    return found


@functools.cache
def _known(kind: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind))


def _pruned(
    document: dict[str, Any], kind: type[msgspec.Struct], *, keep_unknown: bool
) -> dict[str, Any]:
    defaults, known = _defaults(kind), _known(kind)
    kept: dict[str, Any] = {}
    for key, value in document.items():
        if key in AUDIT or not (keep_unknown or key in known):
            continue
        inner = value
        if key in _INSIDE and key in known:
            inner = _inside(value, _INSIDE[key], in_map=key in _MAPS, keep_unknown=keep_unknown)
        if not (key in defaults and _same(defaults[key], inner)):
            kept[key] = inner
    return {**_WRITTEN_OUT.get(kind, {}), **kept}


def _inside(value: Any, kind: type[msgspec.Struct], *, in_map: bool, keep_unknown: bool) -> Any:
    """The definitions in a field, each in the same form.

    What has another shape is left as it is; the daemon says what is wrong with it.
    """
    if isinstance(value, list):
        return [_inside(one, kind, in_map=False, keep_unknown=keep_unknown) for one in value]
    if not isinstance(value, dict):
        return value
    if in_map:
        return {
            key: _inside(one, kind, in_map=False, keep_unknown=keep_unknown)
            for key, one in value.items()
        }
    return _pruned(value, kind, keep_unknown=keep_unknown)


def _same(default: Any, value: Any) -> bool:
    """Equal, and of the same kind: false is not 0."""
    return bool(default == value) and isinstance(value, bool) == isinstance(default, bool)
