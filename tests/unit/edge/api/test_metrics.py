"""Figures become Prometheus text."""

from __future__ import annotations

from edge.api.metrics import Family, Requests, render
from edge.figures import Histogram


def test_labels_are_escaped_and_whole_numbers_stay_whole() -> None:
    """Names of queues are users' texts; a counter of a million is no 1e+06."""
    labels = {"queue": 'a"b\\c\nd'}
    family = Family("x", "gauge", "Two\nlines.", [(labels, 1_000_000), ({}, 0.5)])

    expected = '# HELP x Two\\nlines.\n# TYPE x gauge\nx{queue="a\\"b\\\\c\\nd"} 1000000\nx 0.5\n'
    assert expected == render([family])


def test_requests_are_counted_by_route() -> None:
    """By the pattern, never by the path: the number of lines stays that of the table."""
    requests = Requests()
    for _ in range(2):
        requests.count("GET", "/a/{x}", 200)

    labels = {"method": "GET", "route": "/a/{x}", "status": "200"}
    assert [(labels, 2)] == requests.family().samples


def test_a_histogram_counts_each_duration_in_all_that_are_longer() -> None:
    """Buckets are cumulative, the last is everything, and the sum has no exponent."""
    histogram = Histogram((0.0001, 0.5))
    for seconds in (0.00005, 0.2, 0.3, 7.0):
        histogram.see(seconds)

    text = render([Family("x", "histogram", "Time.", histogram=histogram)])

    assert [
        "# HELP x Time.",
        "# TYPE x histogram",
        'x_bucket{le="0.0001"} 1',
        'x_bucket{le="0.5"} 3',
        'x_bucket{le="+Inf"} 4',
        "x_sum 7.500050",
        "x_count 4",
    ] == text.splitlines()
