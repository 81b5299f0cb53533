"""``/api/secrets``: kept sealed, told to whoever asks by name, and never by accident."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.lookups import Lookups
from edge.vault import Vault
from tests.unit.edge.api.device import Device, run

JSON = {"content-type": "application/json"}


def _options(folder: Path, **process: str) -> dict[str, Any]:
    return {"lookups": Lookups(Vault(folder / "key"), process)}


def test_a_secret_is_kept_read_and_forgotten(tmp_path: Path) -> None:
    """The answers are Conductor's: void, bare text, a truth value, names."""

    async def body(device: Device) -> None:
        put = await device.call("PUT", "/secrets/TOKEN", content="s3cr3t")

        assert (200, b"") == (put.status_code, put.content)
        got = await device.call("GET", "/secrets/TOKEN")
        assert ("s3cr3t", "no-store") == (got.text, got.headers["cache-control"])
        assert got.headers["content-type"].startswith("text/plain")
        assert await device.answer("GET", "/secrets/TOKEN/exists") is True
        assert await device.answer("GET", "/secrets/OTHER/exists") is False
        assert ["TOKEN"] == await device.answer("POST", "/secrets", json={})
        assert ["TOKEN"] == await device.answer("GET", "/secrets")
        await device.answer("DELETE", "/secrets/TOKEN")
        for method in ("GET", "DELETE"):
            gone = await device.call(method, "/secrets/TOKEN")
            assert (404, "not_found") == (gone.status_code, gone.json()["code"])

    run(tmp_path, body, **_options(tmp_path))


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        # Java and Go, and curl.
        ('{"a": "b\\\\c"}', {"content-type": "text/plain"}, '{"a": "b\\\\c"}'),
        ('"quoted"', {"content-type": "text/plain"}, '"quoted"'),
        ("a=b&c", {"content-type": "application/x-www-form-urlencoded"}, "a=b&c"),
        ("bare", {}, "bare"),
        # Python: the inside of a JSON text.
        ('{\\"user\\": \\"x\\"}', JSON, '{"user": "x"}'),
        ("line\\nline", JSON, "line\nline"),
        ('a \\"quote\\', JSON, 'a "quote"'),
        # JavaScript: a whole JSON text.
        ('"a\\"b"', JSON, 'a"b'),
        # Neither: taken as it is.
        ('{"user": "x"}', JSON, '{"user": "x"}'),
        ("C:\\x", JSON, "C:\\x"),
        ('"', JSON, '"'),
    ],
)
def test_values_arrive_as_they_were_meant(
    tmp_path: Path, content: str, headers: dict[str, str], expected: str
) -> None:
    """Each client wraps a text in its own way."""

    async def body(device: Device) -> None:
        await device.answer("PUT", "/secrets/a", content=content, headers=headers)

        assert expected == (await device.call("GET", "/secrets/a")).text

    run(tmp_path, body, **_options(tmp_path))


def test_what_cannot_be_a_secret_is_refused(tmp_path: Path) -> None:
    """The message names what is wrong and repeats no value."""

    async def body(device: Device) -> None:
        for path, content, part in (
            ("/secrets/a%2Fb", b"v", "cannot be the name"),
            ("/secrets/a", b"", "has 0 bytes"),
            ("/secrets/a", b"x" * 70_000, "65536 are allowed"),
            ("/secrets/a", b"\xff", "no UTF-8"),
        ):
            refused = await device.call("PUT", path, content=content)
            assert 400 == refused.status_code
            assert part in refused.json()["message"]
            assert "xxx" not in refused.text
        assert [] == await device.answer("GET", "/secrets")

    run(tmp_path, body, **_options(tmp_path))


def test_a_lost_key_is_told_per_secret(tmp_path: Path) -> None:
    """Names are still listed and secrets can still be deleted; nothing else is disturbed."""

    async def body(device: Device) -> None:
        await device.answer("PUT", "/secrets/a", content="one")
        (tmp_path / "key").unlink()

        for method, content in (("GET", None), ("PUT", "two")):
            lost = await device.call(method, "/secrets/a", content=content)
            assert (500, "secret_unreadable") == (lost.status_code, lost.json()["code"])
            assert "put it back" in lost.json()["message"]
        assert ["a"] == await device.answer("GET", "/secrets")
        await device.answer("DELETE", "/secrets/a")
        await device.answer("PUT", "/secrets/b", content="new")
        assert "new" == await device.answer("GET", "/secrets/b")

    run(tmp_path, body, **_options(tmp_path))


