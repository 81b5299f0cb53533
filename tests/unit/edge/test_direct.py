"""Requests that are answered in the server's protocol: which ones, and that nothing else changes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from edge.api.house import House
from edge.direct import DirectProtocol, Heads
from edge.sockets import HttpServer
from edge.transactions import Transaction
from tests.unit.edge.engine_house import claim, define, define_task, id_of, simple, start
from tests.unit.edge.raw_http import Streams, ask, served

Connect = Callable[[], Awaitable[Streams]]

START = b"POST /api/workflow HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
POLL = b"GET /api/tasks/poll/batch/work?timeout=%d&workerid=me HTTP/1.1\r\nHost: x\r\n\r\n"


def starting(body: bytes) -> bytes:
    """A start of a workflow, as bytes."""
    return START % (len(body), body)


def run(folder: Path, body: Callable[[House, Connect, HttpServer], Awaitable[None]]) -> None:
    """Run ``body(house, connect, server)`` with a flow of one task that is known."""
    servers: list[HttpServer] = []

    async def inner(house: House, connect: Connect) -> None:
        await define_task(house.engine, "work")
        await define(house.engine, "flow", simple("work"))
        await body(house, connect, servers[0])

    served(folder, inner, with_server=servers.append)


def heads(server: HttpServer) -> Heads:
    """What a server knows."""
    assert server.heads is not None
    return server.heads


def without_date(head: bytes) -> list[bytes]:
    """The lines of a head, but for the one that changes every second."""
    return [line for line in head.split(b"\r\n") if not line.startswith(b"date:")]


def test_a_head_that_comes_again_is_answered_directly(tmp_path: Path) -> None:
    """Whatever the length of the body, on any connection; the answer is the same but for its id."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        first = await connect()
        learned = await ask(first, starting(b'{"name":"flow"}'))
        assert 0 == heads(server).answered
        second = await connect()
        direct = await ask(second, starting(b'{"name":"flow","priority":7}'))

        assert 1 == heads(server).answered
        assert without_date(learned[0]) == without_date(direct[0])
        assert b"date: " in direct[0]
        assert (36, 36) == (len(learned[1]), len(direct[1]))
        assert 7 == (await house.engine.workflow(direct[1].decode())).priority
        counted = dict.fromkeys(
            sample[0]["status"] for sample in house.requests.family().samples if sample[1] == 2
        )
        assert ["200"] == list(counted)

    run(tmp_path, body)


def test_workers_that_poll_share_a_head(tmp_path: Path) -> None:
    """Their queries differ, and each is read by itself; what no parser takes is never known."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        streams = await connect()
        poll = b"GET /api/tasks/poll/batch/work?%b HTTP/1.1\r\nHost: x\r\n\r\n"
        await ask(streams, poll % b"timeout=0&workerid=first")
        for number in range(1_200):
            await ask(streams, poll % b"timeout=0&workerid=w%d" % number)
        assert 1_200 == heads(server).answered
        assert "w1199" == house.engine.poll_data()[0].worker
        long, none = await ask(streams, poll % b"timeout=9000"), await ask(streams, poll % b"")
        odd = [await ask(streams, poll % b"a=1#b") for _ in range(3)]

        assert b"400" == long[0][9:12]
        assert (b"200", b"[]") == (none[0][9:12], none[1])
        assert {b"200"} == {head[9:12] for head, _ in odd}
        assert 1_202 == heads(server).answered

    run(tmp_path, body)


def test_a_body_may_come_in_pieces(tmp_path: Path) -> None:
    """Clients send head and body with two writes more often than with one."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        streams = await connect()
        await ask(streams, starting(b"[]"))
        request = starting(b'{"name":"flow","correlationId":"pieces"}')
        at = request.index(b"\r\n\r\n") + 4
        for piece in (request[:at], request[at : at + 9], request[at + 9 : -1]):
            streams[1].write(piece)
            await streams[1].drain()
            await asyncio.sleep(0.01)
        head, found = await ask(streams, request[-1:])

        assert b"200" in head
        assert 1 == heads(server).answered
        assert "pieces" == (await house.engine.workflow(found.decode())).correlation_id

    run(tmp_path, body)


