"""What must be true of a device after each commit, and at all times while it runs.

The checks read the rows of the database and the memory of the engine; they change nothing. The
promises are those of the house: G2 one live lease, G3 transitions whole, G5 a live cause for all
that runs, G6 timers neither early nor late, G7 ends are final, G9 history without gaps.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

import msgspec

from edge.engine import Engine
from edge.model.executions import (
    ORDINAL_BITS,
    Task,
    TaskStatus,
    Workflow,
    WorkflowStatus,
    parse_uuid,
    split_task_key,
    task_uuid,
)
from edge.storage import Mode
from edge.store.queues import Queues
from edge.store.records import decode_task, decode_workflow
from tests.simulation import shapes
from tests.simulation.books import Books
from tests.simulation.device import Device
from tests.up_to_date import rows_up_to_date

Complain = Callable[[str, str], None]

_LATE_MS = 3_000
"""How late a moment may be acted on while the device is up and its disk is well: a second is
promised, and the looks of this world add to it."""

_MILLISECOND_S = 0.0011
"""Stamps are whole milliseconds."""

_TOLD_WITHIN_S = 2.0
"""Until then a jump of the wall clock is on the disk, if anything waits."""

_ADOPTED_WITHIN_S = 3.0

_WOKEN_WITHIN_S = 1.5
"""After the disk has been seen to be well, pollers that it has kept waiting are woken."""


_LANES = """
WITH held (key, many) AS (SELECT key, 1 FROM history UNION ALL SELECT key, count FROM sealed)
SELECT lane.lane, acked, next_seq, coalesce(sum(many), 0), min(key), max(key + many - 1)
  FROM lane LEFT JOIN held ON key >> 56 = lane.lane
 GROUP BY lane.lane
