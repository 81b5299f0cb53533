"""The control plane's HTTP application on a real ledger: answers, refusals, files, the stream."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from sync import frames, receiver, topics
from sync.control_plane import stream
from sync.control_plane.app import build_app
from sync.control_plane.dialect import Connection
from sync.control_plane.fleet_routes import DAY_MS
from sync.control_plane.ledger import Ledger, LedgerUnavailable
from sync.control_plane.truth import Presence
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

NOW_MS = 1_800_000_000_000
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
W1, W2, W3 = (f"{n:08d}-0000-4000-8000-000000000000" for n in (1, 2, 3))


class World:
    """A ledger, its application and a client of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.now_ms = NOW_MS
        self.broker_connected = True
        self.app = build_app(
            ledger, now_ms=lambda: self.now_ms, broker_connected=lambda: self.broker_connected
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app), base_url="http://cloud"
        )
        self._seq: dict[str, int] = {}

    async def send(self, device: str, *bodies: Body, tenant: str = "default") -> None:
        """History of a device, the way it arrives."""
        first = self._seq.get(device, 0) + 1
        self._seq[device] = first + len(bodies) - 1
        records = [
            Record(Lane.HISTORY, first + n, KINDS[type(body)], NOW_MS, 1, encode_body(body))
            for n, body in enumerate(bodies)
        ]
        payload = frames.encode(records, epoch=1, oldest_seq=1)
        topic = topics.address(tenant, device).topic(topics.up(Lane.HISTORY))
        arrival = receiver.read(topic, payload, received_ms=NOW_MS + 150)
        assert arrival is not None
        await self.ledger.commit([arrival])
        while await self.ledger.project():
            pass

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """One request."""
        return await self.client.get(path, headers=headers)

    async def json(self, path: str) -> Any:
        """The body of a request that must succeed."""
        answer = await self.get(path)
        assert 200 == answer.status_code, answer.text
        return answer.json()


def in_world(tmp_path: Path, play: Callable[[World], Awaitable[None]]) -> None:
    """Run a play with a ledger in a real file."""

    async def run() -> None:
        ledger = await Ledger.open(tmp_path / "ledger.db", now_ms=lambda: NOW_MS)
        try:
            world = World(ledger)
            async with world.client:
                await play(world)
        finally:
            await ledger.close()

    asyncio.run(run())


def workflow(workflow_id: str, status: str = "COMPLETED", **values: Any) -> WorkflowRecord:
    """One execution that began a minute ago."""
    fields: dict[str, Any] = {"name": "scan", "created_ms": NOW_MS - 60_000, "ended_ms": NOW_MS}
    fields |= {"version": 1, "updated_ms": NOW_MS, "input": b'{"snake_case": 1}'} | values
    return WorkflowRecord(id=workflow_id, status=status, **fields)


def task(workflow_id: str, seq: int, ref: str) -> TaskRecord:
    """One task that is done."""
    return TaskRecord(
        workflow_id=workflow_id, task_id=f"t{seq}", seq=seq, ref=ref, type="SIMPLE", name=ref,
        status="COMPLETED", updated_ms=NOW_MS, scheduled_ms=NOW_MS - 30, started_ms=NOW_MS - 20,
        ended_ms=NOW_MS, attempt=1, worker="here", output=b'{"a_b": [1]}',
    )  # fmt: skip


def evidence(
    workflow_id: str, key: str, media_type: str, content: bytes = PICTURE, task_id: str = "t1"
) -> EvidenceRecord:
    """One kept file."""
    return EvidenceRecord(
        workflow_id=workflow_id, task_id=task_id, key=key, media_type=media_type,
        sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content), path=key,
        content=content,
    )  # fmt: skip


