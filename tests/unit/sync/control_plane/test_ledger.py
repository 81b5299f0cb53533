"""The ledger over real SQLite and a real PostgreSQL: what is committed is shown, found, told and made again."""

from __future__ import annotations

import asyncio
import hashlib
import random
import sqlite3
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest

from sync import frames, receiver
from sync.control_plane import projection
from sync.control_plane.ledger import Ledger, LedgerUnavailable
from sync.control_plane.truth import Presence
from sync.frames import Hello
from sync.receiver import Arrival
from sync.records import (
    KINDS,
    Body,
    EvidenceRecord,
    Lane,
    Record,
    TaskRecord,
    WorkflowRecord,
    encode_body,
)
from sync.topics import Address
from tests.postgres import Postgres

NOW_MS = 1_000_000


class Sender:
    """Writes a device's records as frames."""

    def __init__(self, device: str = "roof", tenant: str = "default") -> None:
        self.address = Address(tenant, device)
        self.next = {lane: count(1) for lane in Lane}

    def frame(self, *bodies: Body, lane: Lane = Lane.HISTORY, at_ms: int = NOW_MS) -> Arrival:
        records = [
            Record(lane, next(self.next[lane]), KINDS[type(body)], at_ms, 1, encode_body(body))
            for body in bodies
        ]
        return self.arrival(frames.encode(records, epoch=1, oldest_seq=1), lane)

    def arrival(self, payload: bytes, lane: Lane = Lane.HISTORY) -> Arrival:
        topic = self.address.topic(f"up/{lane.value}")
        arrival = receiver.read(topic, payload, received_ms=NOW_MS + 100)
        assert arrival is not None
        return arrival

    def hello(self, **newest: int) -> Arrival:
        lanes = {Lane[name.upper()]: (1, seq) for name, seq in newest.items()}
        hello = Hello(boot=2, nonce=1, lanes=lanes, version="1.0")
        return self.arrival(frames.encode_hello(hello, epoch=1), Lane.CONTROL)


def workflow(identity: str, status: str = "RUNNING", at_ms: int = 10, **more: object) -> Body:
    """A workflow's record."""
    return WorkflowRecord(
        identity, "video", 1, status, 1, at_ms, **more  # type: ignore[arg-type]
    )  # fmt: skip


def task(identity: str, task_id: str, status: str, at_ms: int, seq: int = 1) -> Body:
    """A task's record."""
    return TaskRecord(identity, task_id, seq, f"ref{seq}", "SIMPLE", "detect", status, at_ms)


def with_ledger(where: Path | str, scenario: Callable[[Ledger], Awaitable[None]]) -> None:
    """Run a scenario over a fresh ledger."""

    async def run() -> None:
        ledger = await Ledger.open(where, now_ms=lambda: NOW_MS)
        try:
            await scenario(ledger)
        finally:
            await ledger.close()

    asyncio.run(run())


async def bring(ledger: Ledger, *arrivals: Arrival) -> list[receiver.Outgoing]:
    """Commit and project."""
    outgoing = await ledger.commit(arrivals)
    while await ledger.project():
        pass
    return outgoing


