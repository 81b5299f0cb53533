"""Endpoints for what a page about devices asks beside the list: how one stands, tags of many, removal.

No SQL stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sync.control_plane import clocks, fleet, removal
from sync.control_plane.access import Area, Role
from sync.control_plane.access_routes import note
from sync.control_plane.answers import json_answer
from sync.control_plane.calls import Call, Operation
from sync.control_plane.dialect import Connection
from sync.control_plane.fleet import TAGS_LIMIT
from sync.control_plane.fleet_routes import Tag, known
from sync.control_plane.ledger import Ledger
from sync.control_plane.removal import DeviceConnected, Removed
from sync.control_plane.search_terms import Op, QueryError, Term

_TAGGED_LIMIT = 500
"""Devices whose tags are changed at once: as many as the longest page shows."""


class Clock(msgspec.Struct, frozen=True, rename="camel"):
    """How far a device's clock is off, as far as that is known."""

    offset_ms: int
    """What has to be added to its times; 0 where nothing is known."""
    error_ms: int
    """How far that may be wrong; -1 = nothing is known of its clock."""


class DeviceStanding(msgspec.Struct, frozen=True, rename="camel"):
    """What is known of one device beside its line of the list."""

    groups: list[str]
    """In which it is now."""
    clock: Clock
    takes_orders: bool
    """Whether it has said that it takes orders of a control plane."""


class TagChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tags that many devices get and lose."""

    devices: Annotated[list[str], msgspec.Meta(min_length=1, max_length=_TAGGED_LIMIT)]
    add: Annotated[list[Tag], msgspec.Meta(max_length=TAGS_LIMIT)] = []
    remove: Annotated[list[Tag], msgspec.Meta(max_length=TAGS_LIMIT)] = []


class Tagged(msgspec.Struct, frozen=True):
    """What has become of a change of tags."""

    changed: int
    """Devices whose tags are others now."""


class DeviceApi:
    """How a device stands, its removal, and the tags of many."""

    def __init__(self, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self._ledger = ledger
        self._now_ms = now_ms

    def operations(self) -> list[Operation]:
        """The lines of the route table."""
        area = Area.DEVICES
        return [
            Operation("GET", "/api/v1/devices/{device}/standing", self.standing, area,
                      answer=DeviceStanding),
            Operation("DELETE", "/api/v1/devices/{device}", self.remove, area, Role.ADMIN,
                      answer=Removed),
            Operation("PATCH", "/api/v1/tags", self.change_tags, area, Role.OPERATOR,
                      body=TagChange, answer=Tagged),
        ]  # fmt: skip

    async def standing(self, call: Call) -> Response:
        """The groups that a device is in, how far its clock is off, and whether it takes orders."""
        tenant, device, now_ms = call.tenant, call.part("device"), self._now_ms()

        def read(connection: Connection) -> DeviceStanding:
            row = fleet.find(connection, tenant, device)
            if row is None:
                raise HTTPException(404, f"no device {device[:100]} has been heard of")
            groups = _groups_of(connection, tenant, device, now_ms)
            known = clocks.read(connection, tenant=tenant, device=device).at(row.synced_clock_ms)
            clock = Clock(known.at_ms - row.synced_clock_ms, known.error_ms)
            return DeviceStanding(groups, clock, fleet.takes_orders(connection, row.device_id))

        return json_answer(await self._ledger.read(read))

    async def remove(self, call: Call) -> Response:
        """Remove a device that is not connected, for good, with its history and its orders.

        The audit keeps what it says. One that speaks again shows up anew, with what it still holds.
        """
        tenant, device, now_ms = call.tenant, call.part("device"), self._now_ms()

        def remove(connection: Connection) -> Removed:
            removed = removal.remove(connection, tenant, device, now_ms=now_ms)
            if removed is None:
                raise HTTPException(404, f"no device {device[:100]} has been heard of")
            note(connection, call, "device.remove", device, removed, at_ms=now_ms)
            return removed

        try:
            return json_answer(await self._ledger.write(remove))
        except DeviceConnected as error:
            raise HTTPException(409, str(error)) from error

    async def change_tags(self, call: Call) -> Response:
        """Give tags to many devices and take others from them: all or none."""
        body, tenant, now_ms = await call.body(TagChange), call.tenant, self._now_ms()

        def change(connection: Connection) -> int:
            ids = known(connection, tenant, "devices", body.devices)
            changed, had = 0, fleet.tags_of(connection, [*ids.values()])
            for device, device_id in ids.items():
                before = had.get(device_id, [])
                after = [one for one in dict.fromkeys([*before, *body.add])
                         if one not in body.remove]  # fmt: skip
                if len(after) > TAGS_LIMIT:
                    raise HTTPException(
                        400, f"add: {device} would have more than {TAGS_LIMIT} tags"
                    )
                if after != before:
                    fleet.put_tags(connection, device_id, after)
                    changed += 1
            if changed:
                note(connection, call, "device.tags", f"{changed} devices", body, at_ms=now_ms)
            return changed

        return json_answer(Tagged(await self._ledger.write(change)))


def _groups_of(connection: Connection, tenant: str, device: str, now_ms: int) -> list[str]:
    """The groups that find a device now; those whose query cannot be asked are left out."""
    found = []
    this = Term("device", Op.EQ, [device], [], negated=False)
    for group in fleet.groups(connection, tenant):
        of_group = Term("group", Op.EQ, [group.name], [], negated=False)
        try:
            if fleet.count(connection, tenant=tenant, terms=[this, of_group], now_ms=now_ms):
                found.append(group.name)
        except QueryError:
            continue
    return found
