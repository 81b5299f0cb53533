"""Orders on the engine: carried out once, in line, and each reported in the same transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from edge.engine import Engine
from edge.model.decision import Pause
from edge.model.executions import WorkflowStatus
from edge.orders import EngineOrders
from edge.store import outbox, variables
from sync.link import NotTaken
from sync.orders import Order
from sync.records import Lane, OrderRecord, decode_body
from tests.unit.edge.engine_house import answer, claim, define, everything, run, simple, start

NOW_MS = 1_000_000
LATER_MS = 2_000_000


class Given:
    """Orders to one engine, each at the next place."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.desk = EngineOrders(engine, lambda script: None)
        self.next = 1

    def order(self, kind: str, body: Any, *, id: str = "", **more: Any) -> Order:  # noqa: A002
        """The next order in line."""
        place, self.next = self.next, self.next + 1
        condition = more.pop("condition", None)
        return Order(
            place,
            id or f"id{place}",
            kind,
            msgspec.json.encode(body),
            NOW_MS,
            more.pop("expires_ms", LATER_MS),
            msgspec.json.encode(condition) if condition else b"",
        )

    async def give(self, kind: str, body: Any, **more: Any) -> OrderRecord:
        """Have one carried out; what is reported of it."""
        order = self.order(kind, body, **more)
        await self.desk.carry_out([order], NOW_MS)
        return (await self.reports())[-1]

    async def reports(self) -> list[OrderRecord]:
        """Everything in the control lane, oldest first."""
        records = await self.engine.database.read(
            lambda c: outbox.read_records(c, Lane.CONTROL, 0, 1_000, 10_000_000)
        )
        assert list(range(1, len(records) + 1)) == [record.seq for record in records]
        found = [decode_body(record.kind, record.body) for record in records]
        assert all(isinstance(one, OrderRecord) for one in found)
        return found  # type: ignore[return-value]


def with_orders(tmp_path: Path, scenario: Any) -> None:
    """An engine with a workflow of one step."""

    async def body(engine: Engine) -> None:
        await define(engine, "demo", simple("a"), ownerEmail="a@b.c")
        await scenario(Given(engine))

    run(tmp_path, body, syncing=True)


def test_a_workflow_is_started_once(tmp_path: Path) -> None:
    """Sent again under its place or another, it is the same start; the answer names it."""

    async def scenario(given: Given) -> None:
        told = await given.give("start", {"name": "demo", "input": {"x": 1}}, id="one")
        (workflow,) = await everything(given.engine)
        assert "done" == told.state
        again = given.order("start", {"name": "demo", "input": {"x": 1}}, id="one")
        assert (2, "one") == await given.desk.carry_out([again], NOW_MS)
        assert (2, "one") == await given.desk.carry_out([again], NOW_MS)
        assert 1 == len(await everything(given.engine))
        one, two = await given.reports()
        assert (one.output, 1, 2) == (two.output, one.cseq, two.cseq)
        assert workflow.idempotency_key == "one"
        assert b'{"x":1}' == workflow.input

    with_orders(tmp_path, scenario)


def test_executions_are_steered(tmp_path: Path) -> None:
    """Paused, resumed, ended, run again."""

    async def scenario(given: Given) -> None:
        key = await start(given.engine, "demo")

        async def steer(kind: str, **more: Any) -> WorkflowStatus:
            told = await given.give(kind, {"workflowId": key, **more})
            assert "done" == told.state, told.reason
            return (await given.engine.workflow(key)).status

        assert WorkflowStatus.PAUSED is await steer("pause")
        assert WorkflowStatus.RUNNING is await steer("resume")
        assert WorkflowStatus.TERMINATED is await steer("terminate", reason="enough")
        assert "enough" == (await given.engine.workflow(key)).reason
        assert WorkflowStatus.RUNNING is await steer("retry")
        await answer(given.engine, await claim(given.engine, "a"))
        assert WorkflowStatus.RUNNING is await steer("restart", useLatestDefinitions=True)

    with_orders(tmp_path, scenario)


