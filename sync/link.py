"""One MQTT connection on the running event loop: paho underneath, six methods above.

No protocol of ours and no policy stands here: what to publish, when to connect again and what a
message means is decided by whoever holds the link. A link lives for one connection and is thrown
away with it, so that nothing of a broken connection can leak into the next.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
# Measured: a window of 20 is as fast as 100, and 1,000 is slower, because paho looks through all
# of its unacknowledged messages on each PUBACK.
WINDOW_MESSAGES = 20
# MQTT 5 sends the will when the session ends; an expiry above every will delay keeps the delay.
# Who has no will has no session: a broker deals a share of what comes to members that are gone.
WILL_EXPIRY_S = 60
MESSAGE_ID_PROPERTY = "messageId"
_NO_MATCHING_SUBSCRIBERS = 0x10
# The packets taken from the socket before others get the loop again.
_READS_A_TURN = 32

MqttVersion = Literal["5", "3.1.1", "auto"]


class LinkError(Exception):
    """Head of this module's errors.

    LinkError
    ├── BrokerUnreachable   try again later
    ├── BrokerRefused       it answers, and does not want us
    ├── CredentialsUnusable a file that we would show it cannot be used
    └── NotTaken            what came over it could not be kept
    """


class BrokerUnreachable(LinkError):
    """Nothing answers at the broker's address. History waits; check host, port and network."""


class BrokerRefused(LinkError):
    """The broker answers and refuses. Check credentials, certificates and the MQTT version."""


class CredentialsUnusable(LinkError):
    """A password or certificate cannot be used. Look at the file; it is read at each attempt."""


class NotTaken(LinkError):
    """What came could not be kept just now. It comes again."""


class Broker(msgspec.Struct, frozen=True):
    """Where the broker is and how to speak to it."""

    host: str = "127.0.0.1"
    port: int = 1883
    protocol: MqttVersion = "auto"
    """`auto` tries MQTT 5 and falls back to 3.1.1 when the broker does not take it."""
    keepalive_s: int = 30
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    """Set to speak TLS and to check the broker's certificate against it."""
    certificate_file: Path | None = None
    key_file: Path | None = None

    @property
    def address(self) -> str:
        """For people to read."""
        return f"{self.host}:{self.port}"


class Will(msgspec.Struct, frozen=True):
    """What the broker says for us when we vanish."""

    topic: str
    payload: bytes
    delay_s: int = 0
    """Hides quick reconnects; MQTT 5 only."""


