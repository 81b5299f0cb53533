"""Endpoints for what is fetched from devices on demand: logs, files, and histories of executions.

No SQL stands here; what may be asked for is said by `sync.orders`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from sync.control_plane import fetches
from sync.control_plane.access import Area, Role
from sync.control_plane.access_routes import note
from sync.control_plane.answers import file_headers, json_answer
from sync.control_plane.calls import Call, Operation
from sync.control_plane.dialect import Connection
from sync.control_plane.fetches import FetchPage, FetchView
from sync.control_plane.ledger import Ledger
from sync.control_plane.order_routes import DEFAULT_EXPIRY_S, ExpiresIn, Id
from sync.control_plane.views import OrderView
from sync.orders import ExecutionBody, FileBody, JournalBody, Kind, TaskLogsBody

_PARTS_AT_ONCE = 16
"""Read in one look: a megabyte."""


class FetchLogs(
    JournalBody, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """Lines of what a device has logged."""

    expires_in_s: ExpiresIn = DEFAULT_EXPIRY_S
    """So long the device may take to come and take it on."""
    id: Id | None = None
    """Its idempotency key: the same again is the same; null makes one."""


class FetchTaskLogs(
    TaskLogsBody, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """What a task's worker has logged."""

    expires_in_s: ExpiresIn = DEFAULT_EXPIRY_S
    id: Id | None = None


