"""The JSON and the metrics of the control plane, from views written by hand."""

from __future__ import annotations

import pytest

from sync.control_plane.views import LagReport, Summary
from sync.control_plane.wire import camel, metrics_text

SUMMARY = Summary(
    devices=3, online=2, executions={"COMPLETED": 4, 'odd "\\\n': 1}, records=10, backlog=5,
    quarantined=0, unread=0, missing=1, projection_lag=2,
)  # fmt: skip
LAG = LagReport(records=10, p50_ms=120, p99_ms=2_500, max_ms=9_000)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("device", "device"), ("last_seen_ms", "lastSeenMs"), ("p50_ms", "p50Ms"), ("a_1b", "a1b")],
)
def test_fields_are_in_camel_case(name: str, expected: str) -> None:
    """Python's names become JSON's."""
    assert expected == camel(name)


def test_metrics_are_in_prometheus_format() -> None:
    """Each sample stands under its help and type; labels are escaped; lags are seconds."""
    lines = metrics_text(SUMMARY, LAG, streams=1).splitlines()

    assert 'baton_cloud_executions{status="odd \\"\\\\\\n"} 1' in lines
    assert 'baton_cloud_sync_lag_seconds{quantile="0.99"} 2.5' in lines
    assert "baton_cloud_streams 1" in lines
    assert 'baton_cloud_executions{status="FAILED"} 0' in lines
    assert 'baton_cloud_executions{status="COMPLETED"} 4' in lines
    for name in {line.split("{")[0].split(" ")[0] for line in lines if line[0] != "#"}:
        assert 1 == sum(line.startswith(f"# HELP {name} ") for line in lines)
        assert 1 == sum(line.startswith(f"# TYPE {name} ") for line in lines)
