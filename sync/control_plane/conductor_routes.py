"""A device's Conductor API through the control plane: reads from the projection, the rest by orders.

A stock Conductor client is pointed at ``/api/devices/{device}/conductor/api`` and finds the routes
that it reads, starts and steers workflows with. No SQL stands here.

What changes something is an order. It is waited for a little; when the device is not there the answer
is 202 (for a start the order's id stands for the execution until it has one of its own), because the
order is kept and will be carried out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from sync import orders as wire
from sync.control_plane import execution_search, wanted
from sync.control_plane.access import Area, Role
from sync.control_plane.answers import json_answer
from sync.control_plane.calls import Call, Operation
from sync.control_plane.dialect import Connection
from sync.control_plane.execution_search import FIELDS
from sync.control_plane.guard import Guard
from sync.control_plane.ledger import Ledger
from sync.control_plane.order_routes import OrderApi
from sync.control_plane.search_terms import Op, QueryError, Sort, Term
from sync.control_plane.views import ExecutionRow, ExecutionView, OrderView
from sync.control_plane.wire import execution_json
from sync.orders import Kind, State

BASE = "/api/devices/{device}/conductor/api"

WAIT_S = 5.0
"""For what an order comes to. A device that is there takes some milliseconds."""
_SEARCH_LIMIT = 100
_DEFINITIONS_LIMIT = 500
_REGISTERED_AT_ONCE = 100
_OPEN_STATUSES = ("RUNNING", "PAUSED")

_CONDITION = re.compile(
    r"\s*(\w+)\s*(?:(=|:|<=|>=|<|>)\s*('(?:[^']*)'|\"(?:[^\"]*)\"|[^\s()]+)"
    r"|\s+IN\s*\(([^)]*)\))\s*(AND\b|$)",
    re.IGNORECASE,
)
_LISTED = re.compile(r"\s*('[^']*'|\"[^\"]*\"|[^,\s][^,]*?)\s*(?:,|$)")
_SEARCHED = {
    "workflowtype": "workflow", "workflowname": "workflow", "status": "status",
    "workflowid": "id", "correlationid": "correlation", "version": "version",
    "starttime": "started", "updatetime": "updated", "endtime": "ended",
}  # fmt: skip
"""Conductor's names of what executions are searched by, in small letters, and ours."""


class Credentials(msgspec.Struct, frozen=True, rename="camel"):
    """What Conductor's clients ask for a token with."""

    key_id: str = ""
    """Id of a token."""
    key_secret: str = ""
    """What stands behind the point in the token."""


class StartBody(msgspec.Struct, frozen=True, rename="camel"):
    """A start as Conductor's clients post it; what else they send is left unread."""

    name: str
    version: int | None = None
    input: dict[str, Any] | None = None
    correlation_id: str | None = None
    priority: int | None = None
    task_to_domain: dict[str, str] | None = None
    idempotency_key: str | None = None


