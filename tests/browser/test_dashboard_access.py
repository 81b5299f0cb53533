"""The dashboard where a token is asked for: signing in, what is offered, tokens, tenants, audit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from sync.control_plane import access
from sync.control_plane.access import ALL, Area, NewToken, Role
from tests.browser.conftest import Fleet, OpenTab, Tab, wall_ms

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet whose control plane asks for a token."""
    served = Fleet(tmp_path / "ledger.db", seeded=True, authenticate=True)
    yield served
    served.stop()


def _token(fleet: Fleet, role: Role, *, tenant: str = ALL, areas: tuple[Area, ...] = ()) -> str:
    """A token as the command line makes one."""
    new = NewToken(name=f"the {role.value}", role=role, areas=list(areas))
    _, text = fleet.run(
        fleet.ledger.write(
            lambda c: access.make_token(c, new, tenant=tenant, created_by="test", now_ms=wall_ms())
        )
    )
    return text


def _signed_in(tab: Tab, token: str, address: str = "") -> Page:
    page = tab.page
    page.goto(f"{tab.url}/#/{address}")
    box = page.get_by_role("dialog", name="Sign in to the fleet")
    box.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(box).to_be_hidden()
    page.wait_for_selector("main h1")
    return page


def _wanted(tab: Tab, *statuses: str) -> None:
    """Chromium writes every refused request to the console; these were wanted."""
    tab.faults = [fault for fault in tab.faults if not any(one in fault for one in statuses)]


def _names(page: Page) -> list[str]:
    return page.get_by_role("navigation", name="Pages of this console").inner_text().split()


def test_a_reader_signs_in_and_out(guarded: Fleet, open_tab: OpenTab) -> None:
    """Told what was wrong; then everything works, and no script can read the token."""
    tab, token = open_tab(guarded.url), _token(guarded, Role.ADMIN)
    page = tab.page
    page.goto(f"{guarded.url}/#/executions")
    box = page.get_by_role("dialog", name="Sign in to the fleet")
    expect(box).to_be_visible()
    tab.shoot("fleet-signin")
    box.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(box.get_by_role("alert")).to_contain_text("it is none")
    page.keyboard.press("Escape")
    expect(box).to_be_visible()
    box.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(25)
    expect(page.locator(".stream")).to_have_text("Live")
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(25)
    kept = page.evaluate(
        "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])"
    )
    assert token[-20:] not in kept
    assert [] == tab.audit()
    page.get_by_role("button", name="Sign out").click()
    expect(box).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(0)
    _wanted(tab, "401")


def test_what_a_token_may_not_do_is_not_offered(guarded: Fleet, open_tab: OpenTab) -> None:
    """A viewer looks; who is held to an area sees no other."""
    tab = open_tab(guarded.url)
    page = _signed_in(tab, _token(guarded, Role.VIEWER), "devices")
    expect(page.locator("tbody tr")).to_have_count(3)
    assert "Access" not in _names(page)
    expect(page.get_by_role("button", name="Register a device")).to_have_count(0)
    expect(page.get_by_role("checkbox")).to_have_count(0)
    page = tab.open("devices/gate-7")
    expect(page.get_by_role("region", name="How it is")).to_be_visible()
    expect(page.get_by_role("link", name="Start a workflow")).to_have_count(0)
    for address in ("orders", "campaigns", "wanted"):
        page = tab.open(address)
        expect(page.locator("main .empty")).to_be_visible()
        expect(page.locator("main a[href*='/new']")).to_have_count(0)
    for address in ("orders/new", "wanted/new", "alerts/channels", "access", "audit"):
        page = tab.open(address)
        expect(page.get_by_role("heading", level=1)).to_have_text("Not for this token")
        expect(page.locator("main button")).to_have_count(0)
    assert [] == tab.audit()
    _wanted(tab, "401")
    other = open_tab(guarded.url)
    page = _signed_in(other, _token(guarded, Role.OPERATOR, areas=(Area.ORDERS,)))
    expect(page.get_by_role("heading", level=1)).to_have_text("Orders")

    assert ["Orders", "Campaigns", "Definitions"] == _names(page)
    page = other.open("orders/new")
    expect(page.get_by_role("button", name=re.compile("Give the order"))).to_be_visible()
    _wanted(other, "401")


