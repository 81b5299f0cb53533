"""What the engine has counted and measured of its work, as metrics with a bounded number of lines.

Nothing is counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge.api.metrics import Family, Labels
from edge.engine import Engine
from edge.figures import OTHER, Figures, Tally
from edge.load import Load

_MOST = 200
"""Queues and task definitions with a line of their own, the busiest ones; names are users'."""


def families(engine: Engine) -> list[Family]:
    """The metrics of one engine."""
    return [
        *_of_now(engine),
        *_load(engine.load),
        *_counts(engine.figures),
        *_durations(engine.figures),
    ]


def _of_now(engine: Engine) -> list[Family]:
    """Who waits and who works at this moment."""
    waiting = engine.hand_over.queues.waiting()
    now_ms = engine.clock.monotonic_ms()
    sizes = {queue: size for queue, (size, _) in waiting.items()}
    ages = {
        queue: (now_ms - since_ms) / 1000 if since_ms else 0.0
        for queue, (_, since_ms) in waiting.items()
    }
    busy = engine.hand_over.queues.slots.in_progress()
    return [
        Family(
            "baton_queue_tasks",
            "gauge",
            "Tasks that wait for a worker, those that a limit holds back too, by queue.",
            _busiest(sizes, "queue", together=sum),
        ),
        Family(
            "baton_queue_oldest_seconds",
            "gauge",
            "How long the task has waited that waits longest, by queue.",
            _busiest(ages, "queue", together=max),
        ),
        Family(
            "baton_tasks_in_progress",
            "gauge",
            "Tasks that are handed out, by task definition.",
            _busiest(busy, "task", together=sum),
        ),
    ]


def _load(load: Load) -> list[Family]:
    """How much the device has to do, and what it did not begin for that reason."""
    return [
        Family(
            "baton_busy_ratio",
            "gauge",
            "Share of the last second of work that there was something to do, syncs left out.",
            [({}, round(load.busy, 3))],
        ),
        Family(
            "baton_starts_refused_total",
            "counter",
            "Starts that were refused because the device was behind.",
            [({}, load.refused)],
        ),
    ]


def _counts(figures: Figures) -> list[Family]:
    """What has happened since the start, by name."""
    return [
        Family(
            "baton_queue_polls_total",
            "counter",
            "How often workers have asked for work, by queue.",
            _counted(figures.polls, "queue"),
        ),
        Family(
            "baton_tasks_ended_total",
            "counter",
            "Tasks that have ended, by type and status.",
            _counted(figures.tasks_ended, "type", "status"),
        ),
        Family(
            "baton_workflows_started_total",
            "counter",
            "Executions that have begun, by workflow.",
            _counted(figures.workflows_started, "workflow"),
        ),
        Family(
            "baton_workflows_ended_total",
            "counter",
            "Executions that have ended, by workflow and status.",
            _counted(figures.workflows_ended, "workflow", "status"),
        ),
    ]


def _durations(figures: Figures) -> list[Family]:
    """How long things take."""
    return [
        Family(
            "baton_task_wait_seconds",
            "histogram",
            "From the moment a task might have been handed out until it was.",
            histogram=figures.waits,
        ),
        Family(
            "baton_decision_seconds",
            "histogram",
            "One step of one execution.",
            histogram=figures.decisions,
        ),
        Family(
            "baton_transaction_seconds",
            "histogram",
            "All requests that share a commit, from its beginning to its end.",
            histogram=figures.transactions,
        ),
        Family(
            "baton_disk_sync_seconds",
            "histogram",
            "What the disk takes to make a commit durable.",
            histogram=figures.syncs,
        ),
    ]


def _busiest(
    values: dict[str, int] | dict[str, float],
    label: str,
    *,
    together: Callable[[Iterable[float]], float],
) -> list[tuple[Labels, float]]:
    """The largest values, each with its name; those beyond them as one."""
    ranked = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    samples: list[tuple[Labels, float]] = [
        ({label: name}, value) for name, value in sorted(ranked[:_MOST])
    ]
    if len(ranked) > _MOST:
        samples.append(({label: OTHER}, together(value for _, value in ranked[_MOST:])))
    return samples


def _counted(tally: Tally, *labels: str) -> list[tuple[Labels, float]]:
    return [(dict(zip(labels, values, strict=True)), count) for values, count in tally]
