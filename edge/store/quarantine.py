"""A database that is not whole is put aside, and a new one is made of what could be salvaged.

What is salvaged is decided in ``salvage``; nothing runs on the database while this works. Whatever
step the power fails at, either the damaged file is in its place and all of it is done again, or the
new one is complete.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edge.durable import FILES, FileSystem

if TYPE_CHECKING:
    from edge.store.salvage import Report

MOST_KEPT_BYTES = 1_000_000_000
"""A larger damaged database is not kept after what could be salvaged is safe."""

_BESIDE = ("", "-wal", "-shm")


class QuarantineError(Exception):
    """Head of this module's errors.

    QuarantineError
    ├── NothingToSalvage
    └── NoRoom
    """


class NothingToSalvage(QuarantineError):
    """The file holds no row of Baton's. Put a copy back in its place, or move it away to begin anew."""


class NoRoom(QuarantineError):
    """What was salvaged cannot be written. Free space, then start again: nothing was changed."""


def folder_of(database: Path) -> Path:
    """Where the damaged database is put."""
    return database.parent / "quarantine"


def finish(database: Path, files: FileSystem = FILES) -> bool:
    """Do the last step of a recovery that the power interrupted: put the new file in its place.

    Returns:
        Whether there was one.

    Raises:
        OSError: it cannot be.
    """
    salvaged = _salvaged(database)
    if salvaged.exists() and not database.exists():
        _put_in_place(database, files)
        return True
    return False


def recover(
    database: Path,
    *,
    reason: str,
    now_ms: int,
    progress: Callable[[str], None] = lambda _: None,
    files: FileSystem = FILES,
) -> Report:
    """Put a damaged database aside and another in its place, made of what can be read.

    Args:
        database: nobody has it open.
        reason: what is wrong with it, for the report.
        now_ms: epoch milliseconds; names the folder.
        progress: told which table is being salvaged.
        files: changes files.

    Raises:
        NothingToSalvage: there is no row in it; it is left as it is.
        NoRoom: the new file cannot be written; the old one is left as it is.
    """
    # Few devices ever have use for it.
    from edge.store import salvage

    unfinished = database.with_name(database.name + ".salvaging")
    try:
        report = salvage.rebuild(
            database, unfinished, now_ms=now_ms, progress=progress, files=files
        )
    except salvage.CannotWrite as error:
        raise NoRoom(
            f"what can be salvaged from {database} cannot be written beside it: {error}. "
            f"Free some space, or salvage it elsewhere: baton storage salvage {database.parent} "
            "--to FILE"
        ) from error
    if not report.total:
        files.unlink(unfinished)
        raise NothingToSalvage(
            f"{database} cannot be opened ({reason}), and no row can be salvaged from it. Put a "
            f"copy in its place, or move it away to begin with an empty one. To look at it: "
            f"baton storage check {database.parent}"
        )
    files.rename(unfinished, _salvaged(database))
    files.force_out_folder(database.parent)
    place = _set_aside(database, now_ms, files)
    _write_report(place, report, reason, files)
    _put_in_place(database, files)
    _keep_one(database, place)
    return report


def _salvaged(database: Path) -> Path:
    return database.with_name(database.name + ".salvaged")


def _set_aside(database: Path, now_ms: int, files: FileSystem) -> Path:
    """Move the damaged files into a folder of their own.

    The main file goes first: without it, and with a new one that is complete, ``finish`` knows that
    only the last step is left.
    """
    moment = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    place = folder_of(database) / moment
    number = 1
    # A clock that starts in 1970 with every boot names the same moment again.
    while place.exists():
        number += 1
        place = folder_of(database) / f"{moment}-{number}"
    files.make_folder(place)
    place.chmod(0o700)
    # Were the folder not there after a power cut, what is moved into it would be gone.
    files.force_out_folder(place.parent)
    files.force_out_folder(database.parent)
    for suffix in _BESIDE:
        path = database.with_name(database.name + suffix)
        if path.exists():
            files.rename(path, place / path.name)
    files.force_out_folder(place)
    files.force_out_folder(database.parent)
    return place


def _put_in_place(database: Path, files: FileSystem) -> None:
    for suffix in _BESIDE[1:]:
        files.unlink(database.with_name(database.name + suffix))
    # A log of the damaged file must never be beside the new one.
    files.force_out_folder(database.parent)
    files.rename(_salvaged(database), database)
    files.force_out_folder(database.parent)


def _write_report(place: Path, report: Report, reason: str, files: FileSystem) -> None:
    told = {"reason": reason, **msgspec.to_builtins(report)}
    path = place / "report.json"
    with path.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(told), indent=2))
        files.force_out(file)
    files.force_out_folder(place)


def _keep_one(database: Path, place: Path) -> None:
    """Keep one damaged copy and no more, and none that is too large; reports are small and stay."""
    size = sum(one.stat().st_size for one in place.iterdir())
    for folder in folder_of(database).iterdir():
        if folder == place and size <= MOST_KEPT_BYTES:
            continue
        for one in folder.iterdir():
            if one.name != "report.json":
                one.unlink()
    old = sorted(one for one in folder_of(database).iterdir() if one != place)
    for folder in old[:-9]:
        shutil.rmtree(folder)


def last_report(database: Path) -> dict[str, object] | None:
    """The report of the last recovery; None = there was none."""
    found = sorted(folder_of(database).glob("*/report.json"))
    if not found:
        return None
    try:
        told = msgspec.json.decode(found[-1].read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError):
        return None
    return {"folder": str(found[-1].parent), **told}
