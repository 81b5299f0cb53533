"""HTTP tasks against a real server on the loopback, well-behaved and not."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.clock import RandomIds
from edge.engine import Engine
from edge.model.definitions import WorkflowDefinition
from edge.model.executions import Pinned, Task, TaskStatus, Workflow, WorkflowStatus
from edge.model.requests import Answer, TaskView
from edge.system_tasks import HttpCalls
from edge.system_tasks.http_answer import ANSWER_LIMIT_BYTES
from edge.workers import Workers
from tests.unit.edge.engine_house import define, define_task, ended, engine_at, start
from tests.unit.edge.system_tasks.far_end import Asked, Exchange, FarEnd, answer, far_end
from workflows.evidence import EvidenceStore


def view_of(values: dict[str, Any], kind: str = "HTTP", **step: Any) -> TaskView:
    """A task of a workflow of one step, as it is handed out."""
    one = {"name": "h", "taskReferenceName": "h", "type": kind, **step}
    document = {"name": "w", "tasks": [one]}
    pinned = Pinned(1, msgspec.convert(document, WorkflowDefinition), b"")
    workflow = Workflow(1, RandomIds().workflow_id(1), "w", 1, 1, WorkflowStatus.RUNNING)
    task = Task(
        1, 1, "h", kind, kind, "h", TaskStatus.SCHEDULED, input=msgspec.json.encode(values), polls=1
    )
    return TaskView(workflow, pinned, task)


def call(
    exchange: Exchange | bytes, values: dict[str, Any] | None = None, **step: Any
) -> tuple[Answer, FarEnd]:
    """Run one HTTP task against a server; the values' uri is a path there."""

    async def main() -> tuple[Answer, FarEnd]:
        async with far_end(exchange) as there:
            request = {"method": "GET", **(values or {})}
            request["uri"] = there.url + request.get("uri", "/")
            calls = HttpCalls()
            done = await calls(view_of({"http_request": request}, **step))
            await calls.close()
            return done, there

    return asyncio.run(main())


def response_of(exchange: Exchange | bytes, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """The response of a task that must succeed."""
    done, _ = call(exchange, values)
    assert TaskStatus.COMPLETED is done.status, done.reason
    response: dict[str, Any] = done.output["response"]
    return response


def test_a_request_with_a_body() -> None:
    """JSON goes out as JSON, headers as text and without nulls; the answer is parsed."""
    done, there = call(
        answer(b'{"a": [1, 2.5, null]}', X_Two="1", x_two="2"),
        {
            "method": "post",
            "body": {"a": 1},
            "headers": {"X-Number": 7, "X-Flag": True, "X-Null": None, "X-Map": {"k": "v"}},
        },
    )
    (asked,) = there.asked

    assert TaskStatus.COMPLETED is done.status
    assert ("POST", b'{"a":1}') == (asked.method, asked.body)
    assert ["7", "true", None, "{k=v}"] == [
        asked.header(name) for name in ("X-Number", "X-Flag", "X-Null", "X-Map")
    ]
    assert "application/json" == asked.header("Content-Type") == asked.header("Accept")
    assert {
        "statusCode": 200,
        "reasonPhrase": "OK",
        "body": {"a": [1, 2.5, None]},
        "headers": {"Content-Length": ["21"], "Connection": ["close"], "X-Two": ["1", "2"]},
    } == done.output["response"]


def test_fields_at_the_top_level() -> None:
    """``http_request`` may be left out; what else stands there is no concern of the request."""

    async def main() -> None:
        async with far_end(answer(b"{}")) as there:
            calls = HttpCalls()
            values = {"uri": f"{there.url}/a", "method": "PUT", "other": 1}
            done = await calls(view_of(values))
            await calls.close()

            assert TaskStatus.COMPLETED is done.status
            assert ["/a"] == [one.target for one in there.asked]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b"5", 5.0),
        (b"-1.5e3", -1500.0),
        (b"true", "true"),
        (b" null ", "null"),
        (b'"hi"', "hi"),
        (b"hello", "hello"),
        (b"[1, 2]", [1, 2]),
        (b"", None),
        (b'{"a": ', '{"a": '),
        (b"\xef\xbb\xbf{}", {}),
        (b"1" * 400, "1" * 400),
        (b"[" * 5000 + b"]" * 5000, "[" * 5000 + "]" * 5000),
        (b"[" * 300 + b"]" * 300, "[" * 300 + "]" * 300),
        (b'"\\ud800"', '"\\ud800"'),
    ],
)
def test_bodies(body: bytes, seen: Any) -> None:
    """Objects and lists are parsed, numbers doubles, other scalars text; no JSON is text."""
    found = response_of(answer(body))["body"]

    assert seen == found
    assert type(seen) is type(found)


