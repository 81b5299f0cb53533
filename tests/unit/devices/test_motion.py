"""Tests of the motion gate, on generated pictures whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from devices.motion import (
    CHANGES,
    Luma,
    Motion,
    MotionGate,
    MotionSettings,
    MotionState,
    luma_of,
)

_STEP_MS = 200
_SHAPE = (100, 178)


def _pictures(
    count: int, *, seed: int = 1, visits: tuple[tuple[int, int], ...] = (), level: float = 60
) -> Iterator[Luma]:
    """Draw a noisy scene; during each visit (first, last) a box of 12 x 16 cells crosses."""
    chance = np.random.default_rng(seed)
    scene = chance.uniform(60, 140, _SHAPE).astype(np.float32)
    for index in range(count):
        picture = scene + chance.normal(0, 2, _SHAPE).astype(np.float32)
        for first, last in visits:
            if first <= index <= last:
                left = round((index - first) / (last - first) * (_SHAPE[1] - 16))
                picture[40:52, left : left + 16] += level
        yield np.clip(picture, 0, 255)


def _events(gate: MotionGate, pictures: Iterator[Luma]) -> list[tuple[int, Motion]]:
    fed = [(index, gate.feed(one, index * _STEP_MS)) for index, one in enumerate(pictures)]
    return [(index, motion) for index, motion in fed if motion is not None]


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_is_silent(seed: int) -> None:
    """A minute of sensor noise opens nothing."""
    assert [] == _events(MotionGate(MotionSettings()), _pictures(300, seed=seed))


@pytest.mark.parametrize("seed", range(5))
def test_a_crossing_object_is_exactly_one_event(seed: int) -> None:
    """One visit is told once, within half a second, with the time of its first picture."""
    gate = MotionGate(MotionSettings())

    events = _events(gate, _pictures(150, seed=seed, visits=((50, 75),)))

    assert 1 == len(events)
    index, motion = events[0]
    assert 50 <= index <= 52
    assert 50 * _STEP_MS <= motion.started_ms <= index * _STEP_MS
    assert MotionState.IDLE is gate.state


def test_the_region_surrounds_the_object() -> None:
    """The rectangle lies where the box is, and the score is its share of the picture."""
    _, motion = _events(MotionGate(MotionSettings()), _pictures(60, visits=((50, 75),)))[0]

    assert motion.region.y == pytest.approx(0.40, abs=0.03)
    assert motion.region.h == pytest.approx(0.12, abs=0.04)
    assert motion.region.x < 0.1
    assert motion.score == pytest.approx(12 * 16 / (100 * 178), abs=0.012)


def test_two_visits_are_two_events() -> None:
    """After quiet and cooldown the gate opens again."""
    gate = MotionGate(MotionSettings(cooldown_s=2))

    events = _events(gate, _pictures(260, visits=((50, 75), (150, 175))))

    assert 2 == len(events)


def test_cooldown_swallows_what_comes_too_soon() -> None:
    """A visit that begins and ends within the cooldown is not told."""
    gate = MotionGate(MotionSettings(cooldown_s=60))

    events = _events(gate, _pictures(260, visits=((50, 75), (150, 175))))

    assert 1 == len(events)


def test_a_flicker_of_one_picture_is_not_believed() -> None:
    """One picture with a change is not motion; several must agree."""
    pictures = list(_pictures(120))
    pictures[60] = pictures[60].copy()
    pictures[60][40:60, 40:60] += 80

    assert [] == _events(MotionGate(MotionSettings()), iter(pictures))


def test_a_lamp_is_not_a_visitor() -> None:
    """When the whole scene changes at once, the gate adopts it in silence."""
    pictures = list(_pictures(120))
    lit = [one + 70 if index >= 60 else one for index, one in enumerate(pictures)]

    assert [] == _events(MotionGate(MotionSettings()), iter(lit))


def test_what_moves_behind_the_mask_does_not_count() -> None:
    """Motion within a masked rectangle opens nothing."""
    settings = MotionSettings(mask=((0.0, 0.3, 1.0, 0.4),))

    assert [] == _events(MotionGate(settings), _pictures(120, visits=((50, 75),)))


def test_a_scene_that_never_rests_is_told_again() -> None:
    """A motion longer than the limit is ended, and after the cooldown another begins."""
    gate = MotionGate(MotionSettings(max_event_s=5, cooldown_s=2))
    visits = tuple((first, first + 20) for first in range(30, 290, 20))

    events = _events(gate, _pictures(300, visits=visits))

    assert 3 <= len(events) <= 9


def test_rebase_forgets_the_scene() -> None:
    """After a reconnect another scene is learnt anew, without an event."""
    gate = MotionGate(MotionSettings())
    first = _events(gate, _pictures(50, seed=1))
    gate.rebase()

    second = _events(gate, _pictures(50, seed=2))

    assert ([], []) == (first, second)
    assert MotionState.IDLE is gate.state


def test_every_state_can_be_left_and_reached() -> None:
    """The table of changes has no dead end and no island."""
    assert set(MotionState) == set(CHANGES)
    assert set(MotionState) == {state for following in CHANGES.values() for state in following}


@pytest.mark.parametrize("size", [(90, 160), (360, 640), (720, 1280), (1080, 1920), (50, 70)])
def test_luma_is_about_a_hundred_lines_and_true(size: tuple[int, int]) -> None:
    """Any picture shrinks to at most 200 lines, and its brightness stays what it was."""
    image = np.zeros((*size, 3), np.uint8)
    image[:, : size[1] // 2, 1] = 200

    luma = luma_of(image)

    assert np.float32 == luma.dtype
    assert 50 <= luma.shape[0] <= 200
    assert 200 == luma[0, 0]
    assert 0 == luma[0, -1]
