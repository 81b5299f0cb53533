"""UPDATE_SECRET: a workflow keeps a secret that it has come by."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from edge.model.errors import BatonError, InvalidInput, SecretUnreadable
from edge.model.executions import TaskStatus
from edge.model.requests import Answer, TaskView
from edge.system_tasks import UpdateSecret
from tests.unit.edge.playbook import Playbook, step


def _run(values: Any, error: BatonError | None = None) -> tuple[Answer, list[tuple[str, str]]]:
    kept: list[tuple[str, str]] = []

    async def keep(name: str, value: str) -> None:
        if error is not None:
            raise error
        kept.append((name, value))

    play = Playbook(step("u", "UPDATE_SECRET"))
    play.start()
    task = msgspec.structs.replace(play.task("u"), input=msgspec.json.encode(values))
    view = TaskView(play.workflow, play.snapshot.pinned, task)
    return asyncio.run(UpdateSecret(keep)(view)), kept


@pytest.mark.parametrize(
    ("value", "kept"), [("abcd", "abcd"), ({"user": "x", "n": 1}, '{"user":"x","n":1}')]
)
def test_it_keeps_what_stands_under_secrets(value: Any, kept: str) -> None:
    """A text as it is, an object as JSON, which expressions read by their path; no output."""
    answer, seen = _run({"_secrets": {"secretKey": "my_token", "secretValue": value}})

    assert Answer(TaskStatus.COMPLETED) == answer
    assert [("my_token", kept)] == seen


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"_secrets": "x"},
        {"_secrets": {"secretKey": "k"}},
        {"_secrets": {"secretKey": "k", "secretValue": ""}},
        {"_secrets": {"secretKey": "", "secretValue": "v"}},
        {"_secrets": {"secretKey": 5, "secretValue": "v"}},
    ],
)
def test_what_is_missing_ends_it_for_good(values: Any) -> None:
    """Another attempt would miss it, too."""
    answer, seen = _run(values)

    assert TaskStatus.FAILED_WITH_TERMINAL_ERROR is answer.status
    assert "_secrets.secretKey" in (answer.reason or "")
    assert [] == seen


def test_a_name_that_cannot_be_one_ends_it_for_good() -> None:
    """The reason names it."""
    answer, seen = _run({"_secrets": {"secretKey": "a/b", "secretValue": "v"}})

    assert (TaskStatus.FAILED_WITH_TERMINAL_ERROR, []) == (answer.status, seen)
    assert "'a/b'" in (answer.reason or "")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("too many"), TaskStatus.FAILED_WITH_TERMINAL_ERROR),
        (SecretUnreadable("the key is lost"), TaskStatus.FAILED),
    ],
)
def test_what_keeping_it_meets(error: BatonError, status: TaskStatus) -> None:
    """A key may be put back, and then another attempt succeeds."""
    answer, _ = _run({"_secrets": {"secretKey": "k", "secretValue": "v"}}, error)

    assert Answer(status, reason=error.message) == answer
