"""The crew: who is started, what is told, what becomes of the dead and of what they had in hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SystemClock
from edge.hosting.crew import Crew, Lost, NotLoaded, Spec
from tests.unit.edge.hosting.programs import program

UP = "note ready; trap 'exit 0' TERM; while :; do sleep 0.05; done"


class World:
    """A crew, and what it has told."""

    def __init__(self, spec: Spec, *, patient: bool = True) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.lost: list[Lost] = []
        self.found: list[tuple[str, list[str]]] = []
        self._changed = asyncio.Event()
        self.crew = Crew(
            [spec],
            clock=SystemClock(),
            tell=self._tell,
            lost=self._take,
            found=self._note,
            patient=patient,
        )

    def _tell(self, event: str, **facts: Any) -> None:
        self.events.append((event, facts))
        self._changed.set()

    async def _note(self, module: str, tasks: list[str]) -> None:
        self.found.append((module, tasks))

    async def _take(self, lost: Lost) -> None:
        self.lost.append(lost)
        self._changed.set()

    def begun(self) -> Crew:
        """The crew, which may begin."""
        self.crew.answers_at("http://127.0.0.1:1")
        return self.crew

    def told(self, event: str) -> list[dict[str, Any]]:
        """The facts of each such event."""
        return [facts for name, facts in self.events if name == event]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was told fulfils this."""
        async with asyncio.timeout(25):
            while not condition():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.1):
                        await self._changed.wait()
                except TimeoutError:
                    continue


def play(spec: Spec, body: Callable[[World], Awaitable[None]]) -> World:
    """Run a crew while ``body(world)`` looks on, then stop it."""

    async def main() -> World:
        world = World(spec)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(world.crew.run())
            world.begun()
            await body(world)
            async with asyncio.timeout(25):
                await world.crew.stop()
                await running
        return world

    return asyncio.run(main())


def spec(folder: Path, text: str, **fields: Any) -> Spec:
    """A spec whose processes do what the text says."""
    return Spec(["mod.py"], python=program(folder, text), stop_within_s=5.0, **fields)


def test_each_function_has_its_processes(tmp_path: Path) -> None:
    """They are numbered where there are several, they run, and they stop in order."""
    shown: list[Any] = []

    async def body(world: World) -> None:
        await world.until(lambda: _states(world) == ["running", "running"])
        shown.extend(world.crew.statuses())

    world = play(spec(tmp_path, UP, processes=2), body)

    assert [("mod.py", ["work"])] == world.found
    assert ["work-1", "work-2"] == [one.name for one in shown]
    assert all(one.pid and one.resident_bytes for one in shown)
    assert {"work-1", "work-2"} == {facts["worker"] for facts in world.told("worker_stopped")}
    assert [] == world.told("worker_died")
    assert {"stopped"} == {one.state for one in world.crew.statuses()}


def test_who_dies_is_started_again(tmp_path: Path) -> None:
    """After pauses that grow, and why is told; what it had in hand is given up as its fault."""

    async def body(world: World) -> None:
        await world.until(lambda: len(world.told("worker_started")) >= 3)

    world = play(spec(tmp_path, "note + wf task; kill -9 $$"), body)
    died = world.told("worker_died")

    assert [0.5, 1.0] == [facts["again_in_s"] for facts in died[:2]]
    assert "it was killed by SIGKILL" == died[0]["reason"]
    first = world.lost[0]
    assert ("wf", "task", "work") == (first.workflow_id, first.task_id, first.worker)
    assert ("worker work: it was killed by SIGKILL", False) == (first.reason, first.again)
    (status,) = world.crew.statuses()
    assert status.restarts >= 2
    assert "it was killed by SIGKILL" == status.last_end


def test_what_is_interrupted_by_the_end_is_no_fault(tmp_path: Path) -> None:
    """A task in hand when the crew ends is to be done again."""

    async def body(world: World) -> None:
        await world.until(lambda: _states(world) == ["running"])
        await world.until(lambda: world.crew.statuses()[0].in_hand == 1)

    world = play(spec(tmp_path, f"note + wf task; {UP}"), body)

    assert [True] == [one.again for one in world.lost]


