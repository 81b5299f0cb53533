"""The page of the API's description is served with its guard, and its parts are files that exist."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import pytest

from edge.api.app import build_app
from edge.console import CONSOLE_FOLDER
from sync.web.pages import SECURITY_HEADERS, Pages
from tests.unit.edge.api.device import Device, run


@pytest.mark.parametrize("path", ["/swagger-ui", "/swagger-ui/"])
def test_short_addresses_lead_to_the_page(tmp_path: Path, path: str) -> None:
    """Where it is looked for in Conductor."""

    async def body(device: Device) -> None:
        response = await device.client.get(path)

        assert (302, "/swagger-ui/index.html") == (
            response.status_code,
            response.headers["location"],
        )

    run(tmp_path, body)


def test_the_page_and_its_parts(tmp_path: Path) -> None:
    """Nothing comes from elsewhere, nothing is inline, and every part is there."""

    async def body(device: Device) -> None:
        device.house.pages = Pages(CONSOLE_FOLDER)
        device.client._transport.app = build_app(device.house)  # type: ignore[attr-defined]
        page = await device.client.get("/swagger-ui/index.html")
        parts = re.findall(r'(?:href|src)="([^"]+)"', page.text)

        assert "text/html; charset=utf-8" == page.headers["content-type"]
        assert SECURITY_HEADERS.items() <= dict(page.headers).items()
        assert 10 < len(parts)
        for part in parts:
            address = posixpath.normpath(posixpath.join("/swagger-ui", part))
            assert 200 == (await device.client.get(address)).status_code, part
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page.text)

    run(tmp_path, body)
