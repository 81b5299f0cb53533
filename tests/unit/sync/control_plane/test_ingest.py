"""The ingest's leaf: what a presence message says. The rest meets real brokers."""

from __future__ import annotations

import pytest

from sync.control_plane import ingest
from sync.control_plane.truth import Presence
from sync.link import Received
from sync.topics import Address

TOPIC = "baton/1/default/roof/presence"


def test_a_birth_is_read() -> None:
    """State, place and release; unknown fields are ignored."""
    payload = b'{"state":"online","epoch":1,"boot":2,"session":3,"version":"1.0","more":[]}'
    expected = Presence(Address("default", "roof"), True, 1, 2, 3, "1.0")

    assert expected == ingest._read_presence(Received(TOPIC, payload, 1, 1))


def test_anything_but_online_is_offline() -> None:
    """A state of a later release is not taken for a connection."""
    payload = b'{"state":"asleep","epoch":1,"boot":2,"session":3}'
    presence = ingest._read_presence(Received(TOPIC, payload, 1, 1))

    assert presence is not None
    assert not presence.online


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (TOPIC, b""),
        (TOPIC, b"\xff"),
        (TOPIC, b"[" * 10_000),
        (TOPIC, b'{"state":"online","epoch":-1,"boot":2,"session":3}'),
        (TOPIC, b'{"state":"online"}'),
        ("baton/1/default/roof/other", b'{"state":"online","epoch":1,"boot":2,"session":3}'),
        ("elsewhere", b'{"state":"online","epoch":1,"boot":2,"session":3}'),
    ],
)
def test_rubbish_says_nothing(topic: str, payload: bytes) -> None:
    """An emptied retained message, noise and foreign topics are passed over."""
    assert ingest._read_presence(Received(topic, payload, 1, 1)) is None
