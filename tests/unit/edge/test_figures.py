"""Histograms and tallies: what is counted where, and that memory stays bounded."""

from __future__ import annotations

from edge.figures import OTHER, Figures, Histogram, Tally


def test_a_duration_counts_in_the_first_bucket_that_holds_it() -> None:
    """The upper end belongs to the bucket; what is longer than all has one of its own."""
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.2, 5.0):
        histogram.see(seconds)

    assert [2, 1, 1] == histogram.counts
    assert 5.35 == histogram.sum_s


def test_labels_are_counted_apart() -> None:
    """By name and by what else is said."""
    tally = Tally()
    for labels in (("a", "FAILED"), ("a", "COMPLETED"), ("a", "FAILED"), ("b", "FAILED")):
        tally.count(*labels)

    assert [(("a", "COMPLETED"), 1), (("a", "FAILED"), 2), (("b", "FAILED"), 1)] == list(tally)


def test_names_beyond_the_bound_share_one_label() -> None:
    """Whoever makes up names fills one line, not the memory; known names go on counting."""
    tally = Tally()
    for number in range(1_000):
        tally.count(f"n{number}", "COMPLETED")
    tally.count("n0", "FAILED")
    counts = dict(tally)

    assert 801 == sum(count for labels, count in counts.items() if labels[0] == OTHER) + 1
    assert 1 == counts["n0", "FAILED"]
    assert len(counts) <= 203


def test_everything_has_a_place() -> None:
    """Nothing is counted before anything happens."""
    figures = Figures()

    assert 0 == sum(figures.decisions.counts + figures.transactions.counts + figures.syncs.counts)
    assert [] == [*figures.workflows_started, *figures.workflows_ended, *figures.tasks_ended]
