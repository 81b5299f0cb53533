"""A device that asks its callers for a token, with an administrator's key to begin with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from edge import tokens
from edge.api.app import build_app
from edge.api.guard import Guard
from edge.api.house import House
from edge.model.access import Application
from edge.store import access
from edge.tokens import Tokens
from edge.transactions import Transaction
from tests.evaluators import EVALUATORS
from tests.unit.edge.api.device import Device
from tests.unit.edge.engine_house import engine_at
from tests.unit.edge.manual_clock import ManualClock

SECRET = "an administrator's secret"
SALT, DIGEST = tokens.hashed(SECRET)
"""Hashed once: it takes its time on purpose."""


class Guarded(Device):
    """What a test gets in hand; ``call`` speaks with the token of ``as_``."""

    def __init__(self, house: House, client: httpx.AsyncClient, clock: ManualClock) -> None:
        super().__init__(house, client)
        self.clock = clock
        self.token = ""

    async def as_(self, key: str, secret: str) -> None:
        """From now on speak with this key."""
        self.token = ""
        given = await self.answer("POST", "/token", json={"keyId": key, "keySecret": secret})
        self.token = given["token"]

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request under ``/api``."""
        headers = {**({"X-Authorization": self.token} if self.token else {})}
        headers |= options.pop("headers", {})
        return await super().call(method, path, headers=headers, **options)

    async def application(self, *roles: str) -> tuple[str, str, str]:
        """A new application with these roles: its id, a key and the key's secret."""
        made = await self.answer("POST", "/applications", json={"name": "-".join(roles) or "bare"})
        for role in roles:
            await self.answer("POST", f"/applications/{made['id']}/roles/{role}", json={})
        key = await self.answer("POST", f"/applications/{made['id']}/accessKeys", json={})
        return made["id"], key["id"], key["secret"]


def run_guarded(folder: Path, body: Callable[[Guarded], Awaitable[None]]) -> None:
    """Run ``body(device)``; its token is the administrator's at first."""

    async def main() -> None:
        clock = ManualClock()
        async with engine_at(folder / "baton.db", clock=clock, timers=False) as engine:

            def begin(transaction: Transaction) -> None:
                connection = transaction.connection
                access.put_application(connection, Application("root", "administration"))
                access.put_application_roles(connection, "root", ["ADMIN"])
                access.put_key(connection, "root", "root-key", salt=SALT, digest=DIGEST, now_ms=0)

            await engine.request(begin)
            house = House(engine)
            house.check_script = EVALUATORS.syntax_error
            house.guard = Guard(engine, Tokens(folder / "token.key"), ttl_s=3_600)
            transport = httpx.ASGITransport(app=build_app(house))
            async with httpx.AsyncClient(transport=transport, base_url="http://device") as client:
                device = Guarded(house, client, clock)
                await device.as_("root-key", SECRET)
                await body(device)

    asyncio.run(main())
