"""Scripts that are not short: who works on them, how many at a time, and who goes first.

What waits here holds up nothing else: whoever asked has been sent away, and is told when to come.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from edge.clock import Clock
from edge.decider.scripts import ScriptFailed
from edge.script_answers import (
    CLOSING,
    Answer,
    Question,
    answer_of,
    no_process,
    post_mortem,
    timed_out,
)
from edge.script_process import ProcessEnded, ScriptProcess
from edge.script_processes import CannotStart, Processes

_MEDIUM_MS = 250
"""How long a script may take in the first line. A short script is not short at times, on a machine
that is busy with others: it must not stand behind scripts that never end."""

_GRACE_MS = 500
"""A process ends by itself at its limit; after that it is ended."""

_KNOWN = 256
"""Scripts that are remembered not to be short."""


class _Line:
    """Scripts in the order in which they came, and the threads that wait for them.

    Args:
        places: scripts that are worked on at the same time.
        patience_ms: how long each is waited for; 0 = to its own limit.
    """

    def __init__(self, places: int, patience_ms: int) -> None:
        self.patience_ms = patience_ms
        self.workers = ThreadPoolExecutor(places, "scripts")
        self.inside = 0
        self._places = places

    @property
    def full(self) -> bool:
        """Whether the next one has to stand in line."""
        return self.inside >= self._places


class _Unfinished(NamedTuple):
    """A script was not done in one line, and goes on to the next."""

    process: ScriptProcess | None
    """Works on it; None = it begins again."""


class ScriptLines:
    """Works on scripts that are not short, in two lines: moments, and seconds.

    Args:
        processes: to work with. They get what others leave of the processor.
        clock: measures how long a script takes.
    """

    def __init__(self, processes: Processes, clock: Clock) -> None:
        self._processes = processes
        self._clock = clock
        self._lock = threading.Lock()
        self._lines = (_Line(1, _MEDIUM_MS), _Line(2, 0))
        self._known: OrderedDict[bytes, int] = OrderedDict()
        """The line of each script that was not short the last time."""

    def knows(self, script: bytes) -> bool:
        """Whether a script was not short the last time."""
        return script in self._known

    def note(self, script: bytes, line: int = 0) -> None:
        """A script belongs into a line."""
        with self._lock:
            self._known[script] = line
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)

    @property
    def full(self) -> bool:
        """Whether a script that comes now has to stand in line."""
        return self._lines[0].full

    def work(
        self,
        question: Question,
        process: ScriptProcess | None,
        keep: Callable[[Answer], None],
        done: Callable[[], None],
    ) -> None:
        """Have a script worked out.

        Args:
            question: the script.
            process: works on it already; None = it has not begun.
            keep: called with the answer, from another thread.
            done: called after that.
        """
        self._enter(self._known.get(question.script, 0), question, process, keep, done)

    def _enter(
        self,
        number: int,
        question: Question,
        process: ScriptProcess | None,
        keep: Callable[[Answer], None],
        done: Callable[[], None],
    ) -> None:
        line = self._lines[number]

        def left(future: Future[Answer | _Unfinished]) -> None:
            with self._lock:
                line.inside -= 1
            if future.cancelled() and process is not None:
                self._processes.drop(process)
            outcome = _outcome(future)
            if isinstance(outcome, _Unfinished):
                self._enter(number + 1, question, outcome.process, keep, done)
                return
            keep(outcome)
            done()

        with self._lock:
            line.inside += 1
        try:
            future = line.workers.submit(self._wait, number, question, process)
        except RuntimeError:
            # The line has been closed.
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
        future.add_done_callback(left)

    def _wait(
        self, number: int, question: Question, process: ScriptProcess | None
    ) -> Answer | _Unfinished:
        line, began_ms = self._lines[number], self._clock.monotonic_ms()
        try:
            if process is None:
                process = self._processes.take(question.language, slow=True)
                process = process or self._processes.start(question.language)
                process.ask(question.job)
            process.give_way()
            reply = process.wait(line.patience_ms or question.job.limit_ms + _GRACE_MS)
        except CannotStart as error:
            return no_process(error)
        except ProcessEnded as error:
            assert process is not None
            self._processes.drop(process)
            return post_mortem(error, question)
        if reply is not None:
            self._processes.give_back(process)
            self._judge(question.script, self._clock.monotonic_ms() - began_ms)
            return answer_of(reply, question)
        if not line.patience_ms:
            self._processes.drop(process)
            return timed_out(question)
        self.note(question.script, number + 1)
        if self._lines[number + 1].full:
            # Those who stand in line use neither memory nor processor.
            self._processes.drop(process)
            return _Unfinished(None)
        return _Unfinished(process)

    def _judge(self, script: bytes, took_ms: int) -> None:
        """A script that is quick again goes back to where quick ones belong."""
        with self._lock:
            if took_ms < _MEDIUM_MS // 10:
                self._known.pop(script, None)
            elif took_ms < _MEDIUM_MS and script in self._known:
                self._known[script] = 0

    def close(self) -> None:
        """Tell all who wait that there will be no answer; their processes are ended already."""
        for line in self._lines:
            line.workers.shutdown(cancel_futures=True)


def _outcome(future: Future[Answer | _Unfinished]) -> Answer | _Unfinished:
    """What has come of a script; also of one whose thread failed, for somebody waits for it."""
    if future.cancelled():
        return CLOSING
    error = future.exception()
    if error is None:
        return future.result()
    message = f"the script was not evaluated: {type(error).__name__}: {error}"
    return Answer(error=ScriptFailed(message))
