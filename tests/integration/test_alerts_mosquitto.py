"""An alert over a real broker: it arrives at whoever listens, and a broker that is away is named."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from sync.control_plane.alerts import Channel
from sync.control_plane.messengers import Mail, send
from sync.link import Broker, Dialect, Link, Received, Subscribed
from tests.integration.sync_doubles import free_port, mosquitto, running, until, wait_for_port


def test_an_alert_is_published(tmp_path: Path) -> None:
    """Once the broker has taken it, it is told."""
    port = free_port()
    broker = mosquitto(tmp_path, port)
    topic = f"site/alerts/{random.Random(1).randrange(99)}"
    channel = Channel("ops", "mqtt", topic)

    async def scenario() -> None:
        way = Broker(port=port)
        listener = Link(way, client_id="", dialect=Dialect(way), on_news=lambda: None)
        await listener.open()
        listener.subscribe([topic])
        heard: list[bytes] = []

        def news(kind: type) -> bool:
            found = listener.news()
            heard.extend(one.payload for one in found if isinstance(one, Received))
            return bool(heard) or any(isinstance(one, kind) for one in found)

        await until(lambda: news(Subscribed), limit_s=20, what="subscribed")
        assert "" == await send(channel, b'{"rule":"lag"}', mail=Mail(), broker=way)
        await until(lambda: news(Received), limit_s=20, what="heard")
        await listener.close()
        assert [b'{"rule":"lag"}'] == heard
        broker.kill()
        assert "127.0.0.1" in await send(channel, b"{}", mail=Mail(), broker=way)

    with running(broker):
        broker.start()
        wait_for_port(port)
        asyncio.run(scenario())
