"""Names and addresses of this machine."""

from __future__ import annotations

import re

import pytest

from edge.addresses import host_name, is_loopback


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
