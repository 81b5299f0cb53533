"""``python -m tests.bench``: measure Baton beside its peers, and write down what came out.

Nothing is measured here; each benchmark is a module of its own.
"""

from __future__ import annotations

import argparse
import compileall
import datetime as dt
import json
import os
import platform
import shlex
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench import (
    flash,
    fleet,
    footprint,
    forks,
    handlers,
    inprocess,
    overload,
    pending,
    plot,
    polls,
    recovery,
    rest,
    sdk,
    sync,
    tables,
)
from tests.bench.context import Bench
from tests.bench.figures import Figure
from tests.bench.peers.install import Peers

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "docs" / "performance.json"
PLOT = ROOT / "docs" / "images" / "performance.svg"


class Benchmark(NamedTuple):
    """What ``--only`` can name."""

    title: str
    about: str
    run: Callable[[Bench], list[Figure]]


BENCHMARKS = {
    "inprocess": Benchmark(
        "Workload W in one process",
        "Workers are coroutines of the engine's process. DBOS is a library, too.",
        inprocess.run,
    ),
    "handlers": Benchmark(
        "A synchronous workflow of three handlers",
        "From the start to the result, handlers being Python functions on threads of the process; "
        "then the same through `POST /api/workflow/execute`; and both with handlers that are marked "
        "as pure.",
        handlers.run,
    ),
    "flash": Benchmark(
        "Workload W on slow flash",
        "Every sync is made and takes at least 3 or 10 ms (`tests/bench/sync_shim.c`, loaded by "
        "LD_PRELOAD).",
        flash.run,
    ),
    "rest": Benchmark(
        "Workload W over HTTP",
        "A real daemon, a lean client that polls in batches of ten and reports every task in a "
        "request of its own, or with `update-v2`, whose answer brings the next task, or polls 50 "
        "and reports them in one list. "
        "Restate runs its server and a Node process with three `ctx.run` steps.",
        rest.run,
    ),
    "sdk": Benchmark(
        "Workload W by the stock Python SDK",
        "A TaskHandler with a process for each task type, as users run it; its own cost is in it.",
        sdk.run,
    ),
    "forks": Benchmark(
        "Dynamic forks",
        "Each branch is a task of a worker, then a JOIN: does a branch cost more in a wide fork?",
        forks.run,
    ),
    "pending": Benchmark(
        "Very many that wait",
        "WAITs of 30 days, then workflows whose first task no worker takes.",
        pending.run,
    ),
    "footprint": Benchmark(
        "Start and rest",
        "A daemon with its defaults on an empty folder.",
        footprint.run,
    ),
    "recovery": Benchmark(
        "Restart after SIGKILL",
        "Half of the executions have their first task behind them. After the restart all of them "
        "are in their queues, or the run does not count.",
        recovery.run,
    ),
    "polls": Benchmark(
        "Idle long polls",
        "Workers that wait; the API ends a poll after five seconds, and the next one follows.",
        polls.run,
    ),
    "fleet": Benchmark(
        "The control plane's pages",
        "A hundred thousand devices and two million executions in an SQLite ledger; every page is "
        "asked for over the application, and nothing that was kept answers it.",
        fleet.run,
    ),
    "overload": Benchmark(
        "Twice the load that can be carried",
        "Starts come at twice the rate of the peak for a minute, whether they are answered or not; "
        "as many workers as at the peak report their tasks.",
        overload.run,
    ),
    "sync": Benchmark(
        "History and orders through a broker",
        "A real Mosquitto without persistence, an ingester with its ledger in SQLite, a device with "
        "its engine, each a process; an order is given, carried out and reported, with the commits "
        "of both ends. Frames are compressed by zstd.",
        sync.run,
    ),
}

_EPILOG = """\
examples:
  python -m tests.bench                           all of it, some twenty minutes
  python -m tests.bench --only forks              one benchmark; give --only again for more
  python -m tests.bench --scale 0.05 --repeat 1   a quick look, not to be believed
  python -m tests.bench --json out.json           keep every run of every figure
  python -m tests.bench --write-docs              renew docs/performance.md and its plot

what is measured:
{benchmarks}

how to read it:
  Figures per CPU-second hardly depend on who else is running; those by the wall do. "others' cores"
  says how many cores other programs kept busy; above 0.5 a missed time is not held against a goal.
  Each figure is the median of its runs. A ratio compares cases that ran in turns, minutes apart.
  Syncs are counted, and made slow, by a library that gcc compiles when the bench starts.
  The peers are installed into {peers} when they are first needed.
"""

