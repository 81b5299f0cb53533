"""What holds for every request: framing, limits, errors, and who may ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from edge.api.app import ROUTES, build_app
from edge.api.errors import answer_to, unexpected
from edge.console import CONSOLE_FOLDER
from sync.web.pages import Pages
from tests.unit.edge.api.device import FLOW, Device, run


def test_an_unknown_address_is_404_in_json(tmp_path: Path) -> None:
    """Clients take the 404 of /token for "no authentication here"; the console never answers it."""

    async def body(device: Device) -> None:
        device.house.pages = Pages(CONSOLE_FOLDER)
        device.client._transport.app = build_app(device.house)  # type: ignore[attr-defined]

        for method, path in (
            ("POST", "/api/token"),
            ("GET", "/api"),
            ("GET", "/api/agent/executions"),
            ("GET", "/api/v1/../../etc/passwd"),
            ("POST", "/api/scheduler/nothing"),
        ):
            response = await device.client.request(method, path)
            assert (404, 404) == (response.status_code, response.json()["status"]), path
        page = await device.client.get("/")
        assert page.text.startswith("<!doctype html>")
        assert 404 == (await device.client.get("/nope")).status_code

    run(tmp_path, body)


def test_a_wrong_method_is_405_in_json(tmp_path: Path) -> None:
    """Clients try another method on 405; the ones that are possible are named."""

    async def body(device: Device) -> None:
        response = await device.call("PATCH", "/tasks/update-v2")
        under_name = await device.call("PUT", "/workflow/search")

        assert (405, "GET, POST", 405) == (
            response.status_code,
            response.headers["allow"],
            response.json()["status"],
        )
        assert (405, "method_not_allowed") == (under_name.status_code, under_name.json()["code"])

    run(tmp_path, body)


def test_a_fault_of_ours_has_a_code_and_tells_nothing() -> None:
    """What it was stands in the log; any other exception is not for this one to answer."""
    answer = unexpected("here")
    told = msgspec.json.decode(answer.body)

    assert (500, 500, "internal_error") == (answer.status_code, told["status"], told["code"])
    assert answer_to(KeyError("x"), "here") is None


@pytest.mark.parametrize("path", ["/metadata/taskdefs/", "/metadata/taskdefs", "/health/"])
def test_a_trailing_slash_is_as_good_as_none(tmp_path: Path, path: str) -> None:
    """JavaScript clients send one here and there."""

    async def body(device: Device) -> None:
        assert 200 == (await device.call("GET", path)).status_code

    run(tmp_path, body)


def test_a_chunked_body_is_read_whole(tmp_path: Path) -> None:
    """JavaScript sends every body in chunks, without a length."""

    async def body(device: Device) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for part in (
                b'{"name":"flow","tasks":[{"name":"a",',
                b'"taskReferenceName":"a"}]',
                b"}",
            ):
                yield part

        await device.answer("POST", "/metadata/workflow", content=chunks())

        assert "flow" == (await device.answer("GET", "/metadata/workflow/flow"))["name"]

    run(tmp_path, body)


def test_a_body_above_the_limit_is_413(tmp_path: Path) -> None:
    """Announced or not; the limit is named and the connection is not used again."""

    async def body(device: Device) -> None:
        device.house.body_limit_bytes = 100

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b" " * 10

        for response in (
            await device.call("POST", "/workflow", content=b"{" + b" " * 100),
            await device.call("POST", "/workflow", content=chunks()),
        ):
            assert (413, "close") == (response.status_code, response.headers["connection"])
            assert "limit of 100 bytes" in response.json()["message"]

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "JSON is malformed"),
        (b'{"a":1,}', "trailing comma in object (byte 7)"),
        (b'{"name":"x","input":{"a":NaN}}', "invalid character (byte 25)"),
        (b'{"name":"x","input":{"a":Infinity}}', "invalid character (byte 25)"),
        (b'{"name":"\\ud800"}', "JSON is malformed"),
        (b'{"name":"\\udc00 "}', "invalid utf-16 surrogate"),
        (b'{"name":"\xff"}', "position 0"),
        (b'{"name":"x","input":{"a":1e999}}', "out of range"),
        (b"1" * 5000, "out of range"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "invalid character (byte 0)"),
        (b"null", "Expected `object`"),
        (b'"text"', "Expected `object`"),
    ],
)
def test_a_body_that_is_no_json_is_a_clear_400(tmp_path: Path, body: bytes, words: str) -> None:
    """Each says what and where; none gives a trace or a 500."""

    async def check(device: Device) -> None:
        for path in ("/workflow", "/metadata/workflow"):
            response = await device.call("POST", path, content=body)
            assert 400 == response.status_code
            assert words in response.json()["message"]

    run(tmp_path, check)


def test_integers_of_any_size_pass_through_payloads(tmp_path: Path) -> None:
    """A user's number comes back as it was sent."""

    async def body(device: Device) -> None:
        await device.answer("POST", "/metadata/workflow", json=FLOW)
        huge = 123456789012345678901234567890
        workflow_id = await device.started(input={"x": huge, "y": 1.0, "z": -0.0})

        shown = await device.call("GET", f"/workflow/{workflow_id}")

        assert f'"input":{{"x":{huge},"y":1.0,"z":-0.0}}' in shown.text

    run(tmp_path, body)


