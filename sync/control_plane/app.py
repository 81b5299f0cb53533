"""The control plane's HTTP application: one route table, a guard before it, the dashboard behind.

No SQL and no MQTT stands here; everything shown is asked of the ledger.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from sync.control_plane.access_routes import AccessApi
from sync.control_plane.alert_routes import AlertApi
from sync.control_plane.answers import REFUSALS, Rim, refuse
from sync.control_plane.calls import Call, Operation, refuse_unread
from sync.control_plane.conductor_routes import ConductorApi
from sync.control_plane.dashboard import DASHBOARD_FOLDER
from sync.control_plane.device_routes import DeviceApi
from sync.control_plane.execution_routes import ExecutionApi
from sync.control_plane.fetch_routes import FetchApi
from sync.control_plane.fleet_routes import FleetApi
from sync.control_plane.guard import Guard
from sync.control_plane.ledger import DEFAULT_TENANT, Ledger
from sync.control_plane.openapi import Document
from sync.control_plane.order_routes import OrderApi
from sync.control_plane.wanted_routes import WantedApi
from sync.web.pages import Pages


def build_app(
    ledger: Ledger,
    *,
    now_ms: Callable[[], int],
    tenant: str = DEFAULT_TENANT,
    broker_connected: Callable[[], bool] | None = None,
    authenticate: bool = False,
) -> Starlette:
    """The application; the caller keeps the ledger open and closes it after the server.

    ``app.state.streams.close()`` must be called when the server is to stop: open pages hold their
    streams for ever otherwise.

    Args:
        ledger: what is shown.
        now_ms: the wall clock.
        tenant: whose devices are meant where a request does not say.
        broker_connected: whether the control plane hears its broker; None = not known.
        authenticate: whether requests need a token.
    """
    guard = Guard(ledger, now_ms=now_ms, enabled=authenticate)
    fleet = FleetApi(ledger, now_ms=now_ms, broker_connected=broker_connected, guard=guard)
    orders = OrderApi(ledger, now_ms)
    table = [
        *fleet.operations(),
        *DeviceApi(ledger, now_ms).operations(),
        *ExecutionApi(ledger, now_ms).operations(),
        *orders.operations(),
        *WantedApi(ledger, now_ms).operations(),
        *FetchApi(ledger, now_ms).operations(),
        *AlertApi(ledger, now_ms).operations(),
        *ConductorApi(ledger, orders, guard, now_ms).operations(),
        *AccessApi(ledger, guard, now_ms).operations(),
    ]

    document = Document(table)
    table.append(document.operation())

    def routed(operation: Operation) -> Route:
        async def answer(request: Request) -> Response:
            caller = await guard.admit(request, operation)
            refuse_unread(request, operation)
            return await operation.endpoint(Call(request, caller, tenant))

        return Route(operation.path, answer, methods=[operation.method])

    app = Starlette(
        routes=[*map(routed, table), Mount("/", app=Pages(DASHBOARD_FOLDER))],
        exception_handlers=dict.fromkeys((HTTPException, *REFUSALS), refuse),
    )
    app.state.streams = fleet.streams
    app.state.operations = table
    app.add_middleware(Rim)
    return app
