"""SET_VARIABLE: lays its input over the workflow's variables.

Nothing outside this execution sees them.
"""

from __future__ import annotations

import msgspec

from edge.decider.draft import Draft, Visit
from edge.decider.operators.operator import Operator, Schedule
from edge.model.executions import TaskStatus, workflow_uuid


def _schedule(draft: Draft, visit: Visit, _: Schedule) -> None:
    ordinal = draft.new_ordinal()
    values = draft.input_of(visit, ordinal)
    variables = msgspec.json.encode({**draft.snapshot.parsed(0, "variables"), **values})
    most = draft.outside.limits.variables_most
    if len(variables) > most:
        draft.add(
            visit,
            TaskStatus.FAILED_WITH_TERMINAL_ERROR,
            values=values,
            ordinal=ordinal,
            reason=f"The variables payload size: {len(variables)} of workflow: "
            f"{workflow_uuid(draft.snapshot.workflow.id)} is greater than the permissible "
            f"limit: {most // 1024} kilobytes",
        )
        return
    draft.change_workflow(variables=variables)
    draft.add(visit, TaskStatus.COMPLETED, values=values, ordinal=ordinal)


OPERATOR = Operator(_schedule)
