"""Each message acts exactly once: under duplicates, refused commits and crashes at any step."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from edge import event_queue, events
from edge.clock import RandomIds
from edge.model.definitions import WorkflowDefinition
from edge.model.events import EventHandler, Message
from edge.model.executions import Workflow
from edge.model.requests import StartRequest
from edge.store import events as store
from edge.store.migrations import migrate
from edge.transactions import Disk, Transaction
from tests.evaluators import EVALUATORS
from tests.unit.edge.manual_clock import ManualClock

_LONG = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

_OUTSIDE = "outside"
_INSIDE = "conductor:sender:e"


def _definition(name: str, *tasks: dict[str, Any]) -> WorkflowDefinition:
    steps = [{"name": t["taskReferenceName"], **t} for t in tasks]
    return msgspec.convert({"name": name, "tasks": steps}, WorkflowDefinition)


_SENDER = _definition(
    "sender",
    {
        "taskReferenceName": "e",
        "type": "EVENT",
        "sink": "conductor",
        "inputParameters": {"n": "${workflow.input.n}"},
    },
)
_RECEIVER = _definition("receiver", {"taskReferenceName": "h", "type": "HUMAN"})


def _handlers() -> list[EventHandler]:
    start = {
        "action": "start_workflow",
        "start_workflow": {"name": "receiver", "correlationId": "${n}"},
    }
    listed = [
        {"name": "one", "event": _OUTSIDE, "actions": [start, start]},
        {"name": "two", "event": _OUTSIDE, "actions": [start], "condition": "$.n % 2 === 0"},
        {"name": "three", "event": _INSIDE, "actions": [start]},
    ]
    return [msgspec.convert({**one, "active": True}, EventHandler) for one in listed]


class _Fragile(sqlite3.Connection):
    """A connection whose disk refuses after so many statements."""

    left = -1

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self._count(arguments[0])
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self._count(arguments[0])
        return super().executemany(*arguments)

    def _count(self, statement: str) -> None:
        if self.left == 0 and statement != "ROLLBACK":
            self.left = -1
            raise sqlite3.OperationalError("disk I/O error")
        self.left -= 1


class EventMachine(RuleBasedStateMachine):
    """Senders start, messages come from outside, again and again, and the power fails."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._clock = ManualClock()
        self._sent: list[int] = []
        self._came: list[int] = []
        self._open()
        self._must(lambda t: t.metadata.put_workflow(t.connection, _SENDER, overwrite=True))
        self._must(lambda t: t.metadata.put_workflow(t.connection, _RECEIVER, overwrite=True))
        self._must(lambda t: store.add_handlers(t.connection, _handlers()))

    def _open(self) -> None:
        self._connection = sqlite3.connect(
            Path(self._folder.name, "baton.db"), isolation_level=None, factory=_Fragile
        )
        self._connection.execute("BEGIN")
        migrate(self._connection)
        self._connection.execute("COMMIT")
        self._disk = Disk(self._clock, RandomIds(), EVALUATORS, boot=1, syncing=False)

    def _must(self, *requests: Any) -> None:
        for outcome in self._disk.run(self._connection, requests)[0]:
            assert outcome.error is None, outcome.error

    def _may(self, refuse_at: int, *requests: Any) -> bool:
        """Whether the disk took it; only a disk that was told to may refuse."""
        if refuse_at < 0:
            self._must(*requests)
            return True
        self._connection.left = refuse_at
        outcomes, _ = self._disk.run(self._connection, requests)
        self._connection.left = -1
        return all(outcome.error is None for outcome in outcomes)

    @rule(
        numbers=st.lists(st.integers(0, 9), min_size=1, max_size=3), refuse_at=st.integers(-1, 30)
    )
    def send(self, numbers: list[int], refuse_at: int) -> None:
        """Workflows send messages, in one transaction, which the disk may refuse."""

        def start(number: int) -> Any:
            body = msgspec.json.encode({"n": number})
            return lambda t: t.start(StartRequest("sender", input=body))

        if self._may(refuse_at, *(start(number) for number in numbers)):
            self._sent += numbers

    @rule(
        numbers=st.lists(st.integers(0, 9), min_size=1, max_size=4), refuse_at=st.integers(-1, 60)
    )
    def come(self, numbers: list[int], refuse_at: int) -> None:
        """Messages come from outside, some of them again; the sender keeps what is not answered."""

        def take(number: int) -> Any:
            message = Message(_OUTSIDE, f"m{number}", msgspec.json.encode({"n": number}))

            def act(transaction: Transaction) -> None:
                store.note_message(transaction.connection, message, transaction.now_ms)
                events.handle(transaction, message)

            return act

        if self._may(refuse_at, *(take(number) for number in numbers)):
            self._came += numbers

    @rule(limit=st.integers(1, 5), refuse_at=st.integers(-1, 60))
    def work(self, limit: int, refuse_at: int) -> None:
        """The internal queue moves, as far as the disk lets it."""
        self._may(refuse_at, lambda t: event_queue._handle_waiting(t, limit))

    @rule(limit=st.integers(1, 5))
    def lose_power(self, limit: int) -> None:
        """Everything was done but the COMMIT."""
        transaction = Transaction(self._disk, self._connection, self._disk.memory())
        self._connection.execute("BEGIN IMMEDIATE")
        event_queue._handle_waiting(transaction, limit)
        self._disk.executions.flush(self._connection)
        self._connection.close()
        self._open()

    @invariant()
    def nothing_acts_twice(self) -> None:
        """At no time has a message acted more often than it has actions."""
        assert not self._acted() - self._wanted()

    def _wanted(self) -> Counter[str]:
        wanted = Counter({str(n): self._sent.count(n) for n in set(self._sent)})
        for number in set(self._came):
            wanted[str(number)] += 3 if number % 2 == 0 else 2
        return wanted

    def _acted(self) -> Counter[str]:
        rows = self._connection.execute("SELECT body FROM workflow WHERE name = 'receiver'")
        decoded = [msgspec.msgpack.decode(row[0], type=Workflow) for row in rows]
        return Counter(str(workflow.correlation_id) for workflow in decoded)

    def teardown(self) -> None:
        """In the end every message has acted."""
        while self._disk.run(self._connection, [lambda t: event_queue._handle_waiting(t, 3)])[0][
            0
        ].result:
            continue
        acted, wanted = self._acted(), self._wanted()
        self._connection.close()
        self._folder.cleanup()
        assert wanted == acted


def test_each_message_acts_once() -> None:
    """Whatever happens between, in the end each message has acted as often as it has actions."""
    run_state_machine_as_test(EventMachine, settings=_LONG)
