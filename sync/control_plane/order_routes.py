"""Endpoints for orders, to one device and to many.

No SQL and no signature stands here; what an order may hold is said by `sync.orders`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sync import orders as wire
from sync.control_plane import campaigns, fleet, new_orders, orders
from sync.control_plane.access import Area, Role
from sync.control_plane.access_routes import note
from sync.control_plane.answers import json_answer
from sync.control_plane.calls import ID_PATTERN, QUERY_LIMIT, Call, Operation
from sync.control_plane.campaigns import Campaign, Member, Preview, Progress
from sync.control_plane.dialect import Connection
from sync.control_plane.fleet_routes import known
from sync.control_plane.ledger import Ledger
from sync.control_plane.search_terms import QueryError, Term, parse
from sync.control_plane.views import OrderView
from sync.orders import Kind, State

T = TypeVar("T")

DEFAULT_EXPIRY_S = 24 * 3_600
ACTIONS = {
    "pause": Kind.PAUSE, "resume": Kind.RESUME, "retry": Kind.RETRY, "restart": Kind.RESTART,
    "terminate": Kind.TERMINATE,
}  # fmt: skip
"""What can be done with an execution, by the last word of the path."""

_ENDS = tuple(state.value for state in State if state not in wire.OPEN)

ExpiresIn = Annotated[int, msgspec.Meta(ge=1, le=wire.LONGEST_MS // 1_000)]
Rate = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Query = Annotated[str, msgspec.Meta(max_length=QUERY_LIMIT)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=48, pattern=ID_PATTERN)]
"""Without the dot, which stands in the ids that campaigns give to their orders."""


class Way(Protocol):
    """How the ledger is asked: to read or to write."""

    async def __call__(self, step: Callable[[Connection], T], /) -> T:
        """Run a step on it."""
        ...


class NewOrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An order to one device."""

    kind: str
    """One of start, pause, resume, retry, restart, terminate, put-workflow, put-task, put-config."""
    body: dict[str, Any]
    condition: dict[str, Any] | None = None
    """What must hold on the device; else the order has failed."""
    expires_in_s: ExpiresIn = DEFAULT_EXPIRY_S
    id: Id | None = None
    """Its idempotency key: the same again is the same order; null makes one."""


class SteerRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is said beside the action; all of it may be left out."""

    reason: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None
    """Of a termination."""
    resume_subworkflow_tasks: bool = False
    """Of a retry."""
    use_latest_definitions: bool = False
    """Of a restart."""
    expires_in_s: ExpiresIn = DEFAULT_EXPIRY_S
    id: Id | None = None


class ShownOrder(msgspec.Struct, frozen=True, rename="camel"):
    """One order, and how far it has come."""

    tenant: str
    device: str
    id: str
    kind: str
    body: msgspec.Raw
    condition: msgspec.Raw
    state: str
    """``queued``, ``sent``, ``received`` (the device has committed it), ``done``, ``failed``,
    ``expired`` or ``superseded``."""
    waits_for: str
    """For people; empty when it has ended."""
    issued_ms: int
    issued_by: str
    expires_ms: int
    sent_ms: int
    """0 = not sent."""
    sendings: int
    ended_ms: int
    """0 = it has not ended."""
    reason: str | None
    output: msgspec.Raw
    """What it came to; of a start ``{"workflowId": ...}``."""


class OrderList(msgspec.Struct, frozen=True):
    """A page of orders, newest first."""

    orders: list[ShownOrder]
    next: int | None


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which devices are meant: exactly one of these."""

    query: Query | None = None
    """Of the search box; empty = all devices."""
    group: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    devices: Annotated[list[str], msgspec.Meta(min_length=1, max_length=50)] | None = None
    """Names; a list of more is a group."""


class NewCampaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Orders to many devices."""

    target: Target
    kind: str
    body: dict[str, Any]
    title: Annotated[str, msgspec.Meta(max_length=200)] = ""
    condition: dict[str, Any] | None = None
    per_minute: Rate = 60
    """Orders that are given in a minute at most."""
    expires_in_s: ExpiresIn = DEFAULT_EXPIRY_S
    id: Id | None = None
    """Its idempotency key."""
    expected_devices: int | None = None
    """What the preview has said; when other devices have come in between, it is refused."""


class ShownCampaign(msgspec.Struct, frozen=True, rename="camel"):
    """Orders to many devices, and how far they have come."""

    id: str
    tenant: str
    title: str
    kind: str
    body: msgspec.Raw
    condition: msgspec.Raw
    """null = none."""
    query: str
    members: int
    per_minute: int
    created_ms: int
    created_by: str
    expires_ms: int
    state: str
    """``running``, ``stopped`` or ``finished``: whether orders are still to be given."""
    progress: Progress


class CampaignList(msgspec.Struct, frozen=True):
    """A page of campaigns, newest first."""

    campaigns: list[ShownCampaign]
    next: str | None
    """Give this back as ``after`` for the following page; null at the end."""


_LONGEST_WAIT_S = 60
"""For what an order comes to, in one request."""


class MemberList(msgspec.Struct, frozen=True):
    """Some devices of a campaign."""

    members: list[Member]
    next: int | None


class OrderApi:
    """Orders to one device and to many."""

    def __init__(self, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self._ledger = ledger
        self._now_ms = now_ms

    def operations(self) -> list[Operation]:
        """The lines of the route table."""
        area, operator = Area.ORDERS, Role.OPERATOR
        of_device, one = "/api/v1/devices/{device}/orders", "/api/v1/orders/{order}"
        many, campaign = "/api/v1/campaigns", "/api/v1/campaigns/{campaign}"
        page = ("open", "kind", "ended", "after", "limit", "tenant")
        steer = "/api/v1/executions/{device}/{workflow_id}/actions/{action}"
        return [
            Operation("POST", of_device, self.give, area, operator, body=NewOrderBody,
                      answer=ShownOrder),
            Operation("GET", of_device, self.of_device, area, query=page, answer=OrderList),
            Operation("POST", steer, self.steer, area, operator, body=SteerRequest,
                      answer=ShownOrder),
            Operation("GET", "/api/v1/orders", self.of_all, area, query=page, answer=OrderList),
            Operation("GET", one, self.one, area, query=("waitForSeconds",), answer=ShownOrder),
            Operation("DELETE", one, self.withdraw, area, operator, answer=ShownOrder),
            Operation("POST", many + "/preview", self.preview, area, body=Target, answer=Preview),
            Operation("POST", many, self.make, area, operator, body=NewCampaign,
                      answer=ShownCampaign),
            Operation("GET", many, self.campaigns, area, query=("after", "limit", "tenant"),
                      answer=CampaignList),
            Operation("GET", campaign, self.campaign, area, answer=ShownCampaign),
            Operation("GET", campaign + "/members", self.members, area,
                      query=("state", "after", "limit", "tenant"), answer=MemberList),
            Operation("POST", campaign + "/stop", self.stop, area, operator, answer=ShownCampaign),
        ]  # fmt: skip

    # Orders to one device.

    async def give(self, call: Call) -> Response:
        """Give a device an order; it is sent as soon as the device is there."""
        body = await call.body(NewOrderBody)
        _refuse_fetch(body.kind)
        shown = await self.order(
            call, call.part("device"), body.kind, body.body, condition=body.condition,
            expires_in_s=body.expires_in_s, order_id=body.id,
        )  # fmt: skip
        return json_answer(shown_order(shown), status=201)

    async def order(
        self,
        call: Call,
        device: str,
        kind: str,
        body: object,
        *,
        condition: object = None,
        expires_in_s: int = DEFAULT_EXPIRY_S,
        order_id: str | None = None,
    ) -> OrderView:
        """Give an order in a caller's name, with an entry of the audit.

        Raises:
            OrderInvalid, DeviceUnknown, OrderConflict: see `Ledger.order`.
        """
        now_ms = self._now_ms()

        def noted(connection: Connection, given: OrderView) -> None:
            detail = {"device": device, "kind": kind, "body": body}
            note(connection, call, "order.give", given.order_id, detail, at_ms=now_ms)

        return await self._ledger.order(
            device, kind, body, expires_ms=now_ms + expires_in_s * 1_000, tenant=call.tenant,
            condition=condition, issued_by=call.caller.name, order_id=order_id, noted=noted,
        )  # fmt: skip

    async def steer(self, call: Call) -> Response:
        """Order a device to pause, resume, retry, restart or terminate one of its executions."""
        action = call.part("action")
        kind = ACTIONS.get(action)
        if kind is None:
            raise HTTPException(404, f"action: {action[:50]!r} is none of {', '.join(ACTIONS)}")
        said = await call.body(SteerRequest)
        body: dict[str, Any] = {"workflowId": call.part("workflow_id")}
        if kind is Kind.TERMINATE and said.reason:
            body["reason"] = said.reason
        if kind is Kind.RETRY and said.resume_subworkflow_tasks:
            body["resumeSubworkflowTasks"] = True
        if kind is Kind.RESTART and said.use_latest_definitions:
            body["useLatestDefinitions"] = True
        given = await self.order(
            call, call.part("device"), kind.value, body, expires_in_s=said.expires_in_s,
            order_id=said.id,
        )  # fmt: skip
        return json_answer(shown_order(given), status=201)

    async def of_device(self, call: Call) -> Response:
        """The orders to one device, newest first."""
        return await self._page(call, call.part("device"))

    async def of_all(self, call: Call) -> Response:
        """The orders to all devices, newest first."""
        return await self._page(call, None)

    async def _page(self, call: Call, device: str | None) -> Response:
        after = call.number("after", default=0, least=1, most=2**53)
        kind, ended = call.text("kind"), call.text("ended")
        if kind is not None:
            wire.kind_of(kind)
        if ended is not None and ended not in _ENDS:
            raise HTTPException(400, f"ended must be one of {', '.join(_ENDS)}")
        page = await self._ledger.orders_of(
            device, tenant=call.tenant, open_only=call.flag("open"), kind=kind,
            ended=ended, after=after or None, limit=call.limit(),
        )  # fmt: skip
        return json_answer(OrderList([shown_order(row) for row in page.rows], page.next))

    async def one(self, call: Call) -> Response:
        """One order, and how far it has come; with waitForSeconds, when it has come to something."""
        order = await self._find(call)
        wait_s = call.number("waitForSeconds", default=0, least=0, most=_LONGEST_WAIT_S)
        if wait_s and not order.ended:
            order = await self._ledger.outcome(order.order_id, timeout_s=wait_s) or order
        return json_answer(shown_order(order))

    async def withdraw(self, call: Call) -> Response:
        """Take back an order that was not sent yet; one that was sent may have been carried out."""
        order, now_ms = await self._find(call), self._now_ms()

        def withdraw(connection: Connection) -> OrderView:
            found = orders.withdraw(
                connection, order.order_id, now_ms=now_ms,
                reason=f"{call.caller.name} has taken it back",
            )  # fmt: skip
            assert found is not None, "it has just been there"
            note(connection, call, "order.withdraw", order.order_id, at_ms=now_ms)
            return found

        return json_answer(shown_order(await self._ledger.write(withdraw)))

    async def _find(self, call: Call) -> OrderView:
        order = await self._ledger.find_order(call.part("order"))
        if order is None or order.tenant != call.tenant:
            raise HTTPException(404, f"there is no order {call.part('order')[:100]}")
        return order

    # Orders to many.

    async def preview(self, call: Call) -> Response:
        """Whom orders would hit, before any is given."""
        now_ms, tenant = self._now_ms(), call.tenant
        target = await call.body(Target)
        terms, _ = terms_of(target, now_ms)
        names = target.devices or []
        return json_answer(
            await asked(
                self._ledger.read,
                lambda c: campaigns.preview(
                    c, tenant=tenant, terms=terms, names=names, now_ms=now_ms
                ),
            )
        )

    async def make(self, call: Call) -> Response:
        """Give orders to many devices, so many a minute; who they are is frozen now."""
        new, now_ms, tenant = await call.body(NewCampaign), self._now_ms(), call.tenant
        kind = _refuse_fetch(new.kind)
        body = wire.json_of(new_orders.parse_body(kind, new.body))
        condition = b""
        if new.condition is not None:
            condition = wire.json_of(wire.parse_condition(new.condition))
        terms, query = terms_of(new.target, now_ms)
        campaign_id = new.id or _campaign_id(tenant, new, now_ms)

        def make(connection: Connection) -> ShownCampaign:
            refuse_unknown(connection, tenant, new.target)
            made = campaigns.make(
                connection, campaign_id=campaign_id, tenant=tenant, title=new.title, kind=kind,
                body=body, condition=condition, query=query, terms=terms,
                per_minute=new.per_minute, expires_ms=now_ms + new.expires_in_s * 1_000,
                created_by=call.caller.name, now_ms=now_ms,
            )  # fmt: skip
            same = (made.kind, bytes(made.body), bytes(made.condition), made.query)
            if same != (kind.value, body, condition, query):
                raise HTTPException(409, f"id: another campaign has the id {campaign_id}")
            refuse_nobody(made)
            refuse_others(new.expected_devices, made.members)
            note(connection, call, "campaign.create", campaign_id, new, at_ms=now_ms)
            campaigns.step(connection, now_ms=now_ms)
            return _shown_campaign(connection, made)

        shown = await asked(self._ledger.write, make)
        self._ledger.hint_orders()
        return json_answer(shown, status=201)

    async def campaigns(self, call: Call) -> Response:
        """Campaigns, newest first."""
        tenant, limit, after = call.tenant, call.limit(20), call.text("after")

        def read(connection: Connection) -> CampaignList:
            found, following = campaigns.newest(connection, tenant, limit=limit, after=after)
            return CampaignList(_shown_campaigns(connection, found), following)

        try:
            return json_answer(await self._ledger.read(read))
        except QueryError as error:
            raise HTTPException(400, str(error)) from error

    async def campaign(self, call: Call) -> Response:
        """One campaign, and how far its orders have come."""
        tenant, campaign_id = call.tenant, call.part("campaign")
        return json_answer(
            await self._ledger.read(
                lambda c: _shown_campaigns(c, [campaign_of(c, tenant, campaign_id)])[0]
            )
        )

    async def members(self, call: Call) -> Response:
        """The devices of a campaign in the order of their turns, each with its order."""
        tenant, campaign_id, limit = call.tenant, call.part("campaign"), call.limit()
        after = call.number("after", default=0, least=0, most=2**53)
        state = call.text("state")
        if state is not None and state not in campaigns.STATES:
            raise HTTPException(400, f"state must be one of {', '.join(campaigns.STATES)}")

        def read(connection: Connection) -> MemberList:
            campaign = campaign_of(connection, tenant, campaign_id)
            found = campaigns.members(
                connection, campaign, after=after, limit=limit + 1, state=state
            )
            shown = found[:limit]
            return MemberList(shown, shown[-1].place if len(found) > limit else None)

        return json_answer(await self._ledger.read(read))

    async def stop(self, call: Call) -> Response:
        """Give no more orders of a campaign, and take back what was not sent."""
        tenant, campaign_id, now_ms = call.tenant, call.part("campaign"), self._now_ms()

        def stop(connection: Connection) -> ShownCampaign:
            found = campaigns.stop(connection, tenant, campaign_id, now_ms=now_ms)
            if found is None:
                raise HTTPException(404, f"there is no campaign {campaign_id[:100]}")
            note(connection, call, "campaign.stop", campaign_id, at_ms=now_ms)
            return _shown_campaign(connection, found)

        return json_answer(await self._ledger.write(stop))


async def asked(way: Way, step: Callable[[Connection], T]) -> T:
    """What a step on a target comes to; one that cannot be asked is the caller's mistake."""
    try:
        return await way(step)
    except QueryError as error:
        raise HTTPException(400, error.of("target.query")) from error


