"""Which records stand beside one, in whatever loops and forks it stands."""

from __future__ import annotations

import msgspec

from edge.decider.branches import Beside
from edge.model.decision import Skip
from tests.unit.edge.playbook import Playbook, fork, join, pin, step, switch


def beside(play: Playbook, ref: str) -> tuple[list[str], list[str]]:
    """The records beside one, and the JOINs that wait for it."""
    snapshot = play.snapshot
    found = Beside(snapshot, play.task(ref))
    return (
        [task.ref for task in snapshot.in_order() if found.holds(task)],
        [snapshot.tasks[ordinal].ref for ordinal in sorted(found.joins)],
    )


def test_nothing_is_beside_a_task_of_no_fork() -> None:
    """All that is younger follows from it."""
    play = Playbook(step("a"), fork("f", [step("b")], [step("c")]), join("j", "b", "c"))
    play.start()
    play.complete("a")

    assert ([], []) == beside(play, "a") == beside(play, "f")


def test_forks_in_forks() -> None:
    """Beside is all that stands in other branches, of the inner fork and of the outer one."""
    inner = [fork("g", [step("b")], [step("c")]), join("k", "b", "c")]
    play = Playbook(fork("f", inner, [switch("s", {"x": [step("d")]})]), join("j", "k", "s"))
    play.start({"kind": "x"})

    assert (["c", "s", "d"], ["k", "j"]) == beside(play, "b")
    assert (["g", "b", "c", "k"], ["j"]) == beside(play, "d")
    assert (["s", "d"], ["j"]) == beside(play, "g")
    assert (["b", "c", "s", "d"], ["j"]) == beside(play, "k")


def test_a_fork_in_a_loop() -> None:
    """Only the branches of the same iteration stand beside each other."""
    body = [fork("f", [step("a")], [step("b")]), join("j", "a", "b")]
    play = Playbook(step("loop", "DO_WHILE", loopOver=body, loopCondition="$.more",
                         inputParameters={"more": True}))  # fmt: skip
    play.start()
    play.complete("a__1")
    play.complete("b__1")

    assert (["b__1"], ["j__1"]) == beside(play, "a__1")
    assert (["a__2"], ["j__2"]) == beside(play, "b__2")


def test_a_loop_in_a_fork() -> None:
    """All iterations stand beside the other branch."""
    loop = step("loop", "DO_WHILE", loopOver=[step("a")], loopCondition="$.more",
                inputParameters={"more": True})  # fmt: skip
    play = Playbook(fork("f", [loop], [step("b")]), join("j", "loop", "b"))
    play.start()
    play.complete("a__1")

    assert (["loop", "a__1", "a__2"], ["j"]) == beside(play, "b")
    assert (["b"], ["j"]) == beside(play, "a__2")


def test_branches_that_were_brought() -> None:
    """A dynamic fork's own record says which they are, with all that stands inside them."""
    tasks = [step("a"), switch("s", {"x": [step("b")]}, inputParameters={"kind": "x"})]
    play = Playbook(
        step("df", "FORK_JOIN_DYNAMIC", dynamicForkTasksParam="tasks",
             inputParameters={"tasks": tasks}),
        join("j"), step("z"),
    )  # fmt: skip
    play.start()

    assert (["s", "b"], ["j"]) == beside(play, "a")
    assert (["a"], ["j"]) == beside(play, "b")
    assert (["a", "s", "b"], []) == beside(play, "j")


def test_a_fork_that_names_itself_has_no_end_of_forks() -> None:
    """It would not be begun today; the walk outwards from one of before stops where it has been."""
    play = Playbook(
        step("df", "FORK_JOIN_DYNAMIC", dynamicForkTasksParam="tasks",
             inputParameters={"tasks": [step("b")]}),
        join("j"),
    )  # fmt: skip
    play.start()
    named = msgspec.structs.replace(play.task("df"), input=b'{"forkedTasks":["df"]}')
    play.snapshot.put(named)

    assert ([], ["j"]) == beside(play, "df")


def test_forks_that_are_not_there() -> None:
    """A step that was skipped before its fork began, a JOIN of no fork, a fork of no JOIN."""
    steps = [fork("f", [step("b")], [step("c")]), join("j", "b", "c")]
    play = Playbook(step("a"), join("k", "a"), step("z"), *steps)
    play.start()
    play.do(Skip("b"))
    play.complete("a")

    assert ([], []) == beside(play, "b") == beside(play, "k")
    play.complete("z")
    other = pin(step("a"), join("k", "a"), step("z"), steps[0])
    play.snapshot = play.snapshot.by_definition(play.workflow, other)
    assert (["b"], []) == beside(play, "c")
