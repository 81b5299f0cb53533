"""What workers hold is remembered within a bound."""

from __future__ import annotations

from edge.api.handed import Handed


def test_a_queue_is_told_once() -> None:
    """The report of a task takes the note with it."""
    handed = Handed()
    handed.note("a", "queue")

    assert ("queue", None) == (handed.take("a"), handed.take("a"))


def test_the_oldest_is_forgotten_first() -> None:
    """A worker that never reports costs no memory for ever."""
    handed = Handed()
    for number in range(10_001):
        handed.note(str(number), "queue")

    assert (None, "queue") == (handed.take("0"), handed.take("1"))
