"""Which steps of an execution are shown that has been told anew."""

from __future__ import annotations

from pathlib import Path

from sync import frames
from sync.control_plane.ledger import Ledger
from sync.records import KINDS, Body, Lane, Record, encode_body
from tests.unit.sync.control_plane.test_ledger import (
    NOW_MS,
    Sender,
    bring,
    task,
    with_ledger,
    workflow,
)


def test_steps_of_a_branch_that_is_no_more_go_when_it_is_told_anew(where: Path | str) -> None:
    """In any order of arrival; what a later epoch tells without saying which there are hides nothing."""
    again = workflow("w1", at_ms=5, steps=[(1, 2)])
    told = [
        (1, task("w1", "t1", "COMPLETED", 1, 1)),
        (1, task("w1", "t2", "COMPLETED", 2, 2)),
        (1, task("w1", "lost", "COMPLETED", 9, 3)),
        (1, workflow("w1", "COMPLETED", at_ms=10)),
        (2, again),
        (2, task("w1", "t3", "SCHEDULED", 6, 4)),
    ]

    async def scenario(ledger: Ledger) -> None:
        shown = []
        for at, order in enumerate([told, told[::-1], [*told[3:], *told[:3]]]):
            for number, (epoch, body) in enumerate(order):
                await store(ledger, f"d{at}", epoch, number, body)
            shown.append(await steps(ledger, f"d{at}"))
            later = workflow("w1", at_ms=11) if at else task("w1", "t3", "COMPLETED", 11, 4)
            await store(ledger, f"d{at}", 3, 0, later)
            shown.append(await steps(ledger, f"d{at}"))

        assert [["t1", "t2", "t3"], ["t1", "t2", "lost", "t3"]] * 3 == shown

    async def store(ledger: Ledger, device: str, epoch: int, number: int, body: Body) -> None:
        # Each of its epoch, as if it had been stored while that was live.
        record = Record(Lane.BULK, number + 1, KINDS[type(body)], NOW_MS, 1, encode_body(body))
        frame = frames.encode([record], epoch=epoch, oldest_seq=1)
        await ledger.write(lambda c: c.execute("UPDATE device SET live_epoch = 0"))
        await bring(ledger, Sender(device).arrival(frame, Lane.BULK))

    async def steps(ledger: Ledger, device: str) -> list[str]:
        found = await ledger.execution(device, "w1")
        assert found is not None
        return [one.task_id for one in found.tasks]

    with_ledger(where, scenario)
