"""Those who live outside of the devices: clients that start and steer, workers that do tasks.

What must be true of what they see stands in the books.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from typing import TypeVar

import msgspec

from edge.engine import Engine
from edge.model.definitions import TaskDefinition, WorkflowDefinition
from edge.model.errors import BatonError
from edge.model.events import EventHandler, parse_event_handler
from edge.model.executions import TaskStatus, WorkflowStatus, parse_uuid, task_uuid, workflow_uuid
from edge.model.requests import StartRequest, TaskResult, TaskView
from edge.model.schedules import parse_schedule
from edge.model.validation import parse_task_definition, parse_workflow_definition
from edge.steering import Steering
from edge.store import events, executions
from edge.transactions import Transaction
from tests.simulation import shapes
from tests.simulation.books import Books, Started
from tests.simulation.device import Device, DeviceRun
from tests.simulation.machine import BOOTED_S, EPOCH_S, Run, ServerFault, Unreachable
from tests.simulation.plan import Event, Manners

T = TypeVar("T")

_PATIENCE_MS = (0, 2_000, 5_000, 5_000)
"""How long workers let an empty queue hold them."""

_PATIENCE_S = 2.0
"""Between two attempts of somebody who needs an answer."""


class Stage:
    """What all actors share.

    Args:
        seed: of the world.
        books: where they note what they see.
        manners: of the workers.
        note: is told what happens, for the trace.
    """

    def __init__(
        self, seed: int, books: Books, manners: Manners, note: Callable[..., None]
    ) -> None:
        self.seed = seed
        self.books = books
        self.manners = manners
        self.note = note
        self.peace = False
        """From now on everybody behaves, and nobody begins anything new."""


class Client:
    """Registers, starts and steers on one device."""

    def __init__(self, stage: Stage, device: Device) -> None:
        self._stage = stage
        self._device = device
        self._chance = random.Random(f"{stage.seed}:client:{device.number}")

    async def register(self) -> None:
        """Register all definitions; returns when the device has acknowledged them."""
        workflows, tasks, handler = _definitions()

        def put(transaction: Transaction) -> None:
            for definition in tasks:
                transaction.metadata.put_task(transaction.connection, definition)
            for workflow in workflows:
                transaction.metadata.put_workflow(transaction.connection, workflow, overwrite=True)
            if not events.handlers_for(transaction.connection, handler.event):
                events.add_handlers(transaction.connection, [handler])

        await self._insist(lambda run: self._engine_of(run).request(put))

    def _engine_of(self, run: Run) -> Engine:
        return self._memory_of(run).engine

    async def _insist(self, call: Callable[[Run], Awaitable[T]]) -> T:
        """Ask until there is an answer. Raises Unreachable when there never will be one."""
        while True:
            if self._device.gone:
                raise Unreachable("it has been switched off for good")
            try:
                return await self._device.ask(call)
            except (Unreachable, ServerFault):
                await asyncio.sleep(_PATIENCE_S * self._chance.random())
            except BatonError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(_PATIENCE_S * self._chance.random())

    async def start(self, event: Event, number: int) -> None:
        """Start an execution: with a key until it is acknowledged, else once."""
        way = int(event.number)
        key = f"key{number}" if way % 4 else None
        started = Started(self._device.number, event.word, key)
        self._stage.books.starts.append(started)
        request = StartRequest(
            event.word,
            input=msgspec.json.encode(shapes.input_for(event.word, way)),
            idempotency_key=key,
            idempotency_strategy="RETURN_EXISTING" if key else None,
            priority=way % 3,
        )

        async def ask(run: Run) -> str:
            started.attempts += 1
            return await self._engine_of(run).start(request)

        try:
            started.id = await (self._insist(ask) if key else self._device.ask(ask))
        except (Unreachable, ServerFault, BatonError):
            return
        self._stage.note("started", self._device.name, event.word, started.id)

    async def schedule(self, event: Event) -> None:
        """Have something started again and again."""
        document = {
            "name": "often",
            "cronExpression": f"*/{int(event.number)} * * * * *",
            "startWorkflowRequest": {"name": "plain", "input": {"scheduled": True}},
        }

        def put(run: Run) -> Awaitable[object]:
            # A device that is new in 1970 would catch up with ten thousand ticks of fifty years.
            is_set = self._device.wall_ns() > EPOCH_S * 1e9 / 2
            catches_up = event.device % 2 == 0 and is_set
            schedule = parse_schedule({**document, "runCatchupScheduleInstances": catches_up})
            return self._memory_of(run).schedules.put(schedule)

        with suppress(Unreachable):
            await self._insist(put)

    def _memory_of(self, run: Run) -> DeviceRun:
        memory = self._device.memory
        assert memory is not None and not run.dead, "a run that answers has its memory"
        return memory

    async def steer(self, event: Event) -> None:
        """Ask something of one of the executions; refusals and silence are taken as they come."""
        known = [
            one.id
            for one in self._stage.books.starts
            if one.device == self._device.number and one.id is not None
        ]
        if not known:
            return
        chosen = known[int(event.number) % len(known)]
        if event.kind in ("retry", "restart", "rerun"):
            parsed = parse_uuid(chosen)
            assert parsed is not None, "acknowledged ids can be read"
            self._stage.books.reopen(parsed[0])
        self._stage.note("steer", self._device.name, event.kind, chosen)
        try:
            await self._device.ask(lambda run: _steer(self._engine_of(run), event.kind, chosen))
        except (Unreachable, ServerFault, BatonError) as error:
            self._stage.note("refused", self._device.name, type(error).__name__)

    async def settle(self) -> None:
        """In peace: end what only a person can end, let go on what a person has stopped."""

        async def tidy(run: Run) -> None:
            memory = self._memory_of(run)
            await memory.schedules.pause_all(paused=True)
            for workflow_id, paused, asked in await memory.engine.database.read(_open_ends):
                if paused:
                    await memory.engine.resume(workflow_id)
                elif asked:
                    await memory.engine.update_by_ref(
                        workflow_id, asked, TaskStatus.COMPLETED, b"{}", None
                    )

        try:
            await self._device.ask(tidy)
        except (Unreachable, ServerFault, BatonError):
            return


@cache
def _definitions() -> tuple[list[WorkflowDefinition], list[TaskDefinition], EventHandler]:
    """What clients register, read as the API reads it."""
    return (
        [
            parse_workflow_definition(one, owner_required=False, check_script=_no_fault)
            for one in shapes.workflow_definitions()
        ],
        [parse_task_definition(one, owner_required=False) for one in shapes.task_definitions()],
        parse_event_handler(shapes.event_handler(), check_script=_no_fault),
    )


def _no_fault(_: str) -> None:
    """Scripts of our own shapes are right."""


def _open_ends(connection: sqlite3.Connection) -> list[tuple[str, bool, str]]:
    """Executions that wait for a person: id, whether it is paused, reference of a HUMAN task."""
    found = []
    for key, workflow in executions.open_workflows(connection, 0, 1_000):
        assert workflow is not None, f"nothing damages the row {key} in this world"
        paused = workflow.status is WorkflowStatus.PAUSED
        asked = [
            task.ref
            for task in executions.read_tasks(connection, workflow.key)
            if task.kind == "HUMAN" and not task.status.terminal
        ]
        if paused or asked:
            found.append((workflow_uuid(workflow.id), paused, asked[0] if asked else ""))
    return found


async def _steer(engine: Engine, kind: str, workflow_id: str) -> None:
    match kind:
        case "pause":
            await engine.pause(workflow_id)
        case "resume":
            await engine.resume(workflow_id)
        case "terminate":
            await engine.terminate(workflow_id, "a client has asked for it")
        case "retry":
            await engine.retry(workflow_id)
        case "restart":
            await engine.restart(workflow_id, latest=False)
        case "rerun":
            await Steering(engine).rerun(
                workflow_id,
                task_id=None,
                workflow_input=None,
                task_input=None,
                correlation_id=None,
            )


class Worker:
    """Asks one queue of one device for tasks, and does them as well as it can.

    Args:
        stage: what all actors share.
        device: that it works for.
        queue: that it asks.
        number: of the worker at that queue.
    """

    def __init__(self, stage: Stage, device: Device, queue: str, number: int) -> None:
        self._stage = stage
        self._device = device
        self._queue = queue
        self._name = f"{queue}{number}"
        self._chance = random.Random(f"{stage.seed}:worker:{device.number}:{self._name}")

    async def run(self) -> None:
        """Work until cancelled, or until the device is switched off for good."""
        while not self._device.gone:
            count, patience_ms = self._chance.choice((1, 1, 3)), self._chance.choice(_PATIENCE_MS)
            try:
                views = await self._device.ask(
                    lambda run, c=count, p=patience_ms: self._poll(run, c, p)  # type: ignore[misc]
                )
            except (Unreachable, ServerFault, BatonError):
                await asyncio.sleep(0.2 + self._chance.random())
                continue
            for view in views:
                await self._attend_to(view)
            if not views:
                await asyncio.sleep(
                    self._chance.random() if patience_ms else 0.2 + self._chance.random()
                )

    async def _poll(self, run: Run, count: int, patience_ms: int) -> list[TaskView]:
        memory = self._device.memory
        assert memory is not None, "a run that answers has its memory"
        views = await memory.engine.poll(
            self._queue, worker=self._name, count=count, timeout_ms=patience_ms
        )
        if run.dead:
            return []
        for view in views:
            self._stage.note("handed", self._device.name, self._name, _id(view))
            taken_s = _taken_ms(memory.engine, view) / 1000 - BOOTED_S
            self._stage.books.handed(
                self._device.number, run.number, self._queue, _id(view), taken_s
            )
        return views

    async def _attend_to(self, view: TaskView) -> None:
        manners, chance = self._stage.manners, self._chance
        peace = self._stage.peace
        if not peace and chance.random() < manners.hang:
            # Taken, and never heard of again.
            return
        await asyncio.sleep(chance.random() * (0.2 if peace else manners.slow_s))
        if not peace and chance.random() < manners.beat:
            await self._answer(TaskResult("", _id(view), TaskStatus.IN_PROGRESS, extend_lease=True))
            await asyncio.sleep(chance.random() * 3)
        if not peace and chance.random() < manners.late:
            await asyncio.sleep(4 + 8 * chance.random())
        result, lives = self._result(view), len(self._device.put_back_s)
        told = await self._answer(result)
        if not peace and chance.random() < manners.twice:
            await asyncio.sleep(chance.random())
            told = await self._answer(result) or told
        if told and result.status.terminal and lives == len(self._device.put_back_s):
            self._stage.books.end_acknowledged(self._device.number, _id(view))
            self._stage.note("ended", self._device.name, _id(view), result.status.value)

    def _result(self, view: TaskView) -> TaskResult:
        """What the worker makes of a task."""
        manners, chance = self._stage.manners, self._chance
        fails = not self._stage.peace and chance.random() < manners.fail
        rejects = not self._stage.peace and chance.random() < manners.reject
        if self._queue == shapes.BACK and view.task.polls < 3:
            return TaskResult("", _id(view), TaskStatus.IN_PROGRESS, callback_after_s=2)
        if rejects:
            status = TaskStatus.FAILED_WITH_TERMINAL_ERROR
        else:
            status = TaskStatus.FAILED if fails else TaskStatus.COMPLETED
        output = msgspec.json.encode({"said": self._name, "by": _id(view)})
        return TaskResult("", _id(view), status, output, worker=self._name)

    async def _answer(self, result: TaskResult) -> bool:
        """Hand an answer in; whether it was acknowledged. Tries some times, as an SDK does."""
        for _ in range(20 if self._stage.peace else 4):
            try:
                await self._device.ask(lambda run: self._update(run, result))
            except (Unreachable, ServerFault):
                await asyncio.sleep(0.2 + self._chance.random())
            except BatonError as error:
                if not error.retryable:
                    return False
                await asyncio.sleep(0.2 + self._chance.random())
            else:
                return True
        return False

    async def _update(self, run: Run, result: TaskResult) -> None:
        memory = self._device.memory
        assert memory is not None and not run.dead, "a run that answers has its memory"
        if not result.status.terminal and not result.extend_lease:
            # Whoever holds it now: the engine takes an answer from anybody who knows the task.
            self._stage.books.put_off(self._device.number, run.number, result.task_id)
        elif result.extend_lease and memory.engine.hand_over.lease_of(_key(result.task_id)):
            allowed_s = shapes.SILENCE_S[self._queue]
            self._stage.books.heard_again(
                self._device.number, result.task_id, self._device.now_s(), allowed_s
            )
        await memory.engine.update(result)


def _taken_ms(engine: Engine, view: TaskView) -> int:
    """When the engine counted a hand-over: a slow disk may keep the worker waiting for it."""
    held = engine.hand_over.queues.slots._held.get((view.workflow.id, view.task.ordinal))
    return engine.clock.monotonic_ms() if held is None else held[1]


def _key(task_id: str) -> tuple[bytes, int]:
    parsed = parse_uuid(task_id)
    assert parsed is not None, "ids that were handed out can be read"
    return parsed


def _id(view: TaskView) -> str:
    return task_uuid(view.workflow.id, view.task.ordinal)
