"""The page of the API's description in a real browser, on a real daemon."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import expect

from edge.console import CONSOLE_FOLDER
from sync.web.pages import read_pages
from tests.browser.conftest import OpenTab
from tests.daemon import Daemon

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

_IMPORT = re.compile(rb'(?:from|import)\s*"(\.[^"]+)"')


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a daemon serves the page."""
    with Daemon(tmp_path_factory.mktemp("reference")) as daemon:
        yield f"{daemon.url}/swagger-ui/index.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_it_is_accessible(
    url: str, open_tab: OpenTab, scheme: Literal["light", "dark"], width: int
) -> None:
    """Names, contrast and width hold, light, dark and narrow."""
    tab = open_tab(url, width=width, scheme=scheme)
    for operation in ("", "workflows_start", "tasks_poll_batch", "metadata_create_workflow"):
        page = tab.page
        page.goto(f"{url}#/{operation}")
        page.wait_for_selector(".operations a")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        tab.shoot(f"reference-{operation or 'welcome'}-{width}-{scheme}")

        assert [] == tab.audit(), operation


def test_an_operation_is_found_and_tried(url: str, open_tab: OpenTab) -> None:
    """By the keyboard alone: search, open, fill in, send, read the answer."""
    page = open_tab(url).page
    page.goto(url)
    page.wait_for_selector(".operations a")
    page.keyboard.press("/")
    page.keyboard.type("taskdefs post")
    expect(page.locator(".operations a")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.locator("textarea")).to_have_value(re.compile("greet"))
    page.locator("textarea").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.get_by_role("status").last).to_contain_text("200 OK")
    page.goto(f"{url}#/metadata_get_task")
    page.get_by_label("name, required").fill("greet")
    page.keyboard.press("Enter")
    expect(page.locator(".outcome")).to_contain_text("retryCount")
    expect(page.locator("pre.log").first).to_contain_text("curl -X GET")


def test_a_refusal_is_shown(url: str, open_tab: OpenTab) -> None:
    """With its status and the daemon's own words."""
    tab = open_tab(url)
    page = tab.page
    page.goto(f"{url}#/executions_get")
    page.get_by_label("id, required").fill("none")
    page.get_by_role("button", name="Send").click()

    expect(page.locator(".outcome")).to_contain_text("404 Not Found")
    expect(page.locator(".outcome")).to_contain_text("No such workflow found by id: none")
    # Chromium writes every refused request to the console; this one was wanted.
    tab.faults = [fault for fault in tab.faults if "404" not in fault]


def test_the_page_asks_early_for_all_it_needs() -> None:
    """The modules that the page preloads are exactly those that will be imported."""
    pages = read_pages(CONSOLE_FOLDER)
    found: set[str] = set()
    waiting = ["/reference.js"]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += [
                posixpath.normpath(posixpath.join(posixpath.dirname(module), target.decode()))
                for target in _IMPORT.findall(pages[module].content)
            ]
    text = (Path(CONSOLE_FOLDER) / "reference.html").read_text()
    preloaded = re.findall(r'rel="modulepreload" href="\.\./([^"]+)"', text)

    assert sorted(found) == sorted(f"/{path}" for path in preloaded)