def test_a_token_that_no_page_is_for_is_told_so(guarded: Fleet, open_tab: OpenTab) -> None:
    """Logs are fetched over the API, too; whoever only reads the audit finds that one page."""
    tab = open_tab(guarded.url)
    page = _signed_in(tab, _token(guarded, Role.ADMIN, areas=(Area.LOGS,)))
    expect(page.locator("main")).to_contain_text("the API takes it")
    assert [] == _names(page)
    _wanted(tab, "401")
    other = open_tab(guarded.url)
    page = _signed_in(other, _token(guarded, Role.ADMIN, areas=(Area.AUDIT,)))
    expect(page.get_by_role("heading", level=1)).to_have_text("Audit")

    assert ["Audit"] == _names(page)
    _wanted(other, "401")


def test_a_token_is_made_shown_once_and_revoked(guarded: Fleet, open_tab: OpenTab) -> None:
    """With its role, its areas and its end; what was made opens the door until it is revoked."""
    tab = open_tab(guarded.url)
    page = _signed_in(tab, _token(guarded, Role.ADMIN), "access")
    page.get_by_role("button", name="New token").click()
    box = page.get_by_role("dialog", name="New token")
    box.get_by_label("Name").fill("night shift")
    box.get_by_label("Role").select_option("operator")
    box.get_by_label("Ends").select_option("7")
    box.get_by_label("devices").check()
    box.get_by_role("button", name="Make it").click()
    made = page.get_by_role("status", name="The new token")
    expect(made).to_contain_text("shown this once")
    text = made.locator(".secret").inner_text()
    row = page.get_by_role("table", name="Tokens").locator("tr", has_text="night shift")
    expect(row).to_contain_text("operator")
    expect(row).to_contain_text("Good")
    tab.shoot("fleet-token")
    assert [] == tab.audit()
    made.get_by_role("button", name="I have it").click()
    expect(page.locator("main")).not_to_contain_text(text)
    other = open_tab(guarded.url)
    assert "Devices" in _names(_signed_in(other, text))
    row.get_by_role("button", name="Revoke night shift").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("Revoked")
    other.page.reload()

    expect(other.page.get_by_role("dialog", name="Sign in to the fleet")).to_be_visible()
    for one in (tab, other):
        _wanted(one, "401")


def test_a_tenant_without_devices_is_removed(guarded: Fleet, open_tab: OpenTab) -> None:
    """Only that is offered, and asked about first; the choice of tenants in the header follows."""
    tab = open_tab(guarded.url)
    page = _signed_in(tab, _token(guarded, Role.ADMIN), "access")
    page.get_by_role("button", name="New tenant").click()
    box = page.get_by_role("dialog", name="New tenant")
    box.get_by_label("Name").fill("acme")
    box.get_by_role("button", name="Save").click()
    choice = page.get_by_label("Tenant", exact=True)
    expect(choice.get_by_role("option", name="acme")).to_have_count(1)
    expect(page.get_by_role("button", name="Remove default")).to_have_count(0)
    page.get_by_role("button", name="Remove acme").click()
    page.get_by_role("dialog", name="Remove acme?").get_by_role("button", name="Remove").click()

    expect(page.get_by_role("status").filter(has_text="acme is removed")).to_be_visible()
    table = page.get_by_role("table", name="Tenants")
    expect(table.locator("tbody tr")).to_have_count(1)
    expect(choice).to_have_count(0)
    assert [] == tab.audit()
    _wanted(tab, "401")


