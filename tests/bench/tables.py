"""The figures as tables: for a terminal, and for the page of the documentation.

Nothing is measured here.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from tests.bench.figures import Figure

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
"""What stands between these in the page is written by the bench."""


class Measured(msgspec.Struct, frozen=True):
    """The figures of one benchmark, with what must be known of the run."""

    title: str
    about: str
    """What was measured, a sentence or two."""
    command: str
    """What made them."""
    version: str
    """Commit of the tree."""
    date: str
    """Of the run, YYYY-MM-DD."""
    machine: str
    """Processor, cores, kernel, Python, SQLite."""
    core_ms: float
    """Calibration: CPU milliseconds of a fixed piece of work, median of before and after."""
    figures: list[Figure]


Results = dict[str, Measured]
"""By the name of the benchmark, in the order of the page."""


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    sign = "at least" if figure.goal.at_least else "at most"
    return f"{sign} {figure.goal.value:,g}"


def _reached(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return "not measured" if figure.reached is None else figure.reached.value


def _value(figure: Figure) -> str:
    return "-" if figure.value is None else number(figure.value)


def _ratio(figure: Figure) -> str:
    return "" if figure.ratio is None else f"{number(figure.ratio)} x {figure.against}"


def _spread(figure: Figure) -> str:
    """The lowest and the highest of several runs."""
    if len(figure.runs) < 2:
        return ""
    return f"{number(min(figure.runs))} to {number(max(figure.runs))}"


def _foreign(figure: Figure) -> str:
    return "" if figure.foreign is None else f"{figure.foreign:.1f}"


def _cells(figure: Figure) -> list[str]:
    return [
        figure.name, _value(figure), figure.unit, _goal(figure), _reached(figure),
        _ratio(figure), _spread(figure), _foreign(figure), figure.note,
    ]  # fmt: skip


_HEAD = ["figure", "value", "unit", "goal", "reached", "ratio", "runs", "others' cores", "note"]


def text(figures: list[Figure]) -> str:
    """A table for a terminal."""
    rows = [_HEAD, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column == 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _section(measured: Measured) -> str:
    lines = [
        f"### {measured.title}",
        "",
        measured.about,
        "",
        f"`{measured.command}` on {measured.date}, commit `{measured.version}`, "
        f"calibration {number(measured.core_ms)} ms.",
        "",
        "| Figure | Value | Goal | Reached | Ratio in the same run | Runs | Others' cores |",
        "|---|--:|---|---|---|---|--:|",
    ]
    for figure in measured.figures:
        name, value, unit, goal, reached, ratio, spread, foreign, note = _cells(figure)
        told = f"{name} ({note})" if note else name
        lines.append(
            f"| {told} | {value} {unit} | {goal} | {reached} | {ratio} | {spread} | {foreign} |"
        )
    return "\n".join(lines)


def sections(results: Results) -> str:
    """What the page shows of the results."""
    machines = sorted({measured.machine for measured in results.values()})
    head = "Measured on: " + "; ".join(machines) + "." if machines else "Nothing is measured yet."
    return "\n\n".join([head, *(_section(measured) for measured in results.values())])


def with_results(page: str, results: Results) -> str:
    """The page with the latest results between its markers.

    Raises:
        ValueError: it has no markers.
    """
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no {BEGIN} and {END}; put them where the table belongs")
    between = f"{BEGIN}\n\n{sections(results)}\n\n{END}"
    return pattern.sub(lambda _: between, page)


def read_results(path: Path) -> Results:
    """The results of a file; none when it is not there."""
    if not path.exists():
        return {}
    return msgspec.json.decode(path.read_bytes(), type=Results)


def write_results(path: Path, results: Results) -> None:
    """Write results so that a change of one figure is a change of few lines."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