def test_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    """Of three together the second fails: it is undone alone, and says why."""

    async def scenario(given: Given) -> None:
        three = [
            given.order("start", {"name": "demo"}),
            given.order("start", {"name": "nothing"}),
            given.order("start", {"name": "demo"}),
        ]
        assert (3, "id3") == await given.desk.carry_out(three, NOW_MS)
        assert ["done", "failed", "done"] == [one.state for one in await given.reports()]
        assert "nothing" in ((await given.reports())[1].reason or "")
        assert 2 == len(await everything(given.engine))

    with_orders(tmp_path, scenario)


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("explode", {}, "kind"),
        ("start", {"name": "demo", "extra": 1}, "extra"),
        ("pause", {"workflowId": "nothing"}, "nothing"),
        ("put-workflow", {"definition": {"name": "x", "tasks": 7}, "revision": 1}, "tasks"),
        ("put-task", {"definition": {"name": " "}, "revision": 1}, "name"),
        ("put-config", {"name": "c", "variables": {"-": "x"}, "revision": 1}, "'-'"),
        ("put-config", {"name": "c", "variables": {"A": ""}, "revision": 1}, "bytes"),
    ],
)
def test_what_is_wrong_fails_with_its_reason(
    tmp_path: Path, kind: str, body: Any, reason: str
) -> None:
    """The line goes on; the report names the field."""

    async def scenario(given: Given) -> None:
        told = await given.give(kind, body)
        assert "failed" == told.state
        assert reason in (told.reason or "")
        assert "done" == (await given.give("start", {"name": "demo"})).state

    with_orders(tmp_path, scenario)


def test_a_time_that_is_over_is_over(tmp_path: Path) -> None:
    """An order is not carried out at its last millisecond nor after it."""

    async def scenario(given: Given) -> None:
        told = await given.give("start", {"name": "demo"}, expires_ms=NOW_MS)
        assert "expired" == told.state
        assert [] == await everything(given.engine)

    with_orders(tmp_path, scenario)


def test_conditions_hold_or_the_order_fails(tmp_path: Path) -> None:
    """Of an execution's status, of executions under way, of a revision."""

    async def scenario(given: Given) -> None:
        body = {"name": "demo"}
        alone = {"notRunning": True}
        assert "done" == (await given.give("start", body, condition=alone)).state
        assert "failed" == (await given.give("start", body, condition=alone)).state
        (workflow,) = await everything(given.engine)
        told = (await given.reports())[0]
        assert told.output is not None
        key = msgspec.json.decode(told.output)["workflowId"]
        paused = {"status": ["PAUSED"]}
        refused = await given.give("resume", {"workflowId": key}, condition=paused)
        assert "condition.status: it is RUNNING, not PAUSED" == refused.reason
        await given.engine.command(key, Pause())
        assert "done" == (await given.give("resume", {"workflowId": key}, condition=paused)).state
        config = {"name": "c", "variables": {"A": "1"}, "revision": 2}
        told = await given.give("put-config", config, condition={"revision": 1})
        assert "condition.revision: it is 0, not 1" == told.reason
        assert workflow.name == "demo"

    with_orders(tmp_path, scenario)


def test_revisions_never_go_back_by_themselves(tmp_path: Path) -> None:
    """I-10: lower is superseded, the same again is done, the same with other content fails."""

    async def scenario(given: Given) -> None:
        async def put(revision: int, value: str, **more: Any) -> str:
            body = {"name": "c", "variables": {"A": value}, "revision": revision, **more}
            return (await given.give("put-config", body)).state

        async def held() -> str | None:
            return await given.engine.database.read(lambda c: variables.read_variable(c, "A"))

        assert ("done", "two") == (await put(2, "two"), await held())
        assert ("superseded", "two") == (await put(1, "one"), await held())
        assert ("done", "two") == (await put(2, "two"), await held())
        assert ("failed", "two") == (await put(2, "other"), await held())
        assert ("done", "one") == (await put(1, "one", rollback=True), await held())
        assert ("done", "two") == (await put(2, "two"), await held())

    with_orders(tmp_path, scenario)


