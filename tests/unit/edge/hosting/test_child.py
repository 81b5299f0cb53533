"""What runs in a worker's process: the desk, the limit, the modules; run whole in integration."""

from __future__ import annotations

import asyncio
import inspect
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conductor.client.http.models.task import Task
from conductor.client.http.models.task_result import TaskResult

from edge.hosting import child

LISTED = """
from conductor.client.worker.worker_task import worker_task

@worker_task(task_definition_name="b")
def one(): ...

@worker_task(task_definition_name="a")
async def two(): ...
"""


def task(task_id: str) -> Task:
    """A task as a poll brings it."""
    return Task(task_id=task_id, workflow_instance_id="w")


def result(task_id: str, *, extend: bool = False) -> TaskResult:
    """A report."""
    return TaskResult(task_id=task_id, workflow_instance_id="w", extend_lease=extend)


class Api:
    """The SDK's client: gives out what it was given, and remembers what it was asked."""

    def __init__(self, polled: list[Task], following: Task | None = None) -> None:
        self._polled = polled
        self._following = following
        self.asked: list[tuple[str, Any]] = []
        self.other = "seen"

    def batch_poll(self, tasktype: str, **params: Any) -> list[Task]:
        self.asked.append(("poll", params["timeout"]))
        return self._polled

    def update_task(self, body: Any) -> str:
        self.asked.append(("update", body.task_id))
        return "ok"

    def update_task_v2(self, body: Any) -> Task | None:
        self.asked.append(("update-v2", body.task_id))
        return self._following


class AsyncApi(Api):
    """The same, asynchronously."""

    async def batch_poll(self, tasktype: str, **params: Any) -> Any:  # type: ignore[override]
        return super().batch_poll(tasktype, **params)

    async def update_task(self, body: Any) -> str:  # type: ignore[override]
        return super().update_task(body)

    async def update_task_v2(self, body: Any) -> Task | None:
        return super().update_task_v2(body)


class Pipe:
    """Notes, and what has been written to them."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self.notes = child.Notes(self._writer)

    def lines(self) -> list[str]:
        """What has come since the last time."""
        try:
            return os.read(self._reader, 65_536).decode().splitlines()
        except BlockingIOError:
            return []


def test_a_task_is_noted_from_its_poll_to_its_report() -> None:
    """The next one that comes with a report is noted before the old one is let go."""
    pipe = Pipe()
    desk = child.Desk(pipe.notes, poll_ms=1_000)
    api = Api([task("t1")], following=task("t2"))
    client = child.Client(api, desk)

    assert ["t1"] == [one.task_id for one in client.batch_poll("x", count=1, timeout=100)]
    assert ["+ w t1"] == pipe.lines()
    assert not desk.wait_idle(0)
    assert "t2" == client.update_task_v2(body=result("t1")).task_id
    assert ["+ w t2", "- t1"] == pipe.lines()
    client.update_task(body=result("t2", extend=True))
    assert [] == pipe.lines()
    client.update_task(body=result("t2"))
    assert ["- t2"] == pipe.lines()
    assert desk.wait_idle(0)
    assert "seen" == client.other
    assert ("poll", 1_000) == api.asked[0]


def test_a_desk_that_closes_takes_nothing_more() -> None:
    """No poll is sent, and what is in hand is reported without asking for the next one."""
    pipe = Pipe()
    desk = child.Desk(pipe.notes, poll_ms=None)
    api = Api([task("t1")], following=task("t2"))
    client = child.Client(api, desk)
    client.batch_poll("x", count=3, timeout=100)
    desk.close()

    assert [] == client.batch_poll("x", count=1)
    assert client.update_task_v2(body=result("t1")) is None
    assert [("poll", 100), ("update", "t1")] == api.asked
    assert desk.wait_idle(0)


def test_polls_for_many_are_long_where_the_server_answers_early() -> None:
    """Elsewhere they would wait for all of them to be there."""
    late = child.Desk(Pipe().notes, poll_ms=1_000)
    early = child.Desk(Pipe().notes, poll_ms=1_000, answers_early=True)

    assert (1_000, 100) == (late.timeout_ms(1, 100), late.timeout_ms(3, 100))
    assert 1_000 == early.timeout_ms(3, 100)


def test_the_asynchronous_client_does_the_same() -> None:
    """Coroutines have a desk, too."""
    pipe = Pipe()
    desk = child.Desk(pipe.notes, poll_ms=1_000)
    api = AsyncApi([task("t1")], following=task("t2"))
    client = child.AsyncClient(api, desk)

    async def main() -> None:
        await client.batch_poll("x", count=2, timeout=100)
        await client.update_task_v2(body=result("t1"))
        desk.close()
        assert [] == await client.batch_poll("x", count=1)
        assert await client.update_task_v2(body=result("t2")) is None

    asyncio.run(main())
    assert ["+ w t1", "+ w t2", "- t1", "- t2"] == pipe.lines()
    assert [("poll", 100), ("update-v2", "t1"), ("update", "t2")] == api.asked


def test_a_poll_that_fails_is_no_poll() -> None:
    """The desk is idle again."""

    class Broken(Api):
        """A server that cannot be reached."""

        def batch_poll(self, tasktype: str, **params: Any) -> list[Task]:
            raise OSError("no route")

    desk = child.Desk(Pipe().notes, poll_ms=None)
    with pytest.raises(OSError, match="no route"):
        child.Client(Broken([]), desk).batch_poll("x", count=1, timeout=100)

    assert desk.wait_idle(0)


class Failure:
    """What the SDK says when it gives up on a report."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause
        self.task_id = "t1"
        self.task_result = result("t1")


