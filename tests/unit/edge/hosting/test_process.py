"""One process: its lines are handed on, its end is explained, and nothing of it is left over."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.hosting.process import Process, resident_bytes
from tests.unit.edge.hosting.programs import program


def lived(
    folder: Path,
    text: str,
    *,
    stop: bool = False,
    stop_within_s: float = 20.0,
    task_limit_s: float = 0.0,
) -> tuple[Process, list[str]]:
    """A process from its start to its end, and what it said; told to end at its first line."""

    async def main() -> tuple[Process, list[str]]:
        until, lines = asyncio.Event(), list[str]()

        def say(line: str) -> None:
            lines.append(line)
            if stop:
                until.set()

        process = await Process.start(program(folder, text), [], dict(os.environ), SystemClock())
        async with asyncio.timeout(25):
            await process.accompany(
                until=until, stop_within_s=stop_within_s, task_limit_s=task_limit_s, say=say
            )
        return process, lines

    return asyncio.run(main())


def test_its_lines_are_handed_on(tmp_path: Path) -> None:
    """Both of its streams, to the last line, which need not end; a long one is cut."""
    _, lines = lived(tmp_path, "echo one; echo two >&2; printf '%05000d\\n' 0; printf last")

    assert {"one", "two", "last"} <= set(lines)
    assert 2_000 == max(map(len, lines))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("exit 0", "it ended by itself"),
        ("exit 3", "it ended with status 3"),
        ("kill -9 $$", "it was killed by SIGKILL"),
        ("note memory; exit 72", "it reached its memory limit"),
        ("note fault no SDK; exit 70", "no SDK"),
    ],
)
def test_its_end_is_explained(tmp_path: Path, text: str, why: str) -> None:
    """By what it said itself, by its signal, by its status."""
    process, _ = lived(tmp_path, text)

    assert why == process.why


def test_it_is_told_to_end(tmp_path: Path) -> None:
    """SIGTERM lets it finish; one that does not listen is killed when its time is over."""
    gentle, _ = lived(
        tmp_path, "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done", stop=True
    )
    deaf, _ = lived(
        tmp_path,
        "trap '' TERM; echo up; while :; do sleep 0.05; done",
        stop=True,
        stop_within_s=0.2,
    )

    assert "it ended by itself" == gentle.why
    assert "it was killed by SIGKILL" == deaf.why


def test_a_task_that_takes_too_long_ends_it(tmp_path: Path) -> None:
    """It is taken to hang."""
    process, _ = lived(tmp_path, "note + w t; sleep 30", task_limit_s=0.2)

    assert "it worked on one task for longer than 0.2 s" == process.why
    assert "t" in process.notes.in_hand


def test_what_it_has_started_ends_with_it(tmp_path: Path) -> None:
    """A child that holds the pipe does not hold us up, and is not left over."""
    _, (pid,) = lived(tmp_path, "sleep 60 & echo $!")

    async def gone() -> None:
        state = Path(f"/proc/{pid}/stat")
        async with asyncio.timeout(25):
            # What nobody waits for may still be listed, as dead.
            while state.exists() and state.read_text().split()[2] != "Z":  # noqa: ASYNC240
                await asyncio.sleep(0.01)

    asyncio.run(gone())


def test_a_flood_of_lines_is_held_up(tmp_path: Path) -> None:
    """Hundreds a second are read, not all that it can write."""
    process, lines = lived(tmp_path, "note + w t; while :; do echo flood; done", task_limit_s=1.0)

    assert "longer than" in process.why
    assert 0 < len(lines) < 20_000


def test_no_interpreter(tmp_path: Path) -> None:
    """It is told, and no pipe is left open."""

    async def main() -> None:
        with pytest.raises(OSError, match="nowhere"):
            await Process.start(str(tmp_path / "nowhere"), [], {}, SystemClock())

    before = len(list(Path("/proc/self/fd").iterdir()))
    asyncio.run(main())
    assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_memory_of_a_process_that_is_gone() -> None:
    """It has none."""
    assert 0 == resident_bytes(2**22 + 1)
    assert resident_bytes(os.getpid()) > 1_000_000