def test_a_workflow_is_shown_with_its_tasks(where: Path | str) -> None:
    """Input, output, definition, tasks in order, and the latest status."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        await bring(
            ledger,
            roof.frame(
                workflow("w1", input=b'{"a":1}', definition=b'{"name":"video"}'),
                task("w1", "t2", "SCHEDULED", 12, seq=2),
                task("w1", "t1", "COMPLETED", 11, seq=1),
                workflow("w1", "COMPLETED", 20, output=b"not json", ended_ms=20),
            ),
        )

        view = await ledger.execution("roof", "w1")
        assert view is not None
        assert ("COMPLETED", 20, 1) == (view.row.status, view.row.ended_ms, view.row.created_ms)
        assert ({"a": 1}, "not json", {"name": "video"}) == (
            view.input,
            view.output,
            view.definition,
        )
        assert [("t1", "COMPLETED"), ("t2", "SCHEDULED")] == [
            (one.task_id, one.status) for one in view.tasks
        ]
        assert await ledger.execution("roof", "other") is None
        assert await ledger.execution("cellar", "w1") is None
        assert await ledger.execution("roof", "w1", tenant="acme") is None

    with_ledger(where, scenario)


def test_executions_are_found_and_paged(where: Path | str) -> None:
    """Newest first, in pages that follow on, by device, status, name and text."""

    async def scenario(ledger: Ledger) -> None:
        roof, cellar = Sender("roof"), Sender("cellar")
        bodies = [
            WorkflowRecord(f"w{at}", "ota" if at % 2 else "video", 1, "RUNNING", at, at)
            for at in range(1, 8)
        ]
        failed = workflow("bad", "FAILED", 9, reason="Camera gone", correlation_id="Order-7")
        await bring(ledger, roof.frame(*bodies), cellar.frame(failed))

        seen: list[str] = []
        after = None
        for _ in range(4):
            page = await ledger.executions(device="roof", after=after, limit=3)
            seen += [row.workflow_id for row in page.rows]
            after = page.next
        assert ["w7", "w6", "w5", "w4", "w3", "w2", "w1", "w7", "w6", "w5"] == seen
        for conditions, expected in (
            ({"status": "FAILED"}, ["bad"]),
            ({"name": "ota"}, ["w7", "w5", "w3", "w1"]),
            ({"text": "camera"}, ["bad"]),
            ({"text": "ORDER-7"}, ["bad"]),
            ({"text": "cell"}, ["bad"]),
            ({"text": "%"}, []),
            ({"tenant": "acme"}, []),
            ({"tenant": None, "status": "FAILED"}, ["bad"]),
            ({"after": "rubbish", "limit": 1}, ["w7"]),
        ):
            page = await ledger.executions(**conditions)
            assert expected == [row.workflow_id for row in page.rows], conditions

    with_ledger(where, scenario)


def test_devices_are_shown_honestly(where: Path | str) -> None:
    """Online, lagging, offline; backlog and synced-to; a record behind a hole is not synced."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        first = roof.frame(workflow("w1"), at_ms=500)
        lost = roof.frame(workflow("w2"), at_ms=600)
        third = roof.frame(workflow("w3"), at_ms=700)
        del lost
        await bring(ledger, roof.hello(history=3), first, third)
        device = await ledger.device("roof")
        assert device is not None
        assert ("online", 2, 1, 500, "1.0") == (
            device.state,
            device.backlog,
            device.records,
            device.synced_to_ms,
            device.version,
        )

        await ledger.note_presence([Presence(roof.address, True, 1, 2, 9, "1.1")])
        assert ["online"] == [one.state for one in await ledger.devices()]
        await bring(ledger, roof.hello(history=5_000))
        assert ["lagging"] == [one.state for one in await ledger.devices(tenant=None)]
        assert [] == await ledger.devices(tenant="acme")
        assert await ledger.device("cellar") is None

    with_ledger(where, scenario)


def test_a_file_is_put_together_and_checked(where: Path | str) -> None:
    """Chunks in any order make the file; a missing, changed or incomplete one is never served."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        content = bytes(range(256)) * 500
        digest = hashlib.sha256(content).hexdigest()

        def chunk(index: int, key: str = "snap", **more: object) -> Body:
            part = content[index * 60_000 : (index + 1) * 60_000]
            fields = {"content": part, "sha256": digest} | more
            return EvidenceRecord(
                "w1", "t1", key, "image/jpeg", size_bytes=len(content), path="a.jpg",
                index=index, count=3, **fields,  # type: ignore[arg-type]
            )  # fmt: skip

        await bring(ledger, roof.frame(workflow("w1")), roof.frame(chunk(2)), roof.frame(chunk(0)))
        view = await ledger.execution("roof", "w1")
        assert view is not None
        assert [("snap", 2, False)] == [
            (one.key, one.chunks_held, one.complete) for one in view.evidence
        ]
        assert await ledger.evidence_content("roof", "w1", "t1", "snap") is None

        await bring(
            ledger,
            roof.frame(chunk(1)),
            *[roof.frame(chunk(at, "gone", content=b"", missing=True)) for at in range(3)],
            *[roof.frame(chunk(at, "changed", sha256="00")) for at in range(3)],
        )
        found = await ledger.evidence_content("roof", "w1", "t1", "snap")
        assert found is not None
        assert (content, "image/jpeg", digest) == (found.content, found.media_type, found.sha256)
        for key in ("gone", "changed", "never"):
            assert await ledger.evidence_content("roof", "w1", "t1", key) is None
        assert await ledger.evidence_content("cellar", "w1", "t1", "snap") is None

        # A handler that runs again may report as gone what has already arrived.
        await bring(ledger, roof.frame(chunk(0, content=b"", missing=True)))
        assert await ledger.evidence_content("roof", "w1", "t1", "snap") is not None

    with_ledger(where, scenario)


def test_changes_are_told_once_and_in_order(where: Path | str) -> None:
    """The feed names what changed since a cursor; a sleeper is woken by the next change."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        assert not await ledger.wait_for_change(await ledger.newest_change(), timeout_s=0.02)
        before = await ledger.newest_change()
        async with asyncio.TaskGroup() as group:
            sleeper = group.create_task(ledger.wait_for_change(before, timeout_s=10))
            await bring(
                ledger, roof.frame(workflow("w1"), workflow("w2"), workflow("w1", at_ms=11))
            )
        assert sleeper.result()

        changes = await ledger.changes_after(before)
        assert [("device", None), ("execution", "w1"), ("execution", "w2")] == [
            (one.kind, one.workflow_id) for one in changes
        ]
        assert [] == await ledger.changes_after(changes[-1].cursor)
        await bring(ledger, roof.frame(task("w1", "t1", "SCHEDULED", 50)))
        again = await ledger.changes_after(changes[-1].cursor)
        assert [("device", None), ("execution", "w1")] == [
            (one.kind, one.workflow_id) for one in again
        ]
        assert again[:1] == await ledger.changes_after(changes[-1].cursor, 1)

    with_ledger(where, scenario)


