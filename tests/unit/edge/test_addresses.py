"""Names and addresses of this machine."""

from __future__ import annotations

import re

import pytest

from edge.addresses import broker, host_name, is_loopback


def test_the_hosts_name_can_stand_in_a_topic() -> None:
    """Whatever the machine is called."""
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", host_name())


@pytest.mark.parametrize(
    ("host", "own"),
    [("localhost", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("box", False)],
)
def test_what_others_can_reach(host: str, own: bool) -> None:
    """A name that is no address is taken to be reached by others."""
    assert own is is_loopback(host)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("mqtt://box", ("box", 1883, False)),
        ("mqtts://box", ("box", 8883, True)),
        ("mqtt://[::1]:18830", ("::1", 18830, False)),
        ("http://box", None),
        ("mqtt://box:99999", None),
        ("mqtt://box/path", None),
        ("mqtt://", None),
    ],
)
def test_a_brokers_address_is_taken_apart(url: str, found: tuple[str, int, bool] | None) -> None:
    """With the port that its scheme has; what is no such address is nothing."""
    assert found == broker(url)
