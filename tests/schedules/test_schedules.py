"""Some of the schedules with every run of the tests, and the run that goes on where it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.schedules.runner import Kept, good
from tests.schedules.world import FAULTS, live

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", range(2))
def test_nothing_is_lost_and_nothing_is_twice(share: int) -> None:
    """I-2 to I-5 over real uplinks: at rest every record is stored, once, as it was written.

    One that is carried is stored without its body, and its carrier as it was written.
    """
    outcomes = [live(seed, 2_000) for seed in range(share, 60, 2)]

    assert [] == [outcome for outcome in outcomes if not good(outcome)]
    assert sum(outcome.records for outcome in outcomes) > 40_000
    assert sum(outcome.coalesced for outcome in outcomes) > 5_000
    assert sum(outcome.troubles for outcome in outcomes) > 300


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_control_plane_is_found(fault: str) -> None:
    """One that acknowledges what it has not committed, one that stores a record twice."""
    outcomes = [live(seed, 1_500, fault) for seed in range(12)]

    assert any(not good(outcome) for outcome in outcomes)
    if fault == FAULTS[1]:
        assert any(outcome.duplicated for outcome in outcomes)


@pytest.mark.timeout(60)
def test_the_same_seed_is_the_same_schedule() -> None:
    """So that a failure can be looked at again."""
    assert live(5, 2_000) == live(5, 2_000)


@pytest.mark.timeout(120)
def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """With what it had counted; a run of another size begins anew."""
    file = tmp_path / "schedules"
    file.write_bytes(msgspec.json.encode(Kept(0, 3, 600, done=2, records=5_000)))

    def run(records: str) -> str:
        command = ["--seeds", "0..3", "--records", records, "--resume", str(file), "--jobs", "2"]
        done = subprocess.run(
            [sys.executable, "-m", "tests.schedules", *command],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    assert "4 schedules, 6," in run("600")
    assert "0 lost, 0 twice, 0 changed" in run("600")
    kept = msgspec.json.decode(file.read_bytes(), type=Kept)
    assert (4, []) == (kept.done, kept.wrong)
    assert "4 schedules, 2," in run("700")
