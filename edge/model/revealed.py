"""The secrets that one task was handed, remembered so that they can be taken out of its answer.

Nothing is looked up or decrypted here, and no record holds what stands here.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

_SHORTEST = 6
"""Characters of a value that is looked for in what comes back. A shorter one is no secret, and
would be found in words that have nothing to do with it."""

_MAX_DEPTH = 200
"""Maps and lists inside each other; what is deeper is not looked into, and not given back."""


class Revealed:
    """The secrets that were put in for one task, to be taken out of what becomes of it."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def note(self, value: Any, reference: str, depth: int = 0) -> None:
        """Remember what was put in for a reference, and the texts inside it.

        Args:
            value: the secret, or a part of it.
            reference: ``${workflow.secrets.NAME}``, or the path to the part.
            depth: maps and lists around it.
        """
        if depth > _MAX_DEPTH:
            return
        if isinstance(value, str):
            if len(value) >= _SHORTEST:
                self._values[value] = reference
            if value[:1] in ("{", "["):
                # A whole document: whoever was handed it may give back any part.
                with contextlib.suppress(msgspec.DecodeError, RecursionError):
                    self.note(msgspec.json.decode(value), reference, depth + 1)
        elif isinstance(value, dict):
            for key, item in value.items():
                self.note(item, f"{reference[:-1]}.{key}}}", depth + 1)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.note(item, f"{reference[:-1]}[{index}]}}", depth + 1)

    def conceal(self, value: Any, depth: int = 0) -> Any:
        """The JSON value with every secret in it replaced by the reference it came from.

        A reference, not asterisks: a header that a script has put together still works for the
        task that sends it, and is never written down.
        """
        if isinstance(value, str):
            return self.conceal_text(value)
        if depth > _MAX_DEPTH:
            return "..."
        if isinstance(value, dict):
            return {
                self.conceal_text(key): self.conceal(item, depth + 1) for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.conceal(item, depth + 1) for item in value]
        return value

    def conceal_text(self, text: str) -> str:
        """The text with every secret in it replaced by the reference it came from."""
        # The longest first: one secret may be part of another.
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, self._values[value])
        return text