class ConductorApi:
    """Conductor's routes for one device."""

    def __init__(
        self, ledger: Ledger, orders: OrderApi, guard: Guard, now_ms: Callable[[], int]
    ) -> None:
        self._ledger = ledger
        self._orders = orders
        self._guard = guard
        self._now_ms = now_ms
        self.wait_s = WAIT_S

    def operations(self) -> list[Operation]:
        """The lines of the route table."""
        look, do, operator = Area.EXECUTIONS, Area.ORDERS, Role.OPERATOR
        flows, one = BASE + "/workflow", BASE + "/workflow/{workflow_id}"
        definitions = BASE + "/metadata/workflow"
        search = ("query", "freeText", "start", "size", "sort")
        start = ("version", "correlationId", "priority")
        return [
            Operation("POST", BASE + "/token", self.token, None, body=Credentials),
            Operation("GET", flows + "/search", self.search, look, query=search),
            Operation("GET", flows + "/search-v2", self.search, look, query=search),
            Operation("GET", flows + "/running/{name}", self.running, look, query=("version",)),
            Operation("GET", flows + "/{name}/correlated/{correlation_id}", self.correlated, look,
                      query=("includeClosed", "includeTasks")),
            Operation("POST", flows, self.start, do, operator, body=StartBody),
            Operation("POST", flows + "/{name}", self.start_by_name, do, operator, start),
            Operation("GET", one, self.workflow, look, query=("includeTasks",)),
            Operation("GET", one + "/status", self.status, look),
            Operation("DELETE", one, self.terminate, do, operator, ("reason",)),
            Operation("PUT", one + "/pause", self.pause, do, operator),
            Operation("PUT", one + "/resume", self.resume, do, operator),
            Operation("POST", one + "/retry", self.retry, do, operator,
                      ("resumeSubworkflowTasks",)),
            Operation("POST", one + "/restart", self.restart, do, operator,
                      ("useLatestDefinitions",)),
            Operation("GET", definitions, self.definitions, look),
            Operation("GET", definitions + "/{name}", self.definition, look, query=("version",)),
            Operation("POST", definitions, self.register, do, operator),
            Operation("PUT", definitions, self.register_all, do, operator),
        ]  # fmt: skip

    async def token(self, call: Call) -> Response:
        """A token for the id of a token and its secret, as Conductor's clients ask for one."""
        if not self._guard.enabled:
            raise HTTPException(404, "nobody is asked for a token here")
        body = await call.body(Credentials)
        text = f"baton_{body.key_id}.{body.key_secret}"
        if await self._guard.caller_of(text) is None:
            raise HTTPException(401, "keyId and keySecret do not belong together, or are void")
        return json_answer({"token": text})

    # Reading.

    async def workflow(self, call: Call) -> Response:
        """One execution as the device would show it, as far as its history has come."""
        shown = await self._shown(call, call.part("workflow_id"))
        if call.request.query_params.get("includeTasks", "true") == "false":
            shown["tasks"] = []
        return json_answer(shown)

    async def status(self, call: Call) -> Response:
        """The status of one execution, with its output."""
        shown = await self._shown(call, call.part("workflow_id"))
        kept = ("workflowId", "correlationId", "status", "output")
        return json_answer({name: shown[name] for name in kept if name in shown})

    async def search(self, call: Call) -> Response:
        """Executions of the device by Conductor's query, newest first."""
        size = call.number("size", default=_SEARCH_LIMIT, least=1, most=500)
        start = call.number("start", default=0, least=0, most=10_000)
        try:
            terms = search_terms(call.text("query", longest=1_000) or "")
        except QueryError as error:
            raise HTTPException(400, str(error)) from error
        text = call.text("freeText")
        if text is not None and text != "*":
            terms.append(Term("", Op.HAS, [text], [], negated=False))
        rows = await self._rows(call, terms, limit=start + size)
        shown = [_summary(row) for row in rows[start:]]
        return json_answer({"totalHits": len(rows), "results": shown})

    async def running(self, call: Call) -> Response:
        """Ids of the executions of a workflow that are open."""
        terms = [_equal("workflow", call.part("name")), _equal("status", *_OPEN_STATUSES)]
        rows = await self._rows(call, terms, limit=500)
        return json_answer([row.workflow_id for row in rows])

    async def correlated(self, call: Call) -> Response:
        """Executions of a workflow by what others call them."""
        terms = [
            _equal("workflow", call.part("name")),
            _equal("correlation", call.part("correlation_id")),
        ]
        if call.request.query_params.get("includeClosed") != "true":
            terms.append(_equal("status", *_OPEN_STATUSES))
        rows = await self._rows(call, terms, limit=100)
        return json_answer([await self._shown(call, row.workflow_id) for row in rows])

    async def definitions(self, call: Call) -> Response:
        """The definitions that the device is known to have: of its executions, and those pushed."""
        return json_answer(await self._definitions(call))

    async def definition(self, call: Call) -> Response:
        """One definition; without a version its latest."""
        name = call.part("name")
        version = call.number("version", default=0, least=1, most=2**31)
        found = [
            one
            for one in await self._definitions(call)
            if one.get("name") == name and (not version or one.get("version", 1) == version)
        ]
        if not found:
            raise HTTPException(404, f"no definition of {name[:100]} is known of this device")
        return json_answer(max(found, key=lambda one: one.get("version", 1)))

    # Starting and steering.

    async def start(self, call: Call) -> Response:
        """Start a workflow on the device; the answer is the id of the execution."""
        posted = await call.body(StartBody)
        body: dict[str, Any] = {"name": posted.name, "input": posted.input or {}}
        optional = {
            "version": posted.version, "correlationId": posted.correlation_id,
            "priority": posted.priority, "taskToDomain": posted.task_to_domain,
        }  # fmt: skip
        body |= {name: value for name, value in optional.items() if value is not None}
        return await self._start(call, body, posted.idempotency_key)

    async def start_by_name(self, call: Call) -> Response:
        """Start a workflow by its name, with the body as its input."""
        body: dict[str, Any] = {
            "name": call.part("name"), "input": await call.body(dict[str, Any])
        }  # fmt: skip
        for name, most in (("version", 2**31), ("priority", 99)):
            if call.text(name) is not None:
                body[name] = call.number(name, default=0, least=0, most=most)
        if call.text("correlationId") is not None:
            body["correlationId"] = call.text("correlationId")
        return await self._start(call, body, None)

    async def _start(self, call: Call, body: dict[str, Any], key: str | None) -> Response:
        order_id = await self._order_id(call, key) if key else None
        given = await self._give(call, Kind.START, body, order_id=order_id)
        done = await self._outcome(given)
        if done.state == State.DONE:
            output = msgspec.json.decode(done.output or b"{}")
            return PlainTextResponse(str(output.get("workflowId", done.order_id)))
        # It will be started; until then it is known by the order's id.
        return PlainTextResponse(done.order_id, status_code=202, headers=_order_header(done))

    async def pause(self, call: Call) -> Response:
        """Pause an execution."""
        return await self._steer(call, Kind.PAUSE)

    async def resume(self, call: Call) -> Response:
        """Resume an execution."""
        return await self._steer(call, Kind.RESUME)

    async def terminate(self, call: Call) -> Response:
        """End an execution."""
        reason = call.text("reason", longest=1_000)
        return await self._steer(call, Kind.TERMINATE, **({"reason": reason} if reason else {}))

    async def retry(self, call: Call) -> Response:
        """Try what has failed in an execution once more."""
        said = call.request.query_params.get("resumeSubworkflowTasks") == "true"
        return await self._steer(call, Kind.RETRY, resumeSubworkflowTasks=said)

    async def restart(self, call: Call) -> Response:
        """Run an execution again from its beginning."""
        said = call.request.query_params.get("useLatestDefinitions") == "true"
        return await self._steer(call, Kind.RESTART, useLatestDefinitions=said)

    async def register(self, call: Call) -> Response:
        """Register a workflow definition on the device."""
        return await self._register(call, [await call.body(dict[str, Any])])

    async def register_all(self, call: Call) -> Response:
        """Register a list of workflow definitions on the device."""
        return await self._register(call, await call.body(list[dict[str, Any]]))

    async def _register(self, call: Call, definitions: list[dict[str, Any]]) -> Response:
        if len(definitions) > _REGISTERED_AT_ONCE:
            raise HTTPException(
                400,
                f"body: at most {_REGISTERED_AT_ONCE} definitions at once, not {len(definitions)}",
            )
        given = [await self._put(call, definition) for definition in definitions]
        for order in given:
            done = await self._outcome(order)
            if done.state != State.DONE:
                # Those that follow come after it: there is nothing to wait for.
                return Response(status_code=202, headers=_order_header(done))
        return Response(status_code=200)

    async def _put(self, call: Call, definition: dict[str, Any]) -> OrderView:
        """Order the device to have a definition, numbered among those that are pushed."""
        kind, tenant = Kind.PUT_WORKFLOW, call.tenant
        body = {"definition": definition, "revision": 1}
        subject = wire.subject_of(kind, wire.parse_body(kind, body))
        revision = await self._ledger.read(lambda c: wanted.next_revision(c, tenant, subject))
        return await self._give(call, kind, body | {"revision": revision})

    async def _order_id(self, call: Call, key: str) -> str:
        """The id of the order that an idempotency key stands for on this device.

        Ids of orders are common to all devices, and keys are not: one that is another device's
        order, or could be a campaign's, gets an id of its own.
        """
        tenant, device = call.tenant, call.part("device")
        there = await self._ledger.find_order(key)
        foreign = there is not None and (there.tenant, there.device) != (tenant, device)
        if "." not in key and not foreign:
            return key
        return hashlib.sha256(f"{tenant}/{device} {key}".encode()).hexdigest()[:32]

    async def _steer(self, call: Call, kind: Kind, **more: Any) -> Response:
        workflow_id = await self._real_id(call, call.part("workflow_id"))
        given = await self._give(call, kind, {"workflowId": workflow_id} | more)
        done = await self._outcome(given)
        if done.state == State.DONE:
            return Response(status_code=200)
        return Response(status_code=202, headers=_order_header(done))

    async def _give(
        self, call: Call, kind: Kind, body: dict[str, Any], *, order_id: str | None = None
    ) -> OrderView:
        return await self._orders.order(
            call, call.part("device"), kind.value, body, order_id=order_id
        )

    async def _outcome(self, order: OrderView) -> OrderView:
        """An order when it has come to something, or as it stands after a while.

        Raises:
            HTTPException: the device has refused it.
        """
        found = await self._ledger.outcome(order.order_id, timeout_s=self.wait_s) or order
        if found.ended and found.state != State.DONE:
            status = 404 if "no " in (found.reason or "").lower()[:12] else 409
            raise HTTPException(status, f"the device: {found.reason or found.state}")
        return found

    # What several of them need.

    async def _real_id(self, call: Call, known_as: str) -> str:
        """The id of an execution that may be known by its order's."""
        order = await self._ledger.find_order(known_as)
        if order is None or (order.tenant, order.device) != (call.tenant, call.part("device")):
            return known_as
        if order.state == State.DONE and order.output:
            return str(msgspec.json.decode(order.output).get("workflowId", known_as))
        raise HTTPException(409, f"it has not started yet: {order.waits_for or order.state}")

    async def _shown(self, call: Call, known_as: str) -> dict[str, Any]:
        tenant, device = call.tenant, call.part("device")
        view = await self._ledger.execution(device, known_as, tenant=tenant)
        if view is not None:
            return conductor_json(view)
        order = await self._ledger.find_order(known_as)
        if order is None or (order.tenant, order.device) != (tenant, device):
            raise HTTPException(404, f"no such workflow found by id: {known_as[:100]}")
        if order.state == State.DONE and order.output:
            real = str(msgspec.json.decode(order.output).get("workflowId", ""))
            view = await self._ledger.execution(device, real, tenant=tenant)
            if view is not None:
                return conductor_json(view)
        return _promised(order)

    async def _rows(self, call: Call, terms: list[Term], *, limit: int) -> list[ExecutionRow]:
        """Executions of the device; over several windows, as far as there is anything."""
        tenant, now_ms = call.tenant, self._now_ms()
        conditions = [*terms, _equal("device", call.part("device"))]
        rows: list[ExecutionRow] = []
        after: str | None = None
        for _ in range(5):
            mark, left = after, limit - len(rows)
            page = await self._ledger.read(
                lambda c, mark=mark, left=left: execution_search.search(  # type: ignore[misc]
                    c, tenant=tenant, terms=conditions, now_ms=now_ms, after=mark, limit=left
                )
            )
            rows += page.rows
            after = page.next
            if after is None or len(rows) >= limit:
                break
        return rows

    async def _definitions(self, call: Call) -> list[dict[str, Any]]:
        tenant, device = call.tenant, call.part("device")

        def read(connection: Connection) -> list[bytes]:
            return execution_search.definitions(
                connection, tenant=tenant, device=device, limit=_DEFINITIONS_LIMIT
            )

        found = [msgspec.json.decode(text) for text in await self._ledger.read(read)]
        return [one for one in found if isinstance(one, dict)]