"""

_BY_THEMSELVES = frozenset({"JOIN", "DO_WHILE", "EXCLUSIVE_JOIN"})
"""Tasks that wait for other tasks of their execution, and so are no reason for it to go on."""


class Rows:
    """Executions and tasks as they were at the last look; only what has changed is read anew."""

    def __init__(self) -> None:
        self.workflows: dict[int, Workflow] = {}
        self.by_id: dict[bytes, Workflow] = {}
        self.tasks: dict[int, dict[int, Task]] = {}
        """By the key of their execution and their own."""
        self._bodies: dict[int, bytes] = {}
        self._task_bodies: dict[int, bytes] = {}

    def refresh(self, connection: sqlite3.Connection) -> list[Workflow]:
        """Look again; returns the executions that have changed, or any task of theirs."""
        changed: dict[int, None] = {}
        rows = rows_up_to_date(connection)
        bodies = {row[0]: row[-1] for row in rows["workflow"]}
        if len(bodies) < len(self._bodies) or not self._bodies.keys() <= bodies.keys():
            # After a power cut what nobody was told of may be gone, and its keys be used again.
            for known in (self.workflows, self.tasks, self._bodies, self._task_bodies):
                known.clear()
        for key, body in bodies.items():
            if self._bodies.get(key) != body:
                workflow = decode_workflow(body)
                self.workflows[key] = workflow
                self.tasks.setdefault(key, {})
                changed[key] = None
        tasks = {row[0]: row[-1] for row in rows["task"]}
        for key, body in tasks.items():
            if self._task_bodies.get(key) != body:
                task = decode_task(body)
                owner = key >> ORDINAL_BITS
                self.tasks[owner][task.ordinal] = task
                changed[owner] = None
        for key in self._task_bodies.keys() - tasks.keys():
            owner, ordinal = split_task_key(key)
            self.tasks[owner].pop(ordinal, None)
            changed[owner] = None
        self._bodies, self._task_bodies = bodies, tasks
        self.by_id = {workflow.id: workflow for workflow in self.workflows.values()}
        for key in list(changed):
            parent = self.by_id.get(self.workflows[key].parent_id)
            if parent is not None:
                changed[parent.key] = None
        return [self.workflows[key] for key in sorted(changed)]

    def root(self, workflow: Workflow) -> Workflow:
        """The outermost of the executions around one."""
        while workflow.parent and workflow.parent_id in self.by_id:
            workflow = self.by_id[workflow.parent_id]
        return workflow

    def task(self, task_id: str) -> Task | None:
        """A task by its id."""
        parsed = parse_uuid(task_id)
        workflow = self.by_id.get(parsed[0]) if parsed is not None else None
        if parsed is None or workflow is None:
            return None
        return self.tasks[workflow.key].get(parsed[1])


class DeviceChecks:
    """The checks of one device.

    Args:
        device: that is watched.
        books: what the outside knows.
        complain: is told of what must not be.
    """

    def __init__(self, device: Device, books: Books, complain: Complain) -> None:
        self.device = device
        self._books = books
        self._name = device.name
        self._complain_of = complain
        self._ended: dict[bytes, Workflow] = {}
        self._answered_seen = 0
        self._runs_seen = 0
        self.rows = Rows()
        self._unwell_s = -10.0
        """When the engine was seen to distrust its disk last."""
        self._missing: dict[tuple[bytes, int], float] = {}
        """Tasks that were nowhere at the last look, and since when."""
        self._clock_seen = (0, 0.0, 0)
        """Run, true time and the engine's time at an earlier look."""
        self.jumps_s: list[float] = []
        """When the wall clock was moved."""

    def put_back(self) -> None:
        """The device's disk was put back: what is on it now is where everything goes on from."""
        with self.device.disk.look() as connection:
            self.rows = Rows()
            self.rows.refresh(connection)
        there = self.rows.by_id.values()
        self._ended = {one.id: one for one in there if one.status.terminal}
        self._answered_seen = self._runs_seen = 0
        self._missing = {}
        self._books.put_back(self.device.number, self._is_there)

    def _is_there(self, id_: str) -> bool | None:
        """Whether an execution or a task has ended; None = it is not there."""
        parsed = parse_uuid(id_)
        workflow = self.rows.by_id.get(parsed[0]) if parsed is not None else None
        if parsed is None or workflow is None:
            return None
        if not parsed[1]:
            return workflow.status.terminal
        task = self.rows.tasks[workflow.key].get(parsed[1])
        return None if task is None else task.status.terminal

    def complain(self, what: str, facts: str) -> None:
        """Something is wrong on this device."""
        self._complain_of(what, f"{self._name}: {facts}")

    # After a commit.

    def committed(self, connection: sqlite3.Connection, engine: Engine | None) -> Rows:
        """Look at everything; ``engine`` None = only at what is on the disk."""
        rows = self.rows
        changed = rows.refresh(connection)
        for workflow in changed:
            root = rows.root(workflow)
            if root is not workflow:
                self._books.roots[workflow.id] = root.id
                if workflow.id in self._books.reopened:
                    self._books.reopened.add(root.id)
        for workflow in changed:
            self._check_end(rows, workflow)
            self._check_cause(rows, workflow)
            self._check_tasks(workflow, rows.tasks[workflow.key])
        if engine is not None and self._calm():
            self._check_moments(rows, engine)
        self._check_books(rows)
        self.check_outbox(connection)
        if engine is not None:
            self._check_queues(rows, engine)
        return rows

    def _free(self, rows: Rows, workflow: Workflow) -> bool:
        """Whether a client has asked for this family to begin anew."""
        return rows.root(workflow).id in self._books.reopened

    def _check_end(self, rows: Rows, workflow: Workflow) -> None:
        """G7: what has ended stays as it was; C16: nothing in it is open."""
        before = self._ended.get(workflow.id)
        if not workflow.status.terminal:
            if before is not None and not self._free(rows, workflow):
                self.complain("an end was not final", f"{workflow.name} {before.status}")
            self._ended.pop(workflow.id, None)
            return
        if before is not None and before != workflow and not self._free(rows, workflow):
            terminated = workflow.status is WorkflowStatus.TERMINATED
            if before.status is WorkflowStatus.COMPLETED or not terminated:
                facts = f"{workflow.name} {before.status} -> {workflow.status}"
                self.complain("an end has changed", facts)
        self._ended[workflow.id] = workflow
        for task in rows.tasks[workflow.key].values():
            if not task.status.terminal:
                self.complain("open after the end", f"{workflow.name} {task.ref} {task.status}")
            child = rows.by_id.get(task.child) if task.kind == "SUB_WORKFLOW" else None
            if child is not None and not child.status.terminal and not self._free(rows, workflow):
                self.complain("child goes on alone", f"{workflow.name} {task.ref}")

    def _check_cause(self, rows: Rows, workflow: Workflow) -> None:
        """G5: there is a reason for each execution to go on."""
        if workflow.status is not WorkflowStatus.RUNNING or workflow.rate_limited:
            return
        caused = workflow.due_ms > 0 and workflow.name != "flaky"
        for task in rows.tasks[workflow.key].values():
            if task.status.terminal or task.kind in _BY_THEMSELVES:
                continue
            if task.child:
                caused = self._check_child(rows, workflow, task) or caused
            caused = caused or bool(task.queue or task.due_ms or task.kind in ("HUMAN", "WAIT"))
        if not caused:
            open_refs = [t.ref for t in rows.tasks[workflow.key].values() if not t.status.terminal]
            self.complain("no cause", f"{workflow.name} runs, open: {open_refs}")

    def _check_child(self, rows: Rows, workflow: Workflow, task: Task) -> bool:
        child = rows.by_id.get(task.child)
        if child is None or child.status.terminal:
            status = "gone" if child is None else child.status
            self.complain("parent waits in vain", f"{workflow.name} {task.ref}: child {status}")
            return False
        return True

    def _check_tasks(self, workflow: Workflow, tasks: dict[int, Task]) -> None:
        """C06, C17: one open attempt of a step; G6: nothing has happened before its time."""
        open_refs = [task.ref for task in tasks.values() if not task.status.terminal]
        if len(open_refs) != len(set(open_refs)):
            self.complain("two attempts are open", f"{workflow.name} {open_refs}")
        for task in tasks.values():
            if task.kind == "WAIT" and task.status is TaskStatus.COMPLETED:
                self._check_wait(workflow, task)
            if task.status is TaskStatus.TIMED_OUT and task.kind == "SIMPLE":
                self._check_limits(workflow, task)
            before = tasks.get(task.retried_from)
            if before is not None and task.started_ms and task.kind == "SIMPLE":
                self._check_retry(workflow, before, task)

    def _check_moments(self, rows: Rows, engine: Engine) -> None:
        """G6: what is due is acted on in time."""
        late_ms = engine.clock.now_ms() - _LATE_MS
        for key, workflow in rows.workflows.items():
            if workflow.status is not WorkflowStatus.RUNNING:
                continue
            for task in rows.tasks[key].values():
                if 0 < task.due_ms < late_ms:
                    by_ms = late_ms + _LATE_MS - task.due_ms
                    self.complain("late", f"{workflow.name} {task.ref} by {by_ms} ms")

    def _calm(self) -> bool:
        """Whether moments must be acted on in time now."""
        device = self.device
        since_s = max(device.up_since_s, *self.jumps_s, self._unwell_s)
        undisturbed_s = device.now_s() - since_s
        return undisturbed_s > 5 and not device.in_trouble(error_s=5) and not device.disk.slow_s

    def _passed_s(self, since_ms: int, until_ms: int) -> tuple[float, float] | None:
        """Least and most true seconds between two stamps of the engine; None = nobody can tell.

        Nobody can when the wall clock was moved while the power was off in between, or so shortly
        before that the disk could not be told.
        """
        device = self.device
        first, last = (device.shown_at_s[stamp] for stamp in (since_ms, until_ms))
        for cut_s in device.cuts_s:
            if first[0] <= cut_s <= last[1]:
                again_s = next((ready_s for ready_s in device.ready_s if ready_s > cut_s), last[1])
                if any(self._is_untold(at_s, cut_s, again_s) for at_s in self.jumps_s):
                    return None
                # Of a jump after the copy was taken, what was put back to it knows nothing.
                if any(
                    back_s == cut_s and taken_s - _TOLD_WITHIN_S <= at_s <= cut_s
                    for back_s, taken_s in device.lost_since_s
                    for at_s in self.jumps_s
                ):
                    return None
        return last[0] - first[1], last[1] - first[0]

    def _is_untold(self, jumped_s: float, cut_s: float, again_s: float) -> bool:
        """Whether a jump cannot be known after a power cut."""
        told = jumped_s < cut_s - _TOLD_WITHIN_S and self.device.disk.bad_until_s < jumped_s
        return jumped_s <= again_s and not told

    def _check_wait(self, workflow: Workflow, task: Task) -> None:
        if workflow.last_retried_ms or task.worker:
            return
        asked_s = int(msgspec.json.decode(task.input).get("duration", "0s")[:-1])
        passed_s = self._passed_s(task.scheduled_ms, task.ended_ms)
        if passed_s is None:
            return
        facts = f"{workflow.name} {task.ref}: {passed_s[1]:.3f} s of {asked_s}"
        if passed_s[1] < asked_s - _MILLISECOND_S:
            self.complain("early", facts)
        since_s = self.device.shown_at_s[task.scheduled_ms][0]
        disturbed_s = max(self.device.up_since_s, self._unwell_s, self.device.disk.bad_until_s)
        if since_s > disturbed_s and passed_s[0] > asked_s + _LATE_MS / 1000:
            self.complain("late", facts)

    def _check_limits(self, workflow: Workflow, task: Task) -> None:
        """No limit of a task's definition was used up before its time."""
        reason = task.reason or ""
        if "responseTimeout" in reason:
            self._check_silence(workflow, task)
            return
        taken = not reason.startswith("Task poll timed out")
        since_ms = task.started_ms if taken else task.scheduled_ms
        allowed_s = shapes.RUN_S if taken else shapes.POLLED_WITHIN_S
        passed_s = self._passed_s(since_ms, task.ended_ms)
        if passed_s is not None and passed_s[1] < allowed_s - _MILLISECOND_S:
            facts = f"{workflow.name} {task.ref}: {passed_s[1]:.3f} s of {allowed_s}"
            self.complain("timed out early", facts)

    def _check_silence(self, workflow: Workflow, task: Task) -> None:
        """A worker was silent for as long as it may be, by the clock that never jumps."""
        task_id = task_uuid(workflow.id, task.ordinal)
        heard_s = self._books.heard_s.get((self.device.number, task_id))
        allowed_s = shapes.SILENCE_S[task.name]
        # What was said after the end is acknowledged, and changes nothing.
        ended_s = self.device.shown_at_s[task.ended_ms][1]
        if heard_s is not None and 0 <= ended_s - heard_s < allowed_s - 0.5:
            self.complain("lease ended early", f"{workflow.name} {task.ref}")

    def _check_retry(self, workflow: Workflow, before: Task, task: Task) -> None:
        if workflow.last_retried_ms or task.name == shapes.PURE:
            # Those are tried again at once.
            return
        passed_s = self._passed_s(before.ended_ms, task.started_ms)
        # Stamped by one clock and waited for by another, both in whole milliseconds.
        if passed_s is not None and passed_s[1] < 1 - 2 * _MILLISECOND_S:
            facts = f"{workflow.name} {task.ref}: after {passed_s[1]:.3f} s"
            self.complain("retried early", facts)

    def _check_books(self, rows: Rows) -> None:
        """G1, G2: what was acknowledged is there. After a new start all of it is looked at."""
        books, number = self._books, self.device.number
        if self.device.runs != self._runs_seen:
            self._runs_seen, self._answered_seen = self.device.runs, 0
            for started in books.starts:
                if started.device != number or started.taken_back:
                    continue
                if started.id is not None:
                    parsed = parse_uuid(started.id)
                    if parsed is None or parsed[0] not in rows.by_id:
                        self.complain("lost start", f"{started.shape} {started.id}")
        answered = list(books.answered)
        for device, task_id in answered[self._answered_seen :]:
            if device != number or books.may_begin_anew(task_id):
                continue
            task = rows.task(task_id)
            if task is None or not task.status.terminal:
                self.complain("lost answer", f"{task_id} is {task and task.status}")
        self._answered_seen = len(answered)

    def check_outbox(self, connection: sqlite3.Connection) -> None:
        """G9: sequences without gaps, from behind the cursor to the newest."""
        for lane, acked, next_seq, count, first, last in connection.execute(_LANES):
            if acked >= next_seq:
                self.complain("cursor ahead", f"lane {lane}: {acked} of {next_seq - 1}")
            if not count:
                if acked != next_seq - 1:
                    self.complain("gap in the outbox", f"lane {lane}: {acked} of {next_seq - 1}")
                continue
            oldest, newest = first & (1 << 56) - 1, last & (1 << 56) - 1
            whole = newest - oldest + 1 == count and newest == next_seq - 1 and oldest <= acked + 1
            if not whole:
                facts = f"lane {lane}: {count} of {oldest}..{newest}, next {next_seq}"
                self.complain("gap in the outbox", facts)

    # In memory.

    def _check_queues(self, rows: Rows, engine: Engine) -> None:
        """C04, C05: what waits for a worker is in its queue, or in somebody's hands."""
        hand_over = engine.hand_over
        waiting = 0
        missing: dict[tuple[bytes, int], float] = {}
        for task_id, workflow, task in _scheduled(rows):
            waiting += 1
            there = hand_over.queues.holds(task_id)
            held = hand_over.leases.get(task_id) is not None
            taken = task_id in hand_over.queues.slots._held
            if not (there or held or taken):
                # A sign of life from before a restart takes a task out of its queue, and then reads
                # it before it is leased.
                now_s = self.device.now_s()
                missing[task_id] = self._missing.get(task_id, now_s)
                if now_s - missing[task_id] > _ADOPTED_WITHIN_S:
                    self.complain("in no queue", f"{workflow.name} {task.ref} of {task.queue}")
            if there and held:
                self.complain("waits and is held", f"{workflow.name} {task.ref}")
        self._missing = missing
        if sum(engine.queue_sizes().values()) > waiting:
            self.complain("dead ids in a queue", f"{dict(engine.queue_sizes())} of {waiting}")

    def watch(self, engine: Engine) -> None:
        """At any time: nobody waits beside work, no lease outlives its end, limits hold."""
        hand_over = engine.hand_over
        monotonic_ms = engine.clock.monotonic_ms()
        self._watch_clock(engine)
        if engine.storage.mode is not Mode.WHOLE:
            # Nothing is handed out now, and what is due may wait.
            self._unwell_s = self.device.now_s()
        for task_id, held in hand_over.leases.all().items():
            overdue_ms = monotonic_ms - held.expires_ms
            if self._calm() and held.expires_ms and overdue_ms > _LATE_MS:
                self.complain("dead lease", f"{task_uuid(*task_id)} since {overdue_ms} ms")
        run = self.device.run
        # A worker that goes on after a restart is left what it has, with a slot or without one.
        held_slots = [
            task_id
            for task_id, held in hand_over.leases.all().items()
            if held.place.limit.name == shapes.SLOTS
            and run is not None
            and self._books.was_handed(self.device.number, run.number, task_uuid(*task_id))
        ]
        if len(held_slots) > shapes.AT_ONCE:
            self.complain("too many at once", f"{len(held_slots)} {shapes.SLOTS}")
        if self.device.now_s() - self._unwell_s > _WOKEN_WITHIN_S:
            self._watch_pollers(hand_over.queues, monotonic_ms)

    def _watch_pollers(self, queues: Queues, monotonic_ms: int) -> None:
        """C13: nobody sleeps beside work."""
        for queue, pollers in queues.waiters._waiting.items():
            idle = any(not poller.done() for poller in pollers)
            line = queues._ready.get(queue)
            entries = [] if line is None else line.entries
            ready = [entry for entry in entries if _lives(queues, entry)]
            if idle and ready:
                since_ms = min(queues._where[entry[2]].since_ms for entry in ready)
                if since_ms and monotonic_ms - since_ms > 500:
                    self.complain("poller was not woken", f"{queue}: {len(ready)} wait")

    def _watch_clock(self, engine: Engine) -> None:
        """G6: time goes on at its pace, forwards, whatever the wall clock does."""
        now_s, now_ms = self.device.now_s(), engine.clock.now_ms()
        run, then_s, then_ms = self._clock_seen
        if run == self.device.runs:
            if now_ms < then_ms:
                self.complain("time goes back", f"from {then_ms} to {now_ms}")
            if now_s - then_s < 5:
                return
            if now_ms - then_ms < (now_s - then_s) * 1000 - 1_200:
                self.complain("time stands still", f"{now_ms - then_ms} ms in {now_s - then_s} s")
        self._clock_seen = (self.device.runs, now_s, now_ms)


def _lives(queues: Queues, entry: tuple[int, int, tuple[bytes, int]]) -> bool:
    place = queues._where.get(entry[2])
    return place is not None and place.arrival == entry[1]


def _scheduled(rows: Rows) -> Iterable[tuple[tuple[bytes, int], Workflow, Task]]:
    for workflow in rows.workflows.values():
        if workflow.status.terminal:
            continue
        for task in rows.tasks[workflow.key].values():
            if task.status is TaskStatus.SCHEDULED and task.queue is not None:
                yield (workflow.id, task.ordinal), workflow, task
