"""A ledger, its application and clients of it with tokens of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from sync import frames, receiver, topics
from sync.control_plane import access
from sync.control_plane.access import NewToken, Role
from sync.control_plane.app import build_app
from sync.control_plane.ledger import Ledger
from sync.control_plane.truth import Presence
from sync.records import KINDS, Body, Lane, Record, WorkflowRecord, encode_body

NOW_MS = 1_800_000_000_000


class World:
    """What a test acts on."""

    def __init__(self, ledger: Ledger, *, authenticate: bool = False) -> None:
        self.ledger = ledger
        self.now_ms = NOW_MS
        self.app: Starlette = build_app(
            ledger, now_ms=lambda: self.now_ms, authenticate=authenticate
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app), base_url="http://cloud"
        )
        self._seq: dict[str, int] = {}

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str = "", status: int = 200
    ) -> Any:
        """One request; its answer as JSON, once the status is as expected."""
        headers = {"x-authorization": token} if token else {}
        answer = await self.client.request(
            method, path, json=body, headers=headers
        ) if body is not None else await self.client.request(method, path, headers=headers)  # fmt: skip
        assert status == answer.status_code, answer.text
        return answer.json() if answer.content else None

    async def connect(self, device: str, *, online: bool = True, tenant: str = "default") -> None:
        """Say what presence says."""
        address = topics.address(tenant, device)
        # A will alone makes no device known.
        for state in dict.fromkeys((True, online)):
            await self.ledger.note_presence([Presence(address, state, 1, 1, 1, "1.2")])

    async def send(self, device: str, *bodies: Body, tenant: str = "default") -> None:
        """History of a device, the way it arrives, and into view."""
        await self.send_at(device, NOW_MS, *bodies, tenant=tenant)

    async def send_at(
        self, device: str, at_ms: int, *bodies: Body, tenant: str = "default"
    ) -> None:
        """History of a device whose clock shows something."""
        first = self._seq.get(device, 0) + 1
        self._seq[device] = first + len(bodies) - 1
        records = [
            Record(Lane.HISTORY, first + n, KINDS[type(body)], at_ms, 1, encode_body(body))
            for n, body in enumerate(bodies)
        ]
        payload = frames.encode(records, epoch=1, oldest_seq=1)
        topic = topics.address(tenant, device).topic(topics.up(Lane.HISTORY))
        arrival = receiver.read(topic, payload, received_ms=NOW_MS)
        assert arrival is not None
        await self.ledger.commit([arrival])
        while await self.ledger.project():
            pass

    async def token(self, role: Role, tenant: str = "*", **more: Any) -> str:
        """A token as the command line makes one."""
        new = NewToken(name=f"the {role.value}", role=role, **more)
        _, text = await self.ledger.write(
            lambda c: access.make_token(
                c, new, tenant=tenant, created_by="test", now_ms=self.now_ms
            )
        )
        return text


def workflow(identity: str, status: str = "COMPLETED", **values: Any) -> WorkflowRecord:
    """One execution that began a minute ago."""
    fields: dict[str, Any] = {
        "name": "scan", "created_ms": NOW_MS - 60_000, "ended_ms": NOW_MS - 1_000, "version": 1,
        "updated_ms": NOW_MS,
    }  # fmt: skip
    return WorkflowRecord(id=identity, status=status, **(fields | values))


def in_world(
    where: Path | str, play: Callable[[World], Awaitable[None]], *, authenticate: bool = False
) -> None:
    """Run a play over a real ledger."""

    async def run() -> None:
        ledger = await Ledger.open(where, now_ms=lambda: NOW_MS)
        try:
            world = World(ledger, authenticate=authenticate)
            async with world.client:
                await play(world)
        finally:
            await ledger.close()

    asyncio.run(run())