def test_figures_of_the_fleet(where: Path | str) -> None:
    """Counts by status, what is stored, quarantined, unread and missing, and the lag."""

    async def scenario(ledger: Ledger) -> None:
        assert 0 == (await ledger.lag_percentiles()).records
        roof = Sender()
        good = roof.frame(workflow("w1"), workflow("w2", "FAILED"), at_ms=NOW_MS - 900)
        strange = frames.encode(
            [Record(Lane.HISTORY, 3, "of-tomorrow", NOW_MS, 1, b"")], epoch=1, oldest_seq=1
        )
        poisoned = bytearray(
            frames.encode([Record(Lane.HISTORY, 4, "task", NOW_MS, 1, b"")], epoch=1, oldest_seq=1)
        )
        poisoned[-1] ^= 1
        noise = roof.arrival(b"noise")
        await bring(ledger, good, roof.arrival(strange), roof.arrival(bytes(poisoned)), noise)

        figures = await ledger.summary()
        assert {"RUNNING": 1, "FAILED": 1} == figures.executions
        assert (1, 0, 4, 1, 1, 0, 0) == (
            figures.devices,
            figures.online,
            figures.records,
            figures.quarantined,
            figures.unread,
            figures.missing,
            figures.projection_lag,
        )
        lag = await ledger.lag_percentiles()
        assert 3 == lag.records
        assert 1_000 <= lag.p50_ms <= 1_050
        assert lag.p50_ms <= lag.p99_ms <= lag.max_ms
        assert 0 == (await ledger.lag_percentiles(since_ms=10**12)).records

    with_ledger(where, scenario)


def test_rebuilding_shows_the_same(where: Path | str) -> None:
    """I-7: pages read the same after the projections were thrown away and made again."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        for at in range(20):
            status = "COMPLETED" if at % 2 else "RUNNING"
            await bring(
                ledger,
                roof.frame(
                    workflow(f"w{at % 5}", status, at + 1), task("w1", "t1", "SCHEDULED", at)
                ),
            )
        page = await ledger.executions()
        view = await ledger.execution("roof", "w1")
        lag = await ledger.lag_percentiles()

        assert 20 == await ledger.rebuild()
        assert page.rows == (await ledger.executions()).rows
        assert view == await ledger.execution("roof", "w1")
        assert lag == await ledger.lag_percentiles()

    with_ledger(where, scenario)


def test_a_ledger_survives_its_process(where: Path | str) -> None:
    """What was acknowledged before is acknowledged after, and is not stored twice."""
    roof = Sender()
    frame = roof.frame(workflow("w1"))

    async def first(ledger: Ledger) -> None:
        await ledger.commit([frame])

    async def second(ledger: Ledger) -> None:
        (outgoing,) = await bring(ledger, frame)
        assert {Lane.HISTORY: 1} == frames.decode_ack(outgoing.payload).cursors
        assert 1 == (await ledger.summary()).records
        assert await ledger.execution("roof", "w1") is not None

    with_ledger(where, first)
    with_ledger(where, second)


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    """I-20: nothing is acknowledged while the ledger cannot be written; afterwards all of it is."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        await ledger.commit([roof.frame(workflow("w0"))])

        file = ledger._database._database  # type: ignore[attr-defined]

        def limit(pages: int) -> Callable[[sqlite3.Connection], object]:
            return lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}")

        await file.hop(limit(1))
        body = workflow("w1", input=b'"' + b"".join(b"%d" % at for at in range(9_000)) + b'"')
        arrivals = [roof.frame(body) for _ in range(8)]
        with pytest.raises(LedgerUnavailable, match=r"ledger\.db"):
            await ledger.commit(arrivals)
        await file.hop(limit(1_000_000))

        (outgoing,) = await ledger.commit(arrivals)
        assert {Lane.HISTORY: 9} == frames.decode_ack(outgoing.payload).cursors

    with_ledger(tmp_path / "ledger.db", scenario)


