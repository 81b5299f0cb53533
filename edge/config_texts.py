"""What the texts of the configuration may be: names of the fleet, keys, servers.

No file is read here; numbers and files are looked at elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""As `sync.topics` takes it, where it stands in topics."""
_SPOKEN_NAME = "1 to 64 letters, digits, '.', '_' or '-', and begins with one of the first two"

_FORMS = {
    "sync.tenant": (_NAME, _SPOKEN_NAME),
    "sync.device": (_NAME, _SPOKEN_NAME),
    "sync.order_keys": (
        re.compile(r"[0-9a-fA-F]{64}"),
        "a key of 64 hexadecimal digits; copy it from what the control plane logs when it starts",
    ),
    "cloud.mail_server": (
        re.compile(r"(smtps?://(\[[0-9a-fA-F:.]+\]|[^\s/:@]+)(:\d{1,5})?/?)?"),
        "smtp://HOST:PORT or smtps://HOST:PORT",
    ),
}
"""Keys whose texts have a form, with how it is said."""

_NO_CHOICE = "Invalid enum value"


def wrong_text(document: Mapping[str, Any]) -> str | None:
    """What is the matter with a text of a configuration, its key first; None = nothing."""
    for key, (form, spoken) in _FORMS.items():
        section, name = key.split(".")
        value = document[section][name]
        for text in value if isinstance(value, list) else [value]:
            if form.fullmatch(text) is None:
                return f"{key}: {text[:80]!r} is not {spoken}"
    return None


def spoken(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """``Expected `int`, got `str` - at `$.engine.x``` with the key first, as people read it.

    Args:
        error: of the conversion of a document.
        kind: what it was converted to.
    """
    text, _, place = str(error).partition(" - at `$.")
    if not place:
        return text
    place = place.rstrip("`")
    known = _choices(kind, place) if text.startswith(_NO_CHOICE) else []
    if known:
        text = f"{text.removeprefix(_NO_CHOICE).strip()} is not one of {', '.join(known)}"
    return f"{place}: {text}"


def _choices(kind: Any, place: str) -> list[str]:
    """What a key may be, where it is one of a few texts; nothing where it may be any."""
    for part in place.split("."):
        name = part.partition("[")[0]
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
        kind = fields[name]
        if get_origin(kind) is list:
            kind = get_args(kind)[0]
    return [str(one) for one in get_args(kind)] if get_origin(kind) is Literal else []
