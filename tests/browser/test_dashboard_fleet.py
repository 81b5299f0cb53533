"""The dashboard before a large fleet: what is fetched and drawn does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.bench.fleet import fill
from tests.browser.conftest import Fleet, OpenTab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

_DEVICES = 20_000
_EXECUTIONS = 60_000
_PAGE_LIMIT_BYTES = 60_000
"""Of the answers to one page, compressed by nobody: a page of 50 rows, whatever the fleet."""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet of which no page can show all."""
    served = Fleet(tmp_path_factory.mktemp("crowd") / "ledger.db", seeded=False)
    fill(served.path, _DEVICES, _EXECUTIONS)
    yield served
    served.stop()


def test_twenty_thousand_devices_are_searched_and_paged(crowd: Fleet, open_tab: OpenTab) -> None:
    """A page brings fifty of them; the tiles count all; Back leads to what was there before."""
    page = open_tab(crowd.url).page
    fetched: list[int] = []
    page.on(
        "response",
        lambda answer: (
            fetched.append(int(answer.headers.get("content-length", 0)))
            if "/api/v1/devices?" in answer.url
            else None
        ),
    )
    page.goto(f"{crowd.url}/#/devices")
    rows = page.get_by_role("region", name="Devices that were found").locator("tbody tr")
    expect(rows).to_have_count(50)
    tiles = page.get_by_role("group", name="Devices by state")
    expect(tiles.get_by_role("link", name="Offline")).to_contain_text("2,000")
    expect(page.locator(".pager")).to_contain_text("1 to 50 of 20,000")
    page.get_by_role("button", name="Next").click()
    expect(rows.first).to_contain_text("d000051")
    expect(page.locator(".pager")).to_contain_text("51 to 100 of 20,000")
    page.get_by_label("Search devices").fill("19999")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("d019999")
    page.go_back()
    expect(rows.first).to_contain_text("d000051")
    tiles.get_by_role("link", name="Offline").click()
    expect(page.get_by_label("Search devices")).to_have_value("state:offline")
    page.get_by_label("Sort by").select_option("backlog")
    expect(rows.first).to_contain_text("d020000")

    assert fetched
    assert max(fetched) < _PAGE_LIMIT_BYTES


def test_executions_and_orders_of_many(crowd: Fleet, open_tab: OpenTab) -> None:
    """Executions are searched page by page; a preview counts whom an order would hit."""
    tab = open_tab(crowd.url)
    page = tab.open("executions?q=workflow:flow3+status:FAILED")
    expect(page.locator("tbody tr")).to_have_count(25)
    page.get_by_role("button", name="Older").click()
    expect(page.locator(".pager")).to_contain_text("26 to 50")
    page = tab.open("orders/new?to=group&group=pilots")
    expect(page.locator(".preview")).to_contain_text("1,000")
    page.get_by_label("What a search finds").check()
    expect(page.locator(".preview")).to_contain_text("20,000")

    expect(page.get_by_role("button", name="Give the order to 20,000 devices")).to_be_visible()
