"""The device console in a real browser: every page opened and acted on, and live without reload."""

from __future__ import annotations

import json
import re
from typing import Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Device, OpenTab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

DONE = "00000000-0000-4000-8000-000000000000"
FAILED = "00000003-0000-4000-8000-000000000000"
RUNNING = "00000004-0000-4000-8000-000000000000"

ADDRESSES = {
    "overview": "overview",
    "workflows": "workflows",
    "execution": f"workflows/{DONE}",
    "failed": f"workflows/{FAILED}",
    "task": f"workflows/{DONE}/task/{DONE}-03",
    "definitions": "definitions",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_page_is_accessible(
    device: Device, open_tab: OpenTab, scheme: Literal["light", "dark"], width: int
) -> None:
    """Names, alternative texts, contrast and width hold on every page, light, dark and narrow."""
    tab = open_tab(device.url, width=width, scheme=scheme)
    for name, address in ADDRESSES.items():
        tab.open(address)
        tab.page.wait_for_selector(".panel, .tiles")
        if name == "overview":
            tab.page.wait_for_selector(".camera img")
        if name in ("execution", "task"):
            tab.page.wait_for_selector(".evidence img")
        tab.shoot(f"console-{name}-{width}-{scheme}")

        assert [] == tab.audit(), name


def test_overview_shows_health_counts_cameras_and_sync(device: Device, open_tab: OpenTab) -> None:
    """A reader sees how the device is: health, counts, live pictures, a lost camera, the sync."""
    page = open_tab(device.url).open()

    expect(page.locator(".tile", has_text="Health")).to_contain_text("Healthy")
    expect(page.locator(".tile", has_text="Completed")).to_contain_text("30")
    expect(page.get_by_alt_text("Live picture of front")).to_be_visible()
    expect(page.get_by_role("article", name="Camera yard")).to_contain_text("Lost")
    expect(page.get_by_role("article", name="Camera yard")).to_contain_text("does not answer")
    expect(page.get_by_role("region", name="Sync", exact=True)).to_contain_text("history 4,810")
    expect(page).to_have_title("Overview · Device gate-7 · Baton")


@pytest.mark.parametrize(
    ("part", "word"), [("disk", "Unwell"), ("worker greet", "Healthy")], ids=["disk", "worker"]
)
def test_what_is_the_matter_is_said(
    device: Device, open_tab: OpenTab, part: str, word: str
) -> None:
    """Who stands before an unwell device reads why; a worker that is down is told of as well."""
    device.double.down = {part: "the disk is full"}
    health = open_tab(device.url).open().locator(".tile", has_text="Health")

    expect(health).to_contain_text(word)
    expect(health).to_contain_text(f"{part}: the disk is full")


def test_a_camera_picture_is_asked_for_again(device: Device, open_tab: OpenTab) -> None:
    """The picture is live: a second one is fetched without anyone touching the page."""
    page = open_tab(device.url).open()
    picture = page.get_by_alt_text("Live picture of front")
    first = picture.get_attribute("src")

    assert first is not None
    expect(picture).not_to_have_attribute("src", first)


def test_an_empty_device_says_what_to_do_next(fresh_device: Device, open_tab: OpenTab) -> None:
    """Nothing there yet is not a blank page: each place names the next step."""
    tab = open_tab(fresh_device.url)
    page = tab.open()
    expect(page.locator("main")).to_contain_text("No camera is set up")
    expect(page.locator("main")).to_contain_text("No workflow has run yet")
    expect(page.locator("main")).to_contain_text("Sync is off")
    tab.shoot("console-empty")
    tab.open("workflows")
    expect(page.locator("main")).to_contain_text("Start one from its definition")
    tab.open("definitions")

    expect(page.locator("main pre")).to_contain_text(
        f"baton workflow push FOLDER --url {fresh_device.url}"
    )
    assert [] == tab.audit()


def test_workflows_are_filtered_and_paged(device: Device, open_tab: OpenTab) -> None:
    """Status, text and page stand in the address and narrow the list."""
    page = open_tab(device.url).open("workflows")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(25)
    expect(page.locator(".pager")).to_contain_text("1 to 25 of 60")
    page.get_by_role("button", name="Older").click()
    expect(page.locator(".pager")).to_contain_text("26 to 50 of 60")
    page.get_by_label("Status").select_option("FAILED")
    expect(rows).to_have_count(10)
    page.get_by_label("Text").fill("00000009- ")
    expect(rows).to_have_count(1)
    expect(page.get_by_label("Text")).to_have_value("00000009- ")

    expect(page).to_have_url(re.compile(r"status=FAILED&text=00000009-"))
    page.get_by_label("Text").fill("nothing like it")
    expect(page.locator("main")).to_contain_text("Nothing matches")


@pytest.mark.parametrize("width", [375, 1280])
def test_a_long_name_is_chosen_from_and_counted(
    device: Device, open_tab: OpenTab, width: int
) -> None:
    """A workflow may be called so that its name is wider than the screen; the filter is not."""
    one = [{"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}]
    device.double.definitions = [{"name": "L" * 250, "version": 1, "tasks": one}]
    tab = open_tab(device.url, width=width)
    page = tab.open("workflows")
    expect(page.locator("select").first.locator("option")).to_have_count(2)
    assert [] == tab.audit()
    page = tab.open("definitions")

    expect(page.locator(".choices")).to_contain_text(re.compile("version 1 · 1 task$"))


def test_the_list_is_live_without_reload(device: Device, open_tab: OpenTab) -> None:
    """A workflow that starts appears by itself; the page is not loaded again."""
    page = open_tab(device.url).open("workflows")
    expect(page.locator(".stream")).to_have_text("Live")
    page.evaluate("window.sameDocument = true")
    device.double.add("ffff0000-0000-4000-8000-000000000000", "RUNNING", -1_000)
    device.double.announce("ffff0000-0000-4000-8000-000000000000")

    expect(page.locator("tbody tr").first).to_contain_text("ffff0000")
    assert page.evaluate("window.sameDocument")


def test_an_execution_follows_its_status(device: Device, open_tab: OpenTab) -> None:
    """An open execution changes on the screen when the device says that it has changed."""
    page = open_tab(device.url).open(f"workflows/{RUNNING}")
    heading = page.locator(".heading")
    expect(heading).to_contain_text("Running")
    expect(page.locator(".stream")).to_have_text("Live")
    device.double.executions[RUNNING]["status"] = "COMPLETED"
    device.double.announce(RUNNING)

    expect(heading).to_contain_text("Completed")


def test_a_task_opens_from_the_timeline_by_keyboard(device: Device, open_tab: OpenTab) -> None:
    """The timeline is one tab stop; arrows move, Enter opens the task with all that is known."""
    page = open_tab(device.url).open(f"workflows/{DONE}")
    timeline = page.get_by_role("listbox")
    expect(timeline.get_by_role("option")).to_have_count(5)
    timeline.get_by_role("option").first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".row:focus")).to_have_attribute(
        "aria-label", re.compile("^detect, SIMPLE, Completed, .*2 attempts")
    )
    page.keyboard.press("Enter")
    panel = page.get_by_role("region", name="Task detect")

    expect(panel).to_contain_text("npu-0")
    expect(panel).to_contain_text("confidence")
    expect(panel.locator(".log")).to_contain_text("2 objects found")
    panel.get_by_role("button", name="Attempt 1").click()
    expect(panel).to_contain_text("the model's file is busy")


def test_evidence_pictures_stand_in_place(device: Device, open_tab: OpenTab) -> None:
    """A picture that a task kept is drawn in the page."""
    page = open_tab(device.url).open(f"workflows/{DONE}")
    picture = page.get_by_alt_text("Evidence snapshot.png").first
    expect(picture).to_be_visible()

    assert 320 == picture.evaluate("image => image.decode().then(() => image.naturalWidth)")


def test_a_payload_in_a_file_is_not_shown_as_empty(device: Device, open_tab: OpenTab) -> None:
    """The API gives its name and nothing of it; the page says so, of an execution and of a task."""
    execution = device.double.executions[DONE]
    execution |= {"input": {}, "externalInputPayloadStoragePath": "workflow/input/one.json"}
    one = execution["tasks"][0]
    one |= {"outputData": {}, "externalOutputPayloadStoragePath": "task/output/two.json"}
    page = open_tab(device.url).open(f"workflows/{DONE}")
    expect(page.get_by_role("region", name="Input", exact=True)).to_contain_text("one.json")

    page.locator(".timeline .row").first.click()
    panel = page.get_by_role("region", name=f"Task {one['referenceTaskName']}")
    expect(panel).to_contain_text("it lies in a file of the device, task/output/two.json")


def test_data_is_never_markup(device: Device, open_tab: OpenTab) -> None:
    """What a workflow carries is shown as the text it is."""
    page = open_tab(device.url).open(f"workflows/{DONE}/task/{DONE}-05")
    expect(page.get_by_role("region", name="Task annotate")).to_contain_text("<img src=x onerror=")

    assert 0 == page.locator("main b, main img[src='x']").count()


@pytest.mark.parametrize(
    "case",
    [
        (RUNNING, "Pause", "Paused"),
        (FAILED, "Retry", "Running"),
        (DONE, "Restart", "Running"),
    ],
)
def test_actions_ask_first(device: Device, open_tab: OpenTab, case: tuple[str, str, str]) -> None:
    """An action happens only after its question is answered with yes."""
    workflow_id, button, status = case
    page = open_tab(device.url).open(f"workflows/{workflow_id}")
    page.locator(".actions").get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert [] == device.double.asked
    page.locator(".actions").get_by_role("button", name=button).click()
    dialog.get_by_role("button", name=button).click()
    expect(page.locator(".heading")).to_contain_text(status)

    assert [button.lower()] == device.double.asked


def test_terminate_takes_a_reason(device: Device, open_tab: OpenTab) -> None:
    """The reason that was written goes along."""
    tab = open_tab(device.url)
    page = tab.open(f"workflows/{RUNNING}")
    page.locator(".actions").get_by_role("button", name="Terminate").click()
    page.get_by_label("Reason (optional)").fill("wrong camera & lens")
    tab.shoot("console-dialog")
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    expect(page.locator(".heading")).to_contain_text("Terminated")

    assert ["terminate wrong camera & lens"] == device.double.asked


def test_a_refused_action_is_told(device: Device, open_tab: OpenTab) -> None:
    """What the device says against an action reaches the reader."""
    tab = open_tab(device.url)
    device.double.refusal = "workflow is already completed"
    page = tab.open(f"workflows/{FAILED}")
    page.locator(".actions").get_by_role("button", name="Retry").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()

    expect(page.get_by_text("Retry was refused: workflow is already completed")).to_be_visible()
    # Chromium writes every refused request to the console; this one was wanted.
    assert 1 == len([fault for fault in tab.faults if "409" in fault])
    tab.faults.clear()


def test_a_workflow_is_started_from_its_definition(device: Device, open_tab: OpenTab) -> None:
    """The form holds back what is not a JSON object, starts what is, and leads to the execution."""
    page = open_tab(device.url).open("definitions")
    start = page.get_by_role("button", name="Start workflow")
    area = page.get_by_label("Input, a JSON object")
    expect(area).to_have_value(re.compile('"camera": "",\\s+"clipSeconds": 4'))
    area.fill('{"camera": ')
    expect(start).to_be_disabled()
    expect(page.locator("#input-fault")).to_contain_text("This is not JSON yet")
    area.fill("[1]")
    expect(page.locator("#input-fault")).to_contain_text("must be a JSON object")
    area.fill('{"camera": "front"}')
    page.get_by_label("Correlation id (optional)").fill("by hand")
    start.click()
    expect(page.locator(".heading")).to_contain_text("Running")

    wanted = {"version": "2", "correlationId": "by hand", "input": {"camera": "front"}}
    assert [wanted] == device.double.started


def test_a_long_number_keeps_its_digits(device: Device, open_tab: OpenTab) -> None:
    """What a browser would round is shown and sent as it was written; a text of digits stays one."""
    long = {"id": 12345678901234567891, "text": "12345678901234567891", "list": [-9007199254740993]}
    device.double.executions[DONE]["input"] = long
    page = open_tab(device.url).open(f"workflows/{DONE}")
    shown = page.get_by_role("group", name="Workflow input")
    expect(shown).to_contain_text("id12345678901234567891")
    expect(shown).to_contain_text("-9007199254740993")

    page.goto(f"{device.url}/#/definitions")
    page.get_by_label("Input, a JSON object").fill(json.dumps(long))
    page.get_by_role("button", name="Start workflow").click()
    expect(page.locator(".heading")).to_contain_text("Running")
    assert long == device.double.started[0]["input"]


def test_an_unknown_workflow_says_so(device: Device, open_tab: OpenTab) -> None:
    """A stale address shows the device's answer, not an empty page."""
    tab = open_tab(device.url)
    tab.page.goto(f"{device.url}/#/workflows/gone")

    expect(tab.page.get_by_role("alert")).to_contain_text("No such workflow gone")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Execution")
    assert [] == tab.audit()
    tab.open("nowhere")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    assert [] == tab.audit()
    tab.faults.clear()


def test_a_long_execution_is_drawn_in_parts(device: Device, open_tab: OpenTab) -> None:
    """Ten thousand tasks do not freeze the page: some rows are drawn, the rest on request."""
    execution = device.double.executions[DONE]
    first = execution["tasks"][0]
    execution["tasks"] = [
        {**first, "taskId": f"t{n}", "seq": n, "referenceTaskName": f"step_{n}",
         "startTime": first["startTime"] + n, "outputData": {}}
        for n in range(10_000)
    ]  # fmt: skip
    page = open_tab(device.url).open(f"workflows/{DONE}")

    expect(page.get_by_role("option")).to_have_count(150)
    page.get_by_role("button", name="Show 500 more of 10000 rows").click()
    expect(page.get_by_role("option")).to_have_count(650)


def test_a_tab_is_named_after_the_page_that_it_shows(device: Device, open_tab: OpenTab) -> None:
    """Of several tabs one is found again; a page that was gone to begins at its heading."""
    page = open_tab(device.url).open()
    expect(page).to_have_title(re.compile("^Overview · Device .*· Baton$"))
    page.get_by_role("link", name="Workflows", exact=True).click()
    expect(page).to_have_title(re.compile("^Workflows · Device"))
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.locator("tbody tr a.rowlink").first.click()

    expect(page).to_have_title(re.compile("^video_analysis · Device"))
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.get_by_role("option").first.click()
    expect(page.locator("h1")).not_to_be_focused()


def test_what_a_workflow_reads_of_its_input_is_told(device: Device, open_tab: OpenTab) -> None:
    """A definition need not say what it takes: its tasks do; what is empty cannot be opened."""
    task = {
        "name": "greet", "taskReferenceName": "greet", "type": "SIMPLE", "joinOn": [],
        "inputParameters": {"who": "${workflow.input.who}", "at": "${workflow.input.place.gate}"},
    }  # fmt: skip
    plain = {"name": "plain", "version": 1, "tasks": [task], "inputParameters": ["place"]}
    device.double.definitions = [plain]
    tab = open_tab(device.url)
    page = tab.open("definitions/plain")

    expect(page.locator("#input-read")).to_have_text("Its tasks read who.")
    expect(page.get_by_label("Input, a JSON object")).to_have_value(re.compile('"place": ""'))
    tree = page.get_by_role("group", name="Definition plain")
    expect(tree.locator(".leaf", has_text="joinOn")).to_have_text("joinOn[ ] empty")
    assert [] == tab.audit()


def test_a_device_that_is_cut_off_says_what_waits(device: Device, open_tab: OpenTab) -> None:
    """Also after a start without a network: what was stored before is no history that was lost."""
    device.double.sync |= {
        "state": "waiting", "reason": "no broker at 10.0.0.5:1883", "backlog": 4_321,
        "lastAckMs": 0, "syncedTo": {"2": 17},
    }  # fmt: skip
    tab = open_tab(device.url)
    panel = tab.open().get_by_role("region", name="Sync", exact=True)

    expect(panel).to_contain_text("4,321")
    expect(panel).to_contain_text("none since it was started")
    expect(panel).to_contain_text("no broker at 10.0.0.5:1883")
    expect(panel).to_contain_text("Nothing is lost: history waits here")
    device.double.sync |= {"state": "greeting", "reason": ""}
    expect(panel).to_contain_text("The broker answers; the control plane does not yet")
    assert [] == tab.audit()
