"""The control plane's HTTP application: the fleet API, the stream of changes, and the dashboard.

No SQL and no MQTT stands here; everything shown is asked of the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from sync.control_plane.answers import Rim, file_answer, json_answer, refuse
from sync.control_plane.dashboard import DASHBOARD_FOLDER
from sync.control_plane.ledger import DEFAULT_TENANT, Ledger
from sync.control_plane.stream import Streams
from sync.control_plane.views import ExecutionView
from sync.control_plane.wire import (
    Recent,
    device_json,
    execution_json,
    metrics_text,
    page_json,
    summary_json,
)
from sync.web.pages import Pages

STATUSES = frozenset({"RUNNING", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED", "PAUSED"})
FAILURES = frozenset({"FAILED", "TIMED_OUT"})
DAY_MS = 24 * 3600 * 1000
HOUR_MS = 3600 * 1000

_PAGE_LIMIT = 500
_TEXT_LIMIT = 200
"""Characters of any filter; nothing anyone types is longer."""

_RECENT_PAGES = 10
"""Counting a day stops after so many pages of 500 and says that it did."""

_FRESH_MS = 1_000
"""Figures are counted at most once a second, however many pages are open."""

T = TypeVar("T")


class Kept(Generic[T]):
    """A figure that is costly to count, kept for a second."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._at_ms: int | None = None
        self._value: T | None = None

    def fresh(self) -> T | None:
        """The figure, or None when it must be counted again."""
        if self._at_ms is None or abs(self._now_ms() - self._at_ms) >= _FRESH_MS:
            return None
        return self._value

    def keep(self, value: T) -> T:
        """Remember a figure just counted."""
        self._at_ms, self._value = self._now_ms(), value
        return value


