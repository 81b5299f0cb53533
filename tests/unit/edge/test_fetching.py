"""What is ordered to be fetched: found or plainly missing, in chunks, within bounds, once."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from edge.engine import Engine
from edge.fetch_sources import Sources
from edge.fetching import Fetches
from edge.journal_file import JournalFile
from edge.model.executions import task_uuid, workflow_uuid
from edge.model.requests import TaskView
from edge.orders import EngineOrders
from edge.store import fetches, outbox
from edge.uploads import Uploads
from sync.evidence_files import Folders, with_content
from sync.orders import Order
from sync.records import (
    EVIDENCE_CHUNK_BYTES,
    FetchedRecord,
    Lane,
    OrderRecord,
    PartRecord,
    TaskRecord,
    WorkflowRecord,
    decode_body,
)
from tests.unit.edge.engine_house import answer, claim, define, everything, run, simple, start

NOW_MS, LATER_MS = 1_000_000, 2_000_000


class House:
    """An engine that is ordered to fetch, with its folders."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.journal = JournalFile(folder / "journal", 1_000_000)
        self.evidence, self.fetched = folder / "evidence", folder / "fetched"
        self.evidence.mkdir()
        self.files: Uploads | None = None
        sources = Sources(
            engine,
            journal=self.journal,
            evidence=self.evidence,
            files=lambda: self.files,
            uploads=lambda: Uploads(folder / "uploads", 10**6),
        )
        self.sources = sources
        self.fetches = self.new(most_bytes=1_000_000)
        self.desk = EngineOrders(engine, lambda script: None, lambda: None)
        self.cseq = 0

    def new(self, *, most_bytes: int, budget_bytes: int = 2_000_000) -> Fetches:
        """What looks, as a new process has it."""
        return Fetches(
            self.engine, self.sources, self.fetched,
            most_bytes=most_bytes, budget_bytes=budget_bytes,
        )  # fmt: skip

    async def order(self, kind: str, body: dict[str, Any], **more: Any) -> None:
        """Give an order."""
        self.cseq += 1
        order = Order(
            self.cseq, f"id{self.cseq}", kind, msgspec.json.encode(body), NOW_MS,
            more.get("expires_ms", LATER_MS),
        )  # fmt: skip
        await self.desk.carry_out([order], NOW_MS)

    async def lane(self, lane: Lane) -> list[Any]:
        """The bodies of a lane, with the contents that they travel with."""
        records = await self.engine.database.read(
            lambda c: outbox.read_records(c, lane, 0, 5_000, 10**8)
        )
        folders = Folders(self.evidence, self.fetched)
        filled = [with_content(record, folders) for record in records]
        return [decode_body(record.kind, record.body) for record in filled]

    async def fetch(self, kind: str, body: dict[str, Any]) -> tuple[FetchedRecord, bytes]:
        """Order, look, and what would be sent: the news, and the content."""
        await self.order(kind, body)
        await self.fetches.step()
        told = (await self.lane(Lane.CONTROL))[-1]
        assert isinstance(told, FetchedRecord) and f"id{self.cseq}" == told.order_id
        bulk = (await self.lane(Lane.BULK))[told.first_seq - 1 :][: told.count]
        if told.media_type:
            assert list(range(told.count)) == [part.index for part in bulk]
            assert all(told.count == part.count and not part.missing for part in bulk)
        return told, b"".join(getattr(part, "content", b"") for part in bulk)


def named(view: TaskView) -> str:
    """The id of a task."""
    return task_uuid(view.workflow.id, view.task.ordinal)


def in_house(tmp_path: Path, play: Callable[[House], Awaitable[None]]) -> None:
    """A house with a workflow of one step."""

    async def body(engine: Engine) -> None:
        await define(engine, "demo", simple("a"), ownerEmail="a@b.c")
        await play(House(engine, tmp_path))

    run(tmp_path, body, syncing=True)


