"""Opening a database that may be damaged: it is looked at, and rebuilt where it must be."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from edge.engine import Engine
from edge.recovery import open_whole
from edge.store import integrity, quarantine
from edge.store.migrations import MigrationError
from edge.store.quarantine import NothingToSalvage
from sync.database import PAGE_BYTES
from tests.evaluators import EVALUATORS
from tests.faults import filled

PAGE = PAGE_BYTES


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that was closed in order; tests work on copies."""
    return filled.fill(tmp_path_factory.mktemp("filled"), executions=60)


def _open(path: Path) -> int:
    """Open and close; returns how many tasks waited then."""

    async def main() -> int:
        engine = await open_whole(path, lambda _: Engine.open(path, scripts=EVALUATORS))
        try:
            return sum(engine.queue_sizes().values())
        finally:
            await engine.close()

    return asyncio.run(main())


def test_a_whole_database_is_opened_as_it_is(whole: Path, tmp_path: Path) -> None:
    """Nothing is rebuilt."""
    path = filled.copy(whole, tmp_path)

    assert _open(path) > 0
    assert not quarantine.folder_of(path).exists()


@pytest.mark.parametrize("offset", [0, PAGE])
def test_one_that_does_not_open_is_rebuilt(whole: Path, tmp_path: Path, offset: int) -> None:
    """Without its first page, and without the second, which begins a table."""
    waiting = _open(filled.copy(whole, tmp_path / "whole"))
    path = filled.copy(whole, tmp_path / "damaged")
    filled.overwrite(path, offset, b"\x77" * PAGE)

    assert waiting == _open(path)
    assert quarantine.last_report(path) is not None


def test_a_broken_tree_is_found_after_a_stop_without_notice(whole: Path, tmp_path: Path) -> None:
    """A page that opening does not touch: the check of the structure meets it."""
    path = filled.copy(whole, tmp_path / "a")
    content = path.read_bytes()
    # The last page of a tree that is never read at a start.
    leaf = max(
        number
        for number in range(len(content) // PAGE)
        if content[number * PAGE] == 13 and b"plain" in content[number * PAGE :][:PAGE]
    )
    filled.overwrite(path, leaf * PAGE + 3, b"\xff\xff")
    clean = tmp_path / "b"
    clean.mkdir()
    shutil.copy(path, clean / path.name)
    # A log that is not folded in tells that nobody closed it.
    Path(f"{path}-wal").write_bytes(bytes(32))

    _open(path)

    assert quarantine.last_report(path) is not None


def test_a_bit_of_the_schema(whole: Path, tmp_path: Path) -> None:
    """Wherever it lies, the next start has all that was there: SQLite takes many for other names."""
    content = whole.read_bytes()
    pages = [page for page in range(len(content) // PAGE) if b"CREATE " in _page(content, page)]
    chance = random.Random(11)
    waiting = _open(filled.copy(whole, tmp_path / "whole"))
    seen = 0
    for number in range(100):
        path = filled.copy(whole, tmp_path / str(number))
        filled.flip(path, (chance.choice(pages) * PAGE * 8) + chance.randrange(PAGE * 8))
        seen += not integrity.inspect(path, lambda _: None).whole
        assert waiting == _open(path)

    assert seen > 50, "most of those pages is full of what says something"


@pytest.mark.parametrize("old", [b"tabletasktask", b"CREATE TABLE task ("])
def test_a_table_under_another_name_is_found(whole: Path, tmp_path: Path, old: bytes) -> None:
    """It is damage and is mended, not a program that ends again and again."""
    waiting = _open(filled.copy(whole, tmp_path / "whole"))
    path = filled.copy(whole, tmp_path / "damaged")
    at = path.read_bytes().index(old)
    filled.overwrite(path, at, old.replace(b"task", b"tasc", 1))

    assert not integrity.inspect(path, lambda _: None).whole
    assert waiting == _open(path)
    assert quarantine.last_report(path) is not None


@pytest.mark.parametrize("table", ["workflow", "task", "redo", "history", "workflow_definition"])
def test_a_root_that_is_anothers(whole: Path, tmp_path: Path, table: str) -> None:
    """One bit of its number: what is found there is empty, or other rows, or no tree at all."""
    waiting = _open(filled.copy(whole, tmp_path / "whole"))
    there = filled.rows(whole)
    number = whole.read_bytes().index(f"table{table}{table}".encode()) + 5 + 2 * len(table)
    for bit in range(8):
        path = filled.copy(whole, tmp_path / str(bit))
        filled.flip(path, number * 8 + bit)

        assert waiting == _open(path)
        after = filled.rows(path)
        assert there["workflow"].keys() == after["workflow"].keys()
        assert there["task"].keys() == after["task"].keys()
        assert quarantine.last_report(path) is not None


@pytest.mark.parametrize("whose", ["another program's", "a later release's"])
def test_what_is_not_ours_is_left_alone(whole: Path, tmp_path: Path, whose: str) -> None:
    """That it has other tables than this release is no damage: nothing is moved or rebuilt."""
    path = filled.copy(whole, tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        if whose == "another program's":
            connection.execute("PRAGMA application_id = 7")
            connection.execute("ALTER TABLE fact RENAME TO notes")
        else:
            connection.execute("INSERT OR REPLACE INTO fact VALUES ('oldest_reader', 90)")
            connection.execute("ALTER TABLE schedule RENAME TO timetable")
        connection.execute("PRAGMA user_version = 90")
        connection.commit()

    with pytest.raises(MigrationError):
        _open(path)

    assert not quarantine.folder_of(path).exists()


def _page(content: bytes, number: int) -> bytes:
    return content[number * PAGE : (number + 1) * PAGE]


def test_nothing_can_be_read(tmp_path: Path) -> None:
    """Then it is not opened, and stays as it is."""
    path = tmp_path / "baton.db"
    path.write_bytes(b"no database" * 1_000)

    with pytest.raises(NothingToSalvage):
        _open(path)

    assert path.read_bytes().startswith(b"no database")
