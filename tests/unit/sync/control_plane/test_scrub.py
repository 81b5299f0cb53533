"""Damage in the ledger is found and told by its range, whether anybody reads the segment or not."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import structlog

from sync.control_plane.dialect import Connection
from sync.control_plane.ledger import Ledger
from sync.records import EvidenceRecord, Lane
from tests.unit.sync.control_plane.test_ledger import Sender, bring, task, with_ledger, workflow

_CONTENT = b"a picture of the door" * 20


async def _change(ledger: Ledger, statement: str, *values: Any) -> None:
    """What storage does behind everybody's back."""

    def change(connection: Connection) -> None:
        connection.execute(statement, values)

    await ledger._database.transact(change)


async def _stored(ledger: Ledger) -> list[tuple[int, bytes]]:
    def read(connection: Connection) -> list[tuple[int, bytes]]:
        rows = connection.execute("SELECT segment_id, payload FROM segment ORDER BY segment_id")
        return [(key, bytes(payload)) for key, payload in rows.fetchall()]

    return await ledger._database.read(read)


def _filled(sender: Sender) -> list[Any]:
    return [
        sender.frame(workflow(f"w{number}"), task(f"w{number}", "t", "COMPLETED", 11))
        for number in range(3)
    ]


def test_a_whole_ledger_has_no_damage(where: Path | str) -> None:
    """A frame that could not be read when it came is in quarantine already, and told once."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        frames = _filled(roof)
        torn = bytearray(frames[1].payload)
        torn[-1] ^= 1
        await bring(ledger, frames[0], roof.arrival(bytes(torn)), frames[2])
        with structlog.testing.capture_logs() as logs:
            assert 0 == await ledger.scrub()

        assert [] == logs
        assert 1 == (await ledger.summary()).quarantined

    with_ledger(where, scenario)


@pytest.mark.parametrize("at", [0, 7, 20, 39, 45, -1])
def test_a_flipped_bit_is_found(where: Path | str, at: int) -> None:
    """In the header or in the body; device and range are told, and the others are left alone."""

    async def scenario(ledger: Ledger) -> None:
        await bring(ledger, *_filled(Sender()))
        key, payload = (await _stored(ledger))[1]
        spoilt = bytearray(payload)
        spoilt[at] ^= 4
        await _change(
            ledger, "UPDATE segment SET payload = ? WHERE segment_id = ?", bytes(spoilt), key
        )
        with structlog.testing.capture_logs() as logs:
            found = await ledger.scrub()
            again = await ledger.scrub()

        assert (1, 0) == (found, again)
        assert ["segment_damaged"] == [line["event"] for line in logs]
        assert ("default", "roof", 3, 4) == tuple(
            logs[0][name] for name in ("tenant", "device", "first_seq", "last_seq")
        )
        assert 1 == (await ledger.summary()).quarantined

    with_ledger(where, scenario)


@pytest.mark.parametrize("column", ["epoch", "lane", "first_seq", "count"])
def test_columns_are_held_to_their_frame(where: Path | str, column: str) -> None:
    """They say which records a segment holds."""

    async def scenario(ledger: Ledger) -> None:
        await bring(ledger, *_filled(Sender()))
        key, _ = (await _stored(ledger))[2]
        await _change(
            ledger, f"UPDATE segment SET {column} = {column} + 1 WHERE segment_id = ?", key
        )

        assert 1 == await ledger.scrub()

    with_ledger(where, scenario)


def test_a_segment_that_is_damaged_before_it_is_shown_is_told(where: Path | str) -> None:
    """It used to be passed over in silence."""

    async def scenario(ledger: Ledger) -> None:
        await ledger.commit(_filled(Sender()), only=True)
        key, payload = (await _stored(ledger))[0]
        await _change(
            ledger, "UPDATE segment SET payload = ? WHERE segment_id = ?", payload[:-1], key
        )
        with structlog.testing.capture_logs() as logs:
            while await ledger.project():
                pass

        assert ["segment_damaged"] == [line["event"] for line in logs]
        assert None is await ledger.execution("roof", "w0")
        assert None is not await ledger.execution("roof", "w2")

    with_ledger(where, scenario)


def test_evidence_in_a_damaged_segment_is_not_shown(where: Path | str) -> None:
    """Rather none than another picture, and no failed request."""

    async def scenario(ledger: Ledger) -> None:
        roof = Sender()
        shot = EvidenceRecord(
            "w", "t", "shot.jpg", "image/jpeg", hashlib.sha256(_CONTENT).hexdigest(),
            len(_CONTENT), "shot.jpg", content=_CONTENT,
        )  # fmt: skip
        await bring(ledger, roof.frame(shot, lane=Lane.BULK))
        before = await ledger.evidence_content("roof", "w", "t", "shot.jpg")
        key, payload = (await _stored(ledger))[0]
        spoilt = payload[:-1] + bytes([payload[-1] ^ 1])
        await _change(ledger, "UPDATE segment SET payload = ? WHERE segment_id = ?", spoilt, key)

        assert before is not None and _CONTENT == before.content
        assert None is await ledger.evidence_content("roof", "w", "t", "shot.jpg")

    with_ledger(where, scenario)
