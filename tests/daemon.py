"""A real daemon in a process of its own, for tests and benchmarks that need the whole thing.

Nothing is doubled here.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

_READY_WITHIN_S = 60.0

_ANSWER_WITHIN_S = 30.0
"""A daemon that hangs is found out, and one on a busy machine is not."""

# No proxy of the environment stands between a test and its own machine.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Refused(Exception):
    """The daemon answered with an error.

    Args:
        status: of HTTP.
        text: the body of the answer.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.text = text


class Daemon:
    """``baton run`` on a data directory and a free port of the loopback.

    Args:
        data_dir: made if it is not there.
        config: TOML text; None = all defaults.
        port: 0 = a free one.
        arguments: more of the command line.
        role: ``run`` or ``cloud``.
        environment: laid over that of this process.
        before: words of a command that runs the daemon, for example ``fiu-run``.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        config: str | None = None,
        port: int = 0,
        arguments: Sequence[str] = (),
        role: str = "run",
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> None:
        self.data_dir = data_dir
        self._config = config
        self._port = port
        self._arguments = arguments
        self._role = role
        self._before = before
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._reader: threading.Thread | None = None
        self.url = ""
        self.port = port
        self.ready_after_s = 0.0

    @property
    def pid(self) -> int:
        """Of the daemon's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Daemon:
        """Start it, or start it again, and wait for its ready line."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [
            *self._before, str(Path(sys.executable).with_name("baton")), self._role,
            "--data-dir", str(self.data_dir), "--listen", f"127.0.0.1:{self._port}",
            *self._arguments,
        ]  # fmt: skip
        if self._config is not None:
            path = self.data_dir / "config.toml"
            path.write_text(self._config)
            command += ["--config", str(path)]
        began = time.perf_counter()
        with (self.data_dir / "stderr.log").open("ab") as errors:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
                env=self._environment,
            )  # fmt: skip
        self._await_ready(began)
        return self

    def _await_ready(self, began: float) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            if "ready on http://" in line:
                self.ready_after_s = time.perf_counter() - began
                self.url = line.split("ready on ")[1].split()[0]
                self.port = int(self.url.rsplit(":", 1)[1])
                stream = self._process.stdout
                self._reader = threading.Thread(target=self._drain, args=(stream,), daemon=True)
                self._reader.start()
                return
            if time.perf_counter() - began > _READY_WITHIN_S:
                break
        self.kill()
        raise AssertionError(f"the daemon did not get ready: {self.errors()}")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request under ``/api``; the decoded answer, or its text where that is no JSON.

        Args:
            method: of HTTP.
            path: with its query, if it has one.
            body: a text is sent as it is, anything else as JSON.

        Raises:
            Refused: the status of the answer is none of success.
            OSError, http.client.HTTPException: there was no answer, or not the whole of it.
        """
        kind = "text/plain" if isinstance(body, str) else "application/json"
        data = body if isinstance(body, str) else None if body is None else json.dumps(body)
        request = urllib.request.Request(
            f"{self.url}/api{path}",
            None if data is None else data.encode(),
            {"Content-Type": kind},
            method=method,
        )
        try:
            with _open(request, timeout=_ANSWER_WITHIN_S) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(error.code, error.read().decode()) from None
        return json.loads(text) if text.startswith(("[", "{")) else text

    def ended(self, workflow_id: str, within_s: float = 40) -> dict[str, Any]:
        """An execution once it has ended."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            execution: dict[str, Any] = self.call("GET", f"/workflow/{workflow_id}")
            if execution["status"] not in ("RUNNING", "PAUSED"):
                return execution
            time.sleep(0.05)
        raise AssertionError(f"{workflow_id} has not ended: {execution}")

    def log(self) -> str:
        """What it has logged in all its lives, but for the starts themselves."""
        return "".join(self._lines)

    def _drain(self, stream: IO[str]) -> None:
        """Take its log off it: it would wait for a reader when the pipe is full."""
        with contextlib.suppress(ValueError):
            self._lines.extend(stream)

    def errors(self) -> str:
        """What it wrote to its standard error."""
        return (self.data_dir / "stderr.log").read_text(errors="replace")

    def stop(self, within_s: float = 30) -> int:
        """SIGTERM; returns the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._finish(within_s)

    def kill(self) -> None:
        """SIGKILL: no chance to write anything more."""
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._finish(30)

    def _finish(self, within_s: float) -> int:
        assert self._process is not None
        status = self._process.wait(within_s)
        if self._reader is not None:
            self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status

    def __enter__(self) -> Daemon:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        elif self._process is not None:
            self._finish(30)
