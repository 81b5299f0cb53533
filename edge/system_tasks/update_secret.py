"""UPDATE_SECRET: keeps a secret that a workflow has come by, such as a renewed token.

How it is sealed stands elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from edge.model.errors import InvalidInput, SecretUnreadable
from edge.model.executions import TaskStatus
from edge.model.requests import Answer, TaskView
from edge.model.variables import checked_name, checked_value

Keep = Callable[[str, str], Awaitable[None]]
"""Keeps a secret, name and value, in place of the one of that name."""


class UpdateSecret:
    """Keeps the secret that a task's input holds under ``_secrets``.

    To run again after a power cut is safe: it keeps the same value once more.
    """

    def __init__(self, keep: Keep) -> None:
        self._keep = keep

    async def __call__(self, view: TaskView) -> Answer:
        """Keep the secret; there is no output."""
        given: Any = msgspec.json.decode(view.task.input).get("_secrets")
        fields = given if isinstance(given, dict) else {}
        name, value = fields.get("secretKey"), fields.get("secretValue")
        if value is not None and not isinstance(value, str):
            # A secret of several fields, which expressions read by their path.
            value = msgspec.json.encode(value).decode()
        if not isinstance(name, str) or not name or not value:
            return Answer(
                TaskStatus.FAILED_WITH_TERMINAL_ERROR,
                reason="_secrets.secretKey and _secrets.secretValue must be given and not empty",
            )
        try:
            await self._keep(checked_name("secret", name), checked_value("secret", name, value))
        except InvalidInput as error:
            return Answer(TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason=error.message)
        except SecretUnreadable as error:
            # The key may be put back.
            return Answer(TaskStatus.FAILED, reason=error.message)
        return Answer(TaskStatus.COMPLETED)
