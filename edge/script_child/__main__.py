"""A script's process: reads jobs from its standard input, writes replies to its standard output.

It ends with its input. Nothing is decided here.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import Protocol

from edge.script_child import cage
from edge.script_child.frames import Job, Reply, Verdict
from edge.script_child.pipes import Closed, read_job, write_reply

_IN, _OUT = 0, 1

_GRACE_MS = 200
"""An evaluator that can stop a script by itself is given the time to do so: its process lives."""


class Evaluator(Protocol):
    """Evaluates the scripts of one language."""

    def prepare(self) -> None:
        """Use the time between two jobs."""
        ...

    def run(self, job: Job) -> Reply:
        """Evaluate a script."""
        ...


def main(language: str, memory_bytes: int) -> None:
    """Serve until the input ends.

    Args:
        language: ``javascript``, ``jq`` or ``python``.
        memory_bytes: what scripts may use on top of what is there when they begin.
    """
    evaluator = _evaluator(language, memory_bytes)
    _forget_the_surroundings()
    # Python's scripts run in copies of this process, which enter a cage each; it runs none itself.
    runs_them_itself = language != "python"
    if runs_them_itself:
        cage.enter(memory_bytes)
    evaluator.prepare()
    write_reply(_OUT, Reply(Verdict.VALUE, b"null"))
    while True:
        try:
            job = read_job(_IN)
        except Closed:
            return
        if runs_them_itself:
            cage.end_after(job.limit_ms + _GRACE_MS)
        reply = evaluator.run(job)
        if runs_them_itself:
            cage.end_after(0)
        write_reply(_OUT, reply)
        evaluator.prepare()


def _evaluator(language: str, memory_bytes: int) -> Evaluator:
    """Only what is needed is loaded: it costs time at the start, and memory until the end."""
    match language:
        case "javascript":
            from edge.script_child.javascript import JavaScript

            return JavaScript()
        case "jq":
            from edge.script_child.jq_script import Jq

            return Jq()
        case "python":
            from edge.script_child.python_script import Python

            return Python(memory_bytes)
    raise SystemExit(f"no such language: {language}")


def _forget_the_surroundings() -> None:
    """Leave nothing in the environment but the time zone, whose file is read now."""
    datetime.fromtimestamp(0, UTC).astimezone()
    for name in set(os.environ) - {"TZ"}:
        del os.environ[name]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