def test_a_configuration_takes_the_place_of_the_last(tmp_path: Path) -> None:
    """What it had put and does not name any more goes; what others have put stays."""

    async def scenario(given: Given) -> None:
        await given.engine.request(lambda t: variables.put_variable(t.connection, "mine", "m", 1))
        for revision, found in ((1, {"A": "1", "B": "2"}), (2, {"B": "3", "C": "4"})):
            body = {"name": "c", "variables": found, "revision": revision}
            assert "done" == (await given.give("put-config", body)).state
        held = await given.engine.database.read(variables.read_variables)
        assert {"mine": "m", "B": "3", "C": "4"} == held

    with_orders(tmp_path, scenario)


def test_definitions_are_registered(tmp_path: Path) -> None:
    """A workflow with its task, ordered, can be started by the next order."""

    async def scenario(given: Given) -> None:
        task = {"name": "look", "retryCount": 1}
        steps = [simple("look")]
        workflow = {"name": "new", "tasks": steps, "ownerEmail": "a@b.c"}
        for kind, definition in (("put-task", task), ("put-workflow", workflow)):
            told = await given.give(kind, {"definition": definition, "revision": 1})
            assert "done" == told.state, told.reason
        assert "done" == (await given.give("start", {"name": "new"})).state
        assert 1 == (await given.engine.task_definition("look")).retry_count

    with_orders(tmp_path, scenario)


def test_a_disk_that_refuses_leaves_the_line_where_it_was(tmp_path: Path) -> None:
    """Nothing is noted as failed: the order comes again."""

    async def scenario(given: Given) -> None:
        order = given.order("start", {"name": "demo"})
        given.engine.storage.close_for_writing("the disk refuses")
        with pytest.raises(NotTaken, match="refuses"):
            await given.desk.carry_out([order], NOW_MS)
        given.engine.storage.healed()
        assert (0, "") == await given.desk.position()
        assert (1, "id1") == await given.desk.carry_out([order], NOW_MS)

    with_orders(tmp_path, scenario)


def test_a_full_memory_of_orders_empties_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is refused; when the time of the others is over, there is room again."""
    monkeypatch.setattr("edge.orders._REMEMBERED", 2)
    days_later_ms = LATER_MS + 2 * 86_400_000

    async def scenario(given: Given) -> None:
        states = [(await given.give("start", {"name": "demo"})).state for _ in range(3)]
        assert ["done", "done", "failed"] == states
        for expected in ("failed", "done"):
            body = {"name": "demo"}
            order = given.order("start", body, expires_ms=days_later_ms + 1_000)
            await given.desk.carry_out([order], days_later_ms)
            assert expected == (await given.reports())[-1].state

    with_orders(tmp_path, scenario)


def test_what_is_done_is_logged_once(tmp_path: Path) -> None:
    """Also when it was first undone together with one that cannot be carried out."""

    async def scenario(given: Given) -> None:
        good = given.order("start", {"name": "demo"})
        bad = given.order("start", {"name": "nowhere"})
        with structlog.testing.capture_logs() as lines:
            await given.desk.carry_out([good, bad], NOW_MS)
            await given.desk.carry_out([given.order("start", {"name": "demo"})], NOW_MS)
        done = [line["order"] for line in lines if line["event"] == "order_done"]
        assert ["id1", "id3"] == done

    with_orders(tmp_path, scenario)


def test_a_report_wakes_who_sends(tmp_path: Path) -> None:
    """Though it was written past the records of decisions."""

    async def scenario(given: Given) -> None:
        seen: list[bool] = []
        given.engine.on_effects(lambda effects: seen.append(effects.outbox))
        await given.give("put-config", {"name": "c", "variables": {"A": "1"}, "revision": 1})
        assert True in seen

    with_orders(tmp_path, scenario)
