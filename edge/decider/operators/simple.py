"""SIMPLE, and every task type that is the user's own: a worker does it.

What the worker does and how it is polled stands elsewhere.
"""

from __future__ import annotations

from edge.decider import policies
from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.model.executions import TaskStatus

_NO_DOMAIN = "NO_DOMAIN"


def queue_name(draft: Draft, visit: Visit, task_type: str) -> tuple[str, str | None]:
    """The queue that a worker polls, and the domain of the task.

    ``[domain:]type[@namespace][-isolation group]``, as Conductor names them.
    """
    definition = policies.settings(visit.step)
    queue = task_type
    if definition.execution_name_space:
        queue += f"@{definition.execution_name_space}"
    if definition.isolation_group_id:
        queue += f"-{definition.isolation_group_id}"
    domain = _domain(draft, visit, task_type)
    return (f"{domain}:{queue}" if domain else queue), domain


def _domain(draft: Draft, visit: Visit, task_type: str) -> str | None:
    if visit.replaces is not None:
        return visit.replaces.domain
    domains = draft.snapshot.workflow.task_to_domain
    choice = domains.get(task_type, domains.get("*", ""))
    last = choice.split(",")[-1].strip()
    return None if not last or last.upper() == _NO_DOMAIN else last


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    name = visit.step.name
    queue, domain = queue_name(draft, visit, name)
    draft.add(visit, TaskStatus.SCHEDULED, type_=name, queue=queue, domain=domain)


def _schedule_user_defined(draft: Draft, visit: Visit, _: Schedule) -> None:
    queue, domain = queue_name(draft, visit, visit.step.type)
    draft.add(visit, TaskStatus.SCHEDULED, queue=queue, domain=domain)


OPERATOR = Operator(_schedule)
USER_DEFINED = Operator(_schedule_user_defined)
