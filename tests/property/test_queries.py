"""A query is read alike by the short way and by the standard library's."""

from __future__ import annotations

from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st

from edge.api.call import _read_query


@given(st.text(alphabet="ab=&;?/%+ é\x00", max_size=40).map(lambda text: text.encode("latin-1")))
def test_both_ways_read_alike(raw: bytes) -> None:
    """Whatever is empty, doubled, encoded or missing in it."""
    expected: dict[str, list[str]] = {}
    for name, value in parse_qsl(raw.decode("latin-1")):
        expected.setdefault(name, []).append(value)

    assert expected == _read_query(raw)
