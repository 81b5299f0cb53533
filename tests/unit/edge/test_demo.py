"""The demonstration's judgement: what clips showed against what was described."""

from __future__ import annotations

import socket
from typing import Any

from devices.scenes.truth import Episode, Truth, TruthBox
from edge.demo.score import FrameClock, Score, clip_of, expected_in, possible_in, score
from edge.demo.stage import free_port


def _truth() -> Truth:
    """Ten seconds at ten frames: a car in frames 20 to 39, a person in 30 to 34, a glimpse at 60."""

    def boxes(frame: int) -> list[TruthBox]:
        found = []
        if 20 <= frame < 40:
            found.append(TruthBox(1, "car", 0, 0, 50, 30, 1.0))
        if 30 <= frame < 35:
            found.append(TruthBox(2, "person", 0, 0, 20, 40, 1.0))
        return found

    glimpse = TruthBox(3, "truck", 0, 0, 5, 30, 0.1)
    return Truth(
        seed=1, width=640, height=360, fps=10.0, frames=100, encoder="x",
        labels=["car", "person", "truck"],
        episodes=[Episode(1, 1, "car", 20, 39)],
        boxes=[boxes(frame) for frame in range(100)],
        glimpses=[[glimpse] if frame == 60 else [] for frame in range(100)],
    )  # fmt: skip


def _execution(start_ms: int, end_ms: int, *labels: str) -> dict[str, Any]:
    return {
        "output": {"tracks": [{"label": label} for label in labels]},
        "tasks": [{"outputData": {"clip": {"start_ms": start_ms, "end_ms": end_ms}}}],
    }


_CLOCK = FrameClock(frame=1_000, at_ms=500_000, fps=10.0)
"""Frame 1,000 is frame 0 of the tenth loop."""


def test_frames_are_found_by_time() -> None:
    """Before and after the moment that is known."""
    assert 1_025 == _CLOCK.frame_at(502_500)
    assert 990 == _CLOCK.frame_at(499_000)


def test_what_is_shown_for_a_second_counts() -> None:
    """Shorter stays are possible, and not demanded; the film is a loop."""
    assert {"car": 1} == expected_in(_truth(), 1_000, 1_099)
    assert {"car": 1, "person": 1, "truck": 1} == possible_in(_truth(), 1_000, 1_099)
    assert {} == expected_in(_truth(), 1_036, 1_099)
    assert {"car": 1} == expected_in(_truth(), 1_095, 1_135)


def test_a_perfect_run() -> None:
    """The car was found, and the person may have been."""
    result = score(_truth(), _CLOCK, [_execution(502_000, 505_000, "car", "person")])

    assert Score(shown=1, found=1, wrong=0) == result
    assert 1.0 == result.recall


def test_misses_and_inventions_are_counted() -> None:
    """A truck that was not there, a car that was missed."""
    result = score(_truth(), _CLOCK, [_execution(502_000, 505_000, "truck")])

    assert Score(shown=1, found=0, wrong=1) == result
    assert 0.0 == result.recall


def test_executions_without_a_clip_are_left_out() -> None:
    """They are judged by their status."""
    assert clip_of({"tasks": [{"outputData": None}, {}]}) is None
    assert Score(0, 0, 0) == score(_truth(), _CLOCK, [{"tasks": []}])
    assert 1.0 == Score(0, 0, 0).recall


def test_a_taken_port_is_left_alone() -> None:
    """Another one is given."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert port != free_port(port)
