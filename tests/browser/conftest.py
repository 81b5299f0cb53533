"""A real headless Chromium, the two faces served on free ports, and what every page must hold.

No behaviour of a page is tested here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from starlette.applications import Starlette

from sync.control_plane.app import build_app
from sync.control_plane.ledger import Ledger
from tests.browser.device_double import DeviceDouble, build_double, picture
from tests.browser.fleet_seed import seed_fleet

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
SCREENSHOTS = os.environ.get("BATON_SCREENSHOTS")
"""A folder that pictures of the pages are written to, for a person to look at."""

AUDIT = Path(__file__).with_name("audit.js")
T = TypeVar("T")


def wall_ms() -> int:
    """The time of day, which the pages compare with."""
    return time.time_ns() // 1_000_000


class Served:
    """An application on a free port of this machine, with its own thread and loop.

    Args:
        build: makes the application inside that loop.
        port: 0 = any that is free.
    """

    def __init__(
        self, build: Callable[[], Coroutine[Any, Any, Starlette]], *, port: int = 0
    ) -> None:
        self._build = build
        self._ready = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(20), "the server did not start"

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        app = await self._build()
        config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._ready.set()
        await self._server.serve(sockets=[self._socket])
        await self.after()

    async def after(self) -> None:
        """What is closed once the server has stopped."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Neither answer nor hang up, as on a link that swallows everything."""
        over = threading.Event()
        self._loop.call_soon_threadsafe(over.wait)
        try:
            yield
        finally:
            over.set()

    def stop(self) -> None:
        """End the server."""
        self._server.should_exit = True
        self._thread.join(timeout=10)


class Fleet(Served):
    """The control plane's application on a real ledger in a real file."""

    ledger: Ledger

    def __init__(
        self, path: Path, *, seeded: bool, port: int = 0, authenticate: bool = False
    ) -> None:
        self.path = path

        async def build() -> Starlette:
            self.ledger = await Ledger.open(path, now_ms=wall_ms)
            if seeded:
                await seed_fleet(self.ledger, wall_ms(), picture())
            self.app = build_app(
                self.ledger, now_ms=wall_ms, broker_connected=lambda: True,
                authenticate=authenticate,
            )  # fmt: skip
            return self.app

        super().__init__(build, port=port)

    def again(self) -> Fleet:
        """Another process on the same file and port, after this one was stopped."""
        return Fleet(self.path, seeded=False, port=self.port)

    def stop(self) -> None:
        """End the open streams, then the server."""
        self.app.state.streams.close()
        super().stop()

    async def after(self) -> None:
        """Close the ledger."""
        await self.ledger.close()


class Device(Served):
    """The console on a double of the device's API."""

    def __init__(self, *, executions: int) -> None:
        self.double = DeviceDouble(wall_ms(), executions)

        async def build() -> Starlette:
            return build_double(self.double)

        super().__init__(build)


class Tab:
    """One tab with what went wrong in it.

    Args:
        page: Playwright's page.
        url: where its face is served.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.faults: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        # A camera without a picture answers 503, and Chromium writes every such answer down.
        expected = "snapshot.jpg" in str(message.location.get("url", ""))
        if message.type in ("error", "warning") and not expected:
            self.faults.append(f"{message.type}: {message.text}")

    def open(self, address: str = "") -> Page:
        """Open an address behind the hash."""
        self.page.goto(f"{self.url}/#/{address}")
        self.page.wait_for_selector("main h1, main .empty")
        return self.page

    def audit(self) -> list[str]:
        """What breaks the accessibility rules: names, contrast, width."""
        found: list[str] = self.page.evaluate(AUDIT.read_text(encoding="utf-8"))
        return found

    def shoot(self, name: str) -> None:
        """A picture for a person to look at, when a folder for them is given."""
        if SCREENSHOTS:
            self.page.wait_for_timeout(350)
            self.page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}.png"), full_page=True)


_FOCUSED = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at);
  const box = at.getBoundingClientRect();
  window.passed ??= new Set();
  window.passed.add(at);
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const drawn = at.matches(".row") && at.querySelector(".back") !== null;
  return { text: at.outerHTML.slice(0, 90), seen: (outlined || drawn) && box.width > 0 };
}"""
_PASSED_OVER = """() => [...document.querySelectorAll("button, a[href], input, select, textarea")]
  .filter((one) => one.checkVisibility() && !one.disabled && !window.passed?.has(one)
    && !(one.type === "radio" && !one.checked))
  .map((one) => one.outerHTML.slice(0, 90))"""


def unreached(page: Page, *, most: int = 250) -> list[str]:
    """What Tab does not come to on a page, or comes to without showing it."""
    page.evaluate("document.querySelector('.skip').focus()")
    page.evaluate(_FOCUSED)
    found: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        at = page.evaluate(_FOCUSED)
        if at is None:
            break
        if not at["seen"]:
            found.append(f"no sign of the focus: {at['text']}")
    return found + [f"not reached: {text}" for text in page.evaluate(_PASSED_OVER)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; without it the tests are skipped on a desk and fail where all must run.

    One a module and not one a session: while Playwright is started, an event loop counts as
    running in this thread, and no other test of this process could use ``asyncio.run``.
    """
    if not CHROMIUM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{CHROMIUM} is missing: install the package chromium")
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def device() -> Iterator[Device]:
    """The console on a device that has done something."""
    served = Device(executions=60)
    yield served
    served.stop()


@pytest.fixture
def fresh_device() -> Iterator[Device]:
    """The console on a device that has never done anything."""
    served = Device(executions=0)
    served.double.definitions, served.double.devices = [], []
    served.double.sync = {"enabled": False}
    yield served
    served.stop()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """The dashboard on a ledger with three devices."""
    served = Fleet(tmp_path / "ledger.db", seeded=True)
    yield served
    served.stop()


@pytest.fixture
def fresh_fleet(tmp_path: Path) -> Iterator[Fleet]:
    """The dashboard on an empty ledger."""
    served = Fleet(tmp_path / "ledger.db", seeded=False)
    yield served
    served.stop()


OpenTab = Callable[..., Tab]


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[OpenTab]:
    """Opens tabs; at the end none of them may have written an error to its console."""
    tabs: list[Tab] = []

    def open_one(url: str, *, width: int = 1280, scheme: Literal["light", "dark"] = "light") -> Tab:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, timezone_id="UTC",
            reduced_motion="reduce",
        )  # fmt: skip
        tab = Tab(context.new_page(), url)
        tab.page.set_default_timeout(10_000)
        tabs.append(tab)
        return tab

    yield open_one
    faults = [fault for tab in tabs for fault in tab.faults]
    for tab in tabs:
        tab.page.context.close()
    assert [] == faults
