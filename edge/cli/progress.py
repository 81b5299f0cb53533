"""An execution on a terminal while it runs: a table that moves, drawn anew in its place.

Nothing is asked here; a pipe gets lines instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from edge.cli import output, tree
from edge.cli.follow import ENDED, OPEN

_FRAMES_PER_S = 8
_LINES_AROUND = 4
"""Lines of a screen that are not tasks: the execution's own, the titles, the prompt."""

_MARKS = {"COMPLETED": "✔", "COMPLETED_WITH_ERRORS": "✔", "SKIPPED": "-", "CANCELED": "-"}


class View:
    """What is on the screen.

    Args:
        now_ms: the time of day, for tasks that are under way.
        height: lines of the screen.
    """

    def __init__(self, now_ms: Callable[[], int], height: int) -> None:
        self._now_ms = now_ms
        self._limit = max(3, height - _LINES_AROUND)
        self._execution: dict[str, Any] | None = None
        self._spinner = Spinner("dots", style="cyan")

    def show(self, execution: dict[str, Any]) -> None:
        """Take over what is to be drawn next."""
        self._execution = execution

    def __rich__(self) -> Table:
        """The table as it is at this moment; rich asks for it again and again."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("")
        for title in ("TASK", "STATUS", "ATTEMPT", "TOOK"):
            table.add_column(title)
        if self._execution is None:
            return table
        tasks = tree.placed(self._execution)
        hidden = len(tasks) - self._limit
        if hidden > 0:
            table.add_row("", Text(f"... {hidden} before these", style="dim"))
        for depth, task in tasks[-self._limit :]:
            self._add(table, depth, task)
        name, status = self._execution["workflowName"], self._execution["status"]
        colour = output.colour(status)
        mark = self._mark(status, is_open=status not in ENDED)
        took = self._took(self._execution["createTime"], self._execution["endTime"])
        table.add_row(mark, Text(name, style="bold"), Text(status, style=colour), "", took)
        return table

    def _add(self, table: Table, depth: int, task: dict[str, Any]) -> None:
        status = task["status"]
        table.add_row(
            self._mark(status, is_open=status in OPEN),
            Text("  " * depth + task["referenceTaskName"]),
            Text(status, style=output.colour(status)),
            Text(str(task["retryCount"] + 1)),
            self._took(task["startTime"], task["endTime"]),
        )

    def _mark(self, status: str, *, is_open: bool) -> Spinner | Text:
        if is_open:
            return self._spinner
        return Text(_MARKS.get(status, "✘"), style=output.colour(status))

    def _took(self, start_ms: int, end_ms: int) -> Text:
        if not start_ms:
            return Text("-")
        return Text(f"{max(0, (end_ms or self._now_ms()) - start_ms) / 1000:.1f} s")


def watch(
    executions: Iterable[dict[str, Any]],
    *,
    now_ms: Callable[[], int],
    console: Console | None = None,
) -> dict[str, Any]:
    """Draw each state until the last; returns that one."""
    console = console or Console()
    view = View(now_ms, console.height)
    last: dict[str, Any] = {}
    with Live(view, console=console, refresh_per_second=_FRAMES_PER_S):
        for execution in executions:
            view.show(execution)
            last = execution
    return last
