"""YIELD: somebody has to say so."""

from __future__ import annotations

from tests.unit.edge.playbook import Playbook, step


def test_it_waits_and_takes_the_output_of_the_signal() -> None:
    """It is in progress at once and no worker gets it."""
    play = Playbook(step("y", "YIELD"), step("z"))
    play.start()

    assert ("IN_PROGRESS", None) == (play.task("y").status, play.task("y").queue)
    play.complete("y", {"go": 1})
    assert {"go": 1} == play.output("y")
    assert "SCHEDULED" == play.task("z").status
