"""What later releases add (I-18): ignored where it is a key, stored where it is a kind."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from sync import frames, receiver
from sync.control_plane import projection, truth
from sync.database import in_transaction
from sync.frames import Ack, Hello
from sync.orders import Position
from sync.records import Lane, Record, TaskRecord, decode_body, encode_body

TOPIC = "baton/1/default/roof/up/2"


def with_more(body: bytes) -> bytes:
    """The same map with keys that nobody knows here."""
    found: dict[str, Any] = msgspec.msgpack.decode(body)
    return msgspec.msgpack.encode({**found, "zz": [1, {"a": None}], "later": b"x"})


def test_what_a_later_release_adds_is_ignored() -> None:
    """In bodies, hellos and acknowledgements; what an older one leaves out has its default."""
    task = TaskRecord("w", "t", 1, "r", "SIMPLE", "n", "COMPLETED", 5)
    ack = Ack(epoch=1, cursors={Lane.HISTORY: 5}, credit_bytes=1, server_ms=1)
    hello = Hello(boot=1, nonce=2, lanes={}, orders=Position(3, "x"), run=b"r")
    old = {"b": 1, "n": 2, "l": {}}

    assert task == decode_body("task", with_more(encode_body(task)))
    assert ack == frames.decode_ack(with_more(frames.encode_ack(ack)))
    assert hello == msgspec.msgpack.decode(with_more(msgspec.msgpack.encode(hello)), type=Hello)
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Hello)
    assert (None, {}, b"") == (read.orders, read.first, read.run)


def test_a_kind_of_a_later_release_is_stored() -> None:
    """Its bytes are kept as they came; the records beside it are shown; it waits for its release."""
    disk = sqlite3.connect(":memory:", isolation_level=None)
    in_transaction(disk, truth.create_schema)
    task = encode_body(TaskRecord("w", "t", 1, "r", "SIMPLE", "n", "COMPLETED", 5))
    records = [
        Record(Lane.HISTORY, 1, "hologram", 1, 1, b"\x81\xa1h\x01"),
        Record(Lane.HISTORY, 2, "task", 1, 1, task),
    ]
    payload = frames.encode(records, epoch=1, oldest_seq=1)
    arrival = receiver.read(TOPIC, payload, received_ms=1)
    assert arrival is not None
    (answer,) = in_transaction(disk, lambda one: truth.commit(one, [arrival], now_ms=1))
    in_transaction(disk, lambda one: projection.project(one, limit=9))

    assert {Lane.HISTORY: 2} == frames.decode_ack(answer.payload).cursors
    assert [(payload,)] == disk.execute("SELECT payload FROM segment").fetchall()
    assert [("hologram", 1)] == disk.execute("SELECT kind, seq FROM unread").fetchall()
    assert [("t",)] == disk.execute("SELECT task_id FROM task").fetchall()
    disk.close()
