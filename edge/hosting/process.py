"""One worker's process, from its start to its end: what it says, and how it is ended.

When it is started again, and what becomes of its tasks, is the crew's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge.clock import Clock
from edge.cores import HOME
from edge.hosting.notes import Notes

_LINES_PER_S = 200
"""Lines that are read in a second; a process that writes more is held up by its own pipe."""

_LINE_CHARACTERS = 2_000
_CHUNK_BYTES = 8_192

_LAST_LINES_S = 1.0
"""What is left in the pipe of a dead process is read within this."""

_LOOK_S = 0.5
"""Between two looks at how long tasks have been in hand."""


class Process:
    """A process that runs ``child``. Make it with ``start``."""

    def __init__(
        self, process: asyncio.subprocess.Process, output: int, notes: Notes, clock: Clock
    ) -> None:
        self._process = process
        self._output = output
        self._clock = clock
        self._hung_s = 0.0
        self.notes = notes
        """What it has said of itself."""

    @classmethod
    async def start(
        cls, python: str, words: Sequence[str], environment: Mapping[str, str], clock: Clock
    ) -> Process:
        """Start one.

        Args:
            python: the interpreter.
            words: of its command line, the modules at the end.
            environment: all of it.
            clock: measures what it works on.

        Raises:
            OSError: there is no such interpreter, or the machine has no room for a process.
        """
        notes = Notes(clock)
        output, process_end = os.pipe()
        try:
            # It is made on this thread, before anything is waited for.
            with HOME.abroad():
                process = await asyncio.create_subprocess_exec(
                    python, str(_program()),
                    "--notes", str(notes.writer), "--parent", str(os.getpid()), *words,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=process_end,
                    stderr=asyncio.subprocess.STDOUT,
                    pass_fds=(notes.writer,),
                    # A Ctrl-C is for us, and what it starts can be ended with it.
                    start_new_session=True,
                    env=environment,
                )  # fmt: skip
        except BaseException:
            os.close(output)
            notes.close()
            raise
        finally:
            os.close(process_end)
        notes.started()
        return cls(process, output, notes, clock)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def why(self) -> str:
        """Why it has ended."""
        code = self._process.returncode
        if self._hung_s:
            return f"it worked on one task for longer than {self._hung_s:g} s"
        if self.notes.memory:
            return "it reached its memory limit"
        if self.notes.fault:
            return self.notes.fault
        if code is None or code == 0:
            return "it ended by itself"
        if code < 0:
            return f"it was killed by {_signal_name(-code)}"
        return f"it ended with status {code}"

    async def accompany(
        self,
        *,
        until: asyncio.Event,
        stop_within_s: float,
        task_limit_s: float,
        say: Callable[[str], None],
    ) -> None:
        """Hand on what it says until it has ended.

        Args:
            until: when this is set, it is told to end.
            stop_within_s: what it gets to do so; then it is killed.
            task_limit_s: it is killed when it works on one task for longer; 0 = never.
            say: takes each line.
        """
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(say))
                ending = group.create_task(self._end(until, stop_within_s))
                watching = group.create_task(self._watch(task_limit_s))
                await self._process.wait()
                # Whatever it has started goes with it, or would hold its pipes for ever.
                self.kill()
                ending.cancel()
                watching.cancel()
                await asyncio.wait([reading], timeout=_LAST_LINES_S)
                reading.cancel()
        finally:
            if self._process.returncode is None:
                self.kill()
                await self._process.wait()
            if self._output != -1:
                # It ended before anybody began to read.
                os.close(self._output)
            self.notes.close()

    def kill(self) -> None:
        """End it and all that it has started: they are a session of their own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _end(self, until: asyncio.Event, stop_within_s: float) -> None:
        await until.wait()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        await asyncio.sleep(stop_within_s)
        self.kill()

    async def _watch(self, task_limit_s: float) -> None:
        """Kill it when it hangs."""
        while task_limit_s:
            await asyncio.sleep(_LOOK_S)
            before_ms = self._clock.monotonic_ms() - task_limit_s * 1_000
            if any(one.since_ms < before_ms for one in self.notes.in_hand.values()):
                self._hung_s = task_limit_s
                self.kill()
                return

    async def _read(self, say: Callable[[str], None]) -> None:
        """Say each line, not more of them than anybody reads."""
        stream = asyncio.StreamReader()
        output, self._output = os.fdopen(self._output, "rb", 0), -1
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), output
        )
        try:
            await self._say_lines(stream, say)
        finally:
            transport.close()

    async def _say_lines(self, stream: asyncio.StreamReader, say: Callable[[str], None]) -> None:
        rest, lines = b"", 0
        second = self._clock.monotonic_ms() // 1_000
        while chunk := await stream.read(_CHUNK_BYTES):
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LINE_CHARACTERS:
                whole, rest = [*whole, rest], b""
            for line in whole:
                say(_text(line))
            lines += len(whole)
            now = self._clock.monotonic_ms() // 1_000
            if now != second:
                second, lines = now, 0
            elif lines > _LINES_PER_S:
                await asyncio.sleep(1.0)
        if rest:
            say(_text(rest))


def resident_bytes(pid: int) -> int:
    """Memory of a process; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _program() -> Path:
    """The script that runs in the process, found without running any of it."""
    spec = importlib.util.find_spec("edge.hosting.child")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")[:_LINE_CHARACTERS]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
