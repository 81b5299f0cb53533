"""JavaScript in a real engine, with a limit of time, memory and stack.

A script sees its input and nothing else: no files, no network, no clock but the date.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import quickjs

from edge.decider.scripts import ScriptFailed, ScriptTimedOut
from edge.model.definitions import JsonObject

_MEMORY_BYTES = 64 * 1024 * 1024
_STACK_BYTES = 512 * 1024
_LINE = re.compile(r"<input>:(\d+)")
_INT_LIMIT = 2**63
_SYNTAX_CHECK_S = 0.5


class QuickScripts:
    """Evaluates scripts with QuickJS, each in a context of its own, so that none sees another.

    Args:
        time_limit_s: CPU seconds of one script. Scripts run between BEGIN and COMMIT, and all
            other work waits for them, so the limit is short.
    """

    def __init__(self, time_limit_s: float = 1.0) -> None:
        self._time_limit_s = time_limit_s

    def evaluate(
        self,
        expression: str,
        scope: JsonObject,
        evaluator: str = "javascript",  # noqa: ARG002 - the only one so far
        log: list[str] | None = None,  # noqa: ARG002 - no script has a console yet
    ) -> Any:
        """Completion value of ``expression`` with ``$`` = ``scope``.

        Raises:
            ScriptTimedOut: the time limit has passed.
            ScriptFailed: the script raised, is no valid script or used too much memory.
        """
        try:
            context = quickjs.Context()
            context.set_memory_limit(_MEMORY_BYTES)
            context.set_max_stack_size(_STACK_BYTES)
            context.set_time_limit(self._time_limit_s)
            context.set("$", context.parse_json(msgspec.json.encode(scope).decode()))
            return _to_json_value(context.eval(expression))
        except quickjs.JSException as error:
            raise self._failure(str(error)) from error
        except (TypeError, ValueError, UnicodeEncodeError, msgspec.DecodeError) as error:
            raise ScriptFailed(f"Error evaluating the script `{error}`") from error

    def _failure(self, message: str) -> ScriptFailed:
        first = message.split("\n", 1)[0]
        if first == "InternalError: interrupted":
            return ScriptTimedOut(
                f"Script not evaluated within {self._time_limit_s:g} seconds, interrupted."
            )
        line = _LINE.search(message)
        place = f" at line {line[1]}" if line else ""
        return ScriptFailed(f"Error evaluating the script `{first}`{place}")


def _to_json_value(value: Any) -> Any:
    if isinstance(value, quickjs.Object):
        text = value.json()
        # A function has no JSON; it is stored as an object without members.
        return {} if text is None else msgspec.json.decode(text)
    if isinstance(value, float) and value.is_integer() and abs(value) < _INT_LIMIT:
        return int(value)
    return value


def syntax_error(expression: str) -> str | None:
    """What is wrong with a script's syntax; None = nothing. The script is not run."""
    try:
        expression.encode()
        context = quickjs.Context()
        context.set_memory_limit(_MEMORY_BYTES)
        context.set_max_stack_size(_STACK_BYTES)
        context.set_time_limit(_SYNTAX_CHECK_S)
        # The constructor parses its argument as a function's body and does not run it. A script
        # is no function's body, but all that a completion value adds is legal there too.
        context.get("Function")(expression)
    except quickjs.JSException as error:
        return str(error).split("\n", 1)[0]
    except (TypeError, ValueError, UnicodeEncodeError) as error:
        return str(error)
    return None
