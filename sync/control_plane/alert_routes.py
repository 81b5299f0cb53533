"""Endpoints for alerts: rules, channels, what is firing, what was told.

No SQL stands here, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sync.control_plane import alerts, fleet
from sync.control_plane.access import Area, Role
from sync.control_plane.access_routes import note
from sync.control_plane.alerts import Alert, Channel, Delivery, Rule, RuleBody
from sync.control_plane.answers import json_answer
from sync.control_plane.calls import Call, Operation, checked_name
from sync.control_plane.dialect import Connection
from sync.control_plane.ledger import Ledger
from sync.control_plane.search_terms import QueryError, parse

_STATES = ("pending", "firing", "resolved")
_NO_MAIL = ',;<>[]"()\\'
"""Characters of lists, comments and quotes, which no address of a channel needs."""


class ShownRule(msgspec.Struct, frozen=True):
    """A rule and its name."""

    name: str
    rule: RuleBody


class RuleList(msgspec.Struct, frozen=True):
    """All rules by name."""

    rules: list[ShownRule]


class ChannelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way to tell somebody."""

    kind: Literal["webhook", "email", "mqtt"]
    address: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
    """``https://...``, ``somebody@example.org``, a topic."""


class ChannelList(msgspec.Struct, frozen=True):
    """All channels by name."""

    channels: list[Channel]


class AlertList(msgspec.Struct, frozen=True):
    """Alerts, newest first."""

    alerts: list[Alert]
    next: int | None
    """Give this back as ``after`` for the following page; null at the end."""


class DeliveryList(msgspec.Struct, frozen=True):
    """The newest messages."""

    deliveries: list[Delivery]