_PEERS = ".bench-peers"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure Baton beside DBOS and Restate: throughput, latency, bytes, syncs, "
        "memory. Shows a table with the goals and whether they are reached.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EPILOG.format(
            benchmarks="\n".join(f"  {name:<10} {one.title}" for name, one in BENCHMARKS.items()),
            peers=_PEERS,
        ),
    )
    parser.add_argument(
        "--only", action="append", choices=list(BENCHMARKS), help="this benchmark (repeatable)"
    )
    parser.add_argument(
        "--scale", type=_positive, default=1.0, help="length of the runs, 1.0 = full (default)"
    )
    parser.add_argument(
        "--repeat", type=_count, default=3, help="runs of each case; the median counts (default 3)"
    )
    parser.add_argument(
        "--concurrency", type=_counts, default=(1, 100, 400), metavar="N,N",
        help="workflows of W at once (default 1,100,400; goals are for 1 and 100)",
    )  # fmt: skip
    parser.add_argument("--no-peers", action="store_true", help="leave DBOS and Restate out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the plot to this file")
    parser.add_argument(
        "--write-docs", action="store_true",
        help="renew what was measured in docs/performance.md, its data and its plot",
    )  # fmt: skip
    parser.add_argument(
        "--render", action="store_true",
        help="measure nothing; make page and plot anew from docs/performance.json",
    )  # fmt: skip
    parser.add_argument(
        "--folder", type=Path, default=ROOT, metavar="DIR",
        help="where databases are made: on the disk that is meant (default: the tree)",
    )  # fmt: skip
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text}: give a number above 0, at most 100")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number from 1 to 100")
    return value


def _counts(text: str) -> tuple[int, ...]:
    try:
        values = tuple(int(one) for one in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(1 <= value <= 10_000 for value in values):
        raise argparse.ArgumentTypeError(f"{text}: give numbers from 1 to 10000, like 1,100")
    return values


def _calibrate() -> float:
    """CPU milliseconds of a fixed piece of work: what this core is worth just now."""
    document = {"tasks": [{"name": f"w{n}", "input": {"a": "x" * 180}} for n in range(20)]}
    began = time.process_time()
    for _ in range(2_000):
        document = json.loads(json.dumps(document))
    return (time.process_time() - began) * 1000


def _machine() -> str:
    processor = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            processor = line.partition(":")[2].strip()
            break
    return (
        f"{processor}, {os.cpu_count()} cores, Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def _version() -> str:
    """The commit of the tree; with a plus when files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=8", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def _run(options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> tables.Results:
    peers = None if options.no_peers else Peers(ROOT / _PEERS, say)
    bench = Bench(
        folder,
        scale=options.scale,
        repeat=options.repeat,
        concurrency=options.concurrency,
        peers=peers,
        say=say,
    )
    if bench.shim.missing:
        say(bench.shim.missing)
    for package in ("edge", "sync", "devices", "workflows"):
        # As an installation is: a start that compiles would be measured otherwise.
        compileall.compile_dir(ROOT / package, quiet=2)
    given = [one for one in options.given if one != "--write-docs"]
    results: tables.Results = {}
    names = [name for name in BENCHMARKS if options.only is None or name in options.only]
    for place, name in enumerate(names, start=1):
        bench.say(f"{name} ({place} of {len(names)}): {BENCHMARKS[name].title}")
        before = _calibrate()
        figures = BENCHMARKS[name].run(bench)
        results[name] = tables.Measured(
            title=BENCHMARKS[name].title,
            about=BENCHMARKS[name].about,
            command=shlex.join(["python", "-m", "tests.bench", *given]),
            version=_version(),
            date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
            machine=_machine(),
            core_ms=statistics.median([before, _calibrate()]),
            figures=figures,
        )
    return results


def _write_docs(results: tables.Results) -> None:
    """Lay the results over the ones that stand in the documentation."""
    merged = tables.read_results(RESULTS) | results
    ordered = {name: merged[name] for name in BENCHMARKS if name in merged}
    tables.write_results(RESULTS, ordered)
    PAGE.write_text(tables.with_results(PAGE.read_text(), ordered))
    PLOT.write_text(plot.svg(ordered))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = _parser()
    options = parser.parse_args(given, argparse.Namespace(given=given))
    if not options.folder.is_dir():
        parser.error(f"--folder {options.folder}: there is no such folder; make it first")

    if options.render:
        _write_docs({})
        return

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(dir=options.folder, prefix=".bench-") as name:
        results = _run(options, Path(name).resolve(), say)
    print(tables.text([figure for one in results.values() for figure in one.figures]))
    if options.json is not None:
        tables.write_results(options.json, results)
    if options.svg is not None:
        options.svg.write_text(plot.svg(results))
    if options.write_docs:
        _write_docs(results)


if __name__ == "__main__":
    main()
