"""HTTP: one request to another server, its answer as the task's output.

Whether a failure is tried again is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import msgspec

from edge.model.definitions import JsonObject
from edge.model.executions import TaskStatus
from edge.model.requests import Answer, TaskView
from edge.model.snapshot import step_of
from edge.system_tasks.http_answer import (
    AnswerTooLarge,
    HttpFailed,
    Room,
    about,
    header_map,
    phrase_of,
    read_body,
    refusal,
    response,
    text_of,
)
from edge.system_tasks.http_request import BadRequest, HttpRequest, read_request, request_values

_MAX_REDIRECTS = 20
_WHOLE_ANSWER_S = 600.0
"""Beyond the two time-outs of the request: a server that sends a byte now and then is left."""


class HttpCalls:
    """Makes the requests of HTTP tasks; connections are kept and used again."""

    def __init__(self) -> None:
        self._client: Any = None
        # An httpx.AsyncClient. Most devices never make a request, and the library costs them
        # nothing until they do.
        self._opening = asyncio.Lock()
        self._room = Room()

    async def __call__(self, view: TaskView) -> Answer:
        """Make the request that a task's input describes."""
        values: JsonObject = msgspec.json.decode(view.task.input)
        try:
            answer = await self.fetch(read_request(request_values(values)))
        except BadRequest as error:
            return Answer(TaskStatus.FAILED, reason=str(error))
        except HttpFailed as error:
            return failure(view.task.kind, error)
        return Answer(_status_after(view), {"response": answer})

    async def fetch(self, request: HttpRequest) -> JsonObject:
        """The answer to a request, as a task's output shows it.

        Raises:
            HttpFailed: nobody answered, or with a status that is no success.
        """
        if request.attempts == 1:
            return await self._attempt(request)
        failed: HttpFailed | None = None
        async with asyncio.TaskGroup() as group:
            waiting = {group.create_task(self._outcome(request)) for _ in range(request.attempts)}
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    outcome = one.result()
                    if not isinstance(outcome, HttpFailed):
                        for other in waiting:
                            other.cancel()
                        return outcome
                    failed = outcome
        assert failed is not None, "each attempt comes to something"
        raise failed

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _outcome(self, request: HttpRequest) -> JsonObject | HttpFailed:
        """One of several attempts: its failure must not end the others."""
        try:
            return await self._attempt(request)
        except HttpFailed as error:
            return error

    async def _attempt(self, request: HttpRequest) -> JsonObject:
        limit_s = request.connect_timeout_s + request.read_timeout_s + _WHOLE_ANSWER_S
        try:
            async with asyncio.timeout(limit_s):
                return await self._exchange(request)
        except HttpFailed:
            raise
        except Exception as error:
            spoken = about(request.method, request.shown_uri)
            raise HttpFailed(f"I/O error on {spoken}: {_why(error)}") from error

    async def _exchange(self, request: HttpRequest) -> JsonObject:
        """Send, follow redirects, read; the body of a redirect is never read."""
        client = await self._opened()
        message = client.build_request(
            request.method,
            request.uri,
            headers=list(request.headers),
            content=request.content,
            timeout=_timeouts(request),
        )
        for _ in range(_MAX_REDIRECTS + 1):
            answer = await client.send(message, stream=True)
            try:
                message = answer.next_request
                if message is None or request.accepts(answer.status_code):
                    return await self._read(request, answer)
            finally:
                await answer.aclose()
        raise HttpFailed(f"{request.shown_uri} redirects more than {_MAX_REDIRECTS} times")

    async def _read(self, request: HttpRequest, answer: Any) -> JsonObject:
        encoding = answer.headers.get("content-encoding", "")
        content = await read_body(answer.aiter_raw(), encoding, self._room)
        kind = answer.headers.get("content-type", "")
        status = answer.status_code
        phrase = phrase_of(status, answer.reason_phrase)
        if not request.accepts(status):
            spoken = about(request.method, request.shown_uri)
            raise HttpFailed(refusal(status, phrase, spoken, text_of(content, kind)))
        return response(status, phrase, header_map(answer.headers.raw), content, kind)

    async def _opened(self) -> Any:
        """The client; made on a thread, because its library and certificates take a while."""
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(new_client)
            return self._client


def failure(kind: str, error: HttpFailed) -> Answer:
    """A failed request as the end of a task, in Conductor's words."""
    cause = f"java.lang.Exception: {error}"
    for_good = isinstance(error, AnswerTooLarge)
    return Answer(
        TaskStatus.FAILED_WITH_TERMINAL_ERROR if for_good else TaskStatus.FAILED,
        {"response": cause},
        reason=f"Failed to invoke {kind} task due to: {cause}",
    )


def new_client() -> Any:
    """An ``httpx.AsyncClient``, as all that talk to a site's servers use; it takes a while."""
    import http.cookiejar

    import certifi
    import httpx

    # The machine's own certificates, among which a site's may be, and the public ones for a
    # machine that brings none.
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(certifi.where())
    # Nobody's cookies are sent along with the next workflow's request.
    no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    return httpx.AsyncClient(
        verify=trusted,
        cookies=no_cookies,
        follow_redirects=False,
        headers={"Accept-Encoding": "gzip", "User-Agent": "baton"},
        # As in Conductor: no proxy and no password file of the daemon's surroundings is used.
        trust_env=False,
    )


def _timeouts(request: HttpRequest) -> Any:
    import httpx

    return httpx.Timeout(
        request.read_timeout_s, connect=request.connect_timeout_s, pool=_WHOLE_ANSWER_S
    )


def _why(error: Exception) -> str:
    """What went wrong on the way, in a few words."""
    match type(error).__name__:
        case "ConnectTimeout":
            return "Connect timed out"
        case "ReadTimeout":
            return "Read timed out"
        case "TimeoutError":
            return "the answer does not come to an end"
        case name:
            return str(error) or name


def _status_after(view: TaskView) -> TaskStatus:
    step = step_of(view.task) or view.pinned.step(view.task)
    waits = step is not None and step.async_complete
    return TaskStatus.IN_PROGRESS if waits else TaskStatus.COMPLETED
