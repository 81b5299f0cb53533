"""What SQLite does for the statements of the ledger: it finds its way, and never looks at all there is."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from sync.control_plane.ledger import Ledger
from sync.control_plane.truth import Presence
from tests.unit.sync.control_plane.test_ledger import Sender, task, with_ledger, workflow


def test_what_arrives_is_stored_and_shown_without_a_look_at_all_there_is(tmp_path: Path) -> None:
    """No statement goes through all executions, tasks, segments or devices: there are millions."""
    statements: set[str] = set()

    async def scenario(ledger: Ledger) -> None:
        await ledger.write(lambda connection: connection.set_trace_callback(statements.add))  # type: ignore[attr-defined]
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
        await ledger.write(lambda connection: connection.set_trace_callback(None))  # type: ignore[attr-defined]

    where = tmp_path / "ledger.db"
    with_ledger(where, scenario)
    large = re.compile(r"SCAN (execution|task|segment|device|evidence|cursor|fleet|tally)\b")
    with sqlite3.connect(where) as connection:
        looks = {
            statement: plan
            for statement in statements
            if statement.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
            for (*_, plan) in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
            if large.match(plan)
        }

    assert len(statements) > 100
    assert {} == looks
