"""What runs in a worker's process: modules with ``@worker_task`` functions, and their polls.

Nothing of Baton is imported here: it is run as a script, by whatever Python has the SDK and the
modules. Who started it hears of it through a pipe: what it has in hand, and why it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import functools
import importlib
import importlib.util
import inspect
import json
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

NO_SDK = 70
NOT_LOADED = 71
OUT_OF_MEMORY = 72
"""Exit statuses with a meaning of their own; 0 = it was told to end."""

_PR_SET_PDEATHSIG = 1

_LAST_WORDS_BYTES = 64 * 1024 * 1024
"""What a worker gets on top of its limit when it has reached it: enough to report its task."""

_OOM_SCORE = 800
"""Of -1000 to 1000: when the machine runs out of memory, a worker goes before the daemon does."""

_NICENESS = 5
"""A worker that computes must not keep the daemon from answering."""


_OFFER_EVERY_S = 5.0
_MOST_OFFERS = 720
"""An hour: who is away for longer has handed the task to somebody else after its return."""


class Notes:
    """The pipe to who started this process: a line for each thing that he should know.

    Args:
        descriptor: of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - the signature is Python's own

    def write(self, *words: str) -> None:
        """One line; a reader that is gone is no fault of the worker's."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, (" ".join(words) + "\n").encode())


class Desk:
    """What this process has in hand: a task is noted when it is polled and when it is reported.

    Args:
        notes: where that is told.
        poll_ms: how long a poll may wait for a task; None = as the SDK says.
        answers_early: whether the server answers a poll as soon as one task is there. One of
            Conductor's own waits until there are as many as were asked for.
    """

    def __init__(self, notes: Notes, poll_ms: int | None, *, answers_early: bool = False) -> None:
        self._notes = notes
        self._poll_ms = poll_ms
        self._answers_early = answers_early
        self._lock = threading.Lock()
        self._in_hand: set[str] = set()
        self._polls = 0
        self._closing = False
        self._closed = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

    def close(self) -> None:
        """Take nothing more."""
        with self._lock:
            self._closing = True
        self._closed.set()

    def wait_closed(self, limit_s: float) -> bool:
        """Whether it has been closed within so many seconds."""
        return self._closed.wait(limit_s)

    def wait_idle(self, limit_s: float) -> bool:
        """Whether everything in hand has been reported within so many seconds."""
        return self._idle.wait(limit_s)

    @property
    def closing(self) -> bool:
        """Whether nothing more is to be taken."""
        return self._closing

    def begin_poll(self) -> bool:
        """Whether a poll may be sent."""
        with self._lock:
            if self._closing:
                return False
            self._polls += 1
            self._idle.clear()
            return True

    def end_poll(self, tasks: Iterable[Any]) -> None:
        """A poll has brought these."""
        with self._lock:
            self._polls -= 1
        self.take(*tasks)

    def take(self, *tasks: Any) -> None:
        """These are in hand from now on."""
        for task in tasks:
            self._notes.write("+", str(task.workflow_instance_id), str(task.task_id))
        with self._lock:
            self._in_hand.update(str(task.task_id) for task in tasks)
            self._settle()

    def reported(self, result: Any, following: Any = None) -> None:
        """A task has been reported, and another one came back for it."""
        if following is not None:
            self.take(following)
        if not result.extend_lease:
            self.let_go(str(result.task_id))

    def let_go(self, task_id: str) -> None:
        """This one is not in hand any more."""
        self._notes.write("-", task_id)
        with self._lock:
            self._in_hand.discard(task_id)
            self._settle()

    def timeout_ms(self, count: int, asked_ms: int) -> int:
        """How long a poll for so many tasks may wait."""
        if self._poll_ms is None or (count != 1 and not self._answers_early):
            return asked_ms
        return self._poll_ms

    def _settle(self) -> None:
        if self._in_hand or self._polls:
            self._idle.clear()
        else:
            self._idle.set()


class Client:
    """The SDK's client of the task API, seen from the desk; everything else goes straight through.

    Args:
        client: of the SDK.
        desk: of this process.
    """

    def __init__(self, client: Any, desk: Desk) -> None:
        self._client = client
        self._desk = desk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_poll(self, tasktype: str, **params: Any) -> Any:
        """Poll, unless the desk is closing."""
        if not self._desk.begin_poll():
            return []
        found: Any = []
        try:
            timeout = self._desk.timeout_ms(params.get("count", 1), params.get("timeout", 100))
            found = self._client.batch_poll(tasktype=tasktype, **{**params, "timeout": timeout})
        finally:
            self._desk.end_poll(found or [])
        return found

    def update_task(self, body: Any, **params: Any) -> Any:
        """Report a task."""
        answer = self._client.update_task(body=body, **params)
        self._desk.reported(body)
        return answer

    def update_task_v2(self, body: Any, **params: Any) -> Any:
        """Report a task and take the next one, unless the desk is closing."""
        if self._desk.closing:
            self.update_task(body)
            return None
        following = self._client.update_task_v2(body=body, **params)
        self._desk.reported(body, following)
        return following


class AsyncClient(Client):
    """The same over the SDK's asynchronous client."""

    async def batch_poll(self, tasktype: str, **params: Any) -> Any:
        """Poll, unless the desk is closing."""
        if not self._desk.begin_poll():
            return []
        found: Any = []
        try:
            timeout = self._desk.timeout_ms(params.get("count", 1), params.get("timeout", 100))
            params["timeout"] = timeout
            found = await self._client.batch_poll(tasktype=tasktype, **params)
        finally:
            self._desk.end_poll(found or [])
        return found

    async def update_task(self, body: Any, **params: Any) -> Any:
        """Report a task."""
        answer = await self._client.update_task(body=body, **params)
        self._desk.reported(body)
        return answer

    async def update_task_v2(self, body: Any, **params: Any) -> Any:
        """Report a task and take the next one, unless the desk is closing."""
        if self._desk.closing:
            await self.update_task(body)
            return None
        following = await self._client.update_task_v2(body=body, **params)
        self._desk.reported(body, following)
        return following