def test_the_journal_is_fetched(tmp_path: Path) -> None:
    """The lines that match; the order itself is done as soon as it is noted."""

    async def play(house: House) -> None:
        for level in ("info", "error", "info"):
            line = {"event": f"an {level}", "level": level, "at": "2026-11-27T10:00:00.000000Z"}
            house.journal.take(msgspec.json.encode(line).decode())

        told, content = await house.fetch("fetch-journal", {"level": "error"})

        assert ("found", "application/jsonl", 1) == (told.state, told.media_type, told.count)
        assert ["an error"] == [msgspec.json.decode(one)["event"] for one in content.splitlines()]
        assert told.sha256 == hashlib.sha256(content).hexdigest()
        assert told.size_bytes == len(content)
        done, _ = await house.lane(Lane.CONTROL)
        assert isinstance(done, OrderRecord) and "done" == done.state

    in_house(tmp_path, play)


def test_the_logs_of_a_task_are_fetched(tmp_path: Path) -> None:
    """The newest lines where not all fit; a task that nobody knows is gone."""

    async def play(house: House) -> None:
        await start(house.engine, "demo")
        task_id = named(await claim(house.engine, "a"))
        for number in range(50):
            await house.engine.log(task_id, f"line {number:02}")

        told, content = await house.fetch("fetch-task-logs", {"taskId": task_id})
        lines = [msgspec.json.decode(one) for one in content.splitlines()]
        assert [f"line {n:02}" for n in range(50)] == [one["log"] for one in lines]
        assert not told.cut

        told, content = await house.fetch("fetch-task-logs", {"taskId": task_id, "maxBytes": 1_000})
        assert told.cut and len(content) <= 1_000
        assert "line 49" == msgspec.json.decode(content.splitlines()[-1])["log"]

        told, _ = await house.fetch("fetch-task-logs", {"taskId": "nobody"})
        assert ("gone", 0) == (told.state, told.count)
        assert "nobody" in (told.reason or "")

    in_house(tmp_path, play)


