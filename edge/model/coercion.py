"""Values of a neighbouring type, taken for what is wanted, as Conductor's reader takes them.

No shape of a request stands here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T", bound=msgspec.Struct)


def converted(document: Any, type_: type[T]) -> T:
    """The document as a struct: a text may be a number's, and a number or truth value a text.

    Args:
        document: decoded JSON.
        type_: what it is to be read as.

    Raises:
        msgspec.ValidationError: when a field has the wrong type; the message names it.
        RecursionError: it is nested too deeply.
    """
    try:
        return msgspec.convert(document, type_, strict=False)
    except msgspec.ValidationError:
        # To look for them in every document would cost those that need none.
        return msgspec.convert(_taken(document, _known(type_)), type_, strict=False)


@lru_cache(maxsize=64)
def _known(type_: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(type_)


def _taken(value: Any, wanted: inspect.Type) -> Any:
    """The value with a text wherever one is wanted and a number or truth value stands."""
    match wanted:
        case inspect.StrType():
            return _text(value)
        case inspect.UnionType():
            return _as_one_of(value, wanted.types)
        case inspect.StructType() if isinstance(value, dict):
            fields = {field.encode_name: field.type for field in wanted.fields}
            return {
                key: _taken(item, fields[key]) if key in fields else item
                for key, item in value.items()
            }
        case inspect.DictType() if isinstance(value, dict):
            return {key: _taken(item, wanted.value_type) for key, item in value.items()}
        case inspect.ListType() if isinstance(value, list):
            return [_taken(item, wanted.item_type) for item in value]
    return value


def _as_one_of(value: Any, kinds: tuple[inspect.Type, ...]) -> Any:
    """Where the number itself is welcome, it stays one."""
    if isinstance(value, bool | int | float):
        numbers = (inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.AnyType)
        welcome = any(isinstance(kind, numbers) for kind in kinds)
        text = any(isinstance(kind, inspect.StrType) for kind in kinds)
        return _text(value) if text and not welcome else value
    for kind in kinds:
        value = _taken(value, kind)
    return value


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value
