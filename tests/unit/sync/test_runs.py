"""A run on its way: as it is kept where it may, record by record where not."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from sync import frames
from sync.codecs import Codec
from sync.pace import LEAST_BYTES, Pace
from sync.records import Lane, Record
from sync.runs import Run
from sync.session import Session
from tests.unit.sync.test_session import Playbook, ranges


def a_run(codec: Codec = Codec.ZLIB, count: int = 300) -> Run:
    """Records 1 to so many of another history, kept in a frame."""
    records = [
        Record(Lane.URGENT, at, "task", at, 1, sha256(b"%d" % at).digest())
        for at in range(41, 41 + count)
    ]
    frame = frames.encode(records, epoch=1, oldest_seq=1, codec=codec)
    return Run(Lane.HISTORY, 1, frames.check(frame), frame)


def test_a_run_travels_as_it_is_kept() -> None:
    """Under the numbers of its history, its body untouched; what follows it goes on from there."""
    book, run = Playbook(written=302).streaming(), a_run()

    assert book.session.offer(Lane.HISTORY, run)
    (message,) = book.session.to_send(book.now_s)
    sent = frames.decode(message.payload)
    assert "up/2" == message.suffix
    assert (3, 1, 300, 1) == (
        sent.header.epoch, sent.header.first_seq, sent.header.count, sent.header.oldest_seq
    )  # fmt: skip
    assert message.payload[frames.HEADER_BYTES :] == run.frame[frames.HEADER_BYTES :]
    assert run.unpack() == list(sent.records)
    assert not book.session.offer(Lane.HISTORY, run)
    book.ack({Lane.HISTORY: 300})
    assert {Lane.HISTORY: 300} == book.session.take_durable()
    assert [(Lane.HISTORY, 301, 302)] == ranges(book.pump())


def test_a_run_is_unpacked_where_it_may_not_travel() -> None:
    """A codec that the control plane has not offered, or more than the link is to have at once."""
    book, strange = Playbook(written=300).streaming(), a_run(Codec.ZSTD)
    assert book.session.offer(Lane.HISTORY, strange)
    (message,) = book.session.to_send(book.now_s)
    whole = frames.decode(message.payload)
    assert (Codec.ZLIB, 300) == (whole.header.codec, whole.header.count)
    assert tuple(strange.unpack()) == whole.records

    narrow = Playbook(written=300)
    narrow.session = Session(
        epoch=3, boot=2, version="1", acked={}, pace=Pace(first_bytes=2 * LEAST_BYTES)
    )
    narrow.session.note_bounds({Lane.HISTORY: (1, 300)})
    narrow.streaming()
    assert narrow.session.offer(Lane.HISTORY, a_run())
    parts = [frames.decode(one.payload) for one in narrow.session.to_send(narrow.now_s)]
    assert parts
    assert all(part.header.count < 300 for part in parts)


def test_records_of_a_run_that_cannot_be_read_are_hollow() -> None:
    """It is sent as records without bodies, and the lane goes on."""
    run = a_run(Codec.NONE, 3)
    cut = run.frame[:-1]
    broken = msgspec.structs.replace(
        run, header=msgspec.structs.replace(run.header, codec=99), frame=cut
    )
    book = Playbook(written=3).streaming()

    assert book.session.offer(Lane.HISTORY, broken)
    (message,) = book.session.to_send(book.now_s)
    found = frames.decode(message.payload).records
    assert [(1, b""), (2, b""), (3, b"")] == [(one.seq, one.body) for one in found]
