"""Endpoints for devices, tags, groups, the figures of the fleet, and the stream of changes.

No SQL stands here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from sync.control_plane import alerts, fleet, tally
from sync.control_plane.access import ALL, Area, Role
from sync.control_plane.access_routes import note
from sync.control_plane.answers import json_answer
from sync.control_plane.calls import QUERY_LIMIT, TAG_PATTERN, Call, Operation, checked_name
from sync.control_plane.dialect import Connection
from sync.control_plane.fleet import FIELDS, ORDERS, TAGS_LIMIT, FleetRow, Group
from sync.control_plane.guard import Guard
from sync.control_plane.ledger import Ledger
from sync.control_plane.search_terms import QueryError, Term, parse
from sync.control_plane.stream import Streams
from sync.control_plane.views import GapView, NoticeView
from sync.control_plane.wire import Recent, Standing, metrics_text, summary_json

DAY_MS = 24 * 3600 * 1000
HOUR_MS = 3600 * 1000
_MEMBERS_LIMIT = 10_000

_FRESH_MS = 1_000
"""Figures are counted at most once a second, however many pages are open."""

T = TypeVar("T")

Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=TAG_PATTERN)]
Description = Annotated[str, msgspec.Meta(max_length=500)]


class ShownDevice(FleetRow, frozen=True, rename="camel"):
    """One device, and what it did in the last day."""

    recent: Recent


class DeviceList(msgspec.Struct, frozen=True):
    """A page of devices."""

    devices: list[ShownDevice]
    next: str | None
    """Give this back as ``after`` for the following page; null at the end."""
    states: dict[str, int]
    """How many of all devices of the tenant are in each state."""
    total: int | None = None
    """How many the query finds; null when it was not asked for with ``count=true``."""


class GapList(msgspec.Struct, frozen=True):
    """Ranges that will not come."""

    gaps: list[GapView]


class NoticeList(msgspec.Struct, frozen=True):
    """What a person should know of devices."""

    notices: list[NoticeView]


class NewDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device that is to be known before it is heard of."""

    device: str
    tags: Annotated[list[Tag], msgspec.Meta(max_length=TAGS_LIMIT)] = []