@pytest.mark.parametrize(
    ("kind", "body", "seen"),
    [
        ("text/plain", b"caf\xe9", "café"),
        ("text/plain; charset=iso-8859-1", b"caf\xe9", "café"),
        ('text/plain; charset="utf-16"', "é".encode("utf-16"), "é"),
        ("text/plain; charset=klingon", "é".encode(), "é"),
        ("text/plain; charset=base64", b"aGk=", "aGk="),
        ("application/json; charset=utf-8", b'{"a": "\xff"}', {"a": "\ufffd"}),
    ],
)
def test_charsets(kind: str, body: bytes, seen: Any) -> None:
    """The named charset counts; without one it is UTF-8, and what is not even that is Latin-1."""
    assert seen == response_of(answer(body, Content_Type=kind))["body"]


def test_chunks_and_gzip() -> None:
    """However a body is framed or packed, its content is what counts."""

    async def chunked(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b'{"a"', b": 1}"):
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    packed = gzip.compress(b'{"a": 1}')

    assert {"a": 1} == response_of(chunked)["body"]
    assert {"a": 1} == response_of(answer(packed, Content_Encoding="gzip"))["body"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (answer(b"x" * 200, Content_Encoding="gzip"), "not compressed as it says"),
        (answer(gzip.compress(b"abc")[:-4], Content_Encoding="gzip"), "cut short"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "peer closed connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\nand so on\r\n\r\n", "illegal status line"),
        (b"", "without sending a response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "illegal chunk header"),
    ],
)
def test_broken_answers(content: bytes, reason: str) -> None:
    """They fail the attempt, which its definition may have tried again."""
    done, _ = call(content)

    assert TaskStatus.FAILED is done.status
    assert reason in (done.reason or "")
    assert (done.reason or "").startswith("Failed to invoke HTTP task due to: java.lang.Exception:")


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_is_too_large(packed: bool) -> None:
    """It is not read to its end, and a packet that unfolds to gigabytes never does."""
    body = b"x" * (ANSWER_LIMIT_BYTES + 1)
    content = (
        answer(gzip.compress(body, compresslevel=1), Content_Encoding="gzip")
        if packed
        else answer(body)
    )
    done, _ = call(content)

    assert TaskStatus.FAILED_WITH_TERMINAL_ERROR is done.status
    assert f"larger than {ANSWER_LIMIT_BYTES} bytes" in (done.reason or "")


def test_other_statuses_fail() -> None:
    """The reason shows status and body in Conductor's words; the output holds no structure."""
    done, there = call(answer(b'no "such"\nthing', "404 Gone Fishing"), {"uri": "/a?secret=1"})
    cause = (
        f'java.lang.Exception: 404 Not Found on GET request for "{there.url}/a": '
        '"no "such"<EOL>thing"'
    )

    assert TaskStatus.FAILED is done.status
    assert f"Failed to invoke HTTP task due to: {cause}" == done.reason
    assert {"response": cause} == done.output


def test_a_failure_without_a_body_says_so() -> None:
    """A phrase that no standard knows is the server's own."""
    done, _ = call(answer(status="599 Odd"))

    assert "599 Odd on GET request" in (done.reason or "")
    assert (done.reason or "").endswith(": [no body]")


@pytest.mark.parametrize(
    ("accepted", "status", "succeeds"),
    [
        (["404"], "404 Not Found", True),
        ([404], "404 Not Found", True),
        (["4XX"], "418 Teapot", True),
        ("4xx", "400 Bad Request", True),
        (["4xx"], "200 OK", False),
        (["2xx", "404"], "201 Created", True),
        ([], "204 No Content", True),
        (["302"], "302 Found", True),
    ],
)
def test_accepted_statuses(accepted: Any, status: str, succeeds: bool) -> None:
    """When they are named, they alone are successes, a redirect among them."""
    done, there = call(
        answer(b"", status, Location="/elsewhere"), {"acceptedStatusCodes": accepted}
    )

    assert succeeds is (done.status is TaskStatus.COMPLETED), done.reason
    assert 1 == len(there.asked)
    if succeeds:
        assert int(status[:3]) == done.output["response"]["statusCode"]


