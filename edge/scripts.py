"""The evaluators: scripts of definitions, worked out in processes of their own.

No script ever runs in the daemon, and nobody who takes decisions waits for one that takes its time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from edge.clock import Clock, SystemClock
from edge.decider.scripts import ScriptFailed, ScriptNeedsTime, ScriptTimedOut
from edge.model.definitions import JsonObject
from edge.script_answers import (
    Answer,
    Question,
    answer_of,
    no_process,
    post_mortem,
    timed_out,
)
from edge.script_child.frames import Job, Kind
from edge.script_lines import ScriptLines
from edge.script_process import ProcessEnded
from edge.script_processes import CannotStart, Processes

_LANGUAGES = {"javascript": "javascript", "graaljs": "javascript", "python": "python", "jq": "jq"}

_PATIENCE_MS = 25
"""How long a decision waits for a script: most take a tenth of a millisecond. What takes longer is
waited for elsewhere, and the decision is taken again with the answer at hand."""

_TRY_MS = 100
_TRY_MOST_MS = 400
"""How long one try of a decision may wait for all its scripts together. It doubles with each try,
so that a loop around many scripts comes to its end, and never holds up the others for longer."""

_MOST_MISSES = 5
"""How often what was worked out is not what is asked then. Ids and the moment are kept from try to
try: whoever shows a script something else that is new each time will never see its answer."""

_MOST_TRIES = 300
"""Of one decision. A definition that needs more of them has hundreds of slow scripts in one step."""

_SYNTAX_MS = 500


class Evaluators:
    """Evaluates scripts. Any thread may ask; ``close`` ends their processes.

    Args:
        time_limit_s: how long one script may take.
        clock: measures how long to wait.
    """

    def __init__(self, time_limit_s: float = 4.0, clock: Clock | None = None) -> None:
        self._limit_ms = max(1, round(time_limit_s * 1000))
        self.clock = clock or SystemClock()
        self._processes = Processes(self.clock)
        self._lines = ScriptLines(self._processes, self.clock)

    def __enter__(self) -> Evaluators:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes; whoever still waits is told so."""
        self._processes.close()
        self._lines.close()

    def end_idle(self) -> None:
        """Give back the memory of processes that have had nothing to do for a while."""
        self._processes.end_idle()

    # For those who can wait.

    def evaluate(
        self,
        expression: str,
        scope: JsonObject,
        evaluator: str = "javascript",
        log: list[str] | None = None,
    ) -> Any:
        """The value of a script; the calling thread waits for it. See ``Scripts``."""
        request = RequestScripts(self)
        while True:
            request.begin()
            try:
                return request.evaluate(expression, scope, evaluator, log)
            except ScriptNeedsTime as need:
                there = threading.Event()
                need.begin(there.set)
                there.wait()

    def syntax_error(self, expression: str) -> str | None:
        """What is wrong with the syntax of JavaScript; None = nothing.

        A text that cannot be judged in half a second is left to be judged when it runs. The calling
        thread waits.
        """
        try:
            text = expression.encode()
        except UnicodeEncodeError as fault:
            return str(fault)
        question = Question("javascript", Job(Kind.SYNTAX, text, b"null", _SYNTAX_MS))
        error = self._wait(question).error
        return None if error is None or isinstance(error, ScriptTimedOut) else str(error)

    def _wait(self, question: Question) -> Answer:
        try:
            process = self._processes.take(question.language)
            process = process or self._processes.start(question.language)
        except CannotStart as error:
            return no_process(error)
        try:
            process.ask(question.job)
            reply = process.wait(2 * question.job.limit_ms)
        except ProcessEnded as error:
            self._processes.drop(process)
            return post_mortem(error, question)
        if reply is None:
            self._processes.drop(process)
            return timed_out(question)
        self._processes.give_back(process)
        return answer_of(reply, question)

    # For those who cannot.

    def question(
        self, expression: str, scope: JsonObject, evaluator: str, *, console: bool
    ) -> Question:
        """What is to be asked.

        Raises:
            ScriptFailed: there is no such evaluator, or the scope cannot be handed over.
        """
        language = _LANGUAGES.get(evaluator)
        if language is None:
            raise ScriptFailed(f"No evaluator registered for type: {evaluator}")
        try:
            text, document = expression.encode(), msgspec.json.encode(scope)
        except (UnicodeEncodeError, TypeError, OverflowError, RecursionError) as error:
            raise ScriptFailed(f"Error evaluating the script `{error}`") from error
        return Question(language, Job(Kind.VALUE, text, document, self._limit_ms, console))

    def ask(self, question: Question, patience_ms: int, keep: Callable[[Answer], None]) -> Answer:
        """The answer, if a process stands ready and has it within so many milliseconds.

        Args:
            question: what is asked.
            patience_ms: how long to wait for the answer.
            keep: called with the answer when it comes later, from another thread.

        Raises:
            ScriptNeedsTime: it comes later.
        """
        if self._lines.knows(question.script):
            raise ScriptNeedsTime(partial(self._lines.work, question, None, keep))
        process = self._processes.take(question.language)
        if process is None:
            raise ScriptNeedsTime(partial(self._when_ready, question.language, keep))
        try:
            process.ask(question.job)
            reply = process.wait(patience_ms)
        except ProcessEnded as error:
            self._processes.drop(process)
            return post_mortem(error, question)
        if reply is not None:
            self._processes.give_back(process)
            return answer_of(reply, question)
        self._lines.note(question.script)
        # The next script shall not wait for a process because of this one.
        self._processes.start_one(question.language, lambda _: None)
        if not self._lines.full:
            raise ScriptNeedsTime(partial(self._lines.work, question, process, keep))
        self._processes.drop(process)
        raise ScriptNeedsTime(partial(self._lines.work, question, None, keep))

    def _when_ready(
        self, language: str, keep: Callable[[Answer], None], done: Callable[[], None]
    ) -> None:
        """Call ``done`` when a process stands ready; the question is then asked again."""

        def started(error: CannotStart | None) -> None:
            if error is not None:
                keep(no_process(error))
            done()

        self._processes.start_one(language, started)


