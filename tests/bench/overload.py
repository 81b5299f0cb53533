"""Twice the load that a daemon can carry, for a minute: what gets done, what is refused, how soon.

First the peak: as many starts as are done. Then starts come at twice that rate whether they are
answered or not, and the same workers work. Run as a program it is the client.
"""

from __future__ import annotations

import asyncio
import json
import time

import msgspec

from tests.bench.client import Answer, Connection
from tests.bench.context import Bench, serve_child
from tests.bench.figures import Figure, Run
from tests.bench.load import START, drive, report
from tests.bench.window import Window, quantile
from tests.bench.workload import STEPS, run_as_the_daemon, workload_w
from tests.daemon import Daemon

_TIMES = 2.0
_LENGTH_S = 60.0
_PEAK_WORKFLOWS = 2_000
_AT_ONCE = 240
_WORKERS = _AT_ONCE // 12
"""For each step, as many as at the peak."""
_CONNECTIONS = 400
"""Starts that may be unanswered at once; the ones beyond are not sent and are counted."""
_BATCH = 10
_REFUSED = (429, 503)


class _Tally:
    """What became of the requests."""

    def __init__(self) -> None:
        self.accepted_s: list[float] = []
        self.refused_s: list[float] = []
        self.without_hint = 0
        """Refusals that did not say when to come again."""
        self.unsent = 0
        self.other = 0
        """Answers that are neither: none is expected."""
        self.results_s: list[float] = []
        self.results_refused = 0
        self.ended = 0

    def count(self, answer: Answer, took_s: float) -> None:
        """One start has been answered."""
        if answer.status == 200:
            self.accepted_s.append(took_s)
        elif answer.status in _REFUSED:
            self.refused_s.append(took_s)
            self.without_hint += answer.header("Retry-After") is None
        else:
            self.other += 1


async def _start_at(port: int, rate: float, until: float, tally: _Tally) -> None:
    """Send starts at a rate, each at its time, on whichever connection is free."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(_CONNECTIONS):
        free.put_nowait(await Connection.open(port))

    async def one(connection: Connection) -> None:
        began = time.perf_counter()
        answer = await connection.exchange("POST", "/api/workflow", START)
        tally.count(answer, time.perf_counter() - began)
        free.put_nowait(connection)

    began, sent = time.perf_counter(), 0
    async with asyncio.TaskGroup() as group:
        while (now := time.perf_counter()) < until:
            due = int((now - began) * rate)
            for _ in range(due - sent):
                if free.empty():
                    tally.unsent += 1
                else:
                    group.create_task(one(free.get_nowait()))
            sent = due
            await asyncio.sleep(0.002)
    while not free.empty():
        free.get_nowait().close()


async def _work(port: int, step: str, until: float, tally: _Tally) -> None:
    connection = await Connection.open(port)
    poll = f"/api/tasks/poll/batch/{step}?workerid=bench&count={_BATCH}&timeout=200"
    while time.perf_counter() < until:
        polled = await connection.exchange("GET", poll)
        if polled.status in _REFUSED:
            await asyncio.sleep(0.05)
            continue
        for task in msgspec.json.decode(polled.body):
            body = report(task)
            began = time.perf_counter()
            while (await connection.exchange("POST", "/api/tasks", body)).status in _REFUSED:
                tally.results_refused += 1
                await asyncio.sleep(0.05)
            tally.results_s.append(time.perf_counter() - began)
            tally.ended += step == STEPS[-1]
    connection.close()


async def _measure(port: int, pid: int, length_s: float, peak_workflows: int) -> Run:
    connection = await Connection.open(port)
    await connection.ask("PUT", "/api/metadata/workflow", json.dumps([workload_w()]).encode())
    connection.close()
    await drive(port, 50, _AT_ONCE, chained=False)
    calm = Window(pid)
    await drive(port, peak_workflows, _AT_ONCE, chained=False)
    before = calm.close()
    peak = peak_workflows / before["wall_s"]
    tally, window = _Tally(), Window(pid)
    until = time.perf_counter() + length_s
    async with asyncio.TaskGroup() as group:
        group.create_task(_start_at(port, _TIMES * peak, until, tally))
        for step in STEPS:
            for _ in range(_WORKERS):
                group.create_task(_work(port, step, until, tally))
    measured = window.close()
    starts = len(tally.accepted_s) + len(tally.refused_s) + tally.unsent + tally.other
    return measured | {
        "peak_per_s": peak,
        "goodput": tally.ended / measured["wall_s"] / peak * 100,
        "goodput_a_cpu_s": (tally.ended / measured["cpu_s"])
        / (peak_workflows / before["cpu_s"])
        * 100,
        "accepted_p99_ms": quantile(tally.accepted_s, 0.99) * 1000,
        "refused_p99_ms": quantile(tally.refused_s, 0.99) * 1000,
        "results_p99_ms": quantile(tally.results_s, 0.99) * 1000,
        "results_refused": float(tally.results_refused),
        "refused_share": len(tally.refused_s) / starts * 100,
        "unsent_share": tally.unsent / starts * 100,
        "without_hint": float(tally.without_hint),
        "other": float(tally.other),
    }


def measure(port: int, pid: int, length_s: float, peak_workflows: int) -> Run:
    """Find the peak of a daemon, then offer it twice as much.

    Args:
        port: of the loopback.
        pid: of the daemon.
        length_s: of the overload, seconds.
        peak_workflows: that the peak is measured with.
    """
    return run_as_the_daemon(_measure(port, pid, length_s, peak_workflows))


_FIGURES = (
    ("peak_per_s", "the peak before it", "workflows per second"),
    ("goodput", "workflows that end", "% of the peak"),
    ("goodput_a_cpu_s", "workflows that end for a CPU-second", "% of those at the peak"),
    ("accepted_p99_ms", "accepted starts, p99", "ms"),
    ("refused_share", "starts refused", "%"),
    ("unsent_share", "starts for which no connection was free", "%"),
    ("results_p99_ms", "results, p99", "ms"),
    ("results_refused", "results refused", "requests"),
    ("other", "answers that are neither", "requests"),
    ("peak_mb", "memory, peak", "MiB RSS"),
)


def run(bench: Bench) -> list[Figure]:
    """A minute at twice the peak."""

    def once() -> Run:
        with Daemon(bench.new_folder("overload")) as daemon:
            task = {
                "port": daemon.port,
                "pid": daemon.pid,
                "length_s": float(bench.many(round(_LENGTH_S), least=1)),
                "peak_workflows": bench.many(_PEAK_WORKFLOWS, least=50),
            }
            return bench.child("tests.bench.overload", task, environment={})

    case = bench.alternate({"overload": ("twice the peak", once)}, counted=True)["overload"]
    found = [
        case.figure(field, what, unit)
        for field, what, unit in _FIGURES
        if case.values(field) or field == "goodput"
    ]
    if any(case.values("refused_share")):
        found += [
            case.figure("refused_p99_ms", "refused starts, p99", "ms"),
            case.figure("without_hint", "refusals without Retry-After", "requests"),
        ]
    elif case.runs:
        found.append(_nothing_refused())
    return found


def _nothing_refused() -> Figure:
    return Figure(
        key="overload.refused_p99_ms",
        name="twice the peak: refused starts, p99",
        unit="ms",
        value=None,
        note="no start was refused",
    )


if __name__ == "__main__":
    serve_child(measure)
