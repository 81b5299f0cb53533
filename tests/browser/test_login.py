"""The console and the page of the API on a real daemon that asks for a token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from edge.cli import main
from tests.browser.conftest import OpenTab, Tab
from tests.daemon import Daemon

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

_FLOW = {"name": "flow", "tasks": [{"name": "work", "taskReferenceName": "work"}]}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """Where a daemon that asks for a token serves its pages, and an administrator's key."""
    folder = tmp_path_factory.mktemp("login") / "data"
    made = CliRunner().invoke(main, ["auth", "bootstrap", "--data-dir", str(folder), "--json"])
    config = "[auth]\nenabled = true\n[workflows]\nenable = []\n"
    with Daemon(folder, config=config) as daemon:
        yield daemon.url, json.loads(made.output)


def _log_in(page: Page, key: str, secret: str) -> None:
    page.get_by_label("Key id").fill(key)
    page.get_by_label("Key secret").fill(secret)
    page.keyboard.press("Enter")


def _wanted(tab: Tab) -> None:
    """Chromium writes every refused request to the console; these were wanted."""
    tab.faults = [fault for fault in tab.faults if "401" not in fault]


def _start(url: str, key: dict[str, str]) -> None:
    """A workflow from outside, with a token of its own."""
    given = httpx.post(
        f"{url}/api/token", json={"keyId": key["id"], "keySecret": key["secret"]}, trust_env=False
    )
    headers: dict[str, Any] = {"X-Authorization": given.json()["token"]}
    for path, body in (("metadata/workflow?overwrite=true", _FLOW), ("workflow/flow", {})):
        answer = httpx.post(f"{url}/api/{path}", json=body, headers=headers, trust_env=False)
        assert answer.is_success, answer.text


def test_a_reader_logs_in(guarded: tuple[str, dict[str, str]], open_tab: OpenTab) -> None:
    """Asked once, told what was wrong, and then everything works, live changes among it."""
    url, key = guarded
    tab = open_tab(url)
    page = tab.page
    page.goto(url)
    box = page.get_by_role("dialog", name="This device asks who you are")
    expect(box).to_be_visible()
    tab.shoot("login")
    assert [fault for fault in tab.audit() if "h1" not in fault] == []
    page.keyboard.press("Escape")
    expect(box).to_be_visible()
    _log_in(page, key["id"], "wrong")
    expect(box.get_by_role("alert")).to_contain_text("do not belong together")
    _log_in(page, key["id"], key["secret"])
    expect(box).to_be_hidden()
    expect(page.locator("main")).to_contain_text("No workflow has run yet")
    expect(page.locator(".stream")).to_contain_text("Live")
    _start(url, key)
    expect(page.locator("main")).to_contain_text("flow")
    page.reload()
    expect(page.locator("main")).to_contain_text("flow")
    expect(page.locator(".stream")).to_contain_text("Live")
    expect(box).to_be_hidden()
    kept = page.evaluate(
        "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])"
    )
    assert key["secret"] not in kept
    page.get_by_role("button", name="Log out").click()
    expect(box).to_be_visible()
    assert "baton-view" not in page.evaluate("document.cookie")
    _wanted(tab)


def test_another_tab_asks_again(guarded: tuple[str, dict[str, str]], open_tab: OpenTab) -> None:
    """What one reader may do is not lent to the next."""
    url, _ = guarded
    tab = open_tab(url)
    tab.page.goto(f"{url}/#/workflows")

    expect(tab.page.get_by_role("dialog", name="This device asks who you are")).to_be_visible()
    _wanted(tab)


def test_the_page_of_the_api_logs_in_too(
    guarded: tuple[str, dict[str, str]], open_tab: OpenTab
) -> None:
    """It is read without a token; what is tried is sent after the login."""
    url, key = guarded
    tab = open_tab(url)
    page = tab.page
    page.goto(f"{url}/swagger-ui/index.html#/login_user_info")
    expect(page.locator("h1")).to_contain_text("Whom the token of this request is for")
    page.get_by_role("button", name="Send").click()
    _log_in(page, key["id"], key["secret"])

    expect(page.locator(".outcome")).to_contain_text("200 OK")
    expect(page.locator(".outcome")).to_contain_text("administration")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    _wanted(tab)
