"""The receiver as a playbook: what came, what is committed, what is said afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from sync import frames, receiver
from sync.frames import Ack, Hello
from sync.orders import Position
from sync.receiver import Commitment, DeviceState, Held, LaneState, Receiver
from sync.records import Lane, Record
from sync.topics import Address

ROOF = Address("default", "roof")
NOW_MS = 5_000


def frame(first: int, last: int, *, epoch: int = 1, oldest: int = 1, lane: int = 2) -> bytes:
    """Records whose time is their sequence."""
    records = [
        Record(Lane(lane), seq, "task", seq, 1, b"b%d" % seq) for seq in range(first, last + 1)
    ]
    return frames.encode(records, epoch=epoch, oldest_seq=oldest)


def take(state: DeviceState, *payloads: bytes, topic: str = "up/2") -> Commitment:
    """One round with these messages of the device."""
    arrivals = [
        receiver.read(ROOF.topic(topic), payload, received_ms=NOW_MS) for payload in payloads
    ]
    return Receiver({ROOF: state}, now_ms=NOW_MS).take([one for one in arrivals if one])


def said(commitment: Commitment) -> list[Ack]:
    """The acknowledgements."""
    assert {ROOF.topic("ack")} >= {one.topic for one in commitment.acks}
    return [frames.decode_ack(one.payload) for one in commitment.acks]


def stored(commitment: Commitment) -> list[tuple[int, int]]:
    """First sequence and count of the segments to store."""
    return [(one.first_seq, one.count) for one in commitment.segments]


def damaged(payload: bytes) -> bytes:
    """The same frame with a body that cannot be read."""
    return payload[:-1] + bytes([payload[-1] ^ 1])


def test_a_frame_is_stored_and_acknowledged() -> None:
    """The cursor is the last contiguous sequence, and the device's time there is kept."""
    state = DeviceState()
    commitment = take(state, frame(1, 10))

    assert [(1, 10)] == stored(commitment)
    assert frame(1, 10) == commitment.segments[0].payload
    (ack,) = said(commitment)
    assert ({Lane.HISTORY: 10}, 1, 0) == (ack.cursors, ack.epoch, ack.nonce)
    assert (10, 10, 10) == (
        state.lanes[Lane.HISTORY].acked,
        state.lanes[Lane.HISTORY].newest,
        state.lanes[Lane.HISTORY].synced_ms,
    )


def test_a_hole_is_waited_for() -> None:
    """Frames beyond a hole are stored; the cursor passes over them when the hole is filled."""
    state = DeviceState()
    early = take(state, frame(11, 20), frame(31, 40))
    assert [(11, 10), (31, 10)] == stored(early)
    assert {Lane.HISTORY: 0} == said(early)[0].cursors

    filled = take(state, frame(1, 10))

    assert {Lane.HISTORY: 20} == said(filled)[0].cursors
    assert 20 == state.lanes[Lane.HISTORY].synced_ms
    assert {Lane.HISTORY: 40} == said(take(state, frame(21, 30)))[0].cursors
    assert [] == state.lanes[Lane.HISTORY].held


def test_what_is_stored_is_not_stored_again() -> None:
    """A frame sent twice, or cut differently when sent again, adds only what was missing."""
    state = DeviceState()
    take(state, frame(1, 10), frame(16, 20), frame(26, 30))

    assert [] == stored(take(state, frame(1, 10)))
    assert [] == stored(take(state, frame(17, 19)))
    again = take(state, frame(5, 40))
    assert [(11, 5), (21, 5), (31, 10)] == stored(again)
    assert {Lane.HISTORY: 40} == said(again)[0].cursors
    assert 15 == again.segments[0].last_recorded_ms


def test_a_repeated_frame_is_acknowledged_again() -> None:
    """The acknowledgement may have been lost."""
    state = DeviceState()
    take(state, frame(1, 10))

    assert {Lane.HISTORY: 10} == said(take(state, frame(1, 10)))[0].cursors


def test_one_acknowledgement_answers_all_frames_of_a_round() -> None:
    """A device gets one message however many frames it sent."""
    state = DeviceState()
    arrivals = [
        receiver.read(ROOF.topic(f"up/{lane}"), frame(1, 5, lane=lane), received_ms=NOW_MS)
        for lane in (1, 2, 2)
    ]
    commitment = Receiver({ROOF: state}, now_ms=NOW_MS).take([one for one in arrivals if one])

    (ack,) = said(commitment)
    assert {Lane.URGENT: 5, Lane.HISTORY: 5} == ack.cursors


