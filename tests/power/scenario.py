"""What happens to a device in a scenario: requests, workers and time, each step acknowledged.

A scenario that is cut short is run again on the device that comes back: steps that had been
acknowledged give what they gave, the others are asked for once more, as a client would.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from edge.model.errors import BatonError
from edge.model.executions import TaskStatus, parse_uuid, task_key, task_uuid
from edge.model.requests import TaskResult, TaskView
from edge.transactions import Transaction
from tests.power.state import State, read_state
from tests.power.world import BEGIN_MS, World

T = TypeVar("T")

_ROUNDS = 400
"""Turns of workers, or moments of time, until everything has ended; more never end."""

_LOOK_S = 30
"""What time moves on by when something is open, nobody works and no moment is known."""


class Promise(NamedTuple):
    """What an acknowledgement says about the database from now on."""

    subject: str
    """What it is about; what is asked about the same subject later may end it."""
    what: str
    """For people to read."""
    is_kept: Callable[[State], bool]


class Log(Protocol):
    """Takes down, among the operations of the disk, what clients have been told."""

    def step(self, answer: Any) -> None:
        """A step of the scenario is done."""
        ...

    def promise(self, promise: Promise) -> None:
        """Something has been acknowledged."""
        ...

    def release(self, subject: str) -> None:
        """Something is about to be asked that may end the promises about a subject."""
        ...

    def moved_to(self, now_ms: int) -> None:
        """The clock has moved."""
        ...


class NoLog:
    """Takes down nothing."""

    def step(self, answer: Any) -> None: ...

    def promise(self, promise: Promise) -> None: ...

    def release(self, subject: str) -> None: ...

    def moved_to(self, now_ms: int) -> None: ...


Handed = Callable[[TaskView], tuple[TaskStatus, dict[str, Any]] | None]
"""What a worker makes of a task: a status and an output. None = it is never heard of again."""


class Refused(AssertionError):
    """The device refused what it should have done."""


class Stuck(AssertionError):
    """Something never comes to its end. No repetition of a request excuses that."""


class Scenario:
    """The hands of a scenario: whoever sends requests, works on tasks, and lets time pass.

    Args:
        world: the device.
        log: takes down what is acknowledged.
        done: what the steps gave that were acknowledged before the power went; None = it did not.
    """

    def __init__(self, world: World, log: Log, done: Sequence[Any] | None = None) -> None:
        self.world = world
        self.log = log
        self._was_cut = done is not None
        self._done = done or ()
        self._step = 0
        self.hands: dict[str, Handed] = {}
        """Who works on the tasks of a name; the others are completed."""

    async def step(self, perform: Callable[[], Awaitable[T]]) -> T:
        """One step: done once and acknowledged, or asked for again after a power cut."""
        self._step += 1
        if self._step <= len(self._done):
            found: T = self._done[self._step - 1]
            return found
        # What was under way when the power went may have been done all the same.
        is_repeated = self._was_cut and self._step == len(self._done) + 1
        try:
            answer = await perform()
        except (Refused, BatonError):
            if not is_repeated:
                raise
            self.log.step(None)
            # Whoever asks again for what was done is told so, and knows no more than that.
            return None  # type: ignore[return-value]
        self.log.step(answer)
        return answer

    # Requests.

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        promises: Sequence[Promise] = (),
        releases: Sequence[str] = (),
    ) -> Any:
        """One request to the API, which must be answered with success.

        Args:
            method, path: of the request; the path begins after ``/api``.
            json: its body.
            promises: what the answer says about the database.
            releases: subjects whose promises it may end.
        """

        async def perform() -> Any:
            for subject in releases:
                self.log.release(subject)
            answer = await self._request(method, f"/api{path}", json=json)
            for promise in promises:
                self.log.promise(promise)
            return answer

        return await self.step(perform)

    async def upload(self, place: str, content: bytes, *, method: str = "GET") -> None:
        """Ask where bytes can be sent, and send them there.

        One step: the address is signed with a key that a boot makes, and does not survive it.

        Args:
            place: where to ask, after ``/api``.
            content: the bytes.
            method: of asking.
        """

        async def perform() -> None:
            told = await self._request(method, f"/api{place}")
            await self._request("PUT", told.get("uri") or told["uploadUrl"], content=content)

        await self.step(perform)

    async def _request(self, method: str, where: str, **options: Any) -> Any:
        response = await self.world.client.request(method, where, **options)
        if response.status_code >= 300:
            raise Refused(f"{method} {where}: {response.status_code} {response.text[:300]}")
        kind = response.headers.get("content-type", "")
        return response.json() if "json" in kind and response.content else response.text

    async def act(self, function: Callable[[Transaction], T], *promises: Promise) -> T:
        """One request to the engine itself, where the API has other people's words around it."""

        async def perform() -> T:
            answer = await self.world.engine.request(function)
            for promise in promises:
                self.log.promise(promise)
            return answer

        return await self.step(perform)

    async def define(self, name: str, *tasks: dict[str, Any], **fields: Any) -> None:
        """Register a workflow, in place of the one of that name and version."""
        version = fields.setdefault("version", 1)
        document = {"name": name, "tasks": list(tasks), "ownerEmail": "a@b.example", **fields}
        subject = f"definition {name}"
        promise = row(
            subject, "workflow_definition", {"name": name, "version": version},
            document=lambda kept: tasks_of(kept) == [task["taskReferenceName"] for task in tasks],
        )  # fmt: skip
        await self.call(
            "PUT", "/metadata/workflow", [document], promises=[promise], releases=[subject]
        )

    async def define_task(self, name: str, **fields: Any) -> None:
        """Register a task definition."""
        document = {"name": name, "ownerEmail": "a@b.example", "responseTimeoutSeconds": 3_600}
        document |= fields
        promise = row(f"task definition {name}", "task_definition", {"name": name})
        await self.call("POST", "/metadata/taskdefs", [document], promises=[promise])

    async def start(self, name: str, key: str, **fields: Any) -> str:
        """Start a workflow once, however often it is asked for; returns its id."""
        given = fields.get("input", {})
        body = {
            "name": name, "correlationId": key, "idempotencyKey": key,
            "idempotencyStrategy": "RETURN_EXISTING", **fields,
        }  # fmt: skip

        async def perform() -> str:
            response = await self.world.client.post("/api/workflow", json=body)
            if response.status_code != 200:
                raise Refused(f"start of {name}: {response.status_code} {response.text[:300]}")
            self.log.promise(started(response.text, name, given))
            return response.text

        return await self.step(perform)

    # Workers and time.

    async def work(self) -> None:
        """Let workers fetch and finish tasks until none can be fetched."""

        async def perform() -> None:
            for _ in range(_ROUNDS):
                await self.world.settle()
                if not await self._turn():
                    return
            raise Stuck("workers never run out of tasks")

        await self.step(perform)

    async def _turn(self) -> bool:
        """Each queue is asked once; whether any task was handed out and answered."""
        moved = False
        engine = self.world.engine
        for queue in sorted(engine.queue_sizes()):
            for view in await engine.poll(queue, worker="w", count=5, timeout_ms=0):
                hand = self.hands.get(view.task.name, _completed)
                made = hand(view)
                if made is None:
                    continue
                await self.answer(view, *made)
                moved = True
        return moved

    async def answer(self, view: TaskView, status: TaskStatus, output: dict[str, Any]) -> None:
        """Hand in a result; the update has been answered with success when this returns."""
        task_id = task_uuid(view.workflow.id, view.task.ordinal)
        encoded = msgspec.json.encode(output)
        callback_s = 5 if status is TaskStatus.IN_PROGRESS else 0
        logs = (("seen", self.world.clock.now_ms()),)
        reason = None if status.successful else "made up"
        result = TaskResult(
            "", task_id, status, encoded, reason=reason, callback_after_s=callback_s, logs=logs
        )
        await self.world.engine.update(result)
        if status.terminal:
            self.log.promise(reported(task_id, status, output))

    async def hold(self) -> None:
        """Workers fetch what there is and say nothing. A lease is not durable: it is no step."""
        await self.world.settle()
        for queue in sorted(self.world.engine.queue_sizes()):
            await self.world.engine.poll(queue, worker="silent", count=5, timeout_ms=0)

    async def until(self, seconds: float) -> None:
        """Let time pass until so many seconds after the beginning."""

        async def perform() -> None:
            goal_ms = BEGIN_MS + round(seconds * 1000)
            clock = self.world.clock
            # After a power cut, what was due just then is due still.
            await self.world.settle()
            while clock.now_ms() < goal_ms:
                clock.move_to(min(goal_ms, clock.now_ms() + 1_000))
                self.log.moved_to(clock.now_ms())
                await self.world.settle()

        await self.step(perform)

    async def finish(self) -> None:
        """Work, and let time pass, until every execution has ended."""

        async def perform() -> None:
            clock = self.world.clock
            for _ in range(_ROUNDS):
                await self.world.settle()
                if await self._turn():
                    continue
                counts = await self.world.engine.status_counts()
                if not counts.get("RUNNING") and not counts.get("PAUSED"):
                    return
                clock.move_to(await self._next_moment_ms())
                self.log.moved_to(clock.now_ms())
            raise Stuck(f"not everything has ended: {counts}")

        await self.step(perform)

    async def _next_moment_ms(self) -> int:
        clock, hand_over = self.world.clock, self.world.engine.hand_over
        due_ms = await self.world.engine.moments.fire_due()
        lease_ms = hand_over.leases.next_expiry_ms()
        moments = [clock.now_ms() + _LOOK_S * 1000]
        if due_ms:
            moments.append(due_ms)
        if lease_ms:
            moments.append(clock.now_ms() + lease_ms - clock.monotonic_ms())
        return max(min(moments), clock.now_ms() + 1)


