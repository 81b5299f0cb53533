"""History for a real ledger, written the way devices send it: records in frames on topics.

No shortcut into the ledger's tables is taken here.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from sync import frames, receiver, topics
from sync.control_plane.ledger import Ledger
from sync.control_plane.truth import Presence
from sync.records import (
    KINDS,
    Body,
    EvidenceRecord,
    Lane,
    Record,
    TaskRecord,
    WorkflowRecord,
    encode_body,
)
from tests.browser.device_double import DEFINITION

json_text = msgspec.json.encode


class SeededDevice:
    """Writes one device's history into a ledger.

    Args:
        ledger: the real one.
        name: of the device.
    """

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self.address = topics.address("default", name)
        self._seqs: dict[Lane, int] = {}

    async def connect(self, *, online: bool = True) -> None:
        """Say what presence says."""
        presence = Presence(self.address, online, epoch=1, boot=1, session=1, version="0.1.0")
        await self._ledger.note_presence([presence])

    async def send(
        self,
        bodies: list[Body],
        *,
        at_ms: int,
        lag_ms: int = 120,
        lane: Lane = Lane.HISTORY,
    ) -> None:
        """Send records on one lane and bring them into view."""
        records = []
        for body in bodies:
            self._seqs[lane] = self._seqs.get(lane, 0) + 1
            kind = KINDS[type(body)]
            records.append(Record(lane, self._seqs[lane], kind, at_ms, 1, encode_body(body)))
        while records:
            payload, taken = frames.pack(records, epoch=1, oldest_seq=1)
            topic = self.address.topic(topics.up(lane))
            arrival = receiver.read(topic, payload, received_ms=at_ms + lag_ms)
            assert arrival is not None
            await self._ledger.commit([arrival])
            records = records[taken:]
        while await self._ledger.project():
            pass


def workflow(workflow_id: str, status: str, started_ms: int, **values: Any) -> WorkflowRecord:
    """The record of one execution of the video analysis."""
    ended_ms = 0 if status in ("RUNNING", "PAUSED") else started_ms + 5_200
    fields: dict[str, Any] = {
        "name": "video_analysis",
        "version": 2,
        "input": json_text({"camera": "front", "clipSeconds": 4, "note": "<b>not markup</b>"}),
        "output": json_text({"label": "person"}) if status == "COMPLETED" else None,
        "definition": json_text(DEFINITION),
        "reason": "detect failed twice" if status == "FAILED" else None,
        "correlation_id": "front-door",
    }
    return WorkflowRecord(
        id=workflow_id,
        status=status,
        created_ms=started_ms,
        updated_ms=max(ended_ms, started_ms + 1),
        ended_ms=ended_ms,
        **(fields | values),
    )


def task(
    workflow_id: str, seq: int, ref: str, begin_ms: int, ran_ms: int, **values: Any
) -> TaskRecord:
    """The record of one task; an open one has ``ran_ms`` 0 and a status to say so."""
    fields: dict[str, Any] = {
        "type": "SIMPLE",
        "name": ref,
        "status": "COMPLETED",
        "worker": "in-process",
        "input": json_text({"camera": "front"}),
        "output": json_text({"frames": 100}),
    }
    is_open = values.get("status") in ("SCHEDULED", "IN_PROGRESS")
    return TaskRecord(
        workflow_id=workflow_id,
        task_id=f"{workflow_id}-{seq:02d}",
        seq=seq,
        ref=ref,
        scheduled_ms=begin_ms - 60,
        started_ms=begin_ms,
        ended_ms=0 if is_open else begin_ms + ran_ms,
        updated_ms=begin_ms + ran_ms,
        **(fields | values),
    )


def evidence(
    workflow_id: str, seq: int, key: str, content: bytes, media_type: str = "image/png"
) -> EvidenceRecord:
    """The record of one kept file, small enough for one chunk."""
    return EvidenceRecord(
        workflow_id=workflow_id,
        task_id=f"{workflow_id}-{seq:02d}",
        key=key,
        media_type=media_type,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        path=f"evidence/{key}",
        content=content,
    )


def analysis(workflow_id: str, status: str, started_ms: int, picture: bytes) -> list[Body]:
    """All records of one execution, with a failed attempt, a branch and a picture."""
    bodies: list[Body] = [
        workflow(workflow_id, status, started_ms),
        task(workflow_id, 1, "clip", started_ms + 90, 1_900),
        task(workflow_id, 2, "detect", started_ms + 2_060, 700, status="FAILED",
             reason="the model's file is busy", worker="npu-0", output=None),
        task(workflow_id, 3, "detect", started_ms + 3_400, 1_150, attempt=1, worker="npu-0",
             output=json_text({"detections": [{"label": "person", "confidence": 0.93}]})),
    ]  # fmt: skip
    if status == "COMPLETED":
        bodies += [
            task(workflow_id, 4, "what", started_ms + 4_560, 1, type="SWITCH", worker=None),
            task(workflow_id, 5, "annotate", started_ms + 4_600, 320),
            evidence(workflow_id, 5, "snapshot/front.png", picture),
            task(workflow_id, 6, "publish", started_ms + 5_000, 60, type="EVENT"),
        ]
    elif status == "RUNNING":
        bodies.append(
            task(workflow_id, 4, "what", started_ms + 4_560, 0, status="IN_PROGRESS", output=None)
        )
    return bodies


async def seed_fleet(ledger: Ledger, now_ms: int, picture: bytes) -> None:
    """Three devices: one busy, one that is gone, one that has only just connected."""
    gate, yard, roof = (SeededDevice(ledger, name) for name in ("gate-7", "yard-2", "roof-1"))
    await gate.connect()
    statuses = ["COMPLETED", "COMPLETED", "FAILED", "COMPLETED", "RUNNING", "TERMINATED"]
    bodies: list[Body] = []
    for number in reversed(range(40)):
        started_ms = now_ms - 8_000 - number * 61_000
        workflow_id = f"{number:08x}-1111-4000-8000-000000000000"
        bodies += analysis(workflow_id, statuses[number % 6], started_ms, picture)
    await gate.send(bodies, at_ms=now_ms - 2_800)
    await yard.connect(online=False)
    for number in range(4):
        started_ms = now_ms - 7_200_000 - number * 90_000
        workflow_id = f"{number:08x}-2222-4000-8000-000000000000"
        await yard.send(
            analysis(workflow_id, "COMPLETED", started_ms, picture), at_ms=started_ms + 5_200
        )
    await roof.connect()
