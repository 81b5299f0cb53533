"""Scripts in the world of virtual time: the product's own evaluator, in this process.

No process is started: what a script comes to is the same, and how long it takes is drawn.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from edge.clock import Clock
from edge.decider.scripts import ScriptNeedsTime
from edge.model.definitions import JsonObject
from edge.script_answers import Answer, Question, answer_of
from edge.script_child.javascript import JavaScript
from edge.scripts import Evaluators

_KNOWN: dict[bytes, Answer] = {}
"""Scripts have no side effects, so an answer holds for every world."""

_JAVASCRIPT: list[JavaScript] = []


class InlineEvaluators(Evaluators):
    """Evaluates JavaScript at once, or says that it takes its time.

    Args:
        clock: measures how long decisions wait.
        chance: draws which scripts take their time, and how long.
        slow: the chance that one does.
    """

    def __init__(self, clock: Clock, chance: random.Random, slow: float) -> None:
        super().__init__(clock=clock)
        self._chance = chance
        self._slow = slow

    def evaluate(
        self,
        expression: str,
        scope: JsonObject,
        evaluator: str = "javascript",
        log: list[str] | None = None,
    ) -> Any:
        """The value of a script, for whoever can wait."""
        answer = _answer(self.question(expression, scope, evaluator, console=log is not None))
        if answer.error is not None:
            raise answer.error
        return answer.value

    def ask(self, question: Question, patience_ms: int, keep: Callable[[Answer], None]) -> Answer:
        """The answer, or ScriptNeedsTime with what brings it."""
        if self._chance.random() >= self._slow:
            return _answer(question)
        raise ScriptNeedsTime(partial(self._later, question, keep))

    def _later(
        self, question: Question, keep: Callable[[Answer], None], done: Callable[[], None]
    ) -> None:
        def work() -> None:
            keep(_answer(question))
            done()

        asyncio.get_running_loop().call_later(self._chance.random() * 2, work)


def _answer(question: Question) -> Answer:
    found = _KNOWN.get(question.key)
    if found is None:
        if not _JAVASCRIPT:
            _JAVASCRIPT.append(JavaScript())
        found = answer_of(_JAVASCRIPT[0].run(question.job), question)
        if len(_KNOWN) < 50_000:
            _KNOWN[question.key] = found
    return found
