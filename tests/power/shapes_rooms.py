"""Shapes of what stands around executions: messages, history, files, secrets, people, migrations.

The flow of executions is in the background here.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from edge.inbound import EngineInbox
from edge.mending import set_aside
from edge.model.access import Application, Grant, Group, Permission, Reference, User
from edge.model.executions import TaskStatus
from edge.model.payload_limits import PayloadLimits
from edge.orders import EngineOrders
from edge.outbox import EnginePublications
from edge.store import access, deliveries, outbox
from edge.store.integrity import Finding
from edge.transactions import Transaction
from sync.frames import MAX_RECORDS
from sync.link import Received
from sync.orders import Order
from sync.records import KINDS, ClockRecord, Lane, encode_body
from tests.power.recording import Shape
from tests.power.scenario import Promise, Scenario, no_row, row
from tests.power.shapes_flow import join, simple, step
from tests.power.world import BEGIN_MS

_SMALL = PayloadLimits(task_file=600, workflow_file=600)
"""Payloads of a few hundred bytes go into files."""


async def _events(s: Scenario) -> None:
    event = step("e", "EVENT", sink="conductor:door", inputParameters={"n": "${workflow.input.n}"})
    await s.define("sender", simple("a"), event, simple("b"))
    await s.define("receiver", simple("r"))
    actions = [{"action": "start_workflow", "start_workflow": {
        "name": "receiver", "correlationId": "from ${n}", "input": {"n": "${n}"}}}]  # fmt: skip
    handler = {"name": "h", "event": "conductor:sender:door", "active": True, "actions": actions}
    await s.call("POST", "/event", handler, promises=[row("h", "event_handler", {"name": "h"})])
    for number in range(3):
        await s.start("sender", f"k{number}", input={"n": number})
    await s.work()
    off = row("h", "event_handler", {"name": "h", "active": 0})
    await s.call("PUT", "/event", {**handler, "active": False}, promises=[off], releases=["h"])
    gone = no_row("h", "event_handler", {"name": "h"})
    await s.call("DELETE", "/event/h", promises=[gone], releases=["h"])
    await s.finish()


async def _incoming(s: Scenario) -> None:
    await s.define("waits", step("person", "HUMAN"), simple("after"))
    actions = [
        {
            "action": "complete_task",
            "complete_task": {
                "workflowId": "${workflowId}",
                "taskRefName": "person",
                "output": {"by": "event"},
            },
        }
    ]
    handler = {"name": "h", "event": "door_opened", "active": True, "actions": actions}  # fmt: skip
    await s.call("POST", "/event", handler)
    for number in range(3):
        one = await s.start("waits", f"k{number}")
        message = {"event": "door_opened", "messageId": f"m{number}", "workflowId": one}
        done = row("messages", "event_execution", {"handler": "h", "id": f"m{number}_0"})
        await s.call("POST", "/event/handleIncomingEvent", message, promises=[done])
        # The broker may bring it again.
        await s.call("POST", "/event/handleIncomingEvent", message, promises=[done])
    await s.finish()


async def _mqtt(s: Scenario) -> None:
    event = step("e", "EVENT", sink="mqtt:roof/door", inputParameters={"n": 1})
    await s.define("sender", event, simple("a"))
    await s.define("receiver", simple("r"))
    actions = [{"action": "start_workflow", "start_workflow": {
        "name": "receiver", "correlationId": "${n}"}}]  # fmt: skip
    handler = {"name": "h", "event": "mqtt:yard/+", "active": True, "actions": actions}
    await s.call("POST", "/event", handler)
    inbox = EngineInbox(s.world.engine)

    async def subscribe() -> None:
        await inbox.begin_session()
        await inbox.note_subscribed(["yard/+"])

    await s.step(subscribe)
    for number in range(3):
        await s.start("sender", f"k{number}")
        message = msgspec.json.encode({"id": f"m{number}", "n": f"n{number}"})

        async def take(message: bytes = message) -> None:
            await inbox.take([Received("yard/gate", message, 1, 1, message_id=message.hex()[:20])])

        await s.step(take)
    publications = EnginePublications(s.world.engine)

    async def publish() -> None:
        taken = await publications.pending(2)
        await publications.published([one.key for one in taken])

    await s.step(publish)
    await s.finish()


async def _notices(s: Scenario) -> None:
    await s.define("told", simple("a"), workflowStatusListenerEnabled=True,
                   workflowStatusListenerSink="http://127.0.0.1:9/listener")  # fmt: skip
    await s.start("told", "k1")
    await s.start("told", "k2")
    await s.work()

    def settle_one(transaction: Transaction) -> None:
        found = deliveries.due(transaction.connection, transaction.now_ms)
        if found is not None:
            deliveries.postpone(transaction.connection, found, transaction.now_ms + 1_000)
        other = deliveries.due(transaction.connection, transaction.now_ms)
        if other is not None:
            deliveries.forget(transaction.connection, other.key)

    await s.act(settle_one)
    await s.finish()


async def _history(s: Scenario) -> None:
    await s.define("flow", simple("a"), simple("b"))
    for number in range(3):
        await s.start("flow", f"k{number}")
        await s.work()
        await _acknowledge(s)
    s.hands["a"] = lambda _: (TaskStatus.FAILED, {})
    await s.start("flow", "failing")
    await s.work()
    await _acknowledge(s)
    await s.finish()


async def _wide_history(s: Scenario) -> None:
    """Runs between rows: one start that writes many records, and few before and behind it."""
    branches = [[simple(f"b{number}")] for number in range(16)]
    fork = step("fork", "FORK_JOIN", forkTasks=branches)
    await s.define("narrow", simple("a"))
    await s.define("wide", fork, join("join", *(f"b{number}" for number in range(16))))
    for number in range(2):
        await s.start("narrow", f"n{number}")
        await s.work()
        await s.start("wide", f"w{number}")
        await _acknowledge(s)
    await s.work()
    await _acknowledge(s)
    await s.finish()


async def _acknowledge(s: Scenario) -> None:
    """The control plane has all but the last records."""

    async def perform() -> None:
        outbox = s.world.outbox
        bounds = await outbox.bounds()
        cursors = {lane: max(0, newest - 1) for lane, (_, newest) in bounds.items()}
        await outbox.acknowledge(outbox.epoch, cursors)
        for lane, seq in cursors.items():
            s.log.promise(_acked(lane, seq))

    await s.step(perform)


def _acked(lane: Lane, seq: int) -> Promise:
    def is_kept(state: Any) -> bool:
        return not seq or any(
            one["lane"] == lane and one["acked"] >= seq for one in state.rows("lane")
        )

    return Promise("cursors", f"lane {lane} is acknowledged up to {seq}", is_kept)


async def _messages(s: Scenario) -> None:
    pull = step("pull", "PULL_WORKFLOW_MESSAGES", inputParameters={"batchSize": 2})
    await s.define("mail", simple("a"), pull, simple("b"))
    one = await s.start("mail", "k1")
    two = await s.start("mail", "k2")
    for number in range(3):
        await s.call("POST", f"/workflow/{one}/messages", {"n": number})
    await s.work()
    await s.call("POST", f"/workflow/{two}/messages", {"n": 9})
    await s.finish()


async def _kept_outputs(s: Scenario) -> None:
    cached = simple("a", inputParameters={"x": "${workflow.input.x}"},
                    cacheConfig={"key": "${x}", "ttlInSecond": 60})  # fmt: skip
    await s.define("cached", cached, simple("b"))
    await s.start("cached", "k1", input={"x": 1})
    await s.work()
    await s.start("cached", "k2", input={"x": 1})
    await s.start("cached", "k3", input={"x": 2})
    await s.finish()


async def _payloads(s: Scenario) -> None:
    noise = hashlib.sha512(b"noise").hexdigest() * 12
    s.hands["big"] = lambda view: (TaskStatus.COMPLETED, {"ref": view.task.ref, "noise": noise})
    big = {"big": "x" * 2_000}
    await s.define("large", simple("big"), simple("b", inputParameters={"x": "${big.output}"}),
                   outputParameters={"all": "${big.output.noise}"})  # fmt: skip
    one = await s.start("large", "k1", input=big)
    await s.start("large", "k2", input={"n": noise})
    await s.work()
    await s.call("DELETE", f"/workflow/{one}/remove?archiveWorkflow=false", releases=[one])

    async def sweep() -> None:
        await s.world.sweep_payloads()

    await s.step(sweep)
    where = "/workflow/externalstoragelocation?operation=WRITE&payloadType=WORKFLOW_INPUT"
    path = "workflow/input/mine.json"
    await s.upload(f"{where}&path={path}", msgspec.json.encode({"sent": noise}))
    # A repeated start finds the upload, or the payload that the first one has made of it.
    await s.start("large", "k3", externalInputPayloadStoragePath=path)
    await s.finish()


async def _files(s: Scenario) -> None:
    await s.define("flow", simple("a"))
    one = await s.start("flow", "k1")
    made = await s.call("POST", "/files", {"workflowId": one, "fileName": "x.bin"})
    file_id = made["fileHandleId"].rpartition("/")[2]
    address = f"/files/{one}/{file_id}"
    await s.upload(f"{address}/upload-url", b"first try")
    content = b"whole content" * 100
    await s.upload(f"{address}/upload-url", content)
    await s.upload(f"{address}/upload-url", b"and another")
    await s.upload(f"{address}/upload-url", content)
    kept = row("file", "file", {
        "id": file_id, "status": "UPLOADED", "sha256": hashlib.sha256(content).hexdigest(),
    })  # fmt: skip
    await s.call("POST", f"{address}/upload-complete", promises=[kept])
    await s.finish()


async def _secrets(s: Scenario) -> None:
    await s.define(
        "hidden",
        simple("a", inputParameters={"p": "${workflow.secrets.door}", "e": "${workflow.env.site}"}),
    )
    await s.call("PUT", "/secrets/door", "open sesame",
                 promises=[row("door", "secret", {"name": "door"})])  # fmt: skip
    await s.call(
        "PUT",
        "/environment/site",
        "roof",
        promises=[row("site", "environment", {"name": "site", "value": "roof"})],
    )
    await s.start("hidden", "k1")
    await s.work()
    await s.call("PUT", "/secrets/door", "changed")
    await s.call("PUT", "/secrets/window", "other")
    await s.call("DELETE", "/secrets/window",
                 promises=[no_row("window", "secret", {"name": "window"})])  # fmt: skip
    await s.call(
        "PUT",
        "/environment/site",
        "yard",
        releases=["site"],
        promises=[row("site", "environment", {"name": "site", "value": "yard"})],
    )
    await s.start("hidden", "k2")
    await s.finish()


async def _people(s: Scenario) -> None:
    target = Reference("WORKFLOW_DEF", "flow")

    def come(transaction: Transaction) -> None:
        c = transaction.connection
        access.put_application(c, Application("app", "press"))
        access.put_application_roles(c, "app", ["WORKER"])
        access.put_key(c, "app", "key", salt=bytes(16), digest=bytes(32), now_ms=1)
        access.put_user(c, User("ann", "Ann", ["USER"]))
        access.put_group(c, Group("roof", "those on it", ["USER"]))
        access.join_group(c, "roof", "ann")
        access.put_custom_role(c, "LOOKER", frozenset({Permission.WORKFLOW_VIEW}))
        access.put_grant(c, Grant(Reference("GROUP", "roof"), target, ["READ", "EXECUTE"]))

    here = [
        row("ann", "person", {"id": "ann"}),
        row("member", "group_member", {"group_id": "roof", "person_id": "ann"}),
        row("key", "access_key", {"id": "key", "application": "app"}),
        row("grant", "access_grant", {"target_id": "flow", "subject_id": "roof"}),
    ]
    await s.act(come, *here)
    for subject in ("ann", "member", "key", "grant"):
        s.log.release(subject)

    def go(transaction: Transaction) -> None:
        access.remove_user(transaction.connection, "ann")
        access.remove_application(transaction.connection, "app")

    await s.act(go, no_row("ann", "person", {"id": "ann"}), no_row("key", "access_key", {}))
    await s.define("flow", simple("a"))
    await s.start("flow", "k1")
    await s.finish()


async def _damage(s: Scenario) -> None:
    await s.define_task("spoilt")

    def mend(transaction: Transaction) -> None:
        c = transaction.connection
        c.execute("UPDATE task_definition SET document = zeroblob(20) WHERE name = 'spoilt'")
        (rowid,) = c.execute("SELECT rowid FROM task_definition WHERE name = 'spoilt'").fetchone()
        set_aside(transaction, Finding("task_definition", rowid, "spoilt"), 1)

    s.log.release("task definition spoilt")
    await s.act(
        mend,
        row("damage", "damage", {"relation": "task_definition", "reason": "spoilt"}),
        no_row("spoilt", "task_definition", {"name": "spoilt"}),
    )
    await s.define("flow", simple("a"))
    await s.start("flow", "k1")
    await s.finish()


async def _release_before(s: Scenario) -> None:
    await s.define("flow", simple("a"))
    await s.start("flow", "k1")
    await s.finish()


async def _from_nothing(s: Scenario) -> None:
    await s.define("flow", simple("a"))
    await s.start("flow", "k1")
    await s.finish()


async def _orders(s: Scenario) -> None:
    await s.define("flow", simple("a"))
    later_ms = BEGIN_MS + 86_400_000
    bodies: list[tuple[str, Any]] = [
        ("start", {"name": "flow", "input": {"x": 1}}),
        ("put-config", {"name": "site", "variables": {"site.PLACE": "roof"}, "revision": 1}),
        ("start", {"name": "nothing"}),
    ]
    given = [
        Order(cseq, f"order{cseq}", kind, msgspec.json.encode(body), BEGIN_MS, later_ms)
        for cseq, (kind, body) in enumerate(bodies, start=1)
    ]

    async def perform() -> None:
        # Sent again as the link would: whatever has been done before is not done again.
        position = await EngineOrders(s.world.engine, lambda _: None).carry_out(given, BEGIN_MS)
        assert position == (3, "order3")
        for cseq, state in ((1, "done"), (3, "failed")):
            s.log.promise(
                row(f"order{cseq}", "order_inbox", {"id": f"order{cseq}"}, state=state.__eq__)
            )

    await s.step(perform)
    await s.finish()


async def _fetches(s: Scenario) -> None:
    """A payload and an execution are fetched, and the answers arrive."""
    await s.define("flow", simple("a"))
    one = await s.start("flow", "k1", input={"x": "y" * 300})
    await s.work()
    later_ms = BEGIN_MS + 86_400_000
    given = [
        Order(cseq, f"order{cseq}", kind, msgspec.json.encode(body), BEGIN_MS, later_ms)
        for cseq, (kind, body) in enumerate(
            [
                ("fetch-file", {"store": "input", "name": one}),
                ("fetch-execution", {"workflowId": one}),
                ("fetch-file", {"store": "evidence", "name": "nothing.jpg"}),
            ],
            start=1,
        )
    ]

    async def order() -> None:
        desk = EngineOrders(s.world.engine, lambda _: None, on_fetch=lambda: None)
        assert await desk.carry_out(given, BEGIN_MS) == (3, "order3")
        for one in given:
            s.log.promise(row(one.id, "order_inbox", {"id": one.id}, state="done".__eq__))
            s.log.promise(row(f"{one.id} noted", "fetch", {"order_id": one.id}))

    async def answer() -> None:
        await s.world.fetches.step()
        # The third answer has no records behind it, so nothing of it has to arrive.
        for one in given[:2]:
            is_answered = row(
                f"{one.id} answered", "fetch", {"order_id": one.id}, last_seq=_is_something
            )
            s.log.promise(is_answered)

    async def arrive() -> None:
        database = s.world.engine.database
        _, _, newest = (await database.read(outbox.read_lanes))[Lane.BULK]
        await database.transact(lambda c: outbox.acknowledge(c, {int(Lane.BULK): newest}))
        await s.world.fetches.step()
        for one in given:
            s.log.promise(no_row(f"{one.id} arrived", "fetch", {"order_id": one.id}))

    await s.step(order)
    for one_ in given:
        s.log.release(f"{one_.id} noted")
    await s.step(answer)
    for one_ in given:
        s.log.release(f"{one_.id} answered")
    await s.step(arrive)
    await s.finish()


def _is_something(value: object) -> bool:
    return value is not None


async def _sealed(s: Scenario) -> None:
    """Records that nobody takes away: a run of them is put into one row."""
    told = ClockRecord(BEGIN_MS, 5)
    body = encode_body(told)

    def tell(transaction: Transaction) -> None:
        for _ in range(MAX_RECORDS + 20):
            outbox.put_control(
                transaction.connection, KINDS[ClockRecord], body, now_ms=BEGIN_MS, boot=1
            )

    await s.define("flow", simple("a"))
    await s.act(tell)
    await s.act(lambda transaction: outbox.seal(transaction.connection, Lane.CONTROL))
    await s.start("flow", "k")
    await s.finish()


SHAPES = (
    Shape("events", _events),
    Shape("incoming", _incoming),
    Shape("mqtt", _mqtt),
    Shape("notices", _notices),
    Shape("history", _history, syncing=True),
    Shape("history_runs", _wide_history, syncing=True),
    Shape("sealed", _sealed, syncing=True),
    Shape("orders", _orders, syncing=True),
    Shape("fetches", _fetches, syncing=True),
    Shape("messages", _messages),
    Shape("kept_outputs", _kept_outputs),
    Shape("payloads", _payloads, limits=_SMALL),
    Shape("files", _files),
    Shape("secrets", _secrets),
    Shape("people", _people),
    Shape("damage", _damage),
    Shape("release_before", _release_before, release=2, syncing=True),
    Shape("from_nothing", _from_nothing, from_nothing=True),
)
