"""``${workflow.secrets.NAME}``: put in for whoever does the work, and taken out of what comes back.

A stored record holds the reference, never the value; nothing is decrypted here.
"""

from __future__ import annotations

import re
from typing import Any

from edge.decider.expressions import SECRETS, Kept, member
from edge.decider.java_text import java_text
from edge.model.revealed import Revealed

MARK = b"${workflow.secrets."
"""What a payload contains if it refers to any secret. JSON escapes none of these letters."""

_REFERENCE = re.compile(r"\$\{workflow\.secrets\.([^{}]+)\}")

_MAX_DEPTH = 200
"""Maps and lists inside each other; deeper ones are left as they stand."""


def reveal(value: Any, secret: Kept, revealed: Revealed, depth: int = 0) -> Any:
    """A JSON value with its references to secrets replaced; the given one stays as it is.

    A text that is one reference becomes the secret itself, null when there is none; inside a larger
    text a secret that does not exist is empty.

    Args:
        value: of a task's input.
        secret: gives the secrets.
        revealed: notes what was put in.
        depth: maps and lists around it.

    Raises:
        SecretUnreadable: a secret is there and cannot be opened.
    """
    if isinstance(value, str):
        return _reveal_text(value, secret, revealed) if SECRETS in value else value
    if depth > _MAX_DEPTH:
        return value
    if isinstance(value, dict):
        return {key: reveal(item, secret, revealed, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item, secret, revealed, depth + 1) for item in value]
    return value


def _reveal_text(text: str, secret: Kept, revealed: Revealed) -> Any:
    def found(match: re.Match[str]) -> Any:
        value = member(match[1], secret)
        revealed.note(value, match[0])
        return value

    whole = _REFERENCE.fullmatch(text)
    if whole is not None:
        return found(whole)

    def inside(match: re.Match[str]) -> str:
        value = found(match)
        return "" if value is None else java_text(value)

    return _REFERENCE.sub(inside, text)