def test_the_hello_is_answered_with_every_cursor() -> None:
    """The answer carries the hello's number, all lanes, the credit and the server's time."""
    state = DeviceState()
    take(state, frame(1, 10))
    hello = Hello(boot=4, nonce=77, lanes={Lane.HISTORY: (1, 50)}, version="1.2")

    commitment = take(state, frames.encode_hello(hello, epoch=1), topic="up/0")

    (ack,) = said(commitment)
    assert {Lane.CONTROL: 0, Lane.URGENT: 0, Lane.HISTORY: 10, Lane.BULK: 0} == ack.cursors
    assert (77, receiver.CREDIT_BYTES, NOW_MS) == (ack.nonce, ack.credit_bytes, ack.server_ms)
    assert 1 in ack.codecs
    assert [1] == ack.features
    assert 50 == state.lanes[Lane.HISTORY].newest
    assert [(4, "1.2")] == [(one.boot, one.version) for one in commitment.greetings]


def test_what_the_device_no_longer_holds_is_a_gap() -> None:
    """It is accounted for, and the cursor passes over it; what is stored is no gap."""
    state = DeviceState()
    take(state, frame(1, 5), frame(8, 9))
    hello = Hello(boot=1, nonce=1, lanes={Lane.HISTORY: (21, 30)})

    commitment = take(state, frames.encode_hello(hello, epoch=1), topic="up/0")

    assert [(6, 7), (10, 20)] == [(one.first_seq, one.last_seq) for one in commitment.gaps]
    assert 20 == said(commitment)[0].cursors[Lane.HISTORY]
    late = take(state, frame(6, 12))
    assert ([], []) == (late.segments, late.gaps)


def test_a_device_that_holds_nothing_names_what_will_come() -> None:
    """Everything up to its newest is a gap; its next record continues behind it."""
    state = DeviceState()
    hello = Hello(boot=1, nonce=1, lanes={Lane.HISTORY: (99, 30)})
    take(state, frames.encode_hello(hello, epoch=1), topic="up/0")

    assert {Lane.HISTORY: 31} == said(take(state, frame(31, 31, oldest=31)))[0].cursors


def test_an_older_history_is_refused() -> None:
    """Once a newer epoch is live nothing of an older one is stored."""
    state = DeviceState()
    take(state, frame(1, 10, epoch=4))

    commitment = take(state, frame(11, 20, epoch=3))

    assert [] == commitment.segments
    (ack,) = said(commitment)
    assert (receiver.OLDER_EPOCH, 4, {}) == (ack.refused, ack.epoch, ack.cursors)


def test_a_newer_history_begins_at_one() -> None:
    """The new lineage has its own cursors, even within one round."""
    state = DeviceState()
    commitment = take(state, frame(1, 10, epoch=1), frame(1, 3, epoch=2))

    assert [(1, 1), (2, 1)] == [(one.epoch, one.first_seq) for one in commitment.segments]
    (ack,) = said(commitment)
    assert (2, {Lane.HISTORY: 3}) == (ack.epoch, ack.cursors)
    arrivals = [
        receiver.read(ROOF.topic(topic), payload, received_ms=NOW_MS)
        for topic, payload in (("up/1", frame(1, 2, lane=1)), ("up/2", frame(1, 2, epoch=9)))
    ]
    fresh = Receiver({ROOF: DeviceState()}, now_ms=NOW_MS).take([one for one in arrivals if one])
    assert {Lane.HISTORY: 2} == said(fresh)[0].cursors


def test_a_poisoned_frame_is_quarantined_and_acknowledged() -> None:
    """It never wedges the device: its range counts as stored, its bytes are kept."""
    state = DeviceState()
    commitment = take(state, damaged(frame(1, 10)), frame(11, 12))

    poisoned, good = commitment.segments
    assert "BodyCorrupt" in str(poisoned.quarantined)
    assert (None, damaged(frame(1, 10))) == (good.quarantined, poisoned.payload)
    assert {Lane.HISTORY: 12} == said(commitment)[0].cursors


