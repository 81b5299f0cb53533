"""One run of a shape on a disk that notes everything: operations, commits, acknowledgements.

What a power cut would leave of it is worked out elsewhere.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import functools
import gzip
import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from edge.model.executions import parse_uuid
from edge.model.payload_limits import PayloadLimits
from tests.power.disk import Create, Files, Operation, Rename, numbered
from tests.power.recorder import Adapter, Journal, RecordedFiles, recording
from tests.power.scenario import NoLog, Promise, Scenario, outcome
from tests.power.state import State, read_state
from tests.power.world import BEGIN_MS, DATABASE, World, world_at

_MEMORY = Path("/dev/shm")
"""Where files cost no disk, on Linux."""

_RELEASES = Path(__file__).parent.parent / "faults" / "releases"
"""Databases as releases have left them."""


class Shape(msgspec.Struct, frozen=True):
    """A small life of a device, chosen for what it writes."""

    name: str
    play: Callable[[Scenario], Awaitable[None]]
    from_nothing: bool = False
    """Whether it begins without a database; otherwise it has been booted once."""
    release: int = 0
    """The schema of the database that it begins with, as a release before this one has left it;
    0 = it is this one's."""
    syncing: bool = False
    limits: PayloadLimits | None = None
    loose: frozenset[str] = frozenset()
    """Names of workflows whose end may be another after a power cut: their leases are lost."""
    adapter: type[Adapter] = Adapter
    files: type[RecordedFiles] = RecordedFiles
    """Wrong ways to write, to see whether they are found out."""


class Recording:
    """What happened in one run.

    Args:
        shape: what was played.
        files: what was on the disk at the beginning.
        initial: what the database held then.
        now_ms: what the clock said.
    """

    def __init__(self, shape: Shape, files: Files, initial: State, now_ms: int) -> None:
        self.shape = shape
        self.files = files
        self.operations: list[Operation] = []
        self.states: dict[bytes, State] = {initial.digest: initial}
        self.commits: list[tuple[int, bytes]] = [(-1, initial.digest)]
        """Operations before each COMMIT returned, and what the database held then."""
        self.steps: list[tuple[int, Any]] = []
        self.promises: list[tuple[int, Promise]] = []
        self.releases: list[tuple[int, str, int]] = []
        """Operations and promises before something was asked that may end some."""
        self.times: list[tuple[int, int]] = [(-1, now_ms)]
        self.outcome: list[str] = []

    def possible(self, count: int) -> dict[bytes, int]:
        """What the database may hold after so many operations: digests, with their commits.

        Every COMMIT that has returned is durable; of the next one it is not known.
        """
        first = bisect.bisect_right(self.commits, count, key=lambda one: one[0]) - 1
        return {
            digest: number
            for number, (_, digest) in enumerate(self.commits[first : first + 2], first)
        }

    def owed(self, count: int) -> list[Promise]:
        """Promises that hold after so many operations."""
        made = bisect.bisect_right(self.promises, count, key=lambda one: one[0])
        ended = [one for one in self.releases if one[0] < count]
        return [
            promise
            for number, (_, promise) in enumerate(self.promises[:made])
            if not any(
                promise.subject == subject and number < before for _, subject, before in ended
            )
        ]

    def promise_count(self, count: int) -> tuple[int, int]:
        """Tells sets of promises apart without working them out."""
        made = bisect.bisect_right(self.promises, count, key=lambda one: one[0])
        return made, sum(1 for one in self.releases if one[0] < count)

    def done(self, count: int) -> list[Any]:
        """What the acknowledged steps gave after so many operations."""
        made = bisect.bisect_right(self.steps, count, key=lambda one: one[0])
        return [answer for _, answer in self.steps[:made]]

    def now_ms(self, count: int) -> int:
        """What the clock said after so many operations."""
        return self.times[bisect.bisect_right(self.times, count, key=lambda one: one[0]) - 1][1]

    def reopened(self) -> list[str]:
        """Executions that had ended and moved all the same, though nobody had asked for it."""
        found = []
        for (_, old), (count, new) in itertools.pairwise(self.commits):
            if any(subject_is_execution(one) and at < count for at, one, _ in self.releases):
                # Taking up one execution takes up those around it and inside it.
                break
            after = self.states[new].by_id
            for workflow in self.states[old].workflows.values():
                now = after.get(workflow.id)
                if workflow.status.terminal and (now is None or now.status is not workflow.status):
                    found.append(f"{workflow.name} was {workflow.status} before operation {count}")
        return found

    def named(self) -> set[tuple[str, int]]:
        """Every name that a file had at any time, with the file's number."""
        found = set(numbered(self.files))
        for operation in self.operations:
            if isinstance(operation, Create):
                found.add((operation.name, operation.file))
            elif isinstance(operation, Rename):
                found.add((operation.new, operation.file))
        return found

    @functools.cached_property
    def written(self) -> set[str]:
        """Tables that held anything at any time."""
        return set().union(*(state.written for state in self.states.values()))


