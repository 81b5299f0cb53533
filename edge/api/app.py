"""The one route table, and the way of a request through it.

No endpoint lives here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from importlib import import_module
from typing import Any

import structlog
from starlette.types import Message, Receive, Scope, Send

from edge.api import (
    admin,
    bulk,
    environment,
    errors,
    events,
    executions,
    external,
    file_storage,
    files,
    lookups,
    mailbox,
    metadata,
    reference,
    rehearsals,
    removal,
    schedules,
    schemas,
    secrets,
    steering,
    streams,
    tags,
    tasks,
    upkeep,
    workflows,
)
from edge.api.access_routes import ACCESS_ROUTES
from edge.api.call import Call, ClientGone, DirectCall, Known
from edge.api.house import House
from edge.api.rights import Need, need_of
from edge.api.routing import Match, MethodNotAllowed, Route, Table
from edge.direct import Answers
from edge.model.access import Permission
from edge.model.errors import BatonError, RowDamaged
from edge.responses import Response

_log = structlog.get_logger(__name__)

ROUTES = [
    # What workers do, the busiest first.
    Route("GET", "/api/tasks/poll/batch/{type}", tasks.poll_batch),
    Route("POST", "/api/tasks/update-v2", tasks.update_v2),
    Route("POST", "/api/tasks/bulk", tasks.update_all),
    Route("POST", "/api/tasks", tasks.update),
    Route("GET", "/api/tasks/poll/{type}", tasks.poll),
    Route("GET", "/api/tasks/{task}", tasks.get),
    Route("POST", "/api/tasks/{task}/log", tasks.add_log),
    Route("GET", "/api/tasks/{task}/log", tasks.get_log),
    Route("POST", "/api/tasks/{workflow}/{ref}/{status}", tasks.update_by_ref),
    Route("POST", "/api/tasks/{workflow}/{ref}/{status}/sync", tasks.update_by_ref_sync),
    Route("POST", "/api/tasks/{workflow}/{status}/signal", steering.signal),
    Route("POST", "/api/tasks/{workflow}/{status}/signal/sync", steering.signal_sync),
    Route("GET", "/api/tasks/queue/sizes", tasks.queue_sizes),
    Route("GET", "/api/tasks/queue/size", tasks.queue_size),
    Route("GET", "/api/tasks/queue/all", tasks.queue_all),
    Route("GET", "/api/tasks/queue/all/verbose", tasks.queue_all_verbose),
    Route("GET", "/api/tasks/queue/polldata", tasks.poll_data),
    Route("GET", "/api/tasks/queue/polldata/all", tasks.poll_data_all),
    Route("POST", "/api/tasks/queue/requeue/{type}", upkeep.requeue),
    Route("POST", "/api/tasks/{task}/ack", upkeep.acknowledge),
    Route("GET", "/api/tasks/search", lookups.search_tasks),
    Route("GET", "/api/tasks/search-v2", lookups.search_tasks_full),
    # Executions.
    Route("POST", "/api/workflow", workflows.start),
    Route("POST", "/api/workflow/{name}", workflows.start_by_name),
    Route("GET", "/api/workflow/{id}", executions.get),
    Route("DELETE", "/api/workflow/{id}", workflows.terminate),
    Route("GET", "/api/workflow/{id}/status", executions.get_status),
    Route("GET", "/api/workflow/{id}/tasks", executions.get_tasks),
    Route("PUT", "/api/workflow/{id}/pause", workflows.pause),
    Route("PUT", "/api/workflow/{id}/resume", workflows.resume),
    Route("POST", "/api/workflow/{id}/restart", workflows.restart),
    Route("POST", "/api/workflow/{id}/retry", workflows.retry),
    Route("DELETE", "/api/workflow/{id}/remove", removal.remove),
    Route("DELETE", "/api/workflow/{id}/terminate-remove", removal.terminate_remove),
    Route("PUT", "/api/workflow/decide/{id}", workflows.decide),
    Route("POST", "/api/workflow/{id}/rerun", steering.rerun),
    Route("PUT", "/api/workflow/{id}/skiptask/{ref}", steering.skip),
    Route("POST", "/api/workflow/{id}/jump/{ref}", steering.jump),
    Route("POST", "/api/workflow/{id}/jump", steering.jump),
    Route("POST", "/api/workflow/{id}/upgrade", steering.upgrade),
    Route("POST", "/api/workflow/{id}/resetcallbacks", steering.reset_callbacks),
    Route("POST", "/api/workflow/{id}/variables", steering.update_variables),
    Route("POST", "/api/workflow/{id}/state", steering.update_state),
    Route("POST", "/api/workflow/test", rehearsals.rehearse),
    Route("POST", "/api/workflow/execute/{name}/{version}", steering.execute),
    Route("POST", "/api/workflow/execute/{name}", steering.execute_for_output),
    Route("GET", "/api/workflow/execute/{name}", steering.execute_for_output),
    Route("POST", "/api/workflow/start/{name}/{version}", workflows.start_by_name),
    Route("POST", "/api/workflow/{id}/messages", mailbox.push),
    Route("GET", "/api/workflow/running/{name}", lookups.running),
    Route("GET", "/api/workflow/{name}/correlated/{correlation}", lookups.correlated),
    Route("POST", "/api/workflow/{name}/correlated", lookups.correlated_list),
    Route("POST", "/api/workflow/correlated/batch", lookups.correlated_batch),
    Route("GET", "/api/workflow/search", lookups.search),
    Route("GET", "/api/workflow/search-v2", lookups.search_full),
    Route("GET", "/api/workflow/search-by-tasks", lookups.search_by_tasks),
    Route("GET", "/api/workflow/search-by-tasks-v2", lookups.search_by_tasks_full),
    Route("PUT", "/api/workflow/bulk/pause", bulk.pause),
    Route("PUT", "/api/workflow/bulk/resume", bulk.resume),
    Route("POST", "/api/workflow/bulk/restart", bulk.restart),
    Route("POST", "/api/workflow/bulk/retry", bulk.retry),
    Route("POST", "/api/workflow/bulk/terminate", bulk.terminate),
    Route("DELETE", "/api/workflow/bulk/remove", bulk.remove),
    Route("DELETE", "/api/workflow/bulk/terminate-remove", bulk.terminate_remove),
    # The commercial server's name for it.
    Route("POST", "/api/workflow/bulk/delete", bulk.remove),
    Route("POST", "/api/workflow/bulk/search", bulk.search),
    # Definitions.
    Route("POST", "/api/metadata/workflow", metadata.create_workflow),
    Route("PUT", "/api/metadata/workflow", metadata.put_workflows),
    Route("GET", "/api/metadata/workflow", metadata.list_workflows),
    Route("POST", "/api/metadata/workflow/validate", metadata.validate_workflow),
    Route("GET", "/api/metadata/workflow/names", metadata.workflow_names),
    Route("GET", "/api/metadata/workflow/names-and-versions", metadata.names_and_versions),
    Route("GET", "/api/metadata/workflow/latest-versions", metadata.latest_workflows),
    Route("GET", "/api/metadata/workflow/{name}", metadata.get_workflow),
    Route("GET", "/api/metadata/workflow/{name}/versions", metadata.workflow_versions),
    Route("DELETE", "/api/metadata/workflow/{name}/{version}", metadata.remove_workflow),
    Route("POST", "/api/metadata/taskdefs", metadata.put_tasks),
    Route("PUT", "/api/metadata/taskdefs", metadata.replace_task),
    Route("GET", "/api/metadata/taskdefs", metadata.list_tasks),
    Route("GET", "/api/metadata/taskdefs/{name}", metadata.get_task),
    Route("DELETE", "/api/metadata/taskdefs/{name}", metadata.remove_task),
    # Tags of definitions.
    Route("GET", "/api/metadata/workflow/{name}/tags", tags.of_workflow),
    Route("POST", "/api/metadata/workflow/{name}/tags", tags.add_to_workflow),
    Route("PUT", "/api/metadata/workflow/{name}/tags", tags.set_of_workflow),
    Route("DELETE", "/api/metadata/workflow/{name}/tags", tags.remove_from_workflow),
    Route("GET", "/api/metadata/task/{name}/tags", tags.of_task),
    Route("POST", "/api/metadata/task/{name}/tags", tags.add_to_task),
    Route("PUT", "/api/metadata/task/{name}/tags", tags.set_of_task),
    Route("DELETE", "/api/metadata/task/{name}/tags", tags.remove_from_task),
    Route("GET", "/api/metadata/tags", tags.every),
    Route("GET", "/api/metadata/tags/grouped", tags.grouped),
    Route("GET", "/api/metadata/tags/resources", tags.resources),
    Route("GET", "/api/metadata/tags/workflow/{name}", tags.of_workflow),
    Route("POST", "/api/metadata/tags/workflow/{name}", tags.add_to_workflow),
    Route("DELETE", "/api/metadata/tags/workflow/{name}", tags.remove_from_workflow),
    # Events.
    Route("POST", "/api/event", events.add_handlers),
    Route("PUT", "/api/event", events.replace_handler),
    Route("GET", "/api/event", events.list_handlers),
    Route("DELETE", "/api/event/{name}", events.remove_handler),
    Route("GET", "/api/event/{event...}", events.handlers_of),
    Route("GET", "/api/event/handler", events.list_handlers),
    Route("GET", "/api/event/handler/{name}", events.get_handler),
    Route("POST", "/api/event/handleIncomingEvent", events.incoming),
    Route("GET", "/api/event/{name}/tags", events.get_tags),
    Route("PUT", "/api/event/{name}/tags", events.add_tags),
    Route("DELETE", "/api/event/{name}/tags", events.remove_tags),
    Route("GET", "/api/event/execution", events.handled),
    Route("GET", "/api/event/execution/{handler}", events.executions),
    Route("GET", "/api/event/message", events.handled),
    Route("GET", "/api/event/message/{event...}", events.messages),
    Route("GET", "/api/event/queue/config", events.queue_settings),
    Route("GET", "/api/event/queue/config/{type}/{name}", events.queue_setting),
    Route("GET", "/api/queue", events.queue_names),
    Route("GET", "/api/queue/size", events.queue_sizes),
    Route("POST", "/api/queue/update/{workflow}/{ref}/{status}", events.signal_by_ref),
    Route("POST", "/api/queue/update/{workflow}/task/{task}/{status}", events.signal_by_id),
    # Schedules. Go's client, and older servers', pause and resume with GET.
    Route("POST", "/api/scheduler/schedules", schedules.put),
    Route("GET", "/api/scheduler/schedules", schedules.list_),
    Route("GET", "/api/scheduler/schedules/search", schedules.find),
    Route("GET", "/api/scheduler/schedules/tags", schedules.tagged),
    Route("GET", "/api/scheduler/schedules/{name}", schedules.get),
    Route("DELETE", "/api/scheduler/schedules/{name}", schedules.remove),
    Route("PUT", "/api/scheduler/schedules/{name}/pause", schedules.pause),
    Route("GET", "/api/scheduler/schedules/{name}/pause", schedules.pause),
    Route("PUT", "/api/scheduler/schedules/{name}/resume", schedules.resume),
    Route("GET", "/api/scheduler/schedules/{name}/resume", schedules.resume),
    Route("GET", "/api/scheduler/schedules/{name}/tags", schedules.get_tags),
    Route("PUT", "/api/scheduler/schedules/{name}/tags", schedules.put_tags),
    Route("DELETE", "/api/scheduler/schedules/{name}/tags", schedules.remove_tags),
    Route("GET", "/api/scheduler/nextFewSchedules", schedules.next_few),
    Route("GET", "/api/scheduler/search/executions", schedules.find_executions),
    Route("GET", "/api/scheduler/admin/pause", schedules.pause_all),
    Route("GET", "/api/scheduler/admin/resume", schedules.resume_all),
    Route("GET", "/api/scheduler/admin/requeue", schedules.requeue),
    Route("PUT", "/api/scheduler/bulk/pause", schedules.bulk_pause),
    Route("PUT", "/api/scheduler/bulk/resume", schedules.bulk_resume),
    # Administration.
    Route("GET", "/api/admin/config", upkeep.config),
    Route("GET", "/api/admin/task/{type}", upkeep.pending_tasks),
    Route("GET", "/api/admin/queues", upkeep.event_queues),
    Route("POST", "/api/admin/sweep/requeue/{id}", upkeep.requeue_sweep),
    Route("POST", "/api/admin/consistency/verifyAndRepair/{id}", upkeep.verify_and_repair),
    # The device itself.
    Route("GET", "/health", admin.health),
    Route("GET", "/api/health", admin.health),
    Route("GET", "/api/version", admin.version),
    # Secrets and environment variables.
    Route("GET", "/api/secrets", secrets.names),
    Route("POST", "/api/secrets", secrets.names),
    Route("GET", "/api/secrets-v2", secrets.with_tags),
    Route("GET", "/api/secrets/clearLocalCache", secrets.clear_cache),
    Route("GET", "/api/secrets/clearRedisCache", secrets.clear_cache),
    Route("PUT", "/api/secrets/{key}", secrets.put),
    Route("GET", "/api/secrets/{key}", secrets.get),
    Route("DELETE", "/api/secrets/{key}", secrets.remove),
    Route("GET", "/api/secrets/{key}/exists", secrets.exists),
    Route("GET", "/api/secrets/{key}/tags", secrets.get_tags),
    Route("PUT", "/api/secrets/{key}/tags", secrets.put_tags),
    Route("DELETE", "/api/secrets/{key}/tags", secrets.remove_tags),
    Route("GET", "/api/environment", environment.every),
    Route("PUT", "/api/environment/{key}", environment.put),
    Route("GET", "/api/environment/{key}", environment.get),
    Route("DELETE", "/api/environment/{key}", environment.remove),
    Route("GET", "/api/environment/{key}/tags", environment.get_tags),
    Route("PUT", "/api/environment/{key}/tags", environment.put_tags),
    Route("DELETE", "/api/environment/{key}/tags", environment.remove_tags),
    # Schemas.
    Route("POST", "/api/schema", schemas.save),
    Route("GET", "/api/schema", schemas.every),
    Route("GET", "/api/schema/{name}", schemas.get),
    Route("GET", "/api/schema/{name}/{version}", schemas.get),
    Route("DELETE", "/api/schema/{name}", schemas.remove),
    Route("DELETE", "/api/schema/{name}/{version}", schemas.remove),
    # Payloads that travel by themselves.
    Route("GET", "/api/workflow/externalstoragelocation", external.location),
    Route("GET", "/api/workflow/external-storage-location", external.location),
    Route("GET", "/api/tasks/externalstoragelocation", external.location),
    Route("GET", "/api/tasks/external-storage-location", external.location),
    Route("PUT", "/api/v1/payloads/{path...}", external.put),
    Route("GET", "/api/v1/payloads/{path...}", external.get),
    # Files that workers hand each other, where that is switched on.
    Route("POST", "/api/files", file_storage.create),
    Route("PUT", "/api/files/content/{workflow}/{file}", file_storage.put_content),
    Route("GET", "/api/files/content/{workflow}/{file}", file_storage.get_content),
    Route("GET", "/api/files/{workflow}/{file}", file_storage.get),
    Route("GET", "/api/files/{workflow}/{file}/upload-url", file_storage.upload_url),
    Route("POST", "/api/files/{workflow}/{file}/upload-complete", file_storage.complete),
    Route("GET", "/api/files/{workflow}/{file}/download-url", file_storage.download_url),
    Route("POST", "/api/files/{workflow}/{file}/multipart", file_storage.multipart),
    Route("GET", "/metrics", admin.figures),
    Route("GET", "/actuator/prometheus", admin.figures),
    Route("POST", "/api/admin/cache/clear/{task}", admin.clear_outputs),
    Route("GET", "/api/admin/cache/clear/{task}", admin.clear_outputs),
    Route("GET", "/api/v1/stream", streams.stream),
    Route("GET", "/api/v1/devices", admin.devices),
    Route("GET", "/api/v1/workers", admin.workers),
    Route("GET", "/api/v1/devices/{name}/snapshot.jpg", admin.snapshot),
    Route("GET", "/api/v1/evidence/{path...}", files.evidence),
    Route("GET", "/api/v1/sync", admin.sync),
    Route("GET", "/api/v1/events", admin.events),
    Route("GET", "/api/v1/storage", admin.storage),
    # All of this, described.
    Route("GET", "/api-docs", reference.document),
    Route("GET", "/swagger-ui", reference.way_to_page),
    Route("GET", "/swagger-ui/index.html", reference.page),
]
"""Every address of the device."""

_LOOKING = (Permission.WORKFLOW_VIEW, Permission.METADATA_VIEW, Need.NOTHING, Need.TOKEN)

_CHANGING_GETS = frozenset(
    route.pattern
    for route in ROUTES
    if route.method == "GET" and need_of("GET", route.pattern) not in _LOOKING
)
"""Conductor's clients start, pause and poll with these, though nothing should be changed by a GET.
Whatever needs more than a look is among them, so that none is forgotten; those of them that change
nothing are no business of other sites either."""

_BEGUN = (
    "/api/metadata/", "/api/event", "/api/scheduler/schedules", "/api/schema", "/api/secrets/",
    "/api/environment/", "/api/v1/payloads/", "/api/files", "/api/applications", "/api/users/",
    "/api/groups/", "/api/roles", "/api/auth/", "/api/workflow/{id}/messages",
)  # fmt: skip

_GROWING = frozenset(
    route.pattern for route in [*ROUTES, *ACCESS_ROUTES] if route.pattern.startswith(_BEGUN)
) - {"/api/metadata/workflow/validate"}
"""What is refused on a full disk, unread, when it is posted or put: the space that is kept is for
what has begun. Starts are refused where they are decided, whoever asks for them."""

_API = frozenset(route.pattern[1:].partition("/")[0] for route in ROUTES)

_VIEW_COOKIE = "baton-view"
"""What the pages keep a view token in."""


_DIRECT = frozenset(
    {
        tasks.poll_batch, tasks.update, tasks.update_v2, tasks.update_all,
        workflows.start, workflows.start_by_name,
        steering.execute, steering.execute_for_output,
    }
)  # fmt: skip
"""The endpoints that workers and those who start executions call all the time. They are answered
without a way through ASGI wherever a request is plain; see ``edge.direct``."""


class Api:
    """The API of a device as an ASGI application.

    Args:
        house: the rooms around it.
    """

    def __init__(self, house: House) -> None:
        routes = ROUTES if house.guard is None else [*ROUTES, *ACCESS_ROUTES]
        self._house = house
        self._table = Table(routes)
        house.document = _document(routes, house.version)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        # The console must never answer for the API: clients look for 404 with a JSON body.
        if self._house.pages is not None and _first_segment(scope) not in _API:
            await self._house.pages(scope, receive, send)
            return
        call = Call(scope, receive, self._house)
        response = await self._respond(call, None)
        if response is not None:
            await response(scope, receive, send)

    def recognise(self, scope: Scope) -> Answers | None:
        """What answers all plain requests with this head; None = they go the ordinary way.

        Whatever depends on nothing but the head is judged here, once.
        """
        call = Call(scope, _receive_nothing, self._house)
        try:
            match = _match(self._table, scope)
            if match.route.endpoint not in _DIRECT:
                return None
            _refuse_foreign_pages(call, match.route.pattern)
            known = Known(scope)
        except (BatonError, MethodNotAllowed):
            return None

        def answer(
            query: bytes, body: bytes, gone: Callable[[], bool]
        ) -> Coroutine[Any, Any, Response | None]:
            call = DirectCall(known, query, body, gone=gone, house=self._house)
            return self._respond(call, match)

        return answer

    async def _respond(self, call: Call, match: Match | None) -> Response | None:
        """Run the endpoint, and make an answer of whatever comes out of it.

        Args:
            call: the request.
            match: its endpoint; None = it has still to be found, and whether a page of another
                site asks to be judged.

        Returns:
            None when the client went away before its request was complete.
        """
        house, pattern = self._house, "none"
        method: str = call.scope["method"]
        try:
            if match is None:
                match = _match(self._table, call.scope)
                pattern = match.route.pattern
                _refuse_foreign_pages(call, pattern)
            route = match.route
            pattern, call.params = route.pattern, match.params
            if house.guard is not None:
                token, cookie = call.header(b"x-authorization"), _cookie(call)
                call.admit(await house.guard.admit(route.method, pattern, token, cookie))
            if pattern in _GROWING and route.method in ("POST", "PUT"):
                house.engine.storage.admit_growth()
            response = await route.endpoint(call)
        except ClientGone:
            return None
        except Exception as error:  # noqa: BLE001 - the rim: nothing else stands before the server
            if isinstance(error, RowDamaged):
                house.engine.storage.record_damaged = True
            known = errors.answer_to(error, house.instance)
            if known is None:
                _log.exception("request_failed", method=method, route=pattern)
            response = known or errors.unexpected(house.instance)
        house.requests.count(method if pattern != "none" else "any", pattern, response.status_code)
        return response


def build_app(house: House) -> Api:
    """The API of a device as an ASGI application."""
    return Api(house)


def _document(routes: list[Route], version: str) -> Callable[[], Awaitable[bytes]]:
    """What describes a table; imported when somebody asks for it, which hardly any device sees."""
    describing: list[Callable[[], Awaitable[bytes]]] = []

    async def document() -> bytes:
        if not describing:
            openapi = await asyncio.to_thread(import_module, "edge.api.openapi")
            describing.append(openapi.Document(routes, version))
        return await describing[0]()

    return document


async def _receive_nothing() -> Message:
    """Nothing is received by whoever only looks at a head."""
    return {"type": "http.disconnect"}


def _first_segment(scope: Scope) -> str:
    path: str = scope["path"]
    return path[1:].partition("/")[0]


def _match(table: Table, scope: Scope) -> Match:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return table.match(scope["method"], raw.partition(b"?")[0].decode("latin-1"))


def _cookie(call: Call) -> str | None:
    """The view token of the pages; nothing else of a cookie is looked at."""
    for part in (call.header(b"cookie") or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == _VIEW_COOKIE:
            return value
    return None


class Forbidden(BatonError):
    """A page of another site asked a browser to change something here. Open the device's own."""

    code = "forbidden"
    status = 403


def _refuse_foreign_pages(call: Call, pattern: str) -> None:
    """Refuse what a browser sends for somebody else's page.

    The API asks for no password on the loopback interface, and a page from anywhere can make a
    browser post there. Clients that are no browsers send no Origin.
    """
    origin = call.header(b"origin")
    if call.scope["method"] in ("GET", "HEAD"):
        if pattern not in _CHANGING_GETS:
            return
        # A picture that a page shows is fetched without an Origin, but browsers tell its site.
        if call.header(b"sec-fetch-site") == "cross-site":
            raise Forbidden("A page of another site may not change anything on this device.")
    if origin is not None and origin.partition("://")[2] != call.header(b"host"):
        raise Forbidden(f"The page {origin[:200]!r} may not change anything on this device.")
