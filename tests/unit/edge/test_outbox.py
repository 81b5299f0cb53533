"""The outbox: records stand in the transaction of what they tell, in gapless order, until acked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from edge.engine import Engine
from edge.history_budget import HistoryBudget
from edge.model.errors import StorageUnavailable
from edge.model.executions import TaskStatus
from edge.outbox import EngineOutbox, EnginePublications
from edge.steering import Steering
from sync.link import NotTaken
from sync.records import EvidenceRecord, Lane, Record, TaskRecord, WorkflowRecord, decode_body
from sync.runs import records_of
from tests.unit.edge.engine_house import answer, claim, define, engine_at, run, simple, start


async def _one_run(engine: Engine, output: dict[str, object] | None = None) -> str:
    await define(engine, "w", simple("a"))
    workflow_id = await start(engine, "w", input={"k": 1})
    await answer(engine, await claim(engine, "a"), output=output)
    return workflow_id


async def read(outbox: EngineOutbox, lane: Lane, *where: int) -> Sequence[Record]:
    """The records of a portion."""
    return records_of(await outbox.read(lane, *where))


def test_each_change_is_a_record(tmp_path: Path) -> None:
    """Start, end, and the task's two states; payloads travel once."""

    async def body(engine: Engine) -> None:
        workflow_id = await _one_run(engine, {"y": 2})
        records = await read(EngineOutbox(engine), Lane.HISTORY, 0, 100, 1_000_000)
        bodies = [decode_body(record.kind, record.body) for record in records]
        workflows = [b for b in bodies if isinstance(b, WorkflowRecord)]
        tasks = [b for b in bodies if isinstance(b, TaskRecord)]

        assert [1, 2, 3, 4] == [record.seq for record in records]
        assert ["RUNNING", "COMPLETED"] == [w.status for w in workflows]
        assert [b'{"k":1}', None] == [w.input for w in workflows]
        assert ["SCHEDULED", "COMPLETED"] == [t.status for t in tasks]
        assert [None, b'{"y":2}'] == [t.output for t in tasks]
        assert {workflow_id} == {w.id for w in workflows} | {t.workflow_id for t in tasks}

    run(tmp_path, body, syncing=True)


def test_a_definition_is_told_once_in_each_run(tmp_path: Path) -> None:
    """With the first start of it; one that is put in its place is another."""

    async def told(engine: Engine) -> list[bool]:
        records = await read(EngineOutbox(engine), Lane.HISTORY, 0, 500, 10**7)
        bodies = [decode_body(record.kind, record.body) for record in records]
        return [
            one.definition is not None
            for one in bodies
            if isinstance(one, WorkflowRecord) and one.status == "RUNNING"
        ]

    async def first(engine: Engine) -> None:
        await _one_run(engine)
        await _one_run(engine)
        await define(engine, "w", simple("a", startDelay=1))
        await start(engine, "w")
        assert [True, False, True] == await told(engine)

    async def again(engine: Engine) -> None:
        await start(engine, "w")
        await start(engine, "w")
        assert [True, False, True, True, False] == await told(engine)

    run(tmp_path, first, syncing=True)
    run(tmp_path, again, syncing=True)


def test_a_definition_that_comes_back_is_told_again(tmp_path: Path) -> None:
    """The control plane would show its executions by the one that was in its place."""

    async def body(engine: Engine) -> None:
        told = []
        for delay_s in (0, 1, 0, 0):
            await define(engine, "w", simple("a", startDelay=delay_s))
            workflow_id = await start(engine, "w")
            told.append(await _definition_of(engine, workflow_id))
        assert [True, True, True, False] == [one is not None for one in told]
        assert told[0] == told[2] != told[1]

    run(tmp_path, body, syncing=True)


