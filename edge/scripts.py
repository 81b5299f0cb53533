"""The evaluators: scripts of definitions, worked out in processes of their own.

No script ever runs in the daemon, and nobody who takes decisions waits for one that takes its time.
"""

from __future__ import annotations

import hashlib
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import msgspec

from edge.clock import Clock, SystemClock
from edge.decider.scripts import ScriptFailed, ScriptNeedsTime, ScriptTimedOut
from edge.model.definitions import JsonObject
from edge.script_child.frames import Job, Kind, Reply, Verdict
from edge.script_process import ProcessEnded, ScriptProcess
from edge.script_processes import CannotStart, Processes

_LANGUAGES = {"javascript": "javascript", "graaljs": "javascript", "python": "python", "jq": "jq"}

_PATIENCE_MS = 25
"""How long a decision waits for a script: most take a tenth of a millisecond. What takes longer is
waited for elsewhere, and the decision is taken again with the answer at hand."""

_TRY_MS = 100
_TRY_MOST_MS = 400
"""How long one try of a decision may wait for all its scripts together. It doubles with each try,
so that a loop around many scripts comes to its end, and never holds up the others for longer."""

_MOST_TRIES = 300
"""Of one decision. A definition that needs more of them has hundreds of slow scripts in one step."""

_GRACE_MS = 500
"""A process ends by itself at its limit; after that it is ended."""

_LONG = 2
"""Scripts that are worked on at the same time, besides the short ones; the others stand in line."""

_SLOW_KNOWN = 256
"""Scripts that are remembered to have taken their time, so that nobody waits for them again."""

_SYNTAX_MS = 500

_MOST_LEVELS = 200
"""Maps and lists inside each other in a result: what reads and writes it recurses."""


class Answer(NamedTuple):
    """What a script came to."""

    value: Any = None
    error: ScriptFailed | None = None
    logs: tuple[str, ...] = ()