def test_devices_carry_state_and_the_last_day(tmp_path: Path) -> None:
    """A device shows its state and what it did in a day; older executions do not count."""

    async def play(world: World) -> None:
        await world.ledger.note_presence(
            [Presence(topics.address("default", "gate"), True, epoch=1, boot=1, session=1)]
        )
        await world.send(
            "gate", workflow(W1), workflow(W2, "FAILED"),
            workflow(W3, created_ms=NOW_MS - DAY_MS - 1),
        )  # fmt: skip
        await world.send("elsewhere", workflow(W1), tenant="other")
        listed = await world.json("/api/v1/devices")
        one = await world.json("/api/v1/devices/gate")

        assert [one] == listed["devices"]
        assert ("gate", "online", 3) == (one["device"], one["state"], one["records"])
        assert {"executions": 2, "failures": 1, "partial": False} == one["recent"]
        assert NOW_MS == one["syncedToMs"]

    in_world(tmp_path, play)


@pytest.mark.timeout(60)
def test_a_busy_day_is_counted_as_it_goes(tmp_path: Path) -> None:
    """A busy fleet does not make the page slow: nothing is counted when somebody looks."""

    async def play(world: World) -> None:
        for begin in range(0, 5_500, 500):
            ids = (f"{n:08d}-0000-4000-8000-000000000000" for n in range(begin, begin + 500))
            await world.send("busy", *(workflow(identity, input=None) for identity in ids))
        one = await world.json("/api/v1/devices/busy")

        assert {"executions": 5_500, "failures": 0, "partial": False} == one["recent"]

    in_world(tmp_path, play)


def test_executions_are_filtered_and_paged(tmp_path: Path) -> None:
    """Newest first; each filter narrows; the mark of a page leads to the next one."""

    async def play(world: World) -> None:
        for n in range(5):
            status = "FAILED" if n % 2 else "COMPLETED"
            identity = f"{n:08d}-0000-4000-8000-000000000000"
            await world.send("a", workflow(identity, status, created_ms=NOW_MS - n * 1000))
        await world.send("b", workflow(W1, name="other", correlation_id="gate seven"))

        async def ids(query: str) -> list[str]:
            page = await world.json(f"/api/v1/executions?{query}")
            return [f"{row['device']}{row['workflowId'][7]}" for row in page["executions"]]

        assert ["a0", "a1", "a2", "a3", "a4", "b1"] == await ids("")
        assert ["a1", "a3"] == await ids("status=FAILED")
        assert ["b1"] == await ids("device=b")
        assert ["b1"] == await ids("name=other")
        assert ["b1"] == await ids("text=GATE%20sev")
        first = await world.json("/api/v1/executions?limit=4")
        assert ["a4", "b1"] == await ids(f"limit=4&after={first['next']}")
        assert [] == await ids("name=none")

    in_world(tmp_path, play)


def test_an_execution_has_conductors_shape(tmp_path: Path) -> None:
    """Field names are Conductor's, and nothing inside a payload is renamed."""

    async def play(world: World) -> None:
        await world.send(
            "a", workflow(W1), task(W1, 2, "second"), task(W1, 1, "first"),
            evidence(W1, "shots/front.png", "image/png"),
        )  # fmt: skip
        found = await world.json(f"/api/v1/executions/a/{W1}")

        assert ("scan", "COMPLETED", 1) == tuple(
            found[name] for name in ("workflowName", "status", "workflowVersion")
        )
        assert {"snake_case": 1} == found["input"]
        assert ["first", "second"] == [one["referenceTaskName"] for one in found["tasks"]]
        assert {"a_b": [1]} == found["tasks"][0]["outputData"]
        assert (1, "here") == (found["tasks"][0]["retryCount"], found["tasks"][0]["workerId"])
        file = found["evidence"][0]
        assert ("t1", "shots/front.png", True) == (file["taskId"], file["key"], file["complete"])

    in_world(tmp_path, play)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/v1/devices/nobody", 404, "nobody"),
        ("/api/v1/executions/a/none", 404, "none"),
        ("/api/v1/executions/a/none/evidence/x.png", 404, "none"),
        ("/api/v1/executions?status=BROKEN", 400, "status must be one of"),
        ("/api/v1/executions?limit=0", 400, "limit"),
        ("/api/v1/executions?limit=501", 400, "limit"),
        ("/api/v1/executions?limit=-1", 400, "limit"),
        ("/api/v1/executions?limit=%C2%B2", 400, "limit"),
        ("/api/v1/executions?text=" + "x" * 201, 400, "text"),
        ("/api/v1/nothing", 404, "nothing"),
        ("/../ledger.db", 404, ""),
        ("/web/pages.py", 404, "pages.py"),
    ],
)
def test_refusals_have_one_shape(tmp_path: Path, path: str, status: int, words: str) -> None:
    """Every refusal is JSON with a status and a message that names what was wrong."""

    async def play(world: World) -> None:
        answer = await world.get(path)

        assert status == answer.status_code
        assert status == answer.json()["status"]
        assert words in answer.json()["message"]

    in_world(tmp_path, play)


