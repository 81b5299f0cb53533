"""Orders in a real browser, on a real control plane, broker and device, followed to their ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from edge.data_dir import DataDir
from edge.durable import FILES
from sync.identity import load_order_key
from tests.browser.conftest import OpenTab
from tests.daemon import Daemon
from tests.integration.sync_doubles import free_port, mosquitto, running, wait_for_port

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

_LONG_MS = 60_000
"""Until an order has come to something; on a busy machine its steps take some seconds each."""

_WATCH = """{
  "version": 1, "schemaVersion": 2, "ownerEmail": "camera@example.org",
  "tasks": [{"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}]
}"""


_WRONG = {
    "[1]": "must be an object",
    '{"a": "\\x"}': "Line 1, column 7",
    '{"a": 1': "Line 1, column 8: it ends too early",
    '{"a": 1} 2': "Line 1, column 10",
    '{"a" 1}': "Line 1, column 6",
    '{\n  "version": 1,\n  "tasks": [,]\n}': "Line 3, column 13: , is not expected here",
}
"""Texts that are no definition, and what is said of each."""


class House:
    """A broker, a control plane and a device that takes its orders."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._folder = folder
        cloud = folder / "cloud"
        cloud.mkdir()
        key = load_order_key(DataDir(cloud).identity, FILES)
        sync = f'[sync]\nbroker = "mqtt://127.0.0.1:{self._port}"\n'
        roof = f'device = "roof"\norder_keys = ["{key.public_key.hex()}"]\n'
        self.cloud = Daemon(cloud, role="cloud", config=sync)
        self.roof = Daemon(folder / "roof", config=f"{sync}{roof}[workflows]\nenable = []\n")

    def play(self) -> Iterator[House]:
        """All of it runs until the tests are over."""
        broker = mosquitto(self._folder, self._port)
        with running(broker):
            broker.start()
            wait_for_port(self._port)
            with self.cloud, self.roof:
                yield self


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The house, with its device on."""
    yield from House(tmp_path_factory.mktemp("house")).play()


def _steps(page: Page, state: str) -> None:
    """The order on the page comes to something."""
    steps = page.get_by_role("group", name="How far the order has come")
    expect(steps.locator("[aria-current=step]")).to_contain_text(
        re.compile(state, re.IGNORECASE), timeout=_LONG_MS
    )


def _act(page: Page, action: str, reason: str = "") -> None:
    page.get_by_role("button", name=action, exact=True).click()
    box = page.get_by_role("dialog")
    if reason:
        box.get_by_label("Reason").fill(reason)
    box.get_by_role("button", name=action, exact=True).click()


def test_what_is_pushed_is_started_and_steered(house: House, open_tab: OpenTab) -> None:
    """A definition is pushed, run by an order, and its execution paused, resumed, ended, restarted."""
    tab = open_tab(house.cloud.url)
    page = tab.open("devices")
    expect(page.locator("tbody tr", has_text="roof")).to_contain_text("Online", timeout=_LONG_MS)
    page = tab.open("wanted/new")
    page.get_by_label("Name", exact=True).fill("night_watch")
    content = page.get_by_label("Definition")
    for wrong, place in _WRONG.items():
        content.fill(wrong)
        expect(page.locator("#content-state")).to_contain_text(place)
    page.get_by_role("button", name=re.compile("Push to")).click()
    expect(page.get_by_role("alert")).to_contain_text("not right yet")
    content.fill(_WATCH)
    expect(page.locator("#content-state")).to_contain_text("Valid JSON")
    page.get_by_label("Search", exact=True).fill("device:roof")
    page.get_by_role("button", name="Push to 1 device").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("night_watch")
    drift = page.get_by_role("region", name="Who has it")
    expect(drift.locator("tbody tr")).to_contain_text("In step", timeout=_LONG_MS)

    page = tab.open("devices/roof")
    page.get_by_role("link", name="Start a workflow").click()
    expect(page.get_by_label("Devices", exact=True)).to_have_value("roof")
    page.get_by_label("Workflow", exact=True).fill("night_watch")
    page.get_by_label("Input").fill('{"from": "the dashboard"}')
    page.get_by_role("button", name="Give the order").click()
    _steps(page, "done")
    page.get_by_role("region", name="The order", exact=True).get_by_role("link").nth(1).click()
    heading = page.locator(".heading")
    expect(heading).to_contain_text("Running", timeout=_LONG_MS)
    for action, state in {"Pause": "Paused", "Resume": "Running"}.items():
        _act(page, action)
        _steps(page, "done")
        expect(heading).to_contain_text(state, timeout=_LONG_MS)
    _act(page, "Terminate", "seen enough")
    _steps(page, "done")
    expect(heading).to_contain_text("Terminated", timeout=_LONG_MS)
    expect(page.locator("main")).to_contain_text("seen enough")
    _act(page, "Restart")
    _steps(page, "done")

    expect(heading).to_contain_text("Running", timeout=_LONG_MS)
    assert [] == tab.audit()


def test_many_are_given_one_order(house: House, open_tab: OpenTab) -> None:
    """Previewed, given at a pace, followed to its end, and refused where there is nobody."""
    tab = open_tab(house.cloud.url)
    page = tab.open("devices")
    expect(page.locator("tbody tr", has_text="roof")).to_contain_text("Online", timeout=_LONG_MS)
    page.get_by_label("Search devices").fill("state:online")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=re.compile("give an order to all")).click()
    expect(page.get_by_label("Search", exact=True)).to_have_value("state:online")
    page.get_by_label("Workflow", exact=True).fill("no_such")
    page.get_by_label("Title").fill("Where is it?")
    page.get_by_label("Search", exact=True).fill("nobody")
    page.get_by_role("button", name="Give the order to 0 devices").click()
    expect(page.get_by_role("alert")).to_contain_text("at least one device")
    page.get_by_label("Search", exact=True).fill("state:online")
    page.get_by_role("button", name="Give the order to 1 device").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Where is it?")
    members = page.get_by_role("region", name="Devices of the campaign")
    expect(members.locator("tbody tr")).to_contain_text("Failed", timeout=_LONG_MS)
    expect(members.locator("tbody tr")).to_contain_text("no_such")
    page.get_by_role("link", name="1 failed").click()
    expect(members.locator("tbody tr")).to_have_count(1)
    members.get_by_role("link", name="Its order").click()
    _steps(page, "failed")

    assert [] == tab.audit()
    page = tab.open("campaigns")
    expect(page.locator("tbody tr").first).to_contain_text("Where is it?")


def test_what_was_not_sent_is_taken_back(house: House, open_tab: OpenTab) -> None:
    """An order to a device that is not there waits, says for what, and can be taken back."""
    tab = open_tab(house.cloud.url)
    page = tab.open("devices")
    page.get_by_role("button", name="Register a device").click()
    page.get_by_role("textbox", name="Name").fill("attic")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr", has_text="attic")).to_be_visible()
    page = tab.open("orders/new?to=devices&devices=attic")
    page.get_by_label("Workflow", exact=True).fill("night_watch")
    page.get_by_role("button", name="Give the order").click()
    expect(page.get_by_text("has not said yet that it takes orders").first).to_be_visible()
    _steps(page, "queued")
    page.get_by_role("button", name="Take back").click()
    page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    _steps(page, "superseded")
    page = tab.open("orders?ended=superseded")

    expect(page.locator("tbody tr")).to_contain_text("anonymous has taken it back")
    page.get_by_label("Kind").select_option("pause")
    expect(page.locator("main")).to_contain_text("No order matches")


def test_a_log_is_fetched_and_read(house: House, open_tab: OpenTab) -> None:
    """On demand, from the page of the device; what is not there is told; both can be removed."""
    tab = open_tab(house.cloud.url)
    page = tab.open("devices")
    expect(page.locator("tbody tr", has_text="roof")).to_contain_text("Online", timeout=_LONG_MS)
    page.get_by_role("link", name="roof").click()
    panel = page.get_by_role("region", name="Logs and files")
    expect(panel).to_contain_text("Nothing was fetched yet", timeout=_LONG_MS)
    panel.get_by_role("button", name="Fetch").click()
    box = page.get_by_role("dialog", name="Fetch from roof")
    box.get_by_label("Newest lines").fill("50")
    box.get_by_role("button", name="Fetch").click()
    row = panel.locator("tbody tr").first
    expect(row).to_contain_text("complete", timeout=_LONG_MS)
    address = row.get_by_role("link", name="Open").get_attribute("href")
    assert address is not None
    answer = page.request.get(f"{house.cloud.url}/{address}")
    assert answer.ok
    assert "roof" in answer.text()
    panel.get_by_role("button", name="Fetch").click()
    box.get_by_label("What").select_option("files")
    box.get_by_label("Name", exact=True).fill("clips/none.mp4")
    box.get_by_role("button", name="Fetch").click()
    expect(row).to_contain_text("evidence: clips/none.mp4")
    expect(row).to_contain_text("gone", timeout=_LONG_MS)
    panel.get_by_role("button", name="Fetch").click()
    box.get_by_label("Containing").fill("what nobody has logged")
    box.get_by_role("button", name="Fetch").click()
    expect(row).to_contain_text("nobody has logged")
    expect(row).to_contain_text("empty", timeout=_LONG_MS)
    assert [] == tab.audit()
    for left in (2, 1, 0):
        row.get_by_role("button", name="Remove").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(panel.locator("tbody tr")).to_have_count(left, timeout=_LONG_MS)

    expect(panel).to_contain_text("Nothing was fetched yet")


def test_configuration_is_pushed_and_rolled_back(house: House, open_tab: OpenTab) -> None:
    """Two versions, then the content of the first again; the content of each can be read."""
    tab = open_tab(house.cloud.url)
    for text in ("one", "two"):
        page = tab.open("wanted/config/site/push" if text == "two" else "wanted/new")
        if text == "one":
            page.get_by_label("Kind").select_option("config")
            page.get_by_label("Name", exact=True).fill("site")
        content = page.get_by_label("Variables")
        expect(content).to_have_value("{}" if text == "one" else re.compile("one"))
        content.fill(f'{{"SITE": "{text}"}}')
        if text == "one":
            page.get_by_label("Search", exact=True).fill("roof")
        # A version after it is for the same devices, until somebody says something else.
        page.get_by_role("button", name="Push to 1 device", exact=True).click()
        drift = page.get_by_role("region", name="Who has it").locator("tbody tr")
        expect(drift).to_contain_text("In step", timeout=_LONG_MS)
    page.get_by_role("button", name="Roll back to revision 1").click()
    box = page.get_by_role("dialog")
    expect(box.get_by_label("Search", exact=True)).to_have_value("roof")
    expect(box.locator(".preview")).to_contain_text("roof")
    expect(box.locator(".preview")).not_to_contain_text("attic")
    box.get_by_role("button", name="Roll back").click()
    versions = page.get_by_role("region", name="Versions")
    expect(versions.locator("tbody tr").first).to_contain_text("that of r1 again")
    expect(drift).to_contain_text("In step", timeout=_LONG_MS)
    versions.get_by_role("link", name="r2").click()

    expect(page.get_by_role("region", name="Content of revision 2")).to_contain_text("two")
    page = tab.open("devices/roof")
    wanted = page.get_by_role("region", name=re.compile("that it is to have"))
    expect(wanted.locator("tbody tr", has_text="site")).to_contain_text("In step")
