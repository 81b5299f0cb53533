"""Lists of executions are sorted by the control plane's clock, over real SQLite and a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from sync import receiver
from sync.control_plane.dialect import Connection
from sync.control_plane.ledger import Ledger
from sync.receiver import Arrival
from sync.records import ClockRecord, Lane, WorkflowRecord
from tests.unit.sync.control_plane.test_ledger import NOW_MS, Sender, bring, with_ledger

YEARS_MS = 1_800_000_000_000


class AtSender(Sender):
    """Its records come at a moment of our time."""

    came_ms = YEARS_MS

    def arrival(self, payload: bytes, lane: Lane = Lane.HISTORY) -> Arrival:
        topic = self.address.topic(f"up/{lane.value}")
        arrival = receiver.read(topic, payload, received_ms=self.came_ms)
        assert arrival is not None
        return arrival

    def began(self, identity: str, created_ms: int) -> Arrival:
        """An execution that began at a moment of the device's time."""
        return self.frame(WorkflowRecord(identity, "video", 1, "RUNNING", created_ms, created_ms))

    def measured(self, at_ms: int, offset_ms: int, *jumps: tuple[int, int, int]) -> Arrival:
        """What its clock shows, and how far it is behind."""
        clock = ClockRecord(at_ms, offset_ms, 5, list(jumps))
        return self.frame(clock, lane=Lane.CONTROL)


async def newest(ledger: Ledger) -> list[tuple[str, int]]:
    """Executions as a page lists them, and when they began."""
    page = await ledger.executions()
    return [(row.workflow_id, row.began_ms) for row in page.rows]


def test_a_device_in_1970_is_sorted_by_our_clock(where: Path | str) -> None:
    """Whether its clock is measured before its history comes, after it, or never."""

    async def scenario(ledger: Ledger) -> None:
        right, before, after, never = (AtSender(name) for name in ("r", "b", "a", "n"))
        await bring(ledger, before.measured(50_000, YEARS_MS - 100_000))
        await bring(
            ledger,
            right.began("now", YEARS_MS - 30_000),
            right.began("long ago", YEARS_MS - 86_400_000),
            before.began("first", 40_000),
            after.began("second", 20_000),
            never.began("third", 20_000),
        )
        assert ["third", "second", "now", "first", "long ago"] == [
            name for name, _ in await newest(ledger)
        ]
        jump = (60_000, YEARS_MS - 60_000, 0)
        await bring(ledger, after.measured(YEARS_MS - 1_000, 0, jump))

        expected = [
            ("third", YEARS_MS),
            ("now", YEARS_MS - 30_000),
            ("second", YEARS_MS - 100_000),
            ("first", YEARS_MS - 60_000),
            ("long ago", YEARS_MS - 86_400_000),
        ]
        assert sorted(expected, key=lambda one: -one[1]) == await newest(ledger)
        await ledger.rebuild()
        assert sorted(expected, key=lambda one: -one[1]) == await newest(ledger)

    with_ledger(where, scenario)


def test_pages_lead_on_by_our_clock(where: Path | str) -> None:
    """Each execution stands on one page."""

    async def scenario(ledger: Ledger) -> None:
        roof = AtSender()
        await bring(ledger, *(roof.began(f"w{n}", YEARS_MS - (n % 3)) for n in range(7)))
        found: list[str] = []
        after = None
        for _ in range(4):
            page = await ledger.executions(after=after, limit=2)
            found += [row.workflow_id for row in page.rows]
            after = page.next

        assert ["w6", "w3", "w0", "w4", "w1", "w5", "w2"] == found
        assert after is None

    with_ledger(where, scenario)


def test_a_ledger_of_an_older_release_is_sorted_as_it_was(where: Path | str) -> None:
    """Its executions have no other time than the device's; what comes later finds its place."""

    def older(connection: Connection) -> None:
        for name in ("", "_device", "_status", "_name"):
            connection.execute(f"DROP INDEX execution_by{name}_began")
        for column in ("came_ms", "began_ms"):
            connection.execute(f"ALTER TABLE execution DROP COLUMN {column}")

    async def scenario(ledger: Ledger) -> None:
        roof = AtSender()
        await bring(ledger, roof.began("b", YEARS_MS - 5), roof.began("a", YEARS_MS - 9))
        await ledger.write(older)
        again = await Ledger.open(where, now_ms=lambda: NOW_MS)
        try:
            assert [("b", YEARS_MS - 5), ("a", YEARS_MS - 9)] == await newest(again)
            await bring(again, roof.began("a", YEARS_MS - 9), roof.began("c", 7))
            assert ["c", "b", "a"] == [name for name, _ in await newest(again)]
        finally:
            await again.close()

    with_ledger(where, scenario)
