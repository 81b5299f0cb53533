"""How the dashboard's parts are laid out: nothing is drawn over anything else, rows can be told apart."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from sync.control_plane.ledger import Ledger
from sync.records import Body, ClockRecord, Lane
from tests.browser.conftest import Fleet, OpenTab, wall_ms
from tests.browser.dash_world import call
from tests.browser.diagrams import step
from tests.browser.fleet_seed import SeededDevice, json_text, task, workflow

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

WIDE = "W" * 60
EARLY, LATER = "01a21d99-4cb0-7117-ab92-866e00000000", "01a21d99-4d8c-785f-9ca3-10e700000000"
RUN = "00000000-1111-4000-8000-000000000000"
DAY_MS = 86_400_000

_OVER = """() => [...document.querySelectorAll(".diagram .step")].flatMap((step) => {
  const edge = step.querySelector(".outline").getBoundingClientRect().right;
  return [...step.querySelectorAll("text.name, text.kind")]
    .filter((text) => text.getBoundingClientRect().right > edge).map((text) => text.textContent);
})"""
_CROWDED = """() => [...document.querySelectorAll("tbody td")].filter((cell) =>
  cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.textContent)"""
_SQUEEZED = """() => [...document.querySelectorAll("tbody td:not(.num), th")].filter((cell) =>
  (cell.matches("td") && cell.clientWidth < 75)
  || cell.clientHeight > (cell.matches("th") ? 70 : 260)).map((cell) => cell.textContent.slice(0, 80))"""
_CUT_OFF = """() => [...document.querySelectorAll(".panel table")].filter((table) =>
  table.getBoundingClientRect().right > table.closest(".panel").getBoundingClientRect().right + 1).length"""
_FEET = """all => all.map((one) => {
  const range = document.createRange();
  range.selectNodeContents(one.lastChild);
  return range.getBoundingClientRect().bottom;
})"""
_TRACKS = """() => new Set([...document.querySelectorAll(".bars[aria-label=Workflows] .track")]
  .map((track) => Math.round(track.getBoundingClientRect().width))).size"""


async def _give(ledger: Ledger) -> None:
    """Two executions of the same minute, on a device whose clock is a day fast."""
    device, at_ms = SeededDevice(ledger, "fast-1"), wall_ms()
    await device.connect()
    definition: dict[str, Any] = {
        "name": WIDE,
        "version": 2,
        "tasks": [step(WIDE), step("検" * 40)],
    }
    wide = {"name": WIDE, "definition": json_text(definition)}
    for one in (EARLY, LATER):
        begun_ms = at_ms + DAY_MS
        rows: list[Body] = [
            workflow(one, "COMPLETED", begun_ms, **wide),
            task(one, 1, WIDE, begun_ms, 20),
        ]
        await device.send(rows, at_ms=at_ms)


def test_long_names_stay_in_their_boxes(fleet: Fleet, open_tab: OpenTab) -> None:
    """However wide its letters are, a name is cut off where its box ends; the title has all of it."""
    fleet.run(_give(fleet.ledger))
    tab = open_tab(fleet.url)
    page = tab.open(f"executions/fast-1/{EARLY}")
    expect(page.locator(".diagram .step")).to_have_count(2)

    assert [] == page.evaluate(_OVER)
    assert page.locator(".diagram .name").first.inner_html().endswith("…")
    row = page.locator(".timeline .name").evaluate("text => text.getBoundingClientRect().right")
    bar = page.locator(".timeline .solid").evaluate("bar => bar.getBoundingClientRect().left")
    assert row <= bar


@pytest.mark.parametrize("width", [768, 1000, 1280])
def test_long_names_and_tags_squeeze_no_other_column(
    fleet: Fleet, open_tab: OpenTab, width: int
) -> None:
    """On a tablet and on a desk: no column is a letter wide, no table ends behind its panel."""
    call(fleet, "POST", "devices", {"device": "never-seen-" + "y" * 50, "tags": ["spare"]})
    call(fleet, "PUT", "devices/gate-7/tags", {"tags": ["camera", "long-" + "x" * 90]})
    call(fleet, "PUT", "groups/cameras", {"query": "tag:camera", "description": "All that " * 40})
    tab = open_tab(fleet.url, width=width)

    for address in ("devices", "groups", "groups/cameras", "executions"):
        page = tab.open(address)
        expect(page.locator("tbody tr").first).to_be_visible()
        squeezed = page.evaluate(_SQUEEZED) if width >= 1000 else []
        wider = page.evaluate("document.documentElement.scrollWidth")
        assert ([], 0, width) == (squeezed, page.evaluate(_CUT_OFF), wider), address


def test_executions_of_one_minute_are_told_apart(fleet: Fleet, open_tab: OpenTab) -> None:
    """The beginning of an id that a row shows is no other row's."""
    fleet.run(_give(fleet.ledger))
    page = open_tab(fleet.url).open("devices/fast-1")
    table = page.get_by_role("table", name="Newest executions of fast-1")
    expect(table.locator("tbody tr")).to_have_count(2)

    assert {"01a21d99-4cb0", "01a21d99-4d8c"} == set(table.locator("code").all_inner_texts())
    heights = table.locator("code").evaluate_all("all => all.map((one) => one.offsetHeight)")
    assert max(heights) < 24, "an id stands in one line"


