"""A damaged database is being rebuilt when the power fails: nothing that could be read is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.store import quarantine
from tests.faults import filled
from tests.power.disk import MODES, Disk
from tests.power.recorder import Journal, RecordedFiles
from tests.power.recording import files_in, put_files, scratch
from tests.power.wrong import BytesNotForcedOut, NamesNotForcedOut

_SEEDS = 3
_HEAD = b"SQLite format 3\x00"


def _faults(whole: Path, files: type[RecordedFiles], folder: Path) -> list[str]:
    """What is wrong after power cuts in a recovery that changes files in this way."""
    (folder / "data").mkdir()
    path = filled.copy(whole, folder / "data")
    filled.overwrite(path, 0, bytes(100))
    damaged, wanted = path.read_bytes(), filled.rows(whole)["workflow"]
    disk, journal = Disk(files_in(path.parent)), Journal(path.parent)
    quarantine.recover(path, reason="damaged", now_ms=1_000, files=files(journal))
    found, seen = [], set()
    for operation in journal.operations:
        disk.advance(operation)
        for mode in MODES:
            for seed in range(_SEEDS):
                image = disk.image(mode, str(seed))
                if (image.key, mode == "zeros") in seen:
                    continue
                seen.add((image.key, mode == "zeros"))
                built = disk.build(image)
                put_files(folder / "cut", {name: one.content for name, one in built.items()})
                wrong = _after_cut(folder / "cut" / path.name, damaged, wanted)
                found += [f"{disk.index}:{mode}:{seed} {wrong}"] if wrong else []
    return found


def _after_cut(path: Path, damaged: bytes, wanted: object) -> str:
    """What is wrong with what the next start makes of it; "" = nothing."""
    quarantine.finish(path)
    if not path.exists():
        return "there is no database, and nothing to finish"
    try:
        if path.read_bytes()[:16] != _HEAD:
            quarantine.recover(path, reason="damaged", now_ms=2_000)
        held = filled.rows(path)["workflow"]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        return f"it cannot be read: {error}"
    if held != wanted:
        return "rows are missing"
    kept = [one.read_bytes() for one in quarantine.folder_of(path).glob("*/baton.db")]
    return "" if kept == [damaged] else "the damaged file has not been kept"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small database."""
    return filled.fill(tmp_path_factory.mktemp("filled"), executions=5)


@pytest.mark.timeout(300)
def test_a_recovery_that_is_cut_off(whole: Path) -> None:
    """After each operation in each mode the next start has all rows, and the damaged file."""
    with scratch() as folder:
        assert [] == _faults(whole, RecordedFiles, folder)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("files", [NamesNotForcedOut, BytesNotForcedOut])
def test_what_is_not_forced_out_is_found(whole: Path, files: type[RecordedFiles]) -> None:
    """So the test above says something."""
    with scratch() as folder:
        assert _faults(whole, files, folder)
