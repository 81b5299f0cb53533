"""Addresses that are typed, cut off, passed on or loaded anew: each says what is wrong with it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Fleet, OpenTab
from tests.browser.test_dashboard import DONE, LEFT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.mark.parametrize(
    ("address", "heading"),
    [
        ("executions/gate-7/nothing", "Execution"),
        ("devices/nobody", "nobody"),
        ("orders/nothing", "Order"),
        ("campaigns/nothing", "Campaign"),
        ("groups/nobody", "nobody"),
        ("wanted/workflow/nothing", "nothing"),
        ("nowhere", "There is no such page"),
    ],
)
def test_what_is_not_there_is_told_under_a_heading(
    fleet: Fleet, open_tab: OpenTab, address: str, heading: str
) -> None:
    """With nothing to do to it: no workflow is started on a device that nobody knows."""
    tab = open_tab(fleet.url)
    page = tab.page
    page.goto(f"{fleet.url}/#/{address}")
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    if heading != "There is no such page":
        expect(page.get_by_role("alert")).to_be_visible()

    expect(page.locator(".actions > *")).to_have_count(0)
    assert [] == tab.audit()
    tab.faults = [fault for fault in tab.faults if "404" not in fault]


def test_the_page_before_is_found_after_a_reload(fleet: Fleet, open_tab: OpenTab) -> None:
    """The marks of a list lead forward only; who loads the page anew still gets back."""
    page = open_tab(fleet.url).open("audit")
    page.goto(f"{fleet.url}/#/compare")
    pager = page.locator(".pager")
    expect(pager).to_contain_text("1 to 25")
    page.get_by_role("button", name="Older").click()
    expect(pager).to_contain_text("26 to 44")
    page.reload()
    expect(pager).to_contain_text("26 to 44")
    page.get_by_role("button", name="Newer").click()

    expect(pager).to_contain_text("1 to 25")
    expect(page.get_by_role("button", name="Newer")).to_be_disabled()


@pytest.mark.parametrize("wrong", ["nothing", "/", "gate-7/", "/x", "a/b/c"])
def test_a_run_that_an_address_does_not_name_is_chosen(
    fleet: Fleet, open_tab: OpenTab, wrong: str
) -> None:
    """Nothing is asked for, the side is named, and another run can be chosen for it."""
    tab = open_tab(fleet.url)
    page = tab.open(f"compare?left={LEFT}&right={wrong.replace('/', '%2F')}")
    said = page.get_by_role("alert")
    expect(said).to_contain_text(f"names no run as the right one: “{wrong}”")
    page.locator("tbody tr a.rowlink").first.click()

    expect(page.get_by_role("region", name="What differs")).to_be_visible()
    expect(said).to_have_count(0)


def test_a_run_that_is_not_there_is_told(fleet: Fleet, open_tab: OpenTab) -> None:
    """In words, not by the number of a status."""
    tab = open_tab(fleet.url)
    page = tab.open(f"compare?left={LEFT}&right=gate-7%2Fnothing")

    expect(page.get_by_role("region", name="Left", exact=True)).to_contain_text(DONE)
    right = page.get_by_role("region", name="Right", exact=True)
    expect(right.get_by_role("alert")).to_contain_text(
        "execution nothing of gate-7 has not arrived"
    )
    tab.faults = [fault for fault in tab.faults if "404" not in fault]


_AT_ONCE = """new MutationObserver((_, watch) => {
  const box = document.querySelector("input[type=search]");
  if (!box) return;
  watch.disconnect();
  box.value = "gate";
  box.dispatchEvent(new Event("input"));
}).observe(document, { childList: true, subtree: true });"""
"""Somebody who types as soon as there is a box."""


@pytest.mark.parametrize("address", ["devices?q=roof", "executions"])
def test_what_is_typed_at_once_stays(fleet: Fleet, open_tab: OpenTab, address: str) -> None:
    """What the address says is in the box before anybody can type, and is not put back after."""
    tab = open_tab(fleet.url)
    tab.page.add_init_script(_AT_ONCE)
    page = tab.open(address)
    expect(page.locator("tbody tr").first).to_be_visible()

    expect(page.locator("input[type=search]")).to_have_value("gate")