def subject_is_execution(subject: str) -> bool:
    """Whether promises about a subject are promises about an execution."""
    return parse_uuid(subject) is not None


class _Taken:
    """A Log that notes its place among the operations."""

    def __init__(self, recording: Recording, journal: Journal) -> None:
        self._recording = recording
        self._journal = journal

    @property
    def _now(self) -> int:
        return len(self._journal.operations)

    def step(self, answer: Any) -> None:
        self._recording.steps.append((self._now, answer))

    def promise(self, promise: Promise) -> None:
        self._recording.promises.append((self._now, promise))

    def release(self, subject: str) -> None:
        before = len(self._recording.promises)
        self._recording.releases.append((self._now, subject, before))

    def moved_to(self, now_ms: int) -> None:
        self._recording.times.append((self._now, now_ms))

    def committed(self, connection: Adapter) -> None:
        state = read_state(connection)  # type: ignore[arg-type]
        self._recording.states.setdefault(state.digest, state)
        self._recording.commits.append((self._now, state.digest))


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is thrown away, in memory where there is room for it."""
    base = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=base, prefix="baton-power-") as name:
        yield Path(name)


def put_files(root: Path, files: Files) -> None:
    """Make a folder hold these files and nothing else."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        # Keys are refused when others may read them.
        path.chmod(0o600)


def files_in(root: Path) -> dict[str, bytes]:
    """All files under a folder by their names; SQLite's shared memory is none of the disk."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }


def record(
    shape: Shape,
    base: Files | None = None,
    initial: State | None = None,
    *,
    boot: Callable[[World], Awaitable[None]] | None = None,
    now_ms: int = BEGIN_MS,
    seed: str = "first",
) -> Recording:
    """Play a shape once.

    Args:
        shape: what is played.
        base: the disk at the beginning; None = as the shape wants it.
        initial: what the database of ``base`` holds.
        boot: played instead of the shape, to see what a boot writes.
        now_ms: what the clock says.
        seed: of the ids that are made.
    """
    if base is None:
        base, initial = beginning(shape)
    assert initial is not None, "whoever brings a disk knows what is in it"
    made = Recording(shape, base, initial, now_ms)
    with scratch() as folder:
        root = folder / "data"
        put_files(root, base)
        journal = Journal(root)
        log = _Taken(made, journal)
        connect = recording(journal, log.committed, adapter=shape.adapter)

        async def main() -> None:
            async with world_at(
                root,
                connect,
                files=shape.files(journal),
                now_ms=now_ms,
                seed=seed,
                syncing=shape.syncing,
                limits=shape.limits,
            ) as world:
                if boot is not None:
                    await boot(world)
                    return
                scenario = Scenario(world, log)
                await shape.play(scenario)
                made.outcome = await outcome(world)

        asyncio.run(main())
        made.operations = journal.operations
    return made


def beginning(shape: Shape) -> tuple[Files, State]:
    """The disk that a shape begins with, and what its database holds."""
    if shape.from_nothing:
        return {}, State({}, {})
    return _left_by(shape.release) if shape.release else prepared(shape.syncing)


@functools.cache
def _left_by(release: int) -> tuple[Files, State]:
    content = gzip.decompress((_RELEASES / f"schema-{release}.db.gz").read_bytes())
    with scratch() as folder:
        path = folder / DATABASE
        path.write_bytes(content)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return {DATABASE: content}, read_state(connection)


@functools.cache
def prepared(syncing: bool) -> tuple[Files, State]:
    """A device that has been booted and shut down once, and what its database holds."""

    async def nothing(_: Scenario) -> None:
        """It only boots."""

    shape = Shape("prepared", nothing, from_nothing=True, syncing=syncing)
    with scratch() as folder:
        root = folder / "data"
        root.mkdir()
        journal = Journal(root)
        states: list[State] = []

        def committed(connection: Adapter) -> None:
            states.append(read_state(connection))  # type: ignore[arg-type]

        async def main() -> None:
            connect = recording(journal, committed)
            async with world_at(root, connect, seed="prepared", syncing=shape.syncing) as world:
                await shape.play(Scenario(world, NoLog()))

        asyncio.run(main())
        return files_in(root), states[-1]
