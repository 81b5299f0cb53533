"""Tests of the inventory: reading, opening by name, and importing nothing too early."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from devices import inventory as devices_inventory
from devices.errors import Refused, Unreachable
from devices.inventory import DRIVERS, Inventory
from devices.simulated import camera as simulated_camera
from devices.simulated.camera import SimulatedCamera

_TWINS = """
[front]
driver = "simulated-camera"
by_hand = true

[eye]
driver = "simulated-detector"
"""


def _load(folder: Path, text: str) -> Inventory:
    path = folder / "devices.toml"
    path.write_text(text, encoding="utf-8")
    return Inventory.load(path, clock_ms=lambda: 0, monotonic_s=lambda: 0.0)


def test_devices_are_listed_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Names, drivers and settings are known without opening anything."""
    inventory = _load(tmp_path, _TWINS)

    assert ["front", "eye"] == list(inventory)
    assert 2 == len(inventory)
    assert "front" in inventory
    assert "simulated-camera" == inventory.entry("front").driver
    assert {"by_hand": True} == inventory.entry("front").settings


def test_open_makes_a_device_once_and_close_forgets_it(tmp_path: Path) -> None:
    """The same device is given again until the inventory is closed, then a new one."""
    inventory = _load(tmp_path, _TWINS)
    with pytest.raises(Unreachable, match=r"'front' is not open"):
        inventory.get("front")

    opened = inventory.open("front")

    assert opened is inventory.open("front")
    assert opened is inventory.get("front")
    inventory.close()
    inventory.close()
    assert opened is not inventory.open("front")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sede = 3", r"'front'.*unknown key sede, did you mean seed\? Known here: .*fps"),
        ("motion = {treshold = 3}", r"'front'.*in motion, unknown key treshold, did you mean thr"),
        ("colour = 1", r"'front'.*unknown key colour\. Known here: .*fps"),
    ],
)
def test_an_unknown_setting_is_named(tmp_path: Path, text: str, words: str) -> None:
    """A misspelt setting is refused with its name, the one that was meant, and the device."""
    inventory = _load(tmp_path, f'[front]\ndriver = "simulated-camera"\n{text}\n')

    with pytest.raises(Refused, match=words):
        inventory.check("front")
    with pytest.raises(Refused, match=words):
        inventory.open("front")


def test_a_setting_that_is_one_of_a_few_is_told_with_them(tmp_path: Path) -> None:
    """A way of decoding that does not exist, for example."""
    inventory = _load(tmp_path, '[front]\ndriver = "camera"\nsource = 0\ndecode = "sometimes"\n')

    with pytest.raises(Refused, match=r"decode: 'sometimes' is not one of 'always', 'adaptive'"):
        inventory.check("front")


def test_a_setting_that_is_missing_is_named(tmp_path: Path) -> None:
    """A camera without a source, for example."""
    inventory = _load(tmp_path, '[front]\ndriver = "camera"\n')

    with pytest.raises(Refused, match=r"'front'.*this key is required: `source`"):
        inventory.check("front")


def test_a_class_that_is_no_driver(tmp_path: Path) -> None:
    """The message names the device and what is missing."""
    inventory = _load(tmp_path, '[front]\ndriver = "os:getcwd"\n')

    with pytest.raises(Refused, match=r"'front'.*os:getcwd is no driver, it has no settings_type"):
        inventory.check("front")


def test_checking_opens_nothing(tmp_path: Path) -> None:
    """A device whose settings are right is not made."""
    inventory = _load(tmp_path, _TWINS)

    inventory.check("front")

    assert [] == inventory.opened()


