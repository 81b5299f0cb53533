"""HTTP_POLL: the same request again and again, until a condition over its answer is true.

No waiting happens here: between two requests the task stands in its durable queue with a delay.
"""

from __future__ import annotations

import asyncio
import re

import msgspec

from edge.decider.scripts import ScriptFailed, Scripts, is_true
from edge.engine import Engine
from edge.model.definitions import JsonObject
from edge.model.executions import Task, TaskStatus, workflow_uuid
from edge.model.requests import Answer, TaskView
from edge.system_tasks.http import HttpCalls, failure
from edge.system_tasks.http_answer import HttpFailed
from edge.system_tasks.http_request import (
    BadRequest,
    HttpRequest,
    read_request,
    request_values,
    whole_number,
)

_DEFAULT_INTERVAL_S = 60
"""Orkes polls no faster than this; here any interval from one second is taken."""

_MAX_WAIT_S = 24 * 60 * 60
"""No back-off grows beyond a day, unless the interval itself is longer."""

_MAX_INTERVAL_S = 366 * 24 * 60 * 60

_OWN = re.compile(r"\$\s*\.\s*(?:input|output)\b")
"""The parts of ``$`` that need no look at other tasks."""

_STRATEGIES = ("FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF")


class Polling(msgspec.Struct, frozen=True):
    """How often to ask, and for how long."""

    request: HttpRequest
    condition: str
    interval_s: int
    strategy: str

    def wait_s(self, polls: int) -> int:
        """Seconds before the next request, after so many.

        Conductor's commercial server multiplies by the count, and by a power of two on top.
        """
        match self.strategy:
            case "LINEAR_BACKOFF":
                wait_s = polls * self.interval_s
            case "EXPONENTIAL_BACKOFF":
                wait_s = polls * 2 ** min(polls - 1, 40) * self.interval_s
            case _:
                wait_s = self.interval_s
        return min(wait_s, max(_MAX_WAIT_S, self.interval_s))


class HttpPolls:
    """Makes one request of an HTTP_POLL task and says whether that was the last.

    Args:
        calls: makes requests.
        scripts: evaluates conditions.
        engine: shows a condition the other tasks that it names.
    """

    def __init__(self, calls: HttpCalls, scripts: Scripts, engine: Engine) -> None:
        self._calls = calls
        self._scripts = scripts
        self._engine = engine

    async def __call__(self, view: TaskView) -> Answer:
        """Ask once; COMPLETED when the condition is true, else the task comes again later."""
        values: JsonObject = msgspec.json.decode(view.task.input)
        try:
            polling = read_polling(values)
            response = await self._calls.fetch(polling.request)
        except BadRequest as error:
            return Answer(TaskStatus.FAILED, reason=str(error))
        except HttpFailed as error:
            return failure(view.task.kind, error)
        scope = await self._scope(view, polling.condition, values, response)
        try:
            done = await asyncio.to_thread(self._scripts.evaluate, polling.condition, scope)
        except ScriptFailed as error:
            return Answer(
                TaskStatus.FAILED,
                {"response": response},
                reason=f"terminationCondition: {error}",
            )
        if is_true(done):
            return Answer(TaskStatus.COMPLETED, {"response": response})
        # The body is written once, when it is the last: flash wears out.
        seen = {key: response[key] for key in ("statusCode", "reasonPhrase")}
        return Answer(
            TaskStatus.IN_PROGRESS,
            {"response": seen, "pollCount": view.task.polls},
            callback_after_s=polling.wait_s(view.task.polls),
        )

    async def _scope(
        self, view: TaskView, condition: str, values: JsonObject, response: JsonObject
    ) -> JsonObject:
        """What ``$`` is in a condition: this task, and the others that the text names."""
        # Orkes' own examples leave the word "response" out now and then.
        own = {"input": values, "output": {**response, "response": response}}
        scope: JsonObject = {}
        # Reading an execution costs by its size: only for a condition that looks beyond itself.
        if "$" in _OWN.sub("", condition):
            found = await self._engine.execution(workflow_uuid(view.workflow.id))
            scope = {task.step_ref: _shown(task) for task in found.tasks}
            scope["workflow"] = {
                "input": msgspec.json.decode(found.workflow.input),
                "variables": msgspec.json.decode(found.workflow.variables),
            }
        return {**scope, view.task.step_ref: own, **own}


def read_polling(values: JsonObject) -> Polling:
    """Read a task's input.

    Raises:
        BadRequest: a field is missing or cannot be used.
    """
    posted = request_values(values)
    request = read_request(posted)
    fields = {**values, **posted}
    condition = fields.get("terminationCondition")
    if not isinstance(condition, str) or not condition.strip():
        raise BadRequest(
            "terminationCondition: a JavaScript expression is needed, such as "
            "$.output.response.statusCode == 200"
        )
    interval = fields.get("pollingInterval")
    interval_s = _DEFAULT_INTERVAL_S if interval in (None, "") else whole_number(interval)
    if interval_s is None or not 1 <= interval_s <= _MAX_INTERVAL_S:
        raise BadRequest(f"pollingInterval: seconds from 1, not {str(interval)[:80]!r}")
    strategy = str(fields.get("pollingStrategy") or "FIXED").upper()
    if strategy not in _STRATEGIES:
        raise BadRequest(f"pollingStrategy: {strategy[:80]} is none of {', '.join(_STRATEGIES)}")
    return Polling(request, condition, interval_s, strategy)


def _shown(task: Task) -> JsonObject:
    return {
        "input": msgspec.json.decode(task.input),
        "output": msgspec.json.decode(task.output),
        "status": str(task.status),
    }