def test_a_page_of_another_site_may_not_change_anything(tmp_path: Path) -> None:
    """A browser tells where a request comes from; the device's own page may, others may not."""

    async def body(device: Device) -> None:
        await device.register()

        foreign = await device.call("POST", "/workflow/flow", headers={"Origin": "https://evil"})
        null = await device.call("POST", "/workflow/flow", headers={"Origin": "null"})
        own = await device.call("POST", "/workflow/flow", headers={"Origin": "http://device"})
        looking = await device.call("GET", "/version", headers={"Origin": "https://evil"})

        assert [403, 403, 200, 200] == [one.status_code for one in (foreign, null, own, looking)]

    run(tmp_path, body)


def test_no_page_of_another_site_makes_a_get_that_changes_something(tmp_path: Path) -> None:
    """A picture's address on such a page could start workflows; all others ask as they like."""

    async def body(device: Device) -> None:
        await device.register()
        await device.started()
        for path in (
            "/workflow/execute/flow",
            "/tasks/poll/work",
            "/tasks/poll/batch/work",
            "/admin/cache/clear/work",
            "/scheduler/admin/requeue",
        ):
            for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil"}):
                refused = await device.call("GET", path, headers=headers)
                assert (403, "forbidden") == (refused.status_code, refused.json()["code"]), path
        assert 1 == (await device.answer("GET", "/workflow/search"))["totalHits"]
        for headers in ({}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}):
            for path in ("/tasks/poll/batch/work?timeout=1", "/admin/config"):
                own = await device.call("GET", path, headers=headers)
                assert 200 == own.status_code, path
        looking = await device.call(
            "GET", "/workflow/search", headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert 200 == looking.status_code

    run(tmp_path, body)


def test_who_is_gone_before_a_body_came_changes_nothing(tmp_path: Path) -> None:
    """A connection that was cut is no empty body, which completes tasks and starts workflows."""

    async def body(device: Device) -> None:
        await device.register()
        sent: list[Message] = []
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/workflow/flow",
            "query_string": b"",
            "headers": [(b"content-length", b"20")],
        }

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await build_app(device.house)(scope, receive, send)

        assert [] == sent
        assert 0 == (await device.answer("GET", "/workflow/search"))["totalHits"]

    run(tmp_path, body)


@pytest.mark.parametrize("version", ["²", "٣", "x", "-1", "1" * 5_000])
def test_a_version_in_a_path_is_a_number(tmp_path: Path, version: str) -> None:
    """What only looks like one is the client's mistake and none of ours."""

    async def body(device: Device) -> None:
        for method, path in (
            ("POST", "/workflow/start/flow"),
            ("POST", "/workflow/execute/flow"),
            ("DELETE", "/metadata/workflow/flow"),
            ("GET", "/schema/flow"),
        ):
            refused = await device.call(method, f"{path}/{version}")
            assert 400 == refused.status_code, path
            assert "is not a whole number" in refused.json()["message"]

    run(tmp_path, body)


def test_a_fault_of_ours_is_a_500_without_a_trace(tmp_path: Path) -> None:
    """What went wrong stands in the log; the client is told where to look."""

    async def body(device: Device) -> None:
        def broken() -> list[dict[str, object]]:
            raise RuntimeError("secret detail")

        device.house.devices = broken

        response = await device.call("GET", "/v1/devices")

        assert (500, 500) == (response.status_code, response.json()["status"])
        assert "secret" not in response.text

    run(tmp_path, body)


PIECES = st.sampled_from(
    [
        "api",
        "tasks",
        "workflow",
        "metadata",
        "poll",
        "batch",
        "x",
        "%2F",
        "%00",
        "%ff",
        "..",
        "",
        "ü",
    ]
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    requests=st.lists(
        st.tuples(
            st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]),
            st.lists(PIECES, max_size=6),
            st.text(alphabet="abc=&%+,01ü", max_size=12),
            st.binary(max_size=40),
        ),
        min_size=5,
        max_size=15,
    )
)
def test_no_request_gives_a_fault(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[str, list[str], str, bytes]]
) -> None:
    """Any method, path, query and body: an answer below 500, or the 500 of an illegal state."""

    async def body(device: Device) -> None:
        for method, pieces, query, content in requests:
            url = f"/{'/'.join(pieces)}?timeout=0&{query}"
            response = await device.client.request(method, f"http://device{url}", content=content)
            assert response.status_code < 500, (method, url, content)

    run(tmp_path_factory.mktemp("fuzz"), body)


def test_no_line_of_the_table_hides_another() -> None:
    """Each route is found under its own pattern, with the names as values."""
    from edge.api.routing import Table

    table = Table(ROUTES)

    for route in ROUTES:
        found = table.match(route.method, route.pattern.replace("...", ""))
        assert route is found.route, route.pattern