@pytest.mark.parametrize("anew", [False, True])
def test_what_goes_on_by_another_definition_tells_it(tmp_path: Path, anew: bool) -> None:
    """It has told one of its own; that the other was told with another execution does not help."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        workflow_id = await start(engine, "w")
        before = await _definition_of(engine, workflow_id)
        await define(engine, "w", simple("a"), simple("b"))
        other = await start(engine, "w")
        if anew:
            await engine.terminate(workflow_id, "enough")
            await engine.restart(workflow_id, latest=True)
        else:
            await Steering(engine).upgrade(
                workflow_id, "w", version=1, workflow_input=None, outputs={}
            )
        after = await _definition_of(engine, workflow_id)
        assert before != after
        assert after == await _definition_of(engine, other)

    run(tmp_path, body, syncing=True)


def test_a_definition_that_was_shed_is_told_again(tmp_path: Path) -> None:
    """With the next start: the record that told it has never arrived."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        assert None is await _definition_of(engine, await start(engine, "w"))
        assert 0 < await HistoryBudget(engine, 1).sweep()
        assert None is not await _definition_of(engine, await start(engine, "w"))

    run(tmp_path, body, syncing=True)


async def _definition_of(engine: Engine, workflow_id: str) -> bytes | None:
    """What was told last of an execution's definition."""
    records = await read(EngineOutbox(engine), Lane.HISTORY, 0, 500, 10**7)
    bodies = [decode_body(record.kind, record.body) for record in records]
    told = [
        one.definition
        for one in bodies
        if isinstance(one, WorkflowRecord) and one.id == workflow_id
    ]
    return next((one for one in reversed(told) if one is not None), None)


def test_without_a_control_plane_nothing_is_kept(tmp_path: Path) -> None:
    """A device that syncs to nobody does not fill its disk for nobody."""

    async def body(engine: Engine) -> None:
        await _one_run(engine)
        outbox = EngineOutbox(engine)

        assert [] == list(await read(outbox, Lane.HISTORY, 0, 100, 1_000_000))
        assert (1, 0) == (await outbox.bounds())[Lane.HISTORY]

    run(tmp_path, body)


def test_a_look_brings_what_is_little(tmp_path: Path) -> None:
    """Behind the sequence that is asked for, of all lanes; of what is much, only that it is there."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a", retryCount=0))
        await start(engine, "w")
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED, reason="x")
        outbox = EngineOutbox(engine)
        bounds, few = await outbox.look(dict.fromkeys(Lane, 0))
        assert await outbox.bounds() == bounds
        assert {Lane.URGENT, Lane.HISTORY} == set(few)
        whole = list(await read(outbox, Lane.HISTORY, 0, 100, 1_000_000))
        assert whole == list(records_of(few[Lane.HISTORY]))

        newest = bounds[Lane.HISTORY][1]
        _, few = await outbox.look({Lane.HISTORY: newest - 1})
        assert {Lane.HISTORY: whole[-1:]} == {
            lane: list(records_of(one)) for lane, one in few.items()
        }
        for _ in range(40):
            await start(engine, "w")
        bounds, few = await outbox.look({Lane.HISTORY: newest})
        assert {} == few
        assert bounds[Lane.HISTORY][1] >= newest + 80

    run(tmp_path, body, syncing=True)


def test_failures_go_by_the_urgent_lane(tmp_path: Path) -> None:
    """An operator hears of a failure before the backlog."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a", retryCount=0))
        await start(engine, "w")
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED, reason="x")
        (record,) = await read(EngineOutbox(engine), Lane.URGENT, 0, 100, 1_000_000)
        failed = decode_body(record.kind, record.body)

        assert isinstance(failed, WorkflowRecord)
        assert "FAILED" == failed.status

    run(tmp_path, body, syncing=True)


