"""Whole frames through pipes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from edge.script_child.frames import BrokenFrame, Job, Kind, Reply, Verdict, encode_job
from edge.script_child.pipes import Closed, read_job, read_reply, write_job, write_reply


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe; the test may have closed the second."""
    out, into = os.pipe()
    yield out, into
    for end in (out, into):
        try:
            os.close(end)
        except OSError:
            continue


def test_frames_larger_than_a_pipe_come_through(pipe: tuple[int, int]) -> None:
    """Piece by piece, one after the other."""
    out, into = pipe
    jobs = [Job(Kind.VALUE, b"x" * 300_000, b"y" * 200_000, 5), Job(Kind.SYNTAX, b"", b"", 0)]
    replies = [Reply(Verdict.VALUE, b"z" * 500_000), Reply(Verdict.TIMED_OUT, logs=b'["a"]')]

    def send(write: object, frames: list[object]) -> threading.Thread:
        thread = threading.Thread(target=lambda: [write(into, one) for one in frames])  # type: ignore[operator]
        thread.start()
        return thread

    sender = send(write_job, list(jobs))
    assert jobs == [read_job(out), read_job(out)]
    sender.join()
    sender = send(write_reply, [replies[0]])
    assert replies[0] == read_reply(out)
    sender.join()
    write_reply(into, replies[1])
    assert replies[1] == read_reply(out)


def test_the_end_is_told(pipe: tuple[int, int]) -> None:
    """Half a frame is none."""
    out, into = pipe
    os.write(into, encode_job(Job(Kind.VALUE, b"abc", b"", 1))[:-1])
    os.close(into)

    with pytest.raises(Closed):
        read_job(out)
    with pytest.raises(Closed):
        read_reply(out)


def test_what_is_no_reply_is_refused(pipe: tuple[int, int]) -> None:
    """A process that writes what it likes is not believed."""
    out, into = pipe
    os.write(into, b"\xff" * 100)

    with pytest.raises(BrokenFrame):
        read_reply(out)
