"""Looks at what power cuts leave: does it open, is it one of the states it may be, does it go on.

How images come about is the disk's affair; what must be true of a state stands with the states.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from edge.model.errors import BatonError
from edge.store.copies import copy_of
from edge.store.payload_files import PayloadFiles
from edge.store.variables import read_names, read_secret
from edge.uploads import Uploads
from edge.vault import Vault
from sync.database import DatabaseError, prepare
from sync.evidence_files import fetched_name
from sync.records import KINDS, FetchedRecord, decode_body
from tests.power.disk import MODES, Disk, Files, Frozen, Image, Sync, SyncFolder
from tests.power.recorder import inline
from tests.power.recording import Recording, beginning, put_files, record
from tests.power.scenario import NoLog, Scenario, outcome
from tests.power.state import State, faults, read_state
from tests.power.world import DATABASE, World, world_at

_SQLITE_FILES = ("", "-wal", "-journal", "-shm")


class Found(NamedTuple):
    """An image with its files."""

    image: Image
    files: Files
    content: bytes
    """Equal for equal files."""
    is_boundary: bool
    """Whether something has just been forced out."""


def images(recording: Recording, seed: str, known: set[object]) -> Iterator[Found]:
    """What a power cut after each operation may leave.

    An image comes once, and once more for each other set of acknowledgements that it is held to.

    Args:
        recording: of a run.
        seed: of the choices that modes leave open.
        known: images that have been seen, with what was promised then; it grows.
    """
    disk = Disk(recording.files)
    for operation in [None, *recording.operations]:
        if operation is not None:
            disk.advance(operation)
        count = disk.index
        owed = recording.promise_count(count)
        # Of a commit that has returned since, an older image must not be one any more.
        owed_commits = tuple(recording.possible(count).values())
        is_boundary = operation is None or isinstance(operation, Sync | SyncFolder)
        for mode in ("keep",) if disk.is_settled else MODES:
            image = disk.image(mode, seed)
            plan = (image.key, image.mode == "zeros", owed, owed_commits)
            if plan in known:
                continue
            known.add(plan)
            files = disk.build(image)
            content = _digest(files)
            known_as = (content, owed, owed_commits)
            if known_as in known:
                continue
            known.add(known_as)
            found = {name: one.content for name, one in files.items()}
            yield Found(image, found, content, is_boundary)


def _digest(files: Mapping[str, Frozen]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, one in files.items():
        digest.update(f"{name}\n".encode() + one.digest)
    return digest.digest()


class Looker:
    """Looks at the images of one recording.

    Args:
        recording: of a run.
        root: a folder that is the looker's own.
    """

    def __init__(self, recording: Recording, root: Path) -> None:
        self.recording = recording
        self.root = root
        self._beside: Files = {}
        self._judged: dict[object, str | None] = {}
        self._gone_on: set[object] = set()
        root.mkdir(exist_ok=True)

    def look(self, found: Found, *, go_on: bool) -> str | None:
        """What is wrong with an image; None = nothing.

        Args:
            found: the image.
            go_on: whether the device is also booted on it and the scenario brought to its end,
                unless that has been seen from the same state.
        """
        count = found.image.moment
        self.put(found.files)
        try:
            state = self.open()
        except sqlite3.Error as error:
            return f"the database cannot be used: {error}"
        except _Damaged as error:
            return str(error)
        owed = self.recording.promise_count(count)
        possible = self.recording.possible(count)
        if state.digest not in possible:
            return self._unexpected(state, possible)
        key = (state.digest, owed)
        if key not in self._judged:
            self._judged[key] = self._judge(state, count)
        wrong = self._judged[key]
        if wrong is not None:
            return wrong
        try:
            self._look_beside(state)
            self._look_at_copy(state)
        except BatonError as error:
            return f"beside the database: {error.message}"
        if not go_on:
            return None
        names = tuple(sorted(name for name in found.files if not _is_sqlite(name)))
        step = (state.digest, len(self.recording.done(count)), names)
        if step in self._gone_on:
            return None
        self._gone_on.add(step)
        self.put(found.files)
        return self.go_on(count)

    def put(self, files: Files) -> None:
        """Make the folder hold the image."""
        beside = {name: content for name, content in files.items() if not _is_sqlite(name)}
        if beside or self._beside:
            put_files(self.root, beside)
        self._beside = beside
        for suffix in _SQLITE_FILES:
            path = self.root / f"{DATABASE}{suffix}"
            content = files.get(path.name)
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)

    def open(self) -> State:
        """Open the database as the product does, and read all of it."""
        connection = sqlite3.connect(self.root / DATABASE, isolation_level=None)
        try:
            # Without shared memory and without forcing anything out: this copy is thrown away.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            prepare(connection, writes=True)
            connection.execute("PRAGMA synchronous = OFF")
            checked = connection.execute("PRAGMA integrity_check(3)").fetchall()
            if checked != [("ok",)]:
                raise _Damaged(f"integrity_check: {checked}")
            return read_state(connection)
        finally:
            connection.close()

    def _unexpected(self, state: State, possible: dict[bytes, int]) -> str:
        known = self.recording.states.get(state.digest)
        if known is None:
            return "the database holds what no COMMIT ever left"
        seen = [n for n, (_, digest) in enumerate(self.recording.commits) if digest == state.digest]
        return (
            f"the database is as of commit {seen}, which is not one of {sorted(possible.values())}"
        )

    def _judge(self, state: State, count: int) -> str | None:
        wrong = faults(state)
        wrong += [
            f"not kept: {one.what}" for one in self.recording.owed(count) if not one.is_kept(state)
        ]
        return "; ".join(wrong) if wrong else None

    def _look_beside(self, state: State) -> None:
        """The files that rows speak of are there and whole.

        Raises:
            BatonError: one is not.
        """
        payloads = PayloadFiles(self.root / "payloads")
        for row in state.rows("payload"):
            payloads.get(row["digest"])
        vault = Vault(self.root / "secret.key", ours=False)
        if any(True for _ in state.rows("secret")):
            connection = sqlite3.connect(self.root / DATABASE)
            try:
                for name in read_names(connection, "secret"):
                    sealed = read_secret(connection, name)
                    assert sealed is not None, "a secret that has a name can be read"
                    vault.open(name, sealed)
            finally:
                connection.close()
        uploads = Uploads(self.root / "payloads" / "files", 0)
        for row in state.rows("file"):
            if row["sha256"] is None:
                continue
            path = uploads.find(row["id"], row["sha256"])
            if path is None or hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
                raise BatonError(f"file {row['name']} is not what was uploaded")
        self._look_at_answers(state)

    def _look_at_answers(self, state: State) -> None:
        """What was fetched and has not arrived is there and whole. Raises BatonError."""
        on_its_way = {r["order_id"] for r in state.rows("fetch") if r["last_seq"] is not None}
        for row in state.rows("history") if on_its_way else ():
            if row["kind"] != KINDS[FetchedRecord]:
                continue
            told = decode_body(row["kind"], row["body"])
            assert isinstance(told, FetchedRecord)
            if told.order_id not in on_its_way or not told.sha256:
                continue
            path = self.root / "fetched" / fetched_name(told.order_id)
            if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != told.sha256:
                raise BatonError(f"the answer to {told.order_id} is not what is told of it")

    def _look_at_copy(self, state: State) -> None:
        """A database of another schema is as it was, or there is a whole copy of what it was.

        Raises:
            BatonError: there is none.
        """
        release = self.recording.shape.release
        if not release:
            return
        _, before = beginning(self.recording.shape)
        if state.digest == before.digest:
            return
        copy = copy_of(self.root / DATABASE, release)
        if not copy.exists():
            raise BatonError("the schema has been changed, and there is no copy from before")
        connection = sqlite3.connect(copy)
        try:
            whole = connection.execute("PRAGMA integrity_check(3)").fetchall() == [("ok",)]
            if not whole or read_state(connection).digest != before.digest:
                raise BatonError("the copy from before the schema was changed is not what was")
        finally:
            connection.close()

    def go_on(self, count: int) -> str | None:
        """Boot the device on the folder as it is and bring the scenario to its end.

        Args:
            count: operations before the power went.
        """
        shape = self.recording.shape
        scenario_done = self.recording.done(count)

        async def main() -> list[str]:
            async with world_at(
                self.root,
                inline(),
                now_ms=self.recording.now_ms(count),
                seed=f"again:{count}",
                syncing=shape.syncing,
                limits=shape.limits,
            ) as world:
                await shape.play(Scenario(world, NoLog(), scenario_done))
                return await outcome(world)

        try:
            ended = asyncio.run(main())
        except (ExceptionGroup, AssertionError, BatonError, DatabaseError) as error:
            return f"after the power cut the device did not go on: {_first(error)}"
        return _difference(self.recording, ended)


class _Damaged(Exception):
    """The database is not what SQLite can vouch for."""


def _is_sqlite(name: str) -> bool:
    return name.removeprefix(DATABASE) in _SQLITE_FILES


def _first(error: BaseException) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _difference(recording: Recording, ended: list[str]) -> str | None:
    """How an end differs from the one without a power cut; None = it does not."""
    loose = recording.shape.loose

    def told(lines: list[str]) -> list[str]:
        return [line for line in lines if line.split(" ")[1] not in loose]

    missing = [line for line in told(recording.outcome) if line not in ended]
    too_many = [line for line in told(ended) if line not in recording.outcome]
    if missing or too_many or len(told(ended)) != len(told(recording.outcome)):
        return f"the end is another: missing {missing[:3]}, instead {too_many[:3]}"
    return None


async def _come_up(world: World) -> None:
    """The device comes up, does what is due, and is shut down."""
    await world.settle()


def record_boot(recording: Recording, found: Found, root: Path) -> Recording:
    """What a boot writes on an image, while the power may go again.

    What had been acknowledged before is owed still, and the scenario goes on from there.

    Args:
        recording: whose image it is.
        found: the image.
        root: a folder that is free.
    """
    count, shape = found.image.moment, recording.shape
    looker = Looker(recording, root)
    looker.put(found.files)
    initial = looker.open()
    now_ms = recording.now_ms(count)
    seed = f"boot:{count}"
    boot = record(shape, found.files, initial, boot=_come_up, now_ms=now_ms, seed=seed)
    boot.promises = [(-1, promise) for promise in recording.owed(count)]
    boot.steps = [(-1, answer) for answer in recording.done(count)]
    boot.outcome = recording.outcome
    return boot
