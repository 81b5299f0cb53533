"""Messages of events through a real broker, both ways, while the daemon is killed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.daemon import Daemon
from tests.integration.sync_doubles import (
    Process,
    amqtt,
    free_port,
    mosquitto,
    running,
    wait_for_port,
)

pytestmark = [pytest.mark.timeout(120)]

_WAIT = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}


class Site:
    """Whoever else is at the broker: it speaks, and it hears."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, Any]] = []
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="site", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _hear(self, _c: Client, _u: Any, message: MQTTMessage) -> None:
        self.heard.append((message.topic, msgspec.json.decode(message.payload)))

    def listen(self, topic: str) -> None:
        """Subscribe, once the broker has greeted us."""
        _until(self._client.is_connected, "connected")
        self._client.subscribe(topic, 1)

    def say(
        self, topic: str, payload: Any, *, retain: bool = False, message_id: str | None = None
    ) -> None:
        """Publish with QoS 1 and wait until the broker has it."""
        properties = None
        if message_id is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.UserProperty = ("messageId", message_id)
        content = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        info = self._client.publish(topic, content, qos=1, retain=retain, properties=properties)
        info.wait_for_publish(10)
        assert info.is_published()

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def _site(port: int) -> Iterator[Site]:
    site = Site(port)
    try:
        yield site
    finally:
        site.leave()


def _config(port: int, section: str = "events", **keys: Any) -> str:
    lines = [f"[{section}]", f'broker = "mqtt://127.0.0.1:{port}"']
    if section == "sync":
        lines.append('device = "roof"')
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in keys.items())]) + "\n"


