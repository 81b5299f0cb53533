"""Look at what power cuts leave of the battery.

Every shape (a small life of a device) is played once on a disk that notes each write, sync, rename
and unlink. From the notes every disk is worked out that a power cut after any operation may leave,
in six modes: drop, prefix, subset, sector, zeros, keep. Each is opened, checked against what
clients had been told, and after each sync the device is booted on it and goes on to its end.

A failure prints its address. Give it to --replay to see that one image again, in a second.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.power.battery import BATTERY
from tests.power.explore import BadAddress, Result, be_quiet, explore_named, replay, shares


def main() -> int:
    """Do what was asked for; 0 = nothing is wrong, 1 = something is, 2 = it was asked wrongly."""
    options = _options()
    be_quiet()
    if options.list:
        print("\n".join(BATTERY))
        return 0
    if options.replay:
        return _replay(options.replay)
    names = options.shape or list(BATTERY)
    return _explore(names, options.images, options.seed, options.jobs, options.resume)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.power",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m tests.power --images 60000        what `make test` looks at\n"
        "  python -m tests.power --shape rerun --seed 9\n"
        "  python -m tests.power --replay rerun:57:subset:9",
    )
    parser.add_argument(
        "--images", type=_positive, default=60_000, metavar="N",
        help="distinct images to look at, shared among the shapes (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--shape", action="append", choices=list(BATTERY), metavar="NAME",
        help="only this shape; may be given more than once (see --list)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", default="1", help="of the choices that modes leave open (default: %(default)s)"
    )
    parser.add_argument(
        "--jobs", type=_positive, default=os.cpu_count() or 1, metavar="N",
        help="processes that work side by side (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--replay", metavar="ADDRESS", help="look at one image again: shape:index:mode:seed"
    )
    parser.add_argument(
        "--resume", type=Path, metavar="FILE",
        help="note there which shapes are done, and go on behind those that are",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="name the shapes")
    return parser.parse_args()


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def _replay(address: str) -> int:
    began_s = time.perf_counter()
    try:
        found = replay(address)
    except BadAddress as error:
        print(f"--replay {address}: {error}", file=sys.stderr)
        return 2
    print("the last operations before the power went:")
    for operation in found.operations:
        print(f"  {operation}")
    print(f"{address}  {found.wrong or 'nothing is wrong'}")
    print(f"looked at in {time.perf_counter() - began_s:.1f} s")
    return 0 if found.wrong is None else 1


def _explore(names: list[str], total: int, seed: str, jobs: int, resume: Path | None) -> int:
    began_s = time.perf_counter()
    whole = shares(total, names)
    asked = f"{seed} {total} {' '.join(names)}"
    finished = _finished(resume, asked)
    left = {name: enough for name, enough in whole.items() if name not in finished}
    print(
        f"seed {seed}: {total} images of {len(names)} shapes in {jobs} processes, "
        f"{len(finished)} shapes are done",
        flush=True,
    )
    images, boots, failures = 0, 0, 0
    for done, result in enumerate(_results(left, seed, jobs), start=1):
        images += result.images
        boots += result.boots
        failures += len(result.failures)
        passed_s = time.perf_counter() - began_s
        print(
            f"[{done}/{len(left)}] {result.shape}: {result.images} images; "
            f"{images} so far, {images / passed_s:.0f} a second, {failures} failures",
            flush=True,
        )
        for failure in result.failures:
            print(f"  {failure.address}  {failure.what}")
        if resume is not None and not result.failures:
            finished.append(result.shape)
            resume.write_text("\n".join([asked, *finished]) + "\n")
    if resume is not None and not failures:
        resume.unlink(missing_ok=True)
    passed_s = time.perf_counter() - began_s
    print(
        f"{images} distinct images, {boots} more after a second power cut, "
        f"{failures} failures, {passed_s:.0f} s"
    )
    return 1 if failures else 0


def _finished(resume: Path | None, asked: str) -> list[str]:
    """The shapes that an earlier run of the same has been through."""
    if resume is None or not resume.exists():
        return []
    said, *finished = resume.read_text().splitlines()
    return finished if said == asked else []


def _results(left: dict[str, int], seed: str, jobs: int) -> Iterator[Result]:
    # A fresh interpreter for each: what was forked from would share its threads' locks.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        waiting: list[Future[Result]] = [
            pool.submit(explore_named, name, seed, enough) for name, enough in left.items()
        ]
        for future in as_completed(waiting):
            yield future.result()


if __name__ == "__main__":
    sys.exit(main())
