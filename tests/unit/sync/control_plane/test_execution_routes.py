"""Executions across the fleet: search, windows, timeline, comparison, over both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from sync import frames
from sync.control_plane import execution_search, queries
from sync.records import KINDS, EvidenceRecord, Lane, Record, TaskRecord
from tests.unit.sync.control_plane.api_world import NOW_MS, World, in_world, workflow


async def found(world: World, **query: Any) -> list[str]:
    """The ids that a search finds."""
    page = await world.ask("GET", f"/api/v1/executions?{urlencode(query)}")
    return [one["workflowId"] for one in page["executions"]]


async def seed(world: World) -> None:
    """Two devices, one of them in a group, with five executions."""
    at = NOW_MS - 3_600_000
    await world.send(
        "roof",
        workflow("w1", created_ms=at, ended_ms=at + 500),
        workflow("w2", "FAILED", created_ms=at + 1, reason="Camera gone", correlation_id="order 7"),
        workflow("w3", "RUNNING", created_ms=at + 2, ended_ms=0, name="ota", version=3),
    )
    await world.send(
        "cellar",
        workflow("w4", "TIMED_OUT", created_ms=at + 3),
        workflow("w5", created_ms=NOW_MS - 10, ended_ms=NOW_MS - 5),
    )
    await world.ask("PUT", "/api/v1/groups/top", {"members": ["roof"]})
    await world.ask("PUT", "/api/v1/devices/cellar/tags", {"tags": ["wet"]})


def test_the_box_finds_executions(where: Path | str) -> None:
    """By every field, alone and together; newest first."""

    async def play(world: World) -> None:
        await seed(world)
        for query, ids in (
            ("", ["w5", "w4", "w3", "w2", "w1"]),
            ("status:FAILED,TIMED_OUT", ["w4", "w2"]),
            ("status:COMPLETED device:roof", ["w1"]),
            ("workflow:ota", ["w3"]),
            ("workflow:starts:sc -status:COMPLETED", ["w4", "w2"]),
            ("version:ge:2", ["w3"]),
            ("id:w4", ["w4"]),
            ('correlation:"order 7"', ["w2"]),
            ("reason:has:camera", ["w2"]),
            ("camera", ["w2"]),
            ("-roof", ["w5", "w4"]),
            ("group:top status:RUNNING", ["w3"]),
            ("tag:wet", ["w5", "w4"]),
            ("started:newer:1m", ["w5"]),
            ("started:older:1m status:COMPLETED", ["w1"]),
            ("took:lt:100ms", ["w5"]),
            ("device:nobody", []),
        ):
            assert ids == await found(world, q=query), query
        assert ["w3", "w2", "w1"] == await found(world, group="top")
        assert ["w2"] == await found(world, device="roof", status="FAILED", text="CAMERA")

    in_world(where, play)


def test_a_window_ends_and_says_so(where: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that found nothing leads on; at the end everything has been looked at."""
    monkeypatch.setattr(execution_search, "WINDOW_ROWS", 4)

    async def play(world: World) -> None:
        await world.send(
            "roof",
            *(workflow(f"w{n:02d}", created_ms=NOW_MS - n, reason="odd" if n in (9, 10) else None)
              for n in range(14)),
        )  # fmt: skip
        seen: list[str] = []
        looked = []
        after: Any = ""
        while after is not None:
            page = await world.ask("GET", f"/api/v1/executions?q=odd&limit=1&after={after}")
            seen += [one["workflowId"] for one in page["executions"]]
            looked.append(page["lookedTo"])
            after = page["next"]

        assert ["w09", "w10"] == seen
        assert 0 == looked[-1]
        assert looked[:-1] == sorted(looked[:-1], reverse=True)
        assert NOW_MS - 3 == looked[0]

    in_world(where, play)


def test_a_timeline_and_two_runs_side_by_side(where: Path | str) -> None:
    """Bars with waiting and running; an open step reaches to now; two runs differ where they do."""

    def step(run: str, ref: str, status: str, start: int, end: int, **more: Any) -> TaskRecord:
        return TaskRecord(
            run, f"{run}-{ref}", 1, ref, "SIMPLE", ref, status, NOW_MS, scheduled_ms=start - 5,
            started_ms=start, ended_ms=end, **more,
        )  # fmt: skip

    async def play(world: World) -> None:
        begin = NOW_MS - 1_000
        await world.send(
            "roof",
            workflow("w1", "RUNNING", created_ms=begin, ended_ms=0),
            step("w1", "a", "COMPLETED", begin + 10, begin + 30, output=b'{"n":1}'),
            step("w1", "b", "IN_PROGRESS", begin + 40, 0),
            workflow("w2", created_ms=begin, ended_ms=begin + 50),
            step("w2", "a", "COMPLETED", begin + 10, begin + 45, output=b'{"n":2}'),
        )
        line = await world.ask("GET", "/api/v1/executions/roof/w1/timeline")
        assert (begin, NOW_MS, True) == (line["begin"], line["end"], line["open"])
        assert [(5, 20, False), (5, 960, True)] == [
            (bar["waited"], bar["ran"], bar["open"]) for bar in line["bars"]
        ]
        told = await world.ask("GET", "/api/v1/comparison?left=roof/w1&right=roof/w2")
        assert "a" == told["firstDifference"]
        assert [15, 0] == [one["durationChangeMs"] for one in told["steps"]]
        assert [{"path": "$.n", "left": 1, "right": 2, "kind": "changed"}] == told["steps"][0][
            "output"
        ]
        assert told["steps"][1]["right"] is None
        refused = await world.ask("GET", "/api/v1/comparison?left=roof/w1", status=400)
        assert "right" in refused["message"]
        await world.ask("GET", "/api/v1/comparison?left=roof/w1&right=roof/x", status=404)

    in_world(where, play)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("q=status:LOST", "RUNNING"), ("q=size:5", "size"), ("status=LOST", "status"),
        ("after=x", "after"), ("limit=501", "limit"), ("text=" + "x" * 300, "text"),
        ("group=none", "no group"), ("tenant=a+b", "tenant"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, query: str, told: str) -> None:
    """A 400 with the field."""

    async def play(world: World) -> None:
        refused = await world.ask("GET", f"/api/v1/executions?{query}", status=400)
        assert told in refused["message"]

    in_world(tmp_path / "ledger.db", play)


def test_a_chunk_that_cannot_be_read_has_no_bytes() -> None:
    """Its frame is whole, and what is in the record is not: the file is incomplete, not an error."""
    record = Record(Lane.BULK, 1, KINDS[EvidenceRecord], NOW_MS, 1, b"\xc1")
    assert b"" == queries._chunk(frames.encode([record], epoch=1, oldest_seq=1), 1)


@pytest.mark.parametrize("after", ["9" * 30 + "-1", "1-" + "9" * 19, "9"])
def test_a_mark_that_is_none_is_refused(where: Path | str, after: str) -> None:
    """Whatever its digits are; and texts with capitals beyond ASCII are found."""

    async def play(world: World) -> None:
        await world.send("roof", workflow("w1", "FAILED", reason="ÜBERDRUCK"))
        answer = await world.ask("GET", f"/api/v1/executions?after={after}", status=400)
        assert "after: give back" in str(answer)
        assert ["w1"] == await found(world, q="reason:has:ÜBER")
        assert ["w1"] == await found(world, q="ÜBER")

    in_world(where, play)
