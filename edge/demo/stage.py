"""The processes of the demonstration: their files, their start, their stop in the right order.

What they do is not looked at here.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_READY_WITHIN_S = 30.0
_STOP_WITHIN_S = 15.0
_ALONE_WITHIN_S = 120.0
_PORTS = 200

EMBEDDED = "embedded broker"

_BATON = [sys.executable, "-m", "edge.cli"]

_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages 20
max_queued_messages 100000
log_type error
"""

_DEVICES = """\
# The camera films the drawn scene over and over, at the speed of the file.
[front]
driver = "camera"
source = "scene.mp4"
pre_roll_s = 2.0
post_roll_s = 5.0

# The demonstration detector finds the scene's own objects and nothing else.
[detector]
driver = "onnx-detector"
"""

_DEVICE = """\
[daemon]
data_dir = "device"
listen = "127.0.0.1:{port}"

[devices]
file = "devices.toml"

[[trigger]]
device = "front"
on = "motion"
workflow = "video_analysis"
input = {{ detector = "detector" }}
cooldown_s = 2.0

[sync]
broker = "mqtt://127.0.0.1:{broker}"
device = "demo-camera"
"""

_CLOUD = """\
[daemon]
data_dir = "cloud"
listen = "127.0.0.1:{port}"

[sync]
broker = "mqtt://127.0.0.1:{broker}"
"""


class StageError(Exception):
    """A process of the demonstration did not start; its log says why."""


def free_port(wanted: int) -> int:
    """``wanted`` if nobody listens there, else the next port of the loopback that is free.

    Those are not ports that systems give to connections, which might be first to take one.
    """
    for port in range(wanted, wanted + _PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise StageError(f"no port from {wanted} to {wanted + _PORTS - 1} of the loopback is free")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold back other stages of this machine: a port is free until somebody listens there.

    Raises:
        StageError: another stage has been starting for too long.
    """
    with socket.socket(socket.AF_UNIX) as held:
        deadline = time.monotonic() + _ALONE_WITHIN_S
        while True:
            try:
                # A name without a file: it is free again when this process ends, however it ends.
                held.bind("\0baton-demo")
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise StageError("another demonstration is still starting") from error
                time.sleep(0.05)
        yield


class Stage:
    """Broker, control plane and device in one folder, which keeps their history between runs.

    Args:
        folder: where configuration, logs and data stand.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._processes: list[tuple[str, subprocess.Popen[str]]] = []
        self.device_url = ""
        self.cloud_url = ""
        self.broker_name = ""
        self.broker_port = 0

    def start(self, *, embedded_broker: bool = False) -> None:
        """Start everything; returns when all of it is ready.

        Args:
            embedded_broker: leave Mosquitto alone even where it is installed.

        Raises:
            StageError: a process ended or was not ready in time.
        """
        self.start_plane(embedded_broker=embedded_broker)
        self._write("devices.toml", _DEVICES)
        with alone():
            device_port = free_port(8080)
            self._write("device.toml", _DEVICE.format(port=device_port, broker=self.broker_port))
            self._run("device", [*_BATON, "run", "--config", "device.toml"], "ready on ")
        self.device_url = f"http://127.0.0.1:{device_port}"

    def start_plane(self, *, embedded_broker: bool = False) -> None:
        """Start the broker and the control plane, and no device; as `start` otherwise.

        Raises:
            StageError: a process ended or was not ready in time.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with alone():
            self.broker_port, cloud_port = free_port(18830), free_port(8090)
            self._write("cloud.toml", _CLOUD.format(port=cloud_port, broker=self.broker_port))
            self._start_broker(self.broker_port, embedded=embedded_broker)
            self._run("cloud", [*_BATON, "cloud", "--config", "cloud.toml"], "ready on ")
        self.cloud_url = f"http://127.0.0.1:{cloud_port}"

    def stop(self) -> None:
        """Stop in reverse order: the device's last records meet a control plane that is there."""
        for _, process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(_STOP_WITHIN_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._processes.clear()

    def ended(self) -> str | None:
        """Name of a process that is not running any more; None = all are."""
        for name, process in self._processes:
            if process.poll() is not None:
                return name
        return None

    def log_of(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self._folder / f"{name}.log"

    def _start_broker(self, port: int, *, embedded: bool) -> None:
        # Debian puts servers where an ordinary user's path does not lead.
        mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if mosquitto is not None and not embedded:
            self.broker_name = "Mosquitto"
            self._write("mosquitto.conf", _MOSQUITTO.format(port=port))
            self._run("broker", [mosquitto, "-c", "mosquitto.conf"], None)
        else:
            self.broker_name = EMBEDDED
            command = [sys.executable, "-m", "edge.demo.broker", str(port)]
            self._run("broker", command, "broker ready")
        deadline = time.monotonic() + _READY_WITHIN_S
        while not _answers(port):
            if self.ended() or time.monotonic() > deadline:
                raise StageError(f"the broker does not answer; see {self.log_of('broker')}")
            time.sleep(0.05)

    def _run(self, name: str, command: list[str], ready: str | None) -> None:
        with self.log_of(name).open("a") as log:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdout=subprocess.PIPE if ready else log,
                stderr=log,
                text=True,
                # Ctrl-C is for the demonstration, which then stops the others in order.
                start_new_session=True,
            )
        self._processes.append((name, process))
        if ready is None or process.stdout is None:
            return
        for line in process.stdout:
            if ready in line:
                return
        raise StageError(f"the {name} did not start; see {self.log_of(name)}")

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
