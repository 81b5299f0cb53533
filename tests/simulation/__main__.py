"""``python -m tests.simulation``: worlds on virtual time, in which everything fails but the promises.

Each seed is a world: devices with the real engine, a broker, a control plane, clients and workers,
and what goes wrong with them. The same seed leaves the same trace, on every machine.

  --seed 17                  one world; says what was wrong, if anything
  --seed 17 --trace          the same, with everything that happens in it
  --seed 17 --shrink         a failing world made small, and kept in tests/seeds/
  --seeds 0..999 --jobs 2    many worlds, with the rate
  --plan tests/seeds/x.json  a world that was kept
  --mutant lease-forgotten   with a fault put into the engine, to see that it is found
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import msgspec

from tests.simulation import kept, runner
from tests.simulation.mutants import MUTANTS
from tests.simulation.plan import Plan, draw
from tests.simulation.shrink import shrink
from tests.simulation.world import Outcome, live

_PROGRESS_EVERY_S = 5.0


def _seeds(text: str) -> range:
    """Seeds given as A..B, both included."""
    first, dots, last = text.partition("..")
    try:
        found = range(int(first), int(last) + 1)
    except ValueError:
        found = range(0)
    if not dots or not found or found[0] < 0:
        raise argparse.ArgumentTypeError(f"expected A..B, for example 0..999, not {text!r}")
    return found


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, not {text!r}")
    return number


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seed", type=int, help="live through the world of this seed")
    which.add_argument("--seeds", type=_seeds, metavar="A..B", help="through many, both included")
    which.add_argument("--plan", type=Path, metavar="FILE", help="through a plan that was kept")
    which.add_argument("--list-mutants", action="store_true", help="name the faults of --mutant")
    parser.add_argument("--jobs", type=_count, default=1, help="processes for --seeds")
    parser.add_argument(
        "--resume", type=Path, metavar="FILE",
        help="note there how far --seeds has come, and go on from there",
    )  # fmt: skip
    parser.add_argument("--trace", action="store_true", help="print what happens (one world)")
    parser.add_argument(
        "--shrink", action="store_true", help="make a failing world small and keep it (one world)"
    )
    parser.add_argument("--keep", type=Path, metavar="FILE", help="where --shrink keeps the plan")
    parser.add_argument(
        "--mutant", choices=sorted(MUTANTS), metavar="NAME", help="put this fault into the engine"
    )
    return parser.parse_args()


def main() -> int:
    """Do what was asked for; 0 = nothing was wrong."""
    options = _options()
    if options.list_mutants:
        for name, mutant in sorted(MUTANTS.items()):
            print(f"{name:24} {mutant.imitates}")
        return 0
    with _mutated(options.mutant):
        if options.seeds is not None:
            return _many(options.seeds, options.jobs, options.mutant, options.resume)
        return _one(options)


def _mutated(name: str | None) -> AbstractContextManager[None]:
    return nullcontext() if name is None else MUTANTS[name].at_work()


def _one(options: argparse.Namespace) -> int:
    if options.plan is not None:
        try:
            plan = kept.read(options.plan).plan
        except (OSError, msgspec.DecodeError) as error:
            print(f"--plan {options.plan}: cannot be read as a kept plan: {error}")
            return 2
    else:
        plan = draw(options.seed)
    began_s = time.perf_counter()
    outcome = live(plan, print if options.trace else None)
    took_s = time.perf_counter() - began_s
    print(
        f"seed {outcome.seed}: {outcome.virtual_s:.0f} virtual s in {took_s:.2f} s, "
        f"{outcome.executions} starts, {outcome.commits} commits, {outcome.boots} boots, "
        f"{outcome.cuts} power cuts, trace {outcome.trace}"
    )
    if outcome.violation is None:
        print("nothing was wrong")
        return 0
    _tell_wrong(outcome)
    if options.shrink:
        _shrink(plan, outcome, options.keep or kept.FOLDER / f"seed-{plan.seed}.json")
    return 1


def _tell_wrong(outcome: Outcome) -> None:
    violation = outcome.violation
    assert violation is not None, "only what is wrong is told"
    print(f"WRONG seed {outcome.seed} at {violation.at_s:.3f} s: {violation.what}")
    print(f"  {violation.facts}")
    print(f"  again: make simulate SEED={outcome.seed}", flush=True)


def _shrink(plan: Plan, outcome: Outcome, path: Path) -> None:
    wrong = outcome.violation
    assert wrong is not None, "only what is wrong is made small"
    before = len(plan.events)
    small = shrink(plan, _fails_with(wrong.what), lambda line: print(f"  {line}", flush=True))
    kept.write(path, kept.Kept("not looked into yet", wrong.what, small))
    print(f"{before} events made {len(small.events)}; kept in {path}")
    print("  Say in it what it showed once that is mended; it is run with the tests from now on.")


def _fails_with(what: str) -> Callable[[Plan], bool]:
    def fails(plan: Plan) -> bool:
        violation = live(plan).violation
        return violation is not None and violation.what == what

    return fails


def _many(seeds: range, jobs: int, mutant: str | None, resume: Path | None) -> int:
    if mutant is not None and jobs > 1:
        print("--jobs: a mutant lives in one process; leave --jobs away")
        return 2
    whole = f"{seeds[0]}..{seeds[-1]}"
    if resume is not None and resume.exists():
        said, _, after = resume.read_text().strip().partition(" ")
        if said == whole and after.isdecimal():
            seeds = range(int(after), seeds[-1] + 1)
            print(f"{resume}: all before {after} are done", flush=True)
    print(f"seeds {whole}, {len(seeds)} to do, on {jobs} process(es)", flush=True)
    began_s = told_s = time.perf_counter()
    wrong = done = 0
    virtual_s = 0.0
    for outcome in runner.live_all(seeds, jobs):
        done += 1
        virtual_s += outcome.virtual_s
        if outcome.violation is not None:
            wrong += 1
            _tell_wrong(outcome)
        now_s = time.perf_counter()
        if now_s - told_s > _PROGRESS_EVERY_S:
            told_s = now_s
            if resume is not None and not wrong:
                resume.write_text(f"{whole} {outcome.seed + 1}\n")
            _tell_progress(done, len(seeds), wrong, now_s - began_s)
    _tell_progress(done, len(seeds), wrong, time.perf_counter() - began_s)
    if resume is not None and not wrong:
        resume.unlink(missing_ok=True)
    print(
        f"{virtual_s:.0f} virtual seconds, {virtual_s / (time.perf_counter() - began_s):.0f} a second"
    )
    return 1 if wrong else 0


def _tell_progress(done: int, many: int, wrong: int, passed_s: float) -> None:
    rate = 60 * done / max(passed_s, 0.001)
    print(f"  {done} of {many}, {wrong} wrong, {rate:.0f} seeds a minute", flush=True)


if __name__ == "__main__":
    sys.exit(main())
