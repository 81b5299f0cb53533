"""Groups and alerts in a real browser: made, changed, tested, fired, looked after, removed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from sync.control_plane import alerts
from tests.browser.conftest import Fleet, OpenTab, wall_ms
from tests.browser.dash_world import call

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_a_query_shows_whom_it_finds_while_it_is_written(fleet: Fleet, open_tab: OpenTab) -> None:
    """What is wrong is said at once; the group is made, changed, used and removed."""
    tab = open_tab(fleet.url)
    page = tab.open("groups")
    page.get_by_role("button", name="New group").click()
    box = page.get_by_role("dialog", name="New group")
    box.get_by_label("Name", exact=True).fill("there")
    box.get_by_role("textbox", name="Query").fill("state:awake")
    expect(box).to_contain_text("state is one of")
    box.get_by_role("textbox", name="Query").fill("state:online")
    expect(box).to_contain_text("2 devices now: gate-7, roof-1")
    box.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="there").click()
    rows = page.get_by_role("region", name="Devices of the group").locator("tbody tr")
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="Change").click()
    page.get_by_role("dialog").get_by_role("textbox", name="Query").fill("-state:online")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(rows).to_have_count(1)
    page.get_by_role("link", name="Search among them").click()
    expect(page.get_by_label("Search devices")).to_have_value("group:there")
    page.go_back()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()

    expect(page.locator("main")).to_contain_text("There is no group yet")
    # Chromium writes every refused request to the console; these were wanted.
    tab.faults = [fault for fault in tab.faults if "400" not in fault and "404" not in fault]


def test_a_list_is_kept_by_hand(fleet: Fleet, open_tab: OpenTab) -> None:
    """Devices are put in and taken out; one that is not known is refused, and nothing is lost."""
    tab = open_tab(fleet.url)
    page = tab.open("groups?new=list")
    box = page.get_by_role("dialog", name="New group")
    box.get_by_label("Name", exact=True).fill("pilots")
    box.get_by_label("Devices", exact=True).fill("gate-7\nnobody")
    box.get_by_role("button", name="Save").click()
    expect(box.get_by_role("alert")).to_contain_text("no device 'nobody'")
    box.get_by_label("Devices", exact=True).fill("gate-7")
    box.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="pilots").click()
    page.get_by_role("button", name="Add devices").click()
    page.get_by_role("dialog").get_by_label("Devices", exact=True).fill("roof-1 yard-2")
    page.keyboard.press("Enter")
    rows = page.get_by_role("region", name="Devices of the group").locator("tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Take gate-7 out of the group").click()

    expect(rows).to_have_count(2)
    expect(page.get_by_role("region", name="The group", exact=True)).to_contain_text("2")
    tab.faults = [fault for fault in tab.faults if "400" not in fault]


def test_a_rule_fires_and_somebody_looks_after_it(fleet: Fleet, open_tab: OpenTab) -> None:
    """A channel and a rule are made, the rule fires, is acknowledged, and is resolved again."""
    tab = open_tab(fleet.url)
    page = tab.open("alerts/channels")
    page.get_by_role("button", name="New channel").click()
    box = page.get_by_role("dialog", name="New channel")
    box.get_by_label("Name", exact=True).fill("ops")
    box.get_by_label("Address").fill("nowhere")
    box.get_by_role("button", name="Save").click()
    expect(box.get_by_role("alert")).to_contain_text("a web hook is")
    box.get_by_label("Address").fill("http://127.0.0.1:9/alerts")
    box.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Test ops").click()
    expect(page.get_by_role("table", name="Messages")).to_contain_text("On its way")

    page = tab.open("alerts/rules")
    page.get_by_role("button", name="New rule").click()
    box = page.get_by_role("dialog", name="New rule")
    box.get_by_label("Name", exact=True).fill("failing")
    box.get_by_label("What is watched").select_option("failure-rate")
    box.get_by_label("Counted by").select_option("device")
    box.get_by_label("Percent that failed").fill("10")
    box.get_by_label("Hours", exact=True).fill("24")
    box.get_by_label("ops (webhook)").check()
    box.get_by_role("button", name="Save").click()
    rules = page.get_by_role("table", name="Rules")
    expect(rules).to_contain_text("10 % of at least 5 executions of a device failed within 24 h")
    expect(rules).to_contain_text("ops")
    fleet.run(fleet.ledger.write(lambda c: alerts.evaluate(c, now_ms=wall_ms())))

    page = tab.open("alerts")
    row = page.locator("tbody tr")
    expect(row).to_contain_text("gate-7")
    expect(row).to_contain_text("7 of 40 executions failed")
    page.get_by_role("link", name="gate-7").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("gate-7")
    page.go_back()
    page.get_by_role("button", name="Acknowledge failing for gate-7").click()
    expect(row).to_contain_text("anonymous")
    expect(page.get_by_role("checkbox")).to_have_count(0)
    assert [] == tab.audit()
    page.reload()
    nav = page.get_by_role("navigation", name="Pages of this console")
    expect(nav.get_by_role("link", name=re.compile("Alerts"))).to_contain_text("1")
    page = tab.open("alerts/rules")
    page.get_by_role("button", name="Change failing").click()
    page.get_by_role("dialog").get_by_label("Switched on").uncheck()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(rules).to_contain_text("switched off")
    fleet.run(fleet.ledger.write(lambda c: alerts.evaluate(c, now_ms=wall_ms())))
    page = tab.open("alerts?state=resolved")
    expect(row).to_contain_text("Resolved")
    page = tab.open("alerts/rules")
    page.get_by_role("button", name="Remove failing").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator("main")).to_contain_text("Nothing is watched yet")
    tab.faults = [fault for fault in tab.faults if "400" not in fault]

    assert [] == call(fleet, "GET", "alert-rules")["rules"]


def test_alerts_are_looked_after_together(fleet: Fleet, open_tab: OpenTab) -> None:
    """A fleet that has lost its network fires for each device: nobody clicks on each of them."""
    rule = {"kind": "silence", "afterS": 1}
    call(fleet, "PUT", "alert-rules/quiet", rule)
    fleet.run(fleet.ledger.write(lambda c: alerts.evaluate(c, now_ms=wall_ms() + 60_000)))
    tab = open_tab(fleet.url)
    page = tab.open("alerts")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_role("checkbox", name="Choose all on this page").check()
    page.get_by_role("checkbox", name="Choose quiet for roof-1").uncheck()
    tools = page.get_by_role("group", name="With the chosen alerts")
    expect(tools).to_contain_text("2 chosen")
    assert [] == tab.audit()
    tools.get_by_role("button", name="Acknowledge them").click()

    expect(page.get_by_role("status").filter(has_text="You look after 2 alerts")).to_be_visible()
    expect(rows.filter(has_text="anonymous")).to_have_count(2)
    expect(page.get_by_role("button", name="Acknowledge quiet for roof-1")).to_be_visible()
    expect(tools).to_contain_text("Choose alerts")
