"""The history of one simulated device: every record made from a seed when it is asked for.

Nothing is kept but what orders have brought, and no clock is read: what has happened by a time
follows from the time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from edge.simulated_fleet.chance import draw, falls, id_text
from edge.simulated_fleet.shapes import CYCLE, Ending, Mix, Step, ordered
from sync.records import KINDS, Body, Lane, Record, TaskRecord, WorkflowRecord, encode_body

BOOT = 1
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_FIRST_DAY = 0.25
"""Of the wrong clocks so many begin in 1970; the others are up to a day off."""

_ORDERED = ordered("")
_ORDERED_RECORDS = _ORDERED.count(Lane.HISTORY)


class Timetable(msgspec.Struct, frozen=True):
    """When the runs of all devices end: each device once a period, spread evenly over it."""

    began_ms: int
    """When the fleet began to work, on the machine's clock."""
    period_ms: int
    devices: int
    backlog: int = 0
    """Runs that had ended before, one a period."""
    idle: bool = False
    """Whether nothing but the backlog ever happens."""

    def phase_ms(self, device: int) -> int:
        """How far into each period a device's run ends."""
        return device * self.period_ms // self.devices

    def ended_ms(self, device: int, run: int) -> int:
        """When a run has ended, on the machine's clock."""
        return self.began_ms + self.phase_ms(device) + (run - self.backlog) * self.period_ms

    def count(self, device: int, now_ms: int) -> int:
        """Runs that have ended by now."""
        passed_ms = now_ms - self.began_ms - self.phase_ms(device)
        if self.idle or passed_ms < 0:
            return self.backlog
        return self.backlog + passed_ms // self.period_ms + 1


class Brought(msgspec.Struct, frozen=True):
    """A run that an order has started."""

    after: int
    """Runs of the timetable that had ended before it."""
    at_ms: int
    """When it has ended, on the machine's clock."""
    order_id: str
    workflow: str
    input: bytes
    """JSON text."""
    correlation_id: str | None = None


class World(msgspec.Struct, frozen=True):
    """What all devices of a fleet share."""

    seed: int
    mix: Mix
    timetable: Timetable
    lineage: int = 0
    """Of this run of the fleet: two runs have the same work, and their executions other ids."""
    wrong_clocks_percent: float = 0.0
    output_bytes: int = 0
    """Added to the output of each workflow."""

    def offset(self, device: int) -> int:
        """Where in the cycle of runs a device begins."""
        return draw(self.seed, 5, device) % CYCLE

    def clock_off_ms(self, device: int) -> int:
        """How much more the device's clock shows than the machine's."""
        if not falls(draw(self.seed, 6, device), self.wrong_clocks_percent):
            return 0
        table = self.timetable
        if falls(draw(self.seed, 7, device), 100 * _FIRST_DAY):
            return _DAY_MS + table.backlog * table.period_ms - table.began_ms
        return draw(self.seed, 8, device) % (2 * _DAY_MS) - _DAY_MS


class History:
    """One device's executions as records.

    Args:
        world: of the fleet.
        device: its number, from 0.
        brought: what orders have started, in the order of their coming.
    """

    def __init__(self, world: World, device: int, brought: Sequence[Brought] = ()) -> None:
        self._world = world
        self._device = device
        self._brought = brought
        self._offset = world.offset(device)
        self._clock_off_ms = world.clock_off_ms(device)

    def newest(self, lane: Lane, now_ms: int) -> int:
        """The last sequence of the history or urgent lane by now; 0 = none."""
        runs = self._world.timetable.count(self._device, now_ms)
        found = self._world.mix.before(lane, self._offset, runs)
        return found + (len(self._brought) * _ORDERED_RECORDS if lane is Lane.HISTORY else 0)

    def read(self, lane: Lane, after_seq: int, newest: int, limit: int) -> list[Record]:
        """The records after a sequence, in order, up to the newest and not more than ``limit``."""
        found: list[Record] = []
        seq, last = after_seq + 1, min(newest, after_seq + limit)
        while seq <= last:
            run, place = self._find(lane, seq)
            bodies = [body for at, body in self._bodies(run) if at is lane][place:]
            for body in bodies[: last - seq + 1]:
                # What a decision changes is recorded with it, by the same clock.
                found.append(
                    Record(lane, seq, KINDS[type(body)], _updated_ms(body), BOOT, encode_body(body))
                )
                seq += 1
        return found

    def bodies(self, run: int | Brought) -> list[Body]:
        """What all records of a run say, over its lanes."""
        return [body for _, body in self._bodies(run)]

    def workflow_id(self, run: int | Brought) -> str:
        """The id of an execution."""
        return _id(self._world, self._device, run, 0)

    def all_runs(self, now_ms: int) -> list[int | Brought]:
        """What has run by now, in the order of no lane."""
        runs = self._world.timetable.count(self._device, now_ms)
        return [*range(runs), *self._brought]

    def _find(self, lane: Lane, seq: int) -> tuple[int | Brought, int]:
        """The run that a record belongs to, and its place there within the lane."""
        mix, passed = self._world.mix, 0
        for one in self._brought if lane is Lane.HISTORY else ():
            begins = mix.before(lane, self._offset, one.after) + passed
            if seq <= begins:
                break
            if seq <= begins + _ORDERED_RECORDS:
                return one, seq - begins - 1
            passed += _ORDERED_RECORDS
        return mix.find(lane, self._offset, seq - passed)

    def _bodies(self, run: int | Brought) -> list[tuple[Lane, Body]]:
        """The records of a run, in the order in which an engine writes them."""
        if isinstance(run, Brought):
            ending, ended_ms = ordered(run.workflow), run.at_ms
            told, correlation_id, number = run.input, run.correlation_id, 0
        else:
            ending = self._world.mix.ending(self._offset, run)
            ended_ms = self._world.timetable.ended_ms(self._device, run)
            number = draw(self._world.seed, 9, self._device, run)
            told, correlation_id = b'{"item":"%08x"}' % (number & 0xFFFF_FFFF), None
        writer = _Writer(self._world, self._device, run, ending)
        return writer.write(ended_ms + self._clock_off_ms, told, correlation_id, number)