def test_methods_that_are_none_are_refused(tmp_path: Path) -> None:
    """On pages and API alike."""

    async def play(world: World) -> None:
        for path in ("/", "/api/v1/summary", "/api/v1/stream"):
            answer = await world.client.post(path, content=b"{}")

            assert 405 == answer.status_code
            assert 405 == answer.json()["status"]

    in_world(tmp_path, play)


@pytest.mark.parametrize(
    ("media_type", "answered", "disposition"),
    [
        ("image/png", "image/png", "inline"),
        ("IMAGE/JPEG", "image/jpeg", "inline"),
        ("image/svg+xml", "image/svg+xml", "attachment"),
        ("text/html", "text/html", "attachment"),
        ("video/mp4", "video/mp4", "attachment"),
        ("text/html\r\nset-cookie: a=b", "application/octet-stream", "attachment"),
        ("", "application/octet-stream", "attachment"),
    ],
)
def test_evidence_is_shown_only_when_it_is_a_picture(
    tmp_path: Path, media_type: str, answered: str, disposition: str
) -> None:
    """Pictures are inline; what could carry a script is a download that may run nothing."""

    async def play(world: World) -> None:
        await world.send("a", workflow(W1), evidence(W1, 'x/odd" name.png', media_type))
        answer = await world.get(f"/api/v1/executions/a/{W1}/evidence/x/odd%22%20name.png")
        headers = answer.headers

        assert PICTURE == answer.content
        assert answered == headers["content-type"].split(";")[0]
        assert f'{disposition}; filename="odd__name.png"' == headers["content-disposition"]
        assert "nosniff" == headers["x-content-type-options"]
        assert ["default-src 'none'; sandbox"] == headers.get_list("content-security-policy")
        again = await world.get(
            f"/api/v1/executions/a/{W1}/evidence/x/odd%22%20name.png",
            **{"if-none-match": headers["etag"]},
        )
        assert (304, b"") == (again.status_code, again.content)

    in_world(tmp_path, play)


def test_evidence_of_two_tasks_is_told_apart(tmp_path: Path) -> None:
    """The same key of two tasks names two files; incomplete ones are not answered."""

    async def play(world: World) -> None:
        missing = msgspec.structs.replace(
            evidence(W1, "gone", "image/png"), content=b"", missing=True
        )
        await world.send(
            "a", workflow(W1), evidence(W1, "k", "image/png", b"one", "t1"),
            evidence(W1, "k", "image/png", b"two", "t2"), missing,
        )  # fmt: skip
        base = f"/api/v1/executions/a/{W1}/evidence"

        assert b"two" == (await world.get(f"{base}/k?taskId=t2")).content
        assert b"one" == (await world.get(f"{base}/k?taskId=t1")).content
        assert 404 == (await world.get(f"{base}/k?taskId=t3")).status_code
        assert 404 == (await world.get(f"{base}/gone")).status_code

    in_world(tmp_path, play)


