"""Disclosure: a task on its way to whoever does it is given the secrets that its input refers to.

What is written stays as it is: only the copy that is handed over holds them.
"""

from __future__ import annotations

import sqlite3

import msgspec

from edge.decider.secrets import MARK, reveal
from edge.lookups import Here, Lookups
from edge.model.errors import SecretUnreadable
from edge.model.requests import TaskView
from edge.model.revealed import Revealed
from edge.terms import KnownTerms
from sync.database import Database


class Disclosure:
    """Fills in what a worker may see and nobody else.

    Args:
        database: read for the secrets.
        lookups: opens them.
        terms: say what tasks want beside their input.
    """

    def __init__(self, database: Database, lookups: Lookups, terms: KnownTerms) -> None:
        self._terms = terms
        self._database = database
        self._lookups = lookups

    def concerns(self, views: list[TaskView]) -> bool:
        """Whether any of them has something to be filled in; nearly always none has."""
        for view in views:
            if MARK in view.task.input or self._terms.of(view.pinned, view.task).wanted:
                return True
        return False

    async def of(self, views: list[TaskView]) -> list[TaskView]:
        """The tasks as their worker sees them; where a secret cannot be opened, with a fault."""
        wanted = [self._terms.of(view.pinned, view.task).wanted for view in views]

        def read(connection: sqlite3.Connection) -> list[TaskView]:
            here = self._lookups.at(connection)
            return [
                _disclosed(view, here, names) if names or MARK in view.task.input else view
                for view, names in zip(views, wanted, strict=True)
            ]

        return await self._database.read(read)


def _disclosed(view: TaskView, here: Here, wanted: tuple[str, ...]) -> TaskView:
    revealed = Revealed()
    try:
        values = reveal(msgspec.json.decode(view.task.input), here.secret, revealed)
        metadata = {
            name: value
            for name in wanted
            # The secret first, then the variable; a name that neither has is left out.
            if (value := here.secret(name)) is not None
            or (value := here.environment(name)) is not None
        }
    except SecretUnreadable as error:
        return msgspec.structs.replace(view, fault=error.message)
    return msgspec.structs.replace(
        view,
        task=msgspec.structs.replace(view.task, input=msgspec.json.encode(values)),
        runtime_metadata=metadata,
        revealed=revealed,
    )
