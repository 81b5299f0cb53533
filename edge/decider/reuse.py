"""``cacheConfig`` of a step: outputs of earlier tasks that later ones with the same input take over.

How long and how many are kept in the end is the store's affair.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from edge.decider.draft import Draft, Visit
from edge.decider.expressions import read_path, resolve
from edge.decider.java_text import java_text
from edge.model.definitions import JsonObject, WorkflowTask
from edge.model.executions import Task, TaskStatus
from edge.model.outputs import KeptOutput


class _Cache(NamedTuple):
    key: str
    """A text with expressions over the task's input, ``${uri}-${method}``."""
    ttl_s: int


def schedule_or_reuse(
    draft: Draft,
    visit: Visit,
    *,
    queue: str,
    type_: str | None = None,
    domain: str | None = None,
) -> None:
    """Let a task wait in a queue, or end it at once with the output that is kept for its input."""
    cache = _cache(visit.step)
    if cache is None:
        draft.add(visit, TaskStatus.SCHEDULED, type_=type_, queue=queue, domain=domain)
        return
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    key = _key(cache, values)
    kept = None if key is None else draft.sources.outputs.find(visit.step.name, key)
    if kept is None:
        status, place, output = TaskStatus.SCHEDULED, queue, None
    else:
        # A record that never was in a queue is one whose output is not kept once more.
        status, place, output = TaskStatus.COMPLETED, None, msgspec.json.decode(kept)
    draft.add(
        visit,
        status,
        values=values,
        output=output,
        ordinal=ordinal,
        type_=type_,
        queue=place,
        domain=domain,
    )


def keep(draft: Draft, step: WorkflowTask, task: Task) -> None:
    """Keep the output of a task that somebody has done, if its step says so."""
    cache = _cache(step)
    if cache is None or task.queue is None or task.status is not TaskStatus.COMPLETED:
        return
    key = _key(cache, draft.snapshot.parsed(task.ordinal, "input"))
    if key is not None:
        expires_ms = draft.now_ms + cache.ttl_s * 1000
        draft.kept.append(KeptOutput(task.name, key, task.output, expires_ms))


def _cache(step: WorkflowTask) -> _Cache | None:
    """What a step says, if it says something that can be followed."""
    config = step.cache_config
    if config is None:
        return None
    key, ttl_s = config.get("key"), config.get("ttlInSecond")
    if not isinstance(key, str) or not isinstance(ttl_s, int) or ttl_s <= 0:
        return None
    return _Cache(key, ttl_s)


def _key(cache: _Cache, values: JsonObject) -> str | None:
    """The key for an input; None when nothing of the input that it names is there."""
    found = resolve(cache.key, lambda path: read_path(values.get, path))
    text = found if isinstance(found, str) or found is None else java_text(found)
    return text if text and text.strip() else None
