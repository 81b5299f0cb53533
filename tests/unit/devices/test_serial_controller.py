"""The driver of serial lines over a real pseudo-terminal, and what every Controller must do."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devices.capabilities import Controller, ControllerState, Surroundings
from devices.drivers.serial_controller import SerialController, SerialControllerSettings
from devices.errors import Refused, Unreachable
from devices.simulated.controller import SimulatedController, SimulatedControllerSettings
from edge.clock import SystemClock

ANSWERS = {"T?": "21.5", "N?": "seven", "long": "x" * 1_000}


class Firmware:
    """A board at the far end of a pseudo-terminal, which answers on a thread of its own."""

    def __init__(self) -> None:
        self._far, self._near = pty.openpty()
        tty.setraw(self._far)
        tty.setraw(self._near)
        self.port = os.ttyname(self._near)
        self.held: list[bytes] = []
        """Answers that are sent later than they are waited for: see `let_go`."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, text: bytes) -> None:
        """Send something that nobody has asked for."""
        os.write(self._far, text)

    def let_go(self) -> None:
        """Send the answers that were held."""
        while self.held:
            self.say(self.held.pop(0))

    def unplug(self) -> None:
        """End, as if the cable had been pulled out."""
        self._ended.set()
        self._thread.join(5)
        for end in (self._far, self._near):
            if end >= 0:
                os.close(end)
        self._far = self._near = -1

    def _run(self) -> None:
        rest = b""
        while not self._ended.is_set():
            if not select.select([self._far], [], [], 0.02)[0]:
                continue
            *lines, rest = (rest + os.read(self._far, 4_096)).split(b"\n")
            for line in lines:
                self._hear(line.strip().decode())

    def _hear(self, line: str) -> None:
        if line == "late":
            self.held.append(b"too late\n")
        elif line == "noise":
            self.say(b"\xff\xfe\x00\n")
        elif line == "endless":
            self.say(b"y" * 5_000)
        elif line in ANSWERS:
            self.say(ANSWERS[line].encode() + b"\r\n")


@pytest.fixture
def firmware() -> Iterator[Firmware]:
    """Give a board."""
    made = Firmware()
    yield made
    made.unplug()


def _surroundings() -> Surroundings:
    clock = SystemClock()
    return Surroundings(clock.now_ms, lambda: clock.monotonic_ms() / 1000, Path())


def _driver(firmware: Firmware, **settings: object) -> SerialController:
    given = {"port": firmware.port, "answer_s": 0.3, **settings}
    return SerialController("board", SerialControllerSettings(**given), _surroundings())  # type: ignore[arg-type]


@pytest.fixture(params=["driver", "twin"])
def controller(request: pytest.FixtureRequest, firmware: Firmware) -> Iterator[Controller]:
    """Give each kind of controller, not connected."""
    made: Controller
    if request.param == "driver":
        made = _driver(firmware)
    else:
        twin = SimulatedControllerSettings(answers=ANSWERS)
        made = SimulatedController("board", twin, _surroundings())
    yield made
    made.close()


def test_a_question_is_answered(controller: Controller) -> None:
    """To connect twice is to connect once; the status counts, and says when."""
    assert ControllerState.CONNECTING is controller.status().state
    controller.connect()
    controller.connect()

    assert ["21.5", "seven", "x" * 1_000] == [controller.ask(one) for one in ANSWERS]
    shown = controller.status()
    assert (ControllerState.ONLINE, 3, 3, "") == (
        shown.state, shown.asked, shown.answered, shown.message,
    )  # fmt: skip
    assert 0 < shown.last_answer_ms


def test_a_controller_that_is_not_connected_is_unreachable(controller: Controller) -> None:
    """Before connecting and after closing; it may be connected again."""
    with pytest.raises(Unreachable, match="not connected"):
        controller.ask("T?")
    controller.connect()
    controller.close()
    controller.close()
    with pytest.raises(Unreachable, match="not connected"):
        controller.ask("T?")
    controller.connect()
    assert "21.5" == controller.ask("T?")


@pytest.mark.parametrize("question", ["", "  ", "a\nb", "a\r", "\x00", "x" * 4_097])
def test_what_is_no_line_is_refused(controller: Controller, question: str) -> None:
    """A second line in it would be a question of its own, whose answer would come too late."""
    controller.connect()
    with pytest.raises(Refused, match="a question is one line"):
        controller.ask(question)
    assert 0 == controller.status().asked


def test_a_question_without_an_answer_is_unreachable(controller: Controller) -> None:
    """The status says so until the next one is answered."""
    controller.connect()
    with pytest.raises(Unreachable, match="no answer"):
        controller.ask("anybody?")
    lost = controller.status()
    assert (ControllerState.LOST, 1, 0) == (lost.state, lost.asked, lost.answered)
    assert "no answer" in lost.message
    assert "21.5" == controller.ask("T?")
    assert ControllerState.ONLINE is controller.status().state


