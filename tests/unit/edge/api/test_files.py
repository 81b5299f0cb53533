"""Evidence is served from its folder and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.edge.api.device import Device, run


def test_evidence_is_sent_whole_in_parts_or_not_again(tmp_path: Path) -> None:
    """A browser seeks in a clip by ranges, and asks with the tag it was given."""

    async def body(device: Device) -> None:
        missing = await device.call("GET", "/v1/evidence/e/clip.mp4")
        root = tmp_path / "evidence"
        (root / "e").mkdir(parents=True)
        (root / "e" / "clip.mp4").write_bytes(b"0123456789")
        device.house.evidence_root = root

        whole = await device.call("GET", "/v1/evidence/e/clip.mp4")
        part = await device.call("GET", "/v1/evidence/e/clip.mp4", headers={"Range": "bytes=2-4"})
        again = await device.call(
            "GET", "/v1/evidence/e/clip.mp4", headers={"If-None-Match": whole.headers["etag"]}
        )

        assert 404 == missing.status_code
        assert (b"0123456789", "video/mp4") == (whole.content, whole.headers["content-type"])
        assert (206, b"234") == (part.status_code, part.content)
        assert (304, b"") == (again.status_code, again.content)
        assert "nosniff" == whole.headers["x-content-type-options"]

    run(tmp_path, body)


@pytest.mark.parametrize(
    "path",
    [
        "../baton.db",
        "%2e%2e/baton.db",
        "..%2fbaton.db",
        "out",
        "e",
        "",
        "e/%00",
        "%5c..%5cbaton.db",
    ],
)
def test_nothing_outside_is_ever_sent(tmp_path: Path, path: str) -> None:
    """Dots, encoded dots, links, folders and zero bytes all lead to 404."""

    async def body(device: Device) -> None:
        root = tmp_path / "evidence"
        (root / "e").mkdir(parents=True)
        (root / "out").symlink_to(tmp_path / "baton.db")
        device.house.evidence_root = root

        response = await device.client.get(f"http://device/api/v1/evidence/{path}")

        assert 404 == response.status_code

    run(tmp_path, body)
