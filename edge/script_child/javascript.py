"""JavaScript: QuickJS with limits of time, memory and stack, a fresh global scope for each script.

What a script finds around it, and how its value is written down, stands in the ``.js`` files here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import _quickjs

from edge.script_child.frames import MOST_RESULT_BYTES, Job, Kind, Reply, Verdict
from edge.script_child.values import double, failed, reply_with

MEMORY_BYTES = 64 * 1024 * 1024
_STACK_BYTES = 4 * 1024 * 1024
"""Half of what Linux gives the first thread of a process."""

_READY = 2
"""Contexts that stand ready: making one takes longer than most scripts."""

_OURS = 10_000
"""Our own texts begin on this line, so that an error's line is known to be the script's."""


def _text(name: str) -> str:
    return "\n" * _OURS + (Path(__file__).parent / name).read_text(encoding="utf-8")


_PRELUDE, _CONSOLE, _JAVA = _text("prelude.js"), _text("console.js"), _text("java.js")

_NOT_BEGUN = "0"
_NOTHING_RUNS = f"throw {_NOT_BEGUN};"
"""What stands behind it is parsed and never reached."""

_LINE = re.compile(r"<input>:(\d+)")
_CALLS_JAVA = re.compile(
    r"\b(?:get|getOrDefault|set|put|putAll|add|addAll|remove|size|isEmpty|contains|containsKey"
    r"|containsValue|keySet|values|entrySet|subList)\b"
)
"""Most scripts call nothing of Java's, and to teach it to a large input takes time."""

_DOUBTFUL = re.compile(r"\\ud|\d{19}")
"""Half characters, and integers that may not fit 64 bits."""


class JavaScript:
    """Evaluates JavaScript."""

    def __init__(self) -> None:
        self._ready: list[_Context] = []
        self.prepare()

    def prepare(self) -> None:
        """Have contexts ready for the next scripts."""
        while len(self._ready) < _READY:
            self._ready.append(_Context())

    def run(self, job: Job) -> Reply:
        """Evaluate a script, or only parse it."""
        context = self._ready.pop() if self._ready else _Context()
        return context.parse(job) if job.kind is Kind.SYNTAX else context.evaluate(job)


class _Context:
    """A global scope, for one script."""

    def __init__(self) -> None:
        self._context = _quickjs.Context()
        self._context.set_memory_limit(MEMORY_BYTES)
        self._context.set_max_stack_size(_STACK_BYTES)
        self._run = self._context.eval(_PRELUDE)

    def evaluate(self, job: Job) -> Reply:
        console = self._context.eval(_CONSOLE) if job.console else None
        reply = self._evaluate(job, console)
        return reply if console is None else reply._replace(logs=_lines_of(console))

    def _evaluate(self, job: Job, console: Any) -> Reply:
        extras = [] if console is None else [console]
        try:
            expression, scope = job.expression.decode(), job.scope.decode()
            if _CALLS_JAVA.search(expression):
                extras.append(self._context.eval(_JAVA))
            self._context.set_time_limit(job.limit_ms / 1000)
            answer: str = self._run(expression, scope, *extras)
        except _quickjs.JSException as error:
            # What JavaScript itself cannot catch: the end of its time, or of its memory.
            return _uncaught(_first_line(error))
        except MemoryError:
            return _uncaught("null")
        except (TypeError, ValueError, SystemError) as error:
            return failed(f"Error evaluating the script `{error}`")
        return _fault(answer[1:]) if answer[0] == "!" else _value(answer)

    def parse(self, job: Job) -> Reply:
        """Whether the text is a script; nothing of it is run.

        The constructor of functions alone would run a text that closes the function around itself,
        such as ``});while(1);(function(){``. So the text first has to be a script by itself, behind
        a statement that ends it before it begins; the constructor then sees what ``"use strict"``
        at its head forbids. It is taken hold of before: a script's functions are there even when
        the script is not run, and one may be called ``Function``.
        """
        function = self._context.get("Function")
        try:
            text = job.expression.decode()
            fault = self._thrown(f"{_NOTHING_RUNS}\n{text}")
            if fault == _NOT_BEGUN:
                function(text)
                return Reply(Verdict.VALUE, b"null")
        except (_quickjs.JSException, ValueError) as error:
            fault = _first_line(error)
        return failed(fault)

    def _thrown(self, text: str) -> str:
        """What a text throws, which it does in any case."""
        try:
            self._context.get("eval")(text)
        except _quickjs.JSException as error:
            return _first_line(error)
        raise AssertionError("the text ends with what it throws")


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def _value(text: str) -> Reply:
    # A character is a byte or more: what is far too long is not encoded first.
    if len(text) > MOST_RESULT_BYTES or len(body := text.encode()) > MOST_RESULT_BYTES:
        return failed("the result is larger than 10 megabytes")
    if not _DOUBTFUL.search(text):
        return Reply(Verdict.VALUE, body)
    try:
        # JavaScript writes an integer beyond 2**53 with zeros at its end: it has no others.
        return reply_with(json.loads(text, parse_int=double, parse_float=double))
    except RecursionError:
        return failed("the result is nested too deeply")


def _fault(text: str) -> Reply:
    message, stack = json.loads(text)
    lines = (int(line) for line in _LINE.findall(stack))
    line = next((line for line in lines if line <= _OURS), None)
    return failed(f"Error evaluating the script `{message}`{f' at line {line}' if line else ''}")


def _uncaught(message: str) -> Reply:
    if message == "InternalError: interrupted":
        return Reply(Verdict.TIMED_OUT)
    # Sometimes there is not even enough memory left to say so.
    known = "InternalError: out of memory" if message == "null" else message
    return failed(f"Error evaluating the script `{known}`")


def _lines_of(console: Any) -> bytes:
    """What the script has logged, as JSON."""
    try:
        return str(console()).encode()
    except (_quickjs.JSException, ValueError, MemoryError):
        return b"[]"
