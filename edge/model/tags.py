"""Tags: words that people put on definitions to find them again.

What a tag is put on, and where it is kept, stands elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from edge.model.errors import InvalidInput

MAX_TAGS = 100
"""Tags of one thing."""
_MAX_CHARACTERS = 500
"""Of a key, and of a value that is a text."""


class Tag(msgspec.Struct, frozen=True, omit_defaults=True):
    """One tag."""

    key: str
    value: str | int | float | bool = ""
    """A text; a number in tags of the type RATE_LIMIT."""
    type: str | None = None
    """METADATA or RATE_LIMIT; None = whoever put it did not say, which means METADATA."""

    @property
    def kind(self) -> str:
        """The type that counts: keys of different types are different tags."""
        return self.type or "METADATA"


class Labelled(Protocol):
    """What a tag is told apart by, of whatever it is a tag."""

    @property
    def key(self) -> str:
        """What kind of word it is."""
        ...

    @property
    def value(self) -> object:
        """The word; the number in tags of the type RATE_LIMIT."""
        ...


AnyTag = TypeVar("AnyTag", bound=Labelled)


def parse_tags(document: Any, path: str = "tags") -> list[Tag]:
    """Read posted tags: a list, or one alone.

    Raises:
        InvalidInput: one is none, or there are too many; the message names the place.
    """
    listed = document if isinstance(document, list) else [document]
    if len(listed) > MAX_TAGS:
        raise InvalidInput(f"{path}: {MAX_TAGS} tags are allowed, these are {len(listed)}")
    return [_tag(one, f"{path}[{index}]") for index, one in enumerate(listed)]


def _tag(document: Any, path: str) -> Tag:
    if isinstance(document, dict):
        document = {name: value for name, value in document.items() if value is not None}
    try:
        tag = msgspec.convert(document, Tag)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{path}: {error}") from error
    if not tag.key.strip():
        raise InvalidInput(f"{path}.key: a tag needs a key")
    if max(len(tag.key), len(str(tag.value)), len(tag.kind)) > _MAX_CHARACTERS:
        raise InvalidInput(f"{path}: key and value may have {_MAX_CHARACTERS} characters")
    return tag


def merged(old: list[Tag], new: list[Tag]) -> list[Tag]:
    """The old tags and the new ones; of two with the same key the newer counts.

    Raises:
        InvalidInput: together they are too many.
    """
    found = {(tag.key, tag.kind): tag for tag in [*old, *new]}
    if len(found) > MAX_TAGS:
        raise InvalidInput(f"tags: {MAX_TAGS} tags are allowed, together these are {len(found)}")
    return list(found.values())


def without(old: list[AnyTag], gone: Sequence[Labelled]) -> list[AnyTag]:
    """The old tags but those that are gone; clients write a number as a text or as it is."""
    pairs = {(tag.key, str(tag.value)) for tag in gone}
    return [tag for tag in old if (tag.key, str(tag.value)) not in pairs]


def matches(tags: list[Tag], key: str | None, value: str | None) -> bool:
    """Whether one of the tags is the one that is looked for; None = any."""
    if key is None and value is None:
        return True
    return any(
        (key is None or tag.key == key) and (value is None or str(tag.value) == value)
        for tag in tags
    )
