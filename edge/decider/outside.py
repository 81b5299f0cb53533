"""What a decision may ask about the world outside its execution; the engine hands the answers in.

Nothing is looked up here, and nothing that is asked changes anything.
"""

from __future__ import annotations

from typing import Any, Protocol

from edge.model.definitions import SchemaRef
from edge.model.payload_limits import PayloadLimits

Fault = tuple[str, str]
"""Where in a payload, as ``a.b[0]``, and what is wrong there."""


class Outside(Protocol):
    """Answers for the time of one decision: asked twice, it says the same."""

    @property
    def limits(self) -> PayloadLimits:
        """How large payloads may be."""
        ...

    def environment(self, name: str) -> str | None:
        """The value of an environment variable of ours, ``${workflow.env.NAME}``."""
        ...

    def process(self, name: str) -> str | None:
        """The value of a variable of the process, where a whole expression is its name."""
        ...

    def secret(self, name: str) -> str | None:
        """A secret; it must go into nothing that is written.

        Raises:
            SecretUnreadable: there is one, but it cannot be opened.
        """
        ...

    def faults(self, schema: SchemaRef, payload: Any) -> list[Fault]:
        """What is wrong with a payload by a schema; nothing = it is as the schema wants it."""
        ...


class Polls(Protocol):
    """Tells who asks for work, for the domains of tasks."""

    def is_polled(self, queue: str) -> bool:
        """Whether workers serve a queue: one waits there now, or asked within ten seconds."""
        ...


class Outputs(Protocol):
    """Knows the outputs that are kept for later tasks with the same input."""

    def find(self, name: str, key: str) -> bytes | None:
        """The output for a task definition and a key, unless it has expired."""
        ...


class _Nothing:
    """Nothing is kept."""

    def find(self, _: str, __: str) -> bytes | None:
        return None


NOTHING: Outputs = _Nothing()
"""For decisions that find no output of an earlier task."""


class _Nobody:
    """No worker anywhere."""

    def is_polled(self, _: str) -> bool:
        return False


NOBODY: Polls = _Nobody()
"""For decisions that are taken before anybody could have asked."""


class _Nowhere:
    """An outside that knows nothing."""

    limits = PayloadLimits()

    def environment(self, _: str) -> str | None:
        return None

    def process(self, _: str) -> str | None:
        return None

    def secret(self, _: str) -> str | None:
        return None

    def faults(self, _: SchemaRef, __: Any) -> list[Fault]:
        return []


NOWHERE: Outside = _Nowhere()
"""For decisions that ask nothing of the world."""
