"""What the figures are to reach. Nothing is measured here.

The goals are for the reference machine: two cores of a current server, an SSD that syncs in 0.2 to
0.4 ms. On a core that is n times slower, divide what is counted in CPU seconds by n; bytes, syncs
and memory stay as they are.
"""

from __future__ import annotations

import msgspec


class Goal(msgspec.Struct, frozen=True):
    """What a figure is to reach."""

    value: float
    """In the figure's unit."""
    at_least: bool = False
    """Whether more is better."""


def _at_least(value: float) -> Goal:
    return Goal(value, at_least=True)


GOALS = {
    # Workload W inside the process.
    "inprocess.c1.p50_ms": Goal(2.5),
    "inprocess.c1.p99_ms": Goal(8),
    "inprocess.c1.syncs_on_the_way": Goal(4),
    "inprocess.c1.syncs_a_task": Goal(1.4),
    "inprocess.c1.written_a_task": Goal(9_000),
    "inprocess.c100.tasks_per_cpu_s": _at_least(10_000),
    "inprocess.c100.syncs_a_task": Goal(0.05),
    "inprocess.c100.written_a_task": Goal(1_300),
    "inprocess.c100.stored_a_workflow": Goal(1_500),
    "handlers.p50_ms": Goal(2.5),
    "handlers.p99_ms": Goal(8),
    "handlers.pure.p50_ms": Goal(2.5),
    "handlers.pure.syncs_a_workflow": Goal(3),
    # Workload W over HTTP.
    "rest.c1.p50_ms": Goal(4.5),
    "rest.c1.p99_ms": Goal(10),
    "rest.c100.tasks_per_server_cpu_s": _at_least(5_000),
    "rest.c100.tasks_per_cpu_s": _at_least(2_700),
    "rest.c100.tasks_per_s": _at_least(3_000),
    "rest.c100.peak_mb": Goal(60),
    "chained.c100.tasks_per_server_cpu_s": _at_least(6_000),
    "lists.c100.tasks_per_server_cpu_s": _at_least(8_000),
    # Slow flash.
    "flash3.c1.p50_ms": Goal(15.5),
    "flash3.c100.tasks_per_s": _at_least(5_000),
    # Many branches, many that wait.
    "forks.ratio": Goal(1.3),
    "waits.rss_mb": Goal(64),
    "waits.reopened_rss_mb": Goal(64),
    "waits.late_p99_ms": Goal(5),
    "queued.rss_mb": Goal(64),
    "queued.reopened_rss_mb": Goal(64),
    # Starting and resting.
    "cold.ready_ms": Goal(400),
    "idle.rss_mb": Goal(40),
    "idle.share": Goal(0.1),
    "idle.wakeups_a_s": Goal(1),
    "idle.written_an_hour": Goal(0),
    "recovery.ready_ms": Goal(800),
    # Many who ask.
    "fleet.worst_p95_ms": Goal(50),
    "fleet.worst_cpu_p95_ms": Goal(50),
    "polls.share": Goal(2),
    "polls.rss_mb": Goal(64),
    "overload.goodput": _at_least(90),
    "overload.refused_p99_ms": Goal(50),
    "overload.accepted_p99_ms": Goal(250),
    "overload.results_p99_ms": Goal(250),
    "overload.peak_mb": Goal(128),
    # Up to a control plane, and down from it.
    "sync.drain.records_per_s": _at_least(60_000),
    "sync.drain.device_us": Goal(3),
    "sync.drain.wire_bytes_a_task": Goal(50),
    "sync.drain.ledger_bytes": Goal(26),
    "sync.sealed.records_per_s": _at_least(60_000),
    "sync.sealed.device_us": Goal(3),
    "sync.sealed.wire_bytes_a_task": Goal(50),
    "sync.sealed.ledger_bytes": Goal(26),
    "sync.order.p50_ms": Goal(5),
    "sync.order.p99_ms": Goal(50),
    "sync.kept.us_a_record": Goal(12),
    "sync.kept.written_a_record": Goal(1_000),
}
"""By the keys of the figures."""