def refuse_unknown(connection: Connection, tenant: str, target: Target) -> None:
    """A name that is mistyped must not just be missing among those that get an order.

    Raises:
        HTTPException: a device that the target names is not known.
    """
    if target.devices is not None:
        known(connection, tenant, "target.devices", target.devices)


def refuse_nobody(made: Campaign) -> None:
    """Who is meant is frozen when it is made: what is for nobody then is never for anybody.

    Raises:
        HTTPException: no device is meant.
    """
    if not made.members:
        raise HTTPException(
            400,
            "target: no device is meant now, and devices that come later would get nothing; "
            "look at the preview",
        )


def refuse_others(expected: int | None, members: int) -> None:
    """Raises HTTPException when other devices have come in since somebody looked."""
    if expected not in (None, members):
        raise HTTPException(
            409,
            f"expectedDevices: {expected} were expected and there are {members} now; "
            "look at the preview again",
        )


def shown_order(view: OrderView) -> ShownOrder:
    """An order as answers show it."""
    return ShownOrder(
        tenant=view.tenant,
        device=view.device,
        id=view.order_id,
        kind=view.kind,
        body=msgspec.Raw(view.body or b"null"),
        condition=msgspec.Raw(view.condition or b"null"),
        state=view.state,
        waits_for=view.waits_for,
        issued_ms=view.issued_ms,
        issued_by=view.issued_by,
        expires_ms=view.expires_ms,
        sent_ms=view.sent_ms,
        sendings=view.sendings,
        ended_ms=view.ended_ms,
        reason=view.reason,
        output=msgspec.Raw(view.output or b"null"),
    )


