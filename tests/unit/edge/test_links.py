"""The configuration's broker as the link takes it."""

from __future__ import annotations

from pathlib import Path

from edge.config import SyncSettings
from edge.links import Dice, broker


def test_a_plain_broker_has_no_secrets() -> None:
    """Empty texts are none."""
    found = broker(SyncSettings(broker="mqtt://somewhere:1999"))

    assert ("somewhere", 1999, None, None) == (
        found.host,
        found.port,
        found.username,
        found.ca_file,
    )


def test_tls_always_checks_the_broker() -> None:
    """Against the authority that is named, else against those of the system."""
    own = broker(SyncSettings(broker="mqtts://h", ca_file="/ca.pem", username="u"))

    assert (Path("/ca.pem"), "u", 8883) == (own.ca_file, own.username, own.port)


def test_chance_stays_between_its_bounds() -> None:
    """For the jitter between attempts."""
    dice = Dice()

    assert all(1.0 <= dice.uniform(1.0, 2.0) < 2.0 for _ in range(100))