def test_acknowledged_records_are_freed_and_never_come_back(tmp_path: Path) -> None:
    """Cursors only move forward, and sequences go on after everything was freed."""

    async def main() -> None:
        path = tmp_path / "baton.db"
        async with engine_at(path, syncing=True) as engine:
            await _one_run(engine)
            outbox = EngineOutbox(engine)
            await outbox.acknowledge(outbox.epoch, {Lane.HISTORY: 3})
            await outbox.acknowledge(outbox.epoch, {Lane.HISTORY: 2})
            await outbox.acknowledge(outbox.epoch + 1, {Lane.HISTORY: 4})
            await outbox.acknowledge(outbox.epoch, {Lane.HISTORY: 999, Lane.BULK: 5})
            kept = await read(outbox, Lane.HISTORY, 0, 100, 1_000_000)

            assert [4] == [record.seq for record in kept]
            assert 3 == (await outbox.cursors())[Lane.HISTORY]
            assert (4, 4) == (await outbox.bounds())[Lane.HISTORY]
            await outbox.acknowledge(outbox.epoch, {Lane.HISTORY: 4})
        async with engine_at(path, syncing=True) as engine:
            await start(engine, "w")
            records = await read(EngineOutbox(engine), Lane.HISTORY, 4, 100, 1_000_000)

            assert 5 == records[0].seq
            assert 2 == records[0].boot

    asyncio.run(main())


def test_reading_stops_at_the_byte_limit(tmp_path: Path) -> None:
    """At least one record comes, whatever its size."""

    async def body(engine: Engine) -> None:
        await _one_run(engine)
        outbox = EngineOutbox(engine)

        assert 1 == len(await read(outbox, Lane.HISTORY, 0, 100, 1))
        assert 2 == len(await read(outbox, Lane.HISTORY, 0, 2, 1_000_000))

    run(tmp_path, body, syncing=True)


def test_pictures_are_announced_by_reference(tmp_path: Path) -> None:
    """A picture in a task's output becomes bulk records without content; larger files stay."""
    picture = {
        "key": "e1/snapshot", "path": "e1/s.jpg", "media_type": "image/jpeg",
        "sha256": "ab", "size_bytes": 70_000,
    }  # fmt: skip
    clip = {**picture, "media_type": "video/mp4"}
    huge = {**picture, "size_bytes": 10**9}

    async def body(engine: Engine) -> None:
        await _one_run(engine, {"evidence": [picture, clip, huge, "nonsense"]})
        records = await read(EngineOutbox(engine), Lane.BULK, 0, 100, 1_000_000)
        bodies = [decode_body(record.kind, record.body) for record in records]

        assert [(0, 2, b""), (1, 2, b"")] == [
            (b.index, b.count, b.content) for b in bodies if isinstance(b, EvidenceRecord)
        ]

    run(tmp_path, body, syncing=True)


def test_publications_wait_until_the_broker_took_them(tmp_path: Path) -> None:
    """An EVENT task is done when its message is safe here; the message goes when it is taken."""

    async def body(engine: Engine) -> None:
        await define(
            engine,
            "w",
            {
                "name": "e", "taskReferenceName": "e", "type": "EVENT",
                "sink": "mqtt:site/${workflow.input.cam}",
                "inputParameters": {"what": "person"},
            },
        )  # fmt: skip
        workflow_id = await start(engine, "w", input={"cam": "front"})
        publications = EnginePublications(engine)
        (message,) = await publications.pending(10)
        payload = msgspec.json.decode(message.payload)
        await publications.published([message.key])

        assert "site/front" == message.topic
        assert ("person", workflow_id) == (payload["what"], payload["workflowInstanceId"])
        assert [] == list(await publications.pending(10))

    run(tmp_path, body)


def test_a_disk_that_refuses_moves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds the connection hears of it in the words of a connection."""

    async def refuse(_: Engine, __: object) -> None:
        raise StorageUnavailable("full")

    async def body(engine: Engine) -> None:
        outbox = EngineOutbox(engine)
        monkeypatch.setattr(Engine, "request", refuse)
        for asked in (
            outbox.acknowledge(outbox.epoch, {Lane.HISTORY: 1}),
            EnginePublications(engine).published([1]),
        ):
            with pytest.raises(NotTaken, match="full"):
                await asked

    run(tmp_path, body, syncing=True)
