"""What the demonstration sees: it asks both daemons over HTTP, as anybody would.

No file of theirs is read.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

import msgspec

from edge.demo.score import FrameClock

_TIMEOUT_S = 5.0
_PAGE = 500


def ask(url: str) -> Any:
    """JSON of one GET.

    Raises:
        OSError: nobody answered, or not with success.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - ours
            return json.load(answer)
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"{url}: {error}") from error


class Look(msgspec.Struct, frozen=True):
    """The state of things at one moment."""

    camera: str
    """State of the camera."""
    message: str
    fps: float
    executions: dict[str, int]
    """Executions on the device by status."""
    sync: str
    backlog: int
    online: int
    """Devices that the control plane sees online."""
    records: int
    """Records that the control plane holds."""
    lag_p50_ms: float
    lag_p99_ms: float


def look(device_url: str, cloud_url: str) -> Look:
    """Ask both daemons how they are. Raises OSError when one does not answer."""
    (camera,) = [d for d in ask(f"{device_url}/api/v1/devices") if d["name"] == "front"]
    status = camera["status"]
    sync = ask(f"{device_url}/api/v1/sync")
    summary = ask(f"{cloud_url}/api/v1/summary")
    lag = summary["syncLag"]
    return Look(
        camera=status["state"],
        message=status.get("message", ""),
        fps=status.get("fps", 0.0),
        executions=_counts(device_url),
        sync=sync.get("state", "off"),
        backlog=sync.get("backlog", 0),
        online=summary["online"],
        records=summary["records"],
        lag_p50_ms=lag["p50Ms"],
        lag_p99_ms=lag["p99Ms"],
    )


def _counts(device_url: str) -> dict[str, int]:
    counts = {}
    for status in ("RUNNING", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"):
        query = f"workflowType%20%3D%20video_analysis%20AND%20status%20%3D%20{status}"
        answer = ask(f"{device_url}/api/workflow/search?size=1&query={query}")
        counts[status] = answer["totalHits"]
    return counts


def frame_clock(device_url: str) -> FrameClock | None:
    """Which frame the camera is at now; None when it shows none."""
    (camera,) = [d for d in ask(f"{device_url}/api/v1/devices") if d["name"] == "front"]
    status = camera["status"]
    if status["state"] != "online" or not status["frames"]:
        return None
    return FrameClock(status["frames"] - 1, status["lastFrameMs"], status["fps"])


def device_executions(device_url: str, since_ms: int) -> list[dict[str, Any]]:
    """Executions of the analysis on the device that began since a moment, with their tasks."""
    query = f"workflowType%20%3D%20video_analysis%20AND%20startTime%20%3E%20{since_ms}"
    answer = ask(f"{device_url}/api/workflow/search?size={_PAGE}&query={query}")
    ids = [summary["workflowId"] for summary in answer["results"]]
    return [
        ask(f"{device_url}/api/workflow/{workflow_id}?includeTasks=true") for workflow_id in ids
    ]


def cloud_execution(cloud_url: str, workflow_id: str) -> dict[str, Any] | None:
    """The same execution as the control plane has it; None when it has not arrived."""
    try:
        found: dict[str, Any] = ask(f"{cloud_url}/api/v1/executions/demo-camera/{workflow_id}")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    return found
