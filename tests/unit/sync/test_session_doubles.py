"""The device's session when another machine has its name, or its own database was put back."""

from __future__ import annotations

from sync import frames
from sync.records import Lane, Record
from sync.session import State
from tests.unit.sync.test_session import NOW_S, Playbook


def test_a_double_is_told_by_its_own_nonce() -> None:
    """It halts; what was said to the other one does not concern us."""
    play = Playbook()
    hello = play.connect()
    assert hello.hello is not None
    play.ack({}, refused=frames.DUPLICATE, nonce=hello.hello.nonce + 1)
    assert State.GREETING is play.state()
    play.ack({}, refused=frames.DUPLICATE, nonce=hello.hello.nonce)

    assert State.HALTED is play.state()
    assert (frames.DUPLICATE, 3) == (play.session.halted_because, play.session.live_epoch)


def test_what_was_said_to_a_double_moves_no_cursor() -> None:
    """What is acknowledged before our hello is answered may be the double's, under our numbers."""
    play = Playbook(acked=10, written=30)
    hello = play.connect()
    play.ack({Lane.HISTORY: 20})

    assert ({}, State.GREETING) == (play.session.take_durable(), play.state())
    play.answer({Lane.HISTORY: 20}, hello=hello, marks={Lane.HISTORY: 1})
    assert {Lane.HISTORY: 20} == play.session.doubts()


def test_what_waits_beyond_a_hole_is_looked_at_before_anything_is_sent() -> None:
    """Ours goes on from the cursor; another's under our number is of before a copy was put back."""
    for mine in (True, False):
        play = Playbook(acked=10, written=30)
        hello = play.connect()
        last = Record(Lane.HISTORY, 25, "task", 25, 1, b"x")
        mark = frames.mark_of(last) + (0 if mine else 1)
        play.answer({Lane.HISTORY: 10}, hello=hello, beyond={Lane.HISTORY: (25, mark)})
        assert ({Lane.HISTORY: 25}, []) == (play.session.doubts(), play.session.wants())

        play.session.settle(Lane.HISTORY, last, NOW_S)
        assert (State.STREAMING if mine else State.HALTED) is play.state()
        assert ([10] if mine else []) == [want.after_seq for want in play.session.wants()]


def test_what_waits_beyond_our_own_end_is_of_another_history() -> None:
    """This database was put back, and has not come so far again."""
    play = Playbook(acked=10, written=30)
    hello = play.connect()
    play.answer({Lane.HISTORY: 10}, hello=hello, beyond={Lane.HISTORY: (31, 7)})
    assert State.HALTED is play.state()


def test_a_refusal_names_the_epoch_to_be_passed() -> None:
    """The next one begins above it."""
    play = Playbook()
    play.connect()
    play.ack({}, epoch=7, refused="older-epoch")

    assert 7 == play.session.live_epoch
