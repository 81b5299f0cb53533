"""What a face costs to open the first time, and that its files are what they say they are."""

from __future__ import annotations

import hashlib
import posixpath
import re
from pathlib import Path
from typing import Any

import pytest

from edge.console import CONSOLE_FOLDER
from sync.control_plane.dashboard import DASHBOARD_FOLDER
from sync.web.pages import SHARED_FOLDER, read_pages
from tests.browser.conftest import Device, Fleet, OpenTab

FIRST_LOAD_LIMIT_BYTES = 80 * 1024
FACES = [CONSOLE_FOLDER, DASHBOARD_FOLDER]
_IMPORT = re.compile(rb'(?:from|import)\s*"(\.[^"]+)"')


def _reachable(face: Path, first: str = "/app.js") -> set[str]:
    """Every module that one needs, by the path it is served under."""
    pages = read_pages(face)
    found: set[str] = set()
    waiting = [first]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            folder = posixpath.dirname(module)
            waiting.extend(
                posixpath.normpath(posixpath.join(folder, target.decode()))
                for target in _IMPORT.findall(pages[module].content)
            )
    return found


@pytest.mark.parametrize("face", FACES, ids=["console", "dashboard"])
def test_the_page_asks_early_for_all_it_needs(face: Path) -> None:
    """The modules that index.html preloads are exactly those that will be imported."""
    index = read_pages(face)["/"].content.decode()
    preloaded = re.findall(r'rel="modulepreload" href="([^"]+)"', index)

    assert sorted(_reachable(face)) == sorted(f"/{path}" for path in preloaded)


@pytest.mark.parametrize("face", FACES, ids=["console", "dashboard"])
def test_the_files_stay_below_the_limit(face: Path) -> None:
    """Page, style, icon and modules together weigh at most 80 KB gzipped."""
    pages = read_pages(face)
    index = pages["/"].content.decode()
    styles = {f"/{path}" for path in re.findall(r'rel="stylesheet" href="([^"]+)"', index)}
    needed = {"/", "/web/icon.svg", *styles, *_reachable(face)}
    if face == DASHBOARD_FOLDER:
        needed |= _reachable(face, "/overview.js")
    weight = sum(len(pages[path].gzipped) for path in needed)

    assert FIRST_LOAD_LIMIT_BYTES >= weight


@pytest.mark.browser
@pytest.mark.timeout(60)
def test_a_browser_loads_no_more_than_the_limit(
    device: Device, fleet: Fleet, open_tab: OpenTab
) -> None:
    """What really goes over the wire for pages on a first visit, headers included."""
    for url in (device.url, fleet.url):
        page = open_tab(url).open()
        entries: list[dict[str, Any]] = page.evaluate(
            "['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))"
            ".map((entry) => ({ name: entry.name, size: entry.transferSize }))"
        )
        weight = sum(one["size"] for one in entries if "/api/" not in one["name"])

        assert 10_000 < weight <= FIRST_LOAD_LIMIT_BYTES
        assert all(one["name"].startswith(url) for one in entries)


def test_every_page_of_the_dashboard_is_small_and_there() -> None:
    """Each module that is fetched when its page is opened has all that it needs, and no other is."""
    pages = read_pages(DASHBOARD_FOLDER)
    lazy = re.findall(rb'import\("\.(/[^"]+)"\)', pages["/app.js"].content)
    reached = _reachable(DASHBOARD_FOLDER)
    for module in lazy:
        needed = _reachable(DASHBOARD_FOLDER, module.decode())
        assert FIRST_LOAD_LIMIT_BYTES >= sum(len(pages[one].gzipped) for one in needed)
        reached |= needed

    ours = {path for path in pages if path.endswith(".js") and not path.startswith("/web/")}
    assert len(lazy) > 20
    assert ours <= reached


@pytest.mark.parametrize("face", FACES, ids=["console", "dashboard"])
def test_no_inline_script_or_style(face: Path) -> None:
    """The pages hold under their own content security policy: nothing inline, nothing foreign."""
    index = read_pages(face)["/"].content.decode()

    assert 1 == index.count("<script")
    assert '<script type="module" src="app.js"></script>' in index
    assert "style=" not in index
    assert "<style" not in index
    assert "//" not in index.replace("<!doctype html>", "")


def test_vendored_files_are_the_ones_written_down() -> None:
    """Each vendored file has the digest that VENDORED.md gives, and a licence beside it."""
    folder = SHARED_FOLDER / "vendor"
    table = (folder / "VENDORED.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+\.mjs)` \|.*`([0-9a-f]{64})` \|$", table, re.MULTILINE)
    held = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.mjs")
    }

    assert held == dict(rows)
    assert 4 == len(list(folder.glob("LICENSE.*.txt")))


@pytest.mark.browser
@pytest.mark.timeout(60)
def test_the_audit_finds_what_it_is_for(device: Device, open_tab: OpenTab) -> None:
    """A page made worse on purpose is reported: contrast, names, alternative texts, width."""
    tab = open_tab(device.url)
    page = tab.open("workflows")
    page.wait_for_selector("tbody tr")
    page.evaluate(
        """() => {
          document.querySelector("h1").style.color = "#bbbbbb";
          document.querySelector("main").append(
            document.createElement("button"), document.createElement("img"));
          document.querySelector("main").style.width = "3000px";
        }"""
    )
    found = "\n".join(tab.audit())

    for fault in ("contrast", "no name", "no alt", "wider than the screen"):
        assert fault in found
