"""Whether a control plane holds what it has acknowledged to a simulated fleet, exactly once.

Its API is asked; nothing of its database is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from edge.simulated_fleet.fleet import Fleet
from sync.records import Body, TaskRecord, WorkflowRecord

PAGE = 500
_TOLD = 10
"""Differences that are told in words."""
_LOOK_S = 1.1
"""Between two looks: figures are counted once a second."""


class Ask(Protocol):
    """Asks a control plane for something under ``/api``."""

    def __call__(self, *segments: str, query: dict[str, Any]) -> Any:
        """The decoded answer."""
        ...


class Proof(msgspec.Struct, frozen=True):
    """What came out."""

    devices: int
    """Whose cursors were compared: all."""
    records_acked: int
    """That the fleet was told."""
    records_there: int
    """That the control plane says it has of these devices."""
    records_stored: int
    """By which its segments have grown, of whatever devices."""
    lost: int
    duplicated: int
    executions: int
    """That were compared one by one, with all of their tasks."""
    wrong_executions: int
    differences: list[str]
    """The first of them, for people."""

    @property
    def good(self) -> bool:
        """Whether everything is there, once."""
        return not (self.lost or self.duplicated or self.wrong_executions or self.differences)


def stored(ask: Ask) -> int:
    """Records in all segments of a control plane."""
    return int(ask("v1", "summary", query={})["records"])


def prove(
    fleet: Fleet,
    ask: Ask,
    *,
    stored_before: int,
    sample: int,
    sleep: Callable[[float], None],
    patience_s: float = 60.0,
) -> Proof:
    """Compare every device's cursors, the sum of all segments, and the executions of some devices.

    Args:
        fleet: that has come to rest.
        ask: the control plane.
        stored_before: records in its segments before the fleet began.
        sample: devices whose executions are compared.
        sleep: waits.
        patience_s: how long the control plane may take until it shows what it has.
    """
    acked = sum(fleet.acked_in_all(device) for device in range(fleet.size))
    while True:
        held = _devices(fleet, ask)
        grown = stored(ask) - stored_before
        if (sum(held.values()) == acked == grown and len(held) == fleet.size) or patience_s <= 0:
            break
        patience_s -= _LOOK_S
        sleep(_LOOK_S)
    told, lost = _short(fleet, held)
    # While some are still under way, nobody can say what is to be there.
    arrived = not fleet.figures.backlog
    compared, wrong = _executions(fleet, ask, sample if arrived else 0, patience_s, sleep)
    return Proof(
        devices=fleet.size,
        records_acked=acked,
        records_there=sum(held.values()),
        records_stored=grown,
        lost=max(lost, sum(held.values()) - grown),
        duplicated=max(0, grown - sum(held.values())),
        executions=compared,
        wrong_executions=len(wrong),
        differences=(told + wrong)[:_TOLD],
    )


def _short(fleet: Fleet, held: Mapping[int, int]) -> tuple[list[str], int]:
    """Devices of which less is there than was acknowledged, or more than they have; what lacks."""
    told, lost = [], 0
    for device in range(fleet.size):
        acked, has = fleet.acked_in_all(device), held.get(device, 0)
        if has < acked:
            lost += acked - has
            told.append(f"{fleet.name(device)}: {acked} records acknowledged, {has} there")
        elif has > acked and has > (most := fleet.newest_in_all(device)):
            told.append(f"{fleet.name(device)}: {most} records written, {has} there")
    return told, lost


def _devices(fleet: Fleet, ask: Ask) -> dict[int, int]:
    """Records that the control plane has of each device, in the epoch of this run."""
    found: dict[int, int] = {}
    after = None
    while True:
        query = {"limit": PAGE, "after": after, "tenant": fleet.tenant}
        page = ask("v1", "devices", query=query)
        for row in page["devices"]:
            device = fleet.device_of(row["device"])
            if device is not None and row["epoch"] == fleet.epoch and not row["missing"]:
                found[device] = row["records"]
        after = page["next"]
        if after is None:
            return found


def _executions(
    fleet: Fleet, ask: Ask, sample: int, patience_s: float, sleep: Callable[[float], None]
) -> tuple[int, list[str]]:
    """How many executions were compared, and what is wrong with them."""
    compared, wrong = 0, []
    step = max(1, fleet.size // max(1, sample))
    for device in range(0, fleet.size, step)[:sample] if sample else ():
        while True:
            many, found = _compare(fleet, device, ask)
            if not found or patience_s <= 0:
                break
            patience_s -= _LOOK_S
            sleep(_LOOK_S)
        compared += many
        wrong += found
    return compared, wrong


def _compare(fleet: Fleet, device: int, ask: Ask) -> tuple[int, list[str]]:
    """How many executions one device has had, and which are not there once and as they were."""
    history, name = fleet.history(device), fleet.name(device)
    runs = {history.workflow_id(run): run for run in history.all_runs(fleet.written_until_ms())}
    # What an earlier run of the fleet has left under the name has other ids.
    shown = Counter(row["workflowId"] for row in _shown(fleet, name, ask))
    wrong = []
    for workflow_id, run in runs.items():
        if shown[workflow_id] != 1:
            wrong.append(f"{name}: {workflow_id} is there {shown[workflow_id]} times")
            continue
        full = ask("v1", "executions", name, workflow_id, query={"tenant": fleet.tenant})
        if _said(history.bodies(run)) != _seen(full):
            wrong.append(f"{name}: {workflow_id} is not as the device has it")
    return len(runs), wrong


def _shown(fleet: Fleet, name: str, ask: Ask) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    while True:
        query = {"device": name, "limit": PAGE, "after": after, "tenant": fleet.tenant}
        page = ask("v1", "executions", query=query)
        found += page["executions"]
        after = page["next"]
        if after is None:
            return found


def _said(bodies: Sequence[Body]) -> tuple[str, str | None, list[tuple[Any, ...]]]:
    """What a device has recorded of an execution: its status and reason, and of each task."""
    status, reason = "", None
    tasks: dict[str, tuple[Any, ...]] = {}
    for body in bodies:
        if isinstance(body, WorkflowRecord):
            status, reason = body.status, body.reason
        elif isinstance(body, TaskRecord):
            tasks[body.task_id] = (body.seq, body.task_id, body.ref, body.status, body.ended_ms)
    return status, reason, sorted(tasks.values())


def _seen(full: dict[str, Any]) -> tuple[str, str | None, list[tuple[Any, ...]]]:
    """The same of what a control plane shows."""
    tasks = [
        (one["seq"], one["taskId"], one["referenceTaskName"], one["status"], one["endTime"])
        for one in full["tasks"]
    ]
    return full["status"], full.get("reasonForIncompletion"), sorted(tasks)
