"""How commands print: tables on a terminal, plain columns in a pipe, JSON when asked.

No request is made here.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Sequence
from typing import Any

import click

_COLOURS = {
    "COMPLETED": "green",
    "RUNNING": "cyan",
    "IN_PROGRESS": "cyan",
    "SCHEDULED": "blue",
    "PAUSED": "yellow",
    "FAILED": "red",
    "FAILED_WITH_TERMINAL_ERROR": "red",
    "TIMED_OUT": "red",
    "TERMINATED": "magenta",
    "CANCELED": "magenta",
    "SKIPPED": "magenta",
    "COMPLETED_WITH_ERRORS": "yellow",
}

_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def examples(*lines: str) -> str:
    """Example lines for the end of a command's help; click leaves them as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def as_json(value: Any) -> None:
    """Print a value for scripts."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def json_line(value: Any) -> None:
    """Print one of many values for scripts, on a line of its own."""
    click.echo(json.dumps(value, ensure_ascii=False))


def warnings(lines: Sequence[str]) -> None:
    """Say what is allowed and probably not meant, on standard error."""
    for line in lines:
        click.echo(f"  {click.style('warning:', fg='yellow')} {line}", err=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their titles."""
    if sys.stdout.isatty():
        _rich_table(columns, rows)
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for line in (columns, *rows):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def diff(lines: Sequence[str]) -> None:
    """Print a unified difference; click takes the colours away in a pipe."""
    for number, line in enumerate(lines):
        if number < 2:
            click.secho(line, bold=True)
        else:
            click.secho(line, fg=_DIFF_COLOURS.get(line[:1]))


def colour(status_name: str) -> str:
    """The colour of a status; empty = none."""
    return _COLOURS.get(status_name, "")


def status(name: str) -> str:
    """A status in its colour; click takes the colour away in a pipe."""
    return click.style(name, fg=_COLOURS.get(name))


def time_of_day(epoch_ms: int) -> str:
    """A time to the millisecond, in the reader's own zone."""
    moment = dt.datetime.fromtimestamp(epoch_ms / 1000, dt.UTC).astimezone()
    return moment.strftime("%H:%M:%S.") + f"{epoch_ms % 1000:03d}"


def moment(epoch_ms: int | None) -> str:
    """A time in the reader's own zone."""
    if not epoch_ms:
        return "-"
    try:
        at = dt.datetime.fromtimestamp(epoch_ms / 1000, dt.UTC).astimezone()
    except (ValueError, OverflowError):
        # A worker's own idea of the time may be any number.
        return str(epoch_ms)
    return at.strftime("%Y-%m-%d %H:%M:%S")


def span(start_ms: int, end_ms: int) -> str:
    """How long something took."""
    if not start_ms or end_ms < start_ms:
        return "-"
    return f"{(end_ms - start_ms) / 1000:.3f} s"


def short(value: Any, limit: int = 200) -> str:
    """JSON on one line, cut where a person stops reading."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[:limit]}..."


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Imported here: only a person at a terminal needs it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        shown.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    Console().print(shown)
