"""Pages on a link that swallows what is sent: nobody hangs up, and nothing comes.

What a page does when its server ends is tested with the pages.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Device, Fleet, OpenTab, Served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def _follow_the_silence(served: Served, page: Page, address: str) -> None:
    """The page says that nothing comes, keeps what it has, and goes on when there is an answer."""
    page.clock.install()
    page.goto(f"{served.url}/#/{address}")
    expect(page.locator(".stream")).to_have_text("Live")
    expect(page.locator("main tbody tr").first).to_be_visible()
    with served.hanging():
        page.clock.fast_forward(10_000)
        page.wait_for_timeout(300)
        page.clock.fast_forward(35_000)
        expect(page.locator(".stream")).to_have_text("Reconnecting")
        page.clock.fast_forward(35_000)
        expect(page.locator("main .trouble").first).to_contain_text("No answer for 30 s.")
        expect(page.locator("main tbody tr").first).to_be_visible()
    page.clock.fast_forward(45_000)
    expect(page.locator(".stream")).to_have_text("Live")
    expect(page.locator("main .trouble")).to_have_count(0)


def test_the_dashboard_says_that_nothing_comes(fleet: Fleet, open_tab: OpenTab) -> None:
    """Who looks is told after half a minute; the stream after forty seconds."""
    _follow_the_silence(fleet, open_tab(fleet.url).page, "devices")


def test_the_console_says_that_nothing_comes(device: Device, open_tab: OpenTab) -> None:
    """The same of a device."""
    _follow_the_silence(device, open_tab(device.url).page, "")


def test_a_picture_that_does_not_come_is_not_shown_for_ever(
    device: Device, open_tab: OpenTab
) -> None:
    """After half a minute without an answer the camera is told of in words."""
    page = open_tab(device.url).page
    page.clock.install()
    page.goto(f"{device.url}/#/")
    picture = page.get_by_alt_text("Live picture of front")
    expect(picture).to_be_visible()

    with device.hanging():
        page.clock.fast_forward(2_000)
        page.wait_for_timeout(300)
        page.clock.fast_forward(31_000)
        expect(picture).to_have_count(0)
    page.clock.fast_forward(6_000)
    expect(picture).to_be_visible()
