"""A request is answered alike by both ways: in the server's protocol, and through ASGI.

Two servers stand before one device; one of them knows the heads of the busiest requests.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from edge.api.app import build_app
from edge.api.guard import Guard
from edge.api.house import House
from edge.model.access import Application
from edge.model.requests import TaskResult
from edge.sockets import HttpServer, listen
from edge.store import access
from edge.tokens import Tokens, hashed
from edge.transactions import Transaction
from tests.unit.edge.engine_house import claim, define, define_task, engine_at, id_of, simple, start

_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_WITHIN_S = 20.0


class Pair:
    """A device with two servers, in a thread of its own.

    Args:
        folder: for its database.
        guarded: whether it asks for tokens.
    """

    def __init__(self, folder: Path, *, guarded: bool) -> None:
        self._folder = folder
        self._guarded = guarded
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(),))
        self.tokens = [""]
        self.task_ids = ["none"]
        self.workflow_ids: list[str | None] = ["w", "", None]

    def __enter__(self) -> Pair:
        self._thread.start()
        assert self._ready.wait(_WITHIN_S)
        self.direct = socket.create_connection(self.servers[0][1], _WITHIN_S)
        self.ordinary = socket.create_connection(self.servers[1][1], _WITHIN_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.direct.close()
        self.ordinary.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with engine_at(self._folder / "baton.db") as engine:
            house = House(engine)
            await define_task(engine, "work")
            await define(engine, "flow", simple("other"))
            await define(engine, "finished", simple("work"))
            self.workflow_ids.append(await start(engine, "finished"))
            view = await claim(engine, "work")
            await engine.update(TaskResult("", id_of(view), view.task.status.COMPLETED))
            self.task_ids.append(id_of(view))
            if self._guarded:
                await self._guard(house)
            app = build_app(house)

            async def ordinary(scope: Scope, receive: Receive, send: Send) -> None:
                await app(scope, receive, send)

            listeners = [listen("127.0.0.1", 0) for _ in range(2)]
            one, other = HttpServer(app, listeners[0]), HttpServer(ordinary, listeners[1])
            self.servers = [
                (server, listener.getsockname())
                for server, listener in zip((one, other), listeners, strict=True)
            ]
            async with asyncio.TaskGroup() as group:
                for server in (one, other):
                    group.create_task(server.run_until_stopped())
                    await server.ready.wait()
                self._ready.set()
                await self._stop.wait()
                for server in (one, other):
                    server.stop()

    async def _guard(self, house: House) -> None:
        """Three keys: of somebody who may do all, of a worker, and of nobody."""
        roles = {"all": ["ADMIN"], "worker": ["WORKER"], "bare": []}
        salt, digest = hashed("secret")

        def put(transaction: Transaction) -> None:
            for name, allowed in roles.items():
                connection = transaction.connection
                access.put_application(connection, Application(name, name))
                access.put_application_roles(connection, name, allowed)
                access.put_key(connection, name, name, salt=salt, digest=digest, now_ms=0)

        await house.engine.request(put)
        signer = Tokens(self._folder / "token.key")
        house.guard = Guard(house.engine, signer, ttl_s=3_600)
        for name in roles:
            claims = house.guard._sign(name, name, "api", 3_600)
            self.tokens.append(claims)
        self.tokens += [house.guard._sign("all", "all", "view", 3_600), "not a token"]

    @property
    def answered(self) -> int:
        """Requests that were answered directly."""
        heads = self.servers[0][0].heads
        assert heads is not None
        return heads.answered


@pytest.fixture(scope="module", params=[False, True], ids=["open", "guarded"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """A device that asks nobody for a token, and one that does."""
    with Pair(tmp_path_factory.mktemp("pair"), guarded=request.param) as found:
        yield found


def exchange(connection: socket.socket, request: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Status line, header lines but for the date, and body of the answer, ids masked."""
    connection.sendall(request)
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65_536)
    head, _, body = got.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    lines = [line for line in lines if not line.startswith(b"date:")]
    for line in lines:
        if line.startswith(b"content-length:"):
            while len(body) < int(line[15:]):
                body += connection.recv(65_536)
    return status, lines, _ID.sub(b"<id>", body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)

