"""``python -m edge.demo``: start the demonstration, show how it goes, and say how it went.

No process is started and nothing is scored here.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from devices.scenes.film import read_truth, truth_path, write_video
from edge.clock import SystemClock
from edge.demo.listen import Listener
from edge.demo.score import FrameClock, score
from edge.demo.stage import EMBEDDED, Stage, StageError
from edge.demo.watch import Look, cloud_execution, device_executions, frame_clock, look
from sync.link import Broker

_SEED = 7
_SCENE_S = 48.0
_SETTLE_S = 40.0
"""How long what began before the end may take to be finished and to arrive."""

_RECALL_NEEDED = 0.8

_ENDING = (signal.SIGINT, signal.SIGTERM)

_asked = threading.Event()
"""Whether a thread of some library has been told that the demonstration shall end."""


class Outcome(msgspec.Struct, frozen=True):
    """How an unattended run went."""

    events: int
    completed: int
    published: int
    """Events that a subscriber of the broker heard, of those that should have been told."""
    to_publish: int
    arrived: int
    """Executions that the control plane has exactly as the device has them."""
    snapshots: int
    """Pictures that arrived whole."""
    records: int
    backlog: int
    lag_p50_ms: float
    lag_p99_ms: float
    shown: int
    found: int
    wrong: int

    @property
    def good(self) -> bool:
        """Whether everything that happened was analysed, was right, and arrived."""
        return (
            0 < self.events == self.completed == self.arrived
            and self.published == self.to_publish
            and self.backlog == 0
            and self.found >= _RECALL_NEEDED * self.shown
        )


def main() -> int:
    """Run until Ctrl-C, or for ``--seconds`` with a summary at the end."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--seconds", type=float, help="run unattended for so long, then judge")
    parser.add_argument(
        "--folder", type=Path, default=Path(".demo"), help="where it keeps its files"
    )
    parser.add_argument(
        "--broker",
        choices=["auto", "embedded"],
        default="auto",
        help="auto = Mosquitto where it is installed",
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    # Whoever ends it in another way than by Ctrl-C must not leave three processes behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _film(options.folder / "scene.mp4")
    stage = Stage(options.folder)
    listener: Listener | None = None
    try:
        stage.start(embedded_broker=options.broker == "embedded")
        old = stage.broker_name == EMBEDDED
        listener = Listener(Broker(port=stage.broker_port, protocol="3.1.1" if old else "5"))
        _ask_between_looks()
        listener.start()
        return _show(stage, listener, options.folder, options.seconds)
    except StageError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopping; start again with `make demo`, the history is kept")
        return 0
    finally:
        if listener is not None:
            listener.stop()
        stage.stop()


def _film(video: Path) -> None:
    if video.exists() and truth_path(video).exists():
        return
    print(f"drawing a scene of {_SCENE_S:.0f} s for the camera ...", flush=True)
    encoder = write_video(video, _SEED, _SCENE_S)
    print(f"  {video} ({encoder}), {len(read_truth(video).episodes)} objects will pass")


def _show(stage: Stage, listener: Listener, folder: Path, seconds: float | None) -> int:
    print(f"device console    {stage.device_url}")
    print(f"control plane     {stage.cloud_url}")
    print(f"broker            {stage.broker_name}; logs and data in {folder}/")
    print(
        "a camera films, motion starts a workflow, its history syncs. Ctrl-C ends it.", flush=True
    )
    clock = SystemClock()
    began_ms, began_s = clock.now_ms(), clock.monotonic_ms() / 1000
    frames: FrameClock | None = None
    while seconds is None or clock.monotonic_ms() / 1000 - began_s < seconds:
        ended = stage.ended()
        if ended is not None:
            raise StageError(f"the {ended} ended by itself; see {stage.log_of(ended)}")
        try:
            _progress(
                clock.monotonic_ms() / 1000 - began_s, look(stage.device_url, stage.cloud_url)
            )
            frames = frame_clock(stage.device_url) or frames
        except OSError as error:
            _line(f"waiting for an answer: {error}")
        _pause(1)
    outcome = _settle(stage, listener, folder, (began_ms, clock.now_ms()), frames)
    _summary(outcome)
    return 0 if outcome.good else 1


def _ask_between_looks() -> None:
    """From here on there are threads, and the end is asked for in `_pause`.

    Who is interrupted in the midst of an import keeps its lock, and no thread that imports anything
    ends any more. Threads that libraries have begun before take signals still: they tell only.
    """
    for one in _ENDING:
        signal.signal(one, lambda *_: _asked.set())
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def _pause(seconds: float) -> None:
    """Wait, unless somebody ends the demonstration. Raises KeyboardInterrupt."""
    if signal.sigtimedwait(_ENDING, seconds) is not None or _asked.is_set():
        # A second one, while the others are being stopped, interrupts that.
        for one in _ENDING:
            signal.signal(one, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        raise KeyboardInterrupt


def _progress(elapsed_s: float, seen: Look) -> None:
    done, running = seen.executions["COMPLETED"], seen.executions["RUNNING"]
    failed = sum(seen.executions[s] for s in ("FAILED", "TIMED_OUT", "TERMINATED"))
    camera = f"camera {seen.camera} {seen.fps:.0f} fps" if not seen.message else seen.message
    _line(
        f"{elapsed_s:4.0f} s  {camera}  |  analyses {done} done, {running} running, {failed} failed"
        f"  |  {seen.records} records in the control plane, {seen.backlog} to go"
        f"  |  lag p50 {seen.lag_p50_ms:.0f} ms"
    )


def _line(text: str) -> None:
    """On a terminal the line is written over, in a log it is added."""
    if sys.stdout.isatty():
        print(f"\r\x1b[2K{text[:160]}", end="", flush=True)
    else:
        print(text, flush=True)


def _settle(
    stage: Stage,
    listener: Listener,
    folder: Path,
    span_ms: tuple[int, int],
    frames: FrameClock | None,
) -> Outcome:
    """Wait until what began in time has ended and has arrived, then count."""
    print("\nwaiting for what is under way ...", flush=True)
    deadline = time.monotonic() + _SETTLE_S
    while True:
        executions = [
            execution
            for execution in device_executions(stage.device_url, span_ms[0])
            if execution["createTime"] <= span_ms[1]
        ]
        copies = [cloud_execution(stage.cloud_url, e["workflowId"]) for e in executions]
        arrived = [c for e, c in zip(executions, copies, strict=True) if c and _same(e, c)]
        pictures = [file for copy in arrived for file in copy["evidence"]]
        whole = [file for file in pictures if file["complete"]]
        finished = all(e["status"] != "RUNNING" for e in executions)
        told = {e["input"]["event_id"] for e in executions if _tells(e)}
        all_there = (
            finished
            and len(arrived) == len(executions)
            and len(whole) == len(pictures)
            and told <= listener.events
        )
        if all_there or time.monotonic() > deadline:
            break
        _pause(0.5)
    seen = look(stage.device_url, stage.cloud_url)
    completed = [e for e in executions if e["status"] == "COMPLETED"]
    truth = read_truth(folder / "scene.mp4")
    result = score(truth, frames, completed) if frames is not None else None
    return Outcome(
        events=len(executions),
        completed=len(completed),
        published=len(told & listener.events),
        to_publish=len(told),
        arrived=len(arrived),
        snapshots=len(whole),
        records=seen.records,
        backlog=0 if all_there else seen.backlog,
        lag_p50_ms=seen.lag_p50_ms,
        lag_p99_ms=seen.lag_p99_ms,
        shown=result.shown if result else 0,
        found=result.found if result else 0,
        wrong=result.wrong if result else 0,
    )


def _tells(execution: dict[str, Any]) -> bool:
    """Whether the analysis found something to publish an event about."""
    return (execution.get("output") or {}).get("verdict") == "objects"


def _same(on_device: dict[str, Any], in_cloud: dict[str, Any]) -> bool:
    """Whether both tell the same: status, output, and every task with its status and output."""

    def told(execution: dict[str, Any]) -> Any:
        tasks = [
            (task["referenceTaskName"], task["status"], task.get("outputData") or None)
            for task in execution["tasks"]
        ]
        return execution["status"], execution.get("output") or None, tasks

    return bool(told(on_device) == told(in_cloud))


def _summary(outcome: Outcome) -> None:
    share = 100 * outcome.found / outcome.shown if outcome.shown else 100
    print(
        f"events seen              {outcome.events}\n"
        f"workflows completed      {outcome.completed}\n"
        f"events published         {outcome.published} of {outcome.to_publish}, heard over MQTT\n"
        f"arrived as they are      {outcome.arrived}, with {outcome.snapshots} snapshots\n"
        f"detections against truth {outcome.found} of {outcome.shown} objects ({share:.0f} %), "
        f"{outcome.wrong} that were not there\n"
        f"records synced           {outcome.records}, {outcome.backlog} to go\n"
        f"sync lag                 p50 {outcome.lag_p50_ms:.0f} ms, p99 {outcome.lag_p99_ms:.0f} ms\n"
        f"{'PASSED' if outcome.good else 'FAILED'}"
    )


if __name__ == "__main__":
    sys.exit(main())