def test_a_device_is_removed(guarded: Fleet, open_tab: OpenTab) -> None:
    """Offered to an administrator, of one that is not connected; asked about first, with what goes."""
    tab = open_tab(guarded.url)
    page = _signed_in(tab, _token(guarded, Role.ADMIN), "devices?q=state:online,lagging")
    table = page.get_by_role("table", name="Devices")
    table.locator("tbody tr a").first.click()
    expect(page.get_by_role("button", name="Edit tags")).to_be_visible()
    expect(page.get_by_role("button", name="Remove")).to_have_count(0)
    page.goto(f"{tab.url}/#/devices?q=state:offline")
    gone = table.locator("tbody tr a").first.inner_text()
    table.locator("tbody tr a").first.click()
    page.get_by_role("button", name="Remove").click()
    box = page.get_by_role("dialog", name=f"Remove {gone}?")
    expect(box).to_contain_text("If it speaks again it shows up anew")
    assert [] == tab.audit()
    box.get_by_role("button", name="Remove").click()

    expect(page.get_by_role("status").filter(has_text=f"{gone} is removed")).to_be_visible()
    expect(page.get_by_role("heading", name="Devices")).to_be_visible()
    page.goto(f"{tab.url}/#/devices/{gone}")
    expect(page.locator("main")).to_contain_text(f"no device {gone} has been heard of")
    _wanted(tab, "401", "404")


def test_a_tenant_is_made_and_looked_at(guarded: Fleet, open_tab: OpenTab) -> None:
    """Who may see all of them chooses one; the address carries it, and every link of the page."""
    tab = open_tab(guarded.url)
    page = _signed_in(tab, _token(guarded, Role.ADMIN), "access")
    page.get_by_role("button", name="New tenant").click()
    page.get_by_role("dialog").get_by_label("Name").fill("acme")
    page.get_by_role("dialog").get_by_label("Title").fill("Acme Ltd")
    page.keyboard.press("Enter")
    expect(page.get_by_role("table", name="Tenants")).to_contain_text("Acme Ltd")
    page.reload()
    page.get_by_label("Tenant", exact=True).select_option("acme")
    expect(page.locator("main")).to_contain_text("No device has reported yet")
    page.get_by_role("link", name="Devices", exact=True).click()

    expect(page).to_have_url(re.compile(r"devices\?tenant=acme"))
    expect(page.locator("main")).to_contain_text("No device has reported yet")
    page.get_by_label("Tenant", exact=True).select_option("default")
    expect(page.get_by_role("group", name="Fleet in figures")).to_be_visible()
    _wanted(tab, "401")


def _spoil(fleet: Fleet) -> None:
    def change(connection: Any) -> None:
        connection.execute("UPDATE audit SET actor = 'nobody' WHERE entry = 2")

    fleet.run(fleet.ledger.write(change))


def test_the_audit_tells_and_is_verified(guarded: Fleet, open_tab: OpenTab) -> None:
    """Who did what, with its detail; a chain that was touched is found."""
    tab = open_tab(guarded.url)
    page = _signed_in(tab, _token(guarded, Role.ADMIN), "devices/gate-7")
    for tag in ("one", "two"):
        page.get_by_role("button", name="Edit tags").click()
        page.get_by_role("dialog").get_by_label("Tags").fill(tag)
        page.keyboard.press("Enter")
        expect(page.get_by_role("region", name="How it is")).to_contain_text(tag)
    page = tab.open("audit")
    entry = page.locator("tbody tr").first
    expect(entry).to_contain_text("device.tags")
    expect(entry).to_contain_text("the admin")
    entry.locator("summary").first.click()
    expect(entry).to_contain_text("two")
    page.get_by_role("button", name="Verify the chain").click()
    chain = page.get_by_role("region", name="The chain")
    expect(chain).to_contain_text("Whole: 2 entries")
    _spoil(guarded)
    page.get_by_role("button", name="Verify the chain").click()

    expect(chain).to_contain_text("Broken at entry 2")
    _wanted(tab, "401")
