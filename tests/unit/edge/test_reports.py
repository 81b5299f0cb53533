"""What workers report, and many reports at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.engine import Engine
from edge.model.errors import NotFound
from edge.model.executions import TaskStatus
from edge.model.requests import TaskResult
from edge.reports import task_id_of
from tests.unit.edge.engine_house import define, id_of, run, simple, start

DONE = TaskStatus.COMPLETED
NOBODY = "01a21f43-8ddd-75a3-b23a-368000000001"


@pytest.mark.parametrize("text", ["", "never", NOBODY[:-1] + "0"])
def test_what_is_no_id_of_a_task_is_not_found(text: str) -> None:
    """An id of a workflow is none either; nothing is asked of the disk."""
    with pytest.raises(NotFound, match=f"No such task found by id: {text}"):
        task_id_of(text)


@pytest.mark.parametrize("text", ["", "never", NOBODY[:-1] + "0"])
def test_a_report_of_what_is_no_task_is_not_found(tmp_path: Path, text: str) -> None:
    """Whether it comes alone or among others."""

    async def body(engine: Engine) -> None:
        with pytest.raises(NotFound, match=f"No such task found by id: {text}"):
            await engine.update(TaskResult("", text, DONE))
        (refusal,) = await engine.update_all([TaskResult("", text, DONE)])
        assert isinstance(refusal, NotFound)

    run(tmp_path, body)


def test_many_reports_are_answered_one_by_one(tmp_path: Path) -> None:
    """In their order, with the reason of each that was refused."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        for _ in range(2):
            await start(engine, "w")
        first, second = await engine.poll("a", worker="me", count=2, timeout_ms=0)
        other = NOBODY[:-1] + "0"
        refusals = await engine.update_all(
            [
                TaskResult("", id_of(first), DONE),
                TaskResult("", NOBODY, DONE),
                TaskResult("", "never", DONE),
                TaskResult(other, id_of(second), DONE),
                TaskResult("", id_of(second), TaskStatus.IN_PROGRESS, extend_lease=True),
            ]
        )
        assert [True, False, False, False, True] == [one is None for one in refusals]
        assert f"No such workflow found by id: {other}" == refusals[3].message  # type: ignore[union-attr]
        assert DONE is (await engine.task(id_of(first))).task.status
        assert TaskStatus.IN_PROGRESS is (await engine.task(id_of(second))).task.status
        assert 1 == engine.counters()["updates"]

    run(tmp_path, body)