class Refusal(Exception):
    """An answer that is no good, as the SDK raises it."""

    def __init__(self, status: int) -> None:
        self.status = status


class Away(Api):
    """A server that is away for the first reports."""

    def __init__(self, failures: int) -> None:
        super().__init__([task("t1")])
        self.failures = failures

    def update_task(self, body: Any) -> str:
        self.failures -= 1
        if self.failures >= 0:
            raise OSError("no route")
        return super().update_task(body)


def _offered(api: Api, cause: Exception, *, in_time: bool = True) -> tuple[child.Desk, list[str]]:
    """A desk after the SDK has given up on its task, and what was noted then."""

    class Hasty(child.Desk):
        """Does not wait; closes at once where the test says so."""

        def wait_closed(self, limit_s: float) -> bool:
            return not in_time

    pipe = Pipe()
    desk = Hasty(pipe.notes, None)
    client = child.Client(api, desk)
    client.batch_poll("x", count=1)
    pipe.lines()
    child.Offers(desk, client).on_task_update_failure(Failure(cause))
    return desk, pipe.lines()


def test_a_result_that_the_sdk_gives_up_on_is_offered_again() -> None:
    """Until the server is back: the SDK itself has forgotten it after a minute."""
    api = Away(3)
    desk, lines = _offered(api, OSError("no route"))

    assert [("poll", 100), ("update", "t1")] == api.asked
    assert ["- t1"] == lines
    assert desk.wait_idle(0)


@pytest.mark.parametrize(
    ("api", "cause", "in_time"),
    [
        (Api([task("t1")]), Refusal(404), True),
        (Away(10_000), OSError("no route"), True),
        (Away(0), OSError("no route"), False),
    ],
)
def test_a_result_that_nobody_takes_is_let_go(api: Api, cause: Exception, in_time: bool) -> None:
    """Refused for good, no answer for an hour, or the process is to end."""
    desk, lines = _offered(api, cause, in_time=in_time)

    assert [("poll", 100)] == api.asked
    assert ["- t1"] == lines
    assert desk.wait_idle(0)


def test_an_event_loop_does_not_wait() -> None:
    """Its task is let go, and its response timeout brings it back."""
    pipe = Pipe()
    desk = child.Desk(pipe.notes, None)
    desk.take(task("t1"))
    child.Offers(desk).on_task_update_failure(Failure(OSError("no route")))

    assert ["+ w t1", "- t1"] == pipe.lines()


def test_who_runs_out_of_memory_ends() -> None:
    """The task fails with the limit as its reason, and the process ends in order after it."""
    leaving = child.Leaving()

    def hungry(amount: int) -> None:
        raise MemoryError

    async def later(amount: int) -> None:
        raise MemoryError

    guarded = child.guarded(hungry, 150, leaving)
    with pytest.raises(MemoryError, match="limit of 150 MB"):
        guarded(1)

    assert child.OUT_OF_MEMORY == leaving.wait()
    assert ["amount"] == list(inspect.signature(guarded).parameters)
    with pytest.raises(MemoryError, match="machine's memory"):
        asyncio.run(child.guarded(later, 0, leaving)(1))
    assert 3 == child.guarded(lambda n: n + 1, 0, leaving)(2)