def test_functions_may_share_a_process(tmp_path: Path) -> None:
    """It is named after the module, and gets all of the tasks."""
    head = (
        '#!/bin/sh\nnotes=$3\nnote() { echo "$*" >"/dev/fd/$notes"; }\n'
        'case "$*" in *--list*) note \'tasks ["a", "b"]\'; exit 0;; esac\n'
        'echo "$*"\n'
    )
    path = program(tmp_path, UP, head=head)

    async def body(world: World) -> None:
        await world.until(lambda: _states(world) == ["running"])
        await world.until(lambda: bool(world.told("worker_said")))

    world = play(Spec(["x/mod.py"], python=path, together=True, stop_within_s=5.0), body)

    assert [("mod", True)] == [
        (facts["worker"], "--task=a --task=b" in facts["line"])
        for facts in world.told("worker_said")[:1]
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("note fault it is broken; exit 71", "it is broken"),
        ("note 'tasks []'; exit 0", "no function with @worker_task"),
        ("exit 9", "it ended with status 9"),
    ],
)
def test_modules_that_cannot_be_loaded(tmp_path: Path, text: str, why: str) -> None:
    """A command ends with what is wrong; a daemon tries again and says so."""
    path = program(
        tmp_path, text, head='#!/bin/sh\nnotes=$3\nnote() { echo "$*" >"/dev/fd/$notes"; }\n'
    )
    broken = Spec(["mod.py"], python=path)

    async def body(world: World) -> None:
        await world.until(lambda: len(world.told("workers_not_loaded")) >= 2)

    async def impatient() -> None:
        await World(broken, patient=False).begun().run()

    world = play(broken, body)
    with pytest.raises(NotLoaded, match=r"mod\.py cannot be loaded") as caught:
        asyncio.run(impatient())

    assert why in world.told("workers_not_loaded")[0]["reason"]
    assert why in str(caught.value)


def test_an_interpreter_that_is_not_there(tmp_path: Path) -> None:
    """It is told like any other death; nobody else is harmed."""

    async def body(world: World) -> None:
        await world.until(lambda: bool(world.told("workers_not_loaded")))

    world = play(Spec(["mod.py"], python=str(tmp_path / "nowhere")), body)

    assert "cannot be started" in world.told("workers_not_loaded")[0]["reason"]


def test_a_crew_may_end_before_it_begins(tmp_path: Path) -> None:
    """A daemon that is stopped while it starts has no address yet."""

    async def main() -> list[Any]:
        world = World(spec(tmp_path, UP))
        async with asyncio.TaskGroup() as group:
            group.create_task(world.crew.run())
            await world.crew.stop()
        return world.events

    assert [] == asyncio.run(main())


def test_who_is_cancelled_leaves_nobody_behind(tmp_path: Path) -> None:
    """A fault elsewhere in the daemon ends the processes at once."""

    async def main() -> list[int]:
        world = World(spec(tmp_path, UP))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(world.crew.run())
            world.begun()
            await world.until(lambda: _states(world) == ["running"])
            pids = [one.pid for one in world.crew.statuses()]
            running.cancel()
            await asyncio.wait([running])
        return pids

    (pid,) = asyncio.run(main())
    # It was waited for, so not even its entry is left.
    assert not Path(f"/proc/{pid}").exists()


def test_the_environment_is_the_workers_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is set for it, the address, and no way to speak to systemd in our name."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/ours")
    monkeypatch.setenv("NO_PROXY", "example.invalid")
    text = 'echo "$NOTIFY_SOCKET|$MINE|$CONDUCTOR_SERVER_URL|$NO_PROXY"; ' + UP

    async def body(world: World) -> None:
        await world.until(lambda: bool(world.told("worker_said")))

    world = play(spec(tmp_path, text, env={"MINE": "x"}), body)

    expected = "|x|http://127.0.0.1:1/api|example.invalid,127.0.0.1,localhost,::1"
    assert expected == world.told("worker_said")[0]["line"]


def _states(world: World) -> list[str]:
    return [one.state for one in world.crew.statuses()]
