"""Paths are split before they are decoded, literals win, and 405 is told from 404."""

from __future__ import annotations

import pytest

from edge.api.call import Call
from edge.api.routing import MethodNotAllowed, Route, Table
from edge.model.errors import NotFound
from edge.responses import Response


async def endpoint(_: Call) -> Response:
    """Never called."""
    return Response()


TABLE = Table(
    [
        Route("GET", "/a/{x}", endpoint),
        Route("POST", "/a/search", endpoint),
        Route("GET", "/a/{x}/b/{y}", endpoint),
        Route("GET", "/files/{path...}", endpoint),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "pattern", "params"),
    [
        ("GET", "/a/1", "/a/{x}", {"x": "1"}),
        ("HEAD", "/a/1", "/a/{x}", {"x": "1"}),
        ("GET", "/a/1/", "/a/{x}", {"x": "1"}),
        ("GET", "/a/1%2F2%20%C3%A4", "/a/{x}", {"x": "1/2 ä"}),
        ("GET", "/a/%2541", "/a/{x}", {"x": "%41"}),
        ("POST", "/a/search", "/a/search", {}),
        ("GET", "/a/search", "/a/{x}", {"x": "search"}),
        ("GET", "/a/1/b/2", "/a/{x}/b/{y}", {"x": "1", "y": "2"}),
        ("GET", "/files/p/q%2Fr", "/files/{path...}", {"path": "p/q/r"}),
    ],
)
def test_a_path_finds_its_route(
    method: str, path: str, pattern: str, params: dict[str, str]
) -> None:
    """Each segment is decoded once, after the split."""
    found = TABLE.match(method, path)

    assert (pattern, params) == (found.route.pattern, found.params)


@pytest.mark.parametrize("path", ["/", "/b", "/a", "/a//b/2", "/a/1/b", "/a/1/b/2/3", "/x" * 100])
def test_an_unknown_path_is_not_found(path: str) -> None:
    """Empty names are no names, and deep paths do not exist."""
    with pytest.raises(NotFound):
        TABLE.match("GET", path)


def test_a_known_path_names_its_methods() -> None:
    """All patterns that fit the path count."""
    with pytest.raises(MethodNotAllowed) as caught:
        TABLE.match("DELETE", "/a/search")

    assert ["GET", "POST"] == caught.value.allowed


def test_a_route_stands_once_in_the_table() -> None:
    """A copied line that was not changed is found when the daemon starts."""
    with pytest.raises(ValueError, match="twice"):
        Table([Route("GET", "/a/{x}", endpoint), Route("GET", "/a/{y}", endpoint)])
