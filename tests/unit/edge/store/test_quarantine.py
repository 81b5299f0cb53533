"""Putting a damaged database aside: whatever step is interrupted, nothing is lost by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.store import quarantine
from edge.store.quarantine import NoRoom, NothingToSalvage
from tests.faults import filled


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small database; tests work on copies."""
    return filled.fill(tmp_path_factory.mktemp("filled"), executions=30)


def _damaged(whole: Path, folder: Path) -> Path:
    path = filled.copy(whole, folder)
    filled.overwrite(path, 0, bytes(100))
    return path


def test_the_damaged_file_is_kept_and_a_new_one_is_in_its_place(
    whole: Path, tmp_path: Path
) -> None:
    """With a report beside the damaged one, which says what was lost."""
    path = _damaged(whole, tmp_path)
    damaged = path.read_bytes()

    report = quarantine.recover(path, reason="it was tried", now_ms=1_700_000_000_000)

    (place,) = quarantine.folder_of(path).iterdir()
    assert "20231114T221320Z" == place.name
    assert damaged == (place / "baton.db").read_bytes()
    assert filled.rows(whole)["workflow"] == filled.rows(path)["workflow"]
    told = quarantine.last_report(path)
    assert told is not None
    assert ("it was tried", report.rows) == (told["reason"], told["rows"])
    left = {one.name for one in tmp_path.iterdir()}
    assert {"baton.db", "quarantine"} == left - {"baton.db.mark"}


def test_one_damaged_copy_is_kept(whole: Path, tmp_path: Path) -> None:
    """The disk must not fill with them; the reports stay, the last ten."""
    path = _damaged(whole, tmp_path)
    for _ in range(12):
        quarantine.recover(path, reason="again", now_ms=1_000)

    places = list(quarantine.folder_of(path).iterdir())
    assert 10 == len(places)
    assert 1 == sum((place / "baton.db").exists() for place in places)
    assert all((place / "report.json").exists() for place in places)


def test_a_copy_that_is_too_large_is_not_kept(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could be salvaged of it is safe by then."""
    monkeypatch.setattr(quarantine, "MOST_KEPT_BYTES", 10_000)
    path = _damaged(whole, tmp_path)

    quarantine.recover(path, reason="large", now_ms=1_000)

    assert ["report.json"] == [one.name for one in quarantine.folder_of(path).glob("*/*")]


@pytest.mark.parametrize("content", [b"", b"this is a letter" * 1_000, bytes(100_000)])
def test_nothing_to_salvage(tmp_path: Path, content: bytes) -> None:
    """The file stays where it is, and the message says what to do."""
    path = tmp_path / "baton.db"
    path.write_bytes(content)

    with pytest.raises(NothingToSalvage, match="baton storage check"):
        quarantine.recover(path, reason="no database", now_ms=1_000)

    assert content == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_no_room(whole: Path, tmp_path: Path) -> None:
    """Nothing is changed when the new file cannot be written."""
    path = _damaged(whole, tmp_path)
    # A folder of that name cannot be written as a file, whoever tries.
    (tmp_path / "baton.db.salvaging").mkdir()

    with pytest.raises(NoRoom, match="--to FILE"):
        quarantine.recover(path, reason="full", now_ms=1_000)

    assert path.exists()
    assert not quarantine.folder_of(path).exists()


class _PowerCut(Exception):
    pass


@pytest.mark.parametrize("step", range(1, 9))
def test_the_power_fails_in_between(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """After any number of steps: finishing, or doing it again, gives the same rows."""
    path = _damaged(whole, tmp_path)
    Path(f"{path}-wal").write_bytes(b"")
    steps = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal steps
            steps += 1
            if steps == step:
                raise _PowerCut
            return real(*arguments, **named)

        return call

    for name in ("rename", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    try:
        quarantine.recover(path, reason="damaged", now_ms=1_000)
        cut = False
    except _PowerCut:
        cut = True
    monkeypatch.undo()

    quarantine.finish(path)
    if path.read_bytes()[:16] != b"SQLite format 3\x00":
        quarantine.recover(path, reason="damaged", now_ms=2_000)

    assert cut or step > 6
    assert filled.rows(whole)["workflow"] == filled.rows(path)["workflow"]
    assert not Path(f"{path}.salvaged").exists()


def test_nothing_is_finished_that_was_not_begun(tmp_path: Path) -> None:
    """Where no recovery was interrupted nothing happens."""
    path = tmp_path / "baton.db"
    quarantine.finish(path)
    path.write_bytes(b"mine")
    Path(f"{path}.salvaged").write_bytes(b"old")
    quarantine.finish(path)

    assert b"mine" == path.read_bytes()
    assert quarantine.last_report(path) is None
