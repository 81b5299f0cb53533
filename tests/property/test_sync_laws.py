"""Laws of the sync protocol that need no whole world: presence, identity, later releases, trouble.

Numbers are those of the invariants in docs/sync-protocol.md.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync import frames, receiver, topics
from sync.control_plane import truth
from sync.control_plane.ledger import Ledger, LedgerUnavailable
from sync.control_plane.truth import Presence
from sync.database import Connect, Owner, in_transaction, prepare
from sync.receiver import Arrival
from sync.records import KINDS, Lane, Record, RecordError, TaskRecord, decode_body, encode_body
from sync.topics import Address
from tests.power.recorder import Inline

NOW_MS = 1_700_000_000_000
DEVICES = [Address("default", name) for name in ("roof", "gate", "yard")]


def _ledger() -> sqlite3.Connection:
    disk = sqlite3.connect(":memory:", isolation_level=None)
    in_transaction(disk, truth.create_schema)
    return disk


def _frame(rng: random.Random, first_seq: int, many: int) -> bytes:
    bodies = [
        encode_body(
            TaskRecord(f"w{rng.randrange(9)}", f"t{seq}", 1, "r", "SIMPLE", "n", "COMPLETED", seq)
        )
        for seq in range(first_seq, first_seq + many)
    ]
    records = [
        Record(Lane.HISTORY, first_seq + n, "task", NOW_MS, 1, body)
        for n, body in enumerate(bodies)
    ]
    return frames.encode(records, epoch=1, oldest_seq=1)


def _arrival(address: Address, payload: bytes) -> Arrival:
    topic = address.topic(topics.up(Lane.HISTORY))
    arrival = receiver.read(topic, payload, received_ms=NOW_MS)
    assert arrival is not None
    return arrival


# I-11: presence.


@given(seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_the_newest_connection_has_the_last_word(seed: int) -> None:
    """Wills come late, twice and in any order among connections; who is connected is shown so."""
    rng = random.Random(seed)
    place, said = (1, 1, 1), []
    for _ in range(rng.randint(1, 8)):
        epoch, boot, session = place
        said.append([(place, True), (place, False)])
        place = rng.choice(
            [(epoch, boot, session + 1), (epoch, boot + 1, 1), (epoch + 1, boot + 1, 1)]
        )
    connected = rng.random() < 0.5
    if connected:
        # The will of the last one has never been sent: it lives.
        said[-1].pop()
    newest = said[-1][0][0]
    heard: list[tuple[tuple[int, int, int], bool]] = []
    waiting = [list(one) for one in said]
    while waiting:
        one = rng.choice(waiting)
        heard.append(one[0] if rng.random() < 0.3 else one.pop(0))
        waiting = [one for one in waiting if one]
    disk = _ledger()
    in_transaction(
        disk, lambda c: truth.commit(c, [_arrival(DEVICES[0], _frame(rng, 1, 1))], now_ms=1)
    )
    for (epoch, boot, session), online in heard:
        presence = Presence(DEVICES[0], online, epoch, boot, session)
        in_transaction(disk, partial(truth.note_presence, presences=[presence], now_ms=1))
    row = disk.execute(
        "SELECT online, presence_epoch, presence_boot, presence_session FROM device"
    ).fetchone()
    disk.close()

    assert (int(connected), *newest) == row


# I-16: nobody speaks for another.


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_is_said_on_a_devices_topic_is_that_devices(seed: int) -> None:
    """Whatever stands in it, true frames, torn ones and noise, in any mixture of senders."""
    rng = random.Random(seed)
    disk, sent = _ledger(), Counter[Address]()
    for _ in range(30):
        address = rng.choice(DEVICES)
        payload = _frame(rng, sent[address] + 1, rng.randint(1, 5))
        torn = rng.random() < 0.4
        if torn:
            cut = bytearray(payload)
            cut[rng.randrange(len(cut))] ^= 1 << rng.randrange(8)
            payload = rng.choice([bytes(cut), payload[: rng.randrange(len(payload))], b"\x01noise"])
        arrival = receiver.read(address.topic(topics.up(Lane.HISTORY)), payload, received_ms=1)
        if arrival is None:
            continue
        before = _segments(disk)
        answers = in_transaction(disk, partial(truth.commit, arrivals=[arrival], now_ms=1))
        changed = {name for name, n in _segments(disk).items() if n != before[name]}
        assert changed <= {address.device}
        assert {answer.topic for answer in answers} <= {address.topic(topics.ACK)}
        if not torn:
            sent[address] = max(
                frames.decode_ack(answer.payload).cursors.get(Lane.HISTORY, 0) for answer in answers
            )
    disk.close()


def _segments(disk: sqlite3.Connection) -> Counter[str]:
    """What is stored of each device."""
    rows = disk.execute(
        "SELECT device, SUM(count) FROM segment JOIN device USING (device_id) GROUP BY device"
    )
    return Counter(dict(rows.fetchall()))


# I-18: later releases.


_LATER = st.dictionaries(
    st.text("xyz", min_size=3, max_size=5),
    st.recursive(
        st.none() | st.integers(-9, 9) | st.text(max_size=3) | st.binary(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
        max_leaves=6,
    ),
    max_size=4,
)


def _least(kind: type[Any]) -> dict[str, Any]:
    """A body of a kind with nothing in it but what has to be there."""
    values: dict[str, Any] = {"str": "s", "bytes": b"b", "float": 1.0, "dict": {}, "list": []}
    return {
        field.encode_name: next(
            (value for name, value in values.items() if name in str(field.type)), 1
        )
        for field in msgspec.structs.fields(kind)
        if field.required
    }


@pytest.mark.parametrize("name", sorted(KINDS.values()))
@given(later=_LATER)
@settings(max_examples=40, deadline=None)
def test_keys_of_later_releases_are_ignored(name: str, later: dict[str, Any]) -> None:
    """In every kind of record: what is known of it means the same with them as without."""
    (kind,) = (kind for kind, told in KINDS.items() if told == name)
    least = _least(kind)
    try:
        plain = decode_body(name, msgspec.msgpack.encode(least))
    except RecordError as error:
        pytest.fail(f"{least}: {error}")

    assert plain == decode_body(name, msgspec.msgpack.encode({**later, **least}))


# I-20: a database in trouble.


class _Troubled(sqlite3.Connection):
    """A connection whose statements fail now and then, as the disk under them does."""

    rng: random.Random | None = None

    def execute(self, statement: str, /, *parameters: Any) -> sqlite3.Cursor:
        self._ask(statement)
        return super().execute(statement, *parameters)

    def executemany(self, statement: str, rows: Any, /) -> sqlite3.Cursor:
        self._ask(statement)
        return super().executemany(statement, rows)

    def _ask(self, statement: str) -> None:
        if self.rng is not None and statement != "ROLLBACK" and self.rng.random() < 0.03:
            raise sqlite3.OperationalError("disk I/O error")


def _troubled(made: list[_Troubled]) -> Connect:
    async def connect(path: Path, *, writes: bool) -> Owner:
        connection = sqlite3.connect(path, isolation_level=None, factory=_Troubled)
        prepare(connection, writes=writes)
        made.append(connection)
        return Inline(connection)

    return connect


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_a_database_in_trouble_acknowledges_nothing_that_it_has_not(seed: int) -> None:
    """Whichever statement fails: what is acknowledged is stored, and all of it is in the end."""
    rng = random.Random(seed)

    async def main(folder: str) -> None:
        made: list[_Troubled] = []
        ledger = await Ledger.open(
            Path(folder) / "ledger.db", now_ms=lambda: NOW_MS, connect=_troubled(made)
        )
        for connection in made:
            connection.rng = rng
        acked, last = Counter[Address](), Counter[Address]()
        sent: list[tuple[Address, bytes]] = []
        for _ in range(40):
            address = rng.choice(DEVICES)
            many = rng.randint(1, 5)
            sent.append((address, _frame(rng, last[address] + 1, many)))
            last[address] += many
            # A device sends again what was not acknowledged; here, whatever it likes.
            batch = [_arrival(*one) for one in [sent[-1], *rng.choices(sent, k=rng.randint(0, 3))]]
            try:
                answers = await ledger.commit(batch)
                await ledger.project()
            except LedgerUnavailable:
                continue
            for answer in answers:
                one = next(a for a in DEVICES if a.topic(topics.ACK) == answer.topic)
                cursor = frames.decode_ack(answer.payload).cursors[Lane.HISTORY]
                acked[one] = max(acked[one], cursor)
                assert set(range(1, cursor + 1)) <= _stored(made[0], one)
        for connection in made:
            connection.rng = None
        await ledger.commit([_arrival(*one) for one in sent])
        while await ledger.project():
            pass
        for address in DEVICES:
            assert set(range(1, last[address] + 1)) == _stored(made[0], address)
        (shown,) = made[0].execute("SELECT COUNT(*) FROM task").fetchone()
        assert shown == len(
            {
                (address, record.body)
                for address, payload in sent
                for record in frames.decode(payload).records
            }
        )
        await ledger.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(folder))


def _stored(disk: sqlite3.Connection, address: Address) -> set[int]:
    """Sequences that are stored of a device; each stands in one segment."""
    # Past the trouble: it is looked at, not tried.
    rows = sqlite3.Connection.execute(
        disk,
        "SELECT first_seq, count FROM segment JOIN device USING (device_id) WHERE device = ?",
        (address.device,),
    ).fetchall()
    found = [seq for first, many in rows for seq in range(first, first + many)]
    assert len(found) == len(set(found))
    return set(found)
