"""Orders that nobody meant: given twice over a bad link, or to the whole fleet by one click."""

from __future__ import annotations

import msgspec
import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Fleet, OpenTab
from tests.browser.dash_world import call

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.mark.parametrize(
    ("devices", "path", "button"),
    [
        ("gate-7", "devices/gate-7/orders", "Give the order"),
        ("gate-7 roof-1", "campaigns", "Give the order to 2 devices"),
    ],
)
def test_what_is_tried_again_is_given_once(
    fleet: Fleet, open_tab: OpenTab, devices: str, path: str, button: str
) -> None:
    """Unless it was changed in between: that is another order."""
    tab = open_tab(fleet.url)
    page = tab.open("orders/new")
    page.get_by_label("Devices", exact=True).fill(devices)
    page.get_by_label("Workflow", exact=True).fill("video_analysis")
    given: list[str] = []

    def lose(route: Route) -> None:
        if route.request.method == "POST":
            given.append(str(msgspec.json.decode(route.request.post_data or "{}")["id"]))
        if len(given) < 3:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route(f"**/api/v1/{path}", lose)
    submit = page.get_by_role("button", name=button, exact=True)
    expect(submit).to_be_enabled()
    for _ in range(2):
        submit.click()
        expect(page.get_by_role("alert")).to_contain_text("No answer")
        expect(submit).to_be_enabled()
    what = path.rpartition("/")[2]
    assert 1 == len(call(fleet, "GET", path)[what])
    page.get_by_label("Correlation id").fill("another")
    submit.click()

    expect(page.locator("h1")).to_contain_text("video_analysis")
    assert 2 == len(call(fleet, "GET", path)[what])
    assert given[0] == given[1] != given[2]
    tab.faults = [fault for fault in tab.faults if "ERR_FAILED" not in fault]


@pytest.mark.parametrize(
    ("address", "button", "title"),
    [
        ("orders/new?to=query", "Give the order to 3 devices", "Give this order to all 3 devices?"),
        ("wanted/new", "Push to 3 devices", "Push to all 3 devices?"),
    ],
)
def test_what_is_for_all_devices_is_asked_first(
    fleet: Fleet, open_tab: OpenTab, address: str, button: str, title: str
) -> None:
    """An empty search means the whole fleet; one click on the way to something else is no answer."""
    tab = open_tab(fleet.url)
    page = tab.open(address)
    pushes = address.startswith("wanted")
    page.get_by_label("Name" if pushes else "Workflow", exact=True).fill("night_watch")
    if pushes:
        page.get_by_label("Kind").select_option("task")
    page.get_by_role("button", name=button, exact=True).click()
    question = page.get_by_role("dialog", name=title)
    expect(question).to_contain_text("every device of this tenant is meant")
    assert [] == tab.audit()
    question.get_by_role("button", name="Cancel").click()
    assert [] == call(fleet, "GET", "campaigns")["campaigns"]
    page.get_by_role("button", name=button, exact=True).click()
    question.get_by_role("button", name="For all of them").click()

    expect(page.locator("h1")).to_contain_text("night_watch")
    (made,) = call(fleet, "GET", "campaigns")["campaigns"]
    assert 3 == made["members"]


def test_what_is_given_is_what_was_counted(fleet: Fleet, open_tab: OpenTab) -> None:
    """While the devices of another search are still being counted, nothing can be given to them."""
    tab = open_tab(fleet.url)
    page = tab.open("orders/new?to=query&query=gate-7")
    submit = page.get_by_role("button", name="Give the order to", exact=False)
    expect(submit).to_have_text("Give the order to 1 device")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/v1/campaigns/preview", hold)
    with page.expect_request("**/api/v1/campaigns/preview"):
        page.get_by_label("Search", exact=True).fill("state:online")
    expect(submit).to_be_disabled()
    for one in held:
        one.continue_()
    page.unroute("**/api/v1/campaigns/preview", hold)

    expect(submit).to_be_enabled()
    expect(submit).to_have_text("Give the order to 2 devices")
