"""What is told after a COMMIT: a later decision has the last word."""

from __future__ import annotations

import msgspec

from edge.effects import Effects, Step
from edge.model.decision import Decision
from edge.model.executions import Task, TaskStatus
from tests.unit.edge.playbook import Playbook, step


def _seen(*tasks: Task, queued: tuple[int, ...] = (), dropped: tuple[int, ...] = ()) -> Effects:
    """The effects of decisions with one task each; the first puts it into its queue."""
    play = Playbook(step("a"))
    effects = Effects()
    for number, task in enumerate(tasks):
        decision = Decision(tasks=(task,), queued=queued if not number else (), dropped=dropped)
        effects.see(Step(play.workflow, play.snapshot.pinned, decision, started=False))
    return effects


TASK = Task(1, 1, "a", "SIMPLE", "a", "a", TaskStatus.SCHEDULED, queue="a", due_ms=9)


def test_a_task_enters_its_queue_with_its_last_record() -> None:
    """Later decisions of the batch change what is handed out."""
    later = msgspec.structs.replace(TASK, reason="why")
    effects = _seen(TASK, later, queued=(1,))

    assert [later] == [queued.task for queued in effects.queued.values()]
    assert 9 == effects.due_ms


def test_a_task_that_ends_in_the_same_batch_is_never_handed_out() -> None:
    """The end wins over the queue, in whichever order they are heard of."""
    done = msgspec.structs.replace(TASK, status=TaskStatus.COMPLETED)
    effects = _seen(TASK, done, queued=(1,))

    assert {} == effects.queued
    assert [1] == [ordinal for _, ordinal in effects.ended]


def test_a_task_that_was_started_leaves_its_queue() -> None:
    """IN_PROGRESS is not handed out, and neither is what was dropped."""
    running = msgspec.structs.replace(TASK, status=TaskStatus.IN_PROGRESS)

    effects = _seen(TASK, running, queued=(1,))
    assert ({}, {}) == (effects.queued, effects.ended)
    assert [1] == [ordinal for _, ordinal in effects.left]
    assert {} == _seen(TASK, queued=(1,), dropped=(1,)).queued
    assert {} == _seen(TASK).queued


class _Counted(int):
    """An ordinal that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        _Counted.compared += 1
        return int(self) == other

    def __hash__(self) -> int:
        return hash(int(self))


def test_a_wide_fork_is_not_searched_for_each_of_its_branches() -> None:
    """What a decision queues is looked up: two thousand branches are not two million looks."""
    count = 2_000
    play, effects, _Counted.compared = Playbook(step("a")), Effects(), 0
    tasks = tuple(
        msgspec.structs.replace(TASK, ordinal=number, seq=number) for number in range(1, count + 1)
    )
    queued = tuple(_Counted(task.ordinal) for task in tasks)

    decision = Decision(tasks=tasks, queued=queued)
    effects.see(Step(play.workflow, play.snapshot.pinned, decision, started=False))

    assert count == len(effects.queued)
    assert _Counted.compared <= 2 * count


def test_what_goes_from_worker_to_worker_is_nothing_inner() -> None:
    """Other tasks are: somebody may wait for a wait to begin, or for what is inside it."""
    wait = msgspec.structs.replace(TASK, kind="WAIT", queue=None)

    assert set() == _seen(TASK, queued=(1,)).inner
    assert 1 == len(_seen(TASK, wait, queued=(1,)).inner)
