"""Kept outputs: found until they expire, replaced, bounded, cleared by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from edge.model.outputs import KeptOutput
from edge.store import outputs as module
from edge.store.migrations import migrate
from edge.store.outputs import Outputs


@pytest.fixture
def disk() -> Iterator[sqlite3.Connection]:
    """An empty database of this release."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


def _kept(
    key: str = "k", *, name: str = "n", output: bytes = b"{}", until: int = 100
) -> KeptOutput:
    return KeptOutput(name, key, output, until)


def _rows(disk: sqlite3.Connection) -> list[tuple[str, str]]:
    return disk.execute("SELECT name, cache_key FROM kept_output ORDER BY 1, 2").fetchall()


def test_an_output_is_found_until_it_expires(disk: sqlite3.Connection) -> None:
    """In the batch that adds it, and after its commit; by definition and key."""
    outputs = Outputs()
    outputs.add([_kept(output=b'{"a":1}')])
    staged = [outputs.find(disk, "n", "k", moment) for moment in (0, 99, 100)]
    outputs.flush(disk, 0)

    assert [b'{"a":1}', b'{"a":1}', None] == staged
    assert staged == [outputs.find(disk, "n", "k", moment) for moment in (0, 99, 100)]
    assert outputs.find(disk, "n", "other", 0) is None
    assert outputs.find(disk, "other", "k", 0) is None


def test_a_newer_output_replaces_the_older(disk: sqlite3.Connection) -> None:
    """With its own time to live."""
    outputs = Outputs()
    for output, until in ((b"1", 100), (b"2", 200)):
        outputs.add([_kept(output=output, until=until)])
        outputs.flush(disk, 0)

    assert b"2" == outputs.find(disk, "n", "k", 150)
    assert [("n", "k")] == _rows(disk)


def test_a_long_key_is_stored_as_its_digest(disk: sqlite3.Connection) -> None:
    """It is found all the same, and not under another long key."""
    outputs = Outputs()
    outputs.add([_kept("x" * 5_000)])
    outputs.flush(disk, 0)

    assert b"{}" == outputs.find(disk, "n", "x" * 5_000, 0)
    assert outputs.find(disk, "n", "x" * 5_001, 0) is None
    assert len(_rows(disk)[0][1]) < 50


def test_what_is_too_large_is_not_kept(disk: sqlite3.Connection) -> None:
    """One output never pushes the others out."""
    outputs = Outputs()
    outputs.add([_kept(output=b"x" * (module.MAX_OUTPUT_BYTES + 1))])
    outputs.flush(disk, 0)

    assert [] == _rows(disk)


def test_the_number_is_bounded(disk: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has expired goes first, then what would have expired soonest."""
    monkeypatch.setattr(module, "MAX_ROWS", 10)
    outputs = Outputs()
    outputs.add([_kept(f"old{number}", until=5) for number in range(4)])
    outputs.add([_kept(f"k{number}", until=100 + number) for number in range(9)])
    outputs.flush(disk, 50)
    kept = _rows(disk)
    outputs.add([_kept(f"new{number}", until=500) for number in range(3)])
    outputs.flush(disk, 50)

    assert [("n", f"k{number}") for number in range(9)] == kept
    assert 9 == len(_rows(disk))
    assert ("n", "k2") not in _rows(disk)
    assert {("n", "new0"), ("n", "k8")} <= set(_rows(disk))


def test_their_size_is_bounded(disk: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart does not forget how much there is."""
    monkeypatch.setattr(module, "MAX_BYTES", 1_000)
    outputs = Outputs()
    outputs.add([_kept(f"k{number}", output=b"x" * 100, until=100 + number) for number in range(9)])
    outputs.flush(disk, 0)
    again = Outputs()
    again.add([_kept("new", output=b"x" * 150, until=500)])
    again.flush(disk, 0)

    assert (
        1_000 * 9 // 10 >= disk.execute("SELECT sum(length(output)) FROM kept_output").fetchone()[0]
    )
    assert again.find(disk, "n", "new", 0) is not None


def test_a_definition_is_cleared(disk: sqlite3.Connection) -> None:
    """What was written and what waits to be; the others stay."""
    outputs = Outputs()
    outputs.add([_kept("a"), _kept("b"), _kept("c", name="other")])
    outputs.flush(disk, 0)
    outputs.add([_kept("d")])

    assert 2 == outputs.clear(disk, "n")
    outputs.flush(disk, 0)
    assert [("other", "c")] == _rows(disk)


def test_nothing_is_kept_of_a_batch_that_failed(disk: sqlite3.Connection) -> None:
    """After a ROLLBACK neither is in memory what is not on the disk."""
    outputs = Outputs()
    outputs.add([_kept()])
    outputs.forget_all()

    assert outputs.find(disk, "n", "k", 0) is None
    outputs.flush(disk, 0)
    assert [] == _rows(disk)
