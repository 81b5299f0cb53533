"""The device's session as a playbook: what comes in, what goes out, in reading order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from sync import frames, session
from sync.frames import Ack, Frame
from sync.records import Lane, Record, TaskRecord, encode_body
from sync.session import PAUSE_S, Event, Session, State

NOW_S = 100.0


class Playbook:
    """A session, a store that holds everything, and what was sent last."""

    def __init__(self, *, acked: int = 0, written: int = 0, oldest: int = 1) -> None:
        self.session = Session(epoch=3, boot=2, version="1.0", acked={Lane.HISTORY: acked})
        self.now_s = NOW_S
        self.written: dict[Lane, int] = {}
        self.oldest = oldest
        if written:
            self.write(written)

    def state(self) -> State:
        return self.session.state

    def write(self, count: int, lane: Lane = Lane.HISTORY) -> None:
        self.written[lane] = self.written.get(lane, 0) + count
        self.session.note_bounds({lane: (self.oldest, self.written[lane])})

    def connect(self, nonce: int = 10) -> Frame:
        self.session.connected(self.now_s, nonce=nonce)
        return self.sent_hello()

    def sent_hello(self) -> Frame:
        (message,) = self.session.to_send(self.now_s)
        assert "up/0" == message.suffix
        return frames.decode(message.payload)

    def answer(self, cursors: Mapping[Lane, int], *, hello: Frame, **more: object) -> None:
        assert hello.hello is not None
        self.ack(cursors, nonce=hello.hello.nonce, **more)

    def ack(self, cursors: Mapping[Lane, int], **more: object) -> None:
        fields = {"epoch": 3, "credit_bytes": 500_000, "server_ms": 1} | more
        ack = Ack(cursors=dict(cursors), **fields)  # type: ignore[arg-type]
        self.session.receive("ack", frames.encode_ack(ack), self.now_s)

    def pump(self, *, size: int = 20) -> list[Frame]:
        """Feed what is wanted until nothing is; the frames that were sent."""
        sent = [frames.decode(one.payload) for one in self.session.to_send(self.now_s)]
        for _ in range(100):
            wants = self.session.wants()
            if not wants:
                return sent
            want = wants[0]
            last = min(self.written[want.lane], want.after_seq + want.limit)
            records = [
                Record(want.lane, seq, "task", seq, 1, bytes(size))
                for seq in range(want.after_seq + 1, last + 1)
            ]
            assert self.session.offer(want.lane, records)
            sent += [frames.decode(one.payload) for one in self.session.to_send(self.now_s)]
        raise AssertionError("the session wants for ever")

    def streaming(self, cursors: Mapping[Lane, int] | None = None) -> Playbook:
        self.answer(cursors or {}, hello=self.connect())
        assert self.state() is State.STREAMING
        return self


def ranges(sent: list[Frame]) -> list[tuple[Lane, int, int]]:
    """Which records of which lane were sent."""
    return [(one.header.lane, one.header.first_seq, one.header.last_seq) for one in sent]


def test_nothing_is_sent_before_the_control_plane_has_answered() -> None:
    """First the hello with what is held; records only after the answer, from its cursor."""
    play = Playbook(acked=4, written=30, oldest=5)

    hello = play.connect(nonce=77)

    assert hello.hello is not None
    assert (2, 77, "1.0") == (hello.hello.boot, hello.hello.nonce, hello.hello.version)
    assert (5, 30) == hello.hello.lanes[Lane.HISTORY]
    assert [] == play.pump()
    play.answer({Lane.HISTORY: 10}, hello=hello)
    assert {Lane.HISTORY: 10} == play.session.take_durable()
    assert [(Lane.HISTORY, 11, 30)] == ranges(play.pump())


def test_a_cursor_moves_only_on_the_control_planes_word() -> None:
    """Sending moves nothing; an acknowledgement moves the cursor once, never back."""
    play = Playbook(written=30).streaming()
    play.pump()

    assert {} == play.session.take_durable()
    play.ack({Lane.HISTORY: 30})
    assert {Lane.HISTORY: 30} == play.session.take_durable()
    play.ack({Lane.HISTORY: 12})
    assert {} == play.session.take_durable()
    assert 30 == play.session.acked()[Lane.HISTORY]
    assert 0 == play.session.backlog()[Lane.HISTORY]
    assert play.session.next_timer() is None


def test_the_window_bounds_what_is_under_way() -> None:
    """Eight frames of history, then silence until one is acknowledged."""
    play = Playbook(written=6_000).streaming()

    sent = play.pump()

    assert 8 == len(sent)
    play.ack({Lane.HISTORY: 500})
    assert [(Lane.HISTORY, 4_001, 4_500)] == ranges(play.pump())


def test_urgent_is_never_behind_history() -> None:
    """With the window of history full, urgent goes out at once; with both ready, it goes first."""
    play = Playbook(written=6_000).streaming()
    play.pump()
    play.write(1, Lane.URGENT)

    assert [(Lane.URGENT, 1, 1)] == ranges(play.pump())
    play.ack({Lane.HISTORY: 4_000})
    play.write(1, Lane.URGENT)
    play.write(1, Lane.BULK)
    lanes = [lane for lane, _, _ in ranges(play.pump())]
    assert [Lane.URGENT, Lane.HISTORY, Lane.HISTORY, Lane.HISTORY, Lane.HISTORY, Lane.BULK] == lanes


def test_credit_bounds_the_bytes_but_never_to_nothing() -> None:
    """Without credit one frame at a time still goes; urgent does not ask for credit."""
    play = Playbook(written=2_000)
    play.answer({}, hello=play.connect(), credit_bytes=0)

    assert [(Lane.HISTORY, 1, 500)] == ranges(play.pump())
    play.write(3, Lane.URGENT)
    assert [(Lane.URGENT, 1, 3)] == ranges(play.pump())
    play.ack({Lane.HISTORY: 500}, credit_bytes=0)
    assert [(Lane.HISTORY, 501, 1_000)] == ranges(play.pump())


def test_a_small_rest_waits_for_company() -> None:
    """While a frame is under way, and a moment longer, fewer than 100 records of history wait."""
    play = Playbook(written=1).streaming()

    assert [(Lane.HISTORY, 1, 1)] == ranges(play.pump())
    play.write(20)
    assert [] == play.pump()
    play.ack({Lane.HISTORY: 1})
    assert [] == play.pump()
    due_s = play.session.next_timer()
    assert due_s is not None
    assert play.now_s < due_s <= play.now_s + PAUSE_S
    play.now_s = due_s
    assert [(Lane.HISTORY, 2, 21)] == ranges(play.pump())
    play.write(100)
    assert [(Lane.HISTORY, 22, 121)] == ranges(play.pump())


def test_the_end_of_a_backlog_waits_for_nothing() -> None:
    """Behind a frame of many a small rest is sent as soon as that has arrived."""
    play = Playbook(written=120).streaming()

    assert [(Lane.HISTORY, 1, 120)] == ranges(play.pump())
    play.write(1)
    play.ack({Lane.HISTORY: 120})
    assert [(Lane.HISTORY, 121, 121)] == ranges(play.pump())


def test_what_is_urgent_waits_for_nothing() -> None:
    """A failure goes at once, whatever has gone just before."""
    play = Playbook(written=1).streaming()

    assert [(Lane.HISTORY, 1, 1)] == ranges(play.pump())
    play.ack({Lane.HISTORY: 1})
    for seq in (1, 2):
        play.write(1, Lane.URGENT)
        assert [Lane.URGENT] == [lane for lane, _, _ in ranges(play.pump())]
        play.ack({Lane.URGENT: seq})


def test_silence_leads_to_a_probe_and_the_answer_to_a_resend() -> None:
    """After the time-out only a hello is sent; its answer tells from where to send again."""
    play = Playbook(written=1_000).streaming()
    play.pump()
    play.now_s += 1.9
    play.session.handle_timer(play.now_s)
    assert State.STREAMING is play.state()

    play.now_s += 0.2
    play.session.handle_timer(play.now_s)

    assert State.PROBING is play.state()
    hello = play.sent_hello()
    assert [] == play.pump()
    play.answer({Lane.HISTORY: 500}, hello=hello)
    assert [(Lane.HISTORY, 501, 1_000)] == ranges(play.pump())
    # The acknowledgement may answer the first sending, an age ago: it is no round trip.
    play.now_s += 1.5
    play.ack({Lane.HISTORY: 1_000})
    play.write(1)
    play.pump()
    assert play.now_s + 2 == play.session.next_timer()


def test_probes_become_rarer() -> None:
    """The wait doubles from 2 s and ends at 60 s; an answer begins anew."""
    play = Playbook(written=10).streaming()
    play.pump()
    waits = []
    for _ in range(8):
        due_s = play.session.next_timer()
        assert due_s is not None
        waits.append(due_s - play.now_s)
        play.now_s = due_s
        play.session.handle_timer(play.now_s)
        hello = play.sent_hello()

    assert [2, 4, 8, 16, 32, 60, 60, 60] == waits
    play.answer({Lane.HISTORY: 0}, hello=hello)
    play.pump()
    assert play.now_s + 2 == play.session.next_timer()


def test_the_time_out_follows_the_round_trip() -> None:
    """A slow link gets more patience; frames sent twice say nothing about it."""
    play = Playbook(written=1).streaming()
    for seq in range(1, 20):
        play.pump()
        play.now_s += 4.0
        play.ack({Lane.HISTORY: seq})
        play.write(1)
    play.pump()

    due_s = play.session.next_timer()
    assert due_s is not None
    assert 4.0 < due_s - play.now_s < 9.0


def test_each_lane_waits_for_itself() -> None:
    """Progress of history does not hide that an urgent frame was lost."""
    play = Playbook(written=50_000).streaming()
    play.write(1, Lane.URGENT)
    probing_after_s = 0.0
    for step in range(1, 90):
        play.pump()
        play.now_s += 0.1
        play.ack({Lane.HISTORY: step * 500})
        play.session.handle_timer(play.now_s)
        if play.state() is State.PROBING:
            probing_after_s = play.now_s - NOW_S
            break

    assert 2.0 <= probing_after_s < 4.0


def test_a_late_acknowledgement_ends_the_probe() -> None:
    """What was slow and not lost is not sent again."""
    play = Playbook(written=600).streaming()
    play.pump()
    play.now_s += 5
    play.session.handle_timer(play.now_s)
    play.sent_hello()
    play.ack({Lane.HISTORY: 500})

    assert State.STREAMING is play.state()
    assert [] == play.pump()


def test_an_old_answer_is_not_taken_for_the_new_one() -> None:
    """Only the answer to the last hello rewinds; another one is just an acknowledgement."""
    play = Playbook(written=10)
    hello = play.connect()
    play.now_s += 3
    play.session.handle_timer(play.now_s)
    newer = play.sent_hello()

    play.answer({Lane.HISTORY: 3}, hello=hello)
    assert State.GREETING is play.state()
    play.answer({Lane.HISTORY: 3}, hello=newer)
    assert State.STREAMING is play.state()
    assert [(Lane.HISTORY, 4, 10)] == ranges(play.pump())
    play.answer({Lane.HISTORY: 3}, hello=newer)
    assert [] == play.pump()


def test_a_lost_connection_forgets_what_was_under_way() -> None:
    """After a new connection everything unacknowledged is sent again."""
    play = Playbook(written=1_200).streaming()
    play.pump()
    play.ack({Lane.HISTORY: 500})
    play.session.disconnected(play.now_s)

    assert State.OFFLINE is play.state()
    assert play.session.next_timer() is None
    assert [] == play.pump()
    play.ack({Lane.HISTORY: 1_000})
    assert 500 == play.session.acked()[Lane.HISTORY]
    play.session.disconnected(play.now_s)
    play.answer({Lane.HISTORY: 500}, hello=play.connect(nonce=20))
    assert [(Lane.HISTORY, 501, 1_000), (Lane.HISTORY, 1_001, 1_200)] == ranges(play.pump())


def test_nobody_listening_stops_the_stream() -> None:
    """Reason 0x10 from the broker: stop, and ask after the time-out."""
    play = Playbook(written=2_000).streaming()
    play.session.unheard(play.now_s)

    assert State.PROBING is play.state()
    assert [] == play.pump()
    play.session.unheard(play.now_s)
    play.now_s += 2
    play.session.handle_timer(play.now_s)
    assert play.sent_hello().hello is not None


def test_a_new_control_plane_is_greeted_at_once() -> None:
    """Its announcement is answered with a hello, unless there is nobody to speak."""
    play = Playbook(written=10)
    play.session.server_started(play.now_s)
    assert [] == play.session.to_send(play.now_s)

    play.streaming()
    play.pump()
    play.session.server_started(play.now_s)
    hello = play.sent_hello()
    play.answer({Lane.HISTORY: 0}, hello=hello)
    assert [(Lane.HISTORY, 1, 10)] == ranges(play.pump())


def test_a_ledger_that_lost_history_gets_what_is_left() -> None:
    """Its cursor is behind ours: what is still held goes again, our own cursor stays."""
    play = Playbook(acked=800, written=1_200, oldest=601)
    assert 3 == play.session.epoch
    hello = play.connect()
    play.answer({Lane.HISTORY: 0}, hello=hello)

    assert [(Lane.HISTORY, 601, 1_100), (Lane.HISTORY, 1_101, 1_200)] == ranges(play.pump())
    play.ack({Lane.HISTORY: 700})
    assert {} == play.session.take_durable()
    play.ack({Lane.HISTORY: 1_200})
    assert {Lane.HISTORY: 1_200} == play.session.take_durable()


def test_an_older_history_halts() -> None:
    """When a newer epoch is live under our name, nothing more is sent until a new connection."""
    play = Playbook(written=10)
    play.connect()
    play.ack({}, epoch=4, refused="older-epoch")

    assert State.HALTED is play.state()
    assert "older-epoch" == play.session.halted_because
    assert [] == play.pump()
    assert play.session.next_timer() is None
    play.session.handle_timer(play.now_s + 999)
    play.session.server_started(play.now_s)
    play.ack({Lane.HISTORY: 1})
    play.session.disconnected(play.now_s)
    assert play.connect(nonce=99).hello is not None


def test_a_refusal_meant_for_another_is_ignored() -> None:
    """A refusal that names our own epoch, or an older one, was meant for a clone of us."""
    play = Playbook(written=10).streaming()
    play.ack({}, epoch=3, refused="older-epoch")
    play.ack({Lane.HISTORY: 9}, epoch=2)

    assert State.STREAMING is play.state()
    assert {} == play.session.take_durable()


def test_a_database_put_back_halts() -> None:
    """The answer knows a future that we do not: sending would mix two histories."""
    play = Playbook(written=10)
    hello = play.connect()
    play.ack({Lane.HISTORY: 11})
    assert State.GREETING is play.state()

    play.answer({Lane.HISTORY: 11}, hello=hello)

    assert State.HALTED is play.state()
    assert "ahead" in play.session.halted_because
    assert {} == play.session.take_durable()


def test_offers_must_continue_where_the_lane_stands() -> None:
    """Records that come too late, too early or with a hole are not sent out of order."""
    play = Playbook(written=30).streaming()

    def records(*seqs: int) -> list[Record]:
        return [Record(Lane.HISTORY, seq, "task", 1, 1, b"") for seq in seqs]

    assert not play.session.offer(Lane.HISTORY, records(2, 3))
    assert not play.session.offer(Lane.HISTORY, [])
    assert play.session.offer(Lane.HISTORY, records(1, 2, 5))
    sent = [frames.decode(one.payload) for one in play.session.to_send(play.now_s)]
    assert [(Lane.HISTORY, 1, 2)] == ranges(sent)
    play.session.disconnected(play.now_s)
    assert not play.session.offer(Lane.HISTORY, records(1))


def test_pruned_records_are_passed_over() -> None:
    """What the store no longer holds is not waited for; the frame says so."""
    play = Playbook(written=30).streaming()
    play.session.note_bounds({Lane.HISTORY: (11, 30), Lane.BULK: (0, 0)})

    sent = play.pump()

    assert [(Lane.HISTORY, 11, 30)] == ranges(sent)
    assert 11 == sent[0].header.oldest_seq


def test_an_acknowledgement_drops_what_waits_in_hand() -> None:
    """Records offered and acknowledged meanwhile (sent before a reconnect) are not sent again."""
    play = Playbook(written=30).streaming()
    assert play.session.offer(Lane.HISTORY, [Record(Lane.HISTORY, 1, "task", 1, 1, b"")])
    play.ack({Lane.HISTORY: 10})

    assert [(Lane.HISTORY, 11, 30)] == ranges(play.pump())


def test_what_is_offered_beyond_the_bounds_is_held() -> None:
    """An answer that covers it is no future: whoever writes may not have said so yet."""
    play = Playbook(written=10).streaming()
    records = [Record(Lane.HISTORY, seq, "task", 1, 1, b"") for seq in range(1, 16)]
    assert play.session.offer(Lane.HISTORY, records)
    sent = [frames.decode(one.payload) for one in play.session.to_send(play.now_s)]
    assert [(Lane.HISTORY, 1, 15)] == ranges(sent)
    play.session.server_started(play.now_s)
    play.answer({Lane.HISTORY: 15}, hello=play.sent_hello())

    assert State.STREAMING is play.session.state
    assert 15 == play.session.acked()[Lane.HISTORY]


def test_large_records_go_in_more_frames() -> None:
    """What does not compress is cut at the frame's cap, in order."""
    import random

    play = Playbook(written=4).streaming()
    records = [
        Record(Lane.HISTORY, seq, "task", 1, 1, random.Random(seq).randbytes(60_000))
        for seq in range(1, 5)
    ]
    assert play.session.offer(Lane.HISTORY, records)

    sent = [frames.decode(one.payload) for one in play.session.to_send(play.now_s)]

    assert [(Lane.HISTORY, seq, seq) for seq in range(1, 5)] == ranges(sent)