def _until(true: Callable[[], bool], what: str, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(0.02)
    raise AssertionError(f"after {limit_s} s still not: {what}")


def _define(daemon: Daemon, event: str, **action: Any) -> None:
    daemon.call("POST", "/metadata/workflow", {"name": "heard", "tasks": [_WAIT]})
    start = {"name": "heard", "input": {"all": "${$}"}, **action}
    handler = {
        "name": "h",
        "event": event,
        "active": True,
        "actions": [{"action": "start_workflow", "start_workflow": start}],
    }
    daemon.call("POST", "/event", handler)


def _listens(daemon: Daemon, *filters: str) -> bool:
    mqtt = daemon.call("GET", "/v1/events")["mqtt"]
    return bool(mqtt["connected"]) and sorted(filters) == mqtt["filters"]


def _heard(daemon: Daemon) -> list[dict[str, Any]]:
    """The workflows that messages have started, oldest first."""
    ids = daemon.call("GET", "/workflow/running/heard")
    return [daemon.call("GET", f"/workflow/{one}?includeTasks=false") for one in ids]


def _count(daemon: Daemon) -> int:
    return len(daemon.call("GET", "/workflow/running/heard"))


@pytest.mark.parametrize("section", ["events", "sync"])
def test_a_message_starts_a_workflow(tmp_path: Path, section: str) -> None:
    """With the broker of the sync or one of its own; the topic, whatever the filter, is told."""
    port = free_port()
    broker = mosquitto(tmp_path, port)

    with running(broker):
        broker.start()
        wait_for_port(port)
        with (
            Daemon(tmp_path / "data", config=_config(port, section)) as daemon,
            _site(port) as site,
        ):
            _define(daemon, "mqtt:site/+/door")
            _until(lambda: _listens(daemon, "site/+/door"), "subscribed")
            site.say("site/gate/door", {"state": "open", "n": [1]})
            site.say("site/gate/window", {"state": "open"})
            site.say("site/yard/door", b"21.5")
            _until(lambda: _count(daemon) == 2, "started")
            first, second = _heard(daemon)
            mqtt = daemon.call("GET", "/v1/events")["mqtt"]

    assert {"state": "open", "n": [1]} == first["input"]["all"]
    assert "mqtt:site/gate/door" == first["event"] == first["input"]["conductor.event.name"]
    assert {"value": 21.5} == second["input"]["all"]
    assert "mqtt:site/yard/door" == second["event"]
    assert (2, 0) == (mqtt["received"], mqtt["dropped"])


def test_each_message_acts_once_while_the_daemon_is_killed(tmp_path: Path) -> None:
    """0 lost and 0 twice of 400 messages, sent while the daemon is killed four times.

    They bear no id of their own: what the broker sends again is known by its number and bytes. Two
    of them always are the same, and both count.
    """
    port = free_port()
    broker = mosquitto(tmp_path, port)
    data, config = tmp_path / "data", _config(port, messages_per_s=400)
    wanted: Counter[int] = Counter()

    with running(broker):
        broker.start()
        wait_for_port(port)
        with _site(port) as site:
            with Daemon(data, config=config) as daemon:
                _define(daemon, "mqtt:counted")
                _until(lambda: _listens(daemon, "counted"), "subscribed")
                _send(site, wanted, 0, 60)
                daemon.kill()
            for round_ in range(1, 4):
                _send(site, wanted, round_, 40)
                with Daemon(data, config=config) as daemon:
                    _send(site, wanted, round_, 70)
                    daemon.kill()
            _send(site, wanted, 4, 10)
            with Daemon(data, config=config) as daemon:
                total = sum(wanted.values())
                _until(lambda: _count(daemon) >= total, f"{total} heard")
                time.sleep(0.5)
                heard = Counter(one["input"]["all"]["n"] for one in _heard(daemon))

    assert 400 == total
    assert wanted == heard


def _send(site: Site, wanted: Counter[int], round_: int, count: int) -> None:
    for number in range(count):
        n = round_ * 1000 + number // 2
        wanted[n] += 1
        site.say("counted", {"n": n})


def test_a_workflow_hears_what_another_says(tmp_path: Path) -> None:
    """Out through the broker and in again; others hear it too, with the payload of the task."""
    port = free_port()
    broker = mosquitto(tmp_path, port)
    say = {
        "name": "say",
        "taskReferenceName": "say",
        "type": "EVENT",
        "sink": "mqtt:site/${workflow.input.where}",
        "inputParameters": {"n": "${workflow.input.n}"},
    }

    with running(broker):
        broker.start()
        wait_for_port(port)
        with Daemon(tmp_path / "data", config=_config(port)) as daemon:
            _define(daemon, "mqtt:site/#", correlationId="${n}")
            daemon.call("POST", "/metadata/workflow", {"name": "says", "tasks": [say]})
            _until(lambda: _listens(daemon, "site/#"), "subscribed")
            broker.kill()
            for number in range(5):
                body = {"name": "says", "input": {"n": number, "where": "roof"}}
                daemon.call("POST", "/workflow", body)
            daemon.kill()
        broker.start()
        wait_for_port(port)
        with _site(port) as site:
            site.listen("site/#")
            with Daemon(tmp_path / "data", config=_config(port)) as again:
                _until(lambda: _count(again) == 5, "heard again")
                started = _heard(again)
            _until(lambda: len(site.heard) == 5, "heard by others")

    assert ["0", "1", "2", "3", "4"] == sorted(one["correlationId"] for one in started)
    assert {"mqtt:site/roof"} == {payload["event_produced"] for _, payload in site.heard}
    assert {"site/roof"} == {topic for topic, _ in site.heard}


def test_what_is_retained_is_heard_once(tmp_path: Path) -> None:
    """Neither a restart of the daemon nor another subscription to the same repeats it."""
    port = free_port()
    broker = mosquitto(tmp_path, port)

    with running(broker):
        broker.start()
        wait_for_port(port)
        with _site(port) as site:
            site.say("state", {"is": "armed"}, retain=True)
            with Daemon(tmp_path / "data", config=_config(port)) as daemon:
                _define(daemon, "mqtt:state")
                _until(lambda: _count(daemon) == 1, "the last word is heard")
                daemon.kill()
            with Daemon(tmp_path / "data", config=_config(port)) as daemon:
                _until(lambda: _listens(daemon, "state"), "subscribed")
                # With every subscription the broker sends again what it retains.
                handlers = daemon.call("GET", "/event")
                daemon.call("DELETE", "/event/h")
                _until(lambda: _listens(daemon), "unsubscribed")
                daemon.call("POST", "/event", handlers)
                _until(lambda: _listens(daemon, "state"), "subscribed again")
                site.say("state", {"is": "off"}, retain=True)
                _until(lambda: _count(daemon) == 2, "the next word is heard")
                heard = [one["input"]["all"]["is"] for one in _heard(daemon)]

    assert ["armed", "off"] == heard


def test_a_name_of_the_sender_makes_one_of_two(tmp_path: Path) -> None:
    """In a property or in the payload; messages that are too large, or for nobody, do nothing."""
    port = free_port()
    broker = mosquitto(tmp_path, port)

    with running(broker):
        broker.start()
        wait_for_port(port)
        config = _config(port, max_message_bytes=1_000)
        with Daemon(tmp_path / "data", config=config) as daemon, _site(port) as site:
            _define(daemon, "mqtt:#")
            _until(lambda: _listens(daemon, "#"), "subscribed")
            for _ in range(2):
                site.say("a", {"n": 1}, message_id="one")
                site.say("a", {"n": 2, "messageId": "two"})
                site.say("a", {"n": 3})
            site.say("a", {"n": 4, "x": "y" * 1_000})
            site.say("baton/1/default/roof/up/2", {"n": 5})
            site.say("a", {"n": 6})
            _until(lambda: _count(daemon) == 5, "heard")
            heard = sorted(one["input"]["all"]["n"] for one in _heard(daemon))
            mqtt = daemon.call("GET", "/v1/events")["mqtt"]

    assert [1, 2, 3, 3, 6] == heard
    assert 1 == mqtt["dropped"]


@pytest.mark.parametrize("make_broker", [mosquitto, amqtt], ids=["mosquitto", "amqtt"])
def test_handlers_come_and_go(tmp_path: Path, make_broker: Callable[[Path, int], Process]) -> None:
    """On MQTT 5 and 3.1.1: a filter is heard from the moment a handler wants it until none does."""
    port = free_port()
    broker = make_broker(tmp_path, port)

    with running(broker):
        broker.start()
        wait_for_port(port)
        with Daemon(tmp_path / "data", config=_config(port)) as daemon:
            before = daemon.call("GET", "/v1/events")["mqtt"]
            _define(daemon, "mqtt:a/#")
            _until(lambda: _listens(daemon, "a/#"), "subscribed")
            handler = daemon.call("GET", "/event/handler/h")
            daemon.call("PUT", "/event", {**handler, "event": "mqtt:b"})
            _until(lambda: _listens(daemon, "b"), "moved")
            daemon.call("PUT", "/event", {**handler, "active": False})
            _until(lambda: _listens(daemon), "asleep")

    assert before["connected"] is False