class RequestScripts:
    """The scripts of one request, which is carried out again until all of them are answered.

    What has been answered once is not asked again.

    Args:
        evaluators: evaluate what is not known yet.
    """

    def __init__(self, evaluators: Evaluators) -> None:
        self._evaluators = evaluators
        self.unsteady = False
        """Whether a script was asked something else in the try for which it had been worked out."""
        self._answers: dict[bytes, Answer] = {}
        self._tries = 0
        self._left_ms = 0
        self._awaited = b""
        """What the last try ended for; nothing once it has been asked for again."""
        self._misses = 0

    def begin(self) -> None:
        """The request is carried out, for the first time or again."""
        self._tries += 1
        self._left_ms = min(_TRY_MS * 2 ** min(self._tries - 1, 10), _TRY_MOST_MS)

    def evaluate(
        self,
        expression: str,
        scope: JsonObject,
        evaluator: str = "javascript",
        log: list[str] | None = None,
    ) -> Any:
        """The value of a script. See ``Scripts``."""
        question = self._evaluators.question(expression, scope, evaluator, console=log is not None)
        answer = self._answer(question)
        if log is not None:
            log += answer.logs
        if answer.error is not None:
            raise answer.error
        return answer.value

    def _answer(self, question: Question) -> Answer:
        key = question.key
        if key == self._awaited:
            self._awaited, self._misses = b"", 0
        answer = self._answers.get(key)
        if answer is not None:
            return answer
        if self._tries > _MOST_TRIES:
            raise ScriptFailed(
                f"the scripts of this step need more than {_MOST_TRIES} tries: make them shorter, "
                "or put a task between them that waits"
            )
        if self._misses > _MOST_MISSES:
            raise ScriptFailed(
                "the script takes long, and is shown something else each time that it is asked: "
                "give it an input that does not change"
            )
        if self._left_ms <= 0:
            # Let others have their turn; what has been answered so far is known the next time.
            raise ScriptNeedsTime(lambda done: done())
        clock = self._evaluators.clock
        began_ms = clock.monotonic_ms()
        try:
            answer = self._evaluators.ask(
                question, _PATIENCE_MS, partial(self._answers.__setitem__, key)
            )
        except ScriptNeedsTime:
            if self._awaited:
                self.unsteady = True
                self._misses += 1
            self._awaited = key
            raise
        self._left_ms -= clock.monotonic_ms() - began_ms
        self._answers[key] = answer
        return answer
