"""The table that moves: what it shows at one moment, and how it ends."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from edge.cli import progress


def execution(status: str, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """An execution as the API shows it."""
    return {
        "workflowName": "order",
        "status": status,
        "createTime": 1_000,
        "endTime": 0 if status == "RUNNING" else 9_000,
        "tasks": tasks,
    }


def task(ref: str, status: str, start_ms: int, end_ms: int) -> dict[str, Any]:
    """A task as the API shows it."""
    return {
        "referenceTaskName": ref,
        "taskType": "SIMPLE",
        "status": status,
        "retryCount": 1,
        "startTime": start_ms,
        "endTime": end_ms,
    }


def drawn(view: progress.View) -> str:
    """One frame, without colours."""
    screen = io.StringIO()
    Console(file=screen, width=100).print(view)
    return screen.getvalue()


def test_a_frame_shows_what_runs_and_for_how_long() -> None:
    """The clock goes on while a task is open; marks tell good from bad."""
    view = progress.View(lambda: 6_500, height=40)
    empty = drawn(view)
    tasks = [task("a", "FAILED", 2_000, 3_000), task("b", "IN_PROGRESS", 4_000, 0)]
    view.show(execution("RUNNING", [*tasks, task("c", "SCHEDULED", 0, 0)]))
    lines = drawn(view).splitlines()

    assert "TASK" in empty
    assert ["✘", "a", "FAILED", "2", "1.0", "s"] == lines[1].split()
    assert ["b", "IN_PROGRESS", "2", "2.5", "s"] == lines[2].split()[1:]
    assert "-" == lines[3].split()[-1]
    assert ["order", "RUNNING", "5.5", "s"] == lines[4].split()[1:]


def test_a_long_execution_fits_the_screen() -> None:
    """The last tasks are shown, and how many come before them."""
    view = progress.View(lambda: 0, height=10)
    view.show(execution("COMPLETED", [task(f"t{n}", "COMPLETED", 1, 2) for n in range(50)]))
    text = drawn(view)

    assert "... 44 before these" in text
    assert "t49" in text
    assert "t43" not in text


def test_the_last_state_is_returned_and_stays_on_the_screen() -> None:
    """Whoever watched sees how it ended."""
    screen = io.StringIO()
    console = Console(file=screen, width=100, force_terminal=True)
    states = [execution("RUNNING", []), execution("COMPLETED", [])]
    last = progress.watch(states, now_ms=lambda: 0, console=console)

    assert "COMPLETED" == last["status"]
    assert "COMPLETED" in screen.getvalue()
