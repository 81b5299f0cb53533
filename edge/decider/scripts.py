"""What the decider needs of those who evaluate scripts, and what a script's value means.

No script is evaluated here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from edge.model.definitions import JsonObject


class ScriptFailed(Exception):
    """A script raised, or is no valid script; the message is the author's to read."""


class ScriptTimedOut(ScriptFailed):
    """A script ran for longer than it may."""


class ScriptNeedsTime(Exception):
    """A script is not worked out yet: undo what depends on it, and ask again when it is.

    Args:
        begin: has it worked out elsewhere, and calls what it is given, from any thread, when it is
            time to ask again.
    """

    def __init__(self, begin: Callable[[Callable[[], None]], None]) -> None:
        super().__init__("a script needs time")
        self.begin = begin


class Scripts(Protocol):
    """Evaluates scripts without side effects."""

    def evaluate(
        self,
        expression: str,
        scope: JsonObject,
        evaluator: str = "javascript",
        log: list[str] | None = None,
    ) -> Any:
        """The value of a script, as JSON values.

        Args:
            expression: the script's text.
            scope: what it sees of the world: ``$`` in JavaScript, the document of jq, the global
                names of Python.
            evaluator: ``javascript`` or ``graaljs``, whose value is the completion value;
                ``python``, where the text is the body of a function; ``jq``, whose value is the
                list of all that the program emits.
            log: where the lines go that a script writes to its ``console``, also when it fails;
                None = the script has no console.

        Raises:
            ScriptTimedOut: the time limit has passed.
            ScriptFailed: the script raised, cannot be parsed or used too much memory.
            ScriptNeedsTime: its value is not there yet; whoever decides lets this pass.
        """
        ...


def is_true(value: Any) -> bool:
    """Whether a script's value means yes: in the condition of a loop or of an event handler.

    A boolean is what it is, a number means yes when it is greater than zero, and everything else
    means no: the text ``"true"`` and a list with members among them.
    """
    if isinstance(value, bool):
        return value
    return isinstance(value, int | float) and value > 0
