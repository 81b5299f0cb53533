"""The benchmarks run from end to end, and what the documentation shows is what they measured.

No figure is judged here, and no peer is run.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.bench import plot, tables
from tests.bench.__main__ import BENCHMARKS, PAGE, PLOT, RESULTS, main
from tests.bench.figures import Case, Verdict
from tests.bench.goals import GOALS
from tests.bench.shim import Shim

_RUN_HERE = ("inprocess", "rest", "recovery")
"""One that measures itself, one with a daemon and its client, one that kills: in these ways all the
others are run, too."""


@pytest.mark.timeout(180)
def test_the_benchmarks_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At a tiny scale each one measures what it has goals for; peers that are left out say so."""
    wanted = [option for name in _RUN_HERE for option in ("--only", name)]
    kept = tmp_path / "figures.json"

    main([*wanted, "--scale", "0.001", "--repeat", "1", "--concurrency", "1", "--no-peers",
          "--json", str(kept), "--folder", str(tmp_path)])  # fmt: skip

    results = tables.read_results(kept)
    figures = {one.key: one for measured in results.values() for one in measured.figures}
    missing = {one.key: one.note for one in figures.values() if one.value is None}
    left_out = dict.fromkeys(
        ("dbos.c1.tasks_per_cpu_s", "restate.c1.tasks_per_cpu_s"), "left out by --no-peers"
    )
    assert set(_RUN_HERE) == set(results)
    assert left_out == missing
    if not Shim(tmp_path).missing:
        # A start and three completions; a release that needs fewer is welcome.
        assert 1 <= (figures["inprocess.c1.syncs_on_the_way"].value or 0) <= 4
    shown = capsys.readouterr().out
    assert all(one.name in shown for one in figures.values())


def test_bad_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong value is named before anything runs."""
    for options, named in (
        (["--concurrency", "1,x"], "1,x: give numbers from 1 to 10000"),
        (["--scale", "0"], "0: give a number above 0"),
        (["--repeat", "0"], "0: give a whole number"),
        (["--folder", str(tmp_path / "gone")], "there is no such folder"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(options)

        assert 2 == ended.value.code
        assert named in capsys.readouterr().err


def test_the_help_teaches_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks is told what there is to be measured."""
    with pytest.raises(SystemExit):
        main(["--help"])

    told = capsys.readouterr().out
    assert all(f"  {name}" in told and one.title in told for name, one in BENCHMARKS.items())


def test_the_page_shows_the_results_that_are_kept() -> None:
    """Page and plot are made from the data beside them, and nobody has written into them."""
    results = tables.read_results(RESULTS)

    assert set(BENCHMARKS) == set(results)
    assert PAGE.read_text() == tables.with_results(PAGE.read_text(), results)
    assert PLOT.read_text() == plot.svg(results)


def test_every_goal_is_held_against_a_figure() -> None:
    """A goal that no benchmark has a figure for is never missed."""
    results = tables.read_results(RESULTS)
    keys = {one.key for measured in results.values() for one in measured.figures}

    assert set() == set(GOALS) - keys


def test_every_panel_of_the_plot_is_drawn() -> None:
    """The plot is XML, and each of its panels found a figure of Baton's and one of a peer's."""
    results = tables.read_results(RESULTS)
    drawn = ET.fromstring(plot.svg(results))
    values = {one.key: one.value for m in results.values() for one in m.figures}

    texts = "".join(drawn.itertext())
    for panel in plot.PANELS:
        assert panel.title in texts
        assert len([key for _, key in panel.bars if values.get(key)]) >= 2


@pytest.mark.parametrize(
    ("value", "foreign", "verdict"),
    [(2.0, 0.0, Verdict.YES), (2.0, 1.9, Verdict.YES), (9.0, 0.1, Verdict.NO),
     (9.0, 1.9, Verdict.BUSY)],
)  # fmt: skip
def test_a_busy_machine_excuses_times(value: float, foreign: float, verdict: Verdict) -> None:
    """A time that misses its goal counts only when others left the machine alone."""
    case = Case("inprocess.c1", "W", [{"p50_ms": value, "foreign": foreign}])

    assert verdict is case.figure("p50_ms", "p50", "ms").reached


def test_a_busy_machine_excuses_nothing_else() -> None:
    """CPU time, bytes and syncs are the same whoever else is running."""
    case = Case("inprocess.c100", "W", [{"tasks_per_cpu_s": 1.0, "foreign": 1.9}])

    assert Verdict.NO is case.figure("tasks_per_cpu_s", "tasks", "per CPU-second").reached


def test_a_short_run_reaches_no_goal() -> None:
    """What costs little because there was little of it is no success."""
    case = Case("waits", "WAITs", [{"rss_mb": 1.0}], short=True)

    assert Verdict.SHORT is case.figure("rss_mb", "memory", "MiB RSS").reached


def test_a_ratio_is_of_medians_of_the_same_run() -> None:
    """Medians are compared, and the name of the other stands beside the ratio."""
    own = Case("a", "own", [{"x": 10.0}, {"x": 30.0}, {"x": 20.0}])
    peer = Case("b", "peer", [{"x": 5.0}])
    nobody = Case("c", "nobody", [], "not installed")

    figure = own.figure("x", "x", "tasks", against=peer)

    assert (20.0, 4.0, "peer") == (figure.value, figure.ratio, figure.against)
    assert own.figure("x", "x", "tasks", against=nobody).ratio is None
    assert "not installed" == nobody.figure("x", "x", "tasks").note