def test_a_database_that_stops_is_named_and_loses_nothing(server: Postgres) -> None:
    """I-20: while PostgreSQL is down nothing is acknowledged; when it is back all of it is."""
    where = server.new_schema()

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        await ledger.commit([roof.frame(workflow("w0"))])
        server.stop()
        arrivals = [roof.frame(workflow("w1"))]
        with pytest.raises(LedgerUnavailable, match="postgresql://"):
            await ledger.commit(arrivals)
        server.start()

        (outgoing,) = await ledger.commit(arrivals)
        assert {Lane.HISTORY: 2} == frames.decode_ack(outgoing.payload).cursors

    with_ledger(where, scenario)


def test_a_text_with_a_zero_is_stored(where: Path | str) -> None:
    """PostgreSQL has no NUL in its texts; a device that sends one is not stuck with it."""

    async def scenario(ledger: Ledger) -> None:
        await bring(ledger, Sender().frame(workflow("w1", "FAILED", reason="a\0b")))

        (row,) = (await ledger.executions()).rows
        assert row.reason in ("a\0b", "a\N{REPLACEMENT CHARACTER}b")

    with_ledger(where, scenario)


def test_ingesters_share_a_ledger(where: Path | str) -> None:
    """I-6: frames dealt out to four ingesters that work at once are stored once, each in view."""

    async def main() -> None:
        devices = [Sender(f"d{number}") for number in range(6)]
        frames_ = [
            (device, device.frame(*[workflow(f"w{round_}-{one}") for one in range(5)]))
            for round_ in range(8)
            for device in devices
        ]
        rng = random.Random(4)
        dealt = frames_ + rng.choices(frames_, k=20)
        rng.shuffle(dealt)
        ledgers = [await Ledger.open(where, now_ms=lambda: NOW_MS) for _ in range(4)]

        async def ingest(ledger: Ledger, share: list[Arrival]) -> None:
            for begin in range(0, len(share), 3):
                await ledger.commit(share[begin : begin + 3])
                await ledger.project()
                await ledger.note_presence([Presence(devices[0].address, True, 1, 1, 1)])

        try:
            async with asyncio.TaskGroup() as group:
                for number, ledger in enumerate(ledgers):
                    share = [arrival for _, arrival in dealt[number::4]]
                    group.create_task(ingest(ledger, share))
            while await ledgers[0].project():
                pass
            seen = [await ledger.devices() for ledger in ledgers]
            page = await ledgers[1].executions(limit=500)
            summary = await ledgers[2].summary()
        finally:
            for ledger in ledgers:
                await ledger.close()

        assert [40] * 6 == [view.records for view in seen[0]]
        assert [0] * 6 == [view.backlog for view in seen[0]]
        assert seen[0] == seen[3]
        assert 240 == len(page.rows)
        assert (240, 0) == (summary.records, summary.projection_lag)

    asyncio.run(main())


def words(rng: random.Random, length: int) -> str:
    """A text that no compression makes shorter than an index's entry."""
    return "".join(
        rng.choices("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUV", k=length)
    )


def test_what_no_index_can_hold_is_set_aside(where: Path | str) -> None:
    """The record is counted as unread; the fleet's projection goes on, and so do long texts."""
    rng = random.Random(7)
    long, whole = words(rng, 5_000), words(rng, 2_500)

    async def scenario(ledger: Ledger) -> None:
        await bring(
            ledger,
            Sender("roof").frame(
                workflow("w1", correlation_id=long),
                workflow(long),
                workflow("w2", status=long),
                task("w1", long, "RUNNING", 12),
                EvidenceRecord("w1", "t1", long, "image/png", "0" * 64, 1, "p"),
                workflow("w3", correlation_id=whole, reason=long),
                workflow(words(rng, 2_500)),
                workflow("\N{SNOWMAN}" * 834),
                task("w3", words(rng, 2_498), "RUNNING", 12),
                EvidenceRecord("w3", words(rng, 1_200), words(rng, 1_298), "a/b", "0" * 64, 1, "p"),
            ),
            Sender("cellar").frame(workflow("w4")),
        )

        found = {row.workflow_id: row for row in (await ledger.executions()).rows}
        assert {"w3", "w4"} < set(found)
        assert 3 == len(found)
        assert whole == found["w3"].correlation_id
        summary = await ledger.summary()
        assert (6, 0, 0) == (summary.unread, summary.quarantined, summary.projection_lag)

    with_ledger(where, scenario)


