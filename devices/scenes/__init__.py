"""Procedural street scenes with known truth: stills to train on, moving scenes to film.

Nothing here detects, tracks or judges: this package draws, and writes down what it drew.
It needs numpy and cv2, and is imported only by whoever makes demonstration material.

    python -m devices.scenes OUT.mp4 --seed 7 --seconds 50

Everything is a function of the seed.  The same drawing routines serve stills and videos, at the
same pixel scale, so that a detector trained on the former can be measured on the latter.
"""

from devices.scenes.actors import LABELS
from devices.scenes.film import read_truth, truth_path, write_video
from devices.scenes.moving import Scene
from devices.scenes.stills import still
from devices.scenes.truth import Episode, Truth, TruthBox

__all__ = [
    "LABELS",
    "Episode",
    "Scene",
    "Truth",
    "TruthBox",
    "read_truth",
    "still",
    "truth_path",
    "write_video",
]
