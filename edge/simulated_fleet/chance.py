"""Chance that is the same for the same numbers: what a device does needs no memory.

Nothing is kept here, and nobody's state moves.
"""

from __future__ import annotations

_MASK = 2**64 - 1
_STEP = 0x9E3779B97F4A7C15


def draw(seed: int, *numbers: int) -> int:
    """A number of 64 bits that the seed and the numbers give, spread evenly (SplitMix64)."""
    state = seed & _MASK
    for number in numbers:
        state = (state + _STEP * (number + 1)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def falls(drawn: int, percent: float) -> bool:
    """Whether something that happens in so many of a hundred cases happens in this one."""
    return drawn < percent / 100 * 2**64


def id_text(high: int, low: int) -> str:
    """Two draws in the text form of a UUID, as ids of executions and tasks have it."""
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
