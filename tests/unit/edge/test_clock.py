"""Time that never steps back, and ids that ascend and leave room for ordinals."""

from __future__ import annotations

import uuid

from edge.clock import (
    RandomIds,
    SystemClock,
    machine_boot,
    new_request_id,
    passed_since,
    stamp_before,
)
from edge.model.elapsed import Jump, TimeKept
from edge.model.executions import parse_uuid, task_uuid, workflow_uuid


def test_the_clock_never_goes_below_its_floor() -> None:
    """A box that starts in 1970 goes on from the last time written."""
    far = 4_000_000_000_000

    assert far <= SystemClock(TimeKept(far)).now_ms() < far + 60_000


class _Machine:
    """Two clocks that a test sets, in milliseconds."""

    def __init__(self, wall_ms: int) -> None:
        self.wall_ms = wall_ms
        self.monotonic_ms = 5_000

    def clock(self, floor_ms: int = 0, kept: TimeKept | None = None, boot: int = 0) -> SystemClock:
        return SystemClock(
            kept or TimeKept(floor_ms),
            wall_ns=lambda: self.wall_ms * 1_000_000,
            monotonic_ns=lambda: self.monotonic_ms * 1_000_000,
            elapsed_ns=lambda: self.monotonic_ms * 1_000_000,
            boot=boot,
        )

    def pass_ms(self, passed_ms: int) -> None:
        self.wall_ms += passed_ms
        self.monotonic_ms += passed_ms


def _set_forward() -> tuple[SystemClock, int]:
    """A clock that is set forward 700 ms after a stamp, and has not been read since; the stamp."""
    machine = _Machine(wall_ms=1_700_000_000_000)
    clock = machine.clock()
    began_ms = clock.now_ms()
    machine.pass_ms(700)
    machine.wall_ms += 400_000
    return clock, began_ms


def test_the_reading_that_notices_a_jump_leaves_it_out() -> None:
    """Whoever asks how much time has passed may be the first to see that the clock was set."""
    clock, began_ms = _set_forward()
    assert 700 == passed_since(clock, began_ms)
    clock, began_ms = _set_forward()
    assert began_ms + 400 == stamp_before(clock, 300)


def test_a_boot_in_1970_does_not_stop_the_time() -> None:
    """From the last time written on it goes at the pace of the other clock, until it is right."""
    machine = _Machine(wall_ms=12_000)
    clock = machine.clock(floor_ms=1_700_000_000_000)
    shown = [clock.now_ms()]
    for _ in range(3):
        machine.pass_ms(250)
        shown.append(clock.now_ms())
    machine.wall_ms = 1_800_000_000_000

    assert [0, 250, 500, 750] == [one - 1_700_000_000_000 for one in shown]
    assert 1_800_000_000_000 == clock.now_ms()


def test_a_clock_that_is_set_back_does_not_stop_the_time() -> None:
    """A wait of seven seconds takes seven, also when the wall clock loses an hour meanwhile."""
    machine = _Machine(wall_ms=1_700_000_000_000)
    clock = machine.clock()
    before = clock.now_ms()
    machine.wall_ms -= 3_600_000
    machine.pass_ms(7_000)

    assert before + 7_000 == clock.now_ms()
    machine.wall_ms += 3_600_000
    assert before + 7_000 == clock.now_ms()


def test_a_clock_that_is_behind_and_seldom_asked_does_not_stop() -> None:
    """How far it is behind is judged by what the time should be now, not by what it was last."""
    machine = _Machine(wall_ms=1_700_000_000_000)
    clock = machine.clock()
    before = clock.now_ms()
    machine.wall_ms -= 5_000
    shown = []
    for _ in range(3):
        machine.pass_ms(4_500)
        shown.append(clock.now_ms() - before)

    assert [4_500, 9_000, 13_500] == shown


def test_a_jump_forward_is_noted() -> None:
    """What is shown goes with the wall clock, and whoever asks learns how much has passed."""
    machine = _Machine(wall_ms=1_700_000_000_000)
    clock = machine.clock()
    before = clock.now_ms()
    machine.pass_ms(2_000)
    machine.wall_ms += 3_600_000
    after = clock.now_ms()
    machine.pass_ms(500)

    assert before + 3_602_000 == after
    assert (Jump(before + 2_000, after),) == clock.jumps.all
    assert 2_500 == clock.jumps.passed_ms(before, clock.now_ms())


def test_a_clock_that_is_set_has_jumped_by_however_little() -> None:
    """Time went on without it: what it is ahead by has not passed, and no timer is early by that."""
    machine = _Machine(wall_ms=12_000)
    clock = machine.clock(floor_ms=1_700_000_000_000)
    before = clock.now_ms()
    machine.pass_ms(2_000)
    assert before + 2_000 == clock.now_ms()
    machine.wall_ms = before + 2_060
    machine.pass_ms(3_000)

    assert before + 5_060 == clock.now_ms()
    assert 5_000 == clock.jumps.passed_ms(before, clock.now_ms())


def test_a_slewed_clock_does_not_jump() -> None:
    """NTP moves it by half a thousandth, also while nobody asks for a day."""
    machine = _Machine(wall_ms=1_700_000_000_000)
    clock = machine.clock()
    clock.now_ms()
    machine.pass_ms(86_400_000)
    machine.wall_ms += 43_200
    clock.now_ms()
    machine.wall_ms += 90
    clock.now_ms()

    assert not clock.jumps