class AlertApi:
    """Rules, channels, alerts and messages."""

    def __init__(self, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self._ledger = ledger
        self._now_ms = now_ms

    def operations(self) -> list[Operation]:
        """The lines of the route table."""
        area, admin, operator = Area.ALERTS, Role.ADMIN, Role.OPERATOR
        rule, channel = "/api/v1/alert-rules/{rule}", "/api/v1/alert-channels/{channel}"
        return [
            Operation("GET", "/api/v1/alerts", self.alerts, area,
                      query=("state", "after", "limit", "tenant"), answer=AlertList),
            Operation("POST", "/api/v1/alerts/{alert}/acknowledge", self.acknowledge, area,
                      operator),
            Operation("GET", "/api/v1/alert-rules", self.rules, area, answer=RuleList),
            Operation("PUT", rule, self.put_rule, area, admin, body=RuleBody, answer=ShownRule),
            Operation("DELETE", rule, self.remove_rule, area, admin),
            Operation("GET", "/api/v1/alert-channels", self.channels, area, admin,
                      answer=ChannelList),
            Operation("PUT", channel, self.put_channel, area, admin, body=ChannelBody,
                      answer=Channel),
            Operation("DELETE", channel, self.remove_channel, area, admin),
            Operation("POST", channel + "/test", self.test_channel, area, admin),
            Operation("GET", "/api/v1/alert-deliveries", self.deliveries, area, admin,
                      query=("limit", "tenant"), answer=DeliveryList),
        ]  # fmt: skip

    async def alerts(self, call: Call) -> Response:
        """What rules have found, newest first."""
        tenant, state, limit = call.tenant, call.text("state"), call.limit()
        if state is not None and state not in _STATES:
            raise HTTPException(400, f"state must be one of {', '.join(_STATES)}")
        after = call.number("after", default=0, least=1, most=2**53)
        found = await self._ledger.read(
            lambda c: alerts.listed(c, tenant, state=state, after=after or None, limit=limit + 1)
        )
        shown = found[:limit]
        return json_answer(AlertList(shown, shown[-1].alert_id if len(found) > limit else None))

    async def acknowledge(self, call: Call) -> Response:
        """Note that the caller looks after an alert."""
        number, tenant, now_ms = call.part("alert"), call.tenant, self._now_ms()
        if not number.isdecimal() or len(number) > 16:
            raise HTTPException(400, "alert: name it by its number")

        def acknowledge(connection: Connection) -> bool:
            name = call.caller.name
            if not alerts.acknowledge(connection, tenant, int(number), name):
                return False
            note(connection, call, "alert.acknowledge", number, at_ms=now_ms)
            return True

        if not await self._ledger.write(acknowledge):
            raise HTTPException(404, f"there is no alert {number}")
        return Response(status_code=204)

    async def rules(self, call: Call) -> Response:
        """All rules."""
        tenant = call.tenant
        found = await self._ledger.read(lambda c: alerts.all_rules(c, tenant))
        return json_answer(RuleList([ShownRule(one.name, one.body) for one in found]))

    async def put_rule(self, call: Call) -> Response:
        """Make a rule, or change one that is there; it is looked at within some seconds."""
        body, tenant, now_ms = await call.body(RuleBody), call.tenant, self._now_ms()
        name = checked_name("rule", call.part("rule"))
        if body.query and body.kind == "failure-rate" and body.by == "workflow":
            raise HTTPException(
                400, "query: executions counted by workflow are those of all devices"
            )

        def put(connection: Connection) -> None:
            known = {one.name for one in alerts.channels(connection, tenant)}
            unknown = [one for one in body.channels if one not in known]
            if unknown:
                raise HTTPException(400, f"channels: there is no channel {unknown[0][:100]!r}")
            try:
                terms = parse(body.query, fleet.FIELDS, now_ms=now_ms)
                fleet.count(connection, tenant=tenant, terms=terms, now_ms=now_ms)
            except QueryError as error:
                raise HTTPException(400, error.of("query")) from error
            alerts.put_rule(connection, Rule(tenant, name, body))
            note(connection, call, "alert-rule.put", name, body, at_ms=now_ms)

        await self._ledger.write(put)
        return json_answer(ShownRule(name, body))

    async def remove_rule(self, call: Call) -> Response:
        """Take a rule away; what it has found is resolved."""
        name, tenant, now_ms = call.part("rule"), call.tenant, self._now_ms()

        def remove(connection: Connection) -> bool:
            if not alerts.remove_rule(connection, tenant, name, now_ms=now_ms):
                return False
            note(connection, call, "alert-rule.remove", name, at_ms=now_ms)
            return True

        if not await self._ledger.write(remove):
            raise HTTPException(404, f"there is no rule {name[:100]}")
        return Response(status_code=204)

    async def channels(self, call: Call) -> Response:
        """All channels."""
        tenant = call.tenant
        return json_answer(
            ChannelList(await self._ledger.read(lambda c: alerts.channels(c, tenant)))
        )

    async def put_channel(self, call: Call) -> Response:
        """Make a channel, or change one that is there."""
        body, tenant, now_ms = await call.body(ChannelBody), call.tenant, self._now_ms()
        channel = Channel(checked_name("channel", call.part("channel")), body.kind, body.address)
        _check(channel)

        def put(connection: Connection) -> None:
            alerts.put_channel(connection, tenant, channel)
            note(connection, call, "alert-channel.put", channel.name, channel, at_ms=now_ms)

        await self._ledger.write(put)
        return json_answer(channel)

    async def remove_channel(self, call: Call) -> Response:
        """Take a channel away, once no rule names it."""
        name, tenant, now_ms = call.part("channel"), call.tenant, self._now_ms()

        def remove(connection: Connection) -> None:
            _known(connection, tenant, name)
            for rule in alerts.all_rules(connection, tenant):
                if name in rule.body.channels:
                    raise HTTPException(409, f"the rule {rule.name} tells this channel; change it")
            alerts.remove_channel(connection, tenant, name)
            note(connection, call, "alert-channel.remove", name, at_ms=now_ms)

        await self._ledger.write(remove)
        return Response(status_code=204)

    async def test_channel(self, call: Call) -> Response:
        """Send a message that says that it is a test; see the list of messages for how it went."""
        name, tenant, now_ms = call.part("channel"), call.tenant, self._now_ms()
        message = {
            "tenant": tenant, "rule": "test", "kind": "test", "state": "firing", "at": now_ms,
            "count": 1, "subjects": [{"subject": "", "value": f"a test by {call.caller.name}"}],
        }  # fmt: skip

        def test(connection: Connection) -> None:
            _known(connection, tenant, name)
            alerts.enqueue(connection, tenant, name, message, now_ms=now_ms)

        await self._ledger.write(test)
        return Response(status_code=202)

    async def deliveries(self, call: Call) -> Response:
        """The newest messages, and how each has gone."""
        tenant, limit = call.tenant, call.limit()
        found = await self._ledger.read(lambda c: alerts.deliveries(c, tenant, limit=limit))
        return json_answer(DeliveryList(found))


def _known(connection: Connection, tenant: str, name: str) -> None:
    if name not in {one.name for one in alerts.channels(connection, tenant)}:
        raise HTTPException(404, f"there is no channel {name[:100]}")


def _is_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
        # The port is looked at when it is asked for.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check(channel: Channel) -> None:
    """Refuse an address that can be none. Raises HTTPException."""
    address = channel.address
    match channel.kind:
        case "webhook":
            if not _is_web(address):
                raise HTTPException(400, "address: a web hook is http://... or https://...")
        case "email":
            name, _, host = address.partition("@")
            if not name or not host or any(one.isspace() or one in _NO_MAIL for one in address):
                raise HTTPException(400, "address: one e-mail address, such as ops@example.org")
        case _:
            wild = any(one in address for one in "+#\0")
            if wild or address.startswith(("$", "baton/")) or len(address.encode()) > 500:
                raise HTTPException(
                    400, "address: a topic without + and #, and none of those under baton/ or $"
                )
