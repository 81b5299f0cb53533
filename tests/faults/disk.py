"""Small disks of our own to fill, to make read-only and to break, and what a client sees of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.daemon import Daemon

needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None,
    reason="only root may mount a file system",
)
needs_fiu = pytest.mark.skipif(
    shutil.which("fiu-run") is None, reason="fiu-run is missing: Debian's package fiu-utils"
)
needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")

QUIET = "[workflows]\nenable = []\n[daemon]\nlog_level = 'info'\n"
"""The least configuration: nothing runs but what a test asks for."""


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """A file system of its own, in memory, that is full after so many megabytes."""
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "baton-test", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def ext4_disk(tmp_path: Path, *, megabytes: int) -> Iterator[Path]:
    """A file system as on a device, in a file. ``remount(..., "abort")`` breaks it."""
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, capture_output=True)
        made = subprocess.run(
            ["mount", "-o", "loop,errors=remount-ro", str(image), str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("mkfs.ext4 is missing: Debian's package e2fsprogs")
    if made.returncode:
        pytest.skip(f"no loop device can be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, mode: str) -> None:
    """Make a file system read-only (``ro``) that nobody writes, or writable (``rw``).

    ``abort`` is what ext4 does by itself after an error: it becomes read-only under whoever writes.
    """
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def daemon_on(disk: Path, tmp_path: Path, config: str, **options: Any) -> Daemon:
    """A daemon whose data are on that disk; its log is not, so that it can be read in the end."""
    arguments = ["--data-dir", str(disk / "data")]
    return Daemon(tmp_path / "log", config=config, arguments=arguments, **options)


def fill(folder: Path, *, leave_bytes: int = 0) -> Path:
    """Fill a disk, but for some bytes; returns the file that does."""
    path = folder / "filling"
    with path.open("ab") as file:
        while True:
            space = os.statvfs(folder)
            left = space.f_bavail * space.f_frsize - leave_bytes
            if left < space.f_frsize:
                return path
            try:
                file.write(bytes(min(left, 1 << 20)))
                file.flush()
            except OSError:
                return path


class Answer(NamedTuple):
    """What a daemon answered."""

    status: int
    body: Any
    headers: dict[str, str]


def ask(url: str, method: str = "GET", body: Any = None, timeout_s: float = 20) -> Answer:
    """One request, whatever its status."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return Answer(answer.status, _read(answer.read()), _headers(answer))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _read(error.read()), _headers(error))


def _headers(answer: Any) -> dict[str, str]:
    """Headers by their names in small letters."""
    return {name.lower(): value for name, value in answer.headers.items()}


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


def until(condition: Callable[[], bool], within_s: float = 30) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not come about within {within_s} s")
        time.sleep(0.05)


def define(api: str, name: str = "work", steps: int = 2) -> None:
    """Register a workflow of SIMPLE tasks ``s1``, ``s2``, ..."""
    tasks = [
        {"name": f"s{n}", "taskReferenceName": f"s{n}", "type": "SIMPLE"}
        for n in range(1, steps + 1)
    ]
    answer = ask(f"{api}/metadata/workflow", "PUT", [{"name": name, "tasks": tasks}])
    assert 200 == answer.status, answer.body


def claim(api: str, queue: str, count: int = 1) -> list[dict[str, Any]]:
    """Tasks for a worker."""
    found = ask(f"{api}/tasks/poll/batch/{queue}?count={count}&timeout=100&workerid=w")
    assert 200 == found.status, found.body
    tasks: list[dict[str, Any]] = found.body
    return tasks


def finish(api: str, task: dict[str, Any], output: dict[str, Any] | None = None) -> Answer:
    """Hand in a result."""
    return ask(
        f"{api}/tasks",
        "POST",
        {
            "workflowInstanceId": task["workflowInstanceId"],
            "taskId": task["taskId"],
            "status": "COMPLETED",
            "outputData": output or {},
        },
    )