def search_terms(query: str) -> list[Term]:
    """Conductor's query, conditions with AND between, as terms.

    Raises:
        QueryError: it asks for something that is not known here.
    """
    terms = []
    place = 0
    while query[place:].strip():
        match = _CONDITION.match(query, place)
        if match is None:
            raise QueryError(
                f"query: {query[place : place + 60]!r} is no condition such as status='FAILED' or "
                "workflowType IN (a,b), with AND between"
            )
        name, operator, value, values, joined = match.groups()
        field = _SEARCHED.get(name.lower())
        if field is None:
            raise QueryError(f"query: {name} cannot be searched by; {', '.join(_SEARCHED)} can")
        # A comma within quotes is one of the value's own.
        texts = [value] if values is None else _LISTED.findall(values)
        if not texts:
            raise QueryError(f"query: {name} IN () names no value")
        terms.append(_term(field, operator or "=", [one.strip("'\"") for one in texts]))
        place = match.end()
        if joined and not query[place:].strip():
            raise QueryError(f"query: a condition is missing behind the last {joined}")
    return terms


def _term(field: str, operator: str, texts: list[str]) -> Term:
    ops = {"=": Op.EQ, ":": Op.EQ, "<": Op.LT, "<=": Op.LE, ">": Op.GT, ">=": Op.GE}
    op, sort = ops[operator], FIELDS[field].sort
    if (sort is Sort.TIME and op is Op.EQ) or (sort in (Sort.TEXT, Sort.WORD) and op is not Op.EQ):
        raise QueryError(f"query: {field} cannot be compared with {operator}")
    words = FIELDS[field].words
    if words and not set(texts) <= set(words):
        raise QueryError(f"query: {field} is one of {', '.join(words)}, not {texts[0]!r}")
    if sort in (Sort.TEXT, Sort.WORD):
        return Term(field, op, texts, [], negated=False)
    if not all(re.fullmatch(r"\d{1,16}", one) for one in texts):
        raise QueryError(f"query: {field} is compared with whole numbers")
    return Term(field, op, texts, [int(one) for one in texts], negated=False)


