"""HTTP: one request to another server, its answer as the task's output.

Whether a failure is tried again is decided elsewhere.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import msgspec

from edge.model.definitions import JsonObject
from edge.model.executions import TaskStatus
from edge.model.requests import Answer, TaskView

_DEFAULT_TIMEOUT_MS = 3000
_ANSWER_LIMIT_BYTES = 3 * 1024 * 1024
"""A larger body would not fit a task's output; the task fails and says so."""

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class HttpCalls:
    """Makes the requests of HTTP tasks; connections are kept and used again."""

    def __init__(self) -> None:
        self._client: Any = None
        # An httpx.AsyncClient. Most devices never make a request, and the library costs them
        # nothing until they do.

    async def __call__(self, view: TaskView) -> Answer:
        """Make the request that a task's input describes."""
        values: JsonObject = msgspec.json.decode(view.task.input)
        request = values.get("http_request", values)
        problem = _problem(request)
        if problem is not None:
            return Answer(TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason=problem)
        try:
            return await self._send(view, request)
        except Exception as error:  # noqa: BLE001 - a rim: whatever a server does is an answer
            return _failure(f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _send(self, view: TaskView, request: JsonObject) -> Answer:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=True)
        timeout = httpx.Timeout(
            _milliseconds(request, "readTimeOut"),
            connect=_milliseconds(request, "connectionTimeOut"),
        )
        async with self._client.stream(
            str(request["method"]).upper(),
            str(request["uri"]),
            headers=_headers(request),
            content=_body(request),
            timeout=timeout,
        ) as response:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > _ANSWER_LIMIT_BYTES:
                    return _failure(f"the answer is larger than {_ANSWER_LIMIT_BYTES} bytes")
        if not response.is_success:
            text = bytes(content).decode(errors="replace")
            return _failure(f"{response.status_code} {response.reason_phrase}: {text}")
        return Answer(_status_after(view), {"response": _response(response, bytes(content))})


def _status_after(view: TaskView) -> TaskStatus:
    place = view.pinned.outline.place(view.task.ref.split("__", 1)[0])
    waits = place is not None and place.step.async_complete
    return TaskStatus.IN_PROGRESS if waits else TaskStatus.COMPLETED


def _problem(request: Any) -> str | None:
    if not isinstance(request, dict) or not request.get("uri"):
        return "Missing HTTP URI.  See documentation for HttpTask for required input parameters"
    if not request.get("method"):
        return "No HTTP method specified"
    if str(request["method"]).upper() not in _METHODS:
        return f"HTTP method {request['method']} is none of {', '.join(sorted(_METHODS))}"
    if not str(request["uri"]).startswith(("http://", "https://")):
        return f"uri must begin with http:// or https://, not {str(request['uri'])[:80]}"
    return None


def _failure(text: str) -> Answer:
    cause = f"java.lang.Exception: {text}"
    return Answer(
        TaskStatus.FAILED,
        {"response": cause},
        reason=f"Failed to invoke HTTP task due to: {cause}",
    )


def _milliseconds(request: JsonObject, field: str) -> float:
    value = request.get(field)
    known = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return (float(value) if known and value is not None else _DEFAULT_TIMEOUT_MS) / 1000


def _headers(request: JsonObject) -> dict[str, str]:
    accept = request.get("accept") or "application/json"
    headers = {
        "Accept": ", ".join(map(str, accept)) if isinstance(accept, list) else str(accept),
    }
    if request.get("body") is not None:
        headers["Content-Type"] = str(request.get("contentType") or "application/json")
    posted = request.get("headers")
    for name, value in posted.items() if isinstance(posted, dict) else ():
        if value is not None:
            headers[str(name)] = str(value)
    return headers


def _body(request: JsonObject) -> bytes | None:
    body = request.get("body")
    if body is None:
        return None
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


def _response(response: Any, content: bytes) -> JsonObject:
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.multi_items():
        headers.setdefault(name, []).append(value)
    try:
        phrase = response.reason_phrase or HTTPStatus(response.status_code).phrase
    except ValueError:
        phrase = ""
    return {
        "body": _parsed(content),
        "headers": headers,
        "statusCode": response.status_code,
        "reasonPhrase": phrase,
    }


def _parsed(content: bytes) -> Any:
    """Objects and lists as such, numbers as doubles, all else as text."""
    if not content:
        return None
    text = content.decode(errors="replace")
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict | list):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return value if isinstance(value, str) else text
