"""Keeping what comes over a link: written before the link says that it was taken.

What is written, and what a link is, stand elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from edge.engine import Engine
from edge.model.errors import Overloaded, StorageUnavailable
from edge.transactions import Transaction
from sync.link import NotTaken

T = TypeVar("T")


async def keep(engine: Engine, function: Callable[[Transaction], T]) -> T:
    """Have something written that a link waits for; returns what the function does.

    Raises:
        NotTaken: the disk refuses, or too much waits for it; the link is to offer it again.
    """
    try:
        return await engine.request(function)
    except (StorageUnavailable, Overloaded) as error:
        raise NotTaken(error.message) from error
