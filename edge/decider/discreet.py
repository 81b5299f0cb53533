"""Scripts that are given secrets: put in before they run, taken out of what they return or complain.

No script is evaluated here; that does what is wrapped.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.decider.outside import Outside
from edge.decider.scripts import ScriptFailed, Scripts
from edge.decider.secrets import MARK, reveal
from edge.model.definitions import JsonObject
from edge.model.errors import SecretUnreadable
from edge.model.revealed import Revealed


class DiscreetScripts:
    """Scripts whose input may refer to secrets.

    Args:
        scripts: evaluates them.
        outside: has the secrets.
    """

    def __init__(self, scripts: Scripts, outside: Outside) -> None:
        self._scripts = scripts
        self._outside = outside

    def evaluate(
        self,
        expression: str,
        scope: JsonObject,
        evaluator: str = "javascript",
        log: list[str] | None = None,
    ) -> Any:
        """The value of a script, as ``Scripts`` says.

        Raises:
            ScriptTimedOut: the time limit has passed.
            ScriptFailed: the script raised or cannot be parsed, or a secret cannot be opened.
        """
        if MARK not in msgspec.json.encode([expression, scope]):
            return self._scripts.evaluate(expression, scope, evaluator, log)
        revealed = Revealed()
        lines: list[str] | None = None if log is None else []
        secret = self._outside.secret
        try:
            expression = reveal(expression, secret, revealed)
            scope = reveal(scope, secret, revealed)
        except SecretUnreadable as error:
            raise ScriptFailed(error.message) from error
        try:
            return revealed.conceal(self._scripts.evaluate(expression, scope, evaluator, lines))
        except ScriptFailed as error:
            # What it complains of may quote a secret; the chain of causes would, too.
            raise type(error)(revealed.conceal_text(str(error))) from None
        finally:
            if log is not None and lines is not None:
                log += map(revealed.conceal_text, lines)
