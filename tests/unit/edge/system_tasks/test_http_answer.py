"""Bodies are read under limits of their own and of all together, and headers keep their names."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from edge.system_tasks.http_answer import (
    AnswerTooLarge,
    HttpFailed,
    Room,
    header_map,
    read_body,
    refusal,
    typed,
)


async def _chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_bodies_under_way_share_memory() -> None:
    """When it is short the attempt fails; what it had taken is given back."""
    room = Room(100)

    with pytest.raises(HttpFailed, match="at once"):
        asyncio.run(read_body(_chunks(b"x" * 60, b"x" * 60), "", room))

    assert b"x" * 100 == asyncio.run(read_body(_chunks(b"x" * 100), "", room))
    assert b"x" * 100 == asyncio.run(read_body(_chunks(b"x" * 100), "", room))


def test_a_small_packet_does_not_unfold_beyond_the_limit() -> None:
    """A gigabyte of zeros in a megabyte of gzip is refused after the limit, not after itself."""
    bomb = gzip.compress(bytes(64 * 1024 * 1024), compresslevel=9)

    with pytest.raises(AnswerTooLarge):
        asyncio.run(read_body(_chunks(bomb), "gzip", Room()))


def test_what_follows_the_packed_body_is_not_kept() -> None:
    """Another member, or megabytes of anything: the first member is the body, and all the memory."""
    packed = gzip.compress(b"abc")
    more = [bytes(1024 * 1024)] * 32
    tracemalloc.start()
    try:
        body = asyncio.run(read_body(_chunks(packed, packed, *more), "gzip", Room()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert b"abc" == body
    assert peak < 4 * 1024 * 1024


def test_an_empty_body_needs_no_packing() -> None:
    """An answer to HEAD says how its body would be packed and has none."""
    assert b"" == asyncio.run(read_body(_chunks(), "gzip", Room()))


def test_an_unknown_packing_stays_as_it_is() -> None:
    """Only what the request asked for can be undone; the rest is the author's affair."""
    assert b"abc" == asyncio.run(read_body(_chunks(b"abc"), "br", Room()))


def test_headers_of_one_name_are_one_list() -> None:
    """The first spelling is the name's."""
    assert {"Set-Cookie": ["a", "b"], "X": ["\xe9"]} == header_map(
        [(b"Set-Cookie", b"a"), (b"set-cookie", b"b"), (b"X", b"\xe9")]
    )


def test_a_refusal_is_one_line() -> None:
    """Line ends and control characters do not travel into logs and reasons."""
    assert '500 Oops on it: "a<EOL><EOL>b?c"' == refusal(500, "Oops", "it", "a\r\nb\x1bc")


@pytest.mark.parametrize("depth", [99, 100, 101])
def test_nesting_has_a_limit(depth: int) -> None:
    """A hundred maps inside each other are a value, more are a text."""
    text = '{"a":' * depth + "1" + "}" * depth

    assert isinstance(typed(text), dict if depth <= 100 else str)