class FleetApi:
    """The endpoints under ``/api/v1``: each decodes, asks the ledger, encodes."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        now_ms: Callable[[], int],
        tenant: str,
        broker_connected: Callable[[], bool] | None,
    ) -> None:
        self.streams = Streams(ledger, tenant)
        self._ledger = ledger
        self._now_ms = now_ms
        self._tenant = tenant
        self._broker_connected = broker_connected
        self._recent: Kept[dict[str, Recent]] = Kept(now_ms)
        self._summary: Kept[dict[str, Any]] = Kept(now_ms)

    async def devices(self, _: Request) -> Response:
        """Every device with its state and what it did in the last day."""
        found = await self._ledger.devices(tenant=self._tenant)
        recent = await self._recent_by_device()
        none = Recent()
        return json_answer(
            {"devices": [device_json(view, recent.get(view.device, none)) for view in found]}
        )

    async def device(self, request: Request) -> Response:
        """One device."""
        name = request.path_params["device"]
        view = await self._ledger.device(name, tenant=self._tenant)
        if view is None:
            raise HTTPException(404, f"no device {name[:100]} has been heard of")
        recent = await self._recent_by_device()
        return json_answer(device_json(view, recent.get(name, Recent())))

    async def executions(self, request: Request) -> Response:
        """A page of executions, newest first."""
        status = _text(request, "status")
        if status is not None and status not in STATUSES:
            raise HTTPException(400, f"status must be one of {', '.join(sorted(STATUSES))}")
        page = await self._ledger.executions(
            tenant=self._tenant,
            device=_text(request, "device"),
            status=status,
            name=_text(request, "name"),
            text=_text(request, "text"),
            after=_text(request, "after"),
            limit=_limit(request),
        )
        return json_answer(page_json(page))

    async def execution(self, request: Request) -> Response:
        """One execution with its tasks and files."""
        return json_answer(execution_json(await self._find(request)))

    async def evidence(self, request: Request) -> Response:
        """The bytes of one kept file; pictures are shown in place, all else is a download."""
        view = await self._find(request)
        key = request.path_params["key"]
        task_id = _text(request, "taskId")
        files = [
            file
            for file in view.evidence
            if file.key == key and task_id in (None, file.task_id) and file.complete
        ]
        found = None
        if files:
            found = await self._ledger.evidence_content(
                view.row.device,
                view.row.workflow_id,
                files[0].task_id,
                key,
                tenant=self._tenant,
            )
        if found is None:
            raise HTTPException(404, f"evidence {key[:200]} has not arrived completely")
        return file_answer(request, key, found.media_type, found.sha256, found.content)

    async def summary(self, _: Request) -> Response:
        """The fleet in figures."""
        figures = self._summary.fresh()
        if figures is None:
            figures = self._summary.keep(
                summary_json(
                    await self._ledger.summary(),
                    await self._ledger.lag_percentiles(since_ms=self._now_ms() - HOUR_MS),
                    broker_connected=self._broker_connected and self._broker_connected(),
                    streams=self.streams.open,
                )
            )
        return json_answer(figures)

    async def stream(self, request: Request) -> Response:
        """Changes as server-sent events; resumes after ``Last-Event-ID``."""
        if self.streams.full:
            raise HTTPException(503, "too many pages follow live; this one tries again")
        # A browser that opens a new stream by itself cannot set the header, hence the query.
        seen = request.headers.get("last-event-id") or request.query_params.get("lastEventId", "")
        last_seen = int(seen) if re.fullmatch(r"[0-9]{1,18}", seen) else None
        return StreamingResponse(
            self.streams.follow(last_seen),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def health(self, _: Request) -> Response:
        """Up while the ledger answers; a broker that is down is shown and is not an error."""
        await self._ledger.newest_change()
        answer = {"status": "up", "ledger": "up"}
        if self._broker_connected is not None:
            answer["broker"] = "connected" if self._broker_connected() else "disconnected"
        return json_answer(answer)

    async def metrics(self, _: Request) -> Response:
        """The figures for Prometheus."""
        text = metrics_text(
            await self._ledger.summary(),
            await self._ledger.lag_percentiles(since_ms=self._now_ms() - HOUR_MS),
            streams=self.streams.open,
        )
        return Response(text, media_type="text/plain; version=0.0.4")

    async def _find(self, request: Request) -> ExecutionView:
        device = request.path_params["device"]
        workflow_id = request.path_params["workflow_id"]
        view = await self._ledger.execution(device, workflow_id, tenant=self._tenant)
        if view is None:
            raise HTTPException(
                404, f"execution {workflow_id[:100]} of {device[:100]} has not arrived"
            )
        return view

    async def _recent_by_device(self) -> dict[str, Recent]:
        """What each device did in the last day, counted from the newest down, to a limit."""
        kept = self._recent.fresh()
        if kept is not None:
            return kept
        since_ms = self._now_ms() - DAY_MS
        done: dict[str, int] = {}
        failed: dict[str, int] = {}
        after: str | None = None
        reached = False
        for _ in range(_RECENT_PAGES):
            page = await self._ledger.executions(
                tenant=self._tenant, after=after, limit=_PAGE_LIMIT
            )
            for row in page.rows:
                if row.created_ms < since_ms:
                    reached = True
                    break
                done[row.device] = done.get(row.device, 0) + 1
                failed[row.device] = failed.get(row.device, 0) + (row.status in FAILURES)
            after = page.next
            reached = reached or after is None
            if reached:
                break
        return self._recent.keep(
            {
                device: Recent(executions=number, failures=failed[device], partial=not reached)
                for device, number in done.items()
            }
        )


def build_app(
    ledger: Ledger,
    *,
    now_ms: Callable[[], int],
    tenant: str = DEFAULT_TENANT,
    broker_connected: Callable[[], bool] | None = None,
) -> Starlette:
    """The application; the caller keeps the ledger open and closes it after the server.

    ``app.state.streams.close()`` must be called when the server is to stop: open pages hold their
    streams for ever otherwise.

    Args:
        ledger: what is shown.
        now_ms: the wall clock.
        tenant: whose devices are shown.
        broker_connected: whether the control plane hears its broker; None = not known.
    """
    api = FleetApi(ledger, now_ms=now_ms, tenant=tenant, broker_connected=broker_connected)
    one = "/api/v1/executions/{device}/{workflow_id}"
    app = Starlette(
        routes=[
            Route("/api/v1/devices", api.devices),
            Route("/api/v1/devices/{device}", api.device),
            Route("/api/v1/executions", api.executions),
            Route(one, api.execution),
            Route(one + "/evidence/{key:path}", api.evidence),
            Route("/api/v1/summary", api.summary),
            Route("/api/v1/stream", api.stream),
            Route("/health", api.health),
            Route("/metrics", api.metrics),
            Mount("/", app=Pages(DASHBOARD_FOLDER)),
        ],
        exception_handlers={HTTPException: refuse},
    )
    app.state.streams = api.streams
    app.add_middleware(Rim)
    return app


def _text(request: Request, name: str) -> str | None:
    """A filter of the query; empty means that it does not apply."""
    value = request.query_params.get(name, "").strip()
    if len(value) > _TEXT_LIMIT:
        raise HTTPException(400, f"{name} may have at most {_TEXT_LIMIT} characters")
    return value or None


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "50")
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= _PAGE_LIMIT:
        raise HTTPException(400, f"limit must be a number from 1 to {_PAGE_LIMIT}")
    return int(text)