def test_a_segment_that_the_database_refuses_holds_up_nobody(server: Postgres) -> None:
    """It is in quarantine with the reason, and those before and behind it are in view."""
    refused = words(random.Random(8), 9_000)

    async def scenario(ledger: Ledger) -> None:
        await ledger.write(lambda c: c.execute("CREATE INDEX by_reason ON execution (reason)"))
        roof = Sender("roof")
        await bring(
            ledger,
            roof.frame(workflow("w1")),
            roof.frame(workflow("w2", reason=refused), workflow("w3")),
            Sender("cellar").frame(workflow("w4")),
        )

        assert {"w1", "w4"} == {row.workflow_id for row in (await ledger.executions()).rows}
        summary = await ledger.summary()
        assert (4, 1, 0) == (summary.records, summary.quarantined, summary.projection_lag)
        (told,) = await ledger.read(
            lambda c: c.execute(
                "SELECT quarantined FROM segment WHERE quarantined IS NOT NULL"
            ).fetchone()
        )
        assert "the database refuses" in told
        await ledger.write(lambda c: c.execute("DROP INDEX by_reason"))
        await ledger.rebuild()
        assert 4 == len((await ledger.executions()).rows)

    with_ledger(server.new_schema(), scenario)


def test_a_place_that_is_passed_is_not_set_aside(tmp_path: Path) -> None:
    """Another process may have gone on since the database refused."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        await ledger.commit([roof.frame(workflow("w1"))], only=True)
        place = await ledger.read(projection.next_one)
        assert projection.Next(projection.Queue.REST, 0, 1) == place
        await bring(ledger, roof.frame(workflow("w2")))

        await ledger.write(lambda c: projection.set_aside(c, place, reason="late"))

        assert 0 == (await ledger.summary()).quarantined
        assert projection.Next(projection.Queue.REST, 2, None) == await ledger.read(
            projection.next_one
        )

    with_ledger(tmp_path / "ledger.db", scenario)


def test_texts_are_found_in_the_case_of_their_own_letters(where: Path | str) -> None:
    """The databases fold the letters of ASCII only; what is looked for is folded alike."""

    async def scenario(ledger: Ledger) -> None:
        await bring(ledger, Sender().frame(workflow("w1", reason="ÜBERDRUCK im Kessel")))

        for text, many in (("ÜBERDRUCK", 1), ("Überdruck", 1), ("kessel", 1), ("überdruck", 0)):
            assert many == len((await ledger.executions(text=text)).rows), text

    with_ledger(where, scenario)


@pytest.mark.parametrize("after", ["9" * 30 + "-1", "1-" + "9" * 19, "x"])
def test_marks_that_are_none_begin_at_the_newest(where: Path | str, after: str) -> None:
    """Also those with more digits than a database has."""

    async def scenario(ledger: Ledger) -> None:
        await bring(ledger, Sender().frame(workflow("w1")))

        assert 1 == len((await ledger.executions(after=after)).rows)

    with_ledger(where, scenario)


def test_where_an_epoch_begins_is_remembered(where: Path | str) -> None:
    """A later run that begins the same epoch elsewhere is another device, also behind a hole."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()

        async def refused(boot: int, first: int) -> str:
            history = Lane.HISTORY
            hello = Hello(
                boot=boot, nonce=boot, lanes={history: (first, 60)}, first={history: first},
                run=bytes([boot]),
            )  # fmt: skip
            arrival = roof.arrival(frames.encode_hello(hello, epoch=2), Lane.CONTROL)
            (outgoing,) = await ledger.commit([arrival])
            return frames.decode_ack(outgoing.payload).refused

        assert "" == await refused(1, 51)
        for after in (55, 51):
            records = [Record(Lane.HISTORY, seq, "task", 1, 1, b"") for seq in range(after, 61)]
            await ledger.commit([roof.arrival(frames.encode(records, epoch=2, oldest_seq=51))])
            assert "" == await refused(60 - after, 51)
        assert frames.DUPLICATE == await refused(10, 31)
        assert "" == await refused(10, 51)

    with_ledger(where, scenario)
