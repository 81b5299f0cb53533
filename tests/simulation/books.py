"""What the outside knows of a world: what was acknowledged, handed out, done.

A book never asks an engine. What it holds is what a client or a driver would swear to.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from edge.model.executions import parse_uuid
from sync.orders import Kind
from tests.simulation.shapes import WINDOW, WINDOW_S, WINDOW_TASKS


class Started:
    """One start that a client wants, with all its attempts."""

    def __init__(self, device: int, shape: str, key: str | None) -> None:
        self.device = device
        self.shape = shape
        self.key = key
        self.attempts = 0
        self.id: str | None = None
        """What the engine has acknowledged; None = nothing yet."""
        self.taken_back = False
        """Whether the device's disk was put back to before that."""


class Ordered:
    """One order that somebody wants to give from the control plane."""

    def __init__(self, order_id: str, device: int, kind: Kind) -> None:
        self.id = order_id
        self.device = device
        self.kind = kind
        self.body: dict[str, Any] = {}
        self.expires_s = 0.0
        """In the world's time."""
        self.given = False
        """Whether the control plane has acknowledged it."""
        self.forgotten = False
        """Whether the ledger that had it is lost, and it was too late to give it again."""


class Books:
    """The outside's memory of all devices.

    Args:
        complain: is told of what must not happen: its name and the facts.
    """

    def __init__(self, complain: Callable[[str, str], None]) -> None:
        self._complain = complain
        self.starts: list[Started] = []
        self.orders: list[Ordered] = []
        self.answered: dict[tuple[int, str], None] = {}
        """Device and id of each task whose end was acknowledged to its worker."""
        self.reopened: set[bytes] = set()
        """Executions that clients have asked to run again: what had ended may begin anew."""
        self._held: dict[tuple[int, int], set[str]] = defaultdict(set)
        """Tasks that the workers of one run of a device hold, as far as they know."""
        self.heard_s: dict[tuple[int, str], float] = {}
        """When the worker that holds a task was heard of last."""
        self._window: dict[tuple[int, int], list[float]] = defaultdict(list)
        self._exposed: set[tuple[int, int, str]] = set()
        self.exposures = 0
        self.roots: dict[bytes, bytes] = {}
        """For executions inside others the outermost of them, as far as was seen."""

    def may_begin_anew(self, task_id: str) -> bool:
        """Whether a client has asked for something that lets a finished task run again."""
        parsed = parse_uuid(task_id)
        assert parsed is not None, "ids of tasks can be read"
        return self.roots.get(parsed[0], parsed[0]) in self.reopened

    def reopen(self, workflow_id: bytes) -> None:
        """A client asks for an execution to run again, with all around and inside it."""
        self.reopened.add(self.roots.get(workflow_id, workflow_id))

    def heard_again(self, device: int, task_id: str, now_s: float, allowed_s: float) -> None:
        """A worker says that it is still at it; too late when its time was up before that.

        On a slow disk the end may be on its way already, though the lease is still there.
        """
        heard_s = self.heard_s.get((device, task_id))
        if heard_s is None or now_s - heard_s < allowed_s:
            self.heard_s[device, task_id] = now_s

    def handed(self, device: int, run: int, queue: str, task_id: str, taken_s: float) -> None:
        """The engine has given a task to a worker, at that moment of the world's time."""
        held = self._held[device, run]
        if not self.may_begin_anew(task_id):
            if task_id in held:
                self._complain("handed out twice", f"device{device} run {run}: {task_id}")
            if (device, task_id) in self.answered:
                self._complain("handed out after its end", f"device{device}: {task_id}")
        held.add(task_id)
        self.heard_s[device, task_id] = taken_s
        if queue == WINDOW:
            moments = self._window[device, run]
            # A slow disk lets workers see their tasks in another order than they were taken in.
            insort(moments, taken_s)
            spans = zip(moments, moments[WINDOW_TASKS:], strict=False)
            if any(last - first < WINDOW_S - 0.001 for first, last in spans):
                self._complain("rate limit", f"device{device}: {moments}")

    def was_handed(self, device: int, run: int, task_id: str) -> bool:
        """Whether a worker has been given the task in this run of the device."""
        return task_id in self._held[device, run]

    def put_back(self, device: int, is_there: Callable[[str], bool | None]) -> None:
        """A device's disk was put back: what was acknowledged since is no more.

        Args:
            device: number of it.
            is_there: of an execution or a task, whether it is there and has ended; None = it is not
                there.
        """
        for started in self.starts:
            if started.device == device and started.id is not None:
                started.taken_back = is_there(started.id) is None
        for place in [place for place in self.answered if place[0] == device]:
            if not is_there(place[1]):
                del self.answered[place]
        for place in [place for place in self.heard_s if place[0] == device]:
            del self.heard_s[place]

    def put_off(self, device: int, run: int, task_id: str) -> None:
        """The worker has asked, or may have asked, for the task to be handed out again later."""
        self._held[device, run].discard(task_id)

    def end_acknowledged(self, device: int, task_id: str) -> None:
        """The engine has taken over the end of a task."""
        self.answered[device, task_id] = None

    def exposed(self, device: int, run: int, task_id: str) -> None:
        """A driver has done something that cannot be undone."""
        self.exposures += 1
        if (device, run, task_id) in self._exposed and not self.may_begin_anew(task_id):
            self._complain("exposed twice", f"device{device} run {run}: {task_id}")
        self._exposed.add((device, run, task_id))
