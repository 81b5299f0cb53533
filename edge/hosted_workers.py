"""The workers that a device hosts: the crew of its configuration, and what becomes of lost tasks.

How processes are kept up stands in ``hosting``; no HTTP word stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from edge import idle_handlers
from edge.config import WorkerSettings
from edge.engine import Engine
from edge.hosting.crew import Crew, Lost, Spec
from edge.model.errors import BatonError
from edge.model.executions import TaskStatus
from edge.model.requests import TaskResult

_log = structlog.get_logger(__name__)

_BAD_NEWS = frozenset({"worker_died", "workers_not_loaded"})


class HostedWorkers:
    """Runs the workers that the configuration names.

    Args:
        settings: one entry for each module.
        engine: takes back what a dead process had in hand.
        env: what every process finds in its environment, where the site says nothing else.
    """

    def __init__(
        self, settings: list[WorkerSettings], engine: Engine, env: Mapping[str, str] | None = None
    ) -> None:
        self._engine = engine
        self._crew = Crew(
            [_spec(one, env or {}) for one in settings],
            clock=engine.clock,
            tell=_tell,
            lost=self._take_back,
            found=self._found,
            answers_early=True,
        )

    def answers_at(self, url: str) -> None:
        """The API answers there from now on; workers begin."""
        self._crew.answers_at(url)

    async def run(self) -> None:
        """Keep them up until ``stop``."""
        await self._crew.run()

    async def stop(self) -> None:
        """Let them finish what they have in hand; the API has to answer meanwhile."""
        await self._crew.stop()

    def statuses(self) -> list[dict[str, Any]]:
        """One entry for each process, as JSON."""
        return [msgspec.to_builtins(one) for one in self._crew.statuses()]

    async def _found(self, module: str, tasks: list[str]) -> None:
        await idle_handlers.tell(self._engine, tasks, module=module)

    async def _take_back(self, lost: Lost) -> None:
        """A task that was interrupted by our own end is queued; one that killed its worker failed.

        To queue the latter too would have it kill the next one, for ever.
        """
        if lost.again:
            self._engine.give_back([lost.task_id])
            return
        result = TaskResult(
            workflow_id=lost.workflow_id,
            task_id=lost.task_id,
            status=TaskStatus.FAILED,
            reason=lost.reason,
            worker=lost.worker,
        )
        try:
            await self._engine.update(result)
        except BatonError as error:
            # Its response timeout brings it back.
            _log.warning("lost_task_not_failed", task_id=lost.task_id, reason=error.message)


def _spec(settings: WorkerSettings, env: Mapping[str, str]) -> Spec:
    return Spec(
        modules=[*settings.imports, settings.module],
        processes=settings.processes,
        memory_mb=settings.memory_mb,
        env={**env, **settings.env},
        domain=settings.domain,
        together=settings.together,
        python=settings.python,
        stop_within_s=settings.stop_within_s,
        task_limit_s=settings.task_limit_s,
    )


def _tell(event: str, **facts: Any) -> None:
    if event in _BAD_NEWS:
        _log.warning(event, **facts)
    else:
        _log.info(event, **facts)