def test_other_channels_and_rubbish_change_nothing() -> None:
    """A topic we do not know is left alone; an unreadable acknowledgement is a named error."""
    play = Playbook(written=10)
    play.connect()
    play.session.receive("down", b"anything", play.now_s)

    with pytest.raises(frames.MessageMalformed):
        play.session.receive("ack", b"\xc1", play.now_s)
    assert State.GREETING is play.state()


def test_an_impossible_event_is_a_named_error() -> None:
    """Two connections at once are the driver's mistake."""
    play = Playbook(written=10)
    play.connect()

    with pytest.raises(session.IllegalEvent, match="connected while greeting"):
        play.connect()


def test_the_table_names_every_state() -> None:
    """Every state can lose its connection, and every change leads to a state of the table."""
    assert set(State) == set(session.TRANSITIONS)
    for moves in session.TRANSITIONS.values():
        assert State.OFFLINE is moves[Event.DISCONNECTED]
        assert set(moves.values()) <= set(State)


def test_the_specification_holds_the_same_table() -> None:
    """The table of `docs/sync-protocol.md` is the one that the session walks."""
    page = Path(__file__).parents[3] / "docs" / "sync-protocol.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    top = next(at for at, line in enumerate(lines) if line.startswith("| State | connected |"))
    events = [Event(cell.strip()) for cell in lines[top].split("|")[2:-1]]
    table: dict[State, dict[Event, State]] = {}
    for line in lines[top + 2 : top + 2 + len(State)]:
        state, *cells = [cell.strip() for cell in line.split("|")[1:-1]]
        table[State(state)] = {
            event: State(cell) for event, cell in zip(events, cells, strict=True) if cell
        }

    assert session.TRANSITIONS == table


