"""The fleet dashboard in a real browser, on a real ledger filled the way devices fill it."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import expect

from sync.control_plane.ledger import Ledger
from tests.browser.conftest import Fleet, OpenTab, wall_ms
from tests.browser.device_double import picture
from tests.browser.fleet_seed import SeededDevice, analysis, workflow

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

DONE = "00000000-1111-4000-8000-000000000000"
NEW = "eeee0000-1111-4000-8000-000000000000"

ADDRESSES = {
    "devices": "devices",
    "executions": "executions",
    "execution": f"executions/gate-7/{DONE}",
    "task": f"executions/gate-7/{DONE}/task/{DONE}-05",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_page_is_accessible(
    fleet: Fleet, open_tab: OpenTab, scheme: Literal["light", "dark"], width: int
) -> None:
    """Names, alternative texts, contrast and width hold on every page, light, dark and narrow."""
    tab = open_tab(fleet.url, width=width, scheme=scheme)
    for name, address in ADDRESSES.items():
        tab.open(address)
        tab.page.wait_for_selector(".panel")
        if name in ("execution", "task"):
            tab.page.wait_for_selector(".evidence img")
        tab.shoot(f"fleet-{name}-{width}-{scheme}")

        assert [] == tab.audit(), name


def test_devices_show_how_they_are(fleet: Fleet, open_tab: OpenTab) -> None:
    """State, backlog, what was done and what failed in a day, for each device."""
    page = open_tab(fleet.url).open()
    gate = page.locator("tbody tr", has_text="gate-7")
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(gate).to_contain_text("Online")
    expect(gate.locator("td").nth(5)).to_have_text("40")
    expect(gate.locator("td").nth(6)).to_have_text("7")
    expect(page.locator("tbody tr", has_text="yard-2")).to_contain_text("Offline")
    page.get_by_label("State").select_option("offline")

    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_label("Fleet in figures")).to_contain_text("2 of 3")
    expect(page.get_by_label("Fleet in figures")).to_contain_text("Sync lag p50")


def test_a_device_leads_to_its_executions(fleet: Fleet, open_tab: OpenTab) -> None:
    """From a device to what it ran, then narrowed by status, then opened."""
    page = open_tab(fleet.url).open()
    page.get_by_role("link", name="gate-7").click()
    expect(page.locator("tbody tr")).to_have_count(25)
    page.get_by_role("button", name="Older").click()
    expect(page.locator(".pager")).to_contain_text("26 to 40")
    page.get_by_role("button", name="Newer").click()
    page.get_by_label("Status").select_option("FAILED")
    expect(page.locator("tbody tr")).to_have_count(7)
    page.get_by_label("Workflow name").fill("no_such")
    expect(page.locator("main")).to_contain_text("Nothing matches")
    page.get_by_role("link", name="Clear the filters").click()
    page.locator("tbody tr a").first.click()

    expect(page.get_by_role("heading", level=1)).to_have_text("video_analysis")
    expect(page.locator(".heading")).to_contain_text("gate-7")


def test_the_snapshot_comes_from_the_ledger(fleet: Fleet, open_tab: OpenTab) -> None:
    """The picture that a device kept is drawn from the bytes that arrived."""
    page = open_tab(fleet.url).open(f"executions/gate-7/{DONE}")
    image = page.get_by_alt_text("Evidence snapshot/front.png").first
    expect(image).to_be_visible()

    assert 320 == image.evaluate("image => image.decode().then(() => image.naturalWidth)")
    expect(page.get_by_role("option")).to_have_count(5)
    page.get_by_role("option", name="annotate").click()
    expect(page.get_by_role("region", name="Task annotate")).to_contain_text("frames")


async def _new_execution(ledger: Ledger, status: str) -> None:
    """History of one more execution on a fourth device."""
    device = SeededDevice(ledger, "pier-4")
    now_ms = wall_ms()
    if status == "RUNNING":
        await device.connect()
        await device.send([workflow(NEW, status, now_ms)], at_ms=now_ms)
    else:
        await device.send(
            [workflow(NEW, "RUNNING", now_ms), *analysis(NEW, status, now_ms, picture())],
            at_ms=now_ms,
        )


def test_history_appears_without_reload(fleet: Fleet, open_tab: OpenTab) -> None:
    """What arrives is on the screen by itself: the device, its execution, then its end."""
    page = open_tab(fleet.url).open("executions")
    expect(page.locator(".stream")).to_have_text("Live")
    page.evaluate("window.sameDocument = true")
    fleet.run(_new_execution(fleet.ledger, "RUNNING"))
    expect(page.locator("tbody tr").first).to_contain_text("pier-4")
    page.locator("tbody tr a").first.click()
    expect(page.locator(".heading")).to_contain_text("Running")
    fleet.run(_new_execution(fleet.ledger, "COMPLETED"))

    expect(page.locator(".heading")).to_contain_text("Completed")
    expect(page.get_by_alt_text("Evidence snapshot/front.png").first).to_be_visible()
    assert page.evaluate("window.sameDocument")


def test_a_restart_is_shown_and_survived(fleet: Fleet, open_tab: OpenTab) -> None:
    """While the control plane is away the page says so; when it is back, what was missed comes."""
    tab = open_tab(fleet.url)
    page = tab.open("executions")
    expect(page.locator(".stream")).to_have_text("Live")
    page.evaluate("window.sameDocument = true")
    fleet.stop()
    expect(page.locator(".stream")).to_have_text("Reconnecting")
    expect(page.locator("tbody tr")).to_have_count(25)
    returned = fleet.again()
    returned.run(_new_execution(returned.ledger, "RUNNING"))

    expect(page.locator(".stream")).to_have_text("Live", timeout=20_000)
    expect(page.locator("tbody tr").first).to_contain_text("pier-4")
    assert page.evaluate("window.sameDocument")
    returned.stop()
    # Chromium writes down each request that failed in the meantime.
    tab.faults[:] = [fault for fault in tab.faults if "net::ERR_" not in fault]


def test_an_empty_fleet_says_what_to_do_next(fresh_fleet: Fleet, open_tab: OpenTab) -> None:
    """Nothing there yet is not a blank page: each place names the next step."""
    tab = open_tab(fresh_fleet.url)
    page = tab.open()
    expect(page.locator("main")).to_contain_text("No device has reported yet")
    expect(page.locator("main pre")).to_contain_text("baton run")
    tab.shoot("fleet-empty")
    assert [] == tab.audit()
    tab.open("executions")

    expect(page.locator("main")).to_contain_text("No execution has arrived yet")
    assert [] == tab.audit()
