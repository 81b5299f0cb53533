"""Still pictures for people: boxes drawn into a frame, made small, encoded as JPEG.

No camera and no file: an array comes in, bytes go out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devices.capabilities import Image
from devices.detection import Detection
from devices.drivers.video_library import load_cv2

# Distinct on grey streets and for the colour-blind; BGR, after Okabe and Ito.
_COLOURS = ((0, 159, 230), (233, 180, 86), (115, 158, 0), (167, 121, 204), (0, 94, 213))
_MIN_QUALITY = 30


def annotated_jpeg(
    image: Image,
    boxes: Sequence[Detection],
    *,
    max_width: int,
    quality: int,
    max_bytes: int,
) -> bytes:
    """Draw boxes with their labels into a picture and encode it.

    Args:
        image: Array of shape (height, width, 3), dtype uint8, colour order BGR; it is not changed.
        boxes: In pixels of the picture.
        max_width: A wider picture is made so small, in pixels.
        quality: JPEG quality, 1 to 100, to begin with.
        max_bytes: While the result is larger, quality falls, then size; a picture of 80 pixels
            is given whatever it has.
    """
    cv2 = load_cv2()
    scale = min(1.0, max_width / image.shape[1])
    while True:
        jpeg = _encode(cv2, _draw(cv2, image, boxes, scale), quality)
        if len(jpeg) <= max_bytes or image.shape[1] * scale <= 80:
            return jpeg
        if quality > _MIN_QUALITY:
            quality = max(_MIN_QUALITY, quality - 15)
        else:
            scale *= 0.75


def _draw(cv2: Any, image: Image, boxes: Sequence[Detection], scale: float) -> Image:
    """Make the picture small and draw into the copy."""
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    canvas = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image.copy()
    labels = sorted({box.label for box in boxes})
    for box in boxes:
        colour = _COLOURS[labels.index(box.label) % len(_COLOURS)]
        corner = (round(box.x * scale), round(box.y * scale))
        opposite = (round((box.x + box.w) * scale), round((box.y + box.h) * scale))
        cv2.rectangle(canvas, corner, opposite, colour, 2)
        _write(cv2, canvas, f"{box.label} {box.score:.2f}", corner, colour)
    return canvas


def _write(
    cv2: Any, canvas: Image, text: str, corner: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    """Write a label above a box's corner, or below where there is no room, on the box's colour."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    (width, height), below = cv2.getTextSize(text, font, size, 1)
    left = max(0, min(corner[0], canvas.shape[1] - width))
    top = corner[1] - height - below if corner[1] >= height + below else corner[1]
    opposite = (left + width, top + height + below)
    cv2.rectangle(canvas, (left, top), opposite, colour, cv2.FILLED)
    cv2.putText(canvas, text, (left, top + height), font, size, (0, 0, 0), 1, cv2.LINE_AA)


def _encode(cv2: Any, image: Image, quality: int) -> bytes:
    """Encode as JPEG."""
    is_encoded, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert is_encoded  # An array of this shape and dtype can always be encoded.
    data: bytes = jpeg.tobytes()
    return data