@pytest.mark.parametrize(
    ("status", "method"), [("301 Moved", "GET"), ("303 See", "GET"), ("307 Temporary", "POST")]
)
def test_redirects_are_followed(status: str, method: str) -> None:
    """As clients do: 307 repeats the request, the older ones ask for the new place."""

    async def exchange(asked: Asked, writer: asyncio.StreamWriter) -> None:
        there = asked.target == "/there"
        writer.write(answer(b'"here"') if there else answer(b"", status, Location="/there"))

    done, far = call(exchange, {"method": "POST", "uri": "/here", "body": {"a": 1}})

    assert "here" == done.output["response"]["body"]
    assert [("POST", "/here"), (method, "/there")] == [(a.method, a.target) for a in far.asked]


def test_redirects_in_a_circle() -> None:
    """They come to an end, and the body of a redirect is not read."""
    done, there = call(answer(b"x" * 100_000, "302 Found", Location="/"))

    assert TaskStatus.FAILED is done.status
    assert "redirects more than 20 times" in (done.reason or "")
    assert 21 == len(there.asked)


def test_cookies_of_one_answer_go_to_nobody() -> None:
    """A workflow's session is not the next one's."""

    async def main() -> None:
        async with far_end(answer(b"", Set_Cookie="session=1; Path=/")) as there:
            calls = HttpCalls()
            for _ in range(2):
                await calls(view_of({"uri": there.url, "method": "GET"}))
            await calls.close()

            assert [None, None] == [asked.header("Cookie") for asked in there.asked]

    asyncio.run(main())


def _never() -> Exchange:
    async def exchange(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await asyncio.Event().wait()

    return exchange


def test_a_silent_server() -> None:
    """Silence beyond the read time-out fails the attempt, also in the midst of a body."""
    done, there = call(_never(), {"readTimeOut": "50"})

    assert TaskStatus.FAILED is done.status
    assert f'I/O error on GET request for "{there.url}/": Read timed out' in (done.reason or "")


def test_nobody_listens() -> None:
    """A refused connection fails the attempt."""

    async def main() -> Answer:
        calls = HttpCalls()
        return await calls(view_of({"uri": "http://127.0.0.1:1/a?b", "method": "GET"}))

    done = asyncio.run(main())

    assert TaskStatus.FAILED is done.status
    assert 'I/O error on GET request for "http://127.0.0.1:1/a": ' in (done.reason or "")


def test_a_name_that_nobody_knows() -> None:
    """It fails like a connection that is refused."""

    async def main() -> Answer:
        calls = HttpCalls()
        return await calls(view_of({"uri": "http://a..b/", "method": "GET"}))

    done = asyncio.run(main())

    assert TaskStatus.FAILED is done.status
    assert 'request for "http://a..b/"' in (done.reason or "")


def test_hedging_takes_the_first_success() -> None:
    """Failures before it do not count, and those that are still waited for are cancelled."""
    answered: list[int] = []

    async def exchange(_: Asked, writer: asyncio.StreamWriter) -> None:
        answered.append(len(answered))
        number = answered[-1]
        while len(answered) < 4:
            await asyncio.sleep(0)
        if number == 0:
            writer.write(answer(b"", "500 Broken"))
        elif number == 1:
            writer.write(answer(b'"fast"'))
        else:
            await asyncio.Event().wait()

    async def main() -> None:
        async with far_end(exchange) as there:
            calls = HttpCalls()
            values = {"uri": there.url, "method": "GET", "hedgingConfig": {"maxAttempts": 4}}
            done = await calls(view_of(values))
            async with asyncio.timeout(25):
                await there.gone.wait()
            await calls.close()

            assert "fast" == done.output["response"]["body"]
            assert 4 == len(there.asked)

    asyncio.run(main())


def test_hedging_fails_when_all_fail() -> None:
    """The last failure is the task's."""
    done, there = call(answer(b"", "503 Busy"), {"hedgingConfig": {"maxAttempts": 3}})

    assert TaskStatus.FAILED is done.status
    assert "503 Service Unavailable" in (done.reason or "")
    assert 3 == len(there.asked)


def test_async_complete_stays_in_progress() -> None:
    """The other side will say when it is done."""
    done, _ = call(answer(b"1"), asyncComplete=True)

    assert TaskStatus.IN_PROGRESS is done.status
    assert 1.0 == done.output["response"]["body"]


def test_a_step_that_the_task_brought_along() -> None:
    """A dynamic task's own step says whether it completes by itself."""
    view = view_of({}, asyncComplete=False)
    step = msgspec.json.encode({"type": "HTTP", "asyncComplete": True})

    async def main() -> Answer:
        async with far_end(answer(b"1")) as there:
            values = msgspec.json.encode({"uri": there.url, "method": "GET"})
            task = msgspec.structs.replace(view.task, step=step, input=values)
            return await HttpCalls()(TaskView(view.workflow, view.pinned, task))

    assert TaskStatus.IN_PROGRESS is asyncio.run(main()).status


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            {},
            "Missing HTTP URI.  See documentation for HttpTask for required input parameters",
        ),
        ({"http_request": None}, "Missing HTTP URI."),
        ({"http_request": "GET http://x"}, "Missing HTTP URI."),
        ({"uri": "http://x", "method": ""}, "No HTTP method specified"),
        ({"uri": "http://x", "method": "BREW"}, "BREW is none of"),
        ({"uri": "file:///etc/passwd", "method": "GET"}, "must begin with http"),
    ],
)
def test_requests_that_cannot_be_made(values: dict[str, Any], reason: str) -> None:
    """They fail as in Conductor, and say why."""
    done = asyncio.run(HttpCalls()(view_of(values)))

    assert TaskStatus.FAILED is done.status
    assert reason in (done.reason or "")