def test_everybody_gets_the_answer_to_his_own_question(controller: Controller) -> None:
    """Questions of many threads go one after the other."""
    controller.connect()
    questions = ["T?", "N?"] * 10
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(controller.ask, questions))

    assert [ANSWERS[one] for one in questions] == found


def test_a_late_answer_is_nobodys(firmware: Firmware) -> None:
    """Nor is what the board says by itself."""
    driver = _driver(firmware)
    driver.connect()
    try:
        firmware.say(b"ready\n")
        with pytest.raises(Unreachable, match=r"no answer within 0.3 s"):
            driver.ask("late")
        firmware.let_go()
        assert "21.5" == driver.ask("T?")
        firmware.say(b"by the way\n")
        assert "seven" == driver.ask("N?")
    finally:
        driver.close()


@pytest.mark.parametrize(
    ("question", "said"), [("noise", "is baud_rate right"), ("endless", "more than 4096 bytes")]
)
def test_what_is_no_answer_is_told(firmware: Firmware, question: str, said: str) -> None:
    """The next question has its own again."""
    driver = _driver(firmware)
    driver.connect()
    try:
        with pytest.raises(Unreachable, match=said):
            driver.ask(question)
        assert said in driver.status().message
        assert "21.5" == driver.ask("T?")
    finally:
        driver.close()


def test_a_board_that_never_ceases_to_talk_cannot_be_asked(firmware: Firmware) -> None:
    """It is said so; nobody waits for silence for ever."""
    driver = _driver(firmware, answer_s=0.05)
    driver.connect()
    quiet = threading.Event()

    def talk() -> None:
        while not quiet.wait(0.01):
            firmware.say(b"and ")

    with pytest.raises(Unreachable):
        driver.ask("nobody?")
    talking = threading.Thread(target=talk)
    talking.start()
    try:
        with pytest.raises(Unreachable, match="does not cease to talk"):
            driver.ask("T?")
    finally:
        quiet.set()
        talking.join()
        driver.close()


def test_a_line_that_is_gone_is_opened_again(firmware: Firmware, tmp_path: Path) -> None:
    """By the next question, under the same path: a name below /dev/serial/by-id points elsewhere."""
    path = tmp_path / "board"
    path.symlink_to(firmware.port)
    driver = _driver(firmware, port=str(path))
    driver.connect()
    assert "21.5" == driver.ask("T?")

    firmware.unplug()
    path.unlink()
    for _ in range(2):
        with pytest.raises(Unreachable, match=r"gone|cannot be opened"):
            driver.ask("T?")
    assert ControllerState.LOST is driver.status().state
    other = Firmware()
    try:
        path.symlink_to(other.port)
        assert "21.5" == driver.ask("T?")
    finally:
        driver.close()
        other.unplug()


def test_a_line_that_is_not_there_is_unreachable(firmware: Firmware, tmp_path: Path) -> None:
    """The daemon connects again later; the status has the path."""
    driver = _driver(firmware, port=str(tmp_path / "none"))
    with pytest.raises(Unreachable, match=f"the line {tmp_path}/none cannot be opened"):
        driver.connect()
    assert str(tmp_path) in driver.status().message


def test_closing_waits_for_nobody_who_is_asking(firmware: Firmware) -> None:
    """A daemon that stops does not wait for an answer that will not come."""
    driver = _driver(firmware, answer_s=30)
    driver.connect()
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(driver.ask, "nobody?")
        while not driver.status().asked:
            threading.Event().wait(0.01)
        threading.Event().wait(0.05)
        driver.close()
        with pytest.raises(Unreachable):
            asking.result(5)


def test_a_board_that_starts_when_it_is_opened_is_given_time(firmware: Firmware) -> None:
    """What it says meanwhile is no answer."""
    driver = _driver(firmware, boot_s=0.1, ending="crlf")
    firmware.say(b"bootloader 1.0\r\nready\r\n")
    driver.connect()
    try:
        assert "21.5" == driver.ask("T?")
    finally:
        driver.close()


def test_without_pyserial_the_extra_is_named() -> None:
    """Nothing is imported before the line is opened, and what is missing can be installed."""
    code = (
        "import sys; sys.modules['serial'] = None\n"
        "from devices.capabilities import Surroundings\n"
        "from devices.drivers.serial_controller import *\n"
        "from devices.errors import Refused\n"
        "made = SerialController('b', SerialControllerSettings('/dev/none'), None)\n"
        "try: made.connect()\n"
        "except Refused as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "install the extra baton[serial]" in done.stdout
