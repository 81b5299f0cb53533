"""The fleet dashboard in a real browser, on a real ledger filled the way devices fill it."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import expect

from sync.control_plane.ledger import Ledger
from tests.browser.conftest import Fleet, OpenTab, unreached, wall_ms
from tests.browser.dash_world import call, enrich
from tests.browser.device_double import picture
from tests.browser.fleet_seed import SeededDevice, analysis, workflow

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

DONE = "00000000-1111-4000-8000-000000000000"
NEW = "eeee0000-1111-4000-8000-000000000000"

LEFT, RIGHT = f"gate-7%2F{DONE}", "gate-7%2F00000002-1111-4000-8000-000000000000"

ADDRESSES = {
    "overview": "overview",
    "devices": "devices",
    "device": "devices/gate-7",
    "groups": "groups",
    "group": "groups/pilots",
    "executions": "executions",
    "execution": f"executions/gate-7/{DONE}",
    "task": f"executions/gate-7/{DONE}/task/{DONE}-05",
    "compare": f"compare?left={LEFT}&right={RIGHT}",
    "compare-choose": f"compare?left={LEFT}",
    "orders": "orders",
    "order": "orders/{order}",
    "order-new": "orders/new?to=group&group=cameras",
    "campaigns": "campaigns",
    "campaign": "campaigns/{campaign}",
    "wanted": "wanted",
    "wanted-item": "wanted/workflow/night_watch",
    "push": "wanted/workflow/night_watch/push",
    "alerts": "alerts",
    "alert-rules": "alerts/rules",
    "alert-channels": "alerts/channels",
    "access": "access",
    "audit": "audit",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_every_page_is_accessible(
    fleet: Fleet, open_tab: OpenTab, scheme: Literal["light", "dark"], width: int
) -> None:
    """Names, alternative texts, headings, contrast and width hold, light, dark and narrow."""
    made = enrich(fleet)
    tab = open_tab(fleet.url, width=width, scheme=scheme)
    for name, address in ADDRESSES.items():
        tab.open(address.format(**made))
        tab.page.wait_for_selector(".panel, .search")
        expect(tab.page.locator(".waiting")).to_have_count(0)
        if name in ("execution", "task"):
            tab.page.wait_for_selector(".evidence img")
        tab.shoot(f"fleet-{name}-{width}-{scheme}")

        assert [] == tab.audit(), name


def test_every_page_is_reached_by_the_keyboard(fleet: Fleet, open_tab: OpenTab) -> None:
    """Tab comes past everything that can be done, in sight; a new page begins at its heading."""
    made = enrich(fleet)
    for name in ("overview", "devices", "order-new", "access", "compare"):
        # A page that is opened first leaves the focus where it is.
        page = open_tab(fleet.url).open(ADDRESSES[name].format(**made))
        expect(page.locator(".panel").first).to_be_visible()
        expect(page.locator(".waiting")).to_have_count(0)
        assert [] == unreached(page), name
    page = open_tab(fleet.url).open("overview")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.get_by_role("link", name="Groups").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1, name="Groups")).to_be_focused()
    expect(page).to_have_title("Groups · Fleet · Baton")


def test_the_overview_shows_the_fleet_at_one_look(fleet: Fleet, open_tab: OpenTab) -> None:
    """Devices by state and release, executions by hour, what is open; each leads further."""
    enrich(fleet)
    page = open_tab(fleet.url).open()
    figures = page.get_by_role("group", name="Fleet in figures")
    expect(figures).to_contain_text("2 of 4")
    expect(figures).to_contain_text("Sync lag p50")
    graph = page.get_by_role("img", name=re.compile("44 executions in 24 hours, 7 of them failed"))
    expect(graph).to_be_visible()
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("table", name="Executions by hour")).to_be_visible()
    expect(page.get_by_role("region", name="Open orders")).to_contain_text("gate-7 waits for")
    expect(page.get_by_role("region", name="Campaigns under way")).to_contain_text("all gates")
    expect(page.get_by_role("region", name="Devices by release")).to_contain_text("0.1.0")
    page.get_by_role("list", name="Devices by state").get_by_role("link", name="Offline").click()

    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("yard-2")


def test_devices_show_how_they_are(fleet: Fleet, open_tab: OpenTab) -> None:
    """State, backlog, what was done and what failed in a day, for each device; tiles narrow."""
    page = open_tab(fleet.url).open("devices")
    gate = page.locator("tbody tr", has_text="gate-7")
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(gate).to_contain_text("Online")
    expect(gate.locator("td").nth(5)).to_have_text("40")
    expect(gate.locator("td").nth(6)).to_have_text("7")
    expect(page.locator("tbody tr", has_text="yard-2")).to_contain_text("Offline")
    tile = page.get_by_role("group", name="Devices by state").get_by_role("link", name="Offline")
    tile.click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_label("Search devices")).to_have_value("state:offline")
    expect(page.locator(".pager")).to_contain_text("1 to 1 of 1")
    tile.click()

    expect(page.locator("tbody tr")).to_have_count(3)


def test_the_search_box_teaches_and_refuses(fleet: Fleet, open_tab: OpenTab) -> None:
    """Its help names the fields, an example goes into the box, what is wrong is said beside it."""
    tab = open_tab(fleet.url)
    page = tab.open("devices")
    box = page.get_by_label("Search devices")
    box.fill("stat:offline")
    box.press("Enter")
    said = page.get_by_role("alert")
    expect(said).to_contain_text("there is no field 'stat'")
    expect(box).to_have_attribute("aria-invalid", "true")
    expect(box).to_have_value("stat:offline")
    box.fill("gate")
    page.get_by_role("button", name="Help").click()
    page.get_by_role("button", name="state:offline").click()
    expect(box).to_have_value("gate state:offline")
    assert [] == tab.audit()
    page.get_by_role("button", name="Search").click()
    expect(page.locator("main")).to_contain_text("No device matches")
    page.go_back()
    page.go_back()

    found = page.get_by_role("region", name="Devices that were found")
    expect(found.locator("tbody tr")).to_have_count(3)
    # Chromium writes every refused request to the console; this one was wanted.
    tab.faults = [fault for fault in tab.faults if "400" not in fault]


def test_chosen_devices_get_tags_and_come_into_a_group(fleet: Fleet, open_tab: OpenTab) -> None:
    """By boxes in the list; a box that was left by Escape gives the focus back."""
    call(fleet, "PUT", "groups/pilots", {"members": []})
    tab = open_tab(fleet.url)
    page = tab.open("devices")
    for device in ("gate-7", "yard-2"):
        page.get_by_role("checkbox", name=f"Choose {device}").check()
    tools = page.get_by_role("group", name="With the chosen devices")
    expect(tools).to_contain_text("2 chosen")
    tools.get_by_role("button", name="Change tags").click()
    dialog = page.get_by_role("dialog", name="Tags of 2 devices")
    expect(dialog.get_by_label("Give these tags")).to_be_focused()
    page.keyboard.press("Escape")
    expect(tools.get_by_role("button", name="Change tags")).to_be_focused()
    page.keyboard.press("Enter")
    dialog.get_by_label("Give these tags").fill('camera "')
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("add")
    expect(dialog.get_by_label("Give these tags")).to_have_value('camera "')
    dialog.get_by_label("Give these tags").fill("camera site=berlin")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("tbody tr", has_text="site=berlin")).to_have_count(2)
    tools.get_by_role("button", name="Add to a group").click()
    page.get_by_role("dialog").get_by_label("Group").select_option("pilots")
    page.get_by_role("dialog").get_by_role("button", name="Add").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator("tbody tr", has_text="gate-7").get_by_role("link", name="camera").click()

    expect(page.get_by_label("Search devices")).to_have_value("tag:camera")
    assert ["gate-7", "yard-2"] == [
        one["device"] for one in call(fleet, "GET", "devices?q=group:pilots")["devices"]
    ]
    # Chromium writes every refused request to the console; this one was wanted.
    tab.faults = [fault for fault in tab.faults if "400" not in fault]


def test_a_device_is_registered_and_tagged(fleet: Fleet, open_tab: OpenTab) -> None:
    """One that nobody has heard of is shown as never seen; its page says how it is."""
    page = open_tab(fleet.url).open("devices")
    page.get_by_role("button", name="Register a device").click()
    page.get_by_role("textbox", name="Name").fill("attic-9")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr", has_text="attic-9")).to_contain_text("Never seen")
    page.get_by_role("link", name="attic-9").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("attic-9")
    page.get_by_role("button", name="Edit tags").click()
    page.get_by_role("dialog").get_by_label("Tags").fill("spare")
    page.keyboard.press("Enter")

    expect(page.get_by_role("region", name="How it is")).to_contain_text("spare")
    expect(page.get_by_role("region", name="How it is")).to_contain_text("not measured yet")
    expect(page.get_by_role("region", name="Gaps in its history")).to_contain_text("None")


def test_a_device_leads_to_its_executions(fleet: Fleet, open_tab: OpenTab) -> None:
    """From a device to what it ran, page by page and back, narrowed by status, then opened."""
    tab = open_tab(fleet.url)
    page = tab.open("devices")
    page.get_by_role("link", name="gate-7").click()
    panel = page.get_by_role("region", name="Newest executions")
    expect(panel.locator("tbody tr")).to_have_count(10)
    panel.get_by_role("link", name="All").click()
    expect(page.locator("tbody tr")).to_have_count(25)
    page.get_by_role("button", name="Older").click()
    expect(page.locator(".pager")).to_contain_text("26 to 40")
    shared = page.url
    page.get_by_role("button", name="Newer").click()
    expect(page.locator(".pager")).to_contain_text("1 to 25")
    page.go_back()
    expect(page.locator(".pager")).to_contain_text("26 to 40")
    page.get_by_role("navigation", name="Executions by status").get_by_text("Failed").click()
    expect(page.locator("tbody tr")).to_have_count(7)
    box = page.get_by_label("Search executions")
    expect(box).to_have_value("device:gate-7 status:FAILED")
    box.fill("workflow:no_such")
    box.press("Enter")
    expect(page.locator("main")).to_contain_text("Nothing matches")
    page.get_by_role("link", name="Clear the search").click()
    page.locator("tbody tr a.rowlink").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("video_analysis")
    expect(page.locator(".heading")).to_contain_text("gate-7")
    other = open_tab(fleet.url).page
    other.goto(shared)

    expect(other.locator(".pager")).to_contain_text("26 to 40")
    other.get_by_role("button", name="First page").click()
    expect(other.locator(".pager")).to_contain_text("1 to 25")


def test_two_runs_are_compared(fleet: Fleet, open_tab: OpenTab) -> None:
    """Chosen in the list, or one from the page of the other; differing steps are marked."""
    page = open_tab(fleet.url).open("executions")
    for row in (0, 2):
        page.locator("tbody tr").nth(row).get_by_role("checkbox").check()
    page.get_by_role("link", name="Compare the two").click()
    expect(page.get_by_role("region", name="What differs")).to_contain_text("3 of 6")
    steps = page.get_by_role("table", name="Steps side by side")
    expect(steps.locator("tr.differing")).to_have_count(3)
    page.get_by_text("Output differs in 1 place").click()
    expect(page.get_by_role("table", name="Output: places that differ")).to_contain_text("person")
    page.get_by_label("Only what differs").check()
    expect(steps.locator("tbody tr")).to_have_count(3)
    page.get_by_role("region", name="Right", exact=True).get_by_role(
        "link", name="Another one"
    ).click()
    page.get_by_label("Find the right run").fill("device:yard-2")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(4)
    page.locator("tbody tr a.rowlink").first.click()

    expect(page.get_by_role("region", name="Right", exact=True)).to_contain_text("yard-2")
    expect(page.get_by_role("region", name="What differs")).to_contain_text("0 of 6")


def test_a_list_that_is_not_followed_stands_still(fleet: Fleet, open_tab: OpenTab) -> None:
    """Whoever reads it is not disturbed; the address says so, and following it goes on."""
    page = open_tab(fleet.url).open("executions")
    expect(page.locator(".stream")).to_have_text("Live")
    page.get_by_label("Follow live").uncheck()
    expect(page).to_have_url(re.compile("follow=no"))
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(25)
    fleet.run(_new_execution(fleet.ledger, "RUNNING"))
    page.get_by_label("Follow live").check()

    expect(rows.first).to_contain_text("pier-4")


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


def test_a_page_that_could_not_be_fetched_comes_by_itself(fleet: Fleet, open_tab: OpenTab) -> None:
    """One that is opened first while the control plane is away is drawn when it is back."""
    tab = open_tab(fleet.url)
    page = tab.open("executions")
    expect(page.locator(".stream")).to_have_text("Live")
    fleet.stop()
    expect(page.locator(".stream")).to_have_text("Reconnecting")
    page.get_by_role("link", name="Orders", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("could not be fetched")
    returned = fleet.again()

    expect(page.get_by_role("heading", level=1)).to_have_text("Orders", timeout=20_000)
    returned.stop()
    tab.faults[:] = [fault for fault in tab.faults if "net::ERR_" not in fault]


def test_a_tab_is_named_after_the_page_that_it_opens(fleet: Fleet, open_tab: OpenTab) -> None:
    """Also the first one, of an address that somebody passed on; it takes no focus then."""
    page = open_tab(fleet.url).open("devices/gate-7")

    expect(page).to_have_title("gate-7 · Fleet · Baton")
    assert page.evaluate("document.activeElement === document.body")


def test_figures_lead_to_what_they_count(fleet: Fleet, open_tab: OpenTab) -> None:
    """What is said of a day is found as a day; a name is quoted as the search box needs it."""
    page = open_tab(fleet.url).open("overview")
    page.get_by_role("link", name=re.compile("Failures, 24 h")).click()

    expect(page.get_by_label("Search executions")).to_have_value(
        "status:FAILED,TIMED_OUT started:newer:24h"
    )


def test_an_empty_fleet_says_what_to_do_next(fresh_fleet: Fleet, open_tab: OpenTab) -> None:
    """Nothing there yet is not a blank page: each place names the next step."""
    tab = open_tab(fresh_fleet.url)
    page = tab.open("overview")
    expect(page.locator("main")).to_contain_text("No device has reported yet")
    expect(page.locator("main pre")).to_contain_text("baton run")
    tab.shoot("fleet-empty")
    assert [] == tab.audit()
    for address, words in {
        "devices": "No device has reported yet",
        "executions": "No execution has arrived yet",
        "groups": "There is no group yet",
        "orders": "No order was given yet",
        "campaigns": "No campaign was made yet",
        "wanted": "Nothing was pushed yet",
        "alerts": "Nothing is firing",
        "alerts/rules": "Nothing is watched yet",
        "alerts/channels": "Nobody is told yet",
        "access": "There is no token yet",
        "audit": "Nobody has changed anything yet",
        "nowhere": "There is no such page",
    }.items():
        tab.open(address)
        expect(page.locator("main")).to_contain_text(words)
        assert [] == tab.audit(), address