def _completed(view: TaskView) -> tuple[TaskStatus, dict[str, Any]]:
    return TaskStatus.COMPLETED, {"ref": view.task.ref}


# What acknowledgements say.


def tasks_of(document: bytes) -> list[str]:
    """Reference names of the first row of tasks of a stored definition."""
    return [task["taskReferenceName"] for task in msgspec.json.decode(document)["tasks"]]


def row(
    subject: str, table: str, key: Mapping[str, Any], **fields: Callable[[Any], bool]
) -> Promise:
    """A row is there.

    Args:
        subject: what it is about.
        table, key: where it is, and what its columns say.
        fields: what else holds of its columns.
    """

    def is_kept(state: State) -> bool:
        return any(
            all(one[column] == value for column, value in key.items())
            and all(holds(one[column]) for column, holds in fields.items())
            for one in state.rows(table)
        )

    return Promise(subject, f"{table} has {dict(key)}", is_kept)


def no_row(subject: str, table: str, key: Mapping[str, Any]) -> Promise:
    """No such row is there."""
    there = row(subject, table, key)
    return Promise(subject, f"{table} has no {dict(key)}", lambda state: not there.is_kept(state))


def started(workflow_id: str, name: str, given: Mapping[str, Any]) -> Promise:
    """An execution is there, with its name and input."""
    parsed = parse_uuid(workflow_id)
    assert parsed is not None, workflow_id

    def is_kept(state: State) -> bool:
        workflow = state.by_id.get(parsed[0])
        if workflow is None or workflow.name != name:
            return False
        stored = msgspec.json.decode(workflow.input)
        return bool(workflow.input_file) or given.items() <= stored.items()

    return Promise(workflow_id, f"{name} {workflow_id} was started", is_kept)


