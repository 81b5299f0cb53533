"""jq: a program over a document, whose value is the list of all that it emits.

No time limit stands here: libjq cannot be interrupted, so its process is ended.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from typing import Any

import jq

from edge.script_child.frames import MOST_RESULT_BYTES, Job, Reply
from edge.script_child.values import double, failed, integer, reply_with

_WITHOUT_ENVIRONMENT = b"{} as $ENV | def env: {}; "
"""Stands before programs that may ask for the process's environment: it is nobody's business. What
is set there, the time zone, is needed for local times."""

_PROGRAMS = 32
"""Compiled programs that are kept: compiling takes two hundred times as long as a short run."""


_INDEX = re.compile(r'(Cannot index \w+ with (?:number|string))(?: \(("[^\n]*")\)| \([^"\n]*\))')
"""What this jq says of a key that fits nothing."""


class Jq:
    """Evaluates jq programs."""

    def __init__(self) -> None:
        self._programs: OrderedDict[bytes, Any] = OrderedDict()

    def prepare(self) -> None:
        """Nothing has to be made ready."""

    def run(self, job: Job) -> Reply:
        """Run a program."""
        try:
            text: str = self._program(job.expression).input_text(job.scope.decode()).text()
            if len(text) > MOST_RESULT_BYTES:
                return failed("the result is larger than 10 megabytes")
            # What is emitted comes line by line.
            emitted = f"[{','.join(text.split(chr(10)))}]" if text else "[]"
            return reply_with(json.loads(emitted, parse_float=double, parse_int=integer))
        except RecursionError:
            return failed("the result is nested too deeply")
        except MemoryError:
            return failed("the program used more memory than a script may")
        except ValueError as error:
            return failed(_as_conductor_says(str(error)))

    def _program(self, expression: bytes) -> Any:
        program = self._programs.pop(expression, None)
        if program is None:
            program = jq.compile(_shielded(expression).decode())
        self._programs[expression] = program
        if len(self._programs) > _PROGRAMS:
            self._programs.popitem(last=False)
        return program


def _shielded(expression: bytes) -> bytes:
    """The program, which sees an empty environment; errors keep their columns in all others."""
    asks = b"env" in expression or b"ENV" in expression
    return _WITHOUT_ENVIRONMENT + expression if asks else expression


def _as_conductor_says(text: str) -> str:
    """The complaint of the jq that Conductor has, which authors and their clients know."""
    found = _INDEX.fullmatch(text)
    if found is None:
        return text
    return found[1] if found[2] is None else f"{found[1]} {found[2]}"
