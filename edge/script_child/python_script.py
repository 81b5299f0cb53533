"""Python: the body of a function whose globals are the input, in a process for each script.

The names that a script finds are few, but it is the kernel's limits that hold it, not those.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import keyword
import os
import signal
import traceback
from json import dumps, loads
from types import MappingProxyType
from typing import Any

from edge.script_child import cage
from edge.script_child.frames import BrokenFrame, Job, Reply, Verdict
from edge.script_child.pipes import Closed, read_job, read_reply, write_job, write_reply
from edge.script_child.values import failed, reply_with, storable

_FILE = "<script>"

_MODULES = frozenset(
    {
        "base64",
        "bisect",
        "calendar",
        "collections",
        "copy",
        "datetime",
        "decimal",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "itertools",
        "json",
        "math",
        "operator",
        "random",
        "re",
        "statistics",
        "string",
        "textwrap",
        "time",
        "unicodedata",
        "urllib.parse",
        "uuid",
    }
)
"""What a script may import; nothing of it can do anything outside the process by itself."""

_WITHHELD = frozenset(
    {
        "__import__",
        "__loader__",
        "__spec__",
        "breakpoint",
        "compile",
        "copyright",
        "credits",
        "eval",
        "exec",
        "exit",
        "help",
        "input",
        "license",
        "memoryview",
        "open",
        "quit",
    }
)

_BUILTINS = MappingProxyType(
    {name: value for name, value in vars(builtins).items() if name not in _WITHHELD}
)

_OUT_OF_MEMORY = failed("MemoryError: the script used more memory than it may")

_MOST_LINES = 100
_MOST_LINE_CHARACTERS = 2000


class Python:
    """Evaluates Python: this process has all modules loaded, and a copy of it runs each script.

    Args:
        memory_bytes: what a script may use on top of what is there when it begins.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._next: _Copy | None = None
        self._last: _Copy | None = None
        for name in sorted(_MODULES):
            importlib.import_module(name)

    def prepare(self) -> None:
        """Have a copy ready for the next script: making one takes longer than most scripts."""
        if self._last is not None:
            self._last.end()
            self._last = None
        if self._next is None:
            self._next = _Copy(self._memory_bytes)

    def run(self, job: Job) -> Reply:
        """Run a script in a copy of this process, which cannot harm this one."""
        self.prepare()
        self._last, self._next = self._next, None
        assert self._last is not None
        return self._last.run(job)


class _Copy:
    """A copy of this process that evaluates one script."""

    def __init__(self, memory_bytes: int) -> None:
        jobs, self._jobs = os.pipe()
        self._replies, replies = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            # Nothing of the original goes on in the copy, whatever happens.
            try:
                for inherited in (0, 1, self._jobs, self._replies):
                    os.close(inherited)
                cage.end_with_parent()
                cage.enter(memory_bytes)
                _serve_once(jobs, replies)
            finally:
                os._exit(0)
        os.close(jobs)
        os.close(replies)

    def run(self, job: Job) -> Reply:
        """Have it evaluate the script, and take its word only if it makes sense.

        It is stopped by its own alarm; should it escape that, the daemon ends both of us.
        """
        try:
            write_job(self._jobs, job)
            return read_reply(self._replies)
        except (BrokenFrame, Closed, OSError):
            return _judged(self.end())

    def end(self) -> int:
        """See that it has ended; returns its status. Nothing happens the second time."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            _, self._status = os.waitpid(self._pid, 0)
            os.close(self._jobs)
            os.close(self._replies)
            self._pid = 0
        return self._status


def _serve_once(jobs: int, replies: int) -> None:
    try:
        job = read_job(jobs)
        cage.end_after(job.limit_ms)
        reply = evaluate(job)
    except MemoryError:
        reply = _OUT_OF_MEMORY
    write_reply(replies, reply)


def _judged(status: int) -> Reply:
    """What a copy came to that has ended without a reply."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGALRM:
            return Reply(Verdict.TIMED_OUT)
        return failed(f"the script ended its process by {signal.Signals(number).name}")
    return failed("the script ended its process")


def evaluate(job: Job) -> Reply:
    """Evaluate a script in this process."""
    log = _Log()
    try:
        scope: dict[str, Any] = loads(job.scope)
        function = _compiled(job.expression.decode(), scope)
        scope["__name__"] = "script"
        scope["__builtins__"] = {**_BUILTINS, "__import__": _import, "print": log.print}
        exec(function, scope)  # noqa: S102 - this is what the process is for
        reply = reply_with(storable(scope["__script__"]()))
    except MemoryError:
        reply = _OUT_OF_MEMORY
    except BaseException as error:  # noqa: BLE001 - a rim: a script may raise anything
        reply = failed(_spoken(error) + _place_of(error))
    return reply._replace(logs=log.encoded()) if job.console else reply


def _compiled(text: str, scope: dict[str, Any]) -> Any:
    """The text as the body of a function, in which the input's names are global.

    Lines keep their numbers.
    """
    body = ast.parse(_dedented(text), _FILE).body
    module = ast.parse("def __script__(): pass", _FILE)
    function = module.body[0]
    assert isinstance(function, ast.FunctionDef)
    names = [name for name in scope if name.isidentifier() and not keyword.iskeyword(name)]
    if names:
        declaration = ast.Global(names)
        function.body.append(ast.copy_location(declaration, function.body[0]))
    function.body += body
    return compile(module, _FILE, "exec")


def _dedented(text: str) -> str:
    """The text without the indentation of its first line, where all lines share it."""
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    margin = first[: len(first) - len(first.lstrip())]
    if not margin or any(line.strip() and not line.startswith(margin) for line in lines):
        return text
    return "\n".join(line.removeprefix(margin) for line in lines)


def _import(
    name: str,
    globals_: dict[str, Any] | None = None,
    locals_: dict[str, Any] | None = None,
    fromlist: tuple[str, ...] = (),
    level: int = 0,
) -> Any:
    """``import`` of what is loaded already and meant for scripts."""
    if level or name not in _MODULES | {"urllib"}:
        raise ImportError(
            f"a script cannot import {name}; it may import {', '.join(sorted(_MODULES))}"
        )
    return __import__(name, globals_, locals_, fromlist, level)


class _Log:
    """What a script prints, which is all that it can write."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def print(self, *values: Any, sep: str | None = " ", **_: Any) -> None:
        if len(self._lines) > _MOST_LINES:
            return
        if len(self._lines) == _MOST_LINES:
            self._lines.append("(further lines are left out)")
            return
        line = (" " if sep is None else sep).join(str(value) for value in values)
        if len(line) > _MOST_LINE_CHARACTERS:
            line = line[:_MOST_LINE_CHARACTERS] + "..."
        self._lines.append(f'[Log] "{line}"')

    def encoded(self) -> bytes:
        return dumps(self._lines, ensure_ascii=False).encode(errors="replace")


def _spoken(error: BaseException) -> str:
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # noqa: BLE001 - a rim: the script's own exception may be broken too
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place_of(error: BaseException) -> str:
    """Where in the script; nothing where that is not known."""
    if isinstance(error, SyntaxError):
        line = error.lineno
    else:
        frames = traceback.walk_tb(error.__traceback__)
        own = [number for frame, number in frames if frame.f_code.co_filename == _FILE]
        line = own[-1] if own else None
    return f" at line {line}" if line else ""