def test_secrets_of_the_process_are_read_only(tmp_path: Path) -> None:
    """They are listed and read; a stored one of the same name wins, and can go again."""

    async def body(device: Device) -> None:
        assert ["TOKEN"] == await device.answer("GET", "/secrets")
        assert "from-process" == await device.answer("GET", "/secrets/TOKEN")
        refused = await device.call("DELETE", "/secrets/TOKEN")
        assert 400 == refused.status_code
        assert "environment of the daemon" in refused.json()["message"]
        await device.answer("PUT", "/secrets/TOKEN", content="stored")
        assert "stored" == await device.answer("GET", "/secrets/TOKEN")
        await device.answer("DELETE", "/secrets/TOKEN")
        assert "from-process" == await device.answer("GET", "/secrets/TOKEN")

    run(tmp_path, body, **_options(tmp_path, CONDUCTOR_SECRET_TOKEN="from-process"))


def test_tags_are_set_read_and_taken_away(tmp_path: Path) -> None:
    """What is set replaces; what is not there is not missed."""

    async def body(device: Device) -> None:
        await device.answer("PUT", "/secrets/a", content="v")
        one, two = ({"key": k, "value": k, "type": "METADATA"} for k in "xy")
        assert [] == await device.answer("GET", "/secrets/a/tags")
        await device.answer("PUT", "/secrets/a/tags", json=[one, two])
        assert [one, two] == await device.answer("GET", "/secrets/a/tags")
        assert [{"name": "a", "tags": [one, two]}] == await device.answer("GET", "/secrets-v2")
        await device.client.request("DELETE", "/api/secrets/a/tags", json=[one])
        await device.client.request("DELETE", "/api/secrets/a/tags", json=one)
        assert [two] == await device.answer("GET", "/secrets/a/tags")
        assert 404 == (await device.call("PUT", "/secrets/b/tags", json=[one])).status_code
        assert 400 == (await device.call("PUT", "/secrets/a/tags", json={"x": 1})).status_code

    run(tmp_path, body, **_options(tmp_path))


def test_there_is_no_cache_to_clear(tmp_path: Path) -> None:
    """Clients of the commercial server may ask all the same."""

    async def body(device: Device) -> None:
        for name in ("clearLocalCache", "clearRedisCache"):
            assert {} == await device.answer("GET", f"/secrets/{name}")

    run(tmp_path, body)


def test_a_worker_is_told_and_a_reader_is_not(tmp_path: Path) -> None:
    """Single poll, batch poll and update-v2 hand secrets over; every other answer holds references.

    What a definition wants to have beside the input is on the wire for the worker only, too.
    """
    task = {"name": "work", "runtimeMetadata": ["TOKEN", "NONE"], "retryCount": 0}
    flow = {
        "name": "flow",
        "tasks": [
            {
                "name": "work",
                "taskReferenceName": ref,
                "inputParameters": {"auth": "Bearer ${workflow.secrets.TOKEN}"},
            }
            for ref in ("first", "second", "third")
        ],
    }

    async def body(device: Device) -> None:
        await device.answer("PUT", "/secrets/TOKEN", content="s3cr3t")
        await device.answer("POST", "/metadata/taskdefs", json=[task])
        await device.answer("POST", "/metadata/workflow", json=flow)
        workflow_id = await device.started()
        first = await device.answer("GET", "/tasks/poll/work?workerid=me")
        second = (await device.finish(first, "/tasks/update-v2")).json()
        await device.finish(second)
        third = await device.claimed()

        for handed in (first, second, third):
            assert {"auth": "Bearer s3cr3t"} == handed["inputData"]
            assert {"TOKEN": "s3cr3t"} == handed["runtimeMetadata"]
        read = await device.answer("GET", f"/tasks/{third['taskId']}")
        assert {"auth": "Bearer ${workflow.secrets.TOKEN}"} == read["inputData"]
        assert {} == read["runtimeMetadata"]
        for path in (f"/workflow/{workflow_id}", "/workflow/search", "/workflow/search-v2"):
            assert "s3cr3t" not in (await device.call("GET", path)).text

    run(tmp_path, body, **_options(tmp_path))


def test_definitions_may_name_variables_of_the_process(tmp_path: Path) -> None:
    """A whole expression that is such a name is no reference to a task."""
    flow = {
        "name": "flow",
        "tasks": [
            {"name": "t", "taskReferenceName": "t", "inputParameters": {"a": "${SITE}"}}
        ],
    }  # fmt: skip

    async def known(device: Device) -> None:
        await device.answer("POST", "/metadata/workflow", json=flow)

    async def unknown(device: Device) -> None:
        assert 400 == (await device.call("POST", "/metadata/workflow", json=flow)).status_code

    run(tmp_path, unknown)
    run(tmp_path, known, lookups=Lookups(None, {"SITE": "roof"}))
