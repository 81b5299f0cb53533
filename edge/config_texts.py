"""What the texts of the configuration may be: names of the fleet, keys, servers.

No file is read here; numbers and files are looked at elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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


def wrong_text(document: Mapping[str, Any]) -> str | None:
    """What is the matter with a text of a configuration, its key first; None = nothing."""
    for key, (form, spoken) in _FORMS.items():
        section, name = key.split(".")
        value = document[section][name]
        for text in value if isinstance(value, list) else [value]:
            if form.fullmatch(text) is None:
                return f"{key}: {text[:80]!r} is not {spoken}"
    return None
