"""Handlers whose tasks nobody knows: told at the start, for their names may be slips.

Nothing is refused: the workflow that asks for them may be pushed later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from edge.engine import Engine
from edge.model.errors import BatonError
from workflows.handler_names import meant, texts_of

_log = structlog.get_logger(__name__)


async def tell(engine: Engine, handlers: Sequence[str], **facts: Any) -> None:
    """Tell of each handler that no task definition and no workflow knows.

    Args:
        engine: whose definitions are looked at.
        handlers: names of the tasks that they do.
        facts: where they stand.
    """
    try:
        known = {one.name for one in await engine.task_definitions()}
        if known.issuperset(handlers):
            return
        for definition in await engine.workflow_definitions():
            known.update(texts_of(msgspec.to_builtins(definition)))
    except BatonError as error:
        # The handlers run all the same.
        _log.warning("handlers_not_compared", **facts, reason=error.message)
        return
    for name in handlers:
        if name not in known:
            # Blanks are no names of tasks, and the texts of definitions hold whole sentences.
            names = [one for one in known if " " not in one]
            advice = meant(name, names, handlers) or "it does nothing until a task has this name"
            _log.warning("handler_without_task", **facts, handler=name, advice=advice)
