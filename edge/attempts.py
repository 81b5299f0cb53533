"""One attempt of one task by a handler: what it sees, how it is run, and what comes of it.

Who claims tasks and who is told of their ends stands elsewhere.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

import msgspec

from devices.errors import DeviceError, Unreachable
from edge.cores import HOME
from edge.model.executions import EMPTY, TaskStatus, task_uuid, workflow_uuid
from edge.model.requests import Answer, TaskResult, TaskView
from workflows.evidence import EvidenceStore
from workflows.task import Handler, HandlerError, TaskRejected

WORKER = "baton"
"""Name of this process as a worker."""

_LOG_LINES = 100
"""Lines that one attempt may log; the ones beyond are counted in a last line."""


class Surroundings(msgspec.Struct, frozen=True):
    """What handlers reach beyond their input."""

    evidence: EvidenceStore
    open_device: Callable[[str], Any]
    """Gives an opened device by its name."""
    live: Callable[[str], None]
    """Told a task's id, from its thread, when the work on it goes on."""


class Attempt:
    """One attempt of one task, as its handler sees it (``workflows.task.TaskContext``).

    Args:
        view: the task.
        now_ms: the engine's clock, in epoch milliseconds.
        around: what the handler may reach; None = nothing, for it is pure.
    """

    def __init__(
        self, view: TaskView, now_ms: Callable[[], int], around: Surroundings | None
    ) -> None:
        task = view.task
        self.workflow_id = workflow_uuid(view.workflow.id)
        self.task_id = task_uuid(view.workflow.id, task.ordinal)
        self.attempt = task.attempt
        self.input: dict[str, Any] = msgspec.json.decode(task.input)
        self.now_ms = now_ms
        self._around = around
        self._cancelled = threading.Event() if around is not None else None
        self._lines: list[tuple[str, int]] = []
        self._lines_left_out = 0

    @property
    def evidence(self) -> EvidenceStore:
        """Where files go. Raises TaskRejected in a pure handler."""
        return self._reach("files").evidence

    @property
    def cancelled(self) -> bool:
        """Whether the result is no longer wanted."""
        return self._cancelled is not None and self._cancelled.is_set()

    def cancel(self) -> None:
        """Tell the handler that nobody waits any more."""
        if self._cancelled is not None:
            self._cancelled.set()

    def device(self, name: str) -> Any:
        """An opened device. Raises TaskRejected in a pure handler."""
        return self._reach(f"the device {name}").open_device(name)

    def log(self, line: str) -> None:
        """Add a line to the task's log; it is written with the result."""
        if len(self._lines) < _LOG_LINES:
            self._lines.append((line, self.now_ms()))
        else:
            self._lines_left_out += 1

    def heartbeat(self) -> None:
        """The work goes on."""
        if self._around is not None:
            self._around.live(self.task_id)

    def lines(self) -> tuple[tuple[str, int], ...]:
        """What was logged."""
        if self._lines_left_out:
            left_out = f"{self._lines_left_out} more lines were left out"
            return (*self._lines, (left_out, self.now_ms()))
        return tuple(self._lines)

    def _reach(self, what: str) -> Surroundings:
        if self._around is None:
            raise TaskRejected(
                f"a pure handler works on its input alone and has wanted {what}: "
                "take @pure away from it"
            )
        return self._around


def run(handler: Handler, attempt: Attempt) -> Answer:
    """Run a handler on its thread; whatever it raises becomes the task's fate."""
    try:
        # Whatever it makes of threads and processes shall run where it likes.
        with HOME.abroad():
            output = handler(attempt)
    except HandlerError as error:
        status = TaskStatus.FAILED if error.retryable else TaskStatus.FAILED_WITH_TERMINAL_ERROR
        return Answer(status, reason=error.reason, logs=attempt.lines())
    except DeviceError as error:
        again = isinstance(error, Unreachable)
        status = TaskStatus.FAILED if again else TaskStatus.FAILED_WITH_TERMINAL_ERROR
        return Answer(status, reason=str(error), logs=attempt.lines())
    except BaseException as error:  # noqa: BLE001 - a rim: a handler may be anybody's
        # sys.exit() in somebody's library ends the task and not the daemon, which would meet it
        # again after its restart. Threads of handlers are sent no signals.
        attempt.log(traceback.format_exc())
        reason = f"{type(error).__name__}: {error}"
        return Answer(TaskStatus.FAILED, reason=reason, logs=attempt.lines())
    return Answer(TaskStatus.COMPLETED, output, logs=attempt.lines())


def trace_of(view: TaskView) -> str:
    """Where the exception that is being handled came from, without the secrets it may quote."""
    text = traceback.format_exc()
    return text if view.revealed is None else view.revealed.conceal_text(text)


def result_of(view: TaskView, answer: Answer) -> TaskResult:
    """What is reported of a task, without the secrets that were put into its input."""
    answer = _discreet(view, answer)
    output, wrong = EMPTY, None
    try:
        output = msgspec.json.encode(answer.output) if answer.output else EMPTY
    except (TypeError, ValueError, RecursionError) as error:
        wrong = f"the handler returned what JSON cannot hold: {error}"
    if not output.startswith(b"{"):
        # Expressions and clients take an output for a map.
        wrong = f"the handler returned no map, but {type(answer.output).__name__}"
    if wrong is not None:
        status = TaskStatus.FAILED_WITH_TERMINAL_ERROR
        answer, output = Answer(status, reason=wrong, logs=answer.logs), EMPTY
    return TaskResult(
        workflow_id=workflow_uuid(view.workflow.id),
        task_id=task_uuid(view.workflow.id, view.task.ordinal),
        status=answer.status,
        output=output,
        reason=None if answer.reason is None else _writable(answer.reason),
        callback_after_s=answer.callback_after_s,
        worker=WORKER,
        logs=tuple((_writable(line), time_ms) for line, time_ms in answer.logs),
    )


def _writable(text: str) -> str:
    """The text, half surrogate pairs spelt out: it may quote the name of a file, of any bytes."""
    return text.encode(errors="backslashreplace").decode()


def _discreet(view: TaskView, answer: Answer) -> Answer:
    """The answer without the secrets that were put into the task's input."""
    revealed = view.revealed
    if not revealed:
        return answer
    return msgspec.structs.replace(
        answer,
        output=revealed.conceal(answer.output),
        reason=None if answer.reason is None else revealed.conceal_text(answer.reason),
        logs=tuple((revealed.conceal_text(line), time_ms) for line, time_ms in answer.logs),
    )
