"""What a handler receives, what it may raise, and what it must be.

How tasks are claimed, leased and retried is not known here.

    HandlerError
    |-- TaskFailed      the attempt failed; the task definition says whether there is another
    `-- TaskRejected    no attempt can succeed; the task ends for good
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

from workflows.evidence import EvidenceStore


class HandlerError(Exception):
    """A handler could not do its task; the message is the task's reason for incompletion."""

    retryable: ClassVar[bool] = False

    def __init__(self, reason: str) -> None:
        """Keep the reason.

        Args:
            reason: One sentence that says what to do next; a person will read it.
        """
        super().__init__(reason)
        self.reason = reason


class TaskFailed(HandlerError):
    """The attempt failed and another may succeed: status FAILED, retried as defined."""

    retryable = True


class TaskRejected(HandlerError):
    """No attempt can succeed: status FAILED_WITH_TERMINAL_ERROR, never retried."""


class TaskContext(Protocol):
    """One attempt of one task, as its handler sees it; all of it may be used from its thread."""

    @property
    def workflow_id(self) -> str:
        """Id of the execution."""

    @property
    def task_id(self) -> str:
        """Id of this attempt's task."""

    @property
    def attempt(self) -> int:
        """How often the task was tried before; 0 at first."""

    @property
    def input(self) -> dict[str, Any]:
        """The task's input with all references resolved."""

    @property
    def evidence(self) -> EvidenceStore:
        """Where files go."""

    @property
    def cancelled(self) -> bool:
        """Whether the result is no longer wanted; a long handler looks now and then."""

    def device(self, name: str) -> Any:
        """Give an opened device.

        Raises:
            devices.errors.DeviceError: There is none of that name, or it cannot be opened.
        """

    def log(self, line: str) -> None:
        """Add a line to the task's log."""

    def heartbeat(self) -> None:
        """Say that the work goes on, which renews the lease; a long handler does so often."""

    def now_ms(self) -> int:
        """Wall clock in milliseconds since 1970, never stepping back."""


Handler: TypeAlias = Callable[[TaskContext], dict[str, Any]]
"""Does a task and gives its output, on a worker's thread.

It may run again after a power cut that came after its work and before its result was written, so it
must be idempotent, and its docstring says why it is. It may raise `TaskFailed`, `TaskRejected` and
what `devices.errors` holds: Unreachable counts as the former, the others as the latter.
"""

H = TypeVar("H", bound=Handler)

_PURE = "baton_pure"


def pure(handler: H) -> H:
    """Mark a handler that works on its input alone: no device, no file, no network, no state.

    Its tasks are done inside the transaction that schedules them, so that several in a row, and the
    start before them, share one sync. It may therefore run for an execution that a power cut takes
    away again, and more than once. It should be done in a millisecond; one that is slower is run
    like any other handler. Its context has ``input``, ``log`` and ``now_ms``, and refuses devices
    and evidence.
    """
    setattr(handler, _PURE, True)
    return handler


def is_pure(handler: Handler) -> bool:
    """Whether a handler was marked by `pure`."""
    return getattr(handler, _PURE, False) is True