def test_records_on_offer_wait_for_room() -> None:
    """With the window of a lane full, what was offered stays in hand until there is room."""
    play = Playbook(written=6_000).streaming()
    play.pump()
    play.ack({Lane.HISTORY: 500})
    records = [Record(Lane.HISTORY, seq, "task", 1, 1, b"") for seq in range(4_001, 5_001)]
    assert play.session.offer(Lane.HISTORY, records)

    assert 1 == len(play.session.to_send(play.now_s))
    assert [] == play.session.to_send(play.now_s)
    play.ack({Lane.HISTORY: 1_000})
    assert 1 == len(play.session.to_send(play.now_s))


def test_the_hello_says_where_the_epoch_begins_and_who_runs() -> None:
    """Lanes that begin with 1 are not named."""
    first = {Lane.HISTORY: 40, Lane.URGENT: 1}
    one = Session(epoch=3, boot=2, version="1", acked={}, first=first, run=b"run")
    one.connected(NOW_S, nonce=1)
    (message,) = one.to_send(NOW_S)
    hello = frames.decode(message.payload).hello
    assert hello is not None

    assert ({Lane.HISTORY: 40}, b"run") == (hello.first, hello.run)


def test_an_answer_measures_the_clock_once() -> None:
    """Between the hello and its answer; the time goes on from there."""
    play = Playbook()
    hello = play.connect()
    assert play.session.server_ms(NOW_S) is None
    play.now_s += 0.5
    play.answer({}, hello=hello, server_ms=9_000)
    measured = play.session.take_measured()
    assert measured is not None

    assert (9_000, 0.5, NOW_S + 0.5) == (
        measured.server_ms,
        measured.round_trip_s,
        measured.heard_s,
    )
    assert play.session.take_measured() is None
    assert 11_000 == play.session.server_ms(NOW_S + 2.5)
    play.session.disconnected(play.now_s)
    assert play.session.server_ms(play.now_s) is None


