"""The loops that claim tasks for handlers in this process and run them.

What a handler does is its own affair, and no SQL stands here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from edge.attempts import WORKER, Attempt, Surroundings, result_of, run, trace_of
from edge.effects import Effects
from edge.engine import Engine
from edge.model.errors import BatonError, NotFound, Overloaded, StorageUnavailable
from edge.model.executions import TaskStatus
from edge.model.requests import Answer, TaskView
from edge.pure import PureHandlers
from workflows.evidence import EvidenceStore
from workflows.task import Handler, is_pure

log = structlog.get_logger()

_POLL_MS = 60_000
"""One long poll; nothing else happens when it ends than that the next begins."""

_STORAGE_PAUSE_S = 1.0
"""Wait before the disk is asked again that has refused a claim, a system task or a result."""

_GRACE_S = 5.0
"""How long handlers may take to notice that the daemon stops."""


SystemTask = Callable[[TaskView], Awaitable[Answer | None]]
"""Runs one system task on the event loop. It may run again after a power cut. None = the task has
been taken further already, and nothing is left to report."""


class Workers:
    """Runs the handlers and the system tasks of one engine.

    Args:
        engine: where tasks come from.
        evidence: where handlers put files.
        open_device: gives an opened device by its name.
        pure: does the tasks of pure handlers where they are scheduled; None = as a daemon does it.
    """

    def __init__(
        self,
        engine: Engine,
        evidence: EvidenceStore,
        open_device: Callable[[str], Any],
        *,
        pure: PureHandlers | None = None,
    ) -> None:
        self._engine = engine
        self._evidence = evidence
        self._open_device = open_device
        self._pure = PureHandlers(engine.clock.now_ms) if pure is None else pure
        self._handlers: dict[str, tuple[Handler, int]] = {}
        self._system_tasks: dict[str, tuple[SystemTask, int]] = {}
        self._running: dict[tuple[bytes, int], Attempt] = {}
        self._calls: dict[tuple[bytes, int], asyncio.Task[Answer | None]] = {}
        """System tasks under way."""
        engine.on_effects(self._see)

    def add_handlers(self, handlers: Mapping[str, Handler], *, threads: int = 1) -> None:
        """Run tasks of these types, each type on threads of its own.

        Those of pure handlers come there only when they are not done where they are scheduled.
        """
        for task_type, handler in handlers.items():
            self._handlers[task_type] = (handler, threads)
            if is_pure(handler):
                self._pure.add(task_type, handler)

    def add_system_task(self, kind: str, task: SystemTask, *, at_once: int = 16) -> None:
        """Run system tasks of this kind on the event loop."""
        self._system_tasks[kind] = (task, at_once)

    async def run(self) -> None:
        """Run until cancelled; then handlers are told, and what they hold is given back."""
        executors = {
            task_type: ThreadPoolExecutor(threads, thread_name_prefix=task_type)
            for task_type, (_, threads) in self._handlers.items()
        }
        self._engine.complete_within(self._pure.completions)
        try:
            async with asyncio.TaskGroup() as group:
                for task_type, (handler, threads) in self._handlers.items():
                    for _ in range(threads):
                        executor = executors[task_type]
                        group.create_task(self._serve(task_type, handler, executor))
                for kind, (task, at_once) in self._system_tasks.items():
                    for _ in range(at_once):
                        group.create_task(self._serve_system(kind, task))
        finally:
            self._pure.close()
            for running in self._running.values():
                running.cancel()
            self._engine.give_back([running.task_id for running in self._running.values()])
            for executor in executors.values():
                executor.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, task_type: str, handler: Handler, executor: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        around = None
        if not is_pure(handler):

            def live(task_id: str) -> None:
                loop.call_soon_threadsafe(self._engine.extend, task_id)

            around = Surroundings(self._evidence, self._open_device, live)
        while True:
            for view in await self._claim(task_type):
                running = Attempt(view, self._engine.clock.now_ms, around)
                task_id = (view.workflow.id, view.task.ordinal)
                self._running[task_id] = running
                future = loop.run_in_executor(executor, run, handler, running)
                try:
                    answer = await asyncio.shield(future)
                except asyncio.CancelledError:
                    running.cancel()
                    await asyncio.wait([future], timeout=_GRACE_S)
                    raise
                self._running.pop(task_id, None)
                await self._report(view, answer)

    async def _serve_system(self, kind: str, task: SystemTask) -> None:
        while True:
            for view in await self._claim(kind):
                answer = await self._perform(task, view)
                if answer is not None:
                    await self._report(view, answer)

    async def _perform(self, task: SystemTask, view: TaskView) -> Answer | None:
        """Run a system task; None when it has ended in another way before it was done."""
        task_id = (view.workflow.id, view.task.ordinal)
        if self._engine.hand_over.leases.get(task_id) is None:
            # It has ended between its hand-over and now.
            return None
        async with asyncio.TaskGroup() as group:
            call = group.create_task(_answer_of(task, view))
            self._calls[task_id] = call
            call.add_done_callback(lambda _: self._calls.pop(task_id, None))
        return None if call.cancelled() else call.result()

    async def _claim(self, queue: str) -> list[TaskView]:
        """The next task of a queue; none when it cannot be had just now."""
        try:
            found = await self._engine.poll(queue, worker=WORKER, count=1, timeout_ms=_POLL_MS)
            if not found and self._engine.hand_over.queues.waiters.closed:
                # The daemon ends, and with it this loop.
                await asyncio.sleep(_STORAGE_PAUSE_S)
            return found
        except BatonError as error:
            log.warning("claim_postponed", queue=queue, reason=error.message)
            await asyncio.sleep(_STORAGE_PAUSE_S)
            return []

    async def _report(self, view: TaskView, answer: Answer) -> None:
        """Hand the answer in; a disk that refuses is asked again until it takes it.

        An answer that is itself refused is the failure of its task.
        """
        result = result_of(view, answer)
        while True:
            try:
                await self._engine.update(result)
                return
            except (StorageUnavailable, Overloaded) as error:
                log.warning("result_postponed", task_id=result.task_id, reason=error.message)
                await asyncio.sleep(_STORAGE_PAUSE_S)
            except BatonError as error:
                log.info("result_unwanted", task_id=result.task_id, reason=error.message)
                if isinstance(error, NotFound) or result.status is TaskStatus.FAILED:
                    return
                result = result_of(view, Answer(TaskStatus.FAILED, reason=error.told))

    def _see(self, effects: Effects) -> None:
        for task_id in effects.ended:
            running = self._running.get(task_id)
            if running is not None:
                running.cancel()
            call = self._calls.get(task_id)
            if call is not None:
                call.cancel()


async def _answer_of(task: SystemTask, view: TaskView) -> Answer | None:
    """What a system task comes to; a fault of it is its failure, one of the disk is waited for."""
    while True:
        try:
            return await task(view)
        except (StorageUnavailable, Overloaded) as error:
            log.warning("system_task_postponed", kind=view.task.kind, reason=error.message)
            await asyncio.sleep(_STORAGE_PAUSE_S)
        except Exception as error:  # noqa: BLE001 - a rim: the cause is logged and told
            log.error("system_task_broke", kind=view.task.kind, trace=trace_of(view))
            return Answer(TaskStatus.FAILED, reason=f"{type(error).__name__}: {error}")