def test_summary_health_and_metrics_agree(tmp_path: Path) -> None:
    """The same figures stand in the summary and in the metrics; a lost broker is no failure."""

    async def play(world: World) -> None:
        await world.send("a", workflow(W1), workflow(W2, "FAILED"))
        world.broker_connected = False
        summary = await world.json("/api/v1/summary")
        health = await world.json("/health")
        metrics = (await world.get("/metrics")).text

        assert {"COMPLETED": 1, "FAILED": 1} == summary["executions"]
        assert (1, 2, False) == (
            summary["devices"], summary["records"], summary["brokerConnected"]
        )  # fmt: skip
        assert summary["syncLag"]["records"] == 2
        assert 150 <= summary["syncLag"]["p50Ms"] <= 165
        assert {"status": "up", "ledger": "up", "broker": "disconnected"} == health
        assert 'baton_cloud_executions{status="FAILED"} 1\n' in metrics
        assert "baton_cloud_records_total 2\n" in metrics
        assert "# TYPE baton_cloud_sync_lag_seconds gauge\n" in metrics

    in_world(tmp_path, play)


def test_a_ledger_that_takes_nothing_is_not_healthy(tmp_path: Path) -> None:
    """What is stored is shown all the same; with room it is healthy again."""

    async def play(world: World) -> None:
        await world.send("a", workflow(W1))
        pages: dict[str, int] = {}

        def shrink(connection: Connection) -> None:
            pages["now"] = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages['now']}")

        def room(connection: Connection) -> None:
            connection.execute(f"PRAGMA max_page_count = {pages['now'] + 1_000}")

        await world.ledger.write(shrink)
        with pytest.raises(LedgerUnavailable):
            await world.send("a", workflow(W2, output=b'{"a":"' + b"x" * 90_000 + b'"}'))
        world.now_ms += 2_000
        health, summary = await world.get("/health"), await world.json("/api/v1/summary")
        assert (503, "down") == (health.status_code, health.json()["status"])
        assert "full" in health.json()["ledger"] and "full" in summary["ledgerTrouble"]
        assert {"COMPLETED": 1} == summary["executions"]
        await world.ledger.write(room)
        assert "up" == (await world.json("/health"))["ledger"]

    in_world(tmp_path, play)


def test_figures_are_counted_at_most_once_a_second(tmp_path: Path) -> None:
    """Many open pages cost one count; after a second the figures are new."""

    async def play(world: World) -> None:
        await world.send("a", workflow(W1))
        assert 1 == (await world.json("/api/v1/summary"))["records"]
        await world.send("a", workflow(W2))
        world.now_ms += 999
        assert 1 == (await world.json("/api/v1/summary"))["records"]
        world.now_ms += 1

        assert 2 == (await world.json("/api/v1/summary"))["records"]

    in_world(tmp_path, play)


def test_every_answer_is_guarded(tmp_path: Path) -> None:
    """Pages, data and refusals carry the security headers, each once."""

    async def play(world: World) -> None:
        for path in ("/", "/app.js", "/web/dom.js", "/api/v1/devices", "/health", "/none"):
            headers = (await world.get(path)).headers

            assert 1 == len(headers.get_list("content-security-policy"))
            assert "default-src 'self'" in headers["content-security-policy"]
            assert "nosniff" == headers["x-content-type-options"]
            assert "no-referrer" == headers["referrer-policy"]

    in_world(tmp_path, play)


def test_a_ledger_that_fails_is_answered(tmp_path: Path) -> None:
    """Nothing escapes uncaught: a broken ledger is a 500 in the usual shape, not a dead socket."""

    async def play(world: World) -> None:
        def drop(connection: Connection) -> None:
            connection.execute("DROP TABLE execution")

        await world.ledger._database.transact(drop)
        answer = await world.get("/api/v1/executions")

        assert 500 == answer.status_code
        assert 500 == answer.json()["status"]
        assert "sqlite" not in answer.text.lower()

    in_world(tmp_path, play)