class Tags(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tags of a device."""

    tags: Annotated[list[Tag], msgspec.Meta(max_length=TAGS_LIMIT)]


class TagList(msgspec.Struct, frozen=True):
    """All tags, each with how many devices have it."""

    tags: dict[str, int]


class GroupBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a group is."""

    description: Description = ""
    query: Annotated[str, msgspec.Meta(min_length=1, max_length=QUERY_LIMIT)] | None = None
    """Of a dynamic group; null = the members are listed."""
    members: Annotated[list[str], msgspec.Meta(max_length=_MEMBERS_LIMIT)] | None = None
    """Of a static group, in the place of those that it has; null = they stay."""


class MembersBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of a static group."""

    add: Annotated[list[str], msgspec.Meta(max_length=_MEMBERS_LIMIT)] = []
    remove: Annotated[list[str], msgspec.Meta(max_length=_MEMBERS_LIMIT)] = []


class ShownGroup(Group, frozen=True, rename="camel"):
    """A group, and how many devices are in it."""

    devices: int
    problem: str = ""
    """Why its query finds nothing any more; empty when it does."""


class GroupList(msgspec.Struct, frozen=True):
    """All groups by name."""

    groups: list[ShownGroup]


class Kept(Generic[T]):
    """Figures that are costly to count, kept for a second, by tenant."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._kept: dict[str, tuple[int, T]] = {}

    def fresh(self, tenant: str) -> T | None:
        """The figure, or None when it must be counted again."""
        at_ms, value = self._kept.get(tenant, (-_FRESH_MS, None))
        return None if abs(self._now_ms() - at_ms) >= _FRESH_MS else value

    def keep(self, tenant: str, value: T) -> T:
        """Remember a figure just counted."""
        if len(self._kept) > 1_000:
            self._kept.clear()
        self._kept[tenant] = (self._now_ms(), value)
        return value


class FleetApi:
    """Devices, tags, groups, figures and the stream: each decodes, asks the ledger, encodes."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        now_ms: Callable[[], int],
        broker_connected: Callable[[], bool] | None,
        guard: Guard,
    ) -> None:
        self.streams = Streams(ledger)
        self._guard = guard
        self._ledger = ledger
        self._now_ms = now_ms
        self._broker_connected = broker_connected
        self._states: Kept[dict[str, int]] = Kept(now_ms)
        self._summary: Kept[dict[str, Any]] = Kept(now_ms)

    def operations(self) -> list[Operation]:
        """The lines of the route table."""
        area, operator = Area.DEVICES, Role.OPERATOR
        one, group = "/api/v1/devices/{device}", "/api/v1/groups/{group}"
        page = ("q", "sort", "count", "after", "limit", "tenant")
        return [
            Operation("GET", "/api/v1/devices", self.devices, area, query=page, answer=DeviceList),
            Operation("POST", "/api/v1/devices", self.register, area, operator, body=NewDevice,
                      answer=ShownDevice),
            Operation("GET", one, self.device, area, answer=ShownDevice),
            Operation("PUT", one + "/tags", self.put_tags, area, operator, body=Tags,
                      answer=ShownDevice),
            Operation("GET", one + "/gaps", self.gaps, area, answer=GapList),
            Operation("GET", "/api/v1/notices", self.notices, area,
                      query=("device", "newest", "after", "limit", "tenant"), answer=NoticeList),
            Operation("GET", "/api/v1/tags", self.tags, area, answer=TagList),
            Operation("GET", "/api/v1/groups", self.groups, area, answer=GroupList),
            Operation("GET", group, self.group, area, answer=ShownGroup),
            Operation("PUT", group, self.put_group, area, operator, body=GroupBody,
                      answer=ShownGroup),
            Operation("PATCH", group + "/members", self.change_members, area, operator,
                      body=MembersBody, answer=ShownGroup),
            Operation("DELETE", group, self.remove_group, area, operator),
            Operation("GET", "/api/v1/summary", self.summary, area),
            Operation("GET", "/api/v1/figures", self.figures, area, query=("hours", "tenant")),
            Operation("GET", "/api/v1/stream", self.stream, area, query=("lastEventId",)),
            Operation("GET", "/health", self.health, None),
            Operation("GET", "/metrics", self.metrics, None),
        ]  # fmt: skip

    # Devices.

    async def devices(self, call: Call) -> Response:
        """A page of the devices that a query finds, with what each did in the last day."""
        now_ms, tenant = self._now_ms(), call.tenant
        terms = terms_of(call, now_ms)
        order = call.text("sort") or "device"
        if order not in ORDERS:
            raise HTTPException(400, f"sort must be one of {', '.join(ORDERS)}")
        after, limit = call.text("after"), call.limit(500)

        counted = call.flag("count")

        def read(connection: Connection) -> tuple[list[ShownDevice], str | None, int | None]:
            page = fleet.page(
                connection, tenant=tenant, terms=terms, now_ms=now_ms, order=order, after=after,
                limit=limit,
            )  # fmt: skip
            total = None
            if counted and terms:
                total = fleet.count(connection, tenant=tenant, terms=terms, now_ms=now_ms)
            return self._with_recent(connection, page.rows), page.next, total

        shown, following, total = await self._ask(read)
        states = self._states.fresh(tenant)
        if states is None:
            found = await self._ledger.read(lambda c: fleet.states(c, tenant))
            states = self._states.keep(tenant, found)
        if counted and not terms:
            # All of them are counted already.
            total = sum(states.values())
        return json_answer(DeviceList(shown, following, states, total))

    async def device(self, call: Call) -> Response:
        """One device."""
        return json_answer(await self._find(call.tenant, call.part("device")))

    async def gaps(self, call: Call) -> Response:
        """What of a device's history will not come, and why, as far as it has told."""
        tenant, device = call.tenant, call.part("device")
        await self._find(tenant, device)
        found = await self._ledger.gaps(device, tenant=tenant)
        return json_answer(GapList(found))

    async def notices(self, call: Call) -> Response:
        """What a person should know of devices, such as two under one name; oldest first."""
        after = call.number("after", default=0, least=0, most=2**53)
        found = await self._ledger.notices(
            tenant=call.tenant, after_ms=after, limit=call.limit(100), device=call.text("device"),
            newest_first=call.flag("newest"),
        )  # fmt: skip
        return json_answer(NoticeList(found))

    async def register(self, call: Call) -> Response:
        """Make a device known before it has been heard of; it is shown as ``never``."""
        body, tenant, now_ms = await call.body(NewDevice), call.tenant, self._now_ms()
        device = checked_name("device", body.device)

        def register(connection: Connection) -> bool:
            if not fleet.register(connection, tenant, device):
                return False
            fleet.put_tags(
                connection, fleet.ids_of(connection, tenant, [device])[device], body.tags
            )
            note(connection, call, "device.register", device, body, at_ms=now_ms)
            fleet.refresh(connection)
            return True

        if not await self._ledger.write(register):
            raise HTTPException(409, f"device: {device} is known already")
        return json_answer(await self._find(tenant, device), status=201)

    async def put_tags(self, call: Call) -> Response:
        """Put tags in the place of those that a device has."""
        body, tenant, now_ms = await call.body(Tags), call.tenant, self._now_ms()
        device = call.part("device")
        found = await self._find(tenant, device)

        def put(connection: Connection) -> None:
            before = fleet.tags_of(connection, [found.device_id]).get(found.device_id, [])
            fleet.put_tags(connection, found.device_id, body.tags)
            detail = {"before": before, "after": body.tags}
            note(connection, call, "device.tags", device, detail, at_ms=now_ms)

        await self._ledger.write(put)
        return json_answer(await self._find(tenant, device))

    async def tags(self, call: Call) -> Response:
        """All tags, each with how many devices have it."""
        tenant = call.tenant
        return json_answer(TagList(await self._ledger.read(lambda c: fleet.all_tags(c, tenant))))

    # Groups.

    async def groups(self, call: Call) -> Response:
        """All groups, each with how many devices are in it."""
        tenant = call.tenant

        def read(connection: Connection) -> list[ShownGroup]:
            return [
                self._shown(connection, tenant, one) for one in fleet.groups(connection, tenant)
            ]

        return json_answer(GroupList(await self._ledger.read(read)))

    async def group(self, call: Call) -> Response:
        """One group; its devices are found with ``q=group:NAME``."""
        tenant, name = call.tenant, call.part("group")

        def read(connection: Connection) -> ShownGroup:
            return self._shown(connection, tenant, _group(connection, tenant, name))

        return json_answer(await self._ledger.read(read))

    async def put_group(self, call: Call) -> Response:
        """Make a group, or change one that is there."""
        body, tenant, now_ms = await call.body(GroupBody), call.tenant, self._now_ms()
        name = checked_name("group", call.part("group"))
        if body.query is not None and body.members is not None:
            raise HTTPException(400, "members: a group with a query finds its own")

        def put(connection: Connection) -> ShownGroup:
            before = fleet.find_group(connection, tenant, name)
            group = fleet.put_group(
                connection, tenant, name, description=body.description, query=body.query,
                now_ms=now_ms,
            )  # fmt: skip
            if body.query is not None:
                # Asked once, so that what cannot be is refused while somebody looks.
                terms = parse(body.query, FIELDS, now_ms=now_ms)
                fleet.count(connection, tenant=tenant, terms=terms, now_ms=now_ms)
                _refuse_circle(connection, tenant, name, now_ms)
            if body.members is not None:
                ids = known(connection, tenant, "members", body.members).values()
                kept = fleet.members(connection, group)
                fleet.change_members(connection, group, add=[*ids], remove=[*kept - set(ids)])
            detail = {"before": before, "after": body}
            note(connection, call, "group.put", name, detail, at_ms=now_ms)
            return self._shown(connection, tenant, group)

        return json_answer(await self._change(put))

    async def change_members(self, call: Call) -> Response:
        """Put devices into a static group and take others out: all or none."""
        body, tenant, now_ms = await call.body(MembersBody), call.tenant, self._now_ms()
        name = call.part("group")

        def change(connection: Connection) -> ShownGroup:
            group = _group(connection, tenant, name)
            if group.query is not None:
                raise HTTPException(409, f"{name} is a query: change that, or the devices' tags")
            add = [*known(connection, tenant, "add", body.add).values()]
            remove = [*known(connection, tenant, "remove", body.remove).values()]
            fleet.change_members(connection, group, add=add, remove=remove)
            note(connection, call, "group.members", name, body, at_ms=now_ms)
            return self._shown(connection, tenant, group)

        return json_answer(await self._change(change))

    async def remove_group(self, call: Call) -> Response:
        """Take a group away; its devices stay."""
        tenant, now_ms, name = call.tenant, self._now_ms(), call.part("group")

        def remove(connection: Connection) -> None:
            group = _group(connection, tenant, name)
            fleet.remove_group(connection, group)
            note(connection, call, "group.remove", name, {"before": group}, at_ms=now_ms)

        await self._change(remove)
        return Response(status_code=204)

    # Figures.

    async def summary(self, call: Call) -> Response:
        """The fleet in figures: of all tenants, or of the one that the token is held to.

        What is the control plane's own and of no tenant is null for a token of one tenant.
        """
        own = call.caller.tenant
        figures = self._summary.fresh(own)
        if figures is None:
            every, since_ms = own == ALL, self._now_ms() - HOUR_MS
            figures = self._summary.keep(
                own,
                summary_json(
                    await self._ledger.summary(tenant=None if every else own),
                    await self._ledger.lag_percentiles(since_ms=since_ms) if every else None,
                    broker_connected=self._broker_connected and self._broker_connected(),
                    ledger_trouble=self._ledger.trouble,
                    streams=self.streams.open,
                ),
            )
        return json_answer(figures)

    async def figures(self, call: Call) -> Response:
        """Executions and failures by hour and by workflow, and devices by state and release."""
        tenant = call.tenant
        span = call.number("hours", default=24, least=1, most=24 * 31)
        since_ms = self._now_ms() - span * HOUR_MS

        def read(connection: Connection) -> dict[str, Any]:
            hours = tally.hours(connection, tenant=tenant, since_ms=since_ms)
            flows = tally.workflows(connection, tenant=tenant, since_ms=since_ms)
            return {
                "hours": [
                    {"hour": one[0], "executions": one[1], "failures": one[2]} for one in hours
                ],
                "workflows": [
                    {"name": one[0], "executions": one[1], "failures": one[2]} for one in flows
                ],
                "statuses": tally.statuses(connection, tenant=tenant),
                "states": fleet.states(connection, tenant),
                "versions": fleet.versions(connection, tenant),
            }

        return json_answer(await self._ledger.read(read))

    async def stream(self, call: Call) -> Response:
        """Changes as server-sent events; resumes after ``Last-Event-ID``."""
        if self.streams.full:
            raise HTTPException(503, "too many pages follow live; this one tries again")
        # A browser that opens a new stream by itself cannot set the header, hence the query.
        request = call.request
        seen = request.headers.get("last-event-id") or request.query_params.get("lastEventId", "")
        last_seen = int(seen) if re.fullmatch(r"[0-9]{1,18}", seen) else None
        return StreamingResponse(
            self.streams.follow(
                last_seen, call.tenant, admitted=lambda: self._guard.still_good(request)
            ),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def health(self, _: Call) -> Response:
        """Up while the ledger answers and takes what is written; a broker that is down is no error."""
        await self._ledger.newest_change()
        trouble = self._ledger.trouble
        answer = {"status": "down" if trouble else "up", "ledger": trouble or "up"}
        if self._broker_connected is not None:
            answer["broker"] = "connected" if self._broker_connected() else "disconnected"
        return json_answer(answer, status=503 if trouble else 200)

    async def metrics(self, _: Call) -> Response:
        """The figures for Prometheus."""
        text = metrics_text(
            await self._ledger.summary(),
            await self._ledger.lag_percentiles(since_ms=self._now_ms() - HOUR_MS),
            streams=self.streams.open,
            more=await self._ledger.read(_standing),
        )
        return Response(text, media_type="text/plain; version=0.0.4")

    # What several of them need.

    async def _find(self, tenant: str, device: str) -> ShownDevice:
        def read(connection: Connection) -> list[ShownDevice]:
            row = fleet.find(connection, tenant, device)
            return [] if row is None else self._with_recent(connection, [row])

        found = await self._ledger.read(read)
        if not found:
            raise HTTPException(404, f"no device {device[:100]} has been heard of")
        return found[0]

    def _with_recent(self, connection: Connection, rows: list[FleetRow]) -> list[ShownDevice]:
        since_ms = self._now_ms() - DAY_MS
        counts = fleet.recent(connection, [row.device_id for row in rows], since_ms=since_ms)
        return [
            ShownDevice(
                **msgspec.structs.asdict(row), recent=Recent(*counts.get(row.device_id, (0, 0)))
            )
            for row in rows
        ]

    def _shown(self, connection: Connection, tenant: str, group: Group) -> ShownGroup:
        now_ms, devices, problem = self._now_ms(), 0, ""
        try:
            terms = parse(f"group:{group.name}", FIELDS, now_ms=now_ms)
            devices = fleet.count(connection, tenant=tenant, terms=terms, now_ms=now_ms)
        except QueryError as error:
            # A group that it names has been taken away since.
            problem = error.of("query")
        return ShownGroup(**msgspec.structs.asdict(group), devices=devices, problem=problem)

    async def _ask(self, read: Callable[[Connection], T]) -> T:
        try:
            return await self._ledger.read(read)
        except QueryError as error:
            raise HTTPException(400, str(error)) from error

    async def _change(self, change: Callable[[Connection], T]) -> T:
        try:
            return await self._ledger.write(change)
        except QueryError as error:
            raise HTTPException(400, error.of("query")) from error


def _standing(connection: Connection) -> Standing:
    def number(statement: str) -> int:
        return int(connection.execute(statement).fetchone()[0])

    return Standing(
        states=fleet.states(connection, None),
        orders_open=number("SELECT COUNT(*) FROM device_order WHERE ended IS NULL"),
        alerts_firing=alerts.firing(connection),
        messages_waiting=number("SELECT COUNT(*) FROM alert_delivery WHERE done_ms = 0"),
    )


def terms_of(call: Call, now_ms: int) -> list[Term]:
    """The terms of a search over devices. Raises HTTPException."""
    try:
        return parse(call.text("q", longest=QUERY_LIMIT) or "", FIELDS, now_ms=now_ms)
    except QueryError as error:
        raise HTTPException(400, str(error)) from error


def _group(connection: Connection, tenant: str, name: str) -> Group:
    found = fleet.find_group(connection, tenant, name)
    if found is None:
        raise HTTPException(404, f"there is no group {name[:100]}")
    return found


def _refuse_circle(connection: Connection, tenant: str, name: str, now_ms: int) -> None:
    """A group that is asked for through itself would be asked for for ever."""
    terms = parse(f"group:{name}", FIELDS, now_ms=now_ms)
    fleet.where(connection, tenant, terms, {}, now_ms=now_ms)


def known(connection: Connection, tenant: str, field: str, devices: list[str]) -> dict[str, int]:
    """The ids of devices by their names, all of which are known. Raises HTTPException."""
    found = fleet.ids_of(connection, tenant, devices)
    unknown = [one for one in devices if one not in found]
    if unknown:
        raise HTTPException(400, f"{field}: no device {unknown[0][:100]!r} has been heard of")
    return found