def test_a_time_finds_room_on_a_telephone(fleet: Fleet, open_tab: OpenTab) -> None:
    """Also one that is written out, because it lies ahead: it does not run into its neighbour."""
    fleet.run(_give(fleet.ledger))
    page = open_tab(fleet.url, width=375).open("executions?q=device:fast-1")
    expect(page.locator("tbody tr")).to_have_count(2)

    assert [] == page.evaluate(_CROWDED)


def test_bars_have_tracks_of_one_length(fleet: Fleet, open_tab: OpenTab) -> None:
    """Whatever is written behind them; else the longer bar could be the smaller figure."""
    fleet.run(_give(fleet.ledger))
    page = open_tab(fleet.url).open("overview")
    expect(page.get_by_role("list", name="Workflows").locator("li")).to_have_count(2)

    assert 1 == page.evaluate(_TRACKS)


def test_a_clock_that_is_fast_is_told(fleet: Fleet, open_tab: OpenTab) -> None:
    """A time that lies ahead is no riddle: the list says why, the page when it was in truth."""
    fleet.run(_give(fleet.ledger))
    device = SeededDevice(fleet.ledger, "fast-1")
    told = ClockRecord(at_ms=wall_ms() + DAY_MS, offset_ms=-DAY_MS, error_ms=40)
    fleet.run(device.send([told], at_ms=wall_ms(), lane=Lane.CONTROL))
    tab = open_tab(fleet.url)
    page = tab.open("executions?q=device:fast-1")
    expect(page.locator("tbody tr").first).to_contain_text("its clock is fast")
    page = tab.open(f"executions/fast-1/{EARLY}")
    facts = page.locator(".heading .facts")
    expect(facts).to_contain_text("Started by this clock")
    expect(facts).to_contain_text("its clock was 1 d 0 h fast")
    page = tab.open("executions?q=device:yard-2")

    expect(page.locator("tbody tr").first).to_be_visible()
    expect(page.get_by_text("its clock is fast")).to_have_count(0)


def test_a_status_stands_in_the_line_of_its_words(fleet: Fleet, open_tab: OpenTab) -> None:
    """Of a run, the shape and the word beside its name have the same foot as the name."""
    page = open_tab(fleet.url).open(f"compare?left=gate-7%2F{RUN}")
    line = page.get_by_role("region", name="Left", exact=True).locator("p")
    expect(line.locator(".status")).to_be_visible()

    feet = line.locator("a, .status").evaluate_all(_FEET)
    assert abs(feet[0] - feet[1]) < 1.5


def test_runs_of_two_workflows_have_no_version_in_common(fleet: Fleet, open_tab: OpenTab) -> None:
    """Nor one that differs: both may be the first of their workflow."""
    fleet.run(_give(fleet.ledger))
    page = open_tab(fleet.url).open(f"compare?left=gate-7%2F{RUN}&right=fast-1%2F{EARLY}")
    facts = page.get_by_role("region", name="What differs").locator("dt")
    expect(facts.first).to_have_text("Workflow")

    assert "Version" not in facts.all_inner_texts()
