"""A database with something of everything in it, as the engine writes it, and what was in it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from edge.engine import Engine
from tests.unit.edge.engine_house import (
    answer,
    claim,
    define,
    define_task,
    engine_at,
    simple,
    start,
)

Rows = dict[str, dict[Any, tuple[Any, ...]]]
"""Rows of each table by their keys: the row id, or the whole row where there is none."""


async def _fill(engine: Engine, executions: int) -> None:
    chance = random.Random(7)
    inner = {
        "name": "c",
        "taskReferenceName": "c",
        "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": "inner"},
    }
    await define_task(engine, "a", retryCount=0, responseTimeoutSeconds=3600)
    await define(engine, "inner", simple("i"))
    await define(engine, "plain", simple("a"), simple("b"), ownerEmail="a@b.example")
    await define(engine, "outer", inner, simple("b"))
    names = [chance.choice(["plain", "plain", "outer"]) for _ in range(executions)]

    async def one(number: int, name: str) -> None:
        text = chance.choice(["x" * 20, "y" * 300, "z" * 6_000, "w" * 12_000])
        await start(
            engine, name, input={"number": number, "text": text}, correlation_id=f"c{number % 9}"
        )

    async with asyncio.TaskGroup() as group:
        for number, name in enumerate(names):
            group.create_task(one(number, name))
    for _ in range(executions // 3):
        view = await claim(engine, "a")
        await answer(engine, view, output={"seen": "s" * chance.randrange(500)})
    for _ in range(executions // 6):
        view = await claim(engine, "b")
        await answer(engine, view)


def fill(folder: Path, executions: int = 150) -> Path:
    """Make a database; returns its path. Its log is folded into it."""

    async def main() -> None:
        async with engine_at(folder / "baton.db", syncing=True, timers=False) as engine:
            await _fill(engine, executions)

    asyncio.run(main())
    return folder / "baton.db"


def rows(path: Path) -> Rows:
    """Everything that is in a database."""
    found: Rows = {}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%'"
            " ESCAPE '~'"
        ).fetchall()
        for name, text in tables:
            if "WITHOUT ROWID" in text:
                found[name] = {row: row for row in connection.execute(f"SELECT * FROM {name}")}
            else:
                # Where a name is the key, the row id is nothing that a row says.
                named = "PRIMARY KEY" in text and "INTEGER PRIMARY KEY" not in text
                every = connection.execute(f"SELECT rowid, * FROM {name}")
                found[name] = {row[1:] if named else row[0]: row[1:] for row in every}
    return found


def copy(path: Path, folder: Path) -> Path:
    """A copy of a database with whatever lies beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in path.parent.glob(path.name + "*"):
        shutil.copy(one, folder / one.name)
    return folder / path.name


def flip(path: Path, bit: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def overwrite(path: Path, offset: int, content: bytes) -> None:
    """Put bytes over those of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def logged_bytes(log: Path) -> int:
    """Bytes of a log that SQLite has written; zeros behind them are its room."""
    return len(log.read_bytes().rstrip(b"\0"))