def reported(task_id: str, status: TaskStatus, output: Mapping[str, Any]) -> Promise:
    """A task is at its end; if it is the end that was reported, its output is the one, too."""
    parsed = parse_uuid(task_id)
    assert parsed is not None, task_id

    def is_kept(state: State) -> bool:
        workflow = state.by_id.get(parsed[0])
        task = None if workflow is None else state.tasks.get(task_key(workflow.key, parsed[1]))
        if task is None or not task.status.terminal:
            return False
        stored = msgspec.json.decode(task.output)
        return (
            task.status is not status or bool(task.output_file) or output.items() <= stored.items()
        )

    return Promise(task_uuid(parsed[0], 0), f"task {task_id} was reported {status}", is_kept)


# What is left in the end.

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\b1[67]\d{11}\b")

_KEPT_BY_NAME = {
    "workflow_definition": ("name", "version"),
    "task_definition": ("name",),
    "event_handler": ("name", "active"),
    "schedule": ("name", "paused"),
    "secret": ("name",),
    "environment": ("name", "value"),
    "schema_definition": ("name", "version"),
    "definition_tag": ("kind", "name", "key", "value"),
    "person": ("id",),
    "person_group": ("id",),
    "group_member": ("group_id", "person_id"),
    "custom_role": ("name", "permissions"),
    "access_grant": ("target_id", "subject_id", "access"),
}
"""Tables whose rows are told apart by what clients call them."""


async def outcome(world: World) -> list[str]:
    """What has come of everything, without ids and times: equal with and without a power cut."""
    state = await world.engine.database.read(read_state)
    found = [
        f"workflow {workflow.name} {workflow.correlation_id} {workflow.status}"
        f" {_plain(workflow.output)} {_plain((workflow.reason or '').encode())}"
        for workflow in state.workflows.values()
    ]
    for table, columns in _KEPT_BY_NAME.items():
        found += [f"{table} {[one[column] for column in columns]}" for one in state.rows(table)]
    return sorted(found)


def _plain(payload: bytes) -> str:
    return _TIME.sub("<time>", _ID.sub("<id>", payload.decode(errors="replace")))
