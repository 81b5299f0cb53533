"""Endpoints for what devices are wanted to have: versions, pushes, and who differs.

No SQL stands here. A push is a campaign of orders; what is pushed is said by `sync.orders`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sync import orders as wire
from sync.control_plane import campaigns, new_orders, wanted
from sync.control_plane.access import Area, Role
from sync.control_plane.access_routes import note
from sync.control_plane.answers import json_answer
from sync.control_plane.calls import Call, Operation
from sync.control_plane.campaigns import Progress
from sync.control_plane.dialect import Connection
from sync.control_plane.ledger import Ledger
from sync.control_plane.order_routes import (
    ExpiresIn,
    Rate,
    Target,
    asked,
    campaign_of,
    refuse_nobody,
    refuse_others,
    refuse_unknown,
    terms_of,
)
from sync.control_plane.wanted import DeviceDrift, Drift, Listed, Version
from sync.orders import Kind

PUSHED = {"workflow": Kind.PUT_WORKFLOW, "task": Kind.PUT_TASK, "config": Kind.PUT_CONFIG}
"""What can be pushed, by the word in the path."""


class Push(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A new version of a definition or a configuration, and whom it is for."""

    target: Target
    definition: dict[str, Any] | None = None
    """Of a workflow or a task, as Conductor's API takes it."""
    variables: dict[str, Any] | None = None
    """Of a configuration: names and texts."""
    rollback_to: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """A revision whose content is pushed again, in place of a new one."""
    per_minute: Rate = 600
    expires_in_s: ExpiresIn = 30 * 86_400
    expected_devices: int | None = None
    """What the preview has said; when other devices have come in between, it is refused."""


class ShownVersion(msgspec.Struct, frozen=True, rename="camel"):
    """One version."""

    revision: int
    content: msgspec.Raw
    """Of the newest, and of one that was asked for; else null."""
    created_ms: int
    created_by: str
    campaign: str
    rollback_to: int
    """The revision whose content this is again; 0 = it is new."""


class ShownWanted(msgspec.Struct, frozen=True):
    """Something that devices are wanted to have, with all its versions, newest first."""

    kind: str
    name: str
    versions: list[ShownVersion]
    progress: Progress
    query: str
    """Whom the newest version is for, as the search box says it; empty = all devices."""


class WantedList(msgspec.Struct, frozen=True):
    """Everything that devices are wanted to have."""

    wanted: list[Listed]


class DeviceWanted(msgspec.Struct, frozen=True):
    """What one device is wanted to have."""

    wanted: list[DeviceDrift]


class DriftList(msgspec.Struct, frozen=True):
    """Devices, and what each has."""

    devices: list[Drift]
    next: int | None


