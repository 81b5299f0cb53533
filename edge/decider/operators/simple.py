"""SIMPLE, and every task type that is the user's own: a worker does it.

What the worker does and how it is polled stands elsewhere.
"""

from __future__ import annotations

from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.decider.reuse import schedule_or_reuse
from edge.model.straight import queue_of

_NO_DOMAIN = "NO_DOMAIN"


def queue_name(draft: Draft, visit: Visit, task_type: str) -> tuple[str, str | None]:
    """The queue that a worker polls, and the domain of the task.

    ``[domain:]type[@namespace][-isolation group]``, as Conductor names them.
    """
    queue = queue_of(visit.step, task_type)
    domain = _domain(draft, visit, task_type, queue)
    return (f"{domain}:{queue}" if domain else queue), domain


def _domain(draft: Draft, visit: Visit, task_type: str, queue: str) -> str | None:
    """The first domain of the task's list that workers serve; if none is served, the last."""
    if visit.replaces is not None:
        return visit.replaces.domain
    chosen = draft.snapshot.workflow.task_to_domain
    if not chosen:
        return None
    names = [name.strip() for name in chosen.get(task_type, chosen.get("*", "")).split(",")]
    if len(names) > 1:
        for name in names:
            if not _is_none(name) and draft.sources.polls.is_polled(f"{name}:{queue}"):
                return name
    return None if _is_none(names[-1]) else names[-1]


def _is_none(name: str) -> bool:
    return not name or name.upper() == _NO_DOMAIN


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    name = visit.step.name
    queue, domain = queue_name(draft, visit, name)
    schedule_or_reuse(draft, visit, type_=name, queue=queue, domain=domain)


def _schedule_user_defined(draft: Draft, visit: Visit, _: Schedule) -> None:
    queue, domain = queue_name(draft, visit, visit.step.type)
    schedule_or_reuse(draft, visit, queue=queue, domain=domain)


OPERATOR = Operator(_schedule)
USER_DEFINED = Operator(_schedule_user_defined)
