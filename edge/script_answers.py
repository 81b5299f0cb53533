"""What is asked of the evaluators, and what comes of it.

No process is touched here.
"""

from __future__ import annotations

import hashlib
import signal
from typing import Any, NamedTuple

import msgspec

from edge.decider.scripts import ScriptFailed, ScriptTimedOut
from edge.script_child.frames import Job, Reply, Verdict
from edge.script_process import ProcessEnded
from edge.script_processes import CannotStart

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


CLOSING = Answer(error=ScriptFailed("the script was not evaluated: the daemon is closing"))


def no_process(error: CannotStart) -> Answer:
    """What it means that there is no process for a script."""
    return Answer(error=ScriptFailed(f"no process can be started for scripts: {error}"))


def timed_out(question: Question, logs: tuple[str, ...] = ()) -> Answer:
    """The time of a script has passed."""
    seconds = question.job.limit_ms / 1000
    message = f"Script not evaluated within {seconds:g} seconds, interrupted."
    return Answer(error=ScriptTimedOut(message), logs=logs)


def post_mortem(error: ProcessEnded, question: Question) -> Answer:
    """What it means that the process of a script has ended."""
    if error.status == -signal.SIGALRM:
        return timed_out(question)
    known = {-number: number.name for number in signal.Signals}
    cause = known.get(error.status, f"status {error.status}")
    return Answer(
        error=ScriptFailed(
            f"Error evaluating the script `its process ended ({cause}), as it does when a script "
            "uses too much memory`"
        )
    )


def answer_of(reply: Reply, question: Question) -> Answer:
    """What a reply says; it is read with the mistrust that its sender deserves."""
    try:
        logs = msgspec.json.decode(reply.logs, type=tuple[str, ...])
        match reply.verdict:
            case Verdict.TIMED_OUT:
                return timed_out(question, logs)
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
