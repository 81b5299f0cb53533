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


@pytest.mark.timeout(120)
def test_seeds_go_on_where_they_were_stopped(tmp_path: Path) -> None:
    """What was noted of the same seeds is believed; what is through leaves no note."""
    note = tmp_path / "note"
    note.write_text("0..2 2\n")
    rest = simulate("--seeds", "0..2", "--resume", str(note))
    left = note.exists()
    note.write_text("5..9 9\n")
    others = simulate("--seeds", "0..0", "--resume", str(note))

    assert (0, 0) == (rest.returncode, others.returncode), rest.stderr + others.stderr
    assert "1 to do" in rest.stdout and "1 of 1" in rest.stdout
    assert "seeds 0..0, 1 to do" in others.stdout
    assert not left


@pytest.mark.timeout(120)
@pytest.mark.parametrize("path", kept.all_kept(), ids=lambda path: path.stem)
def test_kept_worlds(path: Path) -> None:
    """What once failed, and was mended, stays mended."""
    outcome = live(kept.read(path).plan)

    assert None is outcome.violation, f"{path.name}: {outcome.violation}"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", ["11", "118"])
def test_the_same_seed_leaves_the_same_trace(seed: str) -> None:
    """In another process, with other hashes and another place for its files.

    In the second world there are orders and pure handlers.
    """
    told = [
        simulate("--seed", seed, PYTHONHASHSEED=hashes, TZ=zone).stdout
        for hashes, zone in (("0", "UTC"), ("5", "Asia/Tokyo"))
    ]
    traces = [line.partition("trace ")[2] for line in told[0].splitlines()]

    assert len(traces[0]) > 20, told[0]
    assert traces == [line.partition("trace ")[2] for line in told[1].splitlines()]
