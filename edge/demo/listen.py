"""What the demonstration hears at the broker: the events that workflows publish.

It is an ordinary subscriber, as a site's own systems would be.
"""

from __future__ import annotations

import asyncio
import threading

import msgspec

from sync.link import Broker, Dialect, Link, LinkError, Lost, Received

_TOPICS = ["baton/events/#"]
_AGAIN_S = 1.0


class Listener:
    """Counts events on a thread of its own, until ``stop``.

    Args:
        broker: where to listen.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._dialect = Dialect(broker)
        self._events: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="demo-listener", daemon=True)

    @property
    def events(self) -> frozenset[str]:
        """Ids of the events heard so far; the same event told twice counts once."""
        return frozenset(self._events)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Hang up."""
        self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(5)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        async def main() -> None:
            self._task = asyncio.current_task()
            await self._listen()

        try:
            self._loop.run_until_complete(main())
        except asyncio.CancelledError:
            return
        finally:
            self._loop.close()

    async def _listen(self) -> None:
        while True:
            arrived = asyncio.Event()
            link = Link(self._broker, client_id="", dialect=self._dialect, on_news=arrived.set)
            try:
                await link.open()
                link.subscribe(_TOPICS)
                await self._hear(link, arrived)
            except LinkError:
                await asyncio.sleep(_AGAIN_S)
            finally:
                await link.close()

    async def _hear(self, link: Link, arrived: asyncio.Event) -> None:
        while True:
            await arrived.wait()
            arrived.clear()
            for news in link.news():
                if isinstance(news, Lost):
                    return
                if isinstance(news, Received):
                    self._events.add(str(msgspec.json.decode(news.payload).get("event_id")))
                    link.settle(news)