class Offers:
    """Offers a result again that the SDK has given up on, which it does after a minute.

    The SDK calls it on the thread that has the result, which takes no other task meanwhile.

    Args:
        desk: of this process.
        client: takes results; None = they are let go, as on an event loop, which must not wait.
    """

    def __init__(self, desk: Desk, client: Client | None = None) -> None:
        self._desk = desk
        self.client = client

    def on_task_update_failure(self, event: Any) -> None:
        """The SDK could not report this."""
        offers, why = 0, event.cause
        # What the server refuses once, it refuses always; one that is away comes back.
        while self.client is not None and not _is_refused(why) and offers < _MOST_OFFERS:
            if self._desk.wait_closed(_OFFER_EVERY_S):
                break
            offers += 1
            try:
                self.client.update_task(body=event.task_result)
                return
            except Exception as error:  # noqa: BLE001 - a rim: whatever the SDK's client raises
                why = error
        self._desk.let_go(str(event.task_id))


def _is_refused(error: Any) -> bool:
    status = getattr(error, "status", None)
    return isinstance(status, int) and 400 <= status < 500 and status not in (408, 429)


class Leaving:
    """Why this process ends, once it has to.

    A pipe and no lock: ``ask`` is called by a signal, which may come at any point.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._status: int | None = None

    def ask(self, status: int = 0) -> None:
        """End in order, with this status; the first reason counts."""
        if self._status is None:
            self._status = status
            os.write(self._writer, b".")

    def wait(self) -> int:
        """Return the status once there is one."""
        os.read(self._reader, 1)
        return self._status or 0


def guarded(function: Callable[..., Any], memory_mb: int, leaving: Leaving) -> Callable[..., Any]:
    """A worker's function that ends its process, in order, when it runs out of memory.

    A process that has met its limit once will meet it again: what it has piled up goes with it.
    """

    def last_words() -> MemoryError:
        _loosen()
        leaving.ask(OUT_OF_MEMORY)
        limit = f"its limit of {memory_mb} MB" if memory_mb else "the end of the machine's memory"
        return MemoryError(f"the worker has reached {limit}")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except MemoryError:
            raise last_words() from None

    @functools.wraps(function)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except MemoryError:
            raise last_words() from None

    return call_async if inspect.iscoroutinefunction(function) else call


def load(names: Iterable[str]) -> None:
    """Import modules, by name or by the path of their file.

    Raises:
        Exception: whatever a module raises.
    """
    for name in names:
        path = Path(name)
        if path.suffix != ".py" and path.name == name:
            importlib.import_module(name)
            continue
        # As when Python runs a file: its neighbours can be imported.
        folder = str(path.resolve().parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)


def confine(memory_mb: int, parent: int) -> None:
    """Die with the parent, be the first to go when memory is short, and keep to a limit of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # He died before he could be bound to.
        os._exit(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    if memory_mb:
        # Not RLIMIT_AS: it counts libraries that are mapped and what allocators set aside, so that
        # a limit that lets cv2 be imported would limit nothing. This counts what is written to.
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        soft = memory_mb * 1024 * 1024
        wanted = (soft, soft + _LAST_WORDS_BYTES)
        if most != resource.RLIM_INFINITY:
            wanted = (min(soft, most), min(wanted[1], most))
        resource.setrlimit(resource.RLIMIT_DATA, wanted)


def _loosen() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _workers(options: argparse.Namespace, leaving: Leaving) -> list[Any]:
    """The SDK's workers for the functions that this process runs."""
    from conductor.client.automator.task_handler import get_registered_workers

    found = []
    for worker in get_registered_workers():
        if options.task and worker.get_task_definition_name() not in options.task:
            continue
        if options.domain:
            worker.domain = options.domain
        if worker.worker_id == socket.gethostname():
            # The SDK's own name for a worker is the machine's; several of ours share that.
            worker.worker_id = f"{options.label}@{socket.gethostname()}"
        worker.execute_function = guarded(worker.execute_function, options.memory_mb, leaving)
        found.append(worker)
    return found


def _runner(worker: Any, configuration: Any, desk: Desk) -> Callable[[], Any]:
    """What runs one worker until the process ends."""
    from conductor.client.automator.async_task_runner import AsyncTaskRunner
    from conductor.client.automator.task_runner import TaskRunner

    class AtTheDesk(AsyncTaskRunner):  # type: ignore[misc]
        """Its client is made when it runs, so it is seen from the desk as it is made."""

        @property
        def async_task_client(self) -> Any:
            return self._seen

        @async_task_client.setter
        def async_task_client(self, client: Any) -> None:
            self._seen = client if client is None else AsyncClient(client, desk)

    if inspect.iscoroutinefunction(worker.execute_function):
        runner = AtTheDesk(worker, configuration, event_listeners=[Offers(desk)])
        return lambda: asyncio.run(runner.run())
    offers = Offers(desk)
    runner = TaskRunner(worker, configuration, event_listeners=[offers])
    runner.task_client = offers.client = Client(runner.task_client, desk)
    run: Callable[[], Any] = runner.run
    return run


def _serve(options: argparse.Namespace, notes: Notes) -> int:
    from conductor.client.configuration.configuration import Configuration

    leaving = Leaving()
    desk = Desk(notes, options.poll_ms or None, answers_early=options.answers_early)
    workers = _workers(options, leaving)
    configuration = Configuration(server_api_url=f"{options.url}/api")

    def run(worker: Any) -> None:
        try:
            _runner(worker, configuration, desk)()
        except BaseException:  # noqa: BLE001 - a rim: a worker may raise anything
            traceback.print_exc()
            leaving.ask(1)

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        leaving.ask()

    signal.signal(signal.SIGTERM, on_signal)
    # Ctrl-C goes to all in the foreground; the one who started us says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for worker in workers:
        name = worker.get_task_definition_name()
        threading.Thread(target=run, args=(worker,), name=name, daemon=True).start()
    notes.write("ready")
    status = leaving.wait()
    if status == OUT_OF_MEMORY:
        notes.write("memory")
    desk.close()
    desk.wait_idle(options.stop_within_s)
    return status


def _list(notes: Notes) -> int:
    """Tell which functions the modules hold."""
    from conductor.client.automator.task_handler import get_registered_workers

    names = {worker.get_task_definition_name() for worker in get_registered_workers()}
    notes.write("tasks", json.dumps(sorted(names)))
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--notes", type=int, required=True, help="descriptor of the pipe")
    parser.add_argument("--parent", type=int, required=True, help="process to die with")
    parser.add_argument("--url", default="")
    parser.add_argument("--label", default="worker")
    parser.add_argument("--domain", default="")
    parser.add_argument("--memory-mb", type=int, default=0)
    parser.add_argument("--poll-ms", type=int, default=0, help="0 = as the SDK does")
    parser.add_argument("--answers-early", action="store_true", help="the server is a Baton")
    parser.add_argument("--stop-within-s", type=float, default=10.0)
    parser.add_argument("--task", action="append", default=[], help="only these; none = all")
    parser.add_argument("--list", action="store_true", help="tell the tasks and end")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run a worker; returns the exit status."""
    options = _options(arguments)
    notes = Notes(options.notes)
    confine(options.memory_mb, options.parent)
    try:
        importlib.import_module("conductor.client.worker.worker_task")
    except ImportError as error:
        notes.write(
            "fault", f"the Python SDK is not installed: pip install conductor-python ({error})"
        )
        return NO_SDK
    try:
        load(options.modules)
    except MemoryError:
        _loosen()
        notes.write("memory")
        return OUT_OF_MEMORY
    except BaseException as error:  # noqa: BLE001 - a rim: a module may raise anything
        traceback.print_exc()
        words = " ".join(f"{type(error).__name__}: {error}".split())
        notes.write("fault", words[:500])
        return NOT_LOADED
    return _list(notes) if options.list else _serve(options, notes)


if __name__ == "__main__":
    # This folder is none that modules are looked for in.
    sys.path[0] = str(Path.cwd())
    ended = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: it would wait for functions that do not come to an end.
    os._exit(ended)
