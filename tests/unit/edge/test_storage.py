"""What the state of the disk is after what it has refused."""

from __future__ import annotations

import sqlite3

import pytest

from edge.model.errors import StorageFull, StorageUnavailable
from edge.storage import Mode, Storage


def _error(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(name)
    error.sqlite_errorcode = getattr(sqlite3, name)
    return error


class _Time:
    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


def _watched(time: _Time | None = None) -> tuple[Storage, list[Mode]]:
    storage = Storage(time or _Time())
    told: list[Mode] = []
    storage.on_change = lambda: told.append(storage.mode)
    return storage, told


def test_a_full_disk_begins_nothing_new() -> None:
    """What has begun goes on; it heals when that is said."""
    storage, told = _watched()

    refusal = storage.refused_write(_error("SQLITE_FULL"))

    assert isinstance(refusal, StorageFull)
    assert (Mode.FULL, [Mode.FULL]) == (storage.mode, told)
    assert storage.closed() is None
    with pytest.raises(StorageFull, match="until there is space"):
        storage.admit_growth()
    storage.healed()
    storage.admit_growth()
    assert "" == storage.reason


@pytest.mark.parametrize("name", ["SQLITE_READONLY", "SQLITE_CANTOPEN"])
def test_a_disk_that_takes_no_writes_closes(name: str) -> None:
    """Everything is refused before it is tried."""
    storage, _ = _watched()
    storage.refused_write(_error(name))

    assert isinstance(storage.closed(), StorageUnavailable)
    with pytest.raises(StorageUnavailable):
        storage.admit_growth()
    # To be full as well changes nothing.
    storage.refused_write(_error("SQLITE_FULL"))
    assert Mode.READ_ONLY is storage.mode


def test_three_errors_in_a_minute_close() -> None:
    """One may be an accident; each asks for new connections."""
    time = _Time()
    storage, _ = _watched(time)
    for moment_ms in (0, 50_000, 70_000):
        time.now_ms = moment_ms
        assert 503 == storage.refused_write(_error("SQLITE_IOERR_FSYNC")).status
        assert storage.stale
        assert storage.closed() is None
        storage.reopened()
    time.now_ms = 80_000
    storage.refused_write(_error("SQLITE_IOERR_WRITE"))

    assert Mode.READ_ONLY is storage.mode
    storage.healed()
    storage.refused_write(_error("SQLITE_IOERR_WRITE"))
    assert storage.closed() is None, "what was before counts no more"


@pytest.mark.parametrize("name", ["SQLITE_CORRUPT", "SQLITE_NOTADB"])
def test_a_damaged_database_is_remembered(name: str) -> None:
    """The first reason stays, and nothing is written any more."""
    storage, told = _watched()
    storage.refused_write(_error(name))
    storage.refused_write(_error("SQLITE_CORRUPT"))

    assert name == storage.damaged
    assert storage.closed() is not None
    assert 1 == len(told)


def test_other_errors_say_nothing_of_the_disk() -> None:
    """A fault of ours stays one for readers; a transaction is refused whatever was wrong."""
    storage, told = _watched()
    error = sqlite3.OperationalError("no such table: nothing")

    assert error is storage.refusal(error)
    assert 503 == storage.refused_write(error).status
    assert [] == told and 0 == storage.errors


def test_without_anybody_who_looks_nothing_is_refused_beforehand() -> None:
    """Else it would be refused for ever."""
    storage = Storage()
    storage.refused_write(_error("SQLITE_FULL"))
    storage.refused_write(_error("SQLITE_READONLY"))
    storage.admit_growth()

    assert storage.closed() is None
    assert 2 == storage.errors