class Received(msgspec.Struct, frozen=True):
    """A message has come; `settle` it when it has been dealt with."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    duplicate: bool = False
    """The broker has sent it before, on this connection or on one of the same session."""
    retained: bool = False
    """The last word on its topic, sent because we have subscribed."""
    message_id: str | None = None
    """What the sender has named it, in a user property; never on 3.1.1."""


class Subscribed(msgspec.Struct, frozen=True):
    """The broker has answered a request for messages."""

    filters: tuple[str, ...]
    """Those that it sends from now on."""
    refused: tuple[tuple[str, str], ...] = ()
    """Those that it will not send, with what it says of it."""


class Unsubscribed(msgspec.Struct, frozen=True):
    """The broker sends these no more."""

    filters: tuple[str, ...]


class Taken(msgspec.Struct, frozen=True):
    """The broker has taken one of our messages (which is no receipt of anybody else)."""

    ticket: int
    unheard: bool
    """True when it said that nobody listens; never on 3.1.1."""
    refused: bool
    """True when it said that we may not; never on 3.1.1."""


class Lost(msgspec.Struct, frozen=True):
    """The connection is gone, for good."""

    reason: str


LinkEvent = Received | Subscribed | Unsubscribed | Taken | Lost


class Wire(Protocol):
    """One connection to a broker, as those who hold it need it. ``Link`` is one over MQTT."""

    async def open(self) -> None:
        """Connect. Raises LinkError."""
        ...

    def news(self) -> list[LinkEvent]:
        """What has happened since this was last asked."""
        ...

    def subscribe(self, filters: Sequence[str]) -> None:
        """Ask for messages; the answer comes as a `Subscribed`."""
        ...

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, message_id: str | None = None
    ) -> int:
        """Send a message; the ticket returns in a `Taken`."""
        ...

    def settle(self, message: Received) -> None:
        """A message has been dealt with."""
        ...

    async def close(self) -> None:
        """Say goodbye and let go."""
        ...


class Wiring(Protocol):
    """Makes connections: ``Link`` itself, or something else that leads to a broker."""

    def __call__(
        self,
        broker: Broker,
        *,
        client_id: str,
        dialect: Dialect,
        on_news: Callable[[], None],
        will: Will | None = None,
    ) -> Wire:
        """A connection that is still to be opened; see ``Link``."""
        ...


class _Outgoing(NamedTuple):
    ticket: int
    topic: str
    payload: bytes
    retain: bool
    message_id: str | None


class Chance(Protocol):
    """The part of `random.Random` that a back-off needs."""

    def uniform(self, a: float, b: float, /) -> float:
        """A number between the two."""
        ...


class Backoff:
    """Decorrelated jitter: each wait is drawn between the least and three times the last one.

    A fleet that lost its broker together comes back spread out, and one device still comes back
    within seconds.
    """

    def __init__(self, chance: Chance, *, least_s: float = 0.5, most_s: float = 30.0) -> None:
        """Begin at the least wait."""
        self._chance = chance
        self._least_s = least_s
        self._most_s = most_s
        self._last_s = least_s

    def next_s(self) -> float:
        """How long to wait before the next attempt."""
        drawn = self._chance.uniform(self._least_s, self._last_s * 3)
        self._last_s = min(self._most_s, drawn)
        return self._last_s

    def reset(self) -> None:
        """An attempt has worked."""
        self._last_s = self._least_s


class Dialect:
    """The version of MQTT to speak with a broker: of `auto`, after each refusal the other one."""

    def __init__(self, broker: Broker) -> None:
        """Begin with 5.0 where it may be spoken."""
        self._found_out = broker.protocol == "auto"
        old, new = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5
        self.version = old if broker.protocol == "3.1.1" else new

    def refused(self) -> None:
        """The broker has refused a connection, which may be for its version."""
        if self._found_out:
            five = self.version is MQTTProtocolVersion.MQTTv5
            self.version = MQTTProtocolVersion.MQTTv311 if five else MQTTProtocolVersion.MQTTv5


class Link:
    """One connection to the broker."""

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        dialect: Dialect,
        on_news: Callable[[], None],
        will: Will | None = None,
        session_s: int = 0,
    ) -> None:
        """Prepare; `open` connects.

        Args:
            broker: where to.
            client_id: unique at the broker; empty lets the broker choose.
            dialect: how to speak; it is told when the broker refuses.
            on_news: called on the loop when `news` has something; must only take note of it.
            will: what the broker says when we vanish.
            session_s: how long the broker keeps what it has for us after the connection; 0 = it
                keeps nothing. On 3.1.1 it keeps it for as long as it likes.
        """
        self._broker = broker
        self._session_s = session_s
        self.resumed = False
        """Whether the broker has kept our session: its subscriptions, and what came meanwhile."""
        self._asked: dict[int, tuple[str, ...]] = {}
        self._dialect = dialect
        self._version = dialect.version
        self._on_news = on_news
        self._news: deque[LinkEvent] = deque()
        self._ticket = 0
        self._tickets: dict[int, int] = {}
        self._waiting: deque[_Outgoing] = deque()
        self._window = WINDOW_MESSAGES
        self._answer: asyncio.Future[str] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: Any = None
        self._misc: asyncio.TimerHandle | None = None
        self._lost = False
        self._gone = asyncio.Event()
        self._opened = False
        self._expiry_s = session_s or (WILL_EXPIRY_S if will is not None else 0)
        self._client = self._make_client(client_id, will)

    def _make_client(self, client_id: str, will: Will | None) -> Client:
        five = self._version is MQTTProtocolVersion.MQTTv5
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if five else not self._session_s,
            protocol=self._version,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        self._identify(client)
        if will is not None:
            properties = None
            if five:
                properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
                properties.WillDelayInterval = will.delay_s
            client.will_set(will.topic, will.payload, qos=1, retain=True, properties=properties)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_disconnect = self._on_disconnect
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        return client

    def _identify(self, client: Client) -> None:
        """Read password and certificates anew, as they may be renewed. Raises CredentialsUnusable."""
        broker = self._broker
        files = (broker.ca_file, broker.certificate_file, broker.key_file)
        at = str(broker.password_file)
        try:
            if broker.username is not None:
                secret = broker.password_file
                password = secret.read_text(encoding="utf-8").strip() if secret else None
                client.username_pw_set(broker.username, password)
            if broker.ca_file is not None:
                at = ", ".join(str(file) for file in files if file)
                authority, certificate, key = (str(file) if file else None for file in files)
                client.tls_set(authority, certificate, key)
        except (OSError, ValueError) as error:
            raise CredentialsUnusable(f"cannot use {at} for the broker: {error}") from error

    async def open(self) -> None:
        """Connect and greet the broker.

        Raises:
            BrokerUnreachable: nothing answers.
            BrokerRefused: it answers with a refusal, or not as a broker would.
        """
        self._loop = asyncio.get_running_loop()
        self._answer = self._loop.create_future()
        try:
            # Name resolution and the TCP and TLS handshakes block, so they have a thread.
            await asyncio.to_thread(self._connect)
        except (OSError, ValueError) as error:
            self._lost = True
            raise BrokerUnreachable(f"no broker at {self._broker.address}: {error}") from error
        except asyncio.CancelledError:
            self._lost = True
            raise
        self._opened = True
        self._loop.add_reader(self._socket, self._readable)
        self._loop.add_writer(self._socket, self._writable)
        self._tick()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                refusal = await self._answer
        except TimeoutError:
            refusal = "it does not answer"
        except asyncio.CancelledError:
            self._drop("cancelled")
            raise
        if refusal:
            self._drop(refusal)
            self._dialect.refused()
            raise BrokerRefused(f"the broker at {self._broker.address} refuses: {refusal}")

    def _connect(self) -> None:
        five = self._version is MQTTProtocolVersion.MQTTv5
        host, port, keepalive_s = self._broker.host, self._broker.port, self._broker.keepalive_s
        if five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = self._expiry_s
            if self._session_s:
                properties.ReceiveMaximum = WINDOW_MESSAGES
            self._client.connect(
                host, port, keepalive_s, clean_start=not self._session_s, properties=properties
            )
        else:
            self._client.connect(host, port, keepalive_s)
        if self._lost and self._socket is not None:
            # Whoever asked has gone away meanwhile.
            self._socket.close()

    def news(self) -> list[LinkEvent]:
        """What has happened since this was last asked."""
        found = list(self._news)
        self._news.clear()
        return found

    def subscribe(self, filters: Sequence[str]) -> None:
        """Ask for messages, with QoS 1; the answer comes as a `Subscribed`."""
        _, mid = self._client.subscribe([(one, 1) for one in filters])
        self._asked[mid or 0] = tuple(filters)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Ask for no more of them; the answer comes as an `Unsubscribed`."""
        _, mid = self._client.unsubscribe(list(filters))
        self._asked[mid or 0] = tuple(filters)

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, message_id: str | None = None
    ) -> int:
        """Send with QoS 1, within the broker's window; the ticket returns in a `Taken`.

        Args:
            topic: where to.
            payload: what.
            retain: whether the broker keeps it for those who subscribe later.
            message_id: tells who hears it twice that it is one message; MQTT 5 only.
        """
        self._ticket += 1
        self._waiting.append(_Outgoing(self._ticket, topic, payload, retain, message_id))
        self._flush()
        return self._ticket

    def settle(self, message: Received) -> None:
        """Tell the broker that a message has been dealt with."""
        if not self._lost:
            self._client.ack(message.mid, message.qos)

    async def close(self) -> None:
        """Say goodbye, so that the broker does not speak the will, and let go."""
        if not self._lost:
            self._client.disconnect()
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._gone.wait()
            except TimeoutError:
                pass
        self._drop("closed")

    def cut(self, reason: str) -> None:
        """Let go without a word, as when the network fails: the broker finds out and speaks the will."""
        self._drop(reason)

    def _flush(self) -> None:
        while self._waiting and len(self._tickets) < self._window and not self._lost:
            one = self._waiting.popleft()
            properties = None
            if one.message_id is not None and self._version is MQTTProtocolVersion.MQTTv5:
                properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
                properties.UserProperty = (MESSAGE_ID_PROPERTY, one.message_id)
            info = self._client.publish(
                one.topic, one.payload, qos=1, retain=one.retain, properties=properties
            )
            self._tickets[info.mid] = one.ticket

    def _readable(self) -> None:
        self._guard(self._read_some)

    def _read_some(self) -> None:
        for _ in range(_READS_A_TURN):
            if self._lost or self._client.loop_read():
                break
            # Only what TLS has already unwrapped must be read now: the socket will not say so.
            pending = getattr(self._socket, "pending", None)
            if pending is None or not pending():
                break
        self._flush()

    def _writable(self) -> None:
        self._guard(self._client.loop_write)

    def _tick(self) -> None:
        """Let paho send its pings and find a broker that has gone silent."""
        if self._lost or self._loop is None:
            return
        # A loop may give up watching a socket that has an error, and tell nobody (uvloop does).
        broken = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if self._socket else 0
        if broken:
            self._drop(os.strerror(broken))
            return
        self._guard(self._client.loop_misc)
        self._misc = self._loop.call_later(1.0, self._tick)

    def _guard(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the rim: paho raises many types on bad bytes.
            self._drop(f"{type(error).__name__}: {error}")

    def _drop(self, reason: str) -> None:
        """Let go of the socket; everything after this is silence."""
        if self._misc is not None:
            self._misc.cancel()
        if self._socket is not None:
            self._forget_socket(self._socket)
        self._note_lost(reason)

    def _note_lost(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(reason or "it closed the connection")
        if not self._lost:
            self._lost = True
            self._gone.set()
            self._note(Lost(reason))

    def _note(self, event: LinkEvent) -> None:
        self._news.append(event)
        self._on_news()

    # Callbacks of paho: they only take note. `_on_socket_open` runs on the connecting thread.

    def _on_connect(
        self, _c: Client, _u: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self.resumed = bool(flags.session_present)
        maximum = getattr(properties, "ReceiveMaximum", None)
        if maximum is not None:
            # paho does not heed it, and a broker may cut the connection of one that does not.
            self._window = min(WINDOW_MESSAGES, int(maximum))
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(str(reason) if reason.is_failure else "")

    def _on_message(self, _c: Client, _u: Any, message: MQTTMessage) -> None:
        named = dict(getattr(message.properties, "UserProperty", None) or ())
        self._note(
            Received(
                message.topic,
                bytes(message.payload),
                message.mid,
                message.qos,
                duplicate=bool(message.dup),
                retained=bool(message.retain),
                message_id=named.get(MESSAGE_ID_PROPERTY) or None,
            )
        )

    def _on_subscribe(
        self, _c: Client, _u: Any, mid: int, reasons: list[ReasonCode], _p: Properties | None
    ) -> None:
        answers = list(zip(self._asked.pop(mid, ()), reasons, strict=False))
        self._note(
            Subscribed(
                tuple(one for one, reason in answers if not reason.is_failure),
                tuple((one, str(reason)) for one, reason in answers if reason.is_failure),
            )
        )

    def _on_unsubscribe(
        self, _c: Client, _u: Any, mid: int, _r: list[ReasonCode], _p: Properties | None
    ) -> None:
        self._note(Unsubscribed(self._asked.pop(mid, ())))

    def _on_publish(
        self, _c: Client, _u: Any, mid: int, reason: ReasonCode, _p: Properties | None
    ) -> None:
        ticket = self._tickets.pop(mid, None)
        if ticket is not None:
            unheard = reason.value == _NO_MATCHING_SUBSCRIBERS
            self._note(Taken(ticket, unheard=unheard, refused=reason.is_failure))

    def _on_disconnect(
        self, _c: Client, _u: Any, _f: Any, reason: ReasonCode, _p: Properties | None
    ) -> None:
        self._note_lost(str(reason))

    def _on_socket_open(self, _c: Client, _u: Any, opened: Any) -> None:
        # Without it Nagle's algorithm costs 44 ms a hop.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = opened

    def _on_socket_close(self, _c: Client, _u: Any, closed: Any) -> None:
        self._forget_socket(closed)

    def _forget_socket(self, closed: Any) -> None:
        if self._loop is not None and closed.fileno() >= 0:
            self._loop.remove_reader(closed)
            self._loop.remove_writer(closed)
        if self._lost or self._socket is closed:
            self._socket = None
        closed.close()

    def _on_register_write(self, _c: Client, _u: Any, opened: Any) -> None:
        # While the connecting thread runs nothing is written: `open` takes over from there.
        if self._opened and self._loop is not None and not self._lost:
            try:
                self._loop.add_writer(opened, self._writable)
            except RuntimeError as error:
                # The same; whoever is sending just now finds out in its turn, with all others.
                self._loop.call_soon(self._drop, str(error))

    def _on_unregister_write(self, _c: Client, _u: Any, opened: Any) -> None:
        if self._loop is not None and opened.fileno() >= 0:
            self._loop.remove_writer(opened)
