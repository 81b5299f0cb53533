"""The battery: every shape, by its name."""

from __future__ import annotations

from tests.power import shapes_flow, shapes_rooms, shapes_steering, shapes_time
from tests.power.recording import Shape

BATTERY: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        *shapes_flow.SHAPES,
        *shapes_time.SHAPES,
        *shapes_steering.SHAPES,
        *shapes_rooms.SHAPES,
    )
}
