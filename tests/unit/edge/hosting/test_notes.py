"""The pipe of a worker's process: what it says is taken in, and nothing of it is trusted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from edge.hosting.notes import InHand, Notes
from tests.unit.edge.manual_clock import ManualClock


def heard(say: Callable[[int], object]) -> Notes:
    """What is known after a process with the other end has said this and ended."""

    async def main() -> Notes:
        notes = Notes(ManualClock())
        process_end = os.dup(notes.writer)
        notes.started()
        say(process_end)
        os.close(process_end)
        notes.close()
        notes.close()
        return notes

    return asyncio.run(main())


def test_what_is_in_hand_is_known_after_the_end() -> None:
    """Each task from its poll to its report; half a line is none."""
    notes = heard(lambda pipe: os.write(pipe, b"+ w1 t1\n+ w1 t2\n- t1\n+ w2 t3"))

    assert {"t2": InHand("w1", 1_000)} == notes.in_hand
    assert (None, "", False) == (notes.tasks, notes.fault, notes.memory)


def test_what_it_says_of_itself() -> None:
    """Its tasks, why it could not load them, and that it has reached its limit."""
    notes = heard(
        lambda pipe: os.write(pipe, b'tasks ["a", "", 3, "b\\u0000"]\nfault no SDK\nmemory\n')
    )

    assert (["a"], "no SDK", True) == (notes.tasks, notes.fault, notes.memory)


def test_nonsense_is_bounded() -> None:
    """Words that mean nothing, names that are none, lines without an end, tasks without number."""

    def babble(pipe: int) -> None:
        os.write(pipe, b"hello\n\n+ only\ntasks {\ntasks 3\n\xff\xfe\n")

    assert ({}, []) == (heard(babble).in_hand, heard(babble).tasks)

    async def main() -> Notes:
        notes = Notes(ManualClock())
        process_end = os.dup(notes.writer)
        notes.started()
        many = "".join(f"+ w t{n}\n" for n in range(12_000)).encode()
        for text in (b"x" * 200_000, b"\n", many):
            for start in range(0, len(text), 30_000):
                os.write(process_end, text[start : start + 30_000])
                notes._read()
        os.close(process_end)
        notes.close()
        return notes

    notes = asyncio.run(main())
    assert 10_000 == len(notes.in_hand)
    assert len(notes._rest) <= 65_536


def test_readiness_is_told_at_once() -> None:
    """The loop hears of it without being asked."""

    async def main() -> None:
        notes, ready = Notes(ManualClock()), asyncio.Event()
        notes.on_ready(ready.set)
        process_end = os.dup(notes.writer)
        notes.started()
        os.write(process_end, b"ready\n")
        async with asyncio.timeout(25):
            await ready.wait()
        os.close(process_end)
        notes.close()

    asyncio.run(main())


def test_a_process_that_never_began_leaves_nothing_open() -> None:
    """Both ends are closed."""

    async def main() -> None:
        Notes(ManualClock()).close()

    before = len(list(Path("/proc/self/fd").iterdir()))
    asyncio.run(main())
    assert before == len(list(Path("/proc/self/fd").iterdir()))