def test_records_are_coalesced_only_for_who_understands() -> None:
    """An older control plane gets every body, also after a newer one has answered."""
    book = Playbook(written=3).streaming()
    (whole,) = book.pump()
    newer = Playbook(written=3)
    newer.answer({}, hello=newer.connect(), features=[frames.Feature.COALESCED, 99])
    states = [
        TaskRecord("w", "t", 1, "r", "SIMPLE", "n", status, at)
        for at, status in enumerate(["SCHEDULED", "IN_PROGRESS", "COMPLETED"])
    ]
    records = [
        Record(Lane.HISTORY, at, "task", at, 1, encode_body(body))
        for at, body in enumerate(states, 1)
    ]

    assert {} == whole.carried
    assert newer.session.offer(Lane.HISTORY, records)
    (message,) = newer.session.to_send(newer.now_s)
    assert {0: 2, 1: 2} == frames.decode(message.payload).carried
    newer.session.disconnected(newer.now_s)
    newer.answer({}, hello=newer.connect(nonce=99))
    assert newer.session.offer(Lane.HISTORY, records)
    (message,) = newer.session.to_send(newer.now_s)
    assert tuple(records) == frames.decode(message.payload).records


def test_what_a_lost_ledger_had_is_said_not_to_be_held() -> None:
    """Nothing else would come to be sent: the control plane would wait for it until the next record."""
    play = Playbook(written=41).streaming()
    play.pump()
    play.ack({Lane.HISTORY: 41})
    play.session.server_started(play.now_s)
    play.answer({Lane.HISTORY: 38}, hello=play.sent_hello())
    assert [(Lane.HISTORY, 38)] == [(want.lane, want.after_seq) for want in play.session.wants()]

    play.session.note_bounds({Lane.HISTORY: (42, 41)})
    assert play.session.next_timer() == 0.0
    play.session.handle_timer(play.now_s)
    hello = play.sent_hello().hello
    assert hello is not None
    assert (42, 41) == hello.lanes[Lane.HISTORY]
    assert [] == play.session.wants()
