"""The uplink's leaves: which files it reads."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec
import pytest

from sync import evidence_files, frames, topics, uplink
from sync.evidence_files import Folders
from sync.frames import Ack
from sync.identity import Identity
from sync.link import Broker, NotTaken, Received, Wire
from sync.records import ClockRecord, EvidenceRecord, Lane, Record, decode_body, encode_body
from sync.session import Measured, Session, State
from sync.uplink import Uplink

SIZE_BYTES = 130_000


def evidence(path: str, index: int = 0, size_bytes: int = SIZE_BYTES) -> Record:
    """A record that names a chunk of a file."""
    body = EvidenceRecord("w1", "t1", "k", "image/jpeg", "00", size_bytes, path, index, 3)
    return Record(Lane.BULK, 1 + index, "evidence", 1, 1, encode_body(body))


def filled(record: Record, root: Path) -> EvidenceRecord:
    """The body after its content was looked for."""
    body = decode_body("evidence", evidence_files.with_content(record, Folders(root)).body)
    assert isinstance(body, EvidenceRecord)
    return body


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An evidence folder with one file, and a secret beside it."""
    root = tmp_path / "evidence"
    (root / "w1").mkdir(parents=True)
    (root / "w1" / "a.jpg").write_bytes(b"ab" * (SIZE_BYTES // 2))
    (tmp_path / "secret").write_bytes(b"ab" * (SIZE_BYTES // 2))
    (root / "link").symlink_to(tmp_path / "secret")
    return root


def test_a_file_is_read_in_chunks(root: Path) -> None:
    """Two full chunks and the rest."""
    sizes = [len(filled(evidence("w1/a.jpg", index), root).content) for index in range(3)]

    assert [60_000, 60_000, 10_000] == sizes


@pytest.mark.parametrize("path", ["w1/none.jpg", "../secret", "/etc/passwd", "link", "w1", "a\0b"])
def test_nothing_outside_the_root_is_read(root: Path, path: str) -> None:
    """A file that is gone, or lies elsewhere by any trick, is reported as missing."""
    body = filled(evidence(path), root)

    assert (b"", True) == (body.content, body.missing)


def test_another_file_of_that_name_is_missing(root: Path) -> None:
    """A file of another size is not the one that was recorded."""
    assert filled(evidence("w1/a.jpg", size_bytes=SIZE_BYTES - 1), root).missing


def test_what_is_no_evidence_is_left_alone(root: Path) -> None:
    """Unreadable bodies travel as they are; the control plane sets them aside."""
    record = msgspec.structs.replace(evidence("w1/a.jpg"), body=b"\xc1")

    assert record == evidence_files.with_content(record, Folders(root))


def test_memory_is_bounded_by_what_one_read_may_fill(root: Path) -> None:
    """However many chunks wait, only some 400 KB of them are held at once."""
    records = [evidence("w1/a.jpg", index % 2) for index in range(500)]

    taken = evidence_files.with_contents(records, Folders(root), uplink.READ_BYTES)

    assert uplink.READ_BYTES <= sum(len(one.body) for one in taken) < uplink.READ_BYTES + 61_000


class _FullOnce:
    """An outbox whose disk refuses the first time."""

    def __init__(self) -> None:
        self.kept: list[dict[Lane, int]] = []
        self._full = True

    async def acknowledge(self, _: int, cursors: Mapping[Lane, int]) -> None:
        if self._full:
            self._full = False
            raise NotTaken("full")
        self.kept.append(dict(cursors))


class _Moves:
    """A session whose cursors have moved once."""

    epoch = 1

    def __init__(self) -> None:
        self._moved = {Lane.HISTORY: 7}

    def take_durable(self) -> dict[Lane, int]:
        moved, self._moved = self._moved, {}
        return moved


def _uplink(outbox: uplink.Outbox, chronicle: uplink.Chronicle | None = None) -> Uplink:
    return Uplink(
        broker=Broker(),
        identity=Identity("default", "roof", bytes(32)),
        outbox=outbox,
        publications=None,
        folders=Folders(Path()),
        boot=1,
        version="1",
        now_ms=lambda: 0,
        chance=random.Random(1),
        chronicle=chronicle,
    )


def test_a_cursor_that_the_disk_refuses_is_kept_later() -> None:
    """It moves once, and the session does not tell of it again."""
    outbox = _FullOnce()
    link = _uplink(cast(uplink.Outbox, outbox))

    async def twice() -> None:
        session = cast(Session, _Moves())
        with pytest.raises(NotTaken):
            await link._keep_cursors(session)
        for _ in range(2):
            await link._keep_cursors(session)

    asyncio.run(twice())
    assert [{Lane.HISTORY: 7}] == outbox.kept


class _Pruned:
    """An outbox that holds the last two of 27 records; whoever remembers more is late."""

    epoch = 1

    async def bounds(self) -> Mapping[Lane, tuple[int, int]]:
        return {Lane.HISTORY: (26, 27)}

    async def look(
        self, after: Mapping[Lane, int]
    ) -> tuple[Mapping[Lane, tuple[int, int]], Mapping[Lane, list[Record]]]:
        del after
        return await self.bounds(), {}

    async def read(self, lane: Lane, after_seq: int, limit: int, max_bytes: int) -> list[Record]:
        return [Record(lane, seq, "task", 1, 1, b"{}") for seq in (26, 27) if seq > after_seq]


class _Sent:
    """A connection that remembers what was sent."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def publish(self, topic: str, payload: bytes, **_: object) -> int:
        self.payloads.append(payload)
        return len(self.payloads)


def test_a_late_answer_does_not_end_the_sending() -> None:
    """An answer that an acknowledgement has overtaken leads to where everything is pruned.

    What lies behind it has to be sent all the same: there may be nothing new for hours.
    """
    link, sent = _uplink(cast(uplink.Outbox, _Pruned())), _Sent()
    session = Session(epoch=1, boot=1, version="1", acked={Lane.HISTORY: 25})
    session.note_bounds({Lane.HISTORY: (22, 27)})
    session.connected(0.0, nonce=5)
    late = Ack(epoch=1, cursors={Lane.HISTORY: 21}, credit_bytes=100_000, server_ms=1, nonce=5)
    session.receive(topics.ACK, frames.encode_ack(late), 1.0)

    asyncio.run(link._feed(cast(Wire, sent), session))
    seqs = [one.seq for payload in sent.payloads for one in _records(payload)]

    assert [26, 27] == seqs


class _Empty(_Pruned):
    """An outbox whose 27 records are all acknowledged and freed."""

    async def bounds(self) -> Mapping[Lane, tuple[int, int]]:
        return {Lane.HISTORY: (28, 27)}


def test_a_ledger_that_was_put_back_is_told_what_is_gone() -> None:
    """What was freed since the last look is said to be gone, not waited for until something is new."""
    link = _uplink(cast(uplink.Outbox, _Empty()))
    session = Session(epoch=1, boot=1, version="1", acked={Lane.HISTORY: 27})
    session.note_bounds({Lane.HISTORY: (22, 27)})
    session.connected(0.0, nonce=5)
    session.to_send(0.0)
    older = Ack(epoch=1, cursors={Lane.HISTORY: 21}, credit_bytes=100_000, server_ms=1, nonce=5)
    session.receive(topics.ACK, frames.encode_ack(older), 1.0)

    asyncio.run(link._look(session))
    assert not session.looks
    assert 0.0 == session.next_timer()
    session.handle_timer(1.0)
    (message,) = session.to_send(1.0)
    hello = frames.decode(message.payload).hello

    assert hello is not None
    assert (28, 27) == hello.lanes[Lane.HISTORY]


def _records(payload: bytes) -> Sequence[Record]:
    """What a frame of history carries; a greeting carries nothing."""
    header, _ = frames.decode_header(payload)
    return frames.decode(payload).records if header.count else ()


class _Heard:
    """A session that has measured the control plane's clock, and wants to say something at once."""

    state = State.STREAMING

    def take_measured(self) -> Measured:
        return Measured(server_ms=9_000, round_trip_s=0.0, heard_s=uplink._monotonic_s())

    def next_timer(self) -> float:
        return 0.0


class _NotedOnce:
    """A chronicle whose disk refuses the first time."""

    def __init__(self) -> None:
        self.noted: list[ClockRecord] = []
        self._full = True

    def jumps(self) -> Sequence[tuple[int, int, int]]:
        return ()

    async def note_clock(self, seen: ClockRecord) -> None:
        if self._full:
            self._full = False
            raise NotTaken("full")
        self.noted.append(seen)


def test_a_clock_that_the_disk_refuses_is_noted_later() -> None:
    """Once: the same offset again says nothing new."""
    chronicle = _NotedOnce()
    link = _uplink(cast(uplink.Outbox, _Pruned()), cast(uplink.Chronicle, chronicle))

    async def thrice() -> None:
        session = cast(Session, _Heard())
        with pytest.raises(NotTaken):
            await link._note_clock(session)
        for _ in range(2):
            await link._note_clock(session)

    asyncio.run(thrice())
    assert [9_000] == [seen.offset_ms for seen in chronicle.noted]


def test_what_is_due_at_once_is_not_slept_over() -> None:
    """A timer of 0.0 is one that is over, not one that is never due."""
    link = _uplink(cast(uplink.Outbox, _Pruned()), cast(uplink.Chronicle, _NotedOnce()))

    async def sleep() -> None:
        await asyncio.wait_for(link._sleep(cast(Session, _Heard())), 60)

    asyncio.run(sleep())


class _Grows:
    """An outbox whose records are counted, and how often somebody has asked for that."""

    epoch = 1

    def __init__(self) -> None:
        self.newest = self.asked = 0

    async def cursors(self) -> dict[Lane, int]:
        return {}

    async def bounds(self) -> dict[Lane, tuple[int, int]]:
        self.asked += 1
        return {Lane.HISTORY: (1, self.newest)}


def test_what_waits_is_told_while_there_is_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is cut off says how much it holds; where nothing is new it does not look."""
    monkeypatch.setattr(uplink, "LOOK_EVERY_S", 0.01)
    outbox = _Grows()
    link = _uplink(cast(uplink.Outbox, outbox))

    async def cut_off() -> list[int]:
        found = []
        running = asyncio.create_task(link._pause(await link._new_session(), 60.0))
        for newest in (3, 7):
            outbox.newest = newest
            link.wake()
            await asyncio.sleep(0.05)
            found.append(link.status().backlog["history"])
        asked = outbox.asked
        await asyncio.sleep(0.05)
        found.append(outbox.asked - asked)
        running.cancel()
        return found

    assert [3, 7, 0] == asyncio.run(cut_off())


def test_an_announcement_that_was_heard_before_is_not_answered() -> None:
    """It is made again and again; a device that has nothing to send is silent all the same."""
    link, session = _uplink(cast(uplink.Outbox, _Empty())), _streaming()
    server = topics.server("default")

    async def hear(*started_ms: int) -> list[int]:
        hellos = []
        for one in started_ms:
            payload = frames.encode_announcement(frames.Announcement(one))
            link._receive(session, Received(server, payload, 1, 1))
            hellos.append(len(session.to_send(uplink._monotonic_s())))
        return hellos

    assert [1, 0, 0, 1, 0, 0] == asyncio.run(hear(7, 7, 7, 8, 7, 8))


def _streaming() -> Session:
    """A session that has been answered, and has nothing to send."""
    session = Session(epoch=1, boot=1, version="1", acked={Lane.HISTORY: 27})
    session.note_bounds({Lane.HISTORY: (28, 27)})
    session.connected(0.0, nonce=5)
    session.to_send(0.0)
    answer = Ack(epoch=1, cursors={Lane.HISTORY: 27}, credit_bytes=9, server_ms=1, nonce=5)
    session.receive(topics.ACK, frames.encode_ack(answer), 1.0)
    return session
