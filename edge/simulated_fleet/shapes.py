"""What simulated devices run: workflows of three tasks, how each run ends, and its count of records.

A cycle of runs is drawn once for the fleet; each device goes through it from a place of its own, so
that the sequence of any record is found without walking through the history before it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import msgspec

from edge.simulated_fleet.chance import draw, falls
from sync.records import Lane

TASKS = 3
CYCLE = 1_009
"""Runs after which a device begins anew; a prime, so that it agrees with no other period."""

_RETRIED_PERCENT = 3.0


class Step(msgspec.Struct, frozen=True):
    """One task of a workflow."""

    name: str
    least_ms: int
    """How long it takes at least."""
    most_ms: int
    fails_with: str
    """What is said when it fails."""


class Shape(msgspec.Struct, frozen=True):
    """One workflow."""

    name: str
    steps: tuple[Step, Step, Step]


SHAPES = {
    shape.name: shape
    for shape in (
        Shape(
            "inspect_part",
            (
                Step("take_picture", 80, 300, "the camera gave no picture within 5 s"),
                Step("detect", 200, 900, "the detector ran out of memory"),
                Step("report", 20, 80, "the line controller refused the verdict"),
            ),
        ),
        Shape(
            "read_meter",
            (
                Step("open_port", 30, 120, "no answer on the serial port"),
                Step("read_registers", 150, 700, "the meter answered with a wrong checksum"),
                Step("store", 10, 60, "the reading is below the one before"),
            ),
        ),
        Shape(
            "sort_parcel",
            (
                Step("scan", 40, 200, "the label cannot be read"),
                Step("classify", 100, 500, "the address is in no known zone"),
                Step("divert", 300, 1_500, "the diverter did not reach its position"),
            ),
        ),
    )
}
"""The workflows that there are, by their names."""

_ORDERED = Shape(
    "",
    (
        Step("prepare", 50, 200, ""),
        Step("work", 200, 800, ""),
        Step("report", 20, 80, ""),
    ),
)


class Ending(msgspec.Struct, frozen=True):
    """One run of the cycle: what runs, and how it ends."""

    shape: Shape
    failing: int = 0
    """The task that fails and ends the run, from 1; 0 = all succeed."""
    retried: int = 0
    """The task that fails once and succeeds at the second attempt, from 1; 0 = none."""

    @property
    def attempts(self) -> int:
        """Task executions, with those that are retried."""
        return (self.failing or TASKS) + (1 if self.retried else 0)

    def count(self, lane: Lane) -> int:
        """Records of one lane, as the engine writes them.

        Three states a task; the end of the workflow is urgent when it has failed.
        """
        if lane is Lane.URGENT:
            return 1 if self.failing else 0
        if lane is not Lane.HISTORY:
            return 0
        return 1 + 3 * self.attempts + (0 if self.failing else 1)


def ordered(name: str) -> Ending:
    """The run that an order starts; a workflow that is not known here has three plain tasks."""
    shape = SHAPES.get(name, _ORDERED)
    return Ending(msgspec.structs.replace(shape, name=name))


class Mix:
    """The cycle of runs, and where each of its records stands.

    Args:
        names: of the workflows, from ``SHAPES``.
        failing_percent: of the runs.
        seed: the same gives the same cycle.
    """

    def __init__(self, names: Sequence[str], failing_percent: float, seed: int) -> None:
        self.endings = [_ending(names, failing_percent, seed, at) for at in range(CYCLE)]
        self._before = {
            lane: array("q", accumulate((one.count(lane) for one in self.endings), initial=0))
            for lane in (Lane.HISTORY, Lane.URGENT)
        }

    def ending(self, offset: int, run: int) -> Ending:
        """How a run ends, from 0, of a device that begins the cycle at ``offset``."""
        return self.endings[(offset + run) % CYCLE]

    def before(self, lane: Lane, offset: int, run: int) -> int:
        """Records of a lane in the runs before this one."""
        sums = self._before[lane]
        turns, rest = divmod(offset + run, CYCLE)
        return turns * sums[CYCLE] + sums[rest] - sums[offset]

    def find(self, lane: Lane, offset: int, seq: int) -> tuple[int, int]:
        """In which run a record stands, and at which place among its records of that lane, from 0.

        Args:
            lane: history or urgent.
            offset: where the device begins the cycle.
            seq: from 1, not counting what orders have brought.
        """
        sums = self._before[lane]
        turns, rest = divmod(seq - 1 + sums[offset], sums[CYCLE])
        at = bisect_right(sums, rest) - 1
        return turns * CYCLE + at - offset, rest - sums[at]


def _ending(names: Sequence[str], failing_percent: float, seed: int, at: int) -> Ending:
    shape = SHAPES[names[draw(seed, 1, at) % len(names)]]
    task = draw(seed, 2, at) % TASKS + 1
    if falls(draw(seed, 3, at), failing_percent):
        return Ending(shape, failing=task)
    if falls(draw(seed, 4, at), _RETRIED_PERCENT):
        return Ending(shape, retried=task)
    return Ending(shape)
