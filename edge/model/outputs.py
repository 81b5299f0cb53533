"""The output of a task as it is kept for later tasks with the same input.

Who may take it over stands in the decider, how much is kept in the store.
"""

from __future__ import annotations

import msgspec


class KeptOutput(msgspec.Struct, frozen=True):
    """What a task of a definition came to, for all that ask with the same key until it expires."""

    name: str
    """Of the task definition."""
    key: str
    """The ``cacheConfig.key`` with the task's input filled in."""
    output: bytes
    expires_ms: int
    """Epoch milliseconds from which on it is not used any more."""
