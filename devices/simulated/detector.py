"""The detector's twin: finds the coloured visitors of the twin camera, without a model.

It looks at colours only, so it also finds such boxes in a film that was encoded in between.
"""

from __future__ import annotations

import threading
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np

from devices.capabilities import Image, Surroundings
from devices.detection import Detection
from devices.errors import Refused, Unreachable
from devices.simulated.picture import COLOURS

# Video encoding washes colours out; the two colours stand 190 levels apart, so this separates them.
_COLOUR_DISTANCE = 70
_MIN_PIXELS = 12


class SimulatedDetectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``devices.toml`` may say of a twin detector."""

    seed: int = 1
    miss_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Share of the pictures in which nothing is found although something is there."""


class SimulatedDetector:
    """A detector without a model; see `devices.capabilities.Detector`.

    Cues: `slow`, `lose` and `restore`.
    """

    settings_type: ClassVar[type[SimulatedDetectorSettings]] = SimulatedDetectorSettings

    def __init__(
        self, name: str, settings: SimulatedDetectorSettings, surroundings: Surroundings
    ) -> None:
        """Hold the settings; a twin needs nothing of its surroundings."""
        del surroundings
        self.name = name
        self.settings = settings
        self.calls = 0
        """How often `detect` was asked."""

        self._is_connected = False
        self._delay_s = 0.0
        self._lost_reason = ""

    def connect(self) -> None:
        """Become ready."""
        self._is_connected = True

    def close(self) -> None:
        """Cease to be ready."""
        self._is_connected = False

    def detect(self, image: Image) -> list[Detection]:
        """Find the visitors: one box for each colour that is there."""
        self.calls += 1
        if not self._is_connected or self._lost_reason:
            message = f"detector {self.name!r}: {self._lost_reason or 'not connected'}"
            raise Unreachable(message)
        shape: tuple[int, ...] = getattr(image, "shape", ())
        dtype = getattr(image, "dtype", None)
        if len(shape) != 3 or shape[2] != 3 or dtype != np.uint8:
            message = (
                f"detector {self.name!r} needs a uint8 picture (height, width, 3), not {shape}"
            )
            raise Refused(message)
        if self._delay_s:
            threading.Event().wait(self._delay_s)
        if (
            np.random.default_rng((self.settings.seed, self.calls)).random()
            < self.settings.miss_rate
        ):
            return []
        found = [_find(image, label, colour) for label, colour in COLOURS.items()]
        return sorted((one for one in found if one is not None), key=lambda one: -one.score)

    def describe(self) -> dict[str, Any]:
        """Tell what this is, and that it is not a detector of real things."""
        return {
            "name": self.name,
            "labels": list(COLOURS),
            "model": "twin",
            "note": "finds the twin camera's coloured boxes and nothing else",
        }

    def slow(self, delay_s: float) -> None:
        """Cue: let each further picture take so much longer; 0 ends it."""
        self._delay_s = delay_s

    def lose(self, reason: str = "the accelerator is gone") -> None:
        """Cue: be unreachable until `restore`."""
        self._lost_reason = reason

    def restore(self) -> None:
        """Cue: be reachable again."""
        self._lost_reason = ""


def _find(image: Image, label: str, colour: tuple[int, int, int]) -> Detection | None:
    """Draw the box around everything of one colour, between its 2nd and 98th percentiles."""
    distance = np.abs(image.astype(np.int16) - np.array(colour, np.int16)).max(axis=2)
    rows, columns = np.nonzero(distance < _COLOUR_DISTANCE)
    if len(rows) < _MIN_PIXELS:
        return None
    top, bottom = np.percentile(rows, (2, 98))
    left, right = np.percentile(columns, (2, 98))
    width, height = float(right - left + 1), float(bottom - top + 1)
    filled = min(1.0, len(rows) / (width * height))
    return Detection(label, round(filled, 3), float(left), float(top), width, height)
