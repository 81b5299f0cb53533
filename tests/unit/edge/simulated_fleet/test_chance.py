"""Draws are the same for the same numbers, and spread evenly."""

from __future__ import annotations

import re

from edge.simulated_fleet.chance import draw, falls, id_text


def test_the_same_numbers_draw_the_same() -> None:
    """And any other number draws something else."""
    assert draw(1, 2, 3) == draw(1, 2, 3)
    drawn = {draw(seed, one, two) for seed in range(20) for one in range(20) for two in range(20)}

    assert 8_000 == len(drawn)


def test_a_share_is_about_as_great_as_was_asked_for() -> None:
    """Of 20,000 draws 5 % fall within 5 %, give or take; none within nothing, all within all."""
    drawn = [draw(9, number) for number in range(20_000)]

    assert 900 <= sum(falls(one, 5.0) for one in drawn) <= 1_100
    assert 0 == sum(falls(one, 0.0) for one in drawn)
    assert 20_000 == sum(falls(one, 100.0) for one in drawn)


def test_ids_look_like_those_of_an_engine() -> None:
    """In five groups of hexadecimal digits."""
    text = id_text(draw(1, 1), draw(1, 2))

    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)
