"""What a request comes to, and what it remembers from one try to the next.

Nothing of it is written: a request that is not finished is not acknowledged either.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from edge.clock import Ids
from edge.decider.scripts import ScriptNeedsTime, Scripts
from edge.model.definitions import JsonObject
from edge.scripts import Evaluators, RequestScripts


class Unwritable(Exception):
    """A batch holds what cannot be written, and is undone. Run its requests one by one."""


class Outcome(NamedTuple):
    """What one request of a batch came to."""

    result: Any
    error: BaseException | None
    need: ScriptNeedsTime | None = None
    """What has to be worked out before the request can be carried out; it is undone until then."""


class Memory:
    """The memory of one request.

    Whatever a script is shown must be the same in each try, or its answer is of no use: what it is
    asked with an id, or at a moment, that the next try does not have will never be asked again.

    Args:
        evaluators: evaluate what is not known yet.
        patient: whether the request waits for its scripts, and so is carried out once.
    """

    def __init__(self, evaluators: Evaluators, *, patient: bool = False) -> None:
        self._evaluators = evaluators
        self._patient = patient
        self._answers: RequestScripts | None = None
        """Made when the first script is asked for: most requests have none."""
        self.now_ms = 0
        """The moment at which the request is carried out, in epoch milliseconds."""
        self._ids: list[bytes] = []
        self._taken = 0

    def begin(self, now_ms: int) -> None:
        """The request is carried out, for the first time or again.

        It happens now, unless its scripts turned out to be shown the moment: then it happens when
        they were asked, a few seconds ago.
        """
        self._taken = 0
        answers = self._answers
        if answers is None:
            self.now_ms = now_ms
            return
        if not (answers.unsteady and self.now_ms):
            self.now_ms = now_ms
        answers.begin()

    @property
    def scripts(self) -> Scripts:
        """Evaluates the scripts of the request."""
        if self._patient:
            return self._evaluators
        if self._answers is None:
            self._answers = RequestScripts(self._evaluators)
            self._answers.begin()
        return self._answers

    def evaluate(
        self,
        expression: str,
        scope: JsonObject,
        evaluator: str = "javascript",
        log: list[str] | None = None,
    ) -> Any:
        """The value of a script. See ``Scripts``."""
        return self.scripts.evaluate(expression, scope, evaluator, log)

    def workflow_id(self, ids: Ids) -> bytes:
        """The next id that the request needs: the one that it had the last time."""
        if self._taken == len(self._ids):
            self._ids.append(ids.workflow_id(self.now_ms))
        self._taken += 1
        return self._ids[self._taken - 1]
