"""``baton simulate-fleet`` as it is typed: what it refuses, and that it says what to do instead."""

from __future__ import annotations

import resource

import pytest
from click.testing import CliRunner

from edge.cli import main
from edge.cli.simulate_fleet import _NAMES
from edge.simulated_fleet.shapes import SHAPES


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--duration", "soon"], 2, "'soon' is no duration such as 500ms, 90s, 15m"),
        (["--devices", "0"], 2, "--devices"),
        (["--workflows", "brew_coffee"], 2, "read_meter"),
        (["--offline-share", "100"], 2, "--offline-share"),
        (["--broker", "amqp://here"], 1, "--broker"),
        (["--tenant", "a b"], 1, "--tenant: 'a b' is not 1 to 64 letters"),
        (["--name", "no/slash"], 1, "--name: 'no/slash-0000000' is not 1 to 64 letters"),
        (["--order-keys", "12"], 1, "--order-keys: '12' is not a key of 64 hexadecimal digits"),
        (["--config", "nowhere.toml"], 1, "nowhere.toml"),
    ],
)
def test_what_cannot_be_is_named(options: list[str], status: int, message: str) -> None:
    """In one line that names the option, before anything is connected."""
    result = CliRunner().invoke(main, ["simulate-fleet", *options])

    assert status == result.exit_code, result.output
    assert message in result.output


def test_too_many_sessions_for_the_machine_are_refused() -> None:
    """With the limit that stands in the way, and how many would fit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > 300_000:
        pytest.skip("so many may be open here")
    options = ["--devices", "100000", "--sessions", "100000"]
    result = CliRunner().invoke(main, ["simulate-fleet", *options])

    assert 1 == result.exit_code
    assert f"the hard limit is {hard}" in result.output


def test_the_help_teaches() -> None:
    """By examples that can be typed as they are, for each of the things it is for."""
    result = CliRunner().invoke(main, ["simulate-fleet", "--help"])

    assert 0 == result.exit_code
    for words in ("--embedded", "--storm 60s", "--backlog 100 --rate 0", "--devices 1000000"):
        assert words in result.output


def test_the_workflows_of_the_command_line_are_those_that_there_are() -> None:
    """Their names stand twice, so that the help needs nothing of the fleet."""
    assert set(SHAPES) == set(_NAMES)
