"""A figure: what was measured, its goal, and what it is held against in the same run.

No workload stands here, and nothing is printed.
"""

from __future__ import annotations

import enum
import statistics
from collections.abc import Sequence

import msgspec

from tests.bench.goals import GOALS, Goal


class NotMeasured(Exception):
    """A case could not be run; the message says why. Its figures show the message."""


class Verdict(enum.Enum):
    """Whether a figure reaches its goal."""

    YES = "yes"
    NO = "no"
    BUSY = "not judged: busy"
    """It does not, but others kept the machine busy meanwhile."""
    SHORT = "not judged: short"
    """The goal is for more than this run had."""


_QUIET = 0.5
"""Cores that others may keep busy while a time is taken that is held against a goal."""

_BY_THE_WALL = frozenset({"ms", "per second", "workflows per second", "% of the peak"})
"""Units of what depends on who else is running."""


class Figure(msgspec.Struct, frozen=True):
    """One line of the result."""

    key: str
    """Its name for programs: ``inprocess.c100.tasks_per_cpu_s``."""
    name: str
    """Its name for people."""
    unit: str
    value: float | None
    """The median of its runs; None = it could not be measured, and ``note`` says why."""
    runs: tuple[float, ...] = ()
    """What each run came to, in their order."""
    against: str = ""
    """What ``ratio`` compares it with; empty = with nothing."""
    ratio: float | None = None
    """This value over the other's, both of the same run."""
    foreign: float | None = None
    """Cores that others kept busy meanwhile, median."""
    note: str = ""
    short: bool = False
    """Whether the run had fewer of what is counted than its goal is for."""

    @property
    def goal(self) -> Goal | None:
        """What it is to reach; None = it has no goal."""
        return GOALS.get(self.key)

    @property
    def reached(self) -> Verdict | None:
        """Whether it reaches its goal; None without a goal or a value.

        What a clock on the wall has measured is not held against a machine that others kept busy.
        """
        if self.goal is None or self.value is None:
            return None
        if self.short:
            return Verdict.SHORT
        if self.goal.at_least:
            reached = self.value >= self.goal.value
        else:
            reached = self.value <= self.goal.value
        if reached:
            return Verdict.YES
        by_the_wall = self.unit in _BY_THE_WALL
        busy = self.foreign is not None and self.foreign > _QUIET
        return Verdict.BUSY if by_the_wall and busy else Verdict.NO


Run = dict[str, float]
"""What one run of a case measured."""


class Case:
    """The runs of one case, and figures of them.

    Args:
        key, name: what the keys and the names of its figures begin with.
        runs: what each run measured; empty = none could be made.
        missing: why there are no runs.
        short: whether the runs had fewer of what is counted than goals are for.
    """

    def __init__(
        self, key: str, name: str, runs: Sequence[Run], missing: str = "", *, short: bool = False
    ) -> None:
        self.key = key
        self.name = name
        self.runs = runs
        self._missing = missing
        self._short = short

    def values(self, field: str) -> list[float]:
        """What the runs measured of one thing."""
        return [run[field] for run in self.runs if field in run]

    def median(self, field: str) -> float | None:
        """The median of the runs; None without any."""
        values = self.values(field)
        return statistics.median(values) if values else None

    def figure(
        self,
        field: str,
        what: str,
        unit: str,
        *,
        against: Case | None = None,
        note: str = "",
    ) -> Figure:
        """One figure.

        Args:
            field: of the runs; the last part of the key.
            what: of the figure, after the case's name.
            unit: of the value.
            against: a case with the same field, for the ratio.
            note: what the reader must know.
        """
        value = self.median(field)
        other = against.median(field) if against is not None else None
        ratio = value / other if value is not None and other else None
        return Figure(
            key=f"{self.key}.{field}",
            name=f"{self.name}: {what}",
            unit=unit,
            value=value,
            runs=tuple(self.values(field)),
            against=against.name if against is not None and ratio is not None else "",
            ratio=ratio,
            foreign=self.median("foreign"),
            note=note if value is not None else (self._missing or "was not measured"),
            short=self._short,
        )
