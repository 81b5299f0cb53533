"""A double of the device's API with canned executions, and the real files of the console.

No engine stands behind it: actions change the canned status and are announced on the stream.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from edge.console import CONSOLE_FOLDER
from sync.web.pages import Pages

ACTIONS = {"pause": "PAUSED", "resume": "RUNNING", "retry": "RUNNING", "restart": "RUNNING"}

DEFINITION: dict[str, Any] = {
    "name": "video_analysis",
    "description": "Looks at a clip, finds what moves in it and keeps an annotated picture.",
    "version": 2,
    "schemaVersion": 2,
    "ownerEmail": "camera@example.org",
    "timeoutSeconds": 300,
    "inputParameters": ["camera", "clipSeconds"],
    "inputTemplate": {"clipSeconds": 4},
    "tasks": [
        {"name": "take_clip", "taskReferenceName": "clip", "type": "SIMPLE"},
        {"name": "detect_objects", "taskReferenceName": "detect", "type": "SIMPLE"},
        {
            "name": "what",
            "taskReferenceName": "what",
            "type": "SWITCH",
            "decisionCases": {
                "person": [
                    {"name": "annotate", "taskReferenceName": "annotate", "type": "SIMPLE"},
                    {"name": "publish", "taskReferenceName": "publish", "type": "EVENT"},
                ]
            },
        },
    ],
}


def picture(width: int = 320, height: int = 180, shade: int = 90) -> bytes:
    """A PNG with a gradient and a bright square, so that a screenshot shows that it was drawn."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            inside = 110 < x < 190 and 50 < y < 140
            rows += bytes((230, 190, 90) if inside else (shade, 70 + y // 3, 80 + x // 4))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(rows), 6)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def task(workflow_id: str, seq: int, ref: str, **values: Any) -> dict[str, Any]:
    """One task in Conductor's shape."""
    started = values.pop("started")
    ran = values.pop("ran")
    open_ended = values.get("status") in ("SCHEDULED", "IN_PROGRESS")
    return {
        "taskId": f"{workflow_id}-{seq:02d}",
        "seq": seq,
        "referenceTaskName": ref,
        "taskDefName": values.pop("name", ref),
        "taskType": values.pop("type", "SIMPLE"),
        "status": "COMPLETED",
        "retryCount": 0,
        "iteration": 0,
        "pollCount": 1,
        "workerId": "in-process",
        "scheduledTime": started - 40,
        "startTime": started,
        "endTime": 0 if open_ended else started + ran,
        "updateTime": started + ran,
        "inputData": {"camera": "front"},
        "outputData": {},
        **values,
    }


def analysis(workflow_id: str, status: str, started: int) -> dict[str, Any]:
    """One execution of the video analysis, with a failed attempt, a picture and a clip."""
    tasks = [
        task(workflow_id, 1, "clip", name="take_clip", started=started + 50, ran=1900,
             outputData={"frames": 100, "evidence": {"path": "clips/a.mp4", "key": "clips/a.mp4",
                         "media_type": "video/mp4", "size_bytes": 512_000, "sha256": "0" * 64}}),
        task(workflow_id, 2, "detect", name="detect_objects", started=started + 2000, ran=700,
             status="FAILED", reasonForIncompletion="the model's file is busy", workerId="npu-0"),
        task(workflow_id, 3, "detect", name="detect_objects", started=started + 3300, ran=1150,
             retryCount=1, workerId="npu-0",
             outputData={"detections": [
                 {"label": "person", "confidence": 0.93, "box": [110, 50, 190, 140]},
                 {"label": "bicycle", "confidence": 0.71, "box": [20, 60, 90, 150]}]}),
        task(workflow_id, 4, "what", type="SWITCH", workerId=None, started=started + 4480, ran=0,
             outputData={"evaluationResult": ["person"]}),
    ]  # fmt: skip
    if status == "FAILED":
        tasks = tasks[:3]
        tasks[2] |= {"status": "FAILED", "reasonForIncompletion": "the model's file is busy"}
    elif status == "COMPLETED":
        tasks += [
            task(workflow_id, 5, "annotate", started=started + 4520, ran=260,
                 outputData={"evidence": [{"path": f"snapshots/{workflow_id}.png",
                             "key": "snapshot.png", "media_type": "image/png", "size_bytes": 9000,
                             "sha256": "1" * 64}], "html": "<img src=x onerror=alert(1)>"}),
            task(workflow_id, 6, "publish", type="EVENT", started=started + 4800, ran=30),
        ]  # fmt: skip
    elif status == "RUNNING":
        tasks.append(
            task(workflow_id, 5, "annotate", started=started + 4520, ran=0, status="IN_PROGRESS")
        )
    ended = 0 if status in ("RUNNING", "PAUSED") else started + 4850
    return {
        "workflowId": workflow_id,
        "workflowName": "video_analysis",
        "workflowVersion": 2,
        "workflowDefinition": DEFINITION,
        "status": status,
        "createTime": started,
        "startTime": started,
        "updateTime": started + 4850,
        "endTime": ended,
        "correlationId": "front-door",
        "reasonForIncompletion": "detect failed twice" if status == "FAILED" else None,
        "input": {"camera": "front", "clipSeconds": 4, "note": "<b>not markup</b>"},
        "output": {"label": "person", "count": 1} if status == "COMPLETED" else {},
        "variables": {},
        "tasks": tasks,
    }


class DeviceDouble:
    """What the double holds; tests change it and say so with `announce`."""

    def __init__(self, now_ms: int, executions: int = 60) -> None:
        self.now_ms = now_ms
        self.executions: dict[str, dict[str, Any]] = {}
        self.definitions = [DEFINITION, {**DEFINITION, "version": 1}]
        self.devices = self._devices()
        self.started: list[dict[str, Any]] = []
        self.asked: list[str] = []
        """Method and path of every action."""
        self.refusal: str | None = None
        """When set, actions are refused with this message."""
        self.down: dict[str, str] = {}
        """Parts of the device that are not well, with the reason; without its disk all of it is not."""
        self.sync: dict[str, Any] = {
            "enabled": True, "state": "syncing", "reason": "", "broker": "127.0.0.1:1883",
            "device": "gate-7", "backlog": 3,
            "syncedTo": {"0": 4, "1": 12, "2": 4810, "3": 77}, "lastAckMs": now_ms - 2_000,
        }  # fmt: skip
        self._streams: dict[asyncio.Queue[str], asyncio.AbstractEventLoop] = {}
        statuses = ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "RUNNING", "TERMINATED"]
        for number in range(executions):
            status = statuses[number % len(statuses)]
            self.add(f"{number:08x}-0000-4000-8000-000000000000", status, number * 47_000)

    def add(self, workflow_id: str, status: str, age_ms: int) -> None:
        """One more execution, started so long ago."""
        self.executions[workflow_id] = analysis(workflow_id, status, self.now_ms - age_ms - 9_000)

    def _devices(self) -> list[dict[str, Any]]:
        streaming = {"state": "online", "width": 1280, "height": 720, "fps": 25.0,
                     "frames": 48_211, "lastFrameMs": self.now_ms - 40, "reconnects": 1,
                     "message": ""}  # fmt: skip
        lost = {**streaming, "state": "lost", "fps": 0.0, "reconnects": 14,
                "message": "The stream does not answer; trying again in 8 s."}  # fmt: skip
        ready = {"state": "online", "message": "137 k parameters, 3 classes"}
        return [
            {"name": "front", "driver": "camera", "capability": "Camera", "status": streaming},
            {"name": "yard", "driver": "camera", "capability": "Camera", "status": lost},
            {"name": "finder", "driver": "onnx-detector", "capability": "Detector",
             "status": ready},
        ]  # fmt: skip

    def announce(self, workflow_id: str) -> None:
        """Tell the open pages that an execution has changed; from any thread."""
        status = self.executions[workflow_id]["status"]
        data = f'{{"workflowId": "{workflow_id}", "status": "{status}"}}'
        for waiting, loop in list(self._streams.items()):
            loop.call_soon_threadsafe(waiting.put_nowait, data)

    async def follow(self) -> AsyncIterator[bytes]:
        """The stream of one page."""
        waiting: asyncio.Queue[str] = asyncio.Queue()
        self._streams[waiting] = asyncio.get_running_loop()
        try:
            yield b": hello\n\n"
            while True:
                yield f"event: workflow\ndata: {await waiting.get()}\n\n".encode()
        finally:
            del self._streams[waiting]


def summary(execution: dict[str, Any]) -> dict[str, Any]:
    """The line of a list."""
    return {
        "workflowType": execution["workflowName"],
        "version": execution["workflowVersion"],
        **{name: execution[name] for name in (
            "workflowId", "status", "startTime", "updateTime", "endTime", "correlationId")},
    }  # fmt: skip


class DoubleApi:
    """The endpoints of the double, as far as the console asks them."""

    def __init__(self, double: DeviceDouble) -> None:
        self._double = double

    async def search(self, request: Request) -> Response:
        """A page of executions, newest first."""
        query, text = request.query_params.get("query", ""), request.query_params.get("freeText")
        found = [
            one
            for one in sorted(self._double.executions.values(), key=lambda one: -one["startTime"])
            if ("status" not in query or f'status = "{one["status"]}"' in query)
            and ("workflowType" not in query or f'"{one["workflowName"]}"' in query)
            and (not text or text in str(one))
        ]
        start, size = (int(request.query_params[name]) for name in ("start", "size"))
        results = [summary(one) for one in found[start : start + size]]
        return JSONResponse({"totalHits": len(found), "results": results})

    async def workflow(self, request: Request) -> Response:
        """One execution, or its end."""
        workflow_id = request.path_params["id"]
        if workflow_id not in self._double.executions:
            message = f"No such workflow {workflow_id}"
            return JSONResponse({"status": 404, "message": message}, 404)
        if request.method == "DELETE":
            self._double.asked.append(f"terminate {request.query_params.get('reason')}")
            self._double.executions[workflow_id]["status"] = "TERMINATED"
            self._double.announce(workflow_id)
            return Response(status_code=200)
        return JSONResponse(self._double.executions[workflow_id])

    async def act(self, request: Request) -> Response:
        """Pause, resume, retry, restart."""
        workflow_id, action = request.path_params["id"], request.path_params["action"]
        self._double.asked.append(action)
        if self._double.refusal:
            return JSONResponse({"status": 409, "message": self._double.refusal}, 409)
        self._double.executions[workflow_id]["status"] = ACTIONS[action]
        self._double.announce(workflow_id)
        return Response(status_code=204)

    async def start(self, request: Request) -> Response:
        """Start an execution; the answer is its id as text."""
        started = self._double.started
        started.append({**request.query_params, "input": await request.json()})
        workflow_id = f"aaaa{len(started):04d}-0000-4000-8000-000000000000"
        self._double.add(workflow_id, "RUNNING", 0)
        self._double.announce(workflow_id)
        return PlainTextResponse(workflow_id)

    async def log(self, _: Request) -> Response:
        """The log of any task."""
        line = {"log": "opened the clip: 100 frames", "createdTime": self._double.now_ms}
        return JSONResponse([line, {**line, "log": "2 objects found"}])

    async def snapshot(self, request: Request) -> Response:
        """A picture of one camera; the other one is lost."""
        if request.path_params["name"] == "yard":
            return JSONResponse({"status": 503, "message": "no picture"}, 503)
        return Response(picture(), media_type="image/png")

    async def evidence(self, _: Request) -> Response:
        """Any kept file."""
        return Response(picture(shade=150), media_type="image/png")

    async def stream(self, _: Request) -> Response:
        """The hints."""
        return StreamingResponse(self._double.follow(), media_type="text/event-stream")

    async def definitions(self, _: Request) -> Response:
        """All of them."""
        return JSONResponse(self._double.definitions)

    async def devices(self, _: Request) -> Response:
        """The inventory with states."""
        return JSONResponse(self._double.devices)

    async def sync(self, _: Request) -> Response:
        """How far the control plane has followed."""
        return JSONResponse(self._double.sync)

    async def health(self, _: Request) -> Response:
        """As well as its parts."""
        down = self._double.down
        parts = [
            {"healthy": False, "details": {"status": "DOWN", "name": name, "reason": reason}}
            for name, reason in down.items()
        ]
        return JSONResponse({"healthy": "disk" not in down, "healthResults": parts})


def build_double(double: DeviceDouble) -> Starlette:
    """The application that serves the double and the console."""
    api = DoubleApi(double)
    return Starlette(
        routes=[
            Route("/api/workflow/search", api.search),
            Route("/api/workflow/{id}", api.workflow, methods=["GET", "DELETE"]),
            Route("/api/workflow/{name}", api.start, methods=["POST"]),
            Route("/api/workflow/{id}/{action}", api.act, methods=["PUT", "POST"]),
            Route("/api/metadata/workflow", api.definitions),
            Route("/api/tasks/{id}/log", api.log),
            Route("/api/v1/devices", api.devices),
            Route("/api/v1/devices/{name}/snapshot.jpg", api.snapshot),
            Route("/api/v1/evidence/{path:path}", api.evidence),
            Route("/api/v1/sync", api.sync),
            Route("/api/v1/stream", api.stream),
            Route("/health", api.health),
            Mount("/", app=Pages(CONSOLE_FOLDER)),
        ]
    )
