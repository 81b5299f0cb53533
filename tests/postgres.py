"""A real PostgreSQL of Debian's, for the tests of what the control plane keeps in one.

Nothing of Baton is imported here. Each caller gets a schema of its own, which takes milliseconds; a
database of its own would take a tenth of a second.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

_START_S = 25
_names = count()


def programs() -> Path | None:
    """The folder of PostgreSQL's own programs, which Debian keeps out of PATH; None = none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).resolve().parent if there else None


class Postgres:
    """A server that runs, reached by a socket in a folder of its own."""

    def __init__(self, folder: Path, control: list[str]) -> None:
        self._folder = folder
        self._control = control

    def url(self, schema: str = "public") -> str:
        """The address of one schema of its database."""
        return f"postgresql://baton@/postgres?host={self._folder}&options=-csearch_path%3D{schema}"

    def new_schema(self) -> str:
        """The address of a schema that is empty."""
        name = f"s{next(_names)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return self.url(name)

    def stop(self) -> None:
        """Stop it at once, as a power cut would."""
        subprocess.run([*self._control, "-m", "immediate", "stop"], check=True, capture_output=True)

    def start(self) -> None:
        """Start it again."""
        # Its output goes to its own log: a pipe that it inherits would never end.
        subprocess.run(
            [*self._control, "-w", "-t", str(_START_S), "-l", f"{self._folder}/log", "start"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def running() -> Iterator[Postgres]:
    """A server for as long as the context lasts."""
    where = programs()
    assert where is not None, "look at programs() first"
    # A path of its own: that of a socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        as_other: list[str] = []
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            as_other = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}"]
            as_other += ["--clear-groups", "--"]
        data = str(folder / "data")
        subprocess.run(
            [*as_other, str(where / "initdb"), "-D", data, "-U", "baton", "-A", "trust",
             "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        settings = f"-k {folder} -c listen_addresses= -c fsync=off -c shared_buffers=16MB"
        control = [*as_other, str(where / "pg_ctl"), "-D", data, "-o", settings]
        server = Postgres(folder, control)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
