"""Whoever steers devices from the control plane: gives orders, and knows what became of them.

How orders travel is not known here.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from edge.model.errors import BatonError, StorageUnavailable
from edge.model.executions import parse_workflow_id, workflow_uuid
from edge.store import variables
from sync.control_plane import orders
from sync.control_plane.ledger import Ledger, LedgerUnavailable
from sync.control_plane.orders import DeviceUnknown
from sync.orders import Kind, OrderInvalid, State
from tests.simulation import shapes
from tests.simulation.actors import Stage
from tests.simulation.books import Ordered
from tests.simulation.checks import Rows
from tests.simulation.cloud import Cloud
from tests.simulation.device import TENANT, Device
from tests.simulation.machine import EPOCH_S, Run, ServerFault, Unreachable
from tests.simulation.plan import Event

T = TypeVar("T")
Complain = Callable[[str, str], None]

_PATIENCE_S = 2.0

_CLOCKS_DIFFER_S = 4.0
"""A device knows the control plane's clock as exactly as messages are quick."""


class Operator:
    """Gives orders to devices.

    Args:
        stage: what all actors share.
        cloud: the control plane.
    """

    def __init__(self, stage: Stage, cloud: Cloud) -> None:
        self._stage = stage
        self._cloud = cloud
        self._chance = random.Random(f"{stage.seed}:operator")
        self._given = self._revisions = 0
        self.gives_again = 0
        """How often it is at that, after a ledger was put back."""

    async def give(self, event: Event, device: Device) -> None:
        """Give an order until the control plane has acknowledged it."""
        known = self._stage.books.orders
        kind = Kind(event.word)
        self._given += 1
        ordered = Ordered(f"order{self._given}", device.number, kind)
        known.append(ordered)
        match kind:
            case Kind.START:
                name = shapes.TOLD if event.number % 2 else "plain"
                ordered.body = {"name": name, "input": {"way": int(event.number)}}
            case Kind.RESTART:
                started = await self._started(device.number, int(event.number))
                if started is None:
                    known.remove(ordered)
                    return
                ordered.body = {"workflowId": started}
                self._stage.books.reopen(parse_workflow_id(started))
            case _:
                self._revisions += 1
                ordered.body = {
                    "name": "site",
                    "revision": self._revisions,
                    "variables": {shapes.VARIABLE: str(self._revisions)},
                }
        ordered.expires_s = self._cloud.now_s() + event.for_s
        if await self._insist(lambda ledger: self._order(ledger, ordered, device)):
            ordered.given = True
            self._stage.note("ordered", device.name, kind.value, ordered.id)
        else:
            known.remove(ordered)

    async def give_again(self, devices: Sequence[Device]) -> None:
        """Give every order anew that was given: the same id is the same order."""
        self.gives_again += 1
        for ordered in [one for one in self._stage.books.orders if one.given]:
            call = partial(self._order, ordered=ordered, device=devices[ordered.device])
            if not await self._insist(call):
                ordered.forgotten = True
        self.gives_again -= 1

    async def _order(self, ledger: Ledger, ordered: Ordered, device: Device) -> bool:
        """Whether it is given; it is not when its time was over before anybody took it."""
        try:
            await ledger.order(
                device.known_as,
                ordered.kind.value,
                ordered.body,
                expires_ms=int((EPOCH_S + ordered.expires_s) * 1000),
                tenant=TENANT,
                order_id=ordered.id,
            )
        except OrderInvalid:
            # An attempt of which nothing was heard may have succeeded.
            return await ledger.find_order(ordered.id) is not None
        return True

    async def _started(self, device: int, choice: int) -> str | None:
        """An execution that an order has started; None = there is none yet."""
        starts = [
            one
            for one in self._stage.books.orders
            if one.device == device and one.kind is Kind.START and one.body["name"] == shapes.TOLD
        ]
        if not starts:
            return None
        chosen = starts[choice % len(starts)]
        found = await self._insist(lambda ledger: ledger.find_order(chosen.id))
        if found is None or found.state != State.DONE or found.output is None:
            return None
        return str(msgspec.json.decode(found.output)["workflowId"])

    async def _insist(self, call: Callable[[Ledger], Awaitable[T]]) -> T:
        """Ask until there is an answer."""

        async def ask(run: Run) -> T:
            ledger = self._cloud.ledger
            assert ledger is not None and not run.dead, "a run that answers has its ledger"
            try:
                return await call(ledger)
            except (LedgerUnavailable, DeviceUnknown) as error:
                # A device that has never been heard of may be heard of later.
                raise StorageUnavailable(str(error)) from error

        while True:
            try:
                return await self._cloud.ask(ask)
            except (Unreachable, ServerFault, BatonError):
                await asyncio.sleep(_PATIENCE_S * self._chance.random())


