"""What an engine counts of its work, as metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.api import work_figures
from edge.engine import Engine
from edge.model.decision import Terminate
from edge.model.errors import Conflict
from edge.model.executions import TaskStatus
from edge.transactions import Transaction
from tests.unit.edge.engine_house import answer, claim, define, define_task, run, simple, start
from tests.unit.edge.manual_clock import ManualClock


def _samples(engine: Engine, name: str) -> dict[tuple[str, ...], float]:
    (family,) = [one for one in work_figures.families(engine) if one.name == name]
    return {tuple(labels.values()): value for labels, value in family.samples}


def _count(engine: Engine, name: str) -> int:
    (family,) = [one for one in work_figures.families(engine) if one.name == name]
    assert family.histogram is not None
    return sum(family.histogram.counts)


def test_queues_tell_their_length_and_age(tmp_path: Path) -> None:
    """What a limit holds back is counted; what is delayed is, but it does not age."""
    clock = ManualClock()

    async def body(engine: Engine) -> None:
        await define_task(engine, "a", concurrentExecLimit=1)
        await define(engine, "w", simple("a"))
        await define(engine, "late", simple("b", startDelay=100))
        await start(engine, "late")
        for _ in range(3):
            await start(engine, "w")
            clock.pass_s(2)
        await claim(engine, "a")

        assert {("a",): 2, ("b",): 1} == _samples(engine, "baton_queue_tasks")
        assert {("a",): 4, ("b",): 0} == _samples(engine, "baton_queue_oldest_seconds")
        assert {("a",): 1} == _samples(engine, "baton_tasks_in_progress")
        assert {("a",): 1} == _samples(engine, "baton_queue_polls_total")
        assert 1 == _count(engine, "baton_task_wait_seconds")
        assert 6 == engine.figures.waits.sum_s

    run(tmp_path, body, clock=clock, timers=False)


def test_the_load_is_told(tmp_path: Path) -> None:
    """How busy the device is, and what it refused for it."""

    async def body(engine: Engine) -> None:
        engine.load.committed(idle_ms=500, took_ms=500, sync_ms=0)
        assert engine.load.refusal(10_000) is not None

        assert {(): 0.5} == _samples(engine, "baton_busy_ratio")
        assert {(): 1} == _samples(engine, "baton_starts_refused_total")

    run(tmp_path, body, clock=ManualClock(), timers=False)


def test_tasks_and_executions_are_counted_once(tmp_path: Path) -> None:
    """When they begin and when they end, whatever happens to their records later."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a", retryCount=1), simple("b"))
        await define_task(engine, "a", retryDelaySeconds=0)
        await define(engine, "w", simple("a", retryCount=1), simple("b"))
        workflow_id = await start(engine, "w")
        await answer(engine, await claim(engine, "a"), TaskStatus.FAILED)
        await answer(engine, await claim(engine, "a"))
        await answer(engine, await claim(engine, "b"), TaskStatus.FAILED_WITH_TERMINAL_ERROR)
        await engine.retry(workflow_id)
        await answer(engine, await claim(engine, "b"))

        assert {
            ("a", "FAILED"): 1,
            ("a", "COMPLETED"): 1,
            ("b", "FAILED_WITH_TERMINAL_ERROR"): 1,
            ("b", "COMPLETED"): 1,
        } == _samples(engine, "baton_tasks_ended_total")
        assert {("w",): 1} == _samples(engine, "baton_workflows_started_total")
        assert {("w", "FAILED"): 1, ("w", "COMPLETED"): 1} == _samples(
            engine, "baton_workflows_ended_total"
        )

    run(tmp_path, body)


def test_what_was_undone_is_not_counted(tmp_path: Path) -> None:
    """Only what has been committed has happened."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        view = await claim(engine, "a")

        def fails(transaction: Transaction) -> None:
            transaction.decide(view.workflow.id, Terminate(None))
            raise Conflict("after all not")

        with pytest.raises(Conflict):
            await engine.request(fails)

        assert {} == _samples(engine, "baton_workflows_ended_total")
        assert {} == _samples(engine, "baton_tasks_ended_total")

    run(tmp_path, body)


def test_the_disk_is_timed(tmp_path: Path) -> None:
    """Each commit, and the part of it that is the disk's."""

    async def body(engine: Engine) -> None:
        await define(engine, "w", simple("a"))
        await start(engine, "w")
        commits = engine.counters()["commits"]

        assert commits == _count(engine, "baton_transaction_seconds")
        assert commits == _count(engine, "baton_disk_sync_seconds")
        assert 1 == _count(engine, "baton_decision_seconds")
        assert 0 < engine.figures.syncs.sum_s <= engine.figures.transactions.sum_s

    run(tmp_path, body)


def test_the_number_of_lines_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The busiest have lines of their own; the others share one."""
    monkeypatch.setattr(work_figures, "_MOST", 2)

    async def body(engine: Engine) -> None:
        for number, name in enumerate("abcd"):
            await define(engine, name, simple(name))
            for _ in range(number + 1):
                await start(engine, name)

        assert {("d",): 4, ("c",): 3, ("other",): 3} == _samples(engine, "baton_queue_tasks")

    run(tmp_path, body)