class _Attempt(msgspec.Struct, frozen=True):
    """One task execution of a run."""

    step: Step
    number: int
    """From 0."""
    took_ms: int
    failed: bool


class _Writer:
    """Writes the records of one run."""

    def __init__(self, world: World, device: int, run: int | Brought, ending: Ending) -> None:
        self._world, self._device, self._run, self._ending = world, device, run, ending
        self._id = _id(world, device, run, 0)

    def write(
        self, ended_ms: int, told: bytes, correlation_id: str | None, number: int
    ) -> list[tuple[Lane, Body]]:
        """The records of a run that has ended at a time of the device's clock."""
        ending, name = self._ending, self._ending.shape.name
        attempts = self._attempts()
        at_ms = began_ms = max(0, ended_ms - sum(one.took_ms for one in attempts))
        start = WorkflowRecord(
            self._id, name, 1, "RUNNING", at_ms, at_ms, correlation_id=correlation_id, input=told
        )
        found: list[tuple[Lane, Body]] = [(Lane.HISTORY, start)]
        for seq, one in enumerate(attempts, start=1):
            found += [(Lane.HISTORY, record) for record in self._task(seq, at_ms, one)]
            at_ms += one.took_ms
        output = b'{"verdict":%d}' % (number % 4)
        if self._world.output_bytes:
            output = b'{"verdict":%d,"text":"%s"}' % (number % 4, self._text(number))
        reason = ending.shape.steps[ending.failing - 1].fails_with if ending.failing else None
        end = WorkflowRecord(
            self._id, name, 1, "FAILED" if ending.failing else "COMPLETED", began_ms, at_ms, at_ms,
            correlation_id=correlation_id, reason=reason, output=output,
        )  # fmt: skip
        found.append((Lane.URGENT if ending.failing else Lane.HISTORY, end))
        return found

    def _attempts(self) -> list[_Attempt]:
        ending, found = self._ending, []
        most_ms = self._world.timetable.period_ms // 8
        for task, step in enumerate(ending.shape.steps[: ending.failing or None], start=1):
            drawn = draw(self._world.seed, 10, self._device, task, _number(self._run))
            took_ms = min(most_ms, step.least_ms + drawn % (step.most_ms - step.least_ms))
            if task == ending.retried:
                found.append(_Attempt(step, 0, took_ms, failed=True))
            number = 1 if task == ending.retried else 0
            found.append(_Attempt(step, number, took_ms, failed=task == ending.failing))
        return found

    def _task(self, seq: int, at_ms: int, attempt: _Attempt) -> list[TaskRecord]:
        """Scheduled, taken and ended."""
        step, failed = attempt.step, attempt.failed
        taken_ms, ended_ms = at_ms + min(5, attempt.took_ms), at_ms + attempt.took_ms
        scheduled = TaskRecord(
            self._id, _id(self._world, self._device, self._run, seq), seq, step.name, "SIMPLE",
            step.name, "SCHEDULED", at_ms, attempt.number, scheduled_ms=at_ms,
        )  # fmt: skip
        taken = msgspec.structs.replace(
            scheduled, status="IN_PROGRESS", updated_ms=taken_ms, started_ms=taken_ms, worker="line"
        )
        ended = msgspec.structs.replace(
            taken, status="FAILED" if failed else "COMPLETED", updated_ms=ended_ms,
            ended_ms=ended_ms, reason=step.fails_with if failed else None,
            output=None if failed else b'{"ms":%d}' % attempt.took_ms,
        )  # fmt: skip
        return [scheduled, taken, ended]

    def _text(self, number: int) -> bytes:
        """As long as was asked for; half of it does not compress."""
        noise = b"".join(
            b"%016x" % draw(number, at) for at in range(self._world.output_bytes // 16 + 1)
        )
        return noise[: self._world.output_bytes]


def _number(run: int | Brought) -> int:
    if isinstance(run, int):
        return run
    return int.from_bytes(hashlib.blake2b(run.order_id.encode(), digest_size=8).digest())


def _id(world: World, device: int, run: int | Brought, place: int) -> str:
    # Runs of the timetable and of orders never share an id: they are drawn in two families.
    family = 11 if isinstance(run, int) else 12
    high = draw(world.seed, family, world.lineage, device, _number(run))
    return id_text(high, draw(high, place))


def _updated_ms(body: Body) -> int:
    assert isinstance(body, WorkflowRecord | TaskRecord)
    return body.updated_ms