def terms_of(target: Target, now_ms: int) -> tuple[list[Term], str]:
    """What a target finds, and the query that says so. Raises HTTPException."""
    said = [one for one in (target.query, target.group, target.devices) if one is not None]
    if len(said) != 1:
        raise HTTPException(400, "target: name exactly one of query, group, devices")
    query = target.query
    if target.group is not None:
        query = f'group:"{target.group}"'
    elif target.devices is not None:
        query = "device:" + ",".join(f'"{one}"' for one in target.devices)
    assert query is not None
    try:
        return parse(query, fleet.FIELDS, now_ms=now_ms), query
    except QueryError as error:
        raise HTTPException(400, error.of("target.query")) from error


def _refuse_fetch(kind: str) -> Kind:
    """The kind, unless it fetches something, for which a token needs another area.

    Raises:
        OrderInvalid: it does, or there is none of this name.
    """
    found = wire.kind_of(kind)
    if found in wire.FETCHES:
        raise wire.OrderInvalid(
            f"kind: {kind} is given to one device by POST /api/v1/devices/DEVICE/logs, /task-logs, "
            "/files or /histories"
        )
    return found


def _campaign_id(tenant: str, new: NewCampaign, now_ms: int) -> str:
    digest = hashlib.sha256(tenant.encode() + msgspec.json.encode(new)).hexdigest()
    return f"{now_ms:012x}{digest[:12]}"


