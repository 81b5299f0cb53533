"""An RTSP/1.0 server for tests: one H.264 stream over TCP-interleaved RTP, to be killed or frozen.

Only what a client needs to play; no authentication, no UDP, no audio.
"""

from __future__ import annotations

import asyncio
import base64
import re
import struct
import threading
from collections.abc import Sequence
from concurrent.futures import Future

_START_CODE = re.compile(rb"\x00\x00\x00?\x01")
_MAX_PAYLOAD_BYTES = 1400


class RtspServer:
    """Serves access units (Annex B) in a loop, at a fixed rate, from a thread of its own."""

    def __init__(self, access_units: Sequence[bytes], fps: float) -> None:
        """Take what is served; `start` begins."""
        self.units = [[u for u in _START_CODE.split(one) if u] for one in access_units]
        self.fps = fps
        self.port = 0
        self.frozen = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where the stream is."""
        return f"rtsp://127.0.0.1:{self.port}/stream"

    def start(self) -> None:
        """Listen; after `kill` on the same port as before."""
        if not self._thread.is_alive():
            self._thread.start()
        self._run(self._listen())

    def kill(self) -> None:
        """Close the listener and every connection."""
        self._run(self._close())

    def stop(self) -> None:
        """End for good."""
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def _run(self, coroutine: object) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)  # type: ignore[arg-type]
        future.result(timeout=5)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        clients = list(self._clients)
        for task in clients:
            task.cancel()
        if clients:
            await asyncio.wait(clients)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        playing: asyncio.Task[None] | None = None
        try:
            while request := (await reader.readuntil(b"\r\n\r\n")).decode():
                # A client's RTCP reports come interleaved, led by a dollar sign; skip to the verb.
                verb = re.search(r"([A-Z]+) rtsp\S+ RTSP/1.0", request)
                sequence = re.search(r"CSeq: (\d+)", request)
                if verb is None or sequence is None:
                    continue
                writer.write(self._answer(verb[1], sequence[1]))
                if verb[1] == "PLAY" and playing is None:
                    playing = asyncio.create_task(self._play(writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            if playing is not None:
                playing.cancel()
            self._clients.discard(task)
            writer.transport.abort()
            # The transport lets go of its socket in the loop's next round.
            await asyncio.sleep(0)

    def _answer(self, verb: str, sequence: str) -> bytes:
        headers = {
            "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
            "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
            "PLAY": "Session: 1\r\n",
        }.get(verb, "")
        body = self._description() if verb == "DESCRIBE" else ""
        if body:
            headers = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        return f"RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{headers}\r\n{body}".encode()

    def _description(self) -> str:
        sets = [unit for unit in self.units[0] if unit[0] & 0x1F in (7, 8)]
        sprop = ",".join(base64.b64encode(unit).decode() for unit in sets)
        return (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
            f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop}\r\n"
            f"a=framerate:{self.fps:g}\r\n"
        )

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        begun = self._loop.time()
        number = sequence = 0
        while not writer.is_closing():
            await asyncio.sleep(begun + number / self.fps - self._loop.time())
            if not self.frozen.is_set():
                stamp = round(number * 90000 / self.fps) & 0xFFFFFFFF
                units = self.units[number % len(self.units)]
                for position, unit in enumerate(units):
                    for payload, is_last in _payloads(unit):
                        marker = 0x80 if is_last and position == len(units) - 1 else 0
                        header = struct.pack(">BBHII", 0x80, 96 | marker, sequence, stamp, 1)
                        packet = header + payload
                        writer.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                        sequence = (sequence + 1) & 0xFFFF
                await writer.drain()
            number += 1


def _payloads(unit: bytes) -> list[tuple[bytes, bool]]:
    """Cut a NAL unit into RTP payloads: whole, or as fragments (RFC 6184, section 5.8)."""
    if len(unit) <= _MAX_PAYLOAD_BYTES:
        return [(unit, True)]
    indicator, kind = unit[0] & 0xE0 | 28, unit[0] & 0x1F
    parts = [unit[i : i + _MAX_PAYLOAD_BYTES] for i in range(1, len(unit), _MAX_PAYLOAD_BYTES)]
    last = len(parts) - 1
    return [
        (bytes([indicator, kind | (i == 0) << 7 | (i == last) << 6]) + part, i == last)
        for i, part in enumerate(parts)
    ]
