"""Takes the pictures of the documentation from a running demonstration.

Needs Debian's chromium. Run it as ``.venv/bin/python packaging/tools/take_screenshots.py``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from devices.scenes.film import write_video
from edge.demo.stage import Stage
from edge.demo.watch import look

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_WITHIN_S = 120


def _await_analyses(stage: Stage, count: int) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while time.monotonic() < deadline:
        if look(stage.device_url, stage.cloud_url).executions["COMPLETED"] >= count:
            return
        time.sleep(1)
    raise SystemExit("no analysis has been completed; look into the logs of the demonstration")


def _console(page: Page, stage: Stage, folder: Path) -> None:
    page.goto(stage.device_url)
    page.get_by_text("Synced").first.wait_for()
    page.wait_for_timeout(2_500)
    page.screenshot(path=folder / "console.png")


def _fleet(page: Page, stage: Stage, folder: Path) -> None:
    page.goto(stage.cloud_url)
    page.get_by_text("Executions", exact=True).first.click()
    page.locator("table a").first.click()
    page.get_by_text("Timeline").wait_for()
    page.wait_for_timeout(2_500)
    page.screenshot(path=folder / "execution.png")


def main() -> None:
    """Start the demonstration, wait for analyses, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, default=Path(".demo"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    options.demo.mkdir(parents=True, exist_ok=True)
    if not (options.demo / "scene.mp4").exists():
        write_video(options.demo / "scene.mp4", 7, 48.0)
    stage = Stage(options.demo)
    try:
        stage.start()
        _await_analyses(stage, 3)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=_FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            _console(page, stage, options.out)
            _fleet(page, stage, options.out)
            browser.close()
    finally:
        stage.stop()


if __name__ == "__main__":
    main()
