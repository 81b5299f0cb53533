"""What SQLite does for the statements of the ledger: it finds its way, and never looks at all there is."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from sync.control_plane.execution_search import _END, _WINDOW
from sync.control_plane.ledger import Ledger
from sync.control_plane.truth import Presence
from tests.unit.sync.control_plane.test_ledger import Sender, task, with_ledger, workflow
from tests.unit.sync.control_plane.test_orders import DAY_MS, ROOF, House, with_house

CONFIGURATION = {"name": "site", "revision": 1, "variables": {"x": "1"}}


_LARGE = [
    "execution",
    "task",
    "segment",
    "device",
    "evidence",
    "cursor",
    "fleet",
    "tally",
    "device_order",
    "order_line",
]


@asynccontextmanager
async def _watched(ledger: Ledger) -> AsyncIterator[set[str]]:
    """The statements that change the ledger."""
    found: set[str] = set()

    async def watch(callback: Callable[[str], None] | None) -> None:
        await ledger.write(lambda c: c.set_trace_callback(callback))  # type: ignore[attr-defined]

    await watch(found.add)
    yield found
    await watch(None)


def _wide_looks(where: Path, statements: Iterable[str], *wide: str) -> dict[str, str]:
    """The statements that go through all rows of a large table, or find rows by such an index."""
    scans = "|".join(
        [f"SCAN ({'|'.join(_LARGE)})\\b", *(f".*USING INDEX {name} " for name in wide)]
    )
    with sqlite3.connect(where) as connection:
        return {
            statement: plan
            for statement in statements
            if statement.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
            for (*_, plan) in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
            if re.match(scans, plan)
        }


def test_what_arrives_is_stored_and_shown_without_a_look_at_all_there_is(tmp_path: Path) -> None:
    """No statement goes through all executions, tasks, segments or devices: there are millions."""
    where, statements = tmp_path / "ledger.db", set[str]()

    async def scenario(ledger: Ledger) -> None:
        async with _watched(ledger) as found:
            for many in (1, 3, 30, 150):
                roof = Sender(f"roof{many}")
                await ledger.note_presence([Presence(roof.address, True, 1, 1, 1)])
                names = [f"w{number}" for number in range(many)]
                await ledger.commit(
                    [
                        roof.hello(history=1),
                        roof.frame(*(workflow(name) for name in names)),
                        roof.frame(*(task(name, f"t{name}", "COMPLETED", 20) for name in names)),
                    ]
                )
                while await ledger.project():
                    pass
        statements.update(found)

    with_ledger(where, scenario)

    assert len(statements) > 100
    assert {} == _wide_looks(where, statements)


def test_an_order_goes_its_way_without_a_look_at_all_that_were_given(tmp_path: Path) -> None:
    """Neither those of all devices nor those that the device has had: it may have had thousands."""
    where, statements = tmp_path / "ledger.db", set[str]()

    async def scenario(house: House) -> None:
        async with _watched(house.ledger) as found:
            await house.hello()
            for number in range(3):
                name = await house.start(f"o{number}")
                await house.places()
                await house.report(name, number + 1)
            await house.hello(3, "o2")
            house.now_ms += DAY_MS
            await house.start("late", kind="put-config", body=CONFIGURATION)
            house.now_ms += 2 * DAY_MS
            await house.places(ROOF)
        statements.update(found)

    with_house(where, scenario)

    assert len(statements) > 50
    assert {} == _wide_looks(where, statements, "device_order_of")


def test_a_page_of_executions_goes_along_an_index(tmp_path: Path) -> None:
    """Whatever picks them, they come in the order of the page: nothing is sorted."""
    where = tmp_path / "ledger.db"
    with_ledger(where, lambda ledger: ledger.write(lambda _: None))
    along = {
        "1 = 1": "execution_by_began",
        "began_ms >= 5 AND (began_ms, execution_id) < (7, 8)": "execution_by_began",
        "device_id = 1": "execution_by_device_began",
        "status = 'FAILED'": "execution_by_status_began",
        "name = 'video'": "execution_by_name_began",
    }
    with sqlite3.connect(where) as connection:
        for driver, index in along.items():
            for statement in (_WINDOW, _END):
                text = statement.format(driver=driver, rows=200)
                plan = str(connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall())
                assert f"INDEX {index} " in plan or f"INDEX {index}'" in plan, plan
                assert "B-TREE" not in plan, plan
