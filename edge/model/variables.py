"""Secrets and environment variables: what they may be called, what they may hold, their tags.

No value is kept, encrypted or looked up here.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from edge.model.errors import InvalidInput

MAX_VALUE_BYTES = 64 * 1024
"""Of one secret or variable: a chain of certificates or a service account fits."""

MAX_COUNT = 10_000
"""Of secrets, and of variables, on one device."""

_MAX_NAME = 255
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")

_MAX_TAGS = 100
_MAX_TAG_CHARACTERS = 255


class Tag(msgspec.Struct, frozen=True):
    """A word that people put on a secret or a variable to find it again."""

    key: str
    value: str = ""
    type: str = "METADATA"


def checked_name(kind: str, name: str) -> str:
    """The name, if it may be one.

    Args:
        kind: ``secret`` or ``environment variable``, for the message.
        name: as it was posted.

    Raises:
        InvalidInput: an expression could not name it.
    """
    if len(name) > _MAX_NAME or _NAME.fullmatch(name) is None:
        raise InvalidInput(
            f"{name[:80]!r} cannot be the name of a {kind}: use 1 to {_MAX_NAME} letters, digits, "
            "'_', '-' and '.', the first of them no '-' and no '.'"
        )
    return name


def checked_value(kind: str, name: str, value: str) -> str:
    """The value, if it may be one; the message never repeats it.

    Raises:
        InvalidInput: it is empty or too large.
    """
    size = len(value.encode())
    if not value or size > MAX_VALUE_BYTES:
        raise InvalidInput(
            f"The value of the {kind} {name} has {size} bytes; 1 to {MAX_VALUE_BYTES} are allowed"
        )
    return value


def checked_tags(document: Any) -> list[Tag]:
    """Posted tags: a list of ``{key, value}``.

    Raises:
        InvalidInput: they are something else, or too many.
    """
    try:
        tags = msgspec.convert(document, list[Tag])
    except msgspec.ValidationError as error:
        raise InvalidInput(f"Expected a list of tags, each a key and a value: {error}") from error
    if len(tags) > _MAX_TAGS:
        raise InvalidInput(f"{len(tags)} tags were posted; {_MAX_TAGS} are allowed")
    for tag in tags:
        if not tag.key or max(len(tag.key), len(tag.value)) > _MAX_TAG_CHARACTERS:
            raise InvalidInput(
                f"A tag needs a key; key and value may have {_MAX_TAG_CHARACTERS} characters"
            )
    return tags