class Question(NamedTuple):
    """A script with all that it sees."""

    language: str
    job: Job

    @property
    def key(self) -> bytes:
        """The same for the same question, and for no other."""
        return _digest(self.language, self.job.expression, self.job.scope, self.job.console)

    @property
    def script(self) -> bytes:
        """The same for the same script, whatever it sees."""
        return _digest(self.language, self.job.expression)


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
        self._lock = threading.Lock()
        self._slow: OrderedDict[bytes, None] = OrderedDict()
        self._long_jobs = 0
        self._workers = ThreadPoolExecutor(_LONG, "scripts")

    def __enter__(self) -> Evaluators:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes; whoever still waits is told so."""
        self._processes.close()
        self._workers.shutdown(cancel_futures=True)

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
        error = self._work_out(question, self._processes.take("javascript")).error
        return None if error is None or isinstance(error, ScriptTimedOut) else str(error)

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
        if question.script in self._slow:
            raise ScriptNeedsTime(partial(self._later, question, None, keep))
        process = self._processes.take(question.language)
        if process is None:
            raise ScriptNeedsTime(partial(self._when_ready, question.language, keep))
        try:
            process.ask(question.job)
            reply = process.wait(patience_ms)
        except ProcessEnded as error:
            self._processes.drop(process)
            return _post_mortem(error, question)
        if reply is not None:
            self._processes.give_back(process)
            return _answer_of(reply, question)
        self._remember_slow(question.script)
        # The next script shall not wait for a process because of this one.
        self._processes.start_one(question.language, _nothing)
        if self._long_jobs < _LONG:
            raise ScriptNeedsTime(partial(self._later, question, process, keep))
        # Those who stand in line use no processor: it begins again when it is its turn.
        self._processes.drop(process)
        raise ScriptNeedsTime(partial(self._later, question, None, keep))

    def _remember_slow(self, script: bytes) -> None:
        with self._lock:
            self._slow[script] = None
            if len(self._slow) > _SLOW_KNOWN:
                self._slow.popitem(last=False)

    def _when_ready(
        self, language: str, keep: Callable[[Answer], None], done: Callable[[], None]
    ) -> None:
        """Call ``done`` when a process stands ready; the question is then asked again."""

        def started(error: CannotStart | None) -> None:
            if error is not None:
                keep(_no_process(error))
            done()

        self._processes.start_one(language, started)

    def _later(
        self,
        question: Question,
        process: ScriptProcess | None,
        keep: Callable[[Answer], None],
        done: Callable[[], None],
    ) -> None:
        """Wait for the answer in another thread, then call ``done``."""

        def finished(future: Future[Answer]) -> None:
            with self._lock:
                self._long_jobs -= 1
            keep(_CLOSING if future.cancelled() else future.result())
            done()

        with self._lock:
            self._long_jobs += 1
        self._workers.submit(self._work_out, question, process).add_done_callback(finished)

    def _work_out(self, question: Question, process: ScriptProcess | None) -> Answer:
        """Wait for the answer, however long it takes.

        Args:
            question: what is asked.
            process: works on it already, or stands ready; None = one has to be found.
        """
        began_ms = self.clock.monotonic_ms()
        try:
            if process is None:
                process = self._processes.take(question.language, leave=1)
            if process is None:
                process = self._processes.start(question.language)
            if not process.asked:
                process.ask(question.job)
            reply = process.wait(question.job.limit_ms + _GRACE_MS)
        except CannotStart as error:
            return _no_process(error)
        except ProcessEnded as error:
            assert process is not None
            self._processes.drop(process)
            return _post_mortem(error, question)
        if reply is None:
            self._processes.drop(process)
            return _timed_out(question)
        self._processes.give_back(process)
        if self.clock.monotonic_ms() - began_ms < _PATIENCE_MS:
            with self._lock:
                self._slow.pop(question.script, None)
        return _answer_of(reply, question)


class RequestScripts:
    """The scripts of one request, which is carried out again until all of them are answered.

    What has been answered once is not asked again.

    Args:
        evaluators: evaluate what is not known yet.
    """

    def __init__(self, evaluators: Evaluators) -> None:
        self._evaluators = evaluators
        self._answers: dict[bytes, Answer] = {}
        self._tries = 0
        self._left_ms = 0

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
        answer = self._answers.get(key)
        if answer is not None:
            return answer
        if self._tries > _MOST_TRIES:
            raise ScriptFailed(
                f"the scripts of this step need more than {_MOST_TRIES} tries: make them shorter, "
                "or put a task between them that waits"
            )
        if self._left_ms <= 0:
            # Let others have their turn; what has been answered so far is known the next time.
            raise ScriptNeedsTime(lambda done: done())
        clock = self._evaluators.clock
        began_ms = clock.monotonic_ms()
        answer = self._evaluators.ask(
            question, _PATIENCE_MS, partial(self._answers.__setitem__, key)
        )
        self._left_ms -= clock.monotonic_ms() - began_ms
        self._answers[key] = answer
        return answer


_CLOSING = Answer(error=ScriptFailed("the script was not evaluated: the daemon is closing"))


def _nothing(_: CannotStart | None) -> None:
    return None


def _no_process(error: CannotStart) -> Answer:
    return Answer(error=ScriptFailed(f"no process can be started for scripts: {error}"))


def _timed_out(question: Question, logs: tuple[str, ...] = ()) -> Answer:
    seconds = question.job.limit_ms / 1000
    message = f"Script not evaluated within {seconds:g} seconds, interrupted."
    return Answer(error=ScriptTimedOut(message), logs=logs)


def _post_mortem(error: ProcessEnded, question: Question) -> Answer:
    """What it means that the process of a script has ended."""
    if error.status == -signal.SIGALRM:
        return _timed_out(question)
    known = {-number: number.name for number in signal.Signals}
    cause = known.get(error.status, f"status {error.status}")
    return Answer(
        error=ScriptFailed(
            f"Error evaluating the script `its process ended ({cause}), as it does when a script "
            "uses too much memory`"
        )
    )


def _answer_of(reply: Reply, question: Question) -> Answer:
    try:
        logs = msgspec.json.decode(reply.logs, type=tuple[str, ...])
        match reply.verdict:
            case Verdict.TIMED_OUT:
                return _timed_out(question, logs)
            case Verdict.FAILED:
                return Answer(error=ScriptFailed(reply.body.decode(errors="replace")), logs=logs)
            case Verdict.VALUE:
                value = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return Answer(error=ScriptFailed(f"the result of the script cannot be read: {error}"))
    if _nested_too_deeply(reply.body, value):
        message = f"the result of the script is nested deeper than {_MOST_LEVELS} levels"
        return Answer(error=ScriptFailed(message), logs=logs)
    return Answer(value, logs=logs)


def _nested_too_deeply(body: bytes, value: Any) -> bool:
    if body.count(b"[") + body.count(b"{") <= _MOST_LEVELS:
        return False
    level, containers = 0, [value]
    while containers and level < _MOST_LEVELS:
        level += 1
        members = (
            member
            for one in containers
            for member in (one.values() if isinstance(one, dict) else one)
        )
        containers = [member for member in members if isinstance(member, dict | list)]
    return bool(containers)


def _digest(language: str, *parts: bytes | bool) -> bytes:
    digest = hashlib.blake2b(language.encode(), digest_size=16)
    for part in parts:
        piece = bytes([part]) if isinstance(part, bool) else part
        digest.update(len(piece).to_bytes(8, "big"))
        digest.update(piece)
    return digest.digest()
