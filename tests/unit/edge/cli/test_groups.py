"""Help shows whole sentences under headings, and a slip in a name is answered with the name."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from edge.cli import _COMMANDS, main


def test_every_command_stands_in_the_help_once_with_its_whole_sentence() -> None:
    """Click would cut sentences off after some forty letters."""
    lines = CliRunner().invoke(main, ["-h"]).output.splitlines()

    # What goes on in a further line stands further in.
    first_words = [line.split()[0] for line in lines if re.match("  [^ ]", line)]

    assert all(1 == first_words.count(name) for name in _COMMANDS)
    assert "..." not in " ".join(lines).replace("[ARGS]...", "")
    assert {"Daemons:", "Definitions:", "Executions:", "Steering executions:"} <= set(lines)
    assert "Other commands:" not in lines


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["wrkflow"], "No such command 'wrkflow'. Did you mean 'workflow'?"),
        (["schedule", "puase"], "No such command 'puase'. Did you mean 'pause'?"),
        (["xyz"], "No such command 'xyz'.\n"),
        (["--nope"], "No such option"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(words: list[str], said: str) -> None:
    """At every depth, and without importing what was not asked for."""
    ended = CliRunner().invoke(main, words)

    assert 2 == ended.exit_code
    assert said in ended.stderr
