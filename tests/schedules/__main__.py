"""Drain histories over networks at their worst, and count what was lost or is there twice.

Each schedule is a seed: a real uplink, two receivers on one ledger, and a broker, receivers, a
device and links that take turns in failing, on virtual time. At rest the ledger has to hold every
record that the device has written, once, as it was written.

  python -m tests.schedules --seeds 0..999 --records 50000 --jobs 2 --resume .soak/schedules
  python -m tests.schedules --seeds 17..17 --records 50000      one again
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import msgspec

from tests.schedules.runner import Kept, good, live_all

_PROGRESS_EVERY_S = 10.0


def _seeds(text: str) -> tuple[int, int]:
    first, dots, last = text.partition("..")
    if not (dots and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"expected A..B, for example 0..999, not {text!r}")
    return int(first), int(last)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.schedules",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=_seeds, required=True, metavar="A..B")
    parser.add_argument("--records", type=int, default=50_000, help="of each (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="note there how far it is, and go on from there"
    )
    return parser.parse_args()


def _begin(options: argparse.Namespace) -> Kept:
    """What a run before has left, when it was the same; else nothing."""
    first, last = options.seeds
    fresh = Kept(first, last, options.records)
    if options.resume is None or not options.resume.exists():
        return fresh
    kept = msgspec.json.decode(options.resume.read_bytes(), type=Kept)
    same = (kept.first, kept.last, kept.records_each) == (first, last, options.records)
    return kept if same else fresh


def main() -> int:
    """Live through what is left; 0 = nothing was lost, doubled or changed."""
    options = _options()
    kept = _begin(options)
    began_s = told_s = time.monotonic()
    already = kept.records
    seeds = range(kept.first + kept.done, kept.last + 1)
    for outcome in live_all(seeds, options.records, options.jobs):
        kept.note(outcome)
        if options.resume is not None:
            options.resume.write_bytes(msgspec.json.encode(kept))
        if not good(outcome):
            print(f"WRONG {outcome}", flush=True)
        if time.monotonic() - told_s >= _PROGRESS_EVERY_S:
            told_s = time.monotonic()
            per_s = (kept.records - already) / (told_s - began_s)
            print(f"  {_line(kept)}, {per_s:,.0f} records/s", flush=True)
    print(_line(kept))
    if kept.wrong:
        print(f"seeds in which something was broken: {kept.wrong[:20]}")
    return 1 if kept.wrong else 0


def _line(kept: Kept) -> str:
    return (
        f"{kept.done:,} schedules, {kept.records:,} records: {kept.lost} lost, "
        f"{kept.duplicated} twice, {kept.changed} changed"
    )


if __name__ == "__main__":
    sys.exit(main())
