"""The plot of the documentation: bars on logarithmic scales, Baton beside its peers, as SVG.

Nothing is measured here. It is legible on light and on dark pages: colours follow the reader's.
"""

from __future__ import annotations

import math
from html import escape

import msgspec

from tests.bench.tables import Results, number

_WIDTH = 860
_LEFT = 250
"""Where bars begin; their names stand before."""
_RIGHT = 120
"""Kept free behind the longest bar, for its number."""
_BAR, _GAP = 18, 6
_TITLE, _BETWEEN = 30, 26

_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; }
  .unit, .tick { fill: #59636e; }
  .tick { font-size: 11px; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .own { fill: #0969da; }
  .peer { fill: #9a6700; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .unit, .tick { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .own { fill: #4493f8; }
    .peer { fill: #d29922; }
  }
"""


class Panel(msgspec.Struct, frozen=True):
    """One scale with its bars."""

    title: str
    unit: str
    bars: tuple[tuple[str, str], ...]
    """Name and key of each figure; those that were not measured are left out."""


PANELS = (
    Panel(
        "Durable tasks, 100 workflows at once; more is better",
        "tasks per CPU-second, all processes",
        (
            ("Baton, in process", "inprocess.c100.tasks_per_cpu_s"),
            ("DBOS + SQLite, in process", "dbos.c100.tasks_per_cpu_s"),
            ("Baton, over HTTP", "rest.c100.tasks_per_cpu_s"),
            ("Restate, over HTTP", "restate.c100.tasks_per_cpu_s"),
        ),
    ),
    Panel(
        "One workflow of three tasks, alone, median; less is better",
        "ms",
        (
            ("Baton, in process", "inprocess.c1.p50_ms"),
            ("DBOS + SQLite, in process", "dbos.c1.p50_ms"),
            ("Baton, over HTTP", "rest.c1.p50_ms"),
            ("Restate, over HTTP", "restate.c1.p50_ms"),
            ("Baton, 3 ms a sync", "flash3.c1.p50_ms"),
            ("DBOS + SQLite, 3 ms a sync", "flash3.dbos.p50_ms"),
        ),
    ),
    Panel(
        "Wear of the flash, one workflow at a time; less is better",
        "bytes written a task",
        (
            ("Baton", "inprocess.c1.written_a_task"),
            ("DBOS + SQLite", "dbos.c1.written_a_task"),
            ("Restate", "restate.c1.written_a_task"),
        ),
    ),
    Panel(
        "Syncs, one workflow at a time; less is better",
        "a task",
        (
            ("Baton", "inprocess.c1.syncs_a_task"),
            ("DBOS + SQLite", "dbos.c1.syncs_a_task"),
            ("Restate", "restate.c1.syncs_a_task"),
        ),
    ),
    Panel(
        "Memory with nothing to do; less is better",
        "MiB RSS",
        (
            ("Baton, a daemon", "idle.rss_mb"),
            ("DBOS + SQLite, a library", "rest.dbos.rss_mb"),
            ("Restate with its handler", "rest.restate.rss_mb"),
        ),
    ),
    Panel(
        "Cold start; less is better",
        "ms",
        (
            ("Baton, to its ready line", "cold.ready_ms"),
            ("DBOS + SQLite, to its launch", "rest.dbos.ready_ms"),
            ("Restate, to its first answer", "rest.restate.ready_ms"),
        ),
    ),
)


def _scale(values: list[float]) -> tuple[int, int]:
    """Powers of ten around the values: the lower one leaves the shortest bar visible."""
    low = math.floor(math.log10(min(values)))
    high = math.ceil(math.log10(max(values)))
    if math.log10(min(values)) - low < 0.15:
        low -= 1
    return low, max(high, low + 1)


def _length(value: float, low: int, high: int) -> float:
    share = (math.log10(value) - low) / (high - low)
    return share * (_WIDTH - _LEFT - _RIGHT)


def _panel(panel: Panel, values: dict[str, float], top: float) -> tuple[list[str], float]:
    """The lines of a panel, and where the next one begins."""
    bars = [(name, key, values[key]) for name, key in panel.bars if values.get(key, 0) > 0]
    if not bars:
        return [], top
    low, high = _scale([value for _, _, value in bars])
    first = top + _TITLE
    bottom = first + len(bars) * (_BAR + _GAP)
    lines = [
        f'<text class="title" x="10" y="{top + 14:g}">{escape(panel.title)} '
        f'<tspan class="unit">({escape(panel.unit)})</tspan></text>'
    ]
    for power in range(low, high + 1):
        x = _LEFT + _length(10.0**power, low, high)
        label = f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"
        lines += [
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{first - 4:g}" y2="{bottom:g}"/>',
            f'<text class="tick" x="{x:.1f}" y="{bottom + 13:g}" text-anchor="middle">'
            f"{label}</text>",
        ]
    for place, (name, _, value) in enumerate(bars):
        y = first + place * (_BAR + _GAP)
        length, kind = _length(value, low, high), "own" if name.startswith("Baton") else "peer"
        lines += [
            f'<text x="{_LEFT - 8}" y="{y + 14:g}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{_LEFT}" y="{y:g}" width="{length:.1f}" height="{_BAR}"/>',
            f'<text x="{_LEFT + length + 6:.1f}" y="{y + 14:g}">{number(value)}</text>',
        ]
    return lines, bottom + _BETWEEN + 8


def svg(results: Results) -> str:
    """The plot of the results; a panel without any of its figures is left out."""
    values = {
        figure.key: figure.value
        for measured in results.values()
        for figure in measured.figures
        if figure.value is not None
    }
    lines: list[str] = []
    top = 10.0
    for panel in PANELS:
        drawn, top = _panel(panel, values, top)
        lines += drawn
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top:g}" '
        f'width="{_WIDTH}" height="{top:g}" role="img" '
        'aria-label="Baton beside DBOS and Restate, logarithmic scales">'
    )
    return "\n".join([head, f"<style>{_STYLE}</style>", *lines, "</svg>"]) + "\n"