def test_noise_is_set_aside() -> None:
    """What names no range is kept to be looked at, in part, and not acknowledged."""
    hello = frames.encode_hello(Hello(boot=1, nonce=1, lanes={}), epoch=1)
    commitment = take(DeviceState(), b"noise" * 5_000, damaged(hello), frame(1, 1, lane=1))

    assert [] == commitment.acks
    reasons = [reject.reason.split(":")[0] for reject in commitment.rejects]
    assert ["VersionUnknown", "LaneMismatch", "LaneMismatch"] == reasons
    assert receiver.REJECT_BYTES == len(commitment.rejects[0].payload)


def test_a_damaged_hello_is_set_aside() -> None:
    """It has no range to quarantine; the device greets again."""
    hello = frames.encode_hello(Hello(boot=1, nonce=1, lanes={}), epoch=1)
    commitment = take(DeviceState(), damaged(hello), topic="up/0")

    assert ["BodyCorrupt"] == [one.reason.split(":")[0] for one in commitment.rejects]


def test_foreign_topics_are_not_read() -> None:
    """Only lanes of devices are."""
    for topic in ("other", ROOF.topic("ack"), ROOF.topic("up/9")):
        assert receiver.read(topic, frame(1, 1), received_ms=0) is None


def test_what_is_kept_beyond_a_hole_is_bounded() -> None:
    """Beyond the limit frames are left to be sent again; the one at the hole is always taken."""
    held = [Held(seq, seq, 0) for seq in range(10, 10 + 2 * receiver.MAX_HELD, 2)]
    state = DeviceState(live_epoch=1, lanes={Lane.HISTORY: LaneState(held=list(held))})

    assert [] == stored(take(state, frame(500, 501)))
    assert [(1, 9)] == stored(take(state, frame(1, 9)))
    assert 10 == state.lanes[Lane.HISTORY].acked


def test_any_order_stores_the_same() -> None:
    """All orders of four frames end with the same cursor and the same stored set."""
    from itertools import permutations

    def outcome(order: Sequence[bytes]) -> tuple[int, list[int]]:
        state = DeviceState()
        seqs: list[int] = []
        for payload in order:
            for first, count in stored(take(state, payload)):
                seqs += range(first, first + count)
        return state.lanes[Lane.HISTORY].acked, sorted(seqs)

    parts = [frame(1, 4), frame(3, 8), frame(9, 9), frame(7, 12)]

    assert {(12, tuple(range(1, 13)))} == {
        (acked, tuple(seqs)) for acked, seqs in map(outcome, permutations(parts))
    }


def hello(boot: int, run: bytes, nonce: int, *, epoch: int = 1, **more: object) -> bytes:
    """A hello of a run of the device's program."""
    given = {"lanes": {}} | more
    said = Hello(boot=boot, nonce=nonce, run=run, **given)  # type: ignore[arg-type]
    return frames.encode_hello(said, epoch=epoch)


def test_two_runs_of_one_boot_are_two_devices() -> None:
    """I-15: the second is refused by name, with its nonce; a person is told; nothing is stored."""
    state = DeviceState()
    take(state, hello(4, b"a", 10), topic="up/0")
    commitment = take(state, hello(4, b"b", 11), topic="up/0")

    (ack,) = said(commitment)
    assert (frames.DUPLICATE, 11, {}) == (ack.refused, ack.nonce, ack.cursors)
    (notice,) = commitment.notices
    assert (ROOF, frames.DUPLICATE) == (notice.address, notice.kind)
    assert [] == commitment.greetings
    assert state.run is not None
    assert b"a" == state.run.run


def test_a_boot_that_is_lower_than_before_is_a_copy() -> None:
    """Also where its clock is behind; as the hello may be a late one, nobody is told of it then."""
    state = DeviceState()
    take(state, hello(5, b"a", 10), topic="up/0")

    def refused(boot: int, run: bytes, nonce: int) -> tuple[str, int]:
        commitment = take(state, hello(boot, run, nonce), topic="up/0")
        assert len(commitment.notices) == len(commitment.contested)
        return said(commitment)[0].refused, len(commitment.notices)

    assert (frames.DUPLICATE, 0) == refused(4, b"z", 9)
    assert (frames.DUPLICATE, 1) == refused(4, b"b", 11)
    assert ("", 0) == refused(6, b"c", 12)
    assert ("", 0) == refused(2, b"", 13), "it draws none"


