"""Where a ledger may lie: what holds of it is tested over both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Postgres]:
    """A PostgreSQL that runs."""
    if postgres.programs() is None:
        pytest.skip("no PostgreSQL here: packaging/setup/test-packages.sh installs it")
    with postgres.running() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A place for a new ledger."""
    if request.param == "sqlite":
        return tmp_path / "ledger.db"
    found: postgres.Postgres = request.getfixturevalue("server")
    return found.new_schema()