def campaign_of(connection: Connection, tenant: str, campaign_id: str) -> Campaign:
    """A campaign of a tenant. Raises HTTPException."""
    found = campaigns.find(connection, tenant, campaign_id)
    if found is None:
        raise HTTPException(404, f"there is no campaign {campaign_id[:100]}")
    return found


def _shown_campaign(connection: Connection, campaign: Campaign) -> ShownCampaign:
    """A campaign as it stands now, whatever has happened to it since it was read."""
    (shown,) = _shown_campaigns(
        connection, [campaign_of(connection, campaign.tenant, campaign.campaign_id)]
    )
    return shown


def _shown_campaigns(connection: Connection, found: list[Campaign]) -> list[ShownCampaign]:
    return [
        ShownCampaign(
            id=one.campaign_id,
            tenant=one.tenant,
            title=one.title,
            kind=one.kind,
            body=msgspec.Raw(bytes(one.body)),
            condition=msgspec.Raw(bytes(one.condition) or b"null"),
            query=one.query,
            members=one.devices,
            per_minute=one.per_minute,
            created_ms=one.created_ms,
            created_by=one.created_by,
            expires_ms=one.expires_ms,
            state=one.state,
            progress=progress,
        )
        for one, progress in zip(found, campaigns.progress(connection, found), strict=True)
    ]
