"""The route table as a tree of path segments.

No endpoint lives here. The path is split before it is decoded, because a correlation id may hold an
encoded slash; Starlette's own router matches the decoded path and would take that slash for a
separator.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import unquote

import msgspec

from edge.api.call import Call
from edge.model.errors import NotFound
from edge.responses import Response

Endpoint = Callable[[Call], Awaitable[Response]]

_MAX_SEGMENTS = 32
"""No route is longer, but the static files' rest of the path; deeper paths do not exist."""


class Route(msgspec.Struct, frozen=True):
    """One line of the table."""

    method: str
    pattern: str
    """Segments; ``{name}`` stands for one of any text, a last ``{name...}`` for all that follow."""
    endpoint: Endpoint


class MethodNotAllowed(Exception):
    """The path is known, but not with this method; the ones that are stand in ``allowed``."""

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(f"use {', '.join(allowed)}")
        self.allowed = allowed


class Match(msgspec.Struct, frozen=True):
    """A route that fits a request, with the texts that its pattern names."""

    route: Route
    params: dict[str, str]


class _Node:
    __slots__ = ("any", "literal", "rest", "routes")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.rest: dict[str, Route] = {}
        self.routes: dict[str, Route] = {}


class Table:
    """Finds the endpoint of a request; literal segments win over named ones, as in Conductor."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def match(self, method: str, raw_path: str) -> Match:
        """The route of a request.

        Args:
            method: in upper case; HEAD is answered by GET.
            raw_path: as sent, still percent-encoded, without the query. A trailing slash is as good
                as none.

        Raises:
            NotFound: no route has this path.
            MethodNotAllowed: only other methods do.
        """
        segments = [unquote(segment) for segment in raw_path.strip("/").split("/")]
        wanted = "GET" if method == "HEAD" else method
        allowed: set[str] = set()
        if len(segments) <= _MAX_SEGMENTS:
            found = _search(self._root, segments, 0, wanted, allowed)
            if found is not None:
                return Match(found, _params(found.pattern, segments))
        if allowed:
            raise MethodNotAllowed(sorted(allowed))
        raise NotFound(f"No static resource {'/'.join(segments)}.")

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in _segments(route.pattern):
            if segment.endswith("...}"):
                node.rest[route.method] = route
                return
            if segment.startswith("{"):
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.literal.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.pattern} stands twice in the table")
        node.routes[route.method] = route


def _search(
    node: _Node, segments: list[str], index: int, method: str, allowed: set[str]
) -> Route | None:
    """Depth first; the depth is bounded by the length of the path."""
    if index == len(segments):
        allowed.update(node.routes)
        return node.routes.get(method)
    segment = segments[index]
    literal = node.literal.get(segment)
    if literal is not None:
        found = _search(literal, segments, index + 1, method, allowed)
        if found is not None:
            return found
    # An empty name is no name: `/workflow//pause` has no endpoint.
    if node.any is not None and segment:
        found = _search(node.any, segments, index + 1, method, allowed)
        if found is not None:
            return found
    allowed.update(node.rest)
    return node.rest.get(method)


def _segments(pattern: str) -> list[str]:
    return pattern.strip("/").split("/")


def _params(pattern: str, segments: list[str]) -> dict[str, str]:
    params = {}
    for index, part in enumerate(_segments(pattern)):
        if part.endswith("...}"):
            params[part[1:-4]] = "/".join(segments[index:])
        elif part.startswith("{"):
            params[part[1:-1]] = segments[index]
    return params
