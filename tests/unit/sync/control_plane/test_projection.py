"""When what is stored comes into view: the little at once, the pressing before a backlog."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from sync import frames
from sync.control_plane import projection, truth
from sync.control_plane.ledger import Ledger
from sync.records import ClockRecord, Lane, Record, TaskRecord, WorkflowRecord, encode_body
from tests.postgres import Postgres
from tests.unit.sync.control_plane.test_ledger import (
    NOW_MS,
    Sender,
    bring,
    with_ledger,
    words,
    workflow,
)


def test_what_is_little_comes_into_view_with_its_own_commit(where: Path | str) -> None:
    """Executions and devices: no step of the projection is left to be done."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        await ledger.commit([roof.frame(workflow("w1")), roof.frame(workflow("w2"))])

        assert 2 == len((await ledger.executions()).rows)
        assert 0 == (await ledger.summary()).projection_lag
        assert 0 == await ledger.project()

    with_ledger(where, scenario)


def test_what_is_much_comes_into_view_later(where: Path | str) -> None:
    """A frame of a backlog is acknowledged before anybody looks at what stands in it."""

    async def scenario(ledger: Ledger) -> None:
        many = [workflow(f"w{at}") for at in range(projection.FEW_RECORDS + 1)]
        outgoing = await ledger.commit([Sender().frame(*many)])

        assert 1 == len(outgoing)
        assert [] == (await ledger.executions()).rows
        assert 1 == (await ledger.summary()).projection_lag
        assert await ledger.project()
        assert 0 == (await ledger.summary()).projection_lag

    with_ledger(where, scenario)


def test_a_step_is_as_long_as_its_records_are_many(where: Path | str) -> None:
    """Many small segments at once, of large ones few, and one whatever its size."""

    async def scenario(ledger: Ledger) -> None:
        roof, steps = Sender(), []
        large = [workflow(f"w{at}") for at in range(projection.FEW_RECORDS + 1)]
        await ledger.commit([roof.frame(*large), roof.frame(*large)])
        small = [roof.frame(workflow(f"x{at}"), workflow(f"y{at}")) for at in range(10)]
        await ledger.commit(small)
        for records in (1, len(large) + 12):
            before = (await ledger.summary()).projection_lag
            await ledger.project(limit=64, records=records)
            steps.append(before - (await ledger.summary()).projection_lag)

        assert [1, 1 + 6] == steps
        await ledger.project(limit=3, records=500)
        assert 1 == (await ledger.summary()).projection_lag

    with_ledger(where, scenario)


def test_what_is_said_twice_in_a_segment_is_shown_once(where: Path | str) -> None:
    """Also where the later one is not of the segment; each that cannot be read is shown."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        last = workflow("w1", status="COMPLETED", at_ms=20)
        whole = roof.frame(last, workflow("w2"), last)
        roof.next[Lane.HISTORY] = itertools.count(2)
        await bring(ledger, whole)
        await bring(ledger, roof.frame(workflow("w2"), last, workflow("w3"), workflow("w3")))
        too_long = workflow("w" * 4_000)
        await bring(ledger, roof.frame(too_long, too_long))

        found = (await ledger.executions()).rows
        assert {("w1", "COMPLETED"), ("w2", "RUNNING"), ("w3", "RUNNING")} == {
            (one.workflow_id, one.status) for one in found
        }
        assert 2 == (await ledger.summary()).unread

    with_ledger(where, scenario)


def test_what_is_pressing_does_not_wait_behind_a_backlog(where: Path | str) -> None:
    """An urgent fact is in view with its commit, while history that came before it is not."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        many = [workflow(f"w{at}") for at in range(projection.FEW_RECORDS + 1)]
        await ledger.commit([roof.frame(*many)])
        await ledger.commit([roof.frame(workflow("alarm", "FAILED"), lane=Lane.URGENT)])

        assert ["alarm"] == [row.workflow_id for row in (await ledger.executions()).rows]
        assert 1 == (await ledger.summary()).projection_lag
        while await ledger.project():
            pass
        assert len(many) + 1 == sum(1 for _ in (await ledger.executions(limit=500)).rows)
        shown = await ledger.lag_percentiles()
        await ledger.rebuild()
        assert shown == await ledger.lag_percentiles()

    with_ledger(where, scenario)


