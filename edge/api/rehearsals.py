"""The endpoint that runs a workflow with made-up results, so that it can be tested like code.

Nothing of it is kept.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge.api import answers, workflows
from edge.api.call import Call
from edge.model.errors import IllegalState, InvalidInput
from edge.model.validation import parse_start_request, shaped
from edge.rehearsal import Mock, Rehearsal
from edge.responses import Response

_MAX_DEPTH = 20
"""Sub-workflow requests inside each other."""


class PostedMocks(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a test request that is no start request."""

    task_ref_to_mock_output: dict[str, list[Mock]] = {}
    sub_workflow_test_request: dict[str, Any] = {}


async def rehearse(call: Call) -> Response:
    """Run a workflow with the results that the body holds; answers how far it came."""
    rehearsals = call.house.rehearsals
    if rehearsals is None:
        raise IllegalState("This device runs no workflow tests.")
    rehearsal = await _rehearsal(call, await call.json_object(), 0)
    view = await rehearsals.run(rehearsal)
    return answers.json(call.house.encoder.workflow(view.workflow, view.pinned, view.tasks))


async def _rehearsal(call: Call, document: dict[str, Any], depth: int) -> Rehearsal:
    if depth > _MAX_DEPTH:
        raise InvalidInput(f"subWorkflowTestRequest: nested more than {_MAX_DEPTH} deep")
    mocks = shaped(document, PostedMocks, "workflow test request")
    posted = document if depth == 0 else {"name": "inside", **document}
    request = await workflows.start_request(call, parse_start_request(posted))
    children: dict[str, Rehearsal] = {}
    for ref, inner in mocks.sub_workflow_test_request.items():
        if not isinstance(inner, dict):
            raise InvalidInput(f"subWorkflowTestRequest.{ref}: expected an object")
        children[ref] = await _rehearsal(call, inner, depth + 1)
    # What is not kept cannot have been started before.
    request = msgspec.structs.replace(request, idempotency_key=None, idempotency_strategy=None)
    return Rehearsal(request, mocks.task_ref_to_mock_output, children)
