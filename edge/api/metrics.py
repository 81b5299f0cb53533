"""The device's figures as Prometheus text.

Nothing is measured here but the requests that were answered; figures are handed in.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from edge.figures import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


class Family(msgspec.Struct, frozen=True):
    """One metric with all its samples."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    """What it counts, in one line."""
    samples: list[tuple[Labels, float]] = []
    histogram: Histogram | None = None
    """In place of samples."""


class Requests:
    """Counts answered requests by the pattern of their route, so that the labels stay few."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}

    def count(self, method: str, pattern: str, status: int) -> None:
        """One request was answered."""
        key = (method, pattern, status)
        self._counts[key] = self._counts.get(key, 0) + 1

    def family(self) -> Family:
        """All counts as one metric."""
        return Family(
            "baton_http_requests_total",
            "counter",
            "Requests that were answered, by route and status.",
            [
                ({"method": method, "route": route, "status": str(status)}, count)
                for (method, route, status), count in sorted(self._counts.items())
            ],
        )


def render(families: Iterable[Family]) -> str:
    """The text that Prometheus reads."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {_escaped(family.text)}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines += [
            f"{family.name}{_labels(labels)} {value:g}"
            if value != int(value)
            else f"{family.name}{_labels(labels)} {int(value)}"
            for labels, value in family.samples
        ]
        if family.histogram is not None:
            lines += _buckets(family.name, family.histogram)
    return "\n".join(lines) + "\n"


def _buckets(name: str, histogram: Histogram) -> list[str]:
    """Each bucket with all that were shorter, as Prometheus counts; their sum and number."""
    # Another thread may add to it meanwhile: number and buckets must agree.
    counts = list(itertools.accumulate(histogram.counts))
    bounds = [*(f"{bound:g}" for bound in histogram.bounds_s), "+Inf"]
    return [
        *(
            f'{name}_bucket{{le="{bound}"}} {count}'
            for bound, count in zip(bounds, counts, strict=True)
        ),
        f"{name}_sum {histogram.sum_s:.6f}",
        f"{name}_count {counts[-1]}",
    ]


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
