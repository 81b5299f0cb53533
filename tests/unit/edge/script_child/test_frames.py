"""The frames between the daemon and a script's process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.script_child.frames import (
    JOB_HEAD,
    MOST_LOG_BYTES,
    MOST_RESULT_BYTES,
    REPLY_HEAD,
    BrokenFrame,
    Job,
    Kind,
    Reply,
    Verdict,
    decode_job,
    decode_reply,
    encode_job,
    encode_reply,
    job_sizes,
)


@given(st.sampled_from(Kind), st.binary(), st.binary(), st.integers(0, 2**32 - 1), st.booleans())
def test_a_job_arrives_as_it_was_sent(
    kind: Kind, expression: bytes, scope: bytes, limit_ms: int, console: bool
) -> None:
    """Whatever bytes it holds."""
    job = Job(kind, expression, scope, limit_ms, console)
    frame = encode_job(job)
    head, rest = frame[:JOB_HEAD], frame[JOB_HEAD:]
    first, second = job_sizes(head)

    assert len(rest) == first + second
    assert job == decode_job(head, rest[:first], rest[first:])


@given(st.sampled_from(Verdict), st.binary(), st.binary())
def test_a_reply_arrives_as_it_was_sent(verdict: Verdict, body: bytes, logs: bytes) -> None:
    """As soon as the last byte is there, and not before."""
    reply = Reply(verdict, body, logs)
    frame = encode_reply(reply)

    assert reply == decode_reply(frame)
    assert all(decode_reply(frame[:size]) is None for size in range(len(frame)))


@pytest.mark.parametrize(
    "frame",
    [
        encode_reply(Reply(Verdict.VALUE, b"1")) + b"x",
        b"\x09" + encode_reply(Reply(Verdict.VALUE, b"1"))[1:],
        encode_reply(Reply(Verdict.VALUE, b"x" * (MOST_RESULT_BYTES + 1)))[:REPLY_HEAD],
        encode_reply(Reply(Verdict.VALUE, logs=b"x" * (MOST_LOG_BYTES + 1)))[:REPLY_HEAD],
    ],
)
def test_what_is_no_reply_is_refused(frame: bytes) -> None:
    """More than one, an unknown verdict, and sizes that nobody would wait for."""
    with pytest.raises(BrokenFrame):
        decode_reply(frame)
