"""Who a device is outlives every power cut from the moment that it has told its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync import identity
from tests.power.disk import MODES, Disk
from tests.power.recorder import Journal, RecordedFiles
from tests.power.recording import put_files, scratch
from tests.power.wrong import BytesNotForcedOut, NamesNotForcedOut

_SEEDS = 5


def _wrong(files: type[RecordedFiles]) -> list[str]:
    """What power cuts leave of a first start that is not as it should be."""
    found = []
    with scratch() as folder:
        root = folder / "data"
        root.mkdir()
        journal = Journal(root)
        made = identity.load(root / "identity", device="roof", files=files(journal))
        disk = Disk({})
        for number, operation in enumerate(journal.operations, start=1):
            disk.advance(operation)
            for mode in MODES:
                for seed in range(_SEEDS):
                    built = disk.build(disk.image(mode, str(seed)))
                    put_files(folder / "cut", {name: one.content for name, one in built.items()})
                    wrong = _after_cut(folder / "cut", made, number == len(journal.operations))
                    found += [f"{number}:{mode}: {wrong}"] if wrong else []
    return found


def _after_cut(root: Path, made: identity.Identity, told: bool) -> str:
    """What is wrong with the next start; "" = nothing."""
    files = RecordedFiles(Journal(root))
    try:
        again = identity.load(root / "identity", device="roof", files=files)
    except identity.IdentityError as error:
        return str(error)
    return "another key" if told and again.seed != made.seed else ""


def test_a_first_start_that_is_cut_off() -> None:
    """Each operation in each mode: the next start has an identity, and the same once it was told."""
    assert [] == _wrong(RecordedFiles)


@pytest.mark.parametrize("files", [NamesNotForcedOut, BytesNotForcedOut])
def test_what_is_not_forced_out_is_found(files: type[RecordedFiles]) -> None:
    """So the test above says something."""
    assert _wrong(files)
