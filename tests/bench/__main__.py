"""``python -m tests.bench``: run the benchmarks and print their figures.

Use ``--scale 0.2`` for a quick look and ``--json FILE`` to keep the figures.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import msgspec

from tests.bench import forks, inprocess, rest
from tests.bench.measure import Figure, table


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=["inprocess", "forks", "rest", "footprint"])
    parser.add_argument("--scale", type=float, default=1.0, help="1.0 = the full length")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    # A disk, not a memory file system: each commit is meant to reach it.
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where databases are made")
    options = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(dir=options.folder, prefix=".bench-") as name:
        folder = Path(name)
        if options.only in (None, "inprocess"):
            figures += inprocess.run(folder, scale=options.scale)
        if options.only in (None, "forks"):
            figures += forks.run(folder, scale=options.scale)
        if options.only in (None, "footprint"):
            figures += rest.footprint(folder)
        if options.only in (None, "rest"):
            figures += rest.run(folder, scale=options.scale)
    print(table(figures))
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))


if __name__ == "__main__":
    main()