def test_what_comes_before_it_is_asked_for_is_answered_in_order(tmp_path: Path) -> None:
    """Several requests in one write, known ones and others, each gets its answer."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        streams = await connect()
        await ask(streams, starting(b"[]"))
        health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        answers = [await ask(streams, starting(b"1") + health + starting(b"[1]") + health)]
        answers += [await ask(streams, b"") for _ in range(3)]

        assert [b"400", b"200", b"400", b"200"] == [head[9:12] for head, _ in answers]
        # What follows one that is not known goes with it.
        assert 1 == heads(server).answered

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"Expect: 100-continue\r\n", b"100"),
        (b"Connection: close\r\n", b"400"),
        (b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"400"),
        (b"CONTENT-LENGTH : 2\r\n", b"400"),
        (b"Content-Length:2\r\n", b"400"),
        (b"TE: trailers\r\n", b"400"),
    ],
)
def test_unusual_requests_go_the_ordinary_way(tmp_path: Path, line: bytes, status: bytes) -> None:
    """However often they come."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        length = b"" if b"ength" in line.lower() else b"Content-Length: 2\r\n"
        for _ in range(3):
            streams = await connect()
            request = b"POST /api/workflow HTTP/1.1\r\nHost: x\r\n" + length + line + b"\r\n[]"
            head, _ = await ask(streams, request)
            assert status == head[9:12]

        assert 0 == heads(server).answered

    run(tmp_path, body)


def test_a_request_of_an_older_protocol_is_never_known(tmp_path: Path) -> None:
    """HTTP/1.0 hangs up after each answer, and empty lines before a request are no part of it."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        request = starting(b"[]").replace(b"HTTP/1.1", b"HTTP/1.0")
        for one in (request, request, b"\r\n\r\n" + starting(b"[]"), b"\r\n\r\n" + starting(b"[]")):
            streams = await connect()
            head, _ = await ask(streams, one)
            assert b"400" == head[9:12]

        assert 0 == heads(server).answered

    run(tmp_path, body)


def test_a_page_of_another_site_is_refused_each_time(tmp_path: Path) -> None:
    """What depends on the head alone is judged once, and what it forbids is not learned."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        streams = await connect()
        request = starting(b'{"name":"flow"}').replace(
            b"Host: x\r\n", b"Host: x\r\nOrigin: http://elsewhere\r\n"
        )
        for _ in range(3):
            assert b"403" == (await ask(streams, request))[0][9:12]

        assert 0 == heads(server).answered

    run(tmp_path, body)