class WantedApi:
    """What is wanted, and who differs."""

    def __init__(self, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self._ledger = ledger
        self._now_ms = now_ms

    def operations(self) -> list[Operation]:
        """The lines of the route table."""
        area, operator = Area.ORDERS, Role.OPERATOR
        thing = "/api/v1/wanted/{kind}/{name}"
        return [
            Operation("GET", "/api/v1/wanted", self.wanted, area, answer=WantedList),
            Operation("PUT", thing, self.push, area, operator, body=Push, answer=ShownWanted),
            Operation("GET", thing, self.thing, area, answer=ShownWanted),
            Operation("GET", thing + "/versions/{revision}", self.version, area,
                      answer=ShownVersion),
            Operation("GET", "/api/v1/devices/{device}/wanted", self.of_device, area,
                      answer=DeviceWanted),
            Operation("GET", thing + "/drift", self.drift, area,
                      query=("state", "after", "limit", "tenant"), answer=DriftList),
        ]  # fmt: skip

    async def wanted(self, call: Call) -> Response:
        """Everything that devices are wanted to have."""
        tenant = call.tenant
        return json_answer(WantedList(await self._ledger.read(lambda c: wanted.listed(c, tenant))))

    async def push(self, call: Call) -> Response:
        """Push a new version of a definition or a configuration to devices, or an old one again."""
        push, now_ms, tenant = await call.body(Push), self._now_ms(), call.tenant
        kind, name = _pushed(call), call.part("name")
        terms, query = terms_of(push.target, now_ms)

        def put(connection: Connection) -> ShownWanted:
            refuse_unknown(connection, tenant, push.target)
            subject, body, revision = _version(connection, tenant, kind, name, push)
            campaign_id = f"{_digest(tenant, subject)}.{revision}"
            made = campaigns.make(
                connection, campaign_id=campaign_id, tenant=tenant,
                title=f"{call.part('kind')} {name}, revision {revision}", kind=kind, body=body,
                condition=b"", query=query, terms=terms, per_minute=push.per_minute,
                expires_ms=now_ms + push.expires_in_s * 1_000, created_by=call.caller.name,
                now_ms=now_ms,
            )  # fmt: skip
            refuse_nobody(made)
            refuse_others(push.expected_devices, made.members)
            earlier = wanted.newest(connection, tenant, subject)
            if earlier is not None:
                # Its devices that are still waiting for it get this one, if they are meant.
                campaigns.stop(connection, tenant, earlier.campaign_id, now_ms=now_ms)
            wanted.add(
                connection, tenant=tenant, subject=subject, kind=kind, name=name,
                revision=revision, body=body, campaign_id=campaign_id,
                rollback_to=push.rollback_to or 0, created_by=call.caller.name, now_ms=now_ms,
            )  # fmt: skip
            detail = {"revision": revision, "push": push}
            note(connection, call, "wanted.push", subject, detail, at_ms=now_ms)
            campaigns.step(connection, now_ms=now_ms)
            return _shown_wanted(connection, tenant, kind, name, subject)

        shown = await asked(self._ledger.write, put)
        self._ledger.hint_orders()
        return json_answer(shown)

    async def thing(self, call: Call) -> Response:
        """The versions of a definition or a configuration, and how far the newest one has come."""
        kind, name, tenant = _pushed(call), call.part("name"), call.tenant
        return json_answer(
            await self._ledger.read(
                lambda c: _shown_wanted(c, tenant, kind, name, _subject(c, tenant, kind, name))
            )
        )

    async def version(self, call: Call) -> Response:
        """One version with its content."""
        kind, name, tenant, number = (
            _pushed(call),
            call.part("name"),
            call.tenant,
            call.part("revision"),
        )
        if not number.isdecimal() or len(number) > 15:
            raise HTTPException(400, "revision: name it by its number")

        def read(connection: Connection) -> ShownVersion:
            subject = _subject(connection, tenant, kind, name)
            found = wanted.find_version(connection, tenant, subject, int(number))
            if found is None:
                raise HTTPException(404, f"revision: there is no revision {number} of {name[:100]}")
            return _shown_version(found)

        return json_answer(await self._ledger.read(read))

    async def of_device(self, call: Call) -> Response:
        """What one device is wanted to have, and what it has reported to have."""
        tenant, device = call.tenant, call.part("device")
        found = await self._ledger.read(lambda c: wanted.of_device(c, tenant, device))
        return json_answer(DeviceWanted(found))

    async def drift(self, call: Call) -> Response:
        """Devices that the newest version is meant for, and what each has reported to have."""
        kind, name, tenant = _pushed(call), call.part("name"), call.tenant
        after = call.number("after", default=0, least=0, most=2**53)
        limit, state = call.limit(), call.text("state")
        if state is not None and state not in wanted.STATES:
            raise HTTPException(400, f"state must be one of {', '.join(wanted.STATES)}")

        def read(connection: Connection) -> DriftList:
            subject = _subject(connection, tenant, kind, name)
            newest = wanted.newest(connection, tenant, subject)
            assert newest is not None, "a subject is found among versions"
            if state is None:
                found, following = wanted.drift(
                    connection, subject, newest, after=after, limit=limit
                )
            else:
                found, following = wanted.drift_in(
                    connection, subject, newest, state=state, after=after, limit=limit
                )
            return DriftList(found, following)

        return json_answer(await self._ledger.read(read))


def _digest(tenant: str, subject: str) -> str:
    return hashlib.sha256(f"{tenant} {subject}".encode()).hexdigest()[:20]


def _pushed(call: Call) -> Kind:
    kind = PUSHED.get(call.part("kind"))
    if kind is None:
        raise HTTPException(404, f"there is nothing to push but {', '.join(PUSHED)}")
    return kind


def _version(
    connection: Connection, tenant: str, kind: Kind, name: str, push: Push
) -> tuple[str, bytes, int]:
    """Subject, body and revision of what is pushed. Raises HTTPException and OrderInvalid."""
    if push.rollback_to is not None:
        if push.definition is not None or push.variables is not None:
            raise HTTPException(400, "rollbackTo: it brings its own content")
        subject = _subject(connection, tenant, kind, name)
        old = wanted.find_version(connection, tenant, subject, push.rollback_to)
        if old is None:
            raise HTTPException(404, f"rollbackTo: there is no revision {push.rollback_to}")
        content = msgspec.json.decode(old.body)
    elif kind is Kind.PUT_CONFIG:
        if push.variables is None or push.definition is not None:
            raise HTTPException(400, "variables: a configuration is a map of texts")
        for variable, text in push.variables.items():
            if not isinstance(text, str):
                raise HTTPException(400, f"variables.{variable[:100]}: a text is needed, in quotes")
        content = {"name": name, "variables": push.variables}
    else:
        if push.definition is None or push.variables is not None:
            raise HTTPException(400, "definition: give one, as Conductor's API takes it")
        if push.definition.setdefault("name", name) != name:
            raise HTTPException(400, f"definition.name: it is not {name}")
        content = {"definition": push.definition}
    parsed = new_orders.parse_body(kind, {**content, "revision": 1}, "definition")
    subject = wire.subject_of(kind, parsed)
    revision = wanted.next_revision(connection, tenant, subject)
    body = wire.json_of(wire.parse_body(kind, {**content, "revision": revision}))
    return subject, body, revision


def _subject(connection: Connection, tenant: str, kind: Kind, name: str) -> str:
    """What a name stands for. Raises HTTPException when nothing was pushed under it."""
    found = wanted.find_subject(connection, tenant, kind, name)
    if found is None:
        raise HTTPException(404, f"nothing was ever pushed under the name {name[:100]}")
    return found


def _shown_wanted(
    connection: Connection, tenant: str, kind: Kind, name: str, subject: str
) -> ShownWanted:
    found = wanted.versions(connection, tenant, subject)
    campaign = campaign_of(connection, tenant, found[0].campaign_id)
    (come_so_far,) = campaigns.progress(connection, [campaign])
    return ShownWanted(
        kind=kind.value,
        name=name,
        versions=[_shown_version(one) for one in found],
        progress=come_so_far,
        query=campaign.query,
    )


def _shown_version(version: Version) -> ShownVersion:
    return ShownVersion(
        revision=version.revision,
        content=msgspec.Raw(version.body or b"null"),
        created_ms=version.created_ms,
        created_by=version.created_by,
        campaign=version.campaign_id,
        rollback_to=version.rollback_to,
    )
