"""The twin camera's pictures: a seeded scene with coloured visitors, and a PNG encoder.

Needs numpy only. What the visitors are is known, so a twin detector can find them again.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from devices.capabilities import Image
from devices.detection import Detection

COLOURS: dict[str, tuple[int, int, int]] = {"person": (40, 40, 230), "car": (230, 60, 40)}
"""Colour of each kind of visitor, in the order BGR; nothing else in the scene is that colourful."""

_PERIOD_FRAMES = 120
_VISIT_FRAMES = 40
_NOISE_LEVELS = 3.0


class SeededScene:
    """A grey street on which, every 120 frames, one visitor crosses within 40 frames."""

    def __init__(self, seed: int, width: int, height: int) -> None:
        """Draw the background."""
        self.width = width
        self.height = height
        self._seed = seed
        across = np.linspace(70, 130, width, dtype=np.float32)[None, :, None]
        down = np.linspace(0, 40, height, dtype=np.float32)[:, None, None]
        self._background = np.broadcast_to(across + down, (height, width, 3))

    def truth(self, index: int) -> list[Detection]:
        """Tell who is in a frame, and where: boxes in pixels, inside the picture."""
        visit, position = divmod(index, _PERIOD_FRAMES)
        first = _PERIOD_FRAMES - _VISIT_FRAMES
        if position < first:
            return []
        label = tuple(COLOURS)[(visit + self._seed) % len(COLOURS)]
        box_h = self.height // 3
        box_w = box_h // 2 if label == "person" else box_h * 3 // 2
        share = (position - first) / (_VISIT_FRAMES - 1)
        left = round(-box_w + share * (self.width + box_w))
        x0, x1 = max(0, left), min(self.width, left + box_w)
        top = self.height // 3
        if x1 - x0 < 2:
            return []
        return [Detection(label, 1.0, float(x0), float(top), float(x1 - x0), float(box_h))]

    def frame(self, index: int) -> Image:
        """Draw a frame: (height, width, 3), uint8, BGR; the same index gives the same bytes."""
        random = np.random.default_rng((self._seed, index))
        noise = random.normal(0, _NOISE_LEVELS, (self.height, self.width, 1))
        picture = self._background + noise.astype(np.float32)
        image = np.clip(picture, 0, 255).astype(np.uint8)
        for one in self.truth(index):
            rows = slice(int(one.y), int(one.y + one.h))
            columns = slice(int(one.x), int(one.x + one.w))
            image[rows, columns] = COLOURS[one.label]
        return image


def encode_png(image: Image) -> bytes:
    """Encode a picture as PNG, 8 bits, RGB, without filters.

    Args:
        image: Array of shape (height, width, 3), dtype uint8, colour order BGR.
    """
    height, width = image.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # Each row begins with its filter, 0.
    rows[:, 1:] = image[:, :, ::-1].reshape(height, -1)
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Frame a chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