def test_a_file_is_fetched_in_chunks(tmp_path: Path) -> None:
    """Also when it is removed after it was found: what is sent is a copy. It goes when it has come."""

    async def play(house: House) -> None:
        film = bytes(range(256)) * 1_000
        (house.evidence / "clip.mp4").write_bytes(film)
        body = {"store": "evidence", "name": "clip.mp4"}

        told, content = await house.fetch("fetch-file", body)
        assert (film, "video/mp4") == (content, told.media_type)
        assert -(-len(film) // EVIDENCE_CHUNK_BYTES) == told.count
        (house.evidence / "clip.mp4").unlink()
        assert all(not part.missing for part in await house.lane(Lane.BULK))

        await house.engine.request(
            lambda t: outbox.acknowledge(t.connection, {Lane.BULK: told.count - 1})
        )
        await house.fetches.step()
        assert 1 == len(list(house.fetched.iterdir()))
        await house.engine.request(
            lambda t: outbox.acknowledge(t.connection, {Lane.BULK: told.count})
        )
        await house.fetches.step()
        assert [] == list(house.fetched.iterdir())
        assert 0 == await house.engine.database.read(fetches.count)

        told, _ = await house.fetch("fetch-file", body)
        assert "gone" == told.state
        told, _ = await house.fetch("fetch-file", {"store": "evidence", "name": "../baton.db"})
        assert "gone" == told.state
        told, _ = await house.fetch("fetch-file", {"store": "files", "name": "f"})
        assert "gone" == told.state and "files.enabled" in (told.reason or "")

    in_house(tmp_path, play)


def test_bounds_are_kept(tmp_path: Path) -> None:
    """Of the order, of the device, and of all copies together; each says what to change."""

    async def play(house: House) -> None:
        (house.evidence / "clip.mp4").write_bytes(bytes(5_000))
        body: dict[str, Any] = {"store": "evidence", "name": "clip.mp4"}

        told, _ = await house.fetch("fetch-file", body | {"maxBytes": 4_000})
        assert "refused" == told.state and "maxBytes" in (told.reason or "")
        house.fetches = house.new(most_bytes=4_000)
        told, _ = await house.fetch("fetch-file", body)
        assert "refused" == told.state and "5000 bytes" in (told.reason or "")
        house.fetches = house.new(most_bytes=10_000, budget_bytes=9_000)
        told, _ = await house.fetch("fetch-file", body)
        assert "found" == told.state
        told, _ = await house.fetch("fetch-file", body)
        assert "refused" == told.state and "fetch_budget_mb" in (told.reason or "")

    in_house(tmp_path, play)


def test_a_payload_is_fetched(tmp_path: Path) -> None:
    """Of a task and of an execution, by their ids; what is hidden stays so."""

    async def play(house: House) -> None:
        await start(house.engine, "demo", input={"x": 1, "_secrets": "s"})
        view = await claim(house.engine, "a")
        task_id = named(view)
        await answer(house.engine, view, output={"y": "z" * 100_000})

        told, content = await house.fetch("fetch-file", {"store": "output", "name": task_id})
        assert ("application/json", 2) == (told.media_type, told.count)
        assert {"y": "z" * 100_000} == msgspec.json.decode(content)
        name = {"store": "input", "name": workflow_uuid(view.workflow.id)}
        _, content = await house.fetch("fetch-file", name)
        assert {"x": 1, "_secrets": "***"} == msgspec.json.decode(content)
        told, _ = await house.fetch("fetch-file", {"store": "input", "name": "nobody"})
        assert "gone" == told.state

    in_house(tmp_path, play)


def test_an_execution_is_sent_once_more(tmp_path: Path) -> None:
    """All of it as it is, in the bulk lane; payloads that do not fit are left out, and it is said."""

    async def play(house: House) -> None:
        await start(house.engine, "demo", input={"x": 1})
        await answer(house.engine, await claim(house.engine, "a"), output={"y": "z" * 5_000})
        (workflow,) = await everything(house.engine)
        body: dict[str, Any] = {"workflowId": workflow_uuid(workflow.id)}

        told, _ = await house.fetch("fetch-execution", body)
        assert ("found", "", 2, False) == (told.state, told.media_type, told.count, told.cut)
        whole, task = await house.lane(Lane.BULK)
        assert isinstance(whole, WorkflowRecord) and isinstance(task, TaskRecord)
        assert ("COMPLETED", b'{"x":1}') == (whole.status, whole.input)
        assert task.output is not None and len(task.output) > 5_000

        told, _ = await house.fetch("fetch-execution", body | {"maxBytes": 1_000})
        assert told.cut
        _, _, whole, task = await house.lane(Lane.BULK)
        assert isinstance(task, TaskRecord) and ("COMPLETED", None) == (task.status, task.output)
        told, _ = await house.fetch("fetch-execution", {"workflowId": "0" * 8})
        assert "gone" == told.state

    in_house(tmp_path, play)


def test_a_power_cut_before_the_news_looks_again(tmp_path: Path) -> None:
    """What was noted is looked for by the next process; a copy without news is laid out anew."""

    async def play(house: House) -> None:
        (house.evidence / "a.txt").write_bytes(b"text")
        await house.order("fetch-file", {"store": "evidence", "name": "a.txt"})
        house.fetched.mkdir()
        (house.fetched / ("0" * 64)).write_bytes(b"of a process that is no more")

        house.fetches = house.new(most_bytes=10_000)
        await house.fetches.step()
        await house.fetches.step()

        told = [one for one in await house.lane(Lane.CONTROL) if isinstance(one, FetchedRecord)]
        assert ["found"] == [one.state for one in told]
        assert 1 == len(list(house.fetched.iterdir()))
        assert [b"text"] == [part.content for part in await house.lane(Lane.BULK)]

    in_house(tmp_path, play)


def test_what_changes_on_its_way_is_told_as_missing(tmp_path: Path) -> None:
    """A chunk that is not what was found is not sent in its place."""

    async def play(house: House) -> None:
        (house.evidence / "a.txt").write_bytes(b"text")
        await house.fetch("fetch-file", {"store": "evidence", "name": "a.txt"})
        (copy,) = house.fetched.iterdir()
        copy.write_bytes(b"tent")
        (part,) = await house.lane(Lane.BULK)
        assert isinstance(part, PartRecord) and part.missing and not part.content

    in_house(tmp_path, play)


def test_orders_that_come_too_late_or_too_many_fetch_nothing(tmp_path: Path) -> None:
    """Expired is expired; a device that fetches nothing says so."""

    async def play(house: House) -> None:
        await house.order("fetch-journal", {}, expires_ms=NOW_MS)
        house.desk = EngineOrders(house.engine, lambda script: None)
        await house.order("fetch-journal", {})
        await house.fetches.step()

        expired, refused = await house.lane(Lane.CONTROL)
        assert ("expired", "failed") == (expired.state, refused.state)
        assert "sync.fetch_most_mb" in refused.reason
        assert 0 == await house.engine.database.read(fetches.count)

    in_house(tmp_path, play)
