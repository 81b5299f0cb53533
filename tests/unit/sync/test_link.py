"""The back-off, and connections that break; real brokers are met in the integration tests."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from pathlib import Path

import pytest

from sync.link import Backoff, Broker, CredentialsUnusable, Dialect, Link, LinkEvent, Lost


def test_waits_are_spread_and_bounded() -> None:
    """Every wait lies between 0.5 and 30 s, and no two devices wait alike."""
    waits = [[back.next_s() for _ in range(200)] for back in map(make, range(20))]

    assert all(0.5 <= wait <= 30.0 for each in waits for wait in each)
    assert 20 == len({each[3] for each in waits})


def test_the_first_wait_is_short_and_later_ones_grow() -> None:
    """The first is at most 1.5 s; after a while some reach the cap; success begins anew."""
    back = make(1)
    first = back.next_s()
    later = [back.next_s() for _ in range(100)]
    back.reset()

    assert first <= 1.5
    assert 30.0 == max(later)
    assert back.next_s() <= 1.5


def test_a_broker_is_named_for_people() -> None:
    """Host and port, as one would type them."""
    assert "10.0.0.1:8883" == Broker(host="10.0.0.1", port=8883).address


@pytest.mark.parametrize(
    "content", [None, b"half a certif", b"\xff\xfe"], ids=["gone", "half", "odd"]
)
def test_credentials_that_cannot_be_used_end_the_attempt_only(
    tmp_path: Path, content: bytes | None
) -> None:
    """A file that is missing or being renewed is a LinkError with its name: who tries goes on."""
    file = tmp_path / "shown"
    if content is not None:
        file.write_bytes(content)
    brokers = [Broker(ca_file=file), Broker(ca_file=file, certificate_file=file)]
    if content != b"half a certif":
        brokers.append(Broker(username="gate-7", password_file=file))

    for broker in brokers:
        with pytest.raises(CredentialsUnusable, match=r"cannot use .*/shown for the broker: "):
            Link(broker, client_id="x", dialect=Dialect(broker), on_news=lambda: None)


def make(seed: int) -> Backoff:
    """A back-off of one device."""
    return Backoff(random.Random(seed))


def _reset_when_told(server: socket.socket, told: threading.Event) -> None:
    """Greet one client as a broker of MQTT 5 does, answer pings that it has not sent, and reset."""
    one, _ = server.accept()
    one.recv(1_000)
    one.sendall(b"\x20\x03\x00\x00\x00")
    assert told.wait(20)
    # The error comes while there is something to read, which a loop may take for all there is.
    one.sendall(b"\xd0\x00" * 20)
    # Closed with a linger of nothing, which sends a reset.
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("speaks", [True, False], ids=["who speaks", "who is silent"])
def test_a_connection_that_is_reset_is_lost(loop: str, speaks: bool) -> None:
    """Whatever the loop: nothing is raised at who sends, and the loss is news within moments."""

    async def scenario() -> None:
        told = threading.Event()
        server = socket.create_server(("127.0.0.1", 0))
        resetting = threading.Thread(target=_reset_when_told, args=(server, told))
        resetting.start()
        broker = Broker(port=server.getsockname()[1], protocol="5")
        news = asyncio.Event()
        link = Link(broker, client_id="x", dialect=Dialect(broker), on_news=news.set)
        await link.open()
        told.set()
        found: list[LinkEvent] = []
        async with asyncio.timeout(20):
            while not any(isinstance(event, Lost) for event in found):
                if speaks:
                    link.publish("some/topic", b"x")
                await asyncio.sleep(0.001)
                found += link.news()
        await link.close()
        resetting.join()
        server.close()

    factory = None if loop == "asyncio" else pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(scenario())
