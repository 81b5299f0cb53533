"""The twin controller's cues; what every Controller must do stands beside the driver's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.capabilities import ControllerState, Surroundings
from devices.errors import Unreachable
from devices.inventory import Inventory
from devices.simulated.controller import SimulatedController, SimulatedControllerSettings


def test_a_twin_is_lost_and_restored_on_cue() -> None:
    """Both a question and connecting fail, with the reason in the status."""
    settings = SimulatedControllerSettings(answers={"T?": " 20 "})
    twin = SimulatedController("board", settings, Surroundings(lambda: 5, lambda: 0.0, Path()))
    twin.connect()
    twin.lose("a mouse was here")
    for call in (twin.connect, lambda: twin.ask("T?")):
        with pytest.raises(Unreachable, match="a mouse was here"):
            call()
    assert ControllerState.LOST is twin.status().state

    twin.restore()
    assert "20" == twin.ask("T?")
    assert (5, "") == (twin.status().last_answer_ms, twin.status().message)


def test_an_inventory_holds_both_kinds(tmp_path: Path) -> None:
    """By the names of their drivers; what is wrong with a setting is said before anything is opened."""
    path = tmp_path / "devices.toml"
    path.write_text(
        '[real]\ndriver = "serial-controller"\nport = "/dev/none"\nbaud_rate = 9600\n'
        '[twin]\ndriver = "simulated-controller"\nanswers = { "T?" = "21.5" }\n'
    )
    inventory = Inventory.load(path, clock_ms=lambda: 0, monotonic_s=lambda: 0.0)
    for name in inventory:
        inventory.check(name)

    assert "21.5" == inventory.open("twin").ask("T?")
    with pytest.raises(Unreachable, match="/dev/none cannot be opened"):
        inventory.open("real")
    inventory.close()
