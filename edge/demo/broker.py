"""``python -m edge.demo.broker PORT``: an MQTT broker in a process, for machines without Mosquitto.

It keeps nothing: the protocol does not rely on a broker's memory.
"""

from __future__ import annotations

import asyncio
import logging
import sys


async def serve(port: int) -> None:
    """Run the broker on the loopback until cancelled."""
    from amqtt.broker import Broker

    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }
    )
    await broker.start()
    print("broker ready", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await broker.shutdown()


def main() -> None:
    """Serve on the port of the command line."""
    logging.basicConfig(level=logging.WARNING)
    try:
        asyncio.run(serve(int(sys.argv[1])))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