def _equal(field: str, *texts: str) -> Term:
    return Term(field, Op.EQ, list(texts), [], negated=False)


def conductor_json(view: ExecutionView) -> dict[str, Any]:
    """An execution as Conductor's clients read it; what is None is left out, as there."""
    shown = execution_json(view)
    shown["tasks"] = [
        {name: value for name, value in task.items() if value is not None}
        | {"workflowType": view.row.name}
        for task in shown["tasks"]
    ]
    shown["ownerApp"] = view.row.device
    return {name: value for name, value in shown.items() if value is not None}


def _promised(order: OrderView) -> dict[str, Any]:
    """An execution that will be, while its order is on its way."""
    body = msgspec.json.decode(order.body)
    failed = order.ended and order.state != State.DONE
    return {
        "workflowId": order.order_id,
        "workflowName": body.get("name", ""),
        "workflowVersion": body.get("version") or 1,
        "status": "FAILED" if failed else "RUNNING",
        "reasonForIncompletion": order.reason or f"waits for {order.waits_for}",
        "correlationId": body.get("correlationId"),
        "createTime": order.issued_ms,
        "startTime": order.issued_ms,
        "updateTime": order.issued_ms,
        "endTime": order.ended_ms if failed else 0,
        "input": body.get("input", {}),
        "output": {},
        "tasks": [],
    }


def _summary(row: ExecutionRow) -> dict[str, Any]:
    shown = {
        "workflowType": row.name,
        "version": row.version,
        "workflowId": row.workflow_id,
        "correlationId": row.correlation_id,
        "startTime": row.created_ms,
        "updateTime": row.updated_ms,
        "endTime": row.ended_ms or None,
        "status": row.status,
        "reasonForIncompletion": row.reason,
        "executionTime": max(0, row.ended_ms - row.created_ms) if row.ended_ms else 0,
        "input": "",
        "output": "",
    }
    return {name: value for name, value in shown.items() if value is not None}


def _order_header(order: OrderView) -> dict[str, str]:
    return {"x-baton-order": order.order_id}