class StreamReader:
    """Follows ``/api/v1/stream`` over ASGI; httpx would wait for its end."""

    def __init__(self, app: Any, query: str = "", **headers: str) -> None:
        self._app = app
        self._gone = asyncio.Event()
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
        self._scope = {
            "type": "http", "method": "GET", "path": "/api/v1/stream", "raw_path": b"",
            "query_string": query.encode(), "headers": raw, "http_version": "1.1",
            "scheme": "http", "server": ("cloud", 80), "client": ("reader", 1), "root_path": "",
        }  # fmt: skip

    async def __aenter__(self) -> StreamReader:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._group.create_task(self._app(self._scope, self._receive, self._messages.put))
        start = await self._messages.get()
        self.status: int = start["status"]
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._gone.set()
        await self._group.__aexit__(*exc)

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def chunk(self) -> str:
        """The next piece of the body."""
        async with asyncio.timeout(25):
            body: bytes = (await self._messages.get()).get("body", b"")
            return body.decode()

    async def until(self, text: str) -> str:
        """The pieces up to the one that has the text."""
        told = ""
        while text not in told:
            told += await self.chunk()
        return told

    async def ended(self) -> bool:
        """True when the body ends."""
        async with asyncio.timeout(25):
            while (await self._messages.get()).get("more_body"):
                pass
        return True


def test_the_stream_tells_what_changed(tmp_path: Path) -> None:
    """From the moment a page opens, each change is told with the cursor to resume from."""

    async def play(world: World) -> None:
        await world.send("a", workflow(W1))
        async with StreamReader(world.app) as reader:
            hello = await reader.chunk()
            await world.send("elsewhere", workflow(W3), tenant="other")
            await world.send("a", workflow(W2))
            told = await reader.until(W2)

        assert "event: hello" in hello
        assert W1 not in told
        assert "elsewhere" not in told
        assert "event: execution\n" in told
        assert f"id: {await world.ledger.newest_change()}\n" in told

    in_world(tmp_path, play)


@pytest.mark.parametrize("way", ["header", "query"])
def test_the_stream_resumes_where_it_was_left(tmp_path: Path, way: str) -> None:
    """What happened while a page was away is told when it comes back, older things are not."""

    async def play(world: World) -> None:
        await world.send("a", workflow(W1))
        left = str(await world.ledger.newest_change())
        await world.send("a", workflow(W2))
        headers = {"last_event_id": left} if way == "header" else {}
        query = f"lastEventId={left}" if way == "query" else ""
        async with StreamReader(world.app, query, **headers) as reader:
            await reader.chunk()
            told = await reader.until(W2)

        assert W1 not in told

    in_world(tmp_path, play)


@pytest.mark.parametrize("left", ["99999999999999999", "-4", "abc", "1" * 400])
def test_a_cursor_that_is_not_ours_begins_now(tmp_path: Path, left: str) -> None:
    """A cursor of another ledger, or none at all, neither stalls the stream nor floods it."""

    async def play(world: World) -> None:
        await world.send("a", workflow(W1))
        async with StreamReader(world.app, last_event_id=left) as reader:
            await reader.chunk()
            await world.send("a", workflow(W2))
            told = await reader.until(W2)

        assert W1 not in told

    in_world(tmp_path, play)


def test_streams_end_when_told_and_are_counted(tmp_path: Path) -> None:
    """A stopping server is not held up by open pages, and takes no new ones."""

    async def play(world: World) -> None:
        async with StreamReader(world.app) as reader:
            await reader.chunk()
            assert 1 == world.app.state.streams.open
            world.app.state.streams.close()
            assert await reader.ended()
        refused = await world.get("/api/v1/stream")

        assert 0 == world.app.state.streams.open
        assert 503 == refused.status_code

    in_world(tmp_path, play)


def test_the_number_of_streams_is_bounded(tmp_path: Path) -> None:
    """One page too many is refused with an answer, and its place is free again afterwards."""

    async def play(world: World) -> None:
        world.app.state.streams.open = stream.STREAM_LIMIT
        assert 503 == (await world.get("/api/v1/stream")).status_code
        world.app.state.streams.open = 0
        async with StreamReader(world.app) as reader:
            assert 200 == reader.status

        assert 0 == world.app.state.streams.open

    in_world(tmp_path, play)