def test_the_first_reason_counts() -> None:
    """A second one while the process ends changes nothing."""
    leaving = child.Leaving()
    leaving.ask(child.OUT_OF_MEMORY)
    leaving.ask(0)

    assert child.OUT_OF_MEMORY == leaving.wait()


def test_modules_are_loaded_by_name_and_by_file(tmp_path: Path) -> None:
    """A file finds its neighbours; what is wrong with it is raised."""
    (tmp_path / "loaded_neighbour.py").write_text("VALUE = 3\n")
    (tmp_path / "loaded_file.py").write_text("from loaded_neighbour import VALUE\n")
    (tmp_path / "loaded_broken.py").write_text("raise RuntimeError('no')\n")
    before = list(sys.path)
    try:
        child.load(["json", str(tmp_path / "loaded_file.py")])

        assert 3 == sys.modules["loaded_file"].VALUE
        with pytest.raises(RuntimeError):
            child.load([str(tmp_path / "loaded_broken.py")])
        with pytest.raises(FileNotFoundError, match=r"nowhere\.py"):
            child.load([str(tmp_path / "nowhere.py")])
    finally:
        sys.path[:] = before
        for name in ("loaded_file", "loaded_neighbour", "loaded_broken"):
            sys.modules.pop(name, None)


def _run(folder: Path, *words: str, parent: int | None = None, flags: tuple[str, ...] = ()) -> Any:
    """The program as the crew starts it; what it noted, and how it ended."""
    reader, writer = os.pipe()
    program = inspect.getsourcefile(child)
    assert program is not None
    ended = subprocess.run(
        [
            sys.executable, *flags, program, "--notes", str(writer),
            "--parent", str(parent or os.getpid()), *words,
        ],
        pass_fds=(writer,), cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    os.close(writer)
    with os.fdopen(reader) as notes:
        return ended, notes.read()


def test_the_functions_of_a_module_are_listed(tmp_path: Path) -> None:
    """By the names of their tasks."""
    (tmp_path / "listed.py").write_text(LISTED)
    ended, notes = _run(tmp_path, "--list", "listed")

    assert (0, 'tasks ["a", "b"]\n') == (ended.returncode, notes)


def test_what_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    """A broken module, a missing SDK, a limit that does not even let it be imported."""
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "hungry.py").write_text("HOARD = [bytearray(1_000_000) for _ in range(10_000)]\n")
    broken, why = _run(tmp_path, "--list", "broken.py")
    # Without its own packages, the interpreter has no SDK.
    without, what = _run(tmp_path, "--list", "json", flags=("-S", "-I"))
    hungry, note = _run(tmp_path, "--list", "--memory-mb", "100", "hungry")

    assert (child.NOT_LOADED, "fault ZeroDivisionError: division by zero\n") == (
        broken.returncode, why,
    )  # fmt: skip
    assert "Traceback" in broken.stderr
    assert child.NO_SDK == without.returncode
    assert "pip install conductor-python" in what
    assert (child.OUT_OF_MEMORY, "memory\n") == (hungry.returncode, note)


def test_a_child_of_somebody_else_does_nothing(tmp_path: Path) -> None:
    """Who started it is gone already."""
    ended, notes = _run(tmp_path, "--list", "json", parent=1)

    assert (0, "") == (ended.returncode, notes)


def test_a_lower_limit_of_the_site_is_kept(tmp_path: Path) -> None:
    """Where processes may not have more anyway, ours is no error."""
    (tmp_path / "listed.py").write_text(LISTED)
    program = inspect.getsourcefile(child)
    lower = 200 * 1024 * 1024
    reader, writer = os.pipe()
    ended = subprocess.run(
        [
            sys.executable, str(program), "--notes", str(writer), "--parent", str(os.getpid()),
            "--memory-mb", "1000", "--list", "listed",
        ],
        pass_fds=(writer,), cwd=tmp_path, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (lower, lower)),
    )  # fmt: skip
    os.close(writer)
    os.close(reader)

    assert 0 == ended.returncode
