"""Endpoints for executions across the fleet: search, one of them, its files, two side by side.

No SQL stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from sync.control_plane import execution_search
from sync.control_plane.access import Area
from sync.control_plane.answers import file_answer, json_answer
from sync.control_plane.calls import QUERY_LIMIT, Call, Operation
from sync.control_plane.comparison import Comparison, compare
from sync.control_plane.execution_search import FIELDS, STATUSES, SearchPage
from sync.control_plane.ledger import Ledger
from sync.control_plane.search_terms import Op, QueryError, Term, parse
from sync.control_plane.views import ExecutionView, TaskView
from sync.control_plane.wire import execution_json, row_json

_PLAIN = {"device": "device", "status": "status", "name": "workflow", "group": "group"}
"""Parameters of the query that stand for a term; what pages have always sent."""


class ExecutionApi:
    """Executions: each endpoint decodes, asks the ledger, encodes."""

    def __init__(self, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self._ledger = ledger
        self._now_ms = now_ms

    def operations(self) -> list[Operation]:
        """The lines of the route table."""
        area, one = Area.EXECUTIONS, "/api/v1/executions/{device}/{workflow_id}"
        query = ("q", "device", "status", "name", "group", "text", "after", "limit", "tenant")
        two = ("left", "right", "tenant")
        return [
            Operation("GET", "/api/v1/executions", self.executions, area, query=query),
            Operation("GET", "/api/v1/comparison", self.comparison, area, query=two,
                      answer=Comparison),
            Operation("GET", one, self.execution, area),
            Operation("GET", one + "/timeline", self.timeline, area),
            Operation("GET", one + "/evidence/{key:path}", self.evidence, area, query=("taskId",)),
        ]  # fmt: skip

    async def executions(self, call: Call) -> Response:
        """A page of the executions that a query finds, newest first.

        A page that found little may end before all was looked at: ``next`` leads on, and
        ``lookedTo`` says how far it has come.
        """
        now_ms, tenant = self._now_ms(), call.tenant
        try:
            terms = parse(call.text("q", longest=QUERY_LIMIT) or "", FIELDS, now_ms=now_ms)
            terms += self._plain_terms(call)
            after, limit = call.text("after"), call.limit()
            page = await self._ledger.read(
                lambda c: execution_search.search(
                    c, tenant=tenant, terms=terms, now_ms=now_ms, after=after, limit=limit
                )
            )
        except QueryError as error:
            raise HTTPException(400, str(error)) from error
        return json_answer(_page_json(page))

    def _plain_terms(self, call: Call) -> list[Term]:
        terms = []
        for name, field in _PLAIN.items():
            value = call.text(name)
            if value is None:
                continue
            if name == "status" and value not in STATUSES:
                raise HTTPException(400, f"status must be one of {', '.join(sorted(STATUSES))}")
            terms.append(Term(field, Op.EQ, [value], [], negated=False))
        text = call.text("text")
        if text is not None:
            terms.append(Term("", Op.HAS, [text], [], negated=False))
        return terms

    async def execution(self, call: Call) -> Response:
        """One execution with its tasks and files."""
        tenant, device = call.tenant, call.part("device")
        view = await self._find(tenant, device, call.part("workflow_id"))
        correction = await self._ledger.correction(device, tenant=tenant)
        start, row = correction.at(view.row.created_ms), view.row
        corrected = {
            "startTime": start.at_ms,
            "endTime": correction.at(row.ended_ms).at_ms if row.ended_ms else 0,
            "errorMs": start.error_ms,
        }
        return json_answer({**execution_json(view), "corrected": corrected})

    async def timeline(self, call: Call) -> Response:
        """What an execution did when: a bar for each attempt of each step, in milliseconds."""
        view = await self._find(call.tenant, call.part("device"), call.part("workflow_id"))
        return json_answer(timeline_json(view, self._now_ms()))

    async def comparison(self, call: Call) -> Response:
        """Two executions, each named DEVICE/ID, step by step side by side."""
        tenant = call.tenant
        sides = []
        for name in ("left", "right"):
            device, _, workflow_id = (call.text(name) or "").partition("/")
            if not workflow_id:
                raise HTTPException(400, f"{name}: name an execution as DEVICE/ID")
            sides.append(await self._find(tenant, device, workflow_id))
        return json_answer(compare(*sides))

    async def evidence(self, call: Call) -> Response:
        """The bytes of one kept file; pictures are shown in place, all else is a download."""
        tenant = call.tenant
        view = await self._find(tenant, call.part("device"), call.part("workflow_id"))
        key, task_id = call.part("key"), call.text("taskId")
        files = [
            file
            for file in view.evidence
            if file.key == key and task_id in (None, file.task_id) and file.complete
        ]
        found = None
        if files:
            found = await self._ledger.evidence_content(
                view.row.device, view.row.workflow_id, files[0].task_id, key, tenant=tenant
            )
        if found is None:
            raise HTTPException(404, f"evidence {key[:200]} has not arrived completely")
        return file_answer(call.request, key, found.media_type, found.sha256, found.content)

    async def _find(self, tenant: str, device: str, workflow_id: str) -> ExecutionView:
        view = await self._ledger.execution(device, workflow_id, tenant=tenant)
        if view is None:
            raise HTTPException(
                404, f"execution {workflow_id[:100]} of {device[:100]} has not arrived"
            )
        return view


def _page_json(page: SearchPage) -> dict[str, Any]:
    return {
        "executions": [row_json(row) for row in page.rows],
        "next": page.next,
        "lookedTo": page.looked_to_ms,
    }


def timeline_json(view: ExecutionView, now_ms: int) -> dict[str, Any]:
    """The bars of one execution; an open one reaches to now."""
    begin_ms = view.row.created_ms
    return {
        "workflowId": view.row.workflow_id,
        "device": view.row.device,
        "status": view.row.status,
        "begin": begin_ms,
        "end": view.row.ended_ms or max(now_ms, begin_ms),
        "open": not view.row.ended_ms,
        "bars": [_bar(task, now_ms) for task in view.tasks],
    }


def _bar(task: TaskView, now_ms: int) -> dict[str, Any]:
    scheduled = task.scheduled_ms or task.started_ms
    end = task.ended_ms or max(now_ms, task.started_ms, scheduled)
    started = task.started_ms or end
    return {
        "ref": task.ref,
        "type": task.type,
        "taskId": task.task_id,
        "status": task.status,
        "attempt": task.attempt,
        "iteration": task.iteration,
        "worker": task.worker,
        "scheduled": scheduled,
        "started": task.started_ms,
        "ended": task.ended_ms,
        "waited": max(0, started - scheduled),
        "ran": max(0, end - started),
        "open": not task.ended_ms,
        "reason": task.reason,
    }