_START: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["flow", "unknown", "", None, 5]),
        "version": st.sampled_from([1, 0, 2, "1", -1, 2**40, None]),
        "input": _JSON,
        "priority": st.sampled_from([0, 99, 100, -1, "7", None]),
        "correlationId": st.none() | st.text(max_size=5),
        "taskToDomain": _JSON,
        "workflowDef": st.sampled_from([None, {}, {"tasks": []}, 7]),
        "idempotencyStrategy": st.sampled_from([None, "FAIL", "SOMETIMES"]),
        "unknownField": _JSON,
    },
)

_STATUSES = ["COMPLETED", "FAILED", "SCHEDULED", "", None, 1]


def _results(pair: Pair) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"workflowInstanceId": st.sampled_from(pair.workflow_ids)},
        optional={
            "taskId": st.sampled_from([*pair.task_ids, "", 5, "0" * 36]),
            "status": st.sampled_from(_STATUSES),
            "outputData": _JSON,
            "callbackAfterSeconds": st.sampled_from([0, -1, 2**40, "3", 1.5]),
            "reasonForIncompletion": st.none() | st.text(max_size=600),
            "workerId": _JSON,
            "logs": st.lists(_JSON, max_size=2) | st.just([{"log": "a", "createdTime": -1}]),
            "extendLease": st.sampled_from([False, None, 3, "yes"]),
        },
    )


_QUERY = st.lists(
    st.tuples(
        st.sampled_from(
            ["timeout", "count", "workerid", "domain", "priority", "version", "correlationId"]
        ),
        st.sampled_from(["", "0", "1", "-1", "5001", "a", "%20", "%ff", "1,2", "9" * 30]),
    ),
    max_size=4,
)


@st.composite
def requests(draw: st.DrawFn, pair: Pair) -> tuple[bytes, bytes]:
    """The head of a request but for its length, and its body."""
    method, path, bodies = draw(
        st.sampled_from(
            [
                ("POST", "/api/workflow", _START),
                ("POST", "/api/workflow/flow", _JSON),
                ("POST", "/api/workflow/not%2Fthere", _JSON),
                ("POST", "/api/workflow/execute/unknown/1", _START),
                ("POST", "/api/workflow/execute/unknown", _JSON),
                ("POST", "/api/workflow/execute/flow/x", _START),
                ("POST", "/api/tasks", _results(pair)),
                ("POST", "/api/tasks/update-v2", _results(pair)),
                ("GET", "/api/tasks/poll/batch/nothing%20here", st.none()),
            ]
        )
    )
    query = draw(_QUERY)
    if method == "GET":
        query.append(("timeout", "0"))
    text = "&".join(f"{name}={value}" for name, value in query)
    lines = [f"{method} {path}{'?' if text else ''}{text} HTTP/1.1", "Host: device"]
    lines += draw(
        st.lists(
            st.sampled_from(
                [
                    "Accept: */*",
                    "Content-Type: text/plain",
                    "Connection: keep-alive",
                    "Cookie: a=b; baton-view=x",
                    "X-on-conflict: FAIL",
                    "X-Empty:",
                    "x-spaces:   a b  ",
                    "Origin: http://device",
                ]
            ),
            max_size=3,
            unique=True,
        )
    )
    token = draw(st.sampled_from(pair.tokens))
    if token:
        lines.append(f"X-Authorization: {token}")
    head = "".join(f"{line}\r\n" for line in lines).encode()
    if method == "GET":
        return head, b""
    made = st.builds(msgspec.json.encode, bodies)
    return head, draw(st.one_of(made, made, made, st.binary(max_size=20)))


def _with(head: bytes, body: bytes) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_both_ways_answer_alike(pair: Pair, data: st.DataObject) -> None:
    """Status, headers and body, for everything that can be in a request of the hot routes."""
    head, body = data.draw(requests(pair))
    # The first request with a head goes the ordinary way; this one changes nothing.
    exchange(pair.direct, _with(head, b"[" if b"POST" in head else b""))
    answered = pair.answered

    direct = exchange(pair.direct, _with(head, body))
    ordinary = exchange(pair.ordinary, _with(head, body))

    assert ordinary == direct
    # A query that cannot be read is the one thing here that no head is known with.
    assert pair.answered == answered + 1
