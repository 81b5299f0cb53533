"""The far ends of lines on the disk: order, removal, sizes, and a disk that fails."""

from __future__ import annotations

import sqlite3

import pytest

from edge.store.backlog import DELAYED, Backlog, Place, Waiting, open_nameless
from edge.store.queues import Queues
from edge.store.slots import Limit, TaskId

_LIMIT = Limit("n", 2, 3, 4_000)


def _task(number: int) -> TaskId:
    return bytes(12) + number.to_bytes(4, "big"), 1


def _one(number: int, *, rank: int = 0, queue: str = "q", since_ms: int = 7) -> Waiting:
    place = Place(queue, -rank, _LIMIT, number, since_ms)
    return (rank, number, _task(number)), place


def test_what_comes_back_is_what_was_put_off() -> None:
    """In the order of ranks and arrivals, with all that is known of its place."""
    backlog = Backlog()
    backlog.add(1, [_one(3), _one(1)])
    backlog.add(1, [_one(2, rank=-5)])
    backlog.add(2, [_one(4)])

    assert (-5, 2) == backlog.first(1)
    assert [_one(2, rank=-5), _one(1)] == backlog.take(1, 2)
    assert [_one(3)] == backlog.take(1, 9)
    assert backlog.first(1) is None
    assert [] == backlog.take(1, 9)
    assert 1 == len(backlog)


def test_a_task_is_found_and_removed_wherever_it_waits() -> None:
    """Sizes follow."""
    backlog = Backlog()
    assert backlog.remove(_task(1)) is None
    assert not backlog.holds(_task(1))
    backlog.add(1, [_one(1), _one(2)])
    backlog.add(2, [_one(3, queue="other")])

    assert backlog.holds(_task(3))
    assert {"q": 2, "other": 1} == backlog.sizes()
    assert _one(3, queue="other")[1] == backlog.remove(_task(3))
    assert backlog.remove(_task(3)) is None
    assert {"q": 2} == backlog.sizes()


def test_the_first_of_each_queue_is_told() -> None:
    """Over all ranks and lines; what is delayed counts, and has not waited yet."""
    backlog = Backlog()
    backlog.add(1, [_one(1, since_ms=50), _one(2, since_ms=60), _one(3, rank=-5, since_ms=55)])
    backlog.add(2, [_one(4, since_ms=40), _one(5, queue="other", since_ms=45)])
    backlog.add(DELAYED, [_one(6, rank=10**13, since_ms=0), _one(7, queue="late", since_ms=0)])

    assert {"q": (5, 40), "other": (1, 0), "late": (1, 0)}.keys() == backlog.waiting().keys()
    assert (5, 40) == backlog.waiting()["q"]
    assert (1, 0) == backlog.waiting()["late"]
    assert {} == Backlog().waiting()


def test_an_empty_backlog_has_no_file() -> None:
    """It is opened with the first task, and goes with the last."""
    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        opened.append(open_nameless())
        return opened[-1]

    backlog = Backlog(connect)
    backlog.add(1, [_one(1)])
    backlog.take(1, 1)

    assert 1 == len(opened)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")
    backlog.add(1, [_one(1)])
    assert 2 == len(opened)


class _Failing(sqlite3.Connection):
    """A connection to a disk that fails as soon as it is told to."""

    broken = False

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        """Run a statement, while the disk is well."""
        if self.broken:
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, parameters)  # type: ignore[arg-type]


def _failing() -> tuple[Queues, list[_Failing]]:
    made: list[_Failing] = []

    def connect() -> sqlite3.Connection:
        made.append(sqlite3.connect("", isolation_level=None, factory=_Failing))
        return made[-1]

    return Queues(Backlog(connect), window=4), made


def _put(queues: Queues, numbers: range) -> None:
    for number in numbers:
        queues.put("q", _task(number), 0, limit=Limit("n"), now_ms=1)


def test_a_disk_that_takes_nothing_costs_memory_only() -> None:
    """Who cannot be put off stays, and nobody is lost."""

    def connect() -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    queues = Queues(Backlog(connect), window=4)
    _put(queues, range(20))

    assert {"q": 20} == queues.sizes()
    assert not queues.incomplete
    assert [_task(number) for number in range(20)] == [one for one, _ in queues.take("q", 99, 1)]


def test_a_disk_that_fails_later_is_told_of() -> None:
    """Those in memory stay; the others are to be read again, and it works on without the disk."""
    queues, made = _failing()
    _put(queues, range(20))
    made[0].broken = True
    in_memory = queues.take("q", 99, 1)
    _put(queues, range(30, 50))

    assert 0 < len(in_memory) < 20
    assert queues.incomplete
    assert {"q": 20} == queues.sizes()
    assert 20 == queues.waiting()["q"][0]
    assert queues.withdraw(_task(19)) is None
    assert 20 == len(queues.take("q", 99, 1))
