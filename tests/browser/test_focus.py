"""The focus of who works by the keyboard: it is never lost to the top of the page.

That everything can be reached, and shows that it has the focus, is tested with the pages.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Device, Fleet, OpenTab, wall_ms
from tests.browser.device_double import picture
from tests.browser.fleet_seed import SeededDevice, analysis

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

_NOBODY = "!document.activeElement.matches('main *')"
RUNNING = "00000004-0000-4000-8000-000000000000"


def _press(page: Page, button: str) -> None:
    """Answer the question of an action with yes."""
    expect(page.locator(".actions").get_by_role("button", name=button)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_an_action_whose_button_goes_hands_the_focus_on(device: Device, open_tab: OpenTab) -> None:
    """Pause becomes Resume, and back: each is pressed without a way from the top of the page."""
    page = open_tab(device.url).open(f"workflows/{RUNNING}")
    page.locator(".actions").get_by_role("button", name="Pause").focus()

    for button in ("Pause", "Resume", "Pause"):
        _press(page, button)

    expect(page.locator(".actions").get_by_role("button", name="Resume")).to_be_focused()
    assert ["pause", "resume", "pause"] == device.double.asked


def test_a_refused_action_keeps_the_focus(device: Device, open_tab: OpenTab) -> None:
    """The button is switched off while it is asked, and has the focus again afterwards."""
    device.double.refusal = "not now"
    tab = open_tab(device.url)
    page = tab.open(f"workflows/{RUNNING}")
    page.locator(".actions").get_by_role("button", name="Pause").focus()
    _press(page, "Pause")
    expect(page.locator(".notices")).to_contain_text("not now")
    tab.faults.clear()

    expect(page.locator(".actions").get_by_role("button", name="Pause")).to_be_focused()


def test_a_row_that_goes_hands_the_focus_on(fleet: Fleet, open_tab: OpenTab) -> None:
    """A live list moves on below the reader: he stays in it; who has clicked beside it does not."""
    page = open_tab(fleet.url).open("executions")
    page.locator("tbody a.rowlink").last.focus()

    def more(first: int) -> None:
        device = SeededDevice(fleet.ledger, f"busy-{first}")
        fleet.run(device.connect())
        for number in range(first, first + 26):
            name = f"{number:08x}-3333-4000-8000-000000000000"
            bodies = analysis(name, "COMPLETED", wall_ms() - 6_000, picture())
            fleet.run(device.send(bodies, at_ms=wall_ms()))

    more(0)
    expect(page.locator("tbody tr").first).to_contain_text("busy-0")
    expect(page.locator("tbody tr").last).to_contain_text("busy-0")
    expect(page.locator("tbody :focus")).to_have_count(1)

    page.get_by_role("heading", level=1).click()
    page.wait_for_timeout(100)
    assert page.evaluate(_NOBODY)
    more(100)
    expect(page.locator("tbody tr").first).to_contain_text("busy-100")
    page.wait_for_timeout(300)
    assert page.evaluate(_NOBODY)
