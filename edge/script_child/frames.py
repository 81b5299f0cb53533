"""The frames that the daemon and a script's process send each other: a job down, a reply up.

No file is read or written here.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

MOST_RESULT_BYTES = 10 * 1024 * 1024
"""Of a script's value as JSON: Conductor's own limit of a task's output."""

MOST_LOG_BYTES = 2 * 1024 * 1024
"""Of the lines that a script has logged, as JSON. The evaluators keep 100 lines of 2,000 characters,
of which each may take six bytes (``\\u0001``): 1.2 MB."""

_JOB = struct.Struct("!BBIII")
_REPLY = struct.Struct("!BII")


class BrokenFrame(Exception):
    """What came is no frame; whoever sent it cannot be trusted any more."""


class Kind(enum.IntEnum):
    """What is asked for."""

    VALUE = 1
    SYNTAX = 2
    """Only whether the text can be parsed."""


class Job(NamedTuple):
    """One script to be evaluated."""

    kind: Kind
    expression: bytes
    """UTF-8."""
    scope: bytes
    """What the script sees, as JSON."""
    limit_ms: int
    """How long it may take."""
    console: bool = False
    """Whether the script can write lines to a log."""


class Verdict(enum.IntEnum):
    """What a script came to."""

    VALUE = 1
    """The body is the value as JSON."""
    FAILED = 2
    """The body is what went wrong, as text."""
    TIMED_OUT = 3
    """There is no body."""


class Reply(NamedTuple):
    """The answer to one job; also the first sign of life of a process, as a value."""

    verdict: Verdict
    body: bytes = b""
    logs: bytes = b"[]"
    """The lines that it logged, as a JSON list of texts."""


JOB_HEAD = _JOB.size
REPLY_HEAD = _REPLY.size
MOST_REPLY_BYTES = REPLY_HEAD + MOST_RESULT_BYTES + MOST_LOG_BYTES


def encode_job(job: Job) -> bytes:
    """A job as bytes."""
    head = _JOB.pack(job.kind, job.console, job.limit_ms, len(job.expression), len(job.scope))
    return b"".join((head, job.expression, job.scope))


def job_sizes(head: bytes) -> tuple[int, int]:
    """Bytes of the expression and of the scope that follow a job's head."""
    _, _, _, expression, scope = _JOB.unpack(head)
    return expression, scope


def decode_job(head: bytes, expression: bytes, scope: bytes) -> Job:
    """A job from what has been read."""
    kind, console, limit_ms, _, _ = _JOB.unpack(head)
    return Job(Kind(kind), expression, scope, limit_ms, bool(console))


def encode_reply(reply: Reply) -> bytes:
    """A reply as bytes."""
    return b"".join(
        (_REPLY.pack(reply.verdict, len(reply.body), len(reply.logs)), reply.body, reply.logs)
    )


def decode_reply(received: bytes | bytearray) -> Reply | None:
    """The reply that has been received; None = there is more to come.

    Raises:
        BrokenFrame: this is no reply, or more than one.
    """
    if len(received) < REPLY_HEAD:
        return None
    verdict, body, logs = _REPLY.unpack_from(received)
    if body > MOST_RESULT_BYTES or logs > MOST_LOG_BYTES:
        raise BrokenFrame(f"a reply of {body} + {logs} bytes is larger than any may be")
    end = REPLY_HEAD + body + logs
    if len(received) < end:
        return None
    if len(received) > end:
        raise BrokenFrame("more has come than one reply")
    try:
        return Reply(
            Verdict(verdict),
            bytes(received[REPLY_HEAD : REPLY_HEAD + body]),
            bytes(received[REPLY_HEAD + body : end]),
        )
    except ValueError as error:
        raise BrokenFrame(str(error)) from error