def check_orders(
    device: Device,
    rows: Rows,
    ordered: list[Ordered],
    ledger: sqlite3.Connection,
    complain: Complain,
) -> None:
    """Each order was carried out once or not at all, in its time, and the control plane knows."""
    restarts: dict[str, int] = {}
    newest = 0
    forgotten = False
    for one in ordered:
        if one.device != device.number:
            continue
        shown = orders.find(ledger, one.id)
        # With its ledger, and its time is over: nobody can say what it came to.
        forgotten = forgotten or (shown is None and one.forgotten)
        if shown is None and not one.forgotten:
            complain("order lost", f"{device.name}: {one.kind} {one.id}")
            continue
        if device.put_back_s or shown is None:
            _check_taken_back(device, rows, one, complain)
            continue
        done = shown.state == State.DONE
        if one.kind is Kind.START:
            _check_start(device, rows, one, shown.output, done=done, complain=complain)
            if not done and shown.state != State.EXPIRED:
                complain("order refused", f"{device.name}: {one.id} {shown.state} {shown.reason}")
        elif one.kind is Kind.RESTART:
            workflow_id = one.body["workflowId"]
            restarts[workflow_id] = restarts.get(workflow_id, 0) + done
        elif done:
            newest = max(newest, one.body["revision"])
    if device.put_back_s or forgotten:
        return
    for workflow in rows.by_id.values():
        if workflow.name == shapes.TOLD:
            runs = 1 + restarts.get(workflow_uuid(workflow.id), 0)
            # An ordinal is never used twice, also when its record is gone.
            newest_ordinal = max(task.ordinal for task in rows.tasks[workflow.key].values())
            if newest_ordinal != shapes.TOLD_TASKS * runs:
                facts = f"{device.name}: {workflow_uuid(workflow.id)}: {newest_ordinal} for {runs}"
                complain("restarted more or less often than told", facts)
    _check_variable(device, newest, complain)


def _check_taken_back(device: Device, rows: Rows, ordered: Ordered, complain: Complain) -> None:
    """What was done may be no more; it is done once at most on the way to what there is now."""
    started = [one for one in rows.by_id.values() if one.idempotency_key == ordered.id]
    if len(started) > 1:
        complain("order", f"{device.name}: {ordered.id} started {len(started)}")


def _check_start(
    device: Device,
    rows: Rows,
    ordered: Ordered,
    output: bytes | None,
    *,
    done: bool,
    complain: Complain,
) -> None:
    started = [
        workflow_uuid(workflow.id)
        for workflow in rows.by_id.values()
        if workflow.idempotency_key == ordered.id
    ]
    told = [msgspec.json.decode(output)["workflowId"]] if done and output else []
    late_s = [
        device.shown_at_s[workflow.created_ms][0] - ordered.expires_s
        for workflow in rows.by_id.values()
        # Those that orders restart begin anew later.
        if workflow.idempotency_key == ordered.id and workflow.name != shapes.TOLD
    ]
    if any(by_s > _CLOCKS_DIFFER_S for by_s in late_s):
        complain("order carried out too late", f"{device.name}: {ordered.id} by {late_s}")
    if started != told:
        complain("order", f"{device.name}: {ordered.id} started {started}, told {told}")


def _check_variable(device: Device, revision: int, complain: Complain) -> None:
    with device.disk.look() as connection:
        there = variables.read_variables(connection)
    if there.get(shapes.VARIABLE) != (str(revision) if revision else None):
        complain("configuration", f"{device.name}: {there}, told {revision}")
