"""New worlds with every run, and all those that ever showed a fault: nothing is wrong in any."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.simulation import kept
from tests.simulation.world import live

SEEDS = int(os.environ.get("BATON_SEEDS", "3000"))
PARTS = 12
"""Pieces that the seeds of one run come in, so that they spread over processes."""

_ROOT = Path(__file__).parent.parent.parent


def _first_seed() -> int:
    """The first seed of this run: another one each day, or the one that was asked for."""
    asked = os.environ.get("BATON_FIRST_SEED")
    return int(asked) if asked else int(time.time() // 86_400) * 1_000_000


def simulate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, unmeasured: coverage would halve its pace."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE", "COV_"))}
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=_ROOT,
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_new_worlds(part: int) -> None:
    """Today's seeds: whatever fails in them, the promises hold, and all comes to rest."""
    size = SEEDS // PARTS
    first = _first_seed() + part * size
    done = simulate("--seeds", f"{first}..{first + size - 1}")
    print(done.stdout)

    assert 0 == done.returncode, done.stdout[-4_000:] + done.stderr[-4_000:]


@pytest.mark.soak
def test_many_new_worlds() -> None:
    """A night's seeds, on all cores."""
    first, many = _first_seed() + 500_000, int(os.environ.get("BATON_SEEDS", "100000"))
    jobs = str(os.cpu_count() or 1)
    done = simulate("--seeds", f"{first}..{first + many - 1}", "--jobs", jobs)
    print(done.stdout)

    assert 0 == done.returncode, done.stdout[-20_000:] + done.stderr[-4_000:]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("path", kept.all_kept(), ids=lambda path: path.stem)
def test_kept_worlds(path: Path) -> None:
    """What once failed, and was mended, stays mended."""
    outcome = live(kept.read(path).plan)

    assert None is outcome.violation, f"{path.name}: {outcome.violation}"


@pytest.mark.timeout(120)
def test_the_same_seed_leaves_the_same_trace() -> None:
    """In another process, with other hashes and another place for its files."""
    told = [
        simulate("--seed", "11", PYTHONHASHSEED=hashes, TZ=zone).stdout
        for hashes, zone in (("0", "UTC"), ("5", "Asia/Tokyo"))
    ]
    traces = [line.partition("trace ")[2] for line in told[0].splitlines()]

    assert len(traces[0]) > 20, told[0]
    assert traces == [line.partition("trace ")[2] for line in told[1].splitlines()]