def test_a_setting_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    """A value that cannot be is refused with the setting's name."""
    inventory = _load(tmp_path, '[front]\ndriver = "simulated-camera"\nfps = "fast"\n')

    with pytest.raises(Refused, match=r"wrong setting: fps: Expected"):
        inventory.open("front")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[front]\ndriver = "camrea"\n', "camrea.*known:.*camera"),
        ("[front]\nsource = 1\n", "'front' needs a line: driver"),
        ("driver = 1\n", "stands outside of any device"),
        ('["a/b"]\ndriver = "camera"\n', "device name 'a/b'"),
        ("[front\n", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(tmp_path: Path, text: str, word: str) -> None:
    """What is wrong with an inventory is said when it is loaded."""
    with pytest.raises(Refused, match=word):
        _load(tmp_path, text)


def test_a_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    """The message names the file that is not there."""
    with pytest.raises(Refused, match=r"nowhere.toml cannot be read"):
        Inventory.load(tmp_path / "nowhere.toml", clock_ms=lambda: 0, monotonic_s=lambda: 0.0)


def test_an_unknown_device_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """Asking for a device that is not in the file says which are."""
    with pytest.raises(Refused, match=r"no device 'back'.*eye, front"):
        _load(tmp_path, _TWINS).open("back")


def test_a_driver_that_cannot_be_imported_names_the_extra(tmp_path: Path) -> None:
    """A driver whose package is missing says what to install."""
    inventory = _load(tmp_path, '[front]\ndriver = "no_such_package.driver:Camera"\n')

    with pytest.raises(Refused, match=r"install the extra"):
        inventory.open("front")


@pytest.mark.parametrize(
    ("code", "words"),
    [("x = = 1", "SyntaxError: invalid syntax"), ("y = nothing", "NameError: name 'nothing'")],
)
def test_a_driver_with_a_fault_in_its_module_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    """A site's own module may be anything; what is wrong with it is told with the device."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "faulty_driver.py").write_text(code)

    with pytest.raises(Refused, match=rf"'scale'.*cannot be loaded \({words}"):
        _load(tmp_path, '[scale]\ndriver = "faulty_driver:Scale"').check("scale")


def test_a_driver_as_the_pages_show_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of docs/devices.md is a driver: it opens, and tells how it is."""
    monkeypatch.syspath_prepend(tmp_path)
    page = Path(__file__).parents[3].joinpath("docs/devices.md").read_text(encoding="utf-8")
    codes = [part.partition("```")[0] for part in page.split("```python\n")[1:]]
    code = next(one for one in codes if "class Scale" in one)
    (tmp_path / "scale.py").write_text(code)
    entry = page.split("```toml\n[scale]")[1].partition("```")[0]

    scale = _load(tmp_path, f"[scale]{entry}").open("scale")

    assert "reads /dev/ttyS0" == scale.status().message
    assert 71.5 == scale.weigh()


def test_a_device_that_fails_to_connect_can_be_asked_why(tmp_path: Path) -> None:
    """A camera with a wrong source stays in the inventory, broken, with the reason."""
    inventory = _load(tmp_path, '[front]\ndriver = "camera"\nsource = "nowhere.mp4"\n')

    with pytest.raises(Refused, match=r"source.*nowhere.mp4"):
        inventory.open("front")

    status = inventory.get("front").status()
    assert "broken" == status.state
    assert "nowhere.mp4" in status.message


def test_a_driver_that_hangs_takes_one_caller_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for the device meanwhile is told so, and may try again later."""
    answers = threading.Event()

    class Hanging(SimulatedCamera):
        """A camera whose cable somebody has cut half through."""

        def connect(self) -> None:
            answers.wait()

    monkeypatch.setattr(simulated_camera, "SimulatedCamera", Hanging)
    monkeypatch.setattr(devices_inventory, "_CONNECT_S", 0.05)
    inventory = _load(tmp_path, _TWINS)
    first = threading.Thread(target=inventory.open, args=("front",))
    first.start()
    try:
        while not inventory.opened():
            first.join(0.01)

        with pytest.raises(Unreachable, match=r"'front' does not come to an end of connecting"):
            inventory.open("front")
    finally:
        answers.set()
        first.join()
    assert inventory.open("front") is inventory.get("front")


def test_nothing_heavy_is_imported_before_a_device_is_opened(tmp_path: Path) -> None:
    """Loading an inventory of cameras and detectors imports neither cv2 nor onnxruntime."""
    path = tmp_path / "devices.toml"
    drivers = "".join(f'[d{n}]\ndriver = "{name}"\n' for n, name in enumerate(DRIVERS))
    path.write_text(drivers, encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from devices.inventory import Inventory;"
        f"Inventory.load(Path({str(path)!r}), clock_ms=lambda: 0, monotonic_s=lambda: 0.0);"
        "heavy = {'cv2', 'onnxruntime', 'numpy', 'devices.simulated', 'devices.drivers.camera'};"
        "print(sorted(heavy & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


def test_making_a_camera_does_not_import_cv2(tmp_path: Path) -> None:
    """cv2 is imported when a camera connects, not when its driver is."""
    code = (
        "import sys; import devices.drivers.camera, devices.simulated.camera;"
        "print('cv2' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "False" == done.stdout.strip()
