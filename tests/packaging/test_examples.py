"""The examples that are installed under /etc/baton are read by the real loaders."""

from __future__ import annotations

from pathlib import Path

from devices.inventory import Inventory
from edge.config import load
from tests.tidiness.tree import ROOT
from workflows.catalog import catalog

EXAMPLES = ROOT / "packaging" / "config"


def _inventory() -> Inventory:
    path = EXAMPLES / "devices.toml"
    return Inventory.load(path, clock_ms=lambda: 0, monotonic_s=lambda: 0.0)


def test_device_example_is_accepted_and_complete() -> None:
    """Devices and workflows that the example names exist, and sync waits for an address."""
    settings = load(EXAMPLES / "baton.toml")
    inventory = _inventory()
    bundled = {workflow.name for workflow in catalog()}

    assert EXAMPLES / "devices.toml" == Path(settings.devices.file)
    assert set() == set(settings.workflows.enable) - bundled
    assert [] == [one.device for one in settings.trigger if one.device not in inventory]
    assert set() == {one.workflow for one in settings.trigger} - bundled
    assert not settings.sync.enabled


def test_inputs_of_triggers_name_devices() -> None:
    """A detector that a trigger hands to its workflow is one of the inventory."""
    inventory = _inventory()
    wanted = [one.input["detector"] for one in load(EXAMPLES / "baton.toml").trigger]

    assert [] == [name for name in wanted if name not in inventory]


def test_cloud_example_is_accepted() -> None:
    """The control plane listens on the loopback, beside a device's own port."""
    settings = load(EXAMPLES / "cloud.toml", default_listen="127.0.0.1:8090")

    assert "127.0.0.1:8090" == settings.daemon.listen
    assert settings.sync.enabled


def test_devices_of_the_example_can_be_made() -> None:
    """A new box runs with the example as it is: its camera is a twin."""
    inventory = _inventory()

    assert "simulated-camera" == inventory.entry("front").driver
    camera = inventory.open("front")
    try:
        assert camera.status() is not None
    finally:
        inventory.close()