def test_a_thread_that_was_halted_saw_no_jump() -> None:
    """Between its readings of the two clocks a second has passed, and not an hour for waits."""
    machine = _Machine(wall_ms=1_700_000_000_000)
    halts = [0, 0, 5_000]

    def wall_ns() -> int:
        machine.pass_ms(halts.pop() if halts else 0)
        return machine.wall_ms * 1_000_000

    elapsed = lambda: machine.monotonic_ms * 1_000_000  # noqa: E731 - two clocks side by side
    clock = SystemClock(wall_ns=wall_ns, monotonic_ns=elapsed, elapsed_ns=elapsed, boot=0)
    halts += [0, 5_000]
    clock.now_ms()

    assert not clock.jumps


def _next_run(machine: _Machine, clock: SystemClock, boot: int = 3) -> SystemClock:
    return machine.clock(kept=clock.kept(), boot=boot)


def test_a_jump_while_the_program_is_down_is_noted() -> None:
    """In the same boot of the machine its clocks tell how long that was."""
    machine = _Machine(wall_ms=1_700_000_000_000)
    clock = machine.clock(boot=3)
    before = clock.now_ms()
    machine.pass_ms(5_000)
    machine.wall_ms += 3_600_000
    forward = _next_run(machine, clock)
    machine.pass_ms(1_000)
    machine.wall_ms -= 7_200_000
    back = _next_run(machine, forward)

    assert 5_000 == forward.jumps.passed_ms(before, before + 3_605_000)
    assert before + 3_606_000 == back.now_ms()
    assert forward.jumps == back.jumps


def test_after_a_power_cut_the_wall_clock_is_believed() -> None:
    """Whatever it shows beyond what was written is how long the device was off."""
    machine = _Machine(wall_ms=1_700_000_000_000)
    clock = machine.clock(boot=3)
    before = clock.now_ms()
    machine.wall_ms += 86_400_000
    machine.monotonic_ms = 10
    again = _next_run(machine, clock, boot=4)

    assert before + 86_400_000 == again.now_ms()
    assert not again.jumps


def test_time_sync_after_a_boot_in_1970_tells_how_long_the_device_was_off() -> None:
    """What waited before has waited all that time; what began since the boot has not."""
    machine = _Machine(wall_ms=1_700_000_000_000)
    clock = machine.clock(boot=3)
    before = clock.now_ms()
    machine.wall_ms, machine.monotonic_ms = 20_000, 20_000
    unset = _next_run(machine, clock, boot=4)
    machine.pass_ms(1_000)
    since = unset.now_ms()
    again = _next_run(machine, unset, boot=4)
    machine.wall_ms, machine.monotonic_ms = before + 86_400_000, 21_000
    now = again.now_ms()
    machine.wall_ms += 3_600_000
    later = again.now_ms()

    assert (before + 1_000, before + 86_400_000) == (since, now)
    assert 0 == again.jumps.passed_ms(since, later)
    assert 86_400_000 == again.jumps.passed_ms(before - 1, now) - 1
    assert 86_400_000 == again.jumps.passed_ms(before - 1, later) - 1


def test_a_machine_that_sleeps_has_not_jumped() -> None:
    """Its wall clock goes on with the time that really passes."""
    clock = SystemClock()
    clock.now_ms()

    assert clock.elapsed_ms() >= clock.monotonic_ms()
    assert machine_boot() == clock.kept().machine_boot


def test_a_slewed_clock_is_waited_for() -> None:
    """Less than a second behind, time stands until the wall clock has caught up."""
    machine = _Machine(wall_ms=1_700_000_000_000)
    clock = machine.clock()
    before = clock.now_ms()
    machine.wall_ms -= 400
    machine.pass_ms(300)
    held = clock.now_ms()
    machine.pass_ms(300)

    assert before == held
    assert before + 200 == clock.now_ms()


def test_the_clock_moves_forward() -> None:
    """Two readings never go back, on either clock."""
    clock = SystemClock()
    first, second = clock.now_ms(), clock.now_ms()

    assert 1_600_000_000_000 < first <= second
    assert clock.monotonic_ms() <= clock.monotonic_ms()


def test_ids_are_version_7_and_ascend_with_time() -> None:
    """The index over ids grows at its end."""
    ids = RandomIds()
    early, late = ids.workflow_id(1_000), ids.workflow_id(2_000)

    assert early < late
    assert 7 == uuid.UUID(bytes=early).version
    assert bytes(4) == early[12:]


def test_ids_differ_within_a_millisecond() -> None:
    """42 random bits keep ten thousand starts of one millisecond apart."""
    ids = RandomIds()

    assert 10_000 == len({ids.workflow_id(5) for _ in range(10_000)})


def test_a_task_id_names_its_workflow() -> None:
    """The ordinal is read back from the id."""
    workflow_id = RandomIds().workflow_id(7)

    assert (workflow_id, 513) == parse_uuid(task_uuid(workflow_id, 513))
    assert (workflow_id, 0) == parse_uuid(workflow_uuid(workflow_id))
    assert parse_uuid("no id") is None


def test_request_ids_are_unique() -> None:
    """For requests that bring none."""
    assert new_request_id() != new_request_id()