def test_a_ledger_of_an_earlier_release_goes_on_where_it_was(where: Path | str) -> None:
    """Its one mark becomes the mark of both queues: nothing is shown twice or passed over."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        await bring(
            ledger, roof.frame(workflow("w2"), lane=Lane.URGENT), roof.frame(workflow("w1"))
        )
        await ledger.write(lambda c: c.execute("DELETE FROM progress WHERE name = 'pressing'"))
        await ledger.write(truth.create_schema)

        assert 0 == await ledger.project()
        await ledger.commit([roof.frame(workflow("w3"), lane=Lane.URGENT)])
        assert 3 == len((await ledger.executions()).rows)

    with_ledger(where, scenario)


def test_what_the_database_will_not_show_is_stored_all_the_same(server: Postgres) -> None:
    """The transaction that stores and shows is undone; truth is written by itself."""
    refused = words(random.Random(8), 9_000)

    async def scenario(ledger: Ledger) -> None:
        await ledger.write(lambda c: c.execute("CREATE INDEX by_reason ON execution (reason)"))
        outgoing = await ledger.commit([Sender().frame(workflow("w1", reason=refused))])

        assert 1 == len(outgoing)
        assert 1 == (await ledger.summary()).records
        assert 1 == (await ledger.summary()).projection_lag

    with_ledger(server.new_schema(), scenario)


@pytest.mark.parametrize("shown_ms", [NOW_MS + 86_400_000, 5], ids=["a day ahead", "1970"])
def test_lag_is_told_on_our_clock(where: Path | str, shown_ms: int) -> None:
    """A device whose clock is wrong by far, and known to be, is 2 seconds late and no more."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        offset_ms = NOW_MS + 100 - 2_000 - shown_ms
        clock = ClockRecord(shown_ms, offset_ms, 5)
        await bring(ledger, roof.frame(clock, lane=Lane.CONTROL, at_ms=shown_ms))
        await bring(ledger, *(roof.frame(workflow(f"w{at}"), at_ms=shown_ms) for at in range(200)))

        shown = await ledger.lag_percentiles()
        assert 201 == shown.records
        assert 1_900 <= shown.p50_ms <= 2_100
        await ledger.rebuild()
        assert 1_900 <= (await ledger.lag_percentiles()).p50_ms <= 2_100

    with_ledger(where, scenario)


def test_a_definition_is_told_once_for_many(where: Path | str) -> None:
    """That of the nearest start before, of this device, name and version; or the first one after."""

    async def scenario(ledger: Ledger) -> None:
        roof, cellar = Sender(), Sender("cellar")
        told = {
            "w0": ("video", 1, 5, None), "w1": ("video", 1, 10, b'"old"'),
            "w2": ("video", 1, 19, None), "w3": ("video", 1, 20, b'"new"'),
            "w4": ("video", 1, 30, None), "w5": ("video", 2, 30, None),
            "w6": ("other", 1, 30, None),
        }  # fmt: skip
        records = [
            WorkflowRecord(name, *what[:2], "RUNNING", what[2], what[2], definition=what[3])
            for name, what in told.items()
        ]
        await bring(ledger, roof.frame(*records), cellar.frame(records[4]))

        shown = {}
        for name in told:
            view = await ledger.execution("roof", name)
            assert view is not None
            shown[name] = view.definition
        assert {
            "w0": "old", "w1": "old", "w2": "old", "w3": "new", "w4": "new", "w5": None, "w6": None,
        } == shown  # fmt: skip
        elsewhere = await ledger.execution("cellar", "w4")
        assert elsewhere is not None
        assert elsewhere.definition is None

    with_ledger(where, scenario)


@pytest.mark.parametrize("lanes", [(Lane.HISTORY, Lane.URGENT), (Lane.URGENT, Lane.HISTORY)])
def test_times_of_an_epoch_that_is_no_more_do_not_count(
    where: Path | str, lanes: tuple[Lane, Lane]
) -> None:
    """A step that had ended is open again on the copy; whichever of the two comes into view first."""
    before, after = lanes

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        ended = TaskRecord(
            "w1", "t1", 1, "r", "SIMPLE", "d", "COMPLETED", 9, ended_ms=9, started_ms=8
        )
        again = TaskRecord("w1", "t1", 1, "r", "SIMPLE", "d", "IN_PROGRESS", 5, started_ms=5)
        filler = [workflow(f"w{at}") for at in range(2, projection.FEW_RECORDS + 3)]
        body = encode_body(again)
        anew = [Record(after, 1, "task", NOW_MS, 1, body)]
        await ledger.commit(
            [
                roof.frame(ended, workflow("w1"), *filler, lane=before),
                roof.arrival(frames.encode(anew, epoch=2, oldest_seq=1), after),
            ],
            only=True,
        )
        while await ledger.project():
            pass
        shown = await ledger.execution("roof", "w1")
        assert shown is not None
        (task,) = shown.tasks
        assert ("IN_PROGRESS", 5, 0) == (task.status, task.started_ms, task.ended_ms)

    with_ledger(where, scenario)