async def _with_workers(
    folder: Path, engine: Engine, calls: HttpCalls, group: asyncio.TaskGroup
) -> asyncio.Task[None]:
    evidence = EvidenceStore(folder / "evidence", 1_000_000, 3_600)
    workers = Workers(engine, evidence, lambda name: name)
    workers.add_system_task("HTTP", calls)
    return group.create_task(workers.run())


def test_terminating_the_workflow_ends_the_request(tmp_path: Path) -> None:
    """The connection is closed; nobody waits for the answer any more."""

    async def main() -> None:
        async with (
            far_end(_never()) as there,
            engine_at(tmp_path / "baton.db") as engine,
            asyncio.TaskGroup() as group,
        ):
            loop = await _with_workers(tmp_path, engine, HttpCalls(), group)
            values = {"uri": there.url, "method": "GET", "readTimeOut": 60_000}
            step = {"name": "h", "taskReferenceName": "h", "type": "HTTP"}
            await define(engine, "w", {**step, "inputParameters": values})
            workflow_id = await start(engine, "w")
            async with asyncio.timeout(25):
                while not there.asked:
                    await asyncio.sleep(0)
                await engine.terminate(workflow_id, "enough")
                await there.gone.wait()
            loop.cancel()

    asyncio.run(main())


def test_a_failure_is_tried_again_by_its_definition(tmp_path: Path) -> None:
    """A server that is well at last completes the workflow; without a definition, one try is it."""

    async def main() -> None:
        tries: list[str] = []

        async def exchange(asked: Asked, writer: asyncio.StreamWriter) -> None:
            tries.append(asked.target)
            writer.write(answer(b"{}", "200 OK" if len(tries) == 3 else "503 Busy"))

        async with far_end(exchange) as there, engine_at(tmp_path / "baton.db") as engine:
            async with asyncio.TaskGroup() as group:
                loop = await _with_workers(tmp_path, engine, HttpCalls(), group)
                await define_task(engine, "patient", retryCount=2, retryDelaySeconds=0)
                for name in ("patient", "hasty"):
                    values = {"uri": f"{there.url}/{name}", "method": "GET"}
                    step = {"name": name, "taskReferenceName": "h", "type": "HTTP"}
                    await define(engine, name, {**step, "inputParameters": values})
                patient = await ended(engine, await start(engine, "patient"))
                hasty = await ended(engine, await start(engine, "hasty"))
                loop.cancel()

            assert (WorkflowStatus.COMPLETED, WorkflowStatus.FAILED) == (patient, hasty)
            assert ["/patient"] * 3 + ["/hasty"] == tries

    asyncio.run(main())
