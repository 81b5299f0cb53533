"""A device's API around a real engine, reached as a client reaches it, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from edge.api.app import build_app
from edge.api.house import House
from tests.evaluators import EVALUATORS
from tests.unit.edge.engine_house import engine_at

TASK = {"name": "work", "retryCount": 0, "responseTimeoutSeconds": 60}
FLOW = {
    "name": "flow",
    "tasks": [
        {
            "name": "work",
            "taskReferenceName": "first",
            "inputParameters": {"x": "${workflow.input.x}", "nothing": None},
        }
    ],
}


class Device:
    """What a test gets in hand."""

    def __init__(self, house: House, client: httpx.AsyncClient) -> None:
        self.house = house
        self.client = client

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request under ``/api``."""
        return await self.client.request(method, f"/api{path}", **options)

    async def answer(self, method: str, path: str, **options: Any) -> Any:
        """The body of a request that must succeed."""
        response = await self.call(method, path, **options)
        assert response.status_code < 300, response.text
        if not response.content:
            return None
        is_json = "json" in response.headers["content-type"]
        return response.json() if is_json else response.text

    async def register(self) -> None:
        """Make the task and the flow known."""
        await self.answer("POST", "/metadata/taskdefs", json=[TASK])
        await self.answer("POST", "/metadata/workflow", json=FLOW)

    async def started(self, **body: Any) -> str:
        """The id of a new execution of the flow."""
        workflow_id: str = await self.answer("POST", "/workflow", json={"name": "flow", **body})
        return workflow_id

    async def claimed(self, query: str = "workerid=me") -> dict[str, Any]:
        """The one task that waits."""
        (task,) = await self.answer("GET", f"/tasks/poll/batch/work?{query}")
        return dict(task)

    async def finish(
        self, task: dict[str, Any], path: str = "/tasks", **more: Any
    ) -> httpx.Response:
        """Report a task as completed."""
        body = {
            "workflowInstanceId": task["workflowInstanceId"],
            "taskId": task["taskId"],
            "status": "COMPLETED",
            "workerId": "me",
            **more,
        }
        return await self.call("POST", path, json=body)


def run(folder: Path, body: Callable[[Device], Awaitable[None]], **options: Any) -> None:
    """Run ``body(device)`` against a device with a database in ``folder``."""

    async def main() -> None:
        async with engine_at(folder / "baton.db", **options) as engine:
            house = House(engine)
            house.check_script = EVALUATORS.syntax_error
            transport = httpx.ASGITransport(app=build_app(house))
            async with httpx.AsyncClient(transport=transport, base_url="http://device") as client:
                await body(Device(house, client))

    asyncio.run(main())
