"""Pure handlers, run inside the transaction that queues their tasks: one sync for all of them.

Such a handler works on its input alone, so it may run for an execution that is never written: a
power cut before the COMMIT takes both away. What it does not do quickly is left to the workers'
loops, as if it had not been tried; its answer is thrown away and it runs again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog

from edge.attempts import WORKER, Attempt, result_of, run
from edge.clock import stopwatch_s
from edge.decider.secrets import MARK
from edge.effects import Effects, Queued, TaskId
from edge.model.decision import Lease, UpdateTask
from edge.model.requests import TaskResult, TaskView
from edge.terms import KnownTerms
from edge.transactions import Transaction
from workflows.task import Handler

log = structlog.get_logger()

_WINDOW_S = 0.010
"""For so long handlers may hold a transaction up, and all who share it: later none is begun."""

_LATE_S = 0.005
"""For so long the last of them is waited for."""

_SLOW_S = 60.0
"""A handler that was not done in time is left to the workers' loops for so long."""

_ROUNDS = 50
"""Tasks that may follow on one another in one transaction: a loop need not end."""


class PureHandlers:
    """Does the tasks of pure handlers, as long as that is quick.

    Args:
        now_ms: the engine's clock, in epoch milliseconds.
        stopwatch: seconds since an arbitrary moment.
        executor: runs the handlers, one at a time; None = a thread of its own.
    """

    def __init__(
        self,
        now_ms: Callable[[], int],
        *,
        stopwatch: Callable[[], float] = stopwatch_s,
        executor: Executor | None = None,
    ) -> None:
        self._now_ms = now_ms
        self._stopwatch = stopwatch
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="pure")
        self._handlers: dict[str, Handler] = {}
        self._slow_until_s: dict[str, float] = {}
        self._terms = KnownTerms()
        self._at = ""
        """The task type whose handler is running."""
        self._is_busy = False
        """Whether the thread is still at what nobody waits for any more."""

    def add(self, task_type: str, handler: Handler) -> None:
        """Do tasks of this type, before the first transaction."""
        self._handlers[task_type] = handler

    def close(self) -> None:
        """Do nothing any more; a handler that is running is not waited for."""
        self._handlers = {}
        self._executor.shutdown(wait=False, cancel_futures=True)

    def completions(self, effects: Effects) -> Iterator[Callable[[Transaction], Any]]:
        """What to carry out at the end of a transaction, one after the other. Disk thread only.

        Args:
            effects: of the transaction so far; what follows from one completion is in it by the
                time that the next is asked for.
        """
        tried: set[TaskId] = set()
        until_s = self._stopwatch() + _WINDOW_S
        for _ in range(_ROUNDS):
            if not effects.queued or self._is_busy or self._stopwatch() >= until_s:
                return
            found = [
                TaskView(*queued)
                for task_id, queued in effects.queued.items()
                if task_id not in tried and self._takes(queued)
            ]
            if not found:
                return
            tried.update((view.workflow.id, view.task.ordinal) for view in found)
            for view, result in self._do(found, until_s):
                yield partial(_complete, view, result, self._now_ms())

    def _takes(self, queued: Queued) -> bool:
        task = queued.task
        kind = task.queue or ""
        if kind not in self._handlers or task.deliver_ms or MARK in task.input:
            return False
        if self._slow_until_s.get(kind, 0.0) > self._stopwatch():
            return False
        terms = self._terms.of(queued.pinned, task)
        return not (terms.limit.at_once or terms.limit.per_window or terms.wanted)

    def _do(self, views: Sequence[TaskView], until_s: float) -> list[tuple[TaskView, TaskResult]]:
        """Results of the foremost of the tasks: of those that were done in time."""
        done: list[tuple[TaskView, TaskResult]] = []
        self._at, self._is_busy = "", True
        try:
            future = self._executor.submit(self._work, views, until_s, done)
            error = future.exception(until_s + _LATE_S - self._stopwatch())
        except (CancelledError, RuntimeError):
            # It is being closed.
            return []
        except TimeoutError as late:
            error = late
        if error is not None and self._at:
            self._slow_until_s[self._at] = self._stopwatch() + _SLOW_S
            log.info("pure_handler_left", task_type=self._at, reason=repr(error))
        return list(done)

    def _work(
        self,
        views: Sequence[TaskView],
        until_s: float,
        done: list[tuple[TaskView, TaskResult]],
    ) -> None:
        """On the executor."""
        try:
            for view in views:
                if self._stopwatch() >= until_s:
                    return
                self._at = view.task.queue or ""
                attempt = Attempt(view, self._now_ms, None)
                done.append((view, result_of(view, run(self._handlers[self._at], attempt))))
        finally:
            self._is_busy = False


def _complete(view: TaskView, result: TaskResult, now_ms: int, transaction: Transaction) -> None:
    command = UpdateTask(
        ordinal=view.task.ordinal,
        status=result.status,
        output=result.output,
        reason=result.reason,
        worker=WORKER,
        logs=result.logs,
        lease=Lease(WORKER, now_ms, view.task.polls + 1),
    )
    transaction.decide(view.workflow.id, command)
