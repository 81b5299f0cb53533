"""Whole frames through pipes, for the processes of scripts, which wait for nothing else.

What is in a frame does not matter here.
"""

from __future__ import annotations

import os

from edge.script_child.frames import (
    JOB_HEAD,
    MOST_REPLY_BYTES,
    BrokenFrame,
    Job,
    Reply,
    decode_job,
    decode_reply,
    encode_job,
    encode_reply,
    job_sizes,
)

_CHUNK_BYTES = 1 << 16


class Closed(Exception):
    """The other end is closed, and no whole frame has come."""


def read_job(source: int) -> Job:
    """The next job.

    Raises:
        Closed: there will be none.
    """
    head = _read(source, JOB_HEAD)
    expression, scope = job_sizes(head)
    return decode_job(head, _read(source, expression), _read(source, scope))


def write_job(target: int, job: Job) -> None:
    """Write a job."""
    _write(target, encode_job(job))


def read_reply(source: int) -> Reply:
    """The next reply.

    Raises:
        Closed: there will be none.
        BrokenFrame: what came is none.
    """
    received = bytearray()
    while len(received) <= MOST_REPLY_BYTES:
        chunk = os.read(source, _CHUNK_BYTES)
        if not chunk:
            raise Closed
        received += chunk
        reply = decode_reply(received)
        if reply is not None:
            return reply
    raise BrokenFrame("more has come than any reply holds")


def write_reply(target: int, reply: Reply) -> None:
    """Write a reply."""
    _write(target, encode_reply(reply))


def _read(source: int, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = os.read(source, min(size - len(received), _CHUNK_BYTES))
        if not chunk:
            raise Closed
        received += chunk
    return bytes(received)


def _write(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