def test_a_later_boot_counts_though_its_clock_was_set_back() -> None:
    """What is known of the device is what its last boot has said."""
    state = DeviceState()
    take(state, hello(5, b"a", 100), topic="up/0")
    later = take(state, hello(6, b"b", 50), topic="up/0")
    before = take(state, hello(5, b"a", 101), topic="up/0")

    assert "" == said(later)[0].refused
    assert frames.DUPLICATE == said(before)[0].refused


def test_a_name_that_an_older_epoch_speaks_under_is_contested() -> None:
    """By its hello: a frame of it may be late."""
    state = DeviceState()
    take(state, hello(1, b"a", 10, epoch=2), topic="up/0")

    assert set() == take(state, frame(1, 1, epoch=1)).contested
    assert {ROOF} == take(state, hello(1, b"b", 11, epoch=1), topic="up/0").contested


def test_a_place_that_is_lower_than_before_is_a_copy() -> None:
    """What it came to was not told yet; a hello that is late, and one that takes none, say nothing."""
    state = DeviceState()

    def refused(nonce: int, place: int | None, boot: int = 5) -> str:
        position = None if place is None else Position(place, f"o{place}")
        given = hello(boot, b"a" if boot == 5 else b"b", nonce, orders=position)
        return said(take(state, given, topic="up/0"))[0].refused

    assert "" == refused(10, 2)
    assert "" == refused(9, 1), "it is only late"
    assert "" == refused(11, None)
    assert frames.DUPLICATE == refused(12, 1, boot=6)
    assert "" == refused(13, 2, boot=6)
    assert "" == refused(14, 7, boot=6)


def test_a_run_that_has_written_less_than_was_sent_is_a_copy() -> None:
    """What it writes under numbers that wait beyond a hole would be taken for what is there."""
    state = DeviceState()
    lanes = {Lane.HISTORY: (1, 10)}
    take(state, hello(1, b"a", 10, lanes=lanes), topic="up/0")
    take(state, frame(1, 10))
    take(state, frame(12, 12))
    assert 10 == state.lanes[Lane.HISTORY].acked

    def refused(boot: int, run: bytes, nonce: int, newest: int) -> str:
        message = hello(boot, run, nonce, lanes={Lane.HISTORY: (1, newest)})
        return said(take(state, message, topic="up/0"))[0].refused

    assert "" == refused(1, b"a", 11, 10), "it was said before the record was written"
    assert frames.DUPLICATE == refused(2, b"b", 9, 10), "its clock was set back"
    assert frames.DUPLICATE == refused(2, b"b", 12, 11)
    assert "" == refused(2, b"b", 13, 12)


def test_two_that_begin_one_epoch_are_told_by_where_they_begin() -> None:
    """The cursor of the one would else pass over what the other has yet to tell."""
    state = DeviceState()

    def refused(boot: int, run: bytes, nonce: int, first: int) -> str:
        lanes = {Lane.HISTORY: (first, 60)}
        more = {"lanes": lanes, "first": {Lane.HISTORY: first}, "epoch": 2}
        return said(take(state, hello(boot, run, nonce, **more), topic="up/0"))[0].refused  # type: ignore[arg-type]

    assert "" == refused(5, b"a", 10, 51)
    take(state, frame(51, 60, epoch=2, oldest=51))
    assert frames.DUPLICATE == refused(6, b"b", 11, 31)
    assert "" == refused(5, b"a", 12, 51)
    assert "" == refused(6, b"c", 13, 51), "the same has started again"


def test_a_new_epoch_begins_where_it_says() -> None:
    """What is before its first sequence is no gap of it; the old epoch's run says nothing here."""
    state = DeviceState()
    take(state, hello(5, b"a", 10), topic="up/0")
    first = {Lane.HISTORY: 50}
    said_lanes = {Lane.HISTORY: (50, 60)}
    message = frames.encode_hello(
        Hello(boot=2, nonce=11, lanes=said_lanes, run=b"b", first=first), epoch=2
    )
    commitment = take(state, message, topic="up/0")

    assert [] == commitment.gaps
    assert 49 == said(commitment)[0].cursors[Lane.HISTORY]
    assert ["epoch"] == [notice.kind for notice in commitment.notices]
    assert [(50, 11)] == stored(take(state, frame(50, 60, epoch=2, oldest=50)))
    assert 60 == state.lanes[Lane.HISTORY].acked
