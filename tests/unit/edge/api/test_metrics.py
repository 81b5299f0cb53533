"""Figures become Prometheus text."""

from __future__ import annotations

from edge.api.metrics import Family, Requests, render


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