class FetchFile(
    FileBody, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """A file, or a payload, that lies on a device."""

    expires_in_s: ExpiresIn = DEFAULT_EXPIRY_S
    id: Id | None = None


class FetchHistory(
    ExecutionBody, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"
):
    """An execution that is to be sent once more; it then shows under executions."""

    expires_in_s: ExpiresIn = DEFAULT_EXPIRY_S
    id: Id | None = None


Asked = FetchLogs | FetchTaskLogs | FetchFile | FetchHistory
_BESIDES = ("expiresInS", "id")
"""What is not part of the order."""


class ShownFetch(msgspec.Struct, frozen=True, rename="camel"):
    """Something that was ordered to be fetched, and how far it has come."""

    id: str
    device: str
    kind: str
    wanted: msgspec.Raw
    state: str
    """``waiting`` (the device has not taken it on), ``looking``, ``arriving``, ``complete``,
    ``incomplete`` (some of it was dropped or removed before it was sent), ``gone`` (the device does
    not have it, or not any more), ``refused`` (it is more than may be sent) or ``failed`` (the order
    was not carried out)."""
    reason: str
    """For people: what it waits for, or why there is no more; empty when nothing is in the way."""
    issued_ms: int
    issued_by: str
    expires_ms: int
    name: str
    media_type: str
    """Empty where the answer is an execution's history."""
    size_bytes: int
    sha256: str
    """Of the whole file."""
    parts: int
    """Chunks of the file, or records of the execution; 0 = not known yet."""
    arrived: int
    arrived_bytes: int
    cut: bool
    """Whether something was left out to keep to maxBytes."""


class FetchList(msgspec.Struct, frozen=True):
    """A page of them, newest first."""

    fetches: list[ShownFetch]
    next: int | None


class FetchApi:
    """What is fetched from devices."""

    def __init__(self, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self._ledger = ledger
        self._now_ms = now_ms

    def operations(self) -> list[Operation]:
        """The lines of the route table."""
        area, operator = Area.LOGS, Role.OPERATOR
        device, one = "/api/v1/devices/{device}", "/api/v1/fetches/{fetch}"
        return [
            Operation("POST", device + "/logs", self.logs, area, operator, body=FetchLogs,
                      answer=ShownFetch),
            Operation("POST", device + "/task-logs", self.task_logs, area, operator,
                      body=FetchTaskLogs, answer=ShownFetch),
            Operation("POST", device + "/files", self.file, area, operator, body=FetchFile,
                      answer=ShownFetch),
            Operation("POST", device + "/histories", self.history, area, operator,
                      body=FetchHistory, answer=ShownFetch),
            Operation("GET", "/api/v1/fetches", self.listed, area,
                      query=("device", "after", "limit", "tenant"), answer=FetchList),
            Operation("GET", one, self.one, area, answer=ShownFetch),
            Operation("GET", one + "/content", self.content, area),
            Operation("DELETE", one, self.remove, area, operator, answer=ShownFetch),
        ]  # fmt: skip

    async def logs(self, call: Call) -> Response:
        """Have a device send lines of its log, by time, level and text, or the last ones."""
        asked = await call.body(FetchLogs)
        if asked.to_ms and asked.from_ms > asked.to_ms:
            raise HTTPException(
                400, f"fromMs: {asked.from_ms} is after toMs, which is {asked.to_ms}"
            )
        return await self._order(call, Kind.FETCH_JOURNAL, asked)

    async def task_logs(self, call: Call) -> Response:
        """Have a device send what the worker of one of its tasks has logged."""
        return await self._order(call, Kind.FETCH_TASK_LOGS, await call.body(FetchTaskLogs))

    async def file(self, call: Call) -> Response:
        """Have a device send a file or a payload that it keeps and has not sent by itself."""
        return await self._order(call, Kind.FETCH_FILE, await call.body(FetchFile))

    async def history(self, call: Call) -> Response:
        """Have a device send an execution once more, as when its history was dropped there."""
        return await self._order(call, Kind.FETCH_EXECUTION, await call.body(FetchHistory))

    async def _order(self, call: Call, kind: Kind, asked: Asked) -> Response:
        now_ms, device = self._now_ms(), call.part("device")
        said = msgspec.to_builtins(asked)
        body = {name: value for name, value in said.items() if name not in _BESIDES}

        def noted(connection: Connection, given: OrderView) -> None:
            detail = {"device": device, "kind": kind.value, "wanted": body}
            note(connection, call, "fetch.order", given.order_id, detail, at_ms=now_ms)

        given = await self._ledger.order(
            device, kind.value, body, expires_ms=now_ms + asked.expires_in_s * 1_000,
            tenant=call.tenant, issued_by=call.caller.name, order_id=asked.id, noted=noted,
        )  # fmt: skip
        found = await self._ledger.read(lambda c: fetches.find(c, given.order_id))
        if found is None:
            raise HTTPException(409, f"id: what was fetched as {given.order_id} has been removed")
        return json_answer(_shown(found), status=201)

    async def listed(self, call: Call) -> Response:
        """What has been ordered to be fetched, newest first."""
        after = call.number("after", default=0, least=1, most=2**53)
        tenant, device, limit = call.tenant, call.text("device"), call.limit()

        def read(connection: Connection) -> FetchPage:
            return fetches.page(
                connection, tenant=tenant, device=device, after=after or None, limit=limit
            )

        page = await self._ledger.read(read)
        return json_answer(FetchList([_shown(one) for one in page.rows], page.next))

    async def one(self, call: Call) -> Response:
        """How far one of them has come."""
        return json_answer(_shown(await self._find(call)))

    async def content(self, call: Call) -> Response:
        """What was fetched, once all of it is here; of an execution look under executions."""
        found = await self._find(call)
        if not found.media_type and found.state == "complete":
            where = f"/api/v1/executions/{found.order.device}/{found.name}"
            raise HTTPException(409, f"it is an execution's history, which shows under {where}")
        if found.state != "complete":
            reason = f": {found.reason}" if found.reason else ""
            raise HTTPException(409, f"it is {found.state}, not complete{reason}")
        headers = file_headers(found.name, found.media_type, found.sha256)
        headers["content-length"] = str(found.size_bytes)
        return StreamingResponse(self._stream(found), headers=headers)

    async def _stream(self, found: FetchView) -> AsyncIterator[bytes]:
        order_id = found.order.order_id
        for first in range(0, found.parts, _PARTS_AT_ONCE):
            count = min(_PARTS_AT_ONCE, found.parts - first)
            chunks = await self._ledger.read(
                lambda c, first=first, count=count: fetches.content(  # type: ignore[misc]
                    c, order_id, first, count
                )
            )
            if len(chunks) < count:
                # The answer has begun: it can only be cut short, which its length tells.
                raise RuntimeError(f"part {first + len(chunks)} of {order_id} cannot be read")
            for chunk in chunks:
                yield chunk

    async def remove(self, call: Call) -> Response:
        """Remove what was fetched, or take back the order; its bytes leave the ledger soon after."""
        found, now_ms = await self._find(call), self._now_ms()
        order_id = found.order.order_id

        def remove(connection: Connection) -> None:
            reason = f"{call.caller.name} has removed it"
            fetches.remove(connection, order_id, now_ms=now_ms, reason=reason)
            note(connection, call, "fetch.remove", order_id, at_ms=now_ms)

        await self._ledger.write(remove)
        return json_answer(_shown(found))

    async def _find(self, call: Call) -> FetchView:
        order_id = call.part("fetch")
        found = await self._ledger.read(lambda c: fetches.find(c, order_id))
        if found is None or found.order.tenant != call.tenant:
            raise HTTPException(404, f"nothing was fetched as {order_id[:100]}, or it was removed")
        return found


def _shown(view: FetchView) -> ShownFetch:
    order = view.order
    return ShownFetch(
        id=order.order_id,
        device=order.device,
        kind=order.kind,
        wanted=msgspec.Raw(order.body),
        state=view.state,
        reason=view.reason,
        issued_ms=order.issued_ms,
        issued_by=order.issued_by,
        expires_ms=order.expires_ms,
        name=view.name,
        media_type=view.media_type,
        size_bytes=view.size_bytes,
        sha256=view.sha256,
        parts=view.parts,
        arrived=view.arrived,
        arrived_bytes=view.arrived_bytes,
        cut=view.cut,
    )
