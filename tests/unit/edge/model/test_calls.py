"""What is asked of other executions: what is assumed when nothing is said."""

from __future__ import annotations

from edge.model.calls import MAX_DEPTH, Launch
from edge.model.decision import Decision


def test_a_launch_is_no_child_unless_it_says_so() -> None:
    """Whoever starts something has to say that it waits for it."""
    launch = Launch(1, "w")

    assert (False, False, None, 1) == (launch.child, launch.explains, launch.version, launch.depth)
    assert not Decision(calls=(launch,)).empty
    assert MAX_DEPTH > 10
