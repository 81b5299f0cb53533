"""The lineage of a device's history: begun anew when the database was put back, and its clock noted.

The epoch stands in the database and beside the key: a database that was put back to a copy does not
take what stands beside the key along, and is found out by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from edge.durable import FILES, FileSystem
from edge.engine import Engine
from edge.keeping import keep
from edge.store import outbox, retelling
from edge.transactions import Transaction
from sync.identity import IdentityUnreadable, make_private
from sync.records import KINDS, ClockRecord, Lane, encode_body

log = structlog.get_logger(__name__)

_FILE = "device.epoch"
_MAX_BYTES = 100


class _Noted(msgspec.Struct):
    """What stands beside the key."""

    epoch: int = 0
    boot: int = 0


class Lineage:
    """Epochs and clock of one engine's history.

    Args:
        engine: whose history.
        folder: of the key.
        files: changes the file there.
    """

    def __init__(self, engine: Engine, folder: Path, files: FileSystem = FILES) -> None:
        self._engine = engine
        self._path = folder / _FILE
        self._files = files
        self._told_anew = False
        """Whether this run has had its executions told anew: two devices with one identity begin
        epochs in turns, and would tell all that they have each time."""

    async def settle(self) -> bool:
        """Find out whether the database was put back, and begin a new epoch if it was.

        To be called once, before anything is sent; the engine's loop need not run.

        Returns:
            Whether a new epoch has begun.

        Raises:
            OSError: the file beside the key cannot be written.
            sqlite3.Error: the database cannot.
        """
        boot, noted = self._engine.boot, self._read()
        # The database is written first: its numbers are never below those of the file unless it is
        # an older copy, or another one.
        put_back = noted.epoch > boot.epoch or noted.boot >= boot.boot
        if put_back:
            epoch = max(noted.epoch, boot.epoch) + 1
            log.warning("epoch_begins", epoch=epoch, reason="the database was put back or replaced")
            await self._engine.database.transact(lambda c: retelling.begin_epoch(c, epoch))
            self._engine.boot = msgspec.structs.replace(boot, epoch=epoch)
        self._write()
        return put_back

    async def first(self) -> Mapping[Lane, int]:
        """With which sequence the epoch begins, by lane."""
        found = await self._engine.database.read(outbox.read_first)
        return {Lane(lane): seq for lane, seq in found.items()}

    async def begin_epoch(self, above: int) -> None:
        """Begin a new epoch, above this one and our own. Raises NotTaken."""
        boot = self._engine.boot
        epoch = max(above, boot.epoch, self._read().epoch) + 1
        anew = not self._told_anew
        await keep(
            self._engine, lambda t: retelling.begin_epoch(t.connection, epoch, all_of_them=anew)
        )
        self._told_anew = True
        self._engine.boot = msgspec.structs.replace(boot, epoch=epoch)
        try:
            self._write()
        except OSError as error:
            # The next start writes it; the database has it.
            log.error("epoch_not_noted", epoch=epoch, reason=str(error))

    def jumps(self) -> Sequence[tuple[int, int, int]]:
        """(from, to, since) of the jumps that the wall clock has made."""
        return [(jump.from_ms, jump.to_ms, jump.since_ms) for jump in self._engine.clock.jumps.all]

    async def note_clock(self, seen: ClockRecord) -> None:
        """Write a record of the clock. Raises NotTaken."""

        def write(transaction: Transaction) -> None:
            outbox.put_control(
                transaction.connection,
                KINDS[ClockRecord],
                encode_body(seen),
                now_ms=transaction.now_ms,
                boot=self._engine.boot.boot,
            )
            transaction.note_control()

        await keep(self._engine, write)

    def _read(self) -> _Noted:
        """What stands beside the key; nothing, when it cannot be read."""
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_BYTES), type=_Noted)
        except (OSError, msgspec.DecodeError):
            return _Noted()

    def _write(self) -> None:
        boot = self._engine.boot
        unfinished = self._path.with_name(f"{self._path.name}.unfinished")
        self._files.unlink(unfinished)
        with unfinished.open("wb") as file:
            file.write(msgspec.json.encode(_Noted(boot.epoch, boot.boot)))
            self._files.force_out(file)
        self._files.rename(unfinished, self._path)
        self._files.force_out_folder(self._path.parent)


async def settle_lineage(engine: Engine, folder: Path, files: FileSystem = FILES) -> None:
    """Begin a new epoch where the database was put back.

    Raises:
        IdentityUnreadable: what stands beside the key cannot be written.
    """
    try:
        make_private(folder, files)
        await Lineage(engine, folder, files).settle()
    except OSError as error:
        raise IdentityUnreadable(f"{folder}: {error}") from error