def test_a_body_larger_than_is_taken_whole(tmp_path: Path) -> None:
    """It goes the ordinary way, up to the limit of the device."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        streams = await connect()
        await ask(streams, starting(b"[]"))
        large = b'{"name":"flow","input":{"a":"' + b"x" * 100_000 + b'"}}'
        head, _ = await ask(streams, starting(large))
        house.body_limit_bytes = 10
        small, text = await ask(streams, starting(b'{"name":"flow"}'))

        assert b"200" == head[9:12]
        assert b"413" == small[9:12]
        assert b"connection: close" in small
        assert b"10 bytes" in text
        assert 1 == heads(server).answered
        assert b"" == await streams[0].read()

    run(tmp_path, body)


def test_a_worker_that_hangs_up_loses_no_task(tmp_path: Path) -> None:
    """The connection of a known poll is closed while it waits; the next worker gets the task."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        engine = house.engine
        streams = await connect()
        await ask(streams, POLL % 300)
        polls = engine.counters()["polls"]
        streams[1].write(POLL % 300)
        while engine.counters()["polls"] == polls:
            await asyncio.sleep(0.001)
        streams[1].close()
        await streams[1].wait_closed()
        second = await connect()
        await ask(second, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await start(engine, "flow")
        (view,) = await engine.poll("work", worker="b", count=1, timeout_ms=3_000)

        assert "b" == view.task.worker
        assert 1 == heads(server).answered

    run(tmp_path, body)


def test_who_is_asked_to_stop_answers_first(tmp_path: Path) -> None:
    """A poll that waits when the daemon stops is answered, and the connection ends with it."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        streams, idle = await connect(), await connect()
        await ask(idle, POLL % 300)
        polls = house.engine.counters()["polls"]
        streams[1].write(POLL % 300)
        while house.engine.counters()["polls"] == polls:
            await asyncio.sleep(0.001)
        server.stop()
        head, found = await ask(streams, b"")

        assert b"200" == head[9:12]
        assert b"connection: close" in head
        assert b"[]" == found
        assert 1 == heads(server).answered
        assert b"" == await streams[0].read()
        assert b"" == await idle[0].read()

    run(tmp_path, body)


def test_a_daemon_that_stops_waits_two_seconds_at_most(tmp_path: Path) -> None:
    """What has not been answered by then ends with an error, as everywhere in the server."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        streams = await connect()
        await ask(streams, starting(b"[]"))
        held, release = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def hold(_: Transaction) -> None:
            loop.call_soon_threadsafe(held.set)
            release.wait(20)

        async with asyncio.TaskGroup() as group:
            group.create_task(house.engine.request(hold))
            await held.wait()
            streams[1].write(starting(b'{"name":"flow"}'))
            # What was written before is read before what is written now.
            second = await connect()
            await ask(second, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            server.stop()
            head, _ = await ask(streams, b"")
            release.set()

        assert b"500" == head[9:12]
        assert b"" == await streams[0].read()

    run(tmp_path, body)


def test_a_client_that_fetches_nothing_is_answered_no_more(tmp_path: Path) -> None:
    """Until it does: its answers would pile up here."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        big = b'{"name":"' + b"n" * 60_000 + b'"}'
        streams = await connect()
        await ask(streams, starting(b"[]"))
        # More than the system's buffers take.
        many = 400
        streams[1].write(starting(big) * many)
        while not any(
            cast(DirectProtocol, one).flow.write_paused for one in server.server_state.connections
        ):
            await asyncio.sleep(0.001)
        assert many > heads(server).answered
        for _ in range(many):
            head, _ = await ask(streams, b"")
            assert b"404" == head[9:12]

        assert many == heads(server).answered

    run(tmp_path, body)


def test_heads_that_are_too_many_are_learned_again(tmp_path: Path) -> None:
    """Memory stays bounded, and those in use come back with the next request."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        streams = await connect()
        for number in range(600):
            await ask(streams, starting(b"[]").replace(b"Host: x", b"Host: %d" % number))
        assert 0 == heads(server).answered
        await ask(streams, starting(b"[]"))
        await ask(streams, starting(b"[]"))
        long = starting(b"[]").replace(b"Host: x", b"Host: " + b"x" * 5_000)
        for _ in range(2):
            assert b"400" == (await ask(streams, long))[0][9:12]

        assert 1 == heads(server).answered

    run(tmp_path, body)


def test_a_report_and_what_it_brings(tmp_path: Path) -> None:
    """Both ways of reporting, known, on the wire: the id as text, the next task, or nothing."""

    async def body(house: House, connect: Connect, server: HttpServer) -> None:
        engine = house.engine
        streams = await connect()
        form = b"POST /api/tasks%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
        for path in (b"", b"/update-v2"):
            await ask(streams, form % (path, 2, b"[]"))
        workflow_ids = [await start(engine, "flow") for _ in range(3)]
        first, second = await claim(engine, "work"), await claim(engine, "work")
        reports = [
            b'{"workflowInstanceId":"%b","taskId":"%b","status":"COMPLETED"}'
            % (workflow_id.encode(), id_of(one).encode())
            for workflow_id, one in zip(workflow_ids, (first, second), strict=False)
        ]
        plain = await ask(streams, form % (b"", len(reports[0]), reports[0]))
        chained = await ask(streams, form % (b"/update-v2", len(reports[1]), reports[1]))
        again = await ask(streams, form % (b"/update-v2", len(reports[1]), reports[1]))

        assert id_of(first).encode() == plain[1]
        assert b"content-type: text/plain; charset=utf-8" in plain[0]
        assert b'"taskType":"work"' in chained[1]
        assert b"content-type: application/json" in chained[0]
        assert (b"204", b"") == (again[0][9:12], again[1])
        assert b"content-length" not in again[0]
        assert 3 == heads(server).answered

    run(tmp_path, body)
